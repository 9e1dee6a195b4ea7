use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use offshoot_layer::PackData;
use offshoot_store::{Digest, Durability, Lease, remove_tree};
use offshoot_unpack::{Ownership, Summary};

use super::DiskRequest;
use super::staged_disk::StagedDisk;
use crate::emit::Merged;
use crate::{DiskFormat, Error, Store, Strategy};

impl Store {
    /// Makes a clone's directory in one that nobody sees yet.
    pub(super) fn stage_directory(
        &self,
        staging: &Path,
        request: &DiskRequest<'_>,
    ) -> Result<StagedDisk, Error> {
        let template = &request.template.record;
        let derivation = request.built_from.or(template.derivation());
        let derivation = derivation.ok_or(Error::NotBuilt { id: template.id })?;
        let path = staging.join(DiskFormat::Dir.file());
        let (summary, packs) =
            self.unpack_layers(&derivation.layers, &path, request.durability, &crate::Quiet)?;
        if request.strategy == Some(Strategy::Reflink)
            && summary.bytes_shared == 0
            && summary.bytes_copied > 0
        {
            return Err(Error::NoReflink { path });
        }
        Ok(StagedDisk {
            format: DiskFormat::Dir,
            strategy: if summary.bytes_shared > 0 { Strategy::Reflink } else { Strategy::Copy },
            size_bytes: summary.bytes_shared + summary.bytes_copied,
            ownership: Some(Ownership::for_this_process()),
            built_from: request.built_from.cloned(),
            _packs: packs,
        })
    }

    /// Makes a directory and writes into it what these layers merge to, whose packs stay for as long as what is returned;
    /// what was made goes again if that fails.
    pub(crate) fn unpack_layers(
        &self,
        layers: &[Digest],
        path: &Path,
        durability: Durability,
        progress: &dyn crate::Progress,
    ) -> Result<(Summary, Vec<Lease>), Error> {
        let Merged { tree, packs, leases } = self.merge(layers)?;
        let packs: Vec<File> = packs.into_iter().map(PackData::into_file).collect();
        progress.event(crate::Event::BuildStarted { bytes: offshoot_unpack::content_bytes(&tree) });
        DirBuilder::new().mode(0o700).create(path).map_err(Error::io("create", path))?;
        let wrote = |bytes| progress.event(crate::Event::BuildWrote { bytes });
        let cancelled = || progress.cancelled();
        let options = offshoot_unpack::Options {
            ownership: Ownership::for_this_process(),
            sync: durability == Durability::Durable,
            progress: Some(&wrote),
            cancelled: Some(&cancelled),
        };
        let unpacked = File::open(path).map_err(Error::io("open", path)).and_then(|directory| {
            offshoot_unpack::unpack(&tree, &packs, &directory, &options)
                .map_err(|source| Error::Unpack { path: path.to_owned(), source })
        });
        if unpacked.is_err() {
            // What went wrong first is what is told.
            let _ = remove_tree(path);
        } else {
            progress.event(crate::Event::BuildFinished { reused: false });
        }
        unpacked.map(|summary| (summary, leases))
    }
}
