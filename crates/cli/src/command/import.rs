use std::path::Path;

use offshoot::TemplateName;

use crate::arguments::{Arguments, Format};
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

pub(super) fn run(arguments: &Arguments, name: &TemplateName, file: &Path) -> Result<(), Error> {
    let store = session::store(arguments)?;
    if !file.is_dir() {
        let template = store.import(name, file)?;
        return match arguments.format {
            Format::Plain => render::print(&format!("{}\n", template.record.id)),
            Format::Json => render::print_json(&json::built(&template, None)),
        };
    }
    let templates = store.import_all(name, file)?;
    match arguments.format {
        Format::Plain => render::print(
            &templates.iter().map(|template| format!("{}\n", template.record.id)).collect::<String>(),
        ),
        Format::Json => {
            render::print_json(&json::list(templates.iter().map(|template| json::built(template, None))))
        }
    }
}
