use offshoot_store::Area;

use super::make::Request;
use crate::{Clone, DiskFormat, Error, Store};

impl Store {
    /// Whether the clone that is there is the one that was asked for. Nothing is re-cloned under a VM: what differs is a
    /// conflict that names both sides.
    ///
    /// What was left open (strategy, size) is as it is; a size that was asked for is the one it has now or the one it
    /// was made with.
    pub(super) fn agree(&self, existing: &Clone, request: &Request<'_>) -> Result<(), Error> {
        let record = &existing.record;
        let options = request.options;
        let conflict = |field, existing: String, requested: String| {
            Err(Error::CloneConflict { vm: record.vm_id.clone(), field, existing, requested })
        };
        if record.session.is_some() {
            return conflict("lifetime", "that of a session".to_owned(), "its own".to_owned());
        }
        if record.template.id != request.template.record.id {
            let (existing, requested) = (record.template.id, request.template.record.id);
            return conflict("template", existing.to_string(), requested.to_string());
        }
        if (record.format == DiskFormat::Dir) != options.as_directory {
            let name = |directory| if directory { "a directory" } else { "a disk" }.to_owned();
            return conflict("form", name(!options.as_directory), name(options.as_directory));
        }
        if record.read_only != options.read_only {
            return conflict("read-only flag", record.read_only.to_string(), options.read_only.to_string());
        }
        if record.ephemeral && !options.ephemeral {
            return conflict("durability", "none (ephemeral)".to_owned(), "a durable clone".to_owned());
        }
        if let Some(requested) = options.strategy
            && requested != record.strategy
        {
            return conflict("strategy", record.strategy.to_string(), requested.to_string());
        }
        if let Some(requested) = options.size_bytes
            && ![Some(record.size_bytes), record.requested_bytes, record.growing_to_bytes]
                .contains(&Some(requested))
        {
            let bytes = |bytes: u64| format!("{bytes} bytes");
            return conflict("size", bytes(record.size_bytes), bytes(requested));
        }
        if record.uuid.is_some() != options.fresh_uuid {
            let name = |fresh| if fresh { "its own" } else { "the template's" }.to_owned();
            return conflict("UUID", name(record.uuid.is_some()), name(options.fresh_uuid));
        }
        let injected = |layers: Option<&[_]>| match layers.and_then(<[_]>::last) {
            Some(diff_id) => format!("layer {diff_id}"),
            None => "none".to_owned(),
        };
        let existing_layers = record.built_from.as_ref().map(|derivation| derivation.layers.as_slice());
        // Larger than the template's filesystem can become is also built, but with the template's layers.
        let existing_layers = existing_layers.filter(|&layers| Some(layers) != request.template_layers());
        let requested_layers = request.own.as_ref().map(|derivation| derivation.layers.as_slice());
        if existing_layers != requested_layers {
            return conflict("set of injected files", injected(existing_layers), injected(requested_layers));
        }
        if !options.ephemeral {
            // Whoever published it may not have come to sync it.
            self.directory.sync_area(Area::Clones)?;
        }
        Ok(())
    }
}
