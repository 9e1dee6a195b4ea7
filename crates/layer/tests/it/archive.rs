//! Archives written byte by byte, and packs made of them.

use std::io::{Cursor, Write};
use std::os::unix::fs::FileExt;

use offshoot_layer::{Error, Pack, Packed, Request, pack};
use offshoot_tree::{BLOCK_SIZE, Change, Content, Leaf};
use tempfile::TempDir;

/// A header under construction; ustar, mode 0644, everything else zero.
#[derive(Clone)]
pub(crate) struct Header([u8; 512]);

impl Header {
    pub(crate) fn new(name: &[u8], typeflag: u8, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.0[..name.len()].copy_from_slice(name);
        header.0[156] = typeflag;
        header.0[257..265].copy_from_slice(b"ustar\x0000");
        header.number(100..108, 0o644).number(124..136, size)
    }

    pub(crate) fn bytes(mut self, start: usize, bytes: &[u8]) -> Self {
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn number(self, field: std::ops::Range<usize>, number: u64) -> Self {
        let digits = format!("{number:0width$o}\0", width = field.len() - 1);
        self.bytes(field.start, digits.as_bytes())
    }

    pub(crate) fn link(self, target: &[u8]) -> Self {
        self.bytes(157, target)
    }

    pub(crate) fn gnu(self) -> Self {
        self.bytes(257, b"ustar  \0")
    }

    /// With its checksum.
    pub(crate) fn finish(self) -> [u8; 512] {
        let summed = self.bytes(148, b"        ");
        let sum: u64 = summed.0.iter().map(|&byte| u64::from(byte)).sum();
        summed.bytes(148, format!("{sum:06o}\0 ").as_bytes()).0
    }
}

/// A tar under construction.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entry(mut self, header: Header, contents: &[u8]) -> Self {
        self.0.extend(header.finish());
        self.raw(contents)
    }

    /// Contents, padded to the next header.
    pub(crate) fn raw(mut self, contents: &[u8]) -> Self {
        self.0.extend(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &[u8], contents: &[u8]) -> Self {
        self.entry(Header::new(name, b'0', contents.len() as u64), contents)
    }

    pub(crate) fn directory(self, name: &[u8]) -> Self {
        self.entry(Header::new(name, b'5', 0), b"")
    }

    /// A PAX header about what comes next.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let records = pax_records(records);
        self.entry(Header::new(b"PaxHeaders/x", b'x', records.len() as u64), &records)
    }

    /// A GNU long name (`L`) or long link (`K`).
    pub(crate) fn long(self, typeflag: u8, name: &[u8]) -> Self {
        let name = [name, b"\0"].concat();
        self.entry(Header::new(b"././@LongLink", typeflag, name.len() as u64).gnu(), &name)
    }

    /// Ends the archive as it should.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn pax_records(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut records = Vec::new();
    for (key, value) in pairs {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let length = (1..).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
        records.extend(length.to_string().into_bytes());
        records.extend(rest);
    }
    records
}

/// A pack with the directory it lives in.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) directory: TempDir,
    pub(crate) packed: Packed,
    pub(crate) pack: Pack,
}

/// Packs a blob without syncing; a pack that comes out is verified.
pub(crate) fn make(blob: &[u8]) -> Result<Made, Error> {
    make_with(blob, &Request { sync: false, ..Request::default() })
}

pub(crate) fn make_with(blob: &[u8], request: &Request<'_>) -> Result<Made, Error> {
    let directory = tempfile::tempdir().unwrap();
    let packed = pack(Box::new(Cursor::new(blob.to_vec())), directory.path(), request)?;
    let pack = Pack::open(directory.path()).unwrap();
    pack.verify().unwrap();
    assert_eq!(packed.entries, pack.changes().len() as u64);
    Ok(Made { directory, packed, pack })
}

/// A file's contents as the pack has them.
pub(crate) fn read(pack: &Pack, content: &Content) -> Vec<u8> {
    let length = usize::try_from(content.size.next_multiple_of(BLOCK_SIZE)).unwrap();
    let mut bytes = vec![0; length];
    for extent in &content.extents {
        let start = usize::try_from(extent.logical_block * BLOCK_SIZE).unwrap();
        let count = usize::try_from(extent.block_count * BLOCK_SIZE).unwrap();
        let room = &mut bytes[start..start + count];
        pack.data().read_exact_at(room, extent.source_block * BLOCK_SIZE).unwrap();
    }
    let size = usize::try_from(content.size).unwrap();
    assert!(bytes[size..].iter().all(|&byte| byte == 0), "the last block is padded with zeros");
    bytes.truncate(size);
    bytes
}

/// The only file of a pack.
pub(crate) fn only_file(made: &Made) -> (&Content, Vec<u8>) {
    let [Change::Leaf { leaf: Leaf::File(content), .. }] = made.pack.changes() else {
        panic!("{:?}", made.pack.changes());
    };
    (content, read(&made.pack, content))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Bytes that neither compress nor repeat, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// An error with its sources, as a program would print it.
pub(crate) fn message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
