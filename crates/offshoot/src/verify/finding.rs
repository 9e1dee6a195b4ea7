use std::fmt;
use std::io;
use std::path::PathBuf;

use offshoot_store::Digest;
use serde::Serialize;

use super::check::Item;
use crate::Damage;

/// What is not as it should be, where, and what suffers from it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    pub(super) item: Item,
    /// What it belongs to.
    pub subject: Subject,
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
    /// What was made from the subject or stands on it.
    pub dependants: Vec<Subject>,
}

/// A thing in a store. Named as people name it, or by its file where its record does not say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Subject {
    /// The store itself, or a directory of it.
    Store,
    /// A manifest or config.
    Blob(String),
    /// A layer's pack.
    Layer(String),
    /// An image's record.
    Image(String),
    /// A template's name.
    Name(String),
    /// A file's digest that was kept.
    Digest(String),
    /// A template.
    Template(String),
    /// A clone.
    Clone(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("the store"),
            Self::Blob(name) => write!(f, "blob {name}"),
            Self::Layer(name) => write!(f, "layer {name}"),
            Self::Image(name) => write!(f, "image {name}"),
            Self::Name(name) => write!(f, "name {name}"),
            Self::Digest(name) => write!(f, "kept digest {name}"),
            Self::Template(name) => write!(f, "template {name}"),
            Self::Clone(name) => write!(f, "clone {name}"),
        }
    }
}

/// What can be wrong with a file of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It should be there.
    #[error("it is missing")]
    Missing,
    /// Nothing of a store has such a name.
    #[error("nothing in a store has that name")]
    Stray,
    /// Something else than the file or directory that should be there.
    #[error("it is {found}, and should be {expected}")]
    Kind {
        /// What it is: `a symbolic link` and the like.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Somebody else's.
    #[error("it belongs to user {owner}, and should belong to {expected}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// More or less than should be is permitted.
    #[error("its mode is {mode:04o}, and should be {expected:04o}")]
    Mode {
        /// What it has.
        mode: u32,
        /// What it should have.
        expected: u32,
    },
    /// A record that cannot be read as what was written.
    #[error("{0}")]
    Record(String),
    /// A record that speaks of something else than its place.
    #[error("its record is about {says}")]
    Misplaced {
        /// What the record is about.
        says: String,
    },
    /// A record that contradicts itself.
    #[error("its record cannot be right: {0}")]
    Contradiction(&'static str),
    /// What something needs is not there.
    #[error("the {what} is missing")]
    Dangling {
        /// What it needs.
        what: Subject,
    },
    /// Another size than its record says.
    #[error("it has {actual_bytes} bytes, and should have {recorded_bytes}")]
    Size {
        /// What it has.
        actual_bytes: u64,
        /// What its record says.
        recorded_bytes: u64,
    },
    /// Bytes that are not what they were.
    #[error("the {bytes} bytes from {offset} on have changed{}", of_file(path.as_deref()))]
    Changed {
        /// Where the bytes start.
        offset: u64,
        /// How many are checked as a whole.
        bytes: u64,
        /// The file inside the image that they belong to, where that is known.
        path: Option<String>,
    },
    /// Bytes where nothing was ever written.
    #[error("there is something at byte {offset}, where nothing was ever written")]
    NotZero {
        /// The first such byte.
        offset: u64,
    },
    /// Bytes of another digest.
    #[error("its digest is {actual}, and should be {expected}")]
    Digest {
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A pack that cannot be understood.
    #[error("{0}")]
    Pack(String),
    /// No filesystem that can be used.
    #[error("{0}")]
    Filesystem(offshoot_ext4::InspectError),
    /// A clone's disk that a VM cannot start with.
    #[error("{0}")]
    Clone(Damage),
    /// An overlay of a kind that a VMM may know, and this library does not.
    #[error("it cannot be looked at: {0}")]
    Unsupported(offshoot_qcow2::Unsupported),
    /// It cannot be read, so nothing is known of it.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Problem {
    /// A word for programs, the same for ever.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stray => "stray",
            Self::Kind { .. } => "kind",
            Self::Owner { .. } => "owner",
            Self::Mode { .. } => "mode",
            Self::Record(_) => "record",
            Self::Misplaced { .. } => "misplaced",
            Self::Contradiction(_) => "contradiction",
            Self::Dangling { .. } => "dangling",
            Self::Size { .. } => "size",
            Self::Changed { .. } => "changed",
            Self::NotZero { .. } => "not_zero",
            Self::Digest { .. } => "digest",
            Self::Pack(_) => "pack",
            Self::Filesystem(_) => "filesystem",
            Self::Clone(_) => "clone",
            Self::Unsupported(_) => "unsupported",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

fn of_file(path: Option<&str>) -> String {
    path.map(|path| format!(", of {path}")).unwrap_or_default()
}

impl Finding {
    /// Whether what should be there is missing or something else altogether, so that nothing below it is the store's.
    pub(super) fn is_not_there(&self) -> bool {
        matches!(self.problem, Problem::Missing | Problem::Kind { .. } | Problem::Owner { .. })
    }

    /// Whether the thing is damaged itself, not only what it needs.
    pub(super) fn is_damage(&self) -> bool {
        !matches!(
            self.problem,
            Problem::Mode { .. }
                | Problem::Owner { .. }
                | Problem::Unreadable(_)
                | Problem::Unsupported(_)
                | Problem::Dangling { .. }
                | Problem::Clone(Damage::NoBacking { .. })
        )
    }

    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        match (&self.problem, &self.subject) {
            (Problem::Mode { .. }, _) => "--repair gives it that mode",
            (Problem::Owner { .. }, _) => "give it back with chown",
            (Problem::Unreadable(_), _) => "look at the disk that the store is on",
            (Problem::Unsupported(_), _) => "look at it with qemu-img info; its VM may know what it is",
            (Problem::Stray, _) => "move it elsewhere; --quarantine moves it aside",
            (_, Subject::Store) => "make it anew, or restore it",
            (Problem::Dangling { .. }, Subject::Image(_)) => {
                "--repair fetches it again from the image's source"
            }
            (_, Subject::Blob(_) | Subject::Layer(_)) => {
                "--repair fetches it again from its image's source; --quarantine moves it aside"
            }
            (_, Subject::Image(_)) => "pull the image again; --quarantine moves the record aside",
            (Problem::Dangling { .. }, Subject::Name(_)) => "name a template again, or remove the name",
            (_, Subject::Name(_)) => "name a template again; --quarantine moves the name aside",
            (_, Subject::Digest(_)) => "--repair forgets it",
            (_, Subject::Template(_)) => {
                "--repair builds it again, if it was built from layers; --quarantine moves it aside"
            }
            (Problem::Clone(Damage::NoBacking { .. }), _) => "it is good again as soon as its template is",
            (Problem::Clone(Damage::NotTheTemplate { .. }), _) => "--repair links it to its template again",
            (_, Subject::Clone(_)) => "clone again with --recreate, or release it",
        }
    }
}

impl fmt::Display for Finding {
    /// One line: what, where, how, and what can be done.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.subject, self.path.display(), self.problem, self.remedy())?;
        if !self.dependants.is_empty() {
            let names: Vec<String> = self.dependants.iter().map(Subject::to_string).collect();
            write!(f, " (needed by {})", names.join(", "))?;
        }
        Ok(())
    }
}
