use std::fs::File;
use std::io;
use std::path::Path;

use offshoot_store::NewFile;

use crate::disk_copy::copy_file;
use crate::{Error, Store, Template};

impl Store {
    /// Writes a template's disk to a file of its own, sharing blocks where the filesystem can, synced.
    ///
    /// The file comes into being whole or not at all; one that exists is never replaced.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let output = directory.path().join("disk.ext4");
    /// store.export(&template, &output)?;
    /// assert_eq!(output.metadata()?.len(), template.record.size_bytes);
    /// assert_eq!(store.export(&template, &output).unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, template: &Template, output: &Path) -> Result<(), Error> {
        Self::check_output(output)?;
        let path = template.disk()?;
        let source = File::open(path).map_err(Error::io("open", path))?;
        let target = NewFile::create(output)?;
        copy_file(None, &source, path, target.file(), output)?;
        if target.publish(0o644)? { Ok(()) } else { Err(Error::OutputExists { path: output.to_owned() }) }
    }

    /// Whether a disk could be written there, as far as that can be said beforehand: nothing is there yet, and its
    /// directory is.
    ///
    /// ```
    /// # use offshoot::*;
    /// let error = Store::check_output("/".as_ref()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Conflict);
    /// ```
    pub fn check_output(output: &Path) -> Result<(), Error> {
        match output.symlink_metadata() {
            Ok(_) => return Err(Error::OutputExists { path: output.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", output)(error)),
        }
        let directory =
            output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names_file =
            output.file_name().is_some() && !output.as_os_str().as_encoded_bytes().ends_with(b"/");
        if names_file && directory.is_dir() {
            Ok(())
        } else {
            Err(Error::OutputPlace { path: output.to_owned() })
        }
    }
}
