use std::fs::File;
use std::path::Path;

use offshoot_ext4::Plan;
use offshoot_layer::{Pack, PackData};
use offshoot_oci::ImageConfig;
use offshoot_store::{Area, Digest, Lease, Writeback, new_private_file};
use offshoot_tree::{Merge, SourceId, Tree};

use crate::disk::{Disk, Sharing};
use crate::progress::{Event, Progress};
use crate::records::ImageIdentity;
use crate::{Derivation, Error, FilesystemUuid, RangeChecksum, Store};

/// A filesystem that was written out of packs, not yet synced.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) file: File,
    pub(crate) size_bytes: u64,
    pub(crate) checksums: Vec<RangeChecksum>,
    /// Whether the filesystem under it shares blocks with the packs.
    pub(crate) shares: bool,
    /// They stay until what names them is published.
    pub(crate) packs: Vec<Lease>,
}

impl Store {
    /// Writes the disk of a derivation to a file that does not exist yet.
    pub(crate) fn emit(
        &self,
        derivation: &Derivation,
        image: &ImageIdentity,
        path: &Path,
        sharing: Sharing,
        progress: &dyn Progress,
    ) -> Result<Emitted, Error> {
        let id = derivation.template_id()?;
        let Merged { tree, packs, leases } = self.merge(&derivation.layers)?;
        let options = offshoot_ext4::Options {
            uuid: *FilesystemUuid::versioned(id.derive("uuid"), 8).as_bytes(),
            hash_seed: id.derive("hash seed"),
            created_seconds: created_seconds(&image.config),
            label: Default::default(),
            size: derivation.size.into(),
            journal: derivation.journal,
        };
        let failed = |source| Error::Disk { image: image.reference.clone(), source };
        let plan = Plan::new(&tree, &options).map_err(failed)?;
        let summary = plan.summary();
        progress.event(Event::BuildStarted {
            bytes: summary.metadata_bytes + summary.copied_bytes + summary.shared_bytes,
        });

        let file = new_private_file(path).map_err(Error::io("create", path))?;
        let (writeback, wake) = Writeback::new(&file, true);
        let (shares, checksums, written_back) = std::thread::scope(|scope| {
            let file = &file;
            let written_back = scope.spawn(move || Writeback::run(file, &wake));
            let mut disk = Disk::new(file, packs, sharing, writeback, progress);
            let emitted = plan.emit(&mut disk).map_err(failed);
            let shares = disk.shares();
            let checksums = disk.finish();
            let written_back = written_back.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            emitted.map(|()| (shares, checksums, written_back))
        })?;
        written_back.map_err(Error::io("sync", path))?;
        Ok(Emitted { size_bytes: plan.size_bytes(), checksums, file, shares, packs: leases })
    }

    /// The tree of these layers, and their packs.
    pub(crate) fn merge(&self, layers: &[Digest]) -> Result<Merged, Error> {
        let mut merge = Merge::new();
        let mut packs = Vec::with_capacity(layers.len());
        let mut leases = Vec::with_capacity(layers.len());
        for (source, &diff_id) in (0..).map(SourceId).zip(layers) {
            let name = diff_id.into();
            leases.push(self.directory.lease(Area::Layers, &name)?.ok_or(Error::NoPack { diff_id })?);
            let directory = self.directory.entry_path(Area::Layers, &name);
            let pack = Pack::open(&directory).map_err(|source| match source {
                offshoot_layer::Error::Host { .. } => Error::PackUnreadable { diff_id, source },
                source => Error::Pack { diff_id, source },
            })?;
            let (changes, data) = pack.into_parts();
            merge.apply(source, changes).map_err(|source| Error::Merge { diff_id, source })?;
            packs.push(data);
        }
        Ok(Merged { tree: merge.finish(), packs, leases })
    }
}

/// What layers make together.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) tree: Tree,
    /// The packs' data, by [`SourceId`].
    pub(crate) packs: Vec<PackData>,
    /// The packs stay for as long as these.
    pub(crate) leases: Vec<Lease>,
}

/// The filesystem's own times: when the image says it was made, so that they follow from its content; the epoch if it
/// does not say so, or not in a form or range that a superblock has.
fn created_seconds(config: &ImageConfig) -> u32 {
    let created = config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    created.and_then(|created| u32::try_from(created.as_second()).ok()).unwrap_or(0)
}
