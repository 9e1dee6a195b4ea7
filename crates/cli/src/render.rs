pub(crate) mod json;
pub(crate) mod table;

use std::io::{self, Write};

use crate::exit::Error;

/// Prints a result on standard output. A reader that has gone (`offshoot clones | head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}

/// Prints a path's own bytes, and a newline.
pub(crate) fn print_path(path: &std::path::Path) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt;
    let mut line = path.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    io::stdout().lock().write_all(&line).map_err(Error::Output)
}

/// Prints a value as one document of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
