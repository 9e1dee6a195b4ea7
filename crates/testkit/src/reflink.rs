use std::io::Write;
use std::path::Path;

/// Whether files in this directory can share their blocks (`FICLONE`): tried, not guessed.
pub fn reflink_supported(directory: &Path) -> bool {
    let file = || {
        tempfile::tempfile_in(directory)
            .unwrap_or_else(|error| panic!("cannot make a file in {}: {error}", directory.display()))
    };
    let (mut from, to) = (file(), file());
    from.write_all(&[1; 8192]).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    rustix::fs::ioctl_ficlone(&to, &from).is_ok()
}
