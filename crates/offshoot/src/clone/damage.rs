use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use offshoot_qcow2::Backing;

use super::Clone;
use crate::records::CloneRecord;
use crate::{DiskFormat, Error, Store, Strategy, template, volume};

/// What is wrong with a clone that its record says is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Its disk is gone.
    #[error("its disk {} is missing, and what was in it is lost", path.display())]
    Lost {
        /// The disk.
        path: PathBuf,
    },
    /// Its disk is not a file, or its directory is none.
    #[error("{} is something else than its record says", path.display())]
    NotAFile {
        /// The disk.
        path: PathBuf,
    },
    /// Its disk has another size than its record says.
    #[error("its disk {} has {actual_bytes} bytes, and its record says {recorded_bytes}", path.display())]
    Size {
        /// The disk.
        path: PathBuf,
        /// What it has.
        actual_bytes: u64,
        /// What it was when it was last written by this library.
        recorded_bytes: u64,
    },
    /// A hard link that leads to another file than the template's.
    #[error("its disk {} is not its template's file", path.display())]
    NotTheTemplate {
        /// The disk.
        path: PathBuf,
    },
    /// The overlay's header is not one.
    #[error("the header of its overlay {} is damaged ({reason})", path.display())]
    Header {
        /// The overlay.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// The overlay stands on something else than its template.
    #[error("its overlay {} stands on {found}, and should stand on {expected} (raw)", path.display())]
    OtherBacking {
        /// The overlay.
        path: PathBuf,
        /// What its header says.
        found: String,
        /// What its record says.
        expected: String,
    },
    /// The template's disk is gone, without which the overlay is of no use.
    #[error("the disk of its template {}, on which its overlay stands, is missing; the overlay is kept", path.display())]
    NoBacking {
        /// The template's disk.
        path: PathBuf,
    },
}

impl Damage {
    /// What can be done about it, to end a message with.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoBacking { .. } => "",
            _ => "; --recreate makes it anew",
        }
    }
}

impl Store {
    /// Looks at a clone's disk as far as a VM's start needs it: is it there, of its size, and on its template?
    ///
    /// `Ok(Some(_))`: no. An error: it could not be looked at, and nothing is known.
    pub(crate) fn damage(&self, clone: &Clone) -> Result<Option<Damage>, Error> {
        let path = || clone.path.clone();
        let is_directory = clone.record.format == DiskFormat::Dir;
        let metadata = match fs::symlink_metadata(&clone.path) {
            Ok(metadata) if metadata.is_dir() && is_directory => return Ok(None),
            Ok(metadata) if metadata.is_file() && !is_directory => metadata,
            Ok(_) => return Ok(Some(Damage::NotAFile { path: path() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Damage::Lost { path: path() }));
            }
            Err(error) => return Err(Error::io("look at", &clone.path)(error)),
        };
        let record = &clone.record;
        match record.format {
            DiskFormat::Raw => {
                if record.strategy == Strategy::Hardlink && !self.is_template_file(record, &metadata)? {
                    return Ok(Some(Damage::NotTheTemplate { path: path() }));
                }
                Ok(size_damage(clone, metadata.len()))
            }
            DiskFormat::Qcow2 => self.overlay_damage(clone),
            DiskFormat::Dir => Ok(None),
        }
    }

    fn overlay_damage(&self, clone: &Clone) -> Result<Option<Damage>, Error> {
        let path = || clone.path.clone();
        let file = match File::open(&clone.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Damage::Lost { path: path() }));
            }
            opened => opened.map_err(Error::io("open", &clone.path))?,
        };
        let overlay = match offshoot_qcow2::inspect(&file, &clone.path) {
            Ok(overlay) => overlay,
            Err(offshoot_qcow2::Error::Corrupt { reason, .. }) => {
                return Ok(Some(Damage::Header { path: path(), reason: reason.to_string() }));
            }
            Err(source) => return Err(volume::overlay(&clone.path)(source)),
        };
        let expected = template::disk_beside_clones(clone.record.template.id);
        let found = overlay.backing.unwrap_or_else(|| Backing { path: String::new(), format: None });
        if found.path != expected || found.format.as_deref() != Some("raw") {
            let found = format!("{} ({})", found.path, found.format.as_deref().unwrap_or("no format"));
            return Ok(Some(Damage::OtherBacking { path: path(), found, expected }));
        }
        let backing = self.clone_base(&clone.record);
        if !backing.try_exists().map_err(Error::io("look for", &backing))? {
            return Ok(Some(Damage::NoBacking { path: backing }));
        }
        Ok(size_damage(clone, overlay.virtual_size_bytes))
    }

    fn is_template_file(&self, record: &CloneRecord, disk: &fs::Metadata) -> Result<bool, Error> {
        use std::os::unix::fs::MetadataExt;
        let template = self.clone_base(record);
        match fs::metadata(&template) {
            Ok(metadata) => Ok((metadata.dev(), metadata.ino()) == (disk.dev(), disk.ino())),
            // The clone's link keeps the bytes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::io("look at", &template)(error)),
        }
    }
}

fn size_damage(clone: &Clone, actual_bytes: u64) -> Option<Damage> {
    let record = &clone.record;
    let expected = [Some(record.size_bytes), record.growing_to_bytes];
    (!expected.contains(&Some(actual_bytes))).then(|| Damage::Size {
        path: clone.path.clone(),
        actual_bytes,
        recorded_bytes: record.size_bytes,
    })
}
