use std::path::Path;

use offshoot_testkit::oracle;

use crate::run::{Failure, run};

/// The programs that the tests and the bench drive, and the Debian packages that they are in.
const ORACLES: [(&str, &str); 21] = [
    ("apt-get", "apt"),
    ("attr", "attr"),
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("e2fsck", "e2fsprogs"),
    ("file", "file"),
    ("getfacl", "acl"),
    ("igzip", "isal"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("skopeo", "skopeo"),
    ("strace", "strace"),
    ("time", "time"),
    ("umoci", "umoci"),
    ("zstd", "zstd"),
];

/// Installs the packages of the programs that are missing, or says why it does not.
pub(crate) fn install() -> Result<(), Failure> {
    let missing: Vec<_> = ORACLES.iter().filter(|(program, _)| oracle::find(program).is_none()).collect();
    if missing.is_empty() {
        eprintln!("xtask: every oracle is installed");
        return Ok(());
    }
    let programs = missing.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let why = if !Path::new("/etc/debian_version").exists() || oracle::find("apt-get").is_none() {
        Some("this is no Debian-family machine")
    } else if !rustix::process::geteuid().is_root() {
        Some("only root may install packages")
    } else {
        None
    };
    if let Some(why) = why {
        eprintln!(
            "xtask: not installed: {programs} ({why}); the tests that need them are skipped and say so"
        );
        return Ok(());
    }
    eprintln!("xtask: installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = oracle::command("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(command.stdout(std::process::Stdio::null()))
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages.as_slice()].concat())
}
