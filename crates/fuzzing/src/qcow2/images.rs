use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

use offshoot_qcow2::{Access, Overlay, create};
use offshoot_testkit::oracle;

use super::Place;

/// The backing file's length: not whole clusters.
pub(super) const BACKING_BYTES: usize = 300_032;

/// qemu-img's: cluster size, further options, and what qemu-io is to do.
const THEIRS: [(&str, &str, &[&str]); 6] = [
    ("512", "", &["write -P 1 0 700", "write -z 4096 4096"]),
    ("4k", "", &["write -P 1 0 9000", "discard 0 4096"]),
    ("64k", "compat=1.1,lazy_refcounts=on", &["write -P 1 0 65536", "write -P 2 1000000 5000"]),
    ("64k", "", &["write -c -P 1 0 65536", "write -c -P 2 65536 65536", "write -P 3 900000 3000"]),
    ("1M", "", &["write -P 1 0 65536"]),
    ("64k", "refcount_bits=64", &["write -P 1 0 65536"]),
];

/// An overlay's bytes, and where its tables lie.
pub(super) struct Image {
    bytes: &'static [u8],
    pub(super) cluster_bytes: u64,
}

impl Image {
    /// Writes it to a new file.
    pub(super) fn write(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.bytes.len() as u64).unwrap();
        for (number, chunk) in (0..).zip(self.bytes.chunks(4096)) {
            if chunk != &[0; 4096][..chunk.len()] {
                file.write_all_at(chunk, number * 4096).unwrap();
            }
        }
    }

    pub(super) fn offset(&self, place: &Place) -> u64 {
        // Flags beside the offset, and nothing where there is no table.
        let entry = |at: u64| self.number(at) & 0x00ff_ffff_ffff_fe00;
        match place {
            Place::Header(at) | Place::Anywhere(at) => *at,
            Place::L1(index) => entry(40) + index * 8,
            Place::L2(index) => entry(entry(40)) + index * 8,
            Place::RefcountTable(index) => entry(48) + index * 8,
            Place::Refcounts(index) => entry(entry(48)) + index * 2,
        }
    }

    fn number(&self, at: u64) -> u64 {
        let bytes = usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)?.first_chunk());
        u64::from_be_bytes(*bytes.unwrap_or(&[0; 8]))
    }
}

/// One of nine; an empty file in place of qemu-img's where that is missing.
pub(super) fn image(number: usize) -> Image {
    static MADE: OnceLock<[Vec<u8>; 9]> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        std::array::from_fn(|number| match number {
            0..3 => ours(number),
            _ => theirs(THEIRS[number - 3]),
        })
    });
    let bytes = &made[number];
    let bits = bytes.get(23).copied().unwrap_or(16);
    Image { bytes, cluster_bytes: 1 << bits }
}

/// What qemu-img has to say against an overlay, but for leaked clusters.
pub(super) fn check(path: &Path) -> Result<(), String> {
    if !oracle::available(&["qemu-img"]) {
        return Ok(());
    }
    let mut command = oracle::command("qemu-img");
    let output = oracle::output(command.args(["check", "-f", "qcow2"]).arg(path));
    match output.status.code() {
        Some(0 | 3) => Ok(()),
        _ => Err(oracle::describe(&command, &output)),
    }
}

/// The backing file's bytes: no 512 of them like the next.
pub(super) fn contents() -> &'static [u8] {
    static CONTENTS: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENTS.get_or_init(|| (1..=251).cycle().flat_map(|byte| [byte; 512]).take(BACKING_BYTES).collect())
}

fn ours(number: usize) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (path, backing) = (directory.path().join("overlay"), directory.path().join("backing"));
    fs::write(&backing, contents()).unwrap();
    create(&path, "backing", [BACKING_BYTES as u64, 1 << 30, 8 << 40][number]).unwrap();
    if number > 0 {
        let overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
        for offset in [0, 70_000, 1 << 20, 600 << 20] {
            overlay.write_at(offset, b"written").unwrap();
        }
        overlay.flush().unwrap();
    }
    fs::read(path).unwrap()
}

fn theirs((cluster, options, commands): (&str, &str, &[&str])) -> Vec<u8> {
    if !oracle::available(&["qemu-img", "qemu-io"]) {
        return Vec::new();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("backing"), contents()).unwrap();
    let all = format!("cluster_size={cluster}{}{options}", if options.is_empty() { "" } else { "," });
    let mut make = oracle::command("qemu-img");
    make.current_dir(directory.path()).args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "backing"]);
    oracle::run(make.args(["-o", &all, "overlay", "2M"]));
    let mut write = oracle::command("qemu-io");
    write.current_dir(directory.path()).args(["-f", "qcow2"]);
    for command in commands {
        write.args(["-c", command]);
    }
    oracle::run(write.arg("overlay"));
    fs::read(directory.path().join("overlay")).unwrap()
}
