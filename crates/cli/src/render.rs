pub(crate) mod collection;
pub(crate) mod findings;
pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod vmm;

use std::io::{self, Write};

use crate::exit::Error;

/// Prints a result on standard output.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(text.as_bytes())
}

/// Prints a path's own bytes, and a newline.
pub(crate) fn print_path(path: &std::path::Path) -> Result<(), Error> {
    write(&[path.as_os_str().as_encoded_bytes(), b"\n"].concat())
}

/// A reader that has gone (`offshoot clones | head`) is no failure.
fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}

/// Prints a value as one document of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
