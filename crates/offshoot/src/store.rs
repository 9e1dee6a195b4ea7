use std::path::{Path, PathBuf};

use offshoot_store::StoreDir;

use crate::Error;

/// An open store: images, packs, templates and clones in one directory.
///
/// Any number of stores may be open on one directory, in any number of threads and processes.
#[derive(Debug)]
pub struct Store {
    pub(crate) directory: StoreDir,
    resize2fs: PathBuf,
}

impl Store {
    /// Opens the store in that directory, and makes it where there is nothing yet.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// let store = Store::open(&root)?;
    /// let same = Store::open(&root)?; // as another process would
    /// assert_eq!(store.path(), same.path());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self { directory: StoreDir::open(directory)?, resize2fs: "resize2fs".into() })
    }

    /// The store's directory, absolute.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// assert!(store.path().is_absolute());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &Path {
        self.directory.root()
    }

    /// The same store with another `resize2fs`, a path or a name that is looked for in `PATH`: for filesystems with
    /// features that are not known here.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// let store = Store::open(&root)?.with_resize2fs("/opt/e2fsprogs/sbin/resize2fs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_resize2fs(self, program: impl Into<PathBuf>) -> Self {
        Self { resize2fs: program.into(), ..self }
    }

    pub(crate) fn resize2fs(&self) -> &Path {
        &self.resize2fs
    }
}
