//! The forms of `--format json`: stable, versioned, independent of how records are kept.

use std::path::Path;

use offshoot::{
    Clone, DirectoryOwnership, ImageIdentity, ImageRecord, Origin, Template, TemplateIdentity, TemplateName,
    TemplateRecord, UnpackSummary, Usage, UsedBytes,
};
use serde::Serialize;

pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
pub(crate) struct List<T> {
    version: u32,
    items: Vec<T>,
}

pub(crate) fn list<T>(items: impl IntoIterator<Item = T>) -> List<T> {
    List { version: VERSION, items: items.into_iter().collect() }
}

#[derive(Serialize)]
pub(crate) struct ImageJson<'a> {
    version: u32,
    reference: &'a str,
    platform: &'a str,
    manifest_digest: String,
    config_digest: String,
    layers: Vec<LayerJson>,
    pulled_at: u64,
}

#[derive(Serialize)]
struct LayerJson {
    diff_id: String,
    blob: Option<String>,
    blob_bytes: Option<u64>,
}

pub(crate) fn image(record: &ImageRecord) -> ImageJson<'_> {
    let layers = record.layers.iter().map(|layer| LayerJson {
        diff_id: layer.diff_id.to_string(),
        blob: layer.blob.map(|blob| blob.to_string()),
        blob_bytes: layer.blob_bytes,
    });
    ImageJson {
        version: VERSION,
        reference: &record.reference,
        platform: &record.platform,
        manifest_digest: record.manifest_digest.to_string(),
        config_digest: record.config_digest.to_string(),
        layers: layers.collect(),
        pulled_at: record.pulled_at,
    }
}

#[derive(Serialize)]
pub(crate) struct TemplateJson<'a> {
    version: u32,
    id: String,
    names: &'a [TemplateName],
    size_bytes: u64,
    origin: OriginJson<'a>,
    image: Option<&'a ImageIdentity>,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Path>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OriginJson<'a> {
    Built,
    Imported,
    Snapshot { vm_id: &'a str, template: &'a TemplateIdentity },
}

pub(crate) fn template<'a>(record: &'a TemplateRecord, names: &'a [TemplateName]) -> TemplateJson<'a> {
    TemplateJson {
        version: VERSION,
        id: record.id.to_string(),
        names,
        size_bytes: record.size_bytes,
        origin: match &record.origin {
            Origin::Built(_) => OriginJson::Built,
            Origin::Imported => OriginJson::Imported,
            Origin::Snapshot { vm_id, template } => OriginJson::Snapshot { vm_id: vm_id.as_str(), template },
        },
        image: record.image.as_ref(),
        created_at: record.created_at,
        path: None,
        output: None,
    }
}

pub(crate) fn built<'a>(built: &'a Template, output: Option<&'a Path>) -> TemplateJson<'a> {
    TemplateJson { path: Some(&built.path), output, ..template(&built.record, built.name.as_slice()) }
}

#[derive(Serialize)]
pub(crate) struct UnpackedJson<'a> {
    version: u32,
    path: &'a Path,
    files: u64,
    directories: u64,
    bytes_shared: u64,
    bytes_copied: u64,
    specials_recorded: u64,
    owners_lost: u64,
    xattrs_refused: u64,
    times_clamped: u64,
}

pub(crate) fn unpacked<'a>(path: &'a Path, summary: &UnpackSummary) -> UnpackedJson<'a> {
    UnpackedJson {
        version: VERSION,
        path,
        files: summary.files,
        directories: summary.directories,
        bytes_shared: summary.bytes_shared,
        bytes_copied: summary.bytes_copied,
        specials_recorded: summary.specials_recorded,
        owners_lost: summary.owners_lost,
        xattrs_refused: summary.xattrs_refused,
        times_clamped: summary.times_clamped,
    }
}

#[derive(Serialize)]
pub(crate) struct CloneJson<'a> {
    version: u32,
    vm_id: &'a str,
    path: &'a Path,
    format: &'a str,
    strategy: String,
    size_bytes: u64,
    read_only: bool,
    ephemeral: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ownership: Option<DirectoryOwnership>,
    /// Whether it goes with the process that made it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    session: bool,
    template: &'a TemplateIdentity,
    image: Option<&'a ImageIdentity>,
}

pub(crate) fn clone(clone: &Clone) -> CloneJson<'_> {
    let record = &clone.record;
    CloneJson {
        version: VERSION,
        vm_id: record.vm_id.as_str(),
        path: &clone.path,
        format: record.format.as_str(),
        strategy: record.strategy.to_string(),
        size_bytes: record.size_bytes,
        read_only: record.read_only,
        ephemeral: record.ephemeral,
        uuid: record.uuid.map(|uuid| uuid.to_string()),
        ownership: record.ownership,
        session: record.session.is_some(),
        template: &record.template,
        image: record.image.as_ref(),
    }
}

#[derive(Serialize)]
pub(crate) struct UsageJson<'a> {
    version: u32,
    parts: Vec<PartJson>,
    total: UsedJson,
    filesystem: FilesystemJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemJson<'a>>>,
}

#[derive(Serialize)]
struct PartJson {
    part: &'static str,
    count: u64,
    #[serde(flatten)]
    used: UsedJson,
}

#[derive(Serialize)]
struct ItemJson<'a> {
    part: &'static str,
    name: &'a str,
    #[serde(flatten)]
    used: UsedJson,
}

#[derive(Serialize)]
struct UsedJson {
    apparent_bytes: u64,
    on_disk_bytes: u64,
    exclusive_bytes: u64,
    shared_bytes: u64,
}

#[derive(Serialize)]
struct FilesystemJson {
    total_bytes: u64,
    free_bytes: u64,
}

fn used(used: &UsedBytes) -> UsedJson {
    UsedJson {
        apparent_bytes: used.apparent,
        on_disk_bytes: used.on_disk,
        exclusive_bytes: used.exclusive,
        shared_bytes: used.shared(),
    }
}

pub(crate) fn usage(usage: &Usage, with_items: bool) -> UsageJson<'_> {
    let parts = usage.parts.iter().map(|part| PartJson {
        part: part.part.as_str(),
        count: part.count,
        used: used(&part.used),
    });
    let items = usage.items.iter().map(|item| ItemJson {
        part: item.part.as_str(),
        name: &item.name,
        used: used(&item.used),
    });
    UsageJson {
        version: VERSION,
        parts: parts.collect(),
        total: used(&usage.total),
        filesystem: FilesystemJson { total_bytes: usage.filesystem_bytes, free_bytes: usage.free_bytes },
        items: with_items.then(|| items.collect()),
    }
}
