//! Is everything in the store as it was written?

mod attributes;
mod build_again;
mod check;
mod contents;
mod dependants;
mod entries;
mod fetch_again;
mod finding;
mod mend;
mod reading;
mod scope;
mod set_aside;
mod work;

pub use finding::{Finding, Problem, Subject};
pub use mend::{Mended, Outcome};

use crate::{Error, Progress, Store};

/// How a store is looked at.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// How much is read.
    pub depth: Depth,
    /// What is looked at: names and ids of templates, VMs, references of images, digests of blobs and layers. Everything
    /// where there is none.
    pub names: Vec<String>,
}

/// How much is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Records, sizes, modes and headers.
    Quick,
    /// Everything that is not a clone's disk.
    #[default]
    Full,
}

/// What a look at a store has found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong; nothing, in a good store.
    pub findings: Vec<Finding>,
    /// How many blobs, packs, templates, clones and records were looked at.
    pub checked: usize,
}

impl Store {
    /// Looks at everything in the store, or at what is named, and says what is not as it was written. Nothing is changed.
    ///
    /// `Ok` with no findings promises, for [`Depth::Full`], that every bit of blobs, packs, templates and records is as it
    /// was written, and that all that records name is there. Of a clone, whose disk its VM may be writing, it promises
    /// what a VM's start needs: a disk of the recorded size, or an overlay with a header that fits its record. Others
    /// may use the store meanwhile: what comes or goes while it is looked at is no finding.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let report = store.verify(&VerifyOptions::default(), &Quiet)?;
    /// assert!(report.findings.is_empty());
    ///
    /// std::fs::remove_file(&template.path)?;
    /// let report = store.verify(&VerifyOptions::default(), &Quiet)?;
    /// assert!(matches!(report.findings[0].problem, Problem::Missing));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, options: &VerifyOptions, progress: &dyn Progress) -> Result<Report, Error> {
        let items = if options.names.is_empty() {
            self.all_items()?
        } else {
            let named = options.names.iter().map(|name| self.named_items(name));
            let mut items = named.collect::<Result<Vec<_>, _>>()?.concat();
            items.sort();
            items.dedup();
            items
        };
        self.verify_items(items, options.depth, progress)
    }
}
