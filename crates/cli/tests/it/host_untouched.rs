use std::fs;
use std::path::Path;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar, TarEntry};
use offshoot_testkit::{oracle, scratch_directory};

use crate::program::{Store, text};

/// Whatever can change something by its name.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,unlink,unlinkat,rmdir,rename,renameat,renameat2,\
    link,linkat,symlink,symlinkat,mknod,mknodat,chmod,fchmodat,chown,lchown,fchownat,truncate,utimensat,\
    setxattr,lsetxattr,removexattr,lremovexattr,chroot,mount,umount2";

/// Well-formed images that try to reach the host: through links, dots, absolute paths and whiteouts.
fn hostile(victim: &Path) -> Vec<(&'static str, Tar)> {
    let outside = text(victim);
    let mut absolute = Tar::new();
    absolute
        .entry(&TarEntry { contents: b"x".to_vec(), ..TarEntry::new(format!("{outside}/absolute"), b'0') });
    let mut symlink = Tar::new();
    symlink.symlink("link", outside).file("link/through", 0o644, b"x").whiteout("link/precious");
    let mut hard_link = Tar::new();
    hard_link.hard_link("hard", &format!("{outside}/precious")).file("hard", 0o644, b"x");
    let mut dots = Tar::new();
    dots.file(&format!("{}{}/dots", "../".repeat(40), &outside[1..]), 0o644, b"x");
    let mut whiteouts = Tar::new();
    whiteouts.file(".wh...", 0o644, b"").file(".wh..", 0o644, b"").file("d/.wh...", 0o644, b"");
    let mut opaque = Tar::new();
    opaque.symlink("d", outside).file("d/.wh..wh..opq", 0o644, b"");
    let mut metadata = Tar::new();
    metadata.symlink("d", outside).directory("d/.", 0o777);
    vec![
        ("absolute path", absolute),
        ("through a symbolic link", symlink),
        ("hard link", hard_link),
        ("dots", dots),
        ("whiteouts of dots", whiteouts),
        ("opaque link", opaque),
        ("directory over a link", metadata),
    ]
}

#[test]
fn an_image_changes_nothing_outside_the_store() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let directory = scratch_directory();
    let victim = directory.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("precious"), b"precious").unwrap();
    for (index, (case, tar)) in hostile(&victim).into_iter().enumerate() {
        let layout = directory.path().join(format!("layout-{index}"));
        Layout::create(&layout).add("x", &Image::new().layer(Layer::gzip(&tar.finish())));
        let store = Store::at(directory.path().join(format!("store-{index}")));
        let out = directory.path().join(format!("out-{index}"));
        fs::create_dir(&out).unwrap();
        let disk = out.join("disk");
        let trace = directory.path().join("trace");
        let program = store.command(&["build", &format!("oci:{}:x", text(&layout)), "-o", text(&disk)]);
        let mut strace = oracle::command("strace");
        strace.args(["-f", "-qq", "-y", "-s", "4096", "-e", CALLS, "-o"]).arg(&trace);
        strace.arg(program.get_program()).args(program.get_args());
        // It may refuse the image, as long as it says so and does no more.
        let output = oracle::output(&mut strace);
        assert!(
            output.status.code().is_some_and(|code| code < 100),
            "{}",
            oracle::describe(&strace, &output)
        );
        let calls = fs::read_to_string(&trace).unwrap();
        assert!(calls.contains(text(&store.path)), "{case}: strace saw the store");
        for call in calls.lines().filter(|call| changes(call)) {
            let allowed = call.contains(text(&store.path)) || call.contains(text(&out));
            assert!(allowed && !call.contains(text(&victim)), "{case}: {call}");
        }
        let left: Vec<_> = fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["precious"], "{case}");
        assert_eq!(fs::read(victim.join("precious")).unwrap(), b"precious", "{case}");
    }
}

/// An open counts where it may write; a call that failed counts as well.
fn changes(call: &str) -> bool {
    let name = call.split('(').next().unwrap_or_default();
    let opens = name.contains("open");
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
    let result = call.contains('(') && !call.contains("resumed>");
    result && (!opens || (writes && !call.contains("\"/dev/")))
}
