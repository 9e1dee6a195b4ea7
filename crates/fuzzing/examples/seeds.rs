//! Writes the seeds of every fuzz target to a directory, one below it for each: `seeds DIRECTORY`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use offshoot_fuzzing::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::args_os().nth(1).ok_or("seeds DIRECTORY")?);
    for target in TARGETS {
        let directory = root.join(target.name);
        fs::create_dir_all(&directory)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(directory.join(format!("{number:03}")), seed)?;
        }
    }
    Ok(())
}
