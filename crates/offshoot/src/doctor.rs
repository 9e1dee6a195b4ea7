//! What this host can do, tried.

mod filesystem;
mod place;
mod programs;
mod system;

use std::path::Path;

use crate::Strategy;
use place::Place;

/// What a host can do for a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Each thing that was tried.
    pub probes: Vec<Probe>,
    /// How clones are made where no strategy is asked for; nothing where no file could be made.
    pub strategy: Option<Strategy>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// What was tried, in a word or two.
    pub name: &'static str,
    /// How it went.
    pub state: ProbeState,
    /// What was found: a version, a size, an error.
    pub found: String,
    /// What that means, and what can be done; nothing where all is well.
    pub advice: &'static str,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeState {
    /// As it should be.
    Ok,
    /// It works, with less than there could be.
    Limited,
    /// Not there; what needs it does not work here.
    Missing,
    /// Not there, and without it a store is of no use.
    Unusable,
}

impl ProbeState {
    /// `ok`, `limited`, `missing` or `unusable`.
    ///
    /// ```
    /// assert_eq!(offshoot::ProbeState::Ok.as_str(), "ok");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "missing",
            Self::Unusable => "unusable",
        }
    }
}

impl Probe {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: ProbeState::Ok, found: found.into(), advice: "" }
    }

    fn less(name: &'static str, state: ProbeState, found: impl Into<String>, advice: &'static str) -> Self {
        Self { name, state, found: found.into(), advice }
    }
}

impl Diagnosis {
    /// Whether a store can be kept there at all.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// assert!(offshoot::diagnose(&directory.path().join("store"), "resize2fs".as_ref()).is_usable());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_usable(&self) -> bool {
        self.probes.iter().all(|probe| probe.state != ProbeState::Unusable)
    }
}

/// Tries what this host can do for a store in that directory, which need not exist: in a temporary directory in the
/// store, or where the store would be made. Nothing is left behind. `resize2fs` is a path, or a name that is looked for in
/// `PATH`.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// let diagnosis = offshoot::diagnose(&directory.path().join("store"), "resize2fs".as_ref());
/// for probe in &diagnosis.probes {
///     println!("{} {}: {}", probe.state.as_str(), probe.name, probe.found);
/// }
/// assert!(std::fs::read_dir(directory.path())?.next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diagnose(store: &Path, resize2fs: &Path) -> Diagnosis {
    let mut probes = Vec::new();
    let mut strategy = None;
    if let Some(place) = Place::find(store, &mut probes) {
        let shares = filesystem::probe(place.path(), &mut probes);
        strategy = Some(if shares { Strategy::Reflink } else { Strategy::Copy });
    }
    system::probe(&mut probes);
    programs::probe(resize2fs, &mut probes);
    Diagnosis { probes, strategy }
}
