use std::fs::File;
use std::path::Path;

/// An exclusive lock on a file, between threads and processes, for as long as this lives.
#[derive(Debug)]
pub struct Locked {
    _file: File,
}

impl Locked {
    /// Waits for the lock; makes the file, and the directories above it, if they are not there.
    pub fn new(path: &Path) -> Self {
        let fail = |error| -> ! { panic!("cannot lock {}: {error}", path.display()) };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).unwrap_or_else(|error| fail(error));
        }
        let file = File::options().create(true).append(true).open(path).unwrap_or_else(|error| fail(error));
        file.lock().unwrap_or_else(|error| fail(error));
        Self { _file: file }
    }
}
