use std::path::Path;

use offshoot_tree::Timestamp;
use tar::{EntryType, Header};

use super::{Entry, EntryKind};
use crate::Error;

const BLOCK: usize = 512;
/// What the header's numbers hold: 7 and 11 octal digits.
const MAX_ID: u32 = 0o777_7777;
const MAX_SIZE: u64 = 0o777_7777_7777;
const NAME_LEN: usize = 100;

/// Extended headers of one entry: key and value.
#[derive(Default)]
struct Records(Vec<u8>);

/// Appends the headers of an entry, and a sparse file's map; what follows is the file's data, of as many bytes as
/// are returned. `host_path` is for errors.
pub(super) fn write(entry: &Entry, host_path: &Path, out: &mut Vec<u8>) -> Result<u64, Error> {
    let mut header = Header::new_ustar();
    let mut records = Records::default();
    let mut path = entry.path.clone();
    let mut map = Vec::new();
    let (mut size, mut data) = (0, 0);
    let kind = match &entry.kind {
        EntryKind::Directory => {
            path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
            EntryType::Directory
        }
        EntryKind::File(body) => {
            (size, data) = (body.size(), body.size());
            if let Some((encoded, data_size)) = body.sparse() {
                records.push(b"GNU.sparse.major", b"1");
                records.push(b"GNU.sparse.minor", b"0");
                records.push(b"GNU.sparse.name", &path);
                records.push(b"GNU.sparse.realsize", body.size().to_string().as_bytes());
                // What a reader gets that knows nothing of sparse files.
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                path = [b"GNUSparseFile.0/", &name[..name.len().min(NAME_LEN - 16)]].concat();
                (size, data) = (encoded.len() as u64 + data_size, data_size);
                map = encoded;
            }
            EntryType::Regular
        }
        EntryKind::HardLink(target) => {
            set_link(&mut header, &mut records, target);
            EntryType::Link
        }
        EntryKind::Symlink(target) => {
            set_link(&mut header, &mut records, target);
            EntryType::Symlink
        }
        EntryKind::CharDevice(_) => EntryType::Char,
        EntryKind::BlockDevice(_) => EntryType::Block,
        EntryKind::Fifo => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    if let EntryKind::CharDevice(device) | EntryKind::BlockDevice(device) = &entry.kind {
        // Linux's 12 and 20 bits always fit.
        let set = header.set_device_major(device.major).and_then(|()| header.set_device_minor(device.minor));
        set.map_err(Error::io("write the device number of", host_path))?;
    }
    if path.len() > NAME_LEN {
        records.push(b"path", &path);
    }
    if let Some(ustar) = header.as_ustar_mut() {
        fill(&mut ustar.name, &path);
    }
    let metadata = &entry.metadata;
    header.set_mode(u32::from(metadata.mode));
    header.set_uid(records.id(b"uid", metadata.uid));
    header.set_gid(records.id(b"gid", metadata.gid));
    header.set_mtime(records.time(metadata.mtime));
    if size > MAX_SIZE {
        records.push(b"size", size.to_string().as_bytes());
    }
    header.set_size(if size > MAX_SIZE { 0 } else { size });
    for (name, value) in &metadata.xattrs {
        if name.contains(&b'=') {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Error::XattrName { path: host_path.to_owned(), name });
        }
        records.push(&[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    header.set_cksum();
    records.write(out);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&map);
    Ok(data)
}

fn set_link(header: &mut Header, records: &mut Records, target: &[u8]) {
    if target.len() > NAME_LEN {
        records.push(b"linkpath", target);
    }
    if let Some(ustar) = header.as_ustar_mut() {
        fill(&mut ustar.linkname, target);
    }
}

/// As much of the bytes as there is room for.
fn fill(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

impl Records {
    /// One record: its own length in decimal, a blank, key, `=`, value, newline.
    fn push(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        for part in [b" ", key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// What the header says of an id; one that is too large for it goes here.
    fn id(&mut self, key: &[u8], id: u32) -> u64 {
        if id > MAX_ID {
            self.push(key, id.to_string().as_bytes());
            return 0;
        }
        u64::from(id)
    }

    /// What the header says of a time; one that is not a whole second in its range goes here.
    fn time(&mut self, time: Timestamp) -> u64 {
        let whole = u64::try_from(time.seconds).ok().filter(|&seconds| seconds <= MAX_SIZE);
        if whole.is_none() || time.nanoseconds != 0 {
            self.push(b"mtime", decimal(time).as_bytes());
        }
        whole.unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        if let Some(ustar) = header.as_ustar_mut() {
            fill(&mut ustar.name, b"PaxHeaders/entry");
        }
        header.set_mode(0o644);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&self.0);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
}

/// Seconds with their decimals: nanoseconds count forwards, also before 1970.
fn decimal(time: Timestamp) -> String {
    let (seconds, nanoseconds) = (time.seconds, time.nanoseconds);
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    if seconds >= 0 {
        return format!("{seconds}.{nanoseconds:09}");
    }
    format!("-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000_u32.saturating_sub(nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use offshoot_tree::Metadata;

    use super::*;
    use crate::directory::FileBody;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [0, 1, 5, 85, 86, 87, 88, 89, 90, 980, 985, 990, 995, 1000] {
            let mut records = Records::default();
            records.push(b"key", &vec![b'v'; length]);
            let text = String::from_utf8(records.0.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), text.len());
        }
    }

    /// The records and the numbers of the header of a file with such a size and owner.
    fn numbers(size: u64, id: u32) -> (String, [u64; 3]) {
        let file = tempfile::tempfile().unwrap();
        let mut status = rustix::fs::fstat(&file).unwrap();
        status.st_size = i64::try_from(size).unwrap();
        status.st_blocks = status.st_size / 512 + 1;
        let kind = EntryKind::File(FileBody::new(file, PathBuf::new(), &status).unwrap());
        let metadata = Metadata { uid: id, gid: id, ..Metadata::default() };
        let mut out = Vec::new();
        let data = write(&Entry { path: b"f".to_vec(), metadata, kind }, Path::new(""), &mut out).unwrap();
        assert_eq!(data, size);
        let (records, header) = out.split_at(out.len() - BLOCK);
        let header = Header::from_byte_slice(header);
        let own = [header.entry_size(), header.uid(), header.gid()].map(Result::unwrap);
        (String::from_utf8_lossy(records.get(BLOCK..).unwrap_or_default()).replace('\0', ""), own)
    }

    #[test]
    fn numbers_beyond_the_header() {
        assert_eq!(numbers(MAX_SIZE, MAX_ID), (String::new(), [MAX_SIZE, MAX_ID.into(), MAX_ID.into()]));
        let records = "15 uid=2097152\n15 gid=2097152\n19 size=8589934592\n".to_owned();
        assert_eq!(numbers(MAX_SIZE + 1, MAX_ID + 1), (records, [0; 3]));
    }

    #[test]
    fn times_before_and_after_1970() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.500000000"),
            (0, 1, "0.000000001"),
            (-1, 0, "-1"),
            (-1, 500_000_000, "-0.500000000"),
            (-2, 999_999_999, "-1.000000001"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ] {
            assert_eq!(decimal(Timestamp { seconds, nanoseconds }), expected);
        }
    }
}
