use std::fs;
use std::io;
use std::path::Path;

use offshoot_store::{Digest, Durability, NewDirectory};
use offshoot_unpack::Summary;

use crate::{Error, ImageName, Progress, PullOptions, Store, Template};

impl Store {
    /// Pulls an image and writes its root filesystem into a directory, which must not exist, or be empty.
    ///
    /// The directory comes into being whole or not at all, synced. As root, owners, devices and all are the image's;
    /// otherwise they are kept in `user.containers.override_stat` beside each file. Setuid programs are real: keep it
    /// below a directory that only its owner can enter.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let rootfs = directory.path().join("rootfs");
    /// let summary = store.unpack(&"scratch:".parse()?, &PullOptions::default(), &rootfs, &Quiet)?;
    /// assert_eq!(summary.directories, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unpack(
        &self,
        image: &ImageName,
        options: &PullOptions,
        directory: &Path,
        progress: &dyn Progress,
    ) -> Result<Summary, Error> {
        check_directory(directory)?;
        let pulled = self.pull_for_use(image, options, progress)?;
        let layers: Vec<Digest> = pulled.record.layers.iter().map(|layer| layer.diff_id).collect();
        self.unpack_to(&layers, directory, progress)
    }

    /// Writes what a template was built from into a directory, as [`unpack`](Self::unpack) does.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let rootfs = directory.path().join("rootfs");
    /// store.unpack_template(&template, &rootfs, &Quiet)?;
    /// assert!(rootfs.is_dir());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unpack_template(
        &self,
        template: &Template,
        directory: &Path,
        progress: &dyn Progress,
    ) -> Result<Summary, Error> {
        check_directory(directory)?;
        let derivation = template.record.derivation().ok_or(Error::NotBuilt { id: template.record.id })?;
        self.unpack_to(&derivation.layers, directory, progress)
    }

    fn unpack_to(
        &self,
        layers: &[Digest],
        directory: &Path,
        progress: &dyn Progress,
    ) -> Result<Summary, Error> {
        let directory = std::path::absolute(directory).map_err(Error::io("find", directory))?;
        if directory.parent().is_none() {
            return Err(Error::OutputPlace { path: directory });
        }
        let new = NewDirectory::create(&directory)?;
        let (summary, _packs) = self.unpack_layers(layers, &new.path(), Durability::Durable, progress)?;
        if !new.publish()? {
            return Err(Error::OutputExists { path: directory });
        }
        Ok(summary)
    }
}

/// Known before the work is done; the rename looks again.
fn check_directory(directory: &Path) -> Result<(), Error> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::OutputExists { path: directory.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Store::check_output(directory),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::OutputExists { path: directory.to_owned() })
        }
        Err(error) => Err(Error::io("look at", directory)(error)),
    }
}
