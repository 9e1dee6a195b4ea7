//! Programs of others, asked about some inputs only: a process costs a thousand runs in memory.

use std::path::Path;

use offshoot_testkit::oracle;

use crate::sparse_disk::SparseDisk;

/// Asks about every input, to try one again: any value.
const ALWAYS: &str = "OFFSHOOT_FUZZ_JUDGE";

/// Whether an input is one of the so many that another program is asked about: always the same ones, so that what was
/// found is found again.
///
/// Where there are few inputs, as in this crate's tests, eight times as many are.
pub(crate) fn asked(input: &[u8], one_in: u64) -> bool {
    let one_in = if cfg!(fuzzing) { one_in } else { one_in.div_ceil(8) };
    // FNV-1a.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 20).is_multiple_of(one_in) || std::env::var_os(ALWAYS).is_some()
}

/// What e2fsck has to say against a filesystem; nothing where it is missing.
pub(crate) fn e2fsck(disk: &SparseDisk) -> Result<(), String> {
    if !oracle::available(&["e2fsck"]) {
        return Ok(());
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    disk.save(&image).unwrap();
    run(&["e2fsck", "-fn"], &image)
}

/// What a program has to say against a file.
pub(crate) fn run(words: &[&str], file: &Path) -> Result<(), String> {
    let mut command = oracle::command(words[0]);
    command.args(&words[1..]).arg(file);
    let output = oracle::output(&mut command);
    if output.status.success() { Ok(()) } else { Err(oracle::describe(&command, &output)) }
}
