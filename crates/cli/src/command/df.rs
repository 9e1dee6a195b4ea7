use offshoot::UsedBytes;

use crate::arguments::{Arguments, Format};
use crate::exit::Error;
use crate::render::table::Table;
use crate::render::{self, json};
use crate::session;
use crate::size::Size;

pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let usage = session::store(arguments)?.usage()?;
    if arguments.format == Format::Json {
        return render::print_json(&json::usage(&usage, arguments.verbose));
    }
    let mut table =
        Table::new(&["PART", "COUNT", "APPARENT", "ON DISK", "EXCLUSIVE", "SHARED"], &[1, 2, 3, 4, 5]);
    for part in &usage.parts {
        row(&mut table, part.part.as_str(), part.count.to_string(), &part.used);
    }
    row(&mut table, "total", String::new(), &usage.total);
    let mut text = table.render();
    let (size, free) = (Size(usage.filesystem_bytes), Size(usage.free_bytes));
    text.push_str(&format!("filesystem: {size}, {free} free\n"));
    if arguments.verbose {
        let headings = ["PART", "NAME", "APPARENT", "ON DISK", "EXCLUSIVE", "SHARED"];
        let mut table = Table::new(&headings, &[2, 3, 4, 5]);
        for item in &usage.items {
            row(&mut table, item.part.as_str(), item.name.clone(), &item.used);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    render::print(&text)
}

fn row(table: &mut Table, part: &str, second: String, used: &UsedBytes) {
    let sizes = [used.apparent, used.on_disk, used.exclusive, used.shared()];
    let [apparent, on_disk, exclusive, shared] = sizes.map(|bytes| Size(bytes).to_string());
    table.row([part.to_owned(), second, apparent, on_disk, exclusive, shared]);
}
