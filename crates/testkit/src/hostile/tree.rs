use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::listing::{Entry, Kind, Listing};
use crate::sha256;

/// The longest contents that are shown as they are.
const SHOWN: usize = 64;

/// All that is below a directory, a line for each path, in the order of the paths' bytes:
///
/// `KIND PATH [mode=OCTAL] [owner=UID:GID] [mtime=SECONDS.NANOSECONDS] [NAME="VALUE"]… WHAT`
///
/// - `KIND` is one letter, as `ls` has it, with `f` for a file; a further name of an inode is `h`, and nothing but its
///   first name follows: `h b = a`.
/// - What is as usual is left out: mode 0644 (directories 0755, links 0777), owner 0:0, time 0, no attributes.
/// - `WHAT` is `"contents"` or `N bytes DIGEST` of a file, `-> "target"` of a link, `MAJOR:MINOR` of a device.
///
/// The root has a line if it is not as usual, under the name `.`. Bytes that are not printable ASCII are escaped.
pub fn describe(directory: &Path, skipped: &[&str]) -> Vec<String> {
    let listing = Listing::of(directory);
    let lines = listing.entries().iter().filter_map(|(path, entry)| {
        let skip = skipped.iter().any(|skipped| path.strip_prefix(skipped.as_bytes()).is_some_and(is_below));
        if skip {
            return None;
        }
        let line = line(directory, path, entry);
        (line != "d .").then_some(line)
    });
    lines.collect()
}

fn is_below(rest: &[u8]) -> bool {
    rest.is_empty() || rest[0] == b'/'
}

fn line(directory: &Path, path: &[u8], entry: &Entry) -> String {
    let name = if path.is_empty() { ".".to_owned() } else { shown(path) };
    if let Some(first) = entry.same_as.as_deref().filter(|first| *first != path) {
        return format!("h {name} = {}", shown(first));
    }
    let (kind, usual_mode) = match entry.kind {
        Kind::File => ('f', 0o644),
        Kind::Directory => ('d', 0o755),
        Kind::Symlink => ('l', 0o777),
        Kind::CharacterDevice => ('c', 0o644),
        Kind::BlockDevice => ('b', 0o644),
        Kind::Fifo => ('p', 0o644),
        Kind::Socket => ('s', 0o644),
    };
    let mut line = format!("{kind} {name}");
    if entry.mode != usual_mode {
        line += &format!(" mode={:04o}", entry.mode);
    }
    if (entry.uid, entry.gid) != (0, 0) {
        line += &format!(" owner={}:{}", entry.uid, entry.gid);
    }
    if entry.mtime != (0, 0) {
        line += &format!(" mtime={}.{:09}", entry.mtime.0, entry.mtime.1);
    }
    for (name, value) in &entry.xattrs {
        line += &format!(" {}={}", name.escape_ascii(), contents(value));
    }
    match entry.kind {
        Kind::File => {
            let full = directory.join(std::ffi::OsStr::from_bytes(path));
            let size = entry.size.unwrap_or_default();
            line += " ";
            line += &match entry.sha256 {
                Some(digest) if size > SHOWN as u64 => digested(size, &digest.to_string()),
                _ => contents(&std::fs::read(&full).unwrap_or_else(|error| panic!("{full:?}: {error}"))),
            };
        }
        Kind::Symlink => line += &format!(" -> {}", contents(entry.target.as_deref().unwrap_or_default())),
        Kind::CharacterDevice | Kind::BlockDevice => {
            let (major, minor) = entry.device.unwrap_or_default();
            line += &format!(" {major}:{minor}");
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => {}
    }
    line
}

/// Contents as a line has them.
pub(super) fn contents(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN {
        digested(bytes.len() as u64, &sha256(bytes).to_string())
    } else {
        format!("\"{}\"", bytes.escape_ascii())
    }
}

fn digested(size: u64, digest: &str) -> String {
    format!("{size} bytes {}", &digest[..16])
}

/// A path or name as a line has it: blanks are escaped, so that a path ends at one.
pub(super) fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string().replace(' ', "\\x20")
}

/// The path of a line, as bytes that sort as the paths do.
pub(super) fn path_of(line: &str) -> Vec<u8> {
    let path = line.split(' ').nth(1).unwrap_or_default();
    let path = if path == "." { "" } else { path };
    unescape(path)
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
            }
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    bytes
}

/// The lines of the directories that a path lies in.
pub(super) fn directories_above(path: &str) -> Vec<String> {
    let path = path.trim_start_matches('/');
    path.match_indices('/').map(|(at, _)| format!("d {}", shown(&path.as_bytes()[..at]))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn every_path_has_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let d = directory.path();
        fs::set_permissions(d, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(d.join("a b"), b"\n").unwrap();
        fs::write(d.join("large"), [7; 65]).unwrap();
        fs::hard_link(d.join("large"), d.join("second")).unwrap();
        fs::create_dir(d.join("skipped")).unwrap();
        fs::write(d.join("skipped/file"), b"").unwrap();
        symlink("to here", d.join("link")).unwrap();
        fs::set_permissions(d.join("a b"), fs::Permissions::from_mode(0o4711)).unwrap();
        let strip = |line: String| {
            let own = |word: &&str| !word.starts_with("mtime=") && !word.starts_with("owner=");
            line.split(' ').filter(own).collect::<Vec<_>>().join(" ")
        };
        let lines: Vec<String> = describe(d, &["skipped"]).into_iter().map(strip).collect();
        let large = contents(&[7; 65]);
        let expected = [
            "d . mode=0700".to_owned(),
            r#"f a\x20b mode=4711 "\n""#.to_owned(),
            format!("f large {large}"),
            r#"l link -> "to here""#.to_owned(),
            "h second = large".to_owned(),
        ];
        assert_eq!(lines, expected);
        assert!(large.starts_with("65 bytes "));
        assert_eq!(path_of(r"f a\x20b\n x"), b"a b\n");
    }
}
