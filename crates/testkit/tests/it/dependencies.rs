use std::collections::{BTreeMap, BTreeSet};

use offshoot_testkit::oracle;
use serde_json::Value;

/// Which of our crates each may use, outside its tests. Arrows go down only.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("offshoot-tree", &[]),
    ("offshoot-store", &[]),
    ("offshoot-layer", &["offshoot-store", "offshoot-tree"]),
    ("offshoot-ext4", &["offshoot-tree"]),
    ("offshoot-oci", &["offshoot-store", "offshoot-tree"]),
    ("offshoot-qcow2", &[]),
    ("offshoot-unpack", &["offshoot-store", "offshoot-tree"]),
    (
        "offshoot",
        &[
            "offshoot-ext4",
            "offshoot-layer",
            "offshoot-oci",
            "offshoot-qcow2",
            "offshoot-store",
            "offshoot-tree",
            "offshoot-unpack",
        ],
    ),
    ("offshoot-cli", &["offshoot"]),
    (
        "offshoot-fuzzing",
        &[
            "offshoot-ext4",
            "offshoot-layer",
            "offshoot-oci",
            "offshoot-qcow2",
            "offshoot-store",
            "offshoot-testkit",
            "offshoot-tree",
        ],
    ),
    ("offshoot-testkit", &[]),
    ("xtask", &["offshoot-testkit"]),
];

#[test]
fn arrows_go_down() {
    let mut cargo = oracle::command(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let metadata: Value =
        serde_json::from_str(&oracle::run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")))).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "a crate is new or gone: say here what it may use");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"].as_str() == Some("dev");
            if ours.contains(used) {
                let permitted = allowed[name].contains(&used) || (for_tests && used == "offshoot-testkit");
                let in_tests = for_tests && permits_in_tests(name, used);
                assert!(permitted || in_tests, "{name} must not depend on {used}");
            }
        }
    }
}

/// A crate's tests may use what lies above the same floor, as long as that is not above themselves.
fn permits_in_tests(name: &str, used: &str) -> bool {
    matches!((name, used), ("offshoot-cli", "offshoot-store" | "offshoot-tree"))
}
