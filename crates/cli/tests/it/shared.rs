use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Locked, target_directory};

use crate::program::Store;

/// A sample's template, built once for all tests of this process. `None` where the sample cannot be had.
pub(crate) fn template(sample: Sample) -> Option<PathBuf> {
    static TEMPLATES: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
    if !sample.available() {
        return None;
    }
    let slot = &TEMPLATES[Sample::ALL.iter().position(|other| *other == sample).unwrap()];
    let build = || store().build(&[&format!("oci:{}", sample.reference())]);
    Some(slot.get_or_init(build).clone())
}

/// The store that it is in. It stays behind, at one known place, and is made anew by the next run: static
/// values are not dropped, and a store of another build of the program proves nothing.
pub(crate) fn store() -> &'static Store {
    static STORE: OnceLock<(Store, Locked)> = OnceLock::new();
    let (store, _) = STORE.get_or_init(|| {
        let directory = target_directory().join("scratch/end-to-end");
        let lock = Locked::new(&directory.with_extension("lock"));
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        (Store::at(directory), lock)
    });
    store
}
