use std::collections::HashMap;
use std::fs::File;

use crate::Malformed;
use crate::archive_entries::{self, ArchiveEntryKind, ArchiveError};

/// The most files and links of an archive that are looked at; an image has three or four a layer.
const MAX_MEMBERS: usize = 65_536;
/// The longest name in bytes that is looked at; real ones have 75.
const MAX_NAME: usize = 1024;
/// The most links on the way to one file.
const MAX_LINKS: usize = 16;

/// Where the files of a tar lie, by their names. These are compared with each other and lead nowhere else.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_name: HashMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    /// Offset and size in bytes.
    File(u64, u64),
    /// The name it leads to; `None` where that is outside of the archive.
    Link(Option<String>),
}

impl Members {
    /// Reads all headers of a tar. Of several members of one name the last counts, as if they were extracted.
    pub(super) fn read(file: &File) -> Result<Self, ArchiveError> {
        let mut by_name = HashMap::new();
        archive_entries::visit(file, |entry| {
            let Some(name) = text(&entry.path).and_then(|path| normal("", path)) else { return Ok(()) };
            let member = match &entry.kind {
                ArchiveEntryKind::File { offset, size } => Member::File(*offset, *size),
                ArchiveEntryKind::HardLink(target) => {
                    Member::Link(text(target).and_then(|path| normal("", path)))
                }
                ArchiveEntryKind::Symlink(target) => {
                    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                    Member::Link(text(target).and_then(|path| normal(directory, path)))
                }
                ArchiveEntryKind::Other => return Ok(()),
            };
            by_name.insert(name, member);
            let count = by_name.len();
            if count > MAX_MEMBERS {
                return Err(Malformed::TooMany { what: "files", count, limit: MAX_MEMBERS });
            }
            Ok(())
        })?;
        Ok(Self { by_name })
    }

    /// Offset and size of what a name leads to, through links; `None` where nothing is there.
    pub(super) fn find(&self, name: &str) -> Result<Option<(u64, u64)>, Malformed> {
        let Some(mut name) = normal("", name) else { return Ok(None) };
        for _ in 0..=MAX_LINKS {
            match self.by_name.get(&name) {
                Some(&Member::File(offset, size)) => return Ok(Some((offset, size))),
                Some(Member::Link(Some(target))) => name.clone_from(target),
                Some(Member::Link(None)) | None => return Ok(None),
            }
        }
        Err(Malformed::Links { name, limit: MAX_LINKS })
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > MAX_NAME {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// A path as seen from a directory of the archive, without `.` and `..`; one with a slash in front is seen from the
/// top. `None` for what is above the top, and for the top itself.
fn normal(directory: &str, path: &str) -> Option<String> {
    let directory = if path.starts_with('/') { "" } else { directory };
    let mut names: Vec<&str> = Vec::new();
    for name in directory.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (directory, path, expected) in [
            ("", "a/layer.tar", Some("a/layer.tar")),
            ("", "./a//b/.", Some("a/b")),
            ("", "/a", Some("a")),
            ("x/y", "../a.tar", Some("x/a.tar")),
            ("x", "/a", Some("a")),
            ("x", "..", None),
            ("x", "../../etc/passwd", None),
            ("x", "../../x/a", None),
            ("", "", None),
            ("", "..", None),
        ] {
            assert_eq!(normal(directory, path).as_deref(), expected, "{directory} {path}");
        }
    }

    #[test]
    fn links_are_followed_so_far() {
        let mut members = Members::default();
        members.by_name.insert("0".to_owned(), Member::File(512, 7));
        for number in 1..=MAX_LINKS + 1 {
            members.by_name.insert(number.to_string(), Member::Link(Some((number - 1).to_string())));
        }
        members.by_name.insert("loop".to_owned(), Member::Link(Some("loop".to_owned())));
        members.by_name.insert("out".to_owned(), Member::Link(None));
        assert_eq!(members.find(&MAX_LINKS.to_string()).unwrap(), Some((512, 7)));
        for name in [(MAX_LINKS + 1).to_string(), "loop".to_owned()] {
            assert!(matches!(members.find(&name), Err(Malformed::Links { .. })), "{name}");
        }
        for name in ["out", "gone", "../0", ""] {
            assert_eq!(members.find(name).unwrap(), None, "{name}");
        }
    }
}
