use std::path::Path;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::Error;
use crate::render;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "offshoot", &mut script);
    render::print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(directory: Option<&Path>) -> Result<(), Error> {
    match directory {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
            clap_mangen::generate_to(command(), directory).map_err(Error::file("write to", directory))
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command()).render(&mut page).map_err(Error::Output)?;
            render::print(&String::from_utf8_lossy(&page))
        }
    }
}

fn command() -> clap::Command {
    Arguments::command().name("offshoot")
}
