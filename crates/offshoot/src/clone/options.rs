use std::fmt;
use std::str::FromStr;

use offshoot_oci::Injection;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How a clone comes to be.
///
/// ```
/// use offshoot::{CloneOptions, Strategy};
///
/// // A reflink or an error, never a copy.
/// let options = CloneOptions { strategy: Some(Strategy::Reflink), ..CloneOptions::default() };
/// assert_eq!("copy".parse(), Ok(Strategy::Copy));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// All blocks are shared with the template until they are written.
    Reflink,
    /// A qcow2 overlay on the template's disk: it takes what is written, and the rest is read from the template.
    Qcow2,
    /// The template's own file under another name, for disks that are only read.
    Hardlink,
    /// All data is copied; holes stay holes.
    Copy,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reflink, Self::Qcow2, Self::Hardlink, Self::Copy];

    /// Its name on the command line and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::Qcow2 => "qcow2",
            Self::Hardlink => "hardlink",
            Self::Copy => "copy",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A strategy that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a strategy: reflink, qcow2, hardlink and copy are")]
pub struct UnknownStrategy(String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        let known = Self::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        known.ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

/// What a clone may be told.
#[derive(Clone, Debug, Default)]
pub struct CloneOptions {
    /// That strategy or an error; by default a reflink, and a copy where the filesystem cannot.
    pub strategy: Option<Strategy>,
    /// The disk's size in bytes, at least the template's; the filesystem on it is grown to it. The template's by default.
    pub size_bytes: Option<u64>,
    /// The disk is not to be written: its file has mode 0444.
    pub read_only: bool,
    /// Nothing is synced; the clone may be lost in a power cut.
    pub ephemeral: bool,
    /// The filesystem gets a UUID of its own instead of the template's.
    pub fresh_uuid: bool,
    /// Files of the host that this VM alone gets on top of its template, in that order. Its disk is then built from the
    /// packs of the template's layers.
    pub injections: Vec<Injection>,
    /// Not a disk but a directory with the files, for virtiofs and libkrun.
    pub as_directory: bool,
    /// A clone whose disk is lost or damaged is made anew; what is left of it goes to quarantine.
    pub recreate: bool,
}

impl CloneOptions {
    /// Refuses what cannot be had together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let own_disk = [
            (self.size_bytes.is_some(), "a size"),
            (self.fresh_uuid, "a UUID of its own"),
            (!self.injections.is_empty(), "files of its own"),
        ];
        if self.as_directory {
            let excluded = [
                (self.size_bytes.is_some(), "a size"),
                (self.fresh_uuid, "a UUID of its own"),
                (self.read_only, "a read-only mode; let the VMM mount it so"),
                (self.strategy == Some(Strategy::Qcow2), "an overlay"),
                (self.strategy == Some(Strategy::Hardlink), "hard links to its template"),
            ];
            if let Some((_, what)) = excluded.iter().find(|(asked, _)| *asked) {
                return Err(Error::DirectoryExcludes { what });
            }
        }
        match self.strategy {
            Some(Strategy::Hardlink) => {
                if !self.read_only {
                    return Err(Error::HardlinkWritable);
                }
                match own_disk.iter().find(|(asked, _)| *asked) {
                    Some((_, what)) => Err(Error::StrategyExcludes { strategy: Strategy::Hardlink, what }),
                    None => Ok(()),
                }
            }
            Some(Strategy::Qcow2) if !self.injections.is_empty() => {
                Err(Error::StrategyExcludes { strategy: Strategy::Qcow2, what: "files of its own" })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_have_names() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        assert!("auto".parse::<Strategy>().is_err());
    }

    #[test]
    fn a_hardlink_is_read_only_and_as_it_is() {
        let hardlink =
            CloneOptions { strategy: Some(Strategy::Hardlink), read_only: true, ..CloneOptions::default() };
        assert!(hardlink.check().is_ok());
        let injection: Injection = "/etc/hosts:/etc/hosts".parse().unwrap();
        for refused in [
            CloneOptions { read_only: false, ..hardlink.clone() },
            CloneOptions { size_bytes: Some(1 << 30), ..hardlink.clone() },
            CloneOptions { fresh_uuid: true, ..hardlink.clone() },
            CloneOptions { injections: vec![injection.clone()], ..hardlink.clone() },
            CloneOptions { injections: vec![injection], strategy: Some(Strategy::Qcow2), ..hardlink },
        ] {
            assert!(refused.check().is_err(), "{refused:?}");
        }
    }
}
