use std::fs::{File, Metadata as HostMetadata};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

use offshoot_tree::{Metadata, NameError, TreePath, Xattrs};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::Error;
use crate::directory::{self, Entry, EntryKind, FileBody, TarStream, WHITEOUT_PREFIX, Walk};

/// A host file or directory to put into an image: `SRC:DST[:MODE[:UID:GID]]`.
///
/// `MODE` may be empty where an owner follows: `./home:/home/build::1000:1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The host's file or directory; if it is a symbolic link, what that leads to.
    pub source: PathBuf,
    /// The path that the file itself gets, or under which the directory's entries come.
    pub destination: TreePath,
    /// The file's permissions, 12 bits; those it has on the host by default.
    pub mode: Option<u16>,
    /// The user and group that all of it belongs to; root by default.
    pub owner: (u32, u32),
}

/// A text that is not an [`Injection`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{injection:?} is not of the form SRC:DST[:MODE[:UID:GID]]")]
pub struct InjectionError {
    /// The text.
    pub injection: String,
    /// What is wrong with it.
    #[source]
    pub problem: InjectionProblem,
}

/// What an [`InjectionError`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectionProblem {
    /// No colon.
    #[error("DST is missing")]
    NoDestination,
    /// Nothing before the colon.
    #[error("SRC is missing")]
    NoSource,
    /// Not from the image's root.
    #[error("DST {0:?} does not start with a slash")]
    Relative(String),
    /// `/etc/`, which leaves open whether the file is to replace the directory.
    #[error("DST {0:?} ends with a slash; it must be the whole path of what is injected")]
    TrailingSlash(String),
    /// A path that cannot be in an image.
    #[error("DST {0:?} is not a path")]
    Destination(String, #[source] NameError),
    /// Not an octal number of 12 bits.
    #[error("MODE {0:?} is not an octal number up to 7777")]
    Mode(String),
    /// Not a decimal number of 32 bits.
    #[error("{0:?} is not a user's or group's number")]
    Owner(String),
}

/// Why a host file cannot be injected in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectionRefusal {
    /// Only a directory can be the image's root.
    #[error("only a directory can be the image's root")]
    FileAsRoot,
    /// A mode with a directory would not say for which files it is meant.
    #[error("it is a directory, and a mode can only be given for a file")]
    ModeOfDirectory,
    /// A device, pipe or socket.
    #[error("only files and directories can be injected")]
    NeitherFileNorDirectory,
    /// A component of the destination begins with `.wh.`.
    #[error("in a layer, a name that begins with .wh. deletes a file")]
    WhiteoutName,
}

impl Injection {
    fn parse(text: &str) -> Result<Self, InjectionProblem> {
        // From the right: SRC is a host's path, and may have colons.
        let fields: Vec<&str> = text.rsplitn(5, ':').collect();
        let (count, mode, owner) = match fields[..] {
            [gid, uid, mode, destination, _]
                if destination.starts_with('/')
                    && ![gid, uid, mode].iter().any(|field| field.starts_with('/')) =>
            {
                let mode = if mode.is_empty() { None } else { Some(parse_mode(mode)?) };
                (3, mode, (parse_owner(uid)?, parse_owner(gid)?))
            }
            [mode, destination, _, ..] if destination.starts_with('/') && !mode.starts_with('/') => {
                (1, Some(parse_mode(mode)?), (0, 0))
            }
            [_, _, ..] => (0, None, (0, 0)),
            _ => return Err(InjectionProblem::NoDestination),
        };
        let destination = fields[count];
        let tail: usize = fields[..=count].iter().map(|field| field.len() + 1).sum();
        let source = &text[..text.len() - tail];
        if source.is_empty() {
            return Err(InjectionProblem::NoSource);
        }
        if !destination.starts_with('/') {
            return Err(InjectionProblem::Relative(destination.to_owned()));
        }
        if destination.len() > 1 && destination.ends_with('/') {
            return Err(InjectionProblem::TrailingSlash(destination.to_owned()));
        }
        let parsed = TreePath::parse(destination.as_bytes())
            .map_err(|error| InjectionProblem::Destination(destination.to_owned(), error))?;
        Ok(Self { source: source.into(), destination: parsed, mode, owner })
    }

    fn refuse(&self, problem: InjectionRefusal) -> Error {
        Error::Injection { source_path: self.source.clone(), destination: self.destination.clone(), problem }
    }

    /// Whether this can be injected, as far as can be told without opening it.
    fn check(&self, found: &HostMetadata) -> Result<(), Error> {
        let refusal = if self.destination.components().any(|name| name.starts_with(WHITEOUT_PREFIX)) {
            InjectionRefusal::WhiteoutName
        } else if found.is_dir() && self.mode.is_some() {
            InjectionRefusal::ModeOfDirectory
        } else if found.is_file() && self.destination.is_root() {
            InjectionRefusal::FileAsRoot
        } else if !found.is_dir() && !found.is_file() {
            InjectionRefusal::NeitherFileNorDirectory
        } else {
            return Ok(());
        };
        Err(self.refuse(refusal))
    }

