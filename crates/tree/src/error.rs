use crate::TreePath;

/// Why bytes are not a [`Name`](crate::Name) or a [`TreePath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A path component of no bytes where one is needed.
    #[error("the name is empty")]
    Empty,
    /// Linux names are at most 255 bytes (`NAME_MAX`).
    #[error("the name is {0} bytes long, more than 255")]
    TooLong(usize),
    /// `.` cannot be the name of anything.
    #[error("the name is \".\"")]
    Dot,
    /// `..` would climb out of the image.
    #[error("the path has a \"..\" component")]
    DotDot,
    /// A slash within a single name.
    #[error("the name has a slash")]
    Slash,
    /// No filesystem can hold a NUL byte in a name.
    #[error("the name has a NUL byte")]
    Nul,
}

/// A change that cannot be applied to the layers below it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply the layer's entry {path}: {problem}")]
pub struct MergeError {
    /// The entry's path in the layer.
    pub path: TreePath,
    /// What is wrong with it.
    pub problem: MergeProblem,
}

/// What a [`MergeError`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeProblem {
    /// A hard link to a path that no layer has made, or that is made only later.
    #[error("hard link to {0}, which does not exist")]
    LinkTargetMissing(TreePath),
    /// Hard links to directories do not exist on Linux.
    #[error("hard link to {0}, which is a directory")]
    LinkToDirectory(TreePath),
    /// A hard link whose target is the link itself.
    #[error("hard link to itself")]
    LinkToSelf,
    /// More than 40 symbolic links were met on the way to the entry (the kernel's `MAXSYMLINKS`).
    #[error("too many levels of symbolic links")]
    SymlinkLoop,
    /// Symbolic links on the way to all entries together lead over more names than any honest image needs.
    #[error("too many steps through symbolic links")]
    TooManyLinkSteps,
    /// A symbolic link on the way has a target that is not a path.
    #[error("a symbolic link on the way has an impossible target")]
    SymlinkTarget(#[source] NameError),
    /// `/` can only be a directory.
    #[error("the root of the image can only be a directory")]
    RootNotDirectory,
}
