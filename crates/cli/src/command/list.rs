use offshoot::{Origin, TemplateName, TemplateRecord};

use crate::arguments::{Arguments, Format};
use crate::exit::Error;
use crate::render::table::Table;
use crate::render::{self, json};
use crate::session;
use crate::size::Size;

pub(super) fn images(arguments: &Arguments) -> Result<(), Error> {
    let images = session::store(arguments)?.images()?;
    if arguments.format == Format::Json {
        return render::print_json(&json::list(images.iter().map(json::image)));
    }
    let mut table = Table::new(&["REFERENCE", "PLATFORM", "LAYERS", "DOWNLOAD", "MANIFEST"], &[2, 3]);
    for image in images {
        let bytes = image.layers.iter().filter_map(|layer| layer.blob_bytes).sum();
        table.row([
            image.reference,
            image.platform,
            image.layers.len().to_string(),
            Size(bytes).to_string(),
            image.manifest_digest.to_string(),
        ]);
    }
    render::print(&table.render())
}

pub(super) fn templates(arguments: &Arguments) -> Result<(), Error> {
    let templates = session::store(arguments)?.templates()?;
    if arguments.format == Format::Json {
        return render::print_json(&json::list(
            templates.iter().map(|(record, names)| json::template(record, names)),
        ));
    }
    let mut table = Table::new(&["NAMES", "SIZE", "FROM", "ID"], &[1]);
    for (record, names) in templates {
        let names: Vec<&str> = names.iter().map(TemplateName::as_str).collect();
        table.row([
            if names.is_empty() { "-".to_owned() } else { names.join(", ") },
            Size(record.size_bytes).to_string(),
            origin(&record),
            record.id.to_string(),
        ]);
    }
    render::print(&table.render())
}

fn origin(record: &TemplateRecord) -> String {
    match (&record.origin, &record.image) {
        (Origin::Snapshot { vm_id, .. }, _) => format!("snapshot of {vm_id}"),
        (Origin::Imported, _) => "import".to_owned(),
        (Origin::Built(_), Some(image)) => image.reference.clone(),
        (Origin::Built(_), None) => "-".to_owned(),
    }
}

pub(super) fn clones(arguments: &Arguments) -> Result<(), Error> {
    let clones = session::store(arguments)?.clones()?;
    if arguments.format == Format::Json {
        return render::print_json(&json::list(clones.iter().map(json::clone)));
    }
    let mut table = Table::new(&["VM", "STRATEGY", "SIZE", "MODE", "IMAGE", "PATH"], &[2]);
    for clone in clones {
        table.row([
            clone.record.vm_id.to_string(),
            clone.record.strategy.to_string(),
            Size(clone.record.size_bytes).to_string(),
            if clone.record.read_only { "ro".to_owned() } else { "rw".to_owned() },
            clone.record.image.map_or_else(|| "-".to_owned(), |image| image.reference),
            clone.path.display().to_string(),
        ]);
    }
    render::print(&table.render())
}
