use std::collections::BTreeMap;

/// One member of a tar, with every field free: nothing is checked, so that it can be hostile.
///
/// What does not fit the `ustar` header is said in the way of its [`Style`].
#[derive(Clone, Debug)]
pub struct TarEntry {
    /// Its name as it stands in the tar.
    pub path: Vec<u8>,
    /// The type flag: `b'0'` file, `b'1'` hard link, `b'2'` symbolic link, `b'3'` character device, `b'4'`
    /// block device, `b'5'` directory, `b'6'` FIFO, or any other byte.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970, nanoseconds.
    pub mtime: (i64, u32),
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Extended attributes, said as `SCHILY.xattr.` records.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// More PAX records, put after those that the fields need.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
    /// The contents.
    pub contents: Vec<u8>,
    /// The size that the header claims, where it is not that of the contents.
    pub claimed_size: Option<u64>,
    /// How what does not fit is said.
    pub style: Style,
}

/// How a tar says what the `ustar` header has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// PAX extended headers (POSIX.1-2001).
    #[default]
    Pax,
    /// GNU: `././@LongLink` members and numbers in base 256; xattrs still need PAX.
    Gnu,
}

impl TarEntry {
    /// An empty file of mode 0644, owner 0:0 and time 0.
    pub fn new(path: impl AsRef<[u8]>, kind: u8) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: BTreeMap::new(),
            records: Vec::new(),
            contents: Vec::new(),
            claimed_size: None,
            style: Style::Pax,
        }
    }

    /// The bytes of the member: headers before it, its header, its contents, padding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut header = [0; 512];
        let mut records = Vec::new();
        let size = self.claimed_size.unwrap_or(self.contents.len() as u64);
        self.name(b"path", b'L', &self.path, &mut header[..100], &mut records, &mut bytes);
        self.name(b"linkpath", b'K', &self.link, &mut header[157..257], &mut records, &mut bytes);
        octal(&mut header[100..108], u64::from(self.mode & 0o7777));
        self.number(b"uid", self.uid, &mut header[108..116], &mut records);
        self.number(b"gid", self.gid, &mut header[116..124], &mut records);
        self.number(b"size", size, &mut header[124..136], &mut records);
        self.time(&mut header[136..148], &mut records);
        header[156] = self.kind;
        header[257..265].copy_from_slice(if self.style == Style::Gnu {
            b"ustar  \0"
        } else {
            b"ustar\x0000"
        });
        octal(&mut header[329..337], u64::from(self.device.0));
        octal(&mut header[337..345], u64::from(self.device.1));
        for (name, value) in &self.xattrs {
            records.push(([b"SCHILY.xattr.".as_slice(), name].concat(), value.clone()));
        }
        records.extend(self.records.iter().cloned());
        if !records.is_empty() {
            bytes.extend(extension(b'x', b"PaxHeaders/entry", &pax(&records)));
        }
        checksum(&mut header);
        bytes.extend(header);
        bytes.extend(&self.contents);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn name(
        &self,
        key: &[u8],
        long: u8,
        value: &[u8],
        field: &mut [u8],
        records: &mut Vec<(Vec<u8>, Vec<u8>)>,
        before: &mut Vec<u8>,
    ) {
        let fits = value.len().min(field.len());
        field[..fits].copy_from_slice(&value[..fits]);
        // Plain ustar names are ASCII; anything else is said in a record, where bytes are bytes.
        if self.style == Style::Gnu && value.len() > field.len() {
            before.extend(extension(long, b"././@LongLink", &[value, b"\0"].concat()));
        } else if self.style == Style::Pax && (value.len() > field.len() || !value.is_ascii()) {
            records.push((key.to_owned(), value.to_owned()));
        }
    }

    fn number(&self, key: &[u8], value: u64, field: &mut [u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let digits = u32::try_from(field.len() - 1).unwrap_or(0);
        if value < 8_u64.pow(digits) {
            octal(field, value);
        } else if self.style == Style::Gnu {
            base256(field, i128::from(value));
        } else {
            records.push((key.to_owned(), value.to_string().into_bytes()));
        }
    }

    fn time(&self, field: &mut [u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let (seconds, nanoseconds) = self.mtime;
        match u64::try_from(seconds) {
            Ok(seconds) if seconds < 8_u64.pow(11) => octal(field, seconds),
            _ if self.style == Style::Gnu => base256(field, i128::from(seconds)),
            _ => octal(field, 0),
        }
        if nanoseconds != 0 || (self.style == Style::Pax && !(0..1 << 33).contains(&seconds)) {
            // The fraction counts away from zero with the sign of the whole: -0.25 s is (-1 s, 750 ms).
            let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
            let (sign, total) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
            let text = format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000);
            records.push((b"mtime".to_vec(), text.into_bytes()));
        }
    }
}

/// Puts the right checksum into a header block.
pub fn checksum(header: &mut [u8; 512]) {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// A member that says something about the next one: a PAX header, a long name.
pub(crate) fn extension(kind: u8, name: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    octal(&mut header[100..108], 0o644);
    octal(&mut header[108..116], 0);
    octal(&mut header[116..124], 0);
    octal(&mut header[124..136], contents.len() as u64);
    octal(&mut header[136..148], 0);
    header[156] = kind;
    header[257..265].copy_from_slice(if kind.is_ascii_uppercase() { b"ustar  \0" } else { b"ustar\x0000" });
    checksum(&mut header);
    let mut bytes = [&header[..], contents].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// PAX records: each begins with its own length, digits included.
pub(super) fn pax(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        // `rest` counts a blank, an equals sign and a newline.
        bytes.extend(length.to_string().bytes().chain([b' ']));
        bytes.extend(key.iter().chain(b"=").chain(value).chain(b"\n"));
    }
    bytes
}

/// Octal digits and a final NUL; what has more digits than there is room for is in base 256, as GNU tar has it.
pub(super) fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}\0");
    if digits.len() == field.len() {
        field.copy_from_slice(digits.as_bytes());
    } else {
        base256(field, i128::from(value));
    }
}

fn base256(field: &mut [u8], value: i128) {
    let bytes = value.to_be_bytes();
    let length = field.len();
    field.copy_from_slice(&bytes[bytes.len() - length..]);
    field[0] |= 0x80;
}
