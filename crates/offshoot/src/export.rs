use std::fs::File;
use std::path::Path;

use offshoot_store::{NewFile, clone_file, copy_holes};

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
        let exists = || Error::OutputExists { path: output.to_owned() };
        if output.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let source = File::open(&template.path).map_err(Error::io("open", &template.path))?;
        let target = NewFile::create(output)?;
        if !clone_file(&source, target.file()).map_err(Error::io("write", output))? {
            copy_holes(&source, target.file()).map_err(Error::io("write", output))?;
        }
        if target.publish(0o644)? { Ok(()) } else { Err(exists()) }
    }
}
