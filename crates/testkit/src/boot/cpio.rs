use std::collections::BTreeSet;

/// A cpio archive in the `newc` format, as the kernel takes it for its initial root.
#[derive(Debug, Default)]
pub(super) struct Cpio {
    bytes: Vec<u8>,
    made: BTreeSet<String>,
    inodes: u32,
}

impl Cpio {
    pub(super) fn directory(&mut self, path: &str) {
        self.member(path, 0o040_755, b"");
    }

    /// The directories that a path is in, once each.
    pub(super) fn directories(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            if self.made.insert(path[..end].to_owned()) {
                self.directory(&path[..end]);
            }
        }
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.member(path, 0o100_000 | mode, contents);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, b"");
        self.bytes
    }

    fn member(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.inodes += 1;
        // inode, mode, uid, gid, links, mtime, size, device ×2, special device ×2, name with NUL, checksum
        let fields = [
            u64::from(self.inodes),
            u64::from(mode),
            0,
            0,
            1,
            0,
            contents.len() as u64,
            0,
            0,
            0,
            0,
            path.len() as u64 + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes().chain([0]));
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
