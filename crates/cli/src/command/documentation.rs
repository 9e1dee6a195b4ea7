use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap::builder::Resettable;
use clap_mangen::roff::{Roff, roman};

use crate::arguments::Arguments;
use crate::exit::Error;
use crate::render;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    render::print(&script(shell))
}

fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "offshoot", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

pub(super) fn man(directory: Option<&Path>) -> Result<(), Error> {
    let mut program = Arguments::command().name("offshoot").disable_help_subcommand(true);
    program.build();
    let Some(directory) = directory else {
        return render::print(&String::from_utf8_lossy(&page(&program).map_err(Error::Output)?.1));
    };
    std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    for command in program.get_subcommands().chain([&program]) {
        let path = |name: &str| directory.join(name);
        let (name, text) = page(command).map_err(Error::file("write to", directory))?;
        std::fs::write(path(&name), text).map_err(Error::file("write", path(&name)))?;
    }
    Ok(())
}

/// The name of a command's page, and the page. What stands behind the options keeps its lines, which clap_mangen would fill.
fn page(command: &clap::Command) -> io::Result<(String, Vec<u8>)> {
    let notes = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let bare = command.clone().after_help(Resettable::Reset).after_long_help(Resettable::Reset);
    let man = clap_mangen::Man::new(bare);
    let mut text = Vec::new();
    man.render(&mut text)?;
    if let Some(notes) = notes {
        let mut roff = Roff::new();
        roff.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut text)?;
    }
    Ok((man.get_filename(), text))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// The long options of a command, but for what is said for all of them.
    fn options(command: &clap::Command) -> Vec<&str> {
        let own = command.get_arguments().filter(|argument| !argument.is_global_set());
        own.filter_map(clap::Arg::get_long).collect()
    }

    #[test]
    fn there_is_a_page_for_each_command_and_its_notes_keep_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        man(Some(directory.path())).unwrap();
        let page = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let program = page("offshoot.1");
        let (mut with_notes, mut count) = (0, 0);
        for command in Arguments::built().get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            let of_command = page(&format!("offshoot-{name}.1"));
            assert!(program.contains(&format!("offshoot\\-{name}(1)")), "{name}");
            for option in options(command) {
                let option = option.replace('-', "\\-");
                assert!(of_command.contains(&format!("\\-\\-{option}\\fR")), "{name} {option}: {of_command}");
                count += 1;
            }
            if let Some(notes) = command.get_after_help() {
                let (_, kept) = of_command.split_once(".SH NOTES\n.nf\n").unwrap();
                assert_eq!(kept.lines().count(), notes.to_string().lines().count() + 1, "{kept}");
                with_notes += 1;
            }
        }
        assert!(with_notes > 15 && count > 60, "{with_notes}, {count}");
        let (_, kept) = program.split_once(".SH NOTES\n.nf\n").unwrap();
        assert!(kept.contains("\n  7 authentication"), "{kept}");
    }

    #[test]
    fn every_option_is_completed() {
        for shell in clap_complete::Shell::value_variants() {
            let script = script(*shell);
            let before = if *shell == clap_complete::Shell::Fish { "-l " } else { "--" };
            let mut count = 0;
            for option in Arguments::built().get_subcommands().flat_map(options) {
                assert!(script.contains(&format!("{before}{option}")), "{shell}: {option}");
                count += 1;
            }
            assert!(count > 60, "{count}");
        }
    }
}
