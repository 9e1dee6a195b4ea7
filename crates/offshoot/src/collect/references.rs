//! Who refers to what: read from all records there are, each time anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use offshoot_store::{Area, Digest, RecordArea, open_own_file, read_own_file};

use super::plan::{KeptReason, Target};
use crate::records::{self, CloneRecord, ImageRecord, NameRecord, TemplateRecord};
use crate::{DiskFormat, Error, Store, TemplateId, VmId};

/// All records that refer to something.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) names: Vec<NameRecord>,
    pub(crate) images: Vec<ImageRecord>,
    pub(crate) templates: BTreeMap<TemplateId, TemplateRecord>,
    pub(crate) clones: Vec<CloneRecord>,
    /// Clones in quarantine: what they stand on stays, so that they can be looked at.
    quarantined: Vec<CloneRecord>,
    /// What overlays in quarantine stand on, whose record cannot be understood.
    quarantined_overlays: BTreeSet<TemplateId>,
    unread: Unread,
    pub(crate) problems: Vec<Error>,
}

/// Of which kinds there are records that cannot be read.
#[derive(Clone, Copy, Debug, Default)]
struct Unread {
    names: bool,
    images: bool,
    templates: bool,
    clones: bool,
}

impl Records {
    pub(crate) fn read(store: &Store) -> Result<Self, Error> {
        let mut all = Self::default();
        let directory = &store.directory;
        // What refers is read before what it refers to: a clone whose template is gone was not read too early.
        for (name, record) in
            directory.each_entry_record::<CloneRecord>(Area::Clones, records::CLONE_RECORD)?
        {
            let path = directory.root().join("clones").join(&name);
            match record.map_err(Error::from).and_then(|record| record.ok_or(Error::NoRecord { path })) {
                Ok(record) => all.clones.push(record),
                Err(error) => (all.unread.clones, _) = (true, all.problems.push(error)),
            }
        }
        for (_, record) in directory.each_record::<NameRecord>(RecordArea::Names)? {
            match record {
                Ok(record) => all.names.push(record),
                Err(error) => (all.unread.names, _) = (true, all.problems.push(error.into())),
            }
        }
        for (_, record) in directory.each_record::<ImageRecord>(RecordArea::Images)? {
            match record {
                Ok(record) => all.images.push(record),
                Err(error) => (all.unread.images, _) = (true, all.problems.push(error.into())),
            }
        }
        let templates =
            directory.each_entry_record::<TemplateRecord>(Area::Templates, records::TEMPLATE_RECORD)?;
        for (name, record) in templates {
            let path = directory.root().join("templates").join(&name);
            match record.map_err(Error::from).and_then(|record| {
                record.filter(|record| record.id.to_string() == name).ok_or(Error::NoRecord { path })
            }) {
                Ok(record) => drop(all.templates.insert(record.id, record)),
                Err(error) => (all.unread.templates, _) = (true, all.problems.push(error)),
            }
        }
        all.read_quarantine(store)?;
        Ok(all)
    }

    fn read_quarantine(&mut self, store: &Store) -> Result<(), Error> {
        for name in store.directory.quarantine_names()? {
            let directory = store.directory.root().join("quarantine").join(name);
            let read = || -> Result<Vec<PathBuf>, Error> {
                match fs::read_dir(&directory) {
                    Ok(found) => found.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>(),
                    // It may go while the list is read, and what is no directory has nothing in it.
                    Err(error) if is_none(&error) => Ok(Vec::new()),
                    Err(error) => Err(error),
                }
                .map_err(Error::io("list", &directory))
            };
            let set_aside =
                read().and_then(|found| found.iter().try_for_each(|path| self.read_set_aside(path)));
            if let Err(error) = set_aside {
                (self.unread.clones, _) = (true, self.problems.push(error));
            }
        }
        Ok(())
    }

