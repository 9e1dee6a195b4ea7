//! Users for the length of a closure.

use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};

/// The user that owns nothing.
pub(crate) const NOBODY: u32 = 65534;

/// Runs this in a thread that belongs to nobody, and so do the threads that it starts.
pub(crate) fn as_nobody<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    in_thread(|| {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        run()
    })
}

/// Runs this in a thread with an umask of its own; it must find it as it was in the end.
pub(crate) fn with_umask<T: Send>(mask: u32, run: impl FnOnce() -> T + Send) -> T {
    in_thread(|| {
        #[expect(deprecated, reason = "nothing but the umask and the current directory is unshared")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::FS).unwrap();
        rustix::process::umask(Mode::from_raw_mode(mask));
        let result = run();
        assert_eq!(rustix::process::umask(Mode::empty()), Mode::from_raw_mode(mask));
        result
    })
}

fn in_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let result = std::thread::scope(|scope| scope.spawn(run).join());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Gives a directory to nobody.
pub(crate) fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}
