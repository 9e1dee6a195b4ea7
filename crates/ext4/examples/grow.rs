//! Grows the ext4 filesystem in a file, and says how long the library took: `grow FILE BYTES [--direct]`. Without
//! `--direct` an interruption does no harm.

use std::env;
use std::error::Error;
use std::fs::File;
use std::time::Instant;

use offshoot_ext4::{Grow, finish_grow, inspect};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(size)) = (arguments.next(), arguments.next()) else {
        return Err("usage: grow FILE BYTES [--direct]".into());
    };
    let direct = arguments.next().is_some_and(|argument| argument == "--direct");
    let file = File::options().read(true).write(true).open(path)?;
    let started = Instant::now();
    finish_grow(&file, false)?;
    let plan = Grow::plan(&file, size.parse()?)?;
    if direct {
        plan.apply(&file)?;
    } else {
        plan.apply_journaled(&file, false)?;
    }
    let took = started.elapsed();
    println!("{plan:?}\n{:?}\ntook {took:?}", inspect(&file)?);
    Ok(())
}
