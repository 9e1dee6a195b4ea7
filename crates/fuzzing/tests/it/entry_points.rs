//! `fuzz/` is a workspace of its own that takes minutes to build: here is what it must hold.

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_fuzzing::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn each_target_has_one() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let name = target.name;
        let file = format!("fuzz_targets/{name}.rs");
        let entry = fs::read_to_string(fuzz().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(entry, format!("#![no_main]\n\noffshoot_fuzz::fuzz!({name});\n"));
        let bin = format!(
            "[[bin]]\nname = \"{name}\"\npath = \"{file}\"\ntest = false\ndoc = false\nbench = false\n"
        );
        assert!(manifest.contains(&bin), "fuzz/Cargo.toml lacks\n{bin}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    assert_eq!(fs::read_dir(fuzz().join("fuzz_targets")).unwrap().count(), TARGETS.len());
}

#[test]
fn all_packages_come_from_the_registry_that_all_have() {
    let lock = fs::read_to_string(fuzz().join("Cargo.lock")).unwrap();
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    let other: Vec<_> = sources
        .filter(|line| *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"")
        .collect();
    assert!(other.is_empty(), "{other:?}");
}
