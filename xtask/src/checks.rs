use std::time::Instant;

use crate::run::{self, Failure, cargo};

/// Formatting, clippy and rustdoc, with warnings denied.
pub(crate) fn run() -> Result<(), Failure> {
    let checks: [(&str, &[&str]); 4] = [
        ("fmt", &["fmt", "--all", "--check"]),
        // To compile it takes minutes; what its files may hold, a test of offshoot-fuzzing says.
        ("fmt of fuzz", &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
        ("clippy", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-Dwarnings"]),
        ("doc", &["doc", "--locked", "--workspace", "--no-deps"]),
    ];
    for (name, arguments) in checks {
        let start = Instant::now();
        run::run(cargo(arguments).env("RUSTDOCFLAGS", "-Dwarnings"))?;
        eprintln!("xtask: {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