    /// What is in quarantine may be damaged in any way: only what cannot be read at all is a problem.
    fn read_set_aside(&mut self, path: &Path) -> Result<(), Error> {
        if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        let record = read_own_file(&path.join(records::CLONE_RECORD))?;
        match record.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(record) => self.quarantined.push(record),
            None => self.quarantined_overlays.extend(overlaid(&path.join(records::OVERLAY))?),
        }
        Ok(())
    }

    /// What is referred to when these clones and templates are gone.
    pub(crate) fn references(
        &self,
        gone_clones: &BTreeSet<VmId>,
        gone_templates: &BTreeSet<TemplateId>,
    ) -> References<'_> {
        let mut references = References {
            records: self,
            named: self.names.iter().map(|name| name.id).collect(),
            cloned: BTreeSet::new(),
            quarantined: self.quarantined_overlays.clone(),
            clone_packs: BTreeSet::new(),
            template_packs: BTreeSet::new(),
        };
        let clones = self.clones.iter().filter(|clone| !gone_clones.contains(&clone.vm_id));
        references.cloned.extend(clones.clone().map(|clone| clone.template.id));
        references.quarantined.extend(self.quarantined.iter().map(|clone| clone.template.id));
        for clone in clones.chain(&self.quarantined) {
            references.clone_packs.extend(clone.built_from.iter().flat_map(|built| &built.layers));
            // To be reset it is written anew.
            if clone.format == DiskFormat::Dir {
                references.clone_packs.extend(self.layers(clone.template.id));
            }
        }
        for id in self.templates.keys().filter(|id| !gone_templates.contains(id)) {
            references.template_packs.extend(self.layers(*id));
        }
        references
    }

    fn layers(&self, id: TemplateId) -> &[Digest] {
        let derivation = self.templates.get(&id).and_then(TemplateRecord::derivation);
        derivation.map_or(&[], |derivation| &derivation.layers)
    }

    /// The clones that stand on a template.
    pub(crate) fn clones_of(&self, id: TemplateId) -> impl Iterator<Item = &CloneRecord> {
        self.clones.iter().filter(move |clone| clone.template.id == id)
    }

    /// An image of which a build would make this template, or made it but for files of the host.
    pub(crate) fn is_of(template: &TemplateRecord, image: &ImageRecord) -> bool {
        template.derivation().is_some_and(|built| {
            let layers = image.layers.iter().map(|layer| layer.diff_id);
            built.writer_version == offshoot_ext4::WRITER_VERSION
                && built.config_digest == image.config_digest
                && built.layers.len() >= image.layers.len()
                && layers.zip(&built.layers).all(|(image, built)| image == *built)
        })
    }
}

/// What is referred to.
#[derive(Debug)]
pub(crate) struct References<'a> {
    records: &'a Records,
    named: BTreeSet<TemplateId>,
    cloned: BTreeSet<TemplateId>,
    quarantined: BTreeSet<TemplateId>,
    clone_packs: BTreeSet<Digest>,
    template_packs: BTreeSet<Digest>,
}

impl References<'_> {
    /// Why something stays, if it does; what can be made again goes where its room is wanted.
    pub(super) fn keep(&self, target: &Target, room_wanted: bool) -> Option<KeptReason> {
        match target {
            Target::Template(id) => self.keep_template(*id, room_wanted),
            Target::Pack(diff_id) => self.keep_pack(*diff_id, room_wanted),
            Target::Blob(digest) => self.keep_blob(*digest),
            Target::Leftover(_) | Target::Session(_) | Target::Digest(_) | Target::Quarantine(_) => None,
        }
    }

    fn keep_template(&self, id: TemplateId, room_wanted: bool) -> Option<KeptReason> {
        let unread = self.records.unread;
        let Some(record) = self.records.templates.get(&id) else { return Some(KeptReason::Unjudged) };
        if self.named.contains(&id) {
            return Some(KeptReason::Named);
        }
        if self.cloned.contains(&id) {
            return Some(KeptReason::Cloned);
        }
        if self.quarantined.contains(&id) {
            return Some(KeptReason::Quarantined);
        }
        if unread.names || unread.clones {
            return Some(KeptReason::Unjudged);
        }
        if room_wanted || record.derivation().is_none() {
            return None;
        }
        if self.records.images.iter().any(|image| Records::is_of(record, image)) {
            return Some(KeptReason::OfAnImage);
        }
        unread.images.then_some(KeptReason::Unjudged)
    }

    fn keep_pack(&self, diff_id: Digest, room_wanted: bool) -> Option<KeptReason> {
        let unread = self.records.unread;
        if self.clone_packs.contains(&diff_id) {
            return Some(KeptReason::Cloned);
        }
        let mut images = self.records.images.iter().flat_map(|image| &image.layers);
        if !room_wanted && images.any(|layer| layer.diff_id == diff_id) {
            return Some(KeptReason::OfAnImage);
        }
        if !room_wanted && self.template_packs.contains(&diff_id) {
            return Some(KeptReason::OfATemplate);
        }
        (unread.images || unread.templates || unread.clones).then_some(KeptReason::Unjudged)
    }

    /// A blob goes only when nothing refers to it.
    fn keep_blob(&self, digest: Digest) -> Option<KeptReason> {
        let of = |image: &ImageRecord| [image.manifest_digest, image.config_digest].contains(&digest);
        if self.records.images.iter().any(of) {
            return Some(KeptReason::OfAnImage);
        }
        self.records.unread.images.then_some(KeptReason::Unjudged)
    }
}

/// The template under an overlay whose record says nothing.
fn overlaid(path: &Path) -> Result<Option<TemplateId>, Error> {
    let file = match open_own_file(path) {
        Err(offshoot_store::Error::Io { source, .. }) if is_none(&source) => return Ok(None),
        opened => opened?,
    };
    let Ok(overlay) = offshoot_qcow2::inspect(&file, path) else { return Ok(None) };
    let template = |backing: &str| backing.strip_prefix("../../templates/")?.split_once('/')?.0.parse().ok();
    Ok(overlay.backing.and_then(|backing| template(&backing.path)))
}

fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
