use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header, PaxExtensions};

use crate::Malformed;

const BLOCK: u64 = 512;
/// More than any name or number needs: longer extensions are not read into memory.
const MAX_EXTENSION: u64 = 1 << 20;

/// Why a tar has no index.
pub(crate) enum ArchiveError {
    Read(io::Error),
    Malformed(Malformed),
}

/// What a tar has to say of one of its members.
pub(crate) struct ArchiveEntry {
    /// As it is written there.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ArchiveEntryKind,
}

/// The kinds of members that archives of images are made of.
pub(crate) enum ArchiveEntryKind {
    /// Where a regular file's bytes lie.
    File { offset: u64, size: u64 },
    /// What a hard link leads to, from the archive's top.
    HardLink(Vec<u8>),
    /// What a symbolic link leads to, from its own directory.
    Symlink(Vec<u8>),
    /// Directories, devices and the like.
    Other,
}

/// What PAX and GNU extensions say about the next entry.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads all headers of a tar, and none of its files, and gives each member to `visit`.
pub(crate) fn visit(
    file: &File,
    mut visit: impl FnMut(ArchiveEntry) -> Result<(), Malformed>,
) -> Result<(), ArchiveError> {
    let archive_size = file.metadata().map_err(ArchiveError::Read)?.len();
    let truncated = || ArchiveError::Malformed(Malformed::Truncated { size: archive_size });
    let mut extensions = Extensions::default();
    let mut offset = 0;
    // A tar ends with two blocks of zeros, or where the file does.
    while offset < archive_size {
        let mut block = [0; BLOCK as usize];
        if archive_size - offset < BLOCK {
            return Err(truncated());
        }
        file.read_exact_at(&mut block, offset).map_err(ArchiveError::Read)?;
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        let header = Header::from_byte_slice(&block);
        let invalid = || ArchiveError::Malformed(Malformed::TarHeader { offset });
        if !checksum_fits(header) {
            return Err(invalid());
        }
        let kind = header.entry_type();
        let own_size = header.entry_size().map_err(|_| invalid())?;
        let is_extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        let size = if is_extension { own_size } else { extensions.size.unwrap_or(own_size) };
        let data = offset + BLOCK;
        let end = data.checked_add(size).ok_or_else(invalid)?;
        if end > archive_size {
            return Err(truncated());
        }
        if !is_extension {
            let entry = std::mem::take(&mut extensions).entry(header, kind, data, size);
            visit(entry).map_err(ArchiveError::Malformed)?;
        } else if !kind.is_pax_global_extensions() {
            let bytes = read_extension(file, data, size)?;
            let bad = || ArchiveError::Malformed(Malformed::TarExtension { offset });
            extensions.take(kind, &bytes).ok_or_else(bad)?;
        }
        offset = end.checked_next_multiple_of(BLOCK).ok_or_else(invalid)?;
    }
    Ok(())
}

impl Extensions {
    /// Takes an extension's records; `None` if they are not records.
    fn take(&mut self, kind: EntryType, bytes: &[u8]) -> Option<()> {
        let text = || Some(bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_owned());
        if kind.is_gnu_longname() {
            self.path = text();
            return Some(());
        }
        if kind.is_gnu_longlink() {
            self.link = text();
            return Some(());
        }
        for record in PaxExtensions::new(bytes) {
            let record = record.ok()?;
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_owned()),
                b"linkpath" => self.link = Some(record.value_bytes().to_owned()),
                b"size" => self.size = Some(record.value().ok()?.parse().ok()?),
                _ => {}
            }
        }
        Some(())
    }

    /// The member that a header and the extensions before it describe.
    fn entry(self, header: &Header, kind: EntryType, offset: u64, size: u64) -> ArchiveEntry {
        let link = || {
            self.link
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default()
        };
        let kind = if kind.is_file() || kind.is_contiguous() {
            ArchiveEntryKind::File { offset, size }
        } else if kind.is_hard_link() {
            ArchiveEntryKind::HardLink(link())
        } else if kind.is_symlink() {
            ArchiveEntryKind::Symlink(link())
        } else {
            ArchiveEntryKind::Other
        };
        ArchiveEntry { path: self.path.unwrap_or_else(|| header.path_bytes().into_owned()), kind }
    }
}

/// The sum of all bytes, its own field taken as blanks.
fn checksum_fits(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum = |part: &[u8]| part.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let actual = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    header.cksum().is_ok_and(|expected| expected == actual)
}

fn read_extension(file: &File, offset: u64, size: u64) -> Result<Vec<u8>, ArchiveError> {
    if size > MAX_EXTENSION {
        return Err(ArchiveError::Malformed(Malformed::TarExtension { offset: offset - BLOCK }));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    file.read_exact_at(&mut bytes, offset).map_err(ArchiveError::Read)?;
    Ok(bytes)
}
