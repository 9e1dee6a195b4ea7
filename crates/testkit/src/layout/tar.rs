use super::header::{TarEntry, extension, octal, pax};

/// A tar, member by member, in memory.
#[derive(Clone, Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// The ways a tar says that a file has holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseFormat {
    /// The old GNU header, type `S`.
    Gnu,
    /// PAX, GNU's version 0.1: the map is a record.
    Pax01,
    /// PAX, GNU's version 1.0: the map stands before the contents.
    Pax10,
}

impl Tar {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any member.
    pub fn entry(&mut self, entry: &TarEntry) -> &mut Self {
        self.raw(&entry.to_bytes())
    }

    /// Any bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// PAX records for all members that follow.
    pub fn global(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> &mut Self {
        self.raw(&extension(b'g', b"GlobalHead", &pax(records)))
    }

    /// A directory; its owner is 0:0 and its time 0, as of all the members below.
    pub fn directory(&mut self, path: &str, mode: u32) -> &mut Self {
        self.entry(&TarEntry { mode, ..TarEntry::new(format!("{path}/"), b'5') })
    }

    /// A file.
    pub fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> &mut Self {
        self.entry(&TarEntry { mode, contents: contents.to_owned(), ..TarEntry::new(path, b'0') })
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(&TarEntry { mode: 0o777, link: target.into(), ..TarEntry::new(path, b'2') })
    }

    /// A hard link to another path of the image.
    pub fn hard_link(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(&TarEntry { link: target.into(), ..TarEntry::new(path, b'1') })
    }

    /// A character (`b'3'`) or block device (`b'4'`).
    pub fn device(&mut self, path: &str, kind: u8, major: u32, minor: u32) -> &mut Self {
        self.entry(&TarEntry { device: (major, minor), ..TarEntry::new(path, kind) })
    }

    /// A FIFO.
    pub fn fifo(&mut self, path: &str) -> &mut Self {
        self.entry(&TarEntry::new(path, b'6'))
    }

    /// Removes a path of the layers below.
    pub fn whiteout(&mut self, path: &str) -> &mut Self {
        let whiteout = match path.rsplit_once('/') {
            Some((parent, name)) => format!("{parent}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.file(&whiteout, 0o644, b"")
    }

    /// Hides what the layers below have in a directory.
    pub fn opaque(&mut self, directory: &str) -> &mut Self {
        self.file(&format!("{directory}/.wh..wh..opq"), 0o644, b"")
    }

    /// A file of so many bytes, of which only these pieces (offset, bytes; in order) are not holes.
    pub fn sparse(
        &mut self,
        path: &str,
        size: u64,
        pieces: &[(u64, &[u8])],
        format: SparseFormat,
    ) -> &mut Self {
        let data: Vec<u8> = pieces.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let mut map: Vec<(u64, u64)> =
            pieces.iter().map(|(offset, bytes)| (*offset, bytes.len() as u64)).collect();
        if map.last().is_none_or(|(offset, length)| offset + length < size) {
            map.push((size, 0));
        }
        let numbers = |separator: &str| {
            let numbers = map.iter().flat_map(|(offset, length)| [offset.to_string(), length.to_string()]);
            numbers.collect::<Vec<_>>().join(separator)
        };
        let record = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let hidden = format!("GNUSparseFile.0/{}", path.rsplit('/').next().unwrap_or(path));
        match format {
            SparseFormat::Gnu => self.gnu_sparse(path, size, &map, &data),
            SparseFormat::Pax01 => {
                let mut entry = TarEntry::new(hidden, b'0');
                entry.records = vec![
                    record("GNU.sparse.size", &size.to_string()),
                    record("GNU.sparse.numblocks", &map.len().to_string()),
                    record("GNU.sparse.map", &numbers(",")),
                    record("GNU.sparse.name", path),
                ];
                entry.contents = data;
                self.entry(&entry)
            }
            SparseFormat::Pax10 => {
                let mut entry = TarEntry::new(hidden, b'0');
                entry.records = vec![
                    record("GNU.sparse.major", "1"),
                    record("GNU.sparse.minor", "0"),
                    record("GNU.sparse.name", path),
                    record("GNU.sparse.realsize", &size.to_string()),
                ];
                entry.contents = format!("{}\n{}\n", map.len(), numbers("\n")).into_bytes();
                entry.contents.resize(entry.contents.len().next_multiple_of(512), 0);
                entry.contents.extend(data);
                self.entry(&entry)
            }
        }
    }

    /// Four pieces in the header, 21 in each block after it.
    fn gnu_sparse(&mut self, path: &str, size: u64, map: &[(u64, u64)], data: &[u8]) -> &mut Self {
        let mut entry = TarEntry::new(path, b'S');
        entry.style = super::Style::Gnu;
        entry.claimed_size = Some(data.len() as u64);
        let bytes = entry.to_bytes();
        let at = bytes.len() - 512;
        self.raw(&bytes[..at]);
        let mut header = [0; 512];
        header.copy_from_slice(&bytes[at..]);
        header[329..345].fill(0);
        let (first, rest) = map.split_at(map.len().min(4));
        pieces(&mut header[386..482], first);
        header[482] = u8::from(!rest.is_empty());
        octal(&mut header[483..495], size);
        super::checksum(&mut header);
        self.raw(&header);
        let blocks = rest.chunks(21);
        let count = blocks.len();
        for (index, chunk) in blocks.enumerate() {
            let mut block = [0; 512];
            pieces(&mut block[..504], chunk);
            block[504] = u8::from(index + 1 < count);
            self.raw(&block);
        }
        self.raw(data).raw(&vec![0; data.len().next_multiple_of(512) - data.len()])
    }

    /// The whole tar, closed with two empty blocks.
    pub fn finish(&self) -> Vec<u8> {
        [self.bytes.as_slice(), &[0; 1024]].concat()
    }

    /// What there is, without the two empty blocks.
    pub fn unfinished(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

fn pieces(field: &mut [u8], map: &[(u64, u64)]) {
    for (slot, (offset, length)) in field.chunks_exact_mut(24).zip(map) {
        octal(&mut slot[..12], *offset);
        octal(&mut slot[12..], *length);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::layout::Style;
    use crate::{Listing, oracle};

    /// GNU tar unpacks what was built, for it to be looked at.
    fn unpack(tar: &Tar) -> Option<tempfile::TempDir> {
        if !oracle::root() || !oracle::available(&["tar"]) {
            return None;
        }
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), tar.finish()).unwrap();
        oracle::run(
            oracle::command("tar")
                .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"])
                .arg(file.path())
                .arg("-C")
                .arg(directory.path()),
        );
        Some(directory)
    }

    #[test]
    fn gnu_tar_reads_every_field() {
        for style in [Style::Pax, Style::Gnu] {
            let long = "n".repeat(90);
            let path = format!("d/{long}/{long}");
            let mut tar = Tar::new();
            tar.directory("d", 0o750).directory(&format!("d/{long}"), 0o755);
            tar.entry(&TarEntry {
                mode: 0o4711,
                uid: 4_200_000_000,
                gid: 2_097_151,
                mtime: (-2, if style == Style::Pax { 750_000_000 } else { 0 }),
                xattrs: [(b"user.k".to_vec(), b"\0\n=v".to_vec())].into(),
                contents: b"hello".to_vec(),
                style,
                ..TarEntry::new(&path, b'0')
            });
            tar.entry(&TarEntry { link: path.clone().into(), style, ..TarEntry::new("hard", b'1') });
            tar.symlink("soft", "d").fifo("fifo").device("null", b'3', 1, 3);
            let Some(directory) = unpack(&tar) else { return };
            let listing = Listing::of(directory.path());
            let entry = &listing.entries()[path.as_bytes()];
            assert_eq!((entry.mode, entry.uid, entry.gid), (0o4711, 4_200_000_000, 2_097_151));
            assert_eq!(entry.mtime, (-2, if style == Style::Pax { 750_000_000 } else { 0 }), "{style:?}");
            assert_eq!(entry.xattrs[&b"user.k"[..]], b"\0\n=v");
            assert_eq!(entry.same_as.as_deref(), Some(path.as_bytes()));
            assert_eq!(listing.entries()[&b"null"[..]].device, Some((1, 3)));
            assert_eq!(listing.entries().len(), 8);
        }
    }

    #[test]
    fn gnu_tar_reads_every_sparse_format() {
        let blocks: Vec<Vec<u8>> = (1..40).map(|byte| vec![byte; 512]).collect();
        let pieces: Vec<(u64, &[u8])> =
            blocks.iter().zip((4096..).step_by(8192)).map(|(block, at)| (at, block.as_slice())).collect();
        let mut expected = vec![0; 1 << 20];
        for (at, bytes) in &pieces {
            let at = usize::try_from(*at).unwrap();
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        for format in [SparseFormat::Gnu, SparseFormat::Pax01, SparseFormat::Pax10] {
            let mut tar = Tar::new();
            tar.sparse("dir/file", 1 << 20, &pieces, format).file("after", 0o644, b"x");
            let Some(directory) = unpack(&tar) else { return };
            assert!(std::fs::read(directory.path().join("dir/file")).unwrap() == expected, "{format:?}");
            assert_eq!(std::fs::read(directory.path().join("after")).unwrap(), b"x");
        }
    }

    #[test]
    fn names_are_bytes() {
        let mut tar = Tar::new();
        tar.entry(&TarEntry { contents: vec![7; 700], ..TarEntry::new(b"\xff\xfe", b'0') });
        let Some(directory) = unpack(&tar) else { return };
        let path = directory.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
        assert_eq!(std::fs::metadata(path).unwrap().size(), 700);
    }
}
