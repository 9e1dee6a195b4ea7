//! Who suffers from a damage.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_store::{Area, Each, RecordArea};

use super::{Finding, Subject};
use crate::records::{self, CloneRecord, ImageRecord, NameRecord, TemplateRecord};
use crate::{DiskFormat, Store, Strategy};

impl Store {
    /// Says of each finding what was made from the thing or stands on it, as far as records can be read.
    pub(super) fn name_dependants(&self, findings: &mut [Finding]) {
        if findings.is_empty() {
            return;
        }
        let dependants = self.dependants();
        for finding in findings {
            if let Some(found) = dependants.get(&finding.subject) {
                finding.dependants = found.iter().cloned().collect();
            }
        }
    }

    fn dependants(&self) -> BTreeMap<Subject, BTreeSet<Subject>> {
        let mut map: BTreeMap<Subject, BTreeSet<Subject>> = BTreeMap::new();
        let mut needs = |on: Subject, who: &Subject| {
            map.entry(on).or_default().insert(who.clone());
        };
        for image in readable(self.directory.each_record::<ImageRecord>(RecordArea::Images)) {
            let who = Subject::Image(image.reference.clone());
            for digest in [image.manifest_digest, image.config_digest] {
                needs(Subject::Blob(digest.to_string()), &who);
            }
            for layer in &image.layers {
                needs(Subject::Layer(layer.diff_id.to_string()), &who);
            }
        }
        for name in readable(self.directory.each_record::<NameRecord>(RecordArea::Names)) {
            needs(Subject::Template(name.id.to_string()), &Subject::Name(name.name.to_string()));
        }
        let file = records::TEMPLATE_RECORD;
        for template in
            readable(self.directory.each_entry_record::<TemplateRecord>(Area::Templates, file)).flatten()
        {
            let who = Subject::Template(template.id.to_string());
            for layer in template.derivation().map(|derivation| &derivation.layers).into_iter().flatten() {
                needs(Subject::Layer(layer.to_string()), &who);
            }
        }
        let file = records::CLONE_RECORD;
        for clone in readable(self.directory.each_entry_record::<CloneRecord>(Area::Clones, file)).flatten() {
            // The others have what was in the template when they were made, and need it only to be reset.
            if clone.format == DiskFormat::Qcow2 || clone.strategy == Strategy::Hardlink {
                let who = Subject::Clone(clone.vm_id.to_string());
                needs(Subject::Template(clone.template.id.to_string()), &who);
            }
        }
        map
    }
}

/// Those records that can be read.
fn readable<T>(records: Result<Each<T>, offshoot_store::Error>) -> impl Iterator<Item = T> {
    records.into_iter().flatten().filter_map(|(_, record)| record.ok())
}
