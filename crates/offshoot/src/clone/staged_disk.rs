use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use offshoot_ext4::{Device, GrowError};
use offshoot_store::{Durability, Lease};
use offshoot_unpack::Ownership;

use crate::disk::Sharing;
use crate::disk_copy::{copy_file, new_file};
use crate::growth;
use crate::progress::Quiet;
use crate::volume::{self, Volume};
use crate::{Derivation, DiskFormat, DiskSize, Error, FilesystemUuid, Store, Strategy, Template};

/// The disk that a clone is to have.
pub(crate) struct DiskRequest<'a> {
    pub(crate) template: &'a Template,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) uuid: Option<FilesystemUuid>,
    pub(crate) read_only: bool,
    pub(crate) as_directory: bool,
    /// Set where the disk is to be built from packs instead of copied.
    pub(crate) built_from: Option<&'a Derivation>,
    pub(crate) durability: Durability,
}

/// The disk that a clone has.
pub(crate) struct StagedDisk {
    pub(crate) format: DiskFormat,
    pub(crate) strategy: Strategy,
    pub(crate) size_bytes: u64,
    /// Of a directory's files.
    pub(crate) ownership: Option<Ownership>,
    pub(crate) built_from: Option<Derivation>,
    /// What it was built from, which stays until the clone's record names it.
    pub(crate) _packs: Vec<Lease>,
}

impl Store {
    /// Makes a clone's disk in a directory that nobody sees yet, finished but for its record.
    pub(crate) fn stage_disk(
        &self,
        directory: &Path,
        request: &DiskRequest<'_>,
    ) -> Result<StagedDisk, Error> {
        if request.as_directory {
            return self.stage_directory(directory, request);
        }
        let template = &request.template.record;
        if let Some(size_bytes) = request.size_bytes
            && size_bytes < template.size_bytes
        {
            return Err(Error::Shrink { current_bytes: template.size_bytes, requested_bytes: size_bytes });
        }
        let staged = match (request.built_from, template.derivation()) {
            (Some(derivation), _) => self.stage_built(directory, derivation, request)?,
            (None, built_from) => match (self.stage_copy(directory, request), built_from) {
                // The template has no room for so large a filesystem's descriptors; a new one has.
                (Err(Error::Growth { source: GrowError::PastReservation { .. }, .. }), Some(derivation))
                    if may_be_built(request) =>
                {
                    let path = directory.join(DiskFormat::Raw.file());
                    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                    self.stage_built(directory, derivation, request)?
                }
                (staged, _) => staged?,
            },
        };
        let path = directory.join(staged.format.file());
        if request.read_only && staged.strategy != Strategy::Hardlink {
            let read_only = fs::Permissions::from_mode(0o444);
            fs::set_permissions(&path, read_only).map_err(Error::io("set the mode of", &path))?;
        }
        if request.durability == Durability::Durable {
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            request.durability.sync_file(&file, &path)?;
        }
        Ok(staged)
    }

    /// The template's disk by one of the strategies, then grown and renamed as asked.
    fn stage_copy(&self, directory: &Path, request: &DiskRequest<'_>) -> Result<StagedDisk, Error> {
        let template = &request.template.record;
        let source_path = request.template.disk()?;
        let format = match request.strategy {
            Some(Strategy::Qcow2) => DiskFormat::Qcow2,
            _ => DiskFormat::Raw,
        };
        let path = directory.join(format.file());
        let mut staged = StagedDisk {
            format,
            strategy: Strategy::Copy,
            size_bytes: template.size_bytes,
            ownership: None,
            built_from: None,
            _packs: Vec::new(),
        };
        let (mut file, mut original) = (None, None);
        staged.strategy = match request.strategy {
            Some(Strategy::Hardlink) => {
                fs::hard_link(source_path, &path)
                    .map_err(|source| Error::NoHardlink { path: source_path.clone(), source })?;
                Strategy::Hardlink
            }
            Some(Strategy::Qcow2) => {
                let backing = crate::template::disk_beside_clones(template.id);
                let size_bytes = request.size_bytes.unwrap_or(template.size_bytes);
                let created = offshoot_qcow2::create(&path, &backing, size_bytes);
                file = Some(created.map_err(volume::overlay(&path))?);
                Strategy::Qcow2
            }
            strategy => {
                let source = File::open(source_path).map_err(Error::io("open", source_path))?;
                let target = new_file(&path)?;
                let strategy = copy_file(strategy, &source, source_path, &target, &path)?;
                (file, original) = (Some(target), Some(source));
                strategy
            }
        };
        let size_bytes = request.size_bytes.filter(|&size_bytes| size_bytes != template.size_bytes);
        if let Some(file) = file
            && (size_bytes.is_some() || request.uuid.is_some())
        {
            // Synced as a whole when it is finished.
            let volume = Volume::open(file, &path, format, source_path, Durability::Ephemeral)?;
            if let Some(size_bytes) = size_bytes {
                let same = original.as_ref().map_or(&volume as &dyn Device, |file| file);
                staged.size_bytes = growth::grow_private(&volume, same, &path, size_bytes, self.resize2fs())?;
            }
            if let Some(uuid) = request.uuid {
                growth::set_uuid(&volume, &path, uuid)?;
            }
            volume.flush(&path)?;
        }
        Ok(staged)
    }

    fn stage_built(
        &self,
        directory: &Path,
        derivation: &Derivation,
        request: &DiskRequest<'_>,
    ) -> Result<StagedDisk, Error> {
        let template = &request.template.record;
        let image = template.image.as_ref().ok_or(Error::NotBuilt { id: template.id })?;
        let mut derivation = derivation.clone();
        if let Some(size_bytes) = request.size_bytes {
            derivation.size = DiskSize::Bytes(size_bytes);
        }
        let path = directory.join(DiskFormat::Raw.file());
        let sharing = match request.strategy {
            Some(Strategy::Copy) => Sharing::Refused,
            _ => Sharing::Wanted,
        };
        let emitted = self.emit(&derivation, image, &path, sharing, &Quiet)?;
        if request.strategy == Some(Strategy::Reflink) && !emitted.shares {
            return Err(Error::NoReflink { path });
        }
        if let Some(uuid) = request.uuid {
            growth::set_uuid(&Volume::Raw(emitted.file.into()), &path, uuid)?;
        }
        Ok(StagedDisk {
            format: DiskFormat::Raw,
            strategy: if emitted.shares { Strategy::Reflink } else { Strategy::Copy },
            size_bytes: emitted.size_bytes,
            ownership: None,
            built_from: Some(derivation),
            _packs: emitted.packs,
        })
    }
}

/// Whether a disk built from packs is what was asked for: an overlay is not.
fn may_be_built(request: &DiskRequest<'_>) -> bool {
    !matches!(request.strategy, Some(Strategy::Qcow2 | Strategy::Hardlink))
}
