use rustix::fs::Mode;
use rustix::thread::UnshareFlags;

/// Gives the calling thread an umask of its own, 0, so that what it makes has the mode that was asked for; the
/// process's stays as it is. The thread must be one that ends with its work.
///
/// False where a sandbox forbids that: then modes must be set.
pub(crate) fn private() -> bool {
    #[expect(deprecated, reason = "unsafe is what it does with FILES, which is not asked for")]
    let unshared = rustix::thread::unshare(UnshareFlags::FS).is_ok();
    if unshared {
        rustix::process::umask(Mode::empty());
    }
    unshared
}
