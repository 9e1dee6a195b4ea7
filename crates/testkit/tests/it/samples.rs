use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Listing, oracle};

#[test]
fn umoci_unpacks_tiny() {
    if !oracle::root() || !oracle::available(&["umoci"]) || !Sample::Tiny.available() {
        return;
    }
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let bundle = directory.path().join("bundle");
    oracle::run(oracle::command("umoci").args(["unpack", "--image", &Sample::Tiny.reference()]).arg(&bundle));
    let listing = Listing::of(&bundle.join("rootfs"));
    let paths = listing.entries();
    assert!(paths.contains_key(&b"bin/busybox"[..]));
    if std::env::var_os("OFFSHOOT_SAMPLES").is_none() {
        assert!(!paths.contains_key(&b"gone"[..]) && !paths.contains_key(&b"opaque/hidden"[..]));
        assert!(
            paths.contains_key(&b"opaque/new"[..]) && paths.contains_key(&b"becomes-directory/inner"[..])
        );
        assert_eq!(paths[&b"bin/busybox"[..]].links, Some(13));
    }
}