    fn entries(&self) -> Result<Box<dyn Iterator<Item = Result<Entry, Error>> + Send>, Error> {
        // Non-blocking, since opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened =
            openat(CWD, &self.source, flags, Mode::empty()).map_err(Error::io("open", &self.source))?;
        let file = File::from(opened);
        let found = file.metadata().map_err(Error::io("read", &self.source))?;
        self.check(&found)?;
        let path = self.destination.as_bytes().to_owned();
        if found.is_dir() {
            let is_empty =
                std::fs::read_dir(&self.source).map_err(Error::io("read", &self.source))?.next().is_none();
            // Attributes of a directory that the image may have already are left alone.
            let with_top = is_empty && !self.destination.is_root();
            return Ok(Box::new(Walk::new(file.into(), self.source.clone(), path, with_top)));
        }
        let mut xattrs = directory::file_xattrs(file.as_fd(), &self.source)?;
        keep_capability(&mut xattrs);
        let status = fstat(&file).map_err(Error::io("read", &self.source))?;
        let mut metadata = directory::metadata(&status, xattrs);
        metadata.mode = self.mode.map_or(metadata.mode, |mode| mode & Metadata::MODE_MASK);
        let kind = EntryKind::File(FileBody::new(file, self.source.clone(), &status)?);
        Ok(Box::new(std::iter::once(Ok(Entry { path, metadata, kind }))))
    }
}

/// Host files as an uncompressed tar stream of a layer, in the order given: a later one wins.
///
/// A file has its destination's path; what a directory holds comes below its destination, with the subdirectories'
/// attributes. The destination itself is an entry only for an empty directory, and its parents never are, so that
/// directories of the image keep their attributes. Everything belongs to the injection's owner; permissions, times, link targets and
/// file capabilities are the host's, other extended attributes are left out. A `MODE` can be given for a file only.
///
/// Fails at once where a source is missing or cannot be injected; see [`directory_tar`](crate::directory_tar) for
/// what makes the stream fail.
pub fn injection_tar(injections: &[Injection]) -> Result<Box<dyn Read + Send>, Error> {
    for injection in injections {
        let found = std::fs::metadata(&injection.source).map_err(Error::io("read", &injection.source))?;
        injection.check(&found)?;
    }
    let injections: Vec<Injection> = injections.to_owned();
    let entries = injections.into_iter().flat_map(|injection| {
        let (entries, error) = match injection.entries() {
            Ok(entries) => (Some(entries), None),
            Err(error) => (None, Some(Err(error))),
        };
        let owner = injection.owner;
        entries.into_iter().flatten().map(move |entry| owned_by(owner, entry)).chain(error)
    });
    Ok(Box::new(TarStream::new(entries)))
}

fn owned_by(owner: (u32, u32), entry: Result<Entry, Error>) -> Result<Entry, Error> {
    entry.map(|mut entry| {
        (entry.metadata.uid, entry.metadata.gid) = owner;
        keep_capability(&mut entry.metadata.xattrs);
        entry
    })
}

/// Labels and access lists name the host's policies and users.
fn keep_capability(xattrs: &mut Xattrs) {
    xattrs.retain(|name, _| name.as_slice() == b"security.capability");
}

fn parse_mode(text: &str) -> Result<u16, InjectionProblem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u16::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= Metadata::MODE_MASK => Ok(mode),
        _ => Err(InjectionProblem::Mode(text.to_owned())),
    }
}

fn parse_owner(text: &str) -> Result<u32, InjectionProblem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| InjectionProblem::Owner(text.to_owned()))
}

impl FromStr for Injection {
    type Err = InjectionError;

    fn from_str(text: &str) -> Result<Self, InjectionError> {
        Self::parse(text).map_err(|problem| InjectionError { injection: text.to_owned(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_destination_and_mode() {
        let problem = |text: &str| text.parse::<Injection>().unwrap_err().problem;
        for (text, source, destination, mode) in [
            ("init:/sbin/init", "init", "/sbin/init", None),
            ("init:/sbin/init:755", "init", "/sbin/init", Some(0o755)),
            ("init:/sbin/init:04755", "init", "/sbin/init", Some(0o4755)),
            ("./a:b:/c", "./a:b", "/c", None),
            ("/a:0644:/c:0600", "/a:0644", "/c", Some(0o600)),
            ("/a:/b:/c", "/a:/b", "/c", None),
            ("tree:/", "tree", "/", None),
            ("x:/a//./b", "x", "/a/b", None),
        ] {
            let injection: Injection = text.parse().unwrap();
            assert_eq!(injection.source, PathBuf::from(source), "{text}");
            assert_eq!((injection.destination.to_string().as_str(), injection.mode), (destination, mode));
        }
        for (text, source, mode, owner) in [
            ("home:/home/b:0700:1000:1001", "home", Some(0o700), (1000, 1001)),
            ("home:/home/b::1000:4294967295", "home", None, (1000, u32::MAX)),
            ("/a:0644:1:2:/home/b:0:0:0", "/a:0644:1:2", Some(0), (0, 0)),
        ] {
            let injection: Injection = text.parse().unwrap();
            assert_eq!(injection.source, PathBuf::from(source), "{text}");
            assert_eq!((injection.mode, injection.owner), (mode, owner), "{text}");
            assert_eq!(injection.destination.to_string(), "/home/b");
        }
        for owner in ["-1", "4294967296", "root", "+1", ""] {
            assert_eq!(problem(&format!("x:/y:755:0:{owner}")), InjectionProblem::Owner(owner.into()));
            assert_eq!(problem(&format!("x:/y:755:{owner}:0")), InjectionProblem::Owner(owner.into()));
        }
        assert_eq!(problem("x"), InjectionProblem::NoDestination);
        assert_eq!(problem(":/x"), InjectionProblem::NoSource);
        assert_eq!(problem("x:"), InjectionProblem::Relative(String::new()));
        assert_eq!(problem("x:etc"), InjectionProblem::Relative("etc".into()));
        assert_eq!(problem("x:/etc/"), InjectionProblem::TrailingSlash("/etc/".into()));
        assert_eq!(problem("x:/a/../b"), InjectionProblem::Destination("/a/../b".into(), NameError::DotDot));
        for mode in ["", "8", "+7", "77777", "10000", "rwx"] {
            assert_eq!(problem(&format!("x:/y:{mode}")), InjectionProblem::Mode(mode.into()));
        }
    }
}
