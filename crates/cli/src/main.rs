//! The `offshoot` program: parse, call the library, render.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod creds;
mod demo;
mod duration;
mod examples;
mod exit;
mod progress;
mod render;
mod session;
mod size;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let arguments = arguments::Arguments::parse();
    match command::run(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
