/// What the three commands make of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What `pull` does.
    pub pull: Verdict,
    /// What `build` does.
    pub build: Verdict,
    /// What `unpack` does.
    pub unpack: Verdict,
}

/// How one command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeds; the root filesystem, where there is one, holds exactly this.
    Made(Tree),
    /// It fails with this exit code, its one line says this among other things, and what it had begun is gone.
    Refused {
        /// The exit code.
        code: i32,
        /// A piece of the message.
        says: String,
    },
    /// Filesystems of hosts differ. If it fails, what it had begun is gone.
    HostDecides,
}

/// A root filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Every path as [`describe`](super::describe) puts it, in the order of the paths' bytes.
    Listed(Vec<String>),
    /// So many names, and so many bytes of files: for what is too deep or too large to be listed.
    Counted {
        /// All names below the root.
        names: u64,
        /// Of all names that are files; hard links count again.
        bytes: u64,
    },
}

/// All three commands refuse it.
pub(super) fn refused(code: i32, says: &str) -> Outcome {
    let verdict = Verdict::Refused { code, says: says.to_owned() };
    Outcome { pull: verdict.clone(), build: verdict.clone(), unpack: verdict }
}

/// Its digest is right, and what it says is not.
pub(super) const INTEGRITY: i32 = 5;
/// It cannot be meant.
pub(super) const USAGE: i32 = 2;
/// What it names is not there.
pub(super) const NOT_FOUND: i32 = 3;
/// It is something that this version does not read.
pub(super) const UNSUPPORTED: i32 = 8;

/// Its layers are sound each by itself, and no filesystem can be made of them.
pub(super) fn unmergeable(says: &str) -> Outcome {
    Outcome { pull: Verdict::Made(Tree::Listed(Vec::new())), ..refused(INTEGRITY, says) }
}

/// It is an image like others.
pub(super) fn made<Line: Into<String>>(lines: impl IntoIterator<Item = Line>) -> Outcome {
    let mut lines: Vec<String> = lines.into_iter().map(Into::into).collect();
    lines.sort_by_key(|line| super::tree::path_of(line));
    all(Tree::Listed(lines))
}

/// The same, where there is too much to list.
pub(super) fn counted(names: u64, bytes: u64) -> Outcome {
    all(Tree::Counted { names, bytes })
}

fn all(tree: Tree) -> Outcome {
    let made = Verdict::Made(tree);
    Outcome { pull: made.clone(), build: made.clone(), unpack: made }
}

impl Outcome {
    /// ext4 cannot hold it.
    pub(super) fn but_build(self, code: i32, says: &str) -> Self {
        Self { build: Verdict::Refused { code, says: says.to_owned() }, ..self }
    }

    /// Some filesystems of hosts hold it, and some do not.
    pub(super) fn where_the_host_can(self) -> Self {
        Self { unpack: Verdict::HostDecides, ..self }
    }

    /// The directory is another than the disk.
    pub(super) fn but_unpacked<Line: Into<String>>(self, lines: impl IntoIterator<Item = Line>) -> Self {
        Self { unpack: made(lines).unpack, ..self }
    }

    /// The verdicts with the commands' names.
    pub fn verdicts(&self) -> [(&'static str, &Verdict); 3] {
        [("pull", &self.pull), ("build", &self.build), ("unpack", &self.unpack)]
    }
}
