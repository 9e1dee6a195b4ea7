use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use offshoot_ext4::GrowError;
use offshoot_store::{Durability, clone_file, copy_holes, same_blocks};
use offshoot_unpack::Ownership;

use crate::disk::Sharing;
use crate::growth;
use crate::progress::Quiet;
use crate::records::TemplateRecord;
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
        let staged = match request.built_from {
            Some(derivation) => self.stage_built(directory, derivation, request)?,
            None => match self.stage_copy(directory, request) {
                // The template has no room for so large a filesystem's descriptors; a new one has.
                Err(Error::Growth { source: GrowError::PastReservation { .. }, .. })
                    if template.derivation().is_some() && may_be_built(request) =>
                {
                    let path = directory.join(DiskFormat::Raw.file());
                    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                    self.stage_larger(directory, template, request)?
                }
                staged => staged?,
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
        let source_path = &request.template.path;
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
        };
        let mut file = None;
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
                file = Some(target);
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
                staged.size_bytes = growth::grow_private(&volume, &path, size_bytes, self.resize2fs())?;
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
            growth::set_uuid(&Volume::Raw(emitted.file), &path, uuid)?;
        }
        Ok(StagedDisk {
            format: DiskFormat::Raw,
            strategy: if emitted.shares { Strategy::Reflink } else { Strategy::Copy },
            size_bytes: emitted.size_bytes,
            ownership: None,
            built_from: Some(derivation),
        })
    }

    fn stage_larger(
        &self,
        directory: &Path,
        template: &TemplateRecord,
        request: &DiskRequest<'_>,
    ) -> Result<StagedDisk, Error> {
        let derivation = template.derivation().ok_or(Error::NotBuilt { id: template.id })?;
        self.stage_built(directory, derivation, request)
    }
}

/// Whether a disk built from packs is what was asked for: an overlay is not.
fn may_be_built(request: &DiskRequest<'_>) -> bool {
    !matches!(request.strategy, Some(Strategy::Qcow2 | Strategy::Hardlink))
}

pub(crate) fn new_file(path: &Path) -> Result<File, Error> {
    File::options().read(true).write(true).create_new(true).open(path).map_err(Error::io("create", path))
}

/// Puts all of one file into another, which is empty: a reflink where that can be and may be, else a copy that keeps
/// holes.
pub(crate) fn copy_file(
    strategy: Option<Strategy>,
    source: &File,
    source_path: &Path,
    target: &File,
    target_path: &Path,
) -> Result<Strategy, Error> {
    if strategy != Some(Strategy::Copy) {
        if clone_file(source, target).map_err(Error::io("clone to", target_path))? {
            compare_samples(source, source_path, target, target_path)?;
            return Ok(Strategy::Reflink);
        }
        if strategy.is_some() {
            return Err(Error::NoReflink { path: source_path.to_owned() });
        }
    }
    copy_holes(source, target).map_err(Error::io("copy to", target_path))?;
    Ok(Strategy::Copy)
}

/// Some filesystems have said yes to a reflink and made less than one: a look at the size, and at the blocks; where the
/// filesystem does not say which those are, at the contents in a few places.
fn compare_samples(
    source: &File,
    source_path: &Path,
    target: &File,
    target_path: &Path,
) -> Result<(), Error> {
    let length = |file: &File, path| {
        file.metadata().map(|metadata| metadata.len()).map_err(Error::io("look at", path))
    };
    let size_bytes = length(source, source_path)?;
    let differs = || Err(Error::BadReflink { path: target_path.to_owned() });
    if length(target, target_path)? != size_bytes {
        return differs();
    }
    // To read contents, the disk must be asked, which takes longer than all else.
    let places = [0, size_bytes / 2, size_bytes.saturating_sub(SAMPLE_BYTES as u64)];
    let same = same_blocks(source, target, &places);
    if let Some(same) = same.map_err(Error::io("look at the extents of", target_path))? {
        return if same { Ok(()) } else { differs() };
    }
    let mut samples = [[0; SAMPLE_BYTES]; 2];
    for offset in places {
        let [expected, found] = &mut samples;
        let count = source.read_at(expected, offset).map_err(Error::io("read", source_path))?;
        let same = target.read_at(found, offset).map_err(Error::io("read", target_path))?;
        if count != same || expected[..count] != found[..count] {
            return differs();
        }
    }
    Ok(())
}

const SAMPLE_BYTES: usize = 4096;
