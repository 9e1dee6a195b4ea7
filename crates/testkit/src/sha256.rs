use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ring::digest::{Context, SHA256};

/// A SHA-256; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Of bytes in memory.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

/// Of a file's contents.
pub fn sha256_file(path: &Path) -> Sha256 {
    let fail = |error| -> ! { panic!("cannot read {}: {error}", path.display()) };
    let mut file = File::open(path).unwrap_or_else(|error| fail(error));
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return finish(context),
            Ok(length) => context.update(&buffer[..length]),
            Err(error) => fail(error),
        }
    }
}

fn finish(context: Context) -> Sha256 {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Sha256(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_three_letters() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").to_string(), abc);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        assert_eq!(sha256_file(file.path()).to_string(), abc);
    }
}
