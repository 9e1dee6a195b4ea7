//! What a machine wrote to its disk, and when it had that flushed: states that a power cut could have left.
//!
//! QEMU's `blklogwrites` keeps such a log, in the form of the kernel's `dm-log-writes`.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const SECTOR: u64 = 512;
/// What a disk writes at once, or not at all.
const ATOM: usize = 4096;

/// A request of the machine's.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where in the log its data is.
    data: u64,
    /// Where it goes on the disk, and how much it is, in bytes.
    offset: u64,
    length: u64,
    flags: u64,
}

/// The log of a disk that begins as `base`.
#[derive(Debug)]
pub struct WriteLog {
    log: PathBuf,
    base: PathBuf,
}

impl WriteLog {
    /// A log at `log`, of all that is written to a disk that is now as the raw image `base`, which is not changed.
    pub fn new(base: &Path, log: &Path) -> Self {
        File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        Self { log: log.to_owned(), base: base.to_owned() }
    }

    /// QEMU's arguments for the disk, which is the raw image `disk`, a copy of the base.
    pub fn arguments(&self, disk: &Path) -> Vec<OsString> {
        let node = |name: &str, path: &Path| {
            format!("driver=file,node-name={name},filename={}", path.display().to_string().replace(',', ",,"))
        };
        let logged = "driver=blklogwrites,node-name=disk,file=disk-file,log=log-file,log-sector-size=512";
        ["-blockdev", &node("disk-file", disk), "-blockdev", &node("log-file", &self.log)]
            .into_iter()
            .chain(["-blockdev", logged, "-device", "virtio-blk-pci,drive=disk"])
            .map(OsString::from)
            .collect()
    }

    /// How long the log is: what the machine asks for from now on lies behind.
    pub fn position(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Writes the disk as a power cut at a position of the log could have left it: all that was flushed by then, and of the
    /// rest each part for which `kept` says so.
    pub fn cut(&self, position: u64, disk: &Path, mut kept: impl FnMut() -> bool) {
        let fail = |error| -> ! { panic!("cannot replay {}: {error}", self.log.display()) };
        crate::oracle::run(crate::oracle::command("cp").arg("--sparse=always").arg(&self.base).arg(disk));
        let log = File::open(&self.log).unwrap_or_else(|error| fail(error));
        let disk = File::options().write(true).open(disk).unwrap_or_else(|error| fail(error));
        let entries: Vec<Entry> = self.entries(&log, position);
        let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |last| last + 1);
        for (index, entry) in entries.iter().enumerate() {
            if entry.flags & DISCARD != 0 || entry.length == 0 {
                continue;
            }
            let mut data = vec![0; usize::try_from(entry.length).unwrap_or(0)];
            log.read_exact_at(&mut data, entry.data).unwrap_or_else(|error| fail(error));
            let certain = index < flushed || entry.flags & FUA != 0;
            for (part, at) in data.chunks(ATOM).zip((entry.offset..).step_by(ATOM)) {
                if certain || kept() {
                    disk.write_all_at(part, at).unwrap_or_else(|error| fail(error));
                }
            }
        }
    }

    /// Where there is something to lose: behind each request that writes.
    pub fn positions(&self) -> Vec<u64> {
        self.behind(0)
    }

    /// Those where the last request may be lost: it neither flushed nor was certain itself.
    pub fn losing_positions(&self) -> Vec<u64> {
        self.behind(FLUSH | FUA)
    }

    /// Behind each request that writes and has none of these flags.
    fn behind(&self, flags: u64) -> Vec<u64> {
        let log = File::open(&self.log).unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        let entries = self.entries(&log, u64::MAX);
        let writing = |entry: &&Entry| entry.length > 0 && entry.flags & (DISCARD | flags) == 0;
        entries.iter().filter(writing).map(|entry| entry.data + logged_bytes(entry)).collect()
    }

    /// All requests that are in the log as a whole before that position.
    fn entries(&self, log: &File, position: u64) -> Vec<Entry> {
        let word = |at: u64| {
            let mut bytes = [0; 8];
            log.read_exact_at(&mut bytes, at).ok().map(|()| u64::from_le_bytes(bytes))
        };
        assert_eq!(word(0), Some(MAGIC), "{} is no log of writes", self.log.display());
        let end = position.min(self.position());
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while let (Some(sector), Some(sectors), Some(flags)) = (word(at), word(at + 8), word(at + 16)) {
            let entry = Entry { data: at + SECTOR, offset: sector * SECTOR, length: sectors * SECTOR, flags };
            at = entry.data + logged_bytes(&entry);
            if at > end || (flags, sectors) == (0, 0) {
                break;
            }
            entries.push(entry);
        }
        entries
    }
}

/// How much of the log the data of a request takes.
fn logged_bytes(entry: &Entry) -> u64 {
    if entry.flags & DISCARD != 0 { 0 } else { entry.length }
}
