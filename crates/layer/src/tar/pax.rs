use offshoot_tree::Timestamp;

use crate::TarProblem;
use crate::tar::number;
use crate::tar::sparse::Segment;

/// What a PAX extended header says about the next entry, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Timestamp>,
    /// Names without `SCHILY.xattr.`, in the header's order.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: PaxSparse,
}

/// What GNU tar's `GNU.sparse.*` records say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PaxSparse {
    /// `None` in format 0.0 and, mostly, 0.1.
    pub(crate) version: (Option<u64>, Option<u64>),
    /// The file's name; its header has an invented one.
    pub(crate) name: Option<Vec<u8>>,
    /// The file's size, holes included.
    pub(crate) size: Option<u64>,
    /// Formats 0.0 and 0.1; that of 1.0 stands before the contents.
    pub(crate) map: Option<Vec<Segment>>,
    /// Format 0.0: an offset that waits for its length.
    offset: Option<u64>,
}

impl Pax {
    /// Reads the records `LENGTH KEY=VALUE\n`. Unknown keys are skipped; of equal keys the last counts, and
    /// an empty value leaves what the entry's header says.
    pub(crate) fn parse(mut records: &[u8]) -> Result<Self, TarProblem> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or(TarProblem::Pax)?;
            pax.take(key, value)?;
            records = rest;
        }
        if pax.sparse.offset.is_some() {
            return Err(TarProblem::SparseMap);
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarProblem> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.take(key, value);
        }
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link_path = bytes(),
            b"size" => self.size = natural(value, "size")?,
            b"uid" => self.uid = natural(value, "uid")?,
            b"gid" => self.gid = natural(value, "gid")?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(number::time(value).ok_or(TarProblem::Number("mtime"))?),
            _ => {}
        }
        Ok(())
    }
}

impl PaxSparse {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarProblem> {
        match key {
            b"major" => self.version.0 = natural(value, "sparse version")?,
            b"minor" => self.version.1 = natural(value, "sparse version")?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = natural(value, "real size")?,
            b"offset" => {
                let offset = number::decimal(value).ok_or(TarProblem::SparseMap)?;
                if self.offset.replace(offset).is_some() {
                    return Err(TarProblem::SparseMap);
                }
            }
            b"numbytes" => {
                let offset = self.offset.take().ok_or(TarProblem::SparseMap)?;
                let length = number::decimal(value).ok_or(TarProblem::SparseMap)?;
                self.map.get_or_insert_default().push(Segment { offset, length });
            }
            b"map" => self.map = Some(map(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Format 0.1: `offset,length,offset,length,…`.
fn map(value: &[u8]) -> Result<Vec<Segment>, TarProblem> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments = Vec::new();
    let mut numbers = value.split(|&byte| byte == b',');
    while let Some(offset) = numbers.next() {
        let number = |bytes| number::decimal(bytes).ok_or(TarProblem::SparseMap);
        let length = number(numbers.next().ok_or(TarProblem::SparseMap)?)?;
        segments.push(Segment { offset: number(offset)?, length });
    }
    Ok(segments)
}

fn natural(value: &[u8], what: &'static str) -> Result<Option<u64>, TarProblem> {
    if value.is_empty() {
        return Ok(None);
    }
    number::decimal(value).map(Some).ok_or(TarProblem::Number(what))
}

/// The first record's key and value, and the records behind it.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(number::decimal(records.get(..space)?)?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let body = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = body.split_at_checked(equals)?;
    if key.is_empty() {
        return None;
    }
    Some((key, value.get(1..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KEY=VALUE` records with their lengths, which count themselves.
    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut records = String::new();
        for (key, value) in pairs {
            let rest = format!(" {key}={value}\n");
            let length = (1..).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
            records += &format!("{length}{rest}");
        }
        records.into_bytes()
    }

    #[test]
    fn known_keys() {
        let pax = Pax::parse(&records(&[
            ("path", "a/b"),
            ("path", "last"),
            ("linkpath", "x"),
            ("size", "99"),
            ("uid", "7"),
            ("gid", "888"),
            ("mtime", "-1.5"),
            ("SCHILY.xattr.user.a", "=\n"),
            ("comment", "ignored\nas it is"),
        ]))
        .unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"last"[..]));
        assert_eq!(pax.link_path.as_deref(), Some(&b"x"[..]));
        assert_eq!((pax.size, pax.uid, pax.gid), (Some(99), Some(7), Some(888)));
        assert_eq!(pax.mtime, Some(Timestamp { seconds: -2, nanoseconds: 500_000_000 }));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"=\n".to_vec())]);
        assert_eq!(Pax::parse(b"12 path=a/b\n").unwrap().path.as_deref(), Some(&b"a/b"[..]));
    }

    #[test]
    fn empty_values_mean_the_header() {
        let given = [("path", "x"), ("path", ""), ("size", ""), ("mtime", ""), ("linkpath", "")];
        assert_eq!(Pax::parse(&records(&given)), Ok(Pax::default()));
    }

    #[test]
    fn sparse_formats() {
        let pairs = records(&[
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "5"),
            ("GNU.sparse.offset", "9"),
            ("GNU.sparse.numbytes", "1"),
        ]);
        let map = records(&[("GNU.sparse.map", "0,5,9,1")]);
        let expected = Some(vec![Segment { offset: 0, length: 5 }, Segment { offset: 9, length: 1 }]);
        assert_eq!(Pax::parse(&pairs).unwrap().sparse.map, expected);
        assert_eq!(Pax::parse(&map).unwrap().sparse.map, expected);
    }

    #[test]
    fn malformed_records() {
        for bytes in [
            &b"x"[..],
            b"\0\0\0",
            b"5 a=b",
            b"7 a=b\n",
            b"5 a=b\n",
            b"6 a b\n",
            b"5 =b\n",
            b"1 a=b\n",
            b"0 a=b\n",
            b"-6 a=b\n",
            b"18446744073709551615 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"6 a=b\n6 a=",
        ] {
            assert_eq!(Pax::parse(bytes), Err(TarProblem::Pax), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn malformed_values() {
        for (pairs, problem) in [
            (&[("uid", "x")][..], TarProblem::Number("uid")),
            (&[("gid", "-1")], TarProblem::Number("gid")),
            (&[("size", "-1")], TarProblem::Number("size")),
            (&[("size", "0x1")], TarProblem::Number("size")),
            (&[("mtime", "x")], TarProblem::Number("mtime")),
            (&[("GNU.sparse.numbytes", "5")], TarProblem::SparseMap),
            (&[("GNU.sparse.offset", "0")], TarProblem::SparseMap),
            (&[("GNU.sparse.offset", "0"), ("GNU.sparse.offset", "0")], TarProblem::SparseMap),
            (&[("GNU.sparse.map", "0")], TarProblem::SparseMap),
            (&[("GNU.sparse.map", "0,x")], TarProblem::SparseMap),
            (&[("GNU.sparse.major", "one")], TarProblem::Number("sparse version")),
        ] {
            assert_eq!(Pax::parse(&records(pairs)), Err(problem), "{pairs:?}");
        }
    }
}
