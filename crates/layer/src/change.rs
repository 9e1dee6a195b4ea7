use offshoot_tree::{Change, Content, Extent, Leaf, Metadata, TreePath, Xattrs};
use serde_bytes::ByteBuf;

use crate::tar::{Entry, Failure, Kind, Segment};
use crate::{Limit, Limits, TarProblem, length};

/// What a tar entry means for the filesystem.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// A change that is whole.
    Change(Change),
    /// A regular file whose contents follow in the tar.
    File { path: TreePath, metadata: Metadata, size: u64, segments: Option<Vec<Segment>> },
    /// Nothing: bookkeeping of AUFS, which once leaked into layers.
    Nothing,
}

const WHITEOUT: &[u8] = b".wh.";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The longest name that Linux takes, `XATTR_NAME_MAX`.
const XATTR_NAME_MAX: usize = 255;

/// Applies the rules of the OCI image specification, `layer.md`, to one entry.
pub(crate) fn meaning(entry: Entry, limits: &Limits) -> Result<Meaning, Failure> {
    let path = TreePath::parse(&entry.path).map_err(TarProblem::Path)?;
    if path.depth() > limits.path_depth {
        return Err(Failure::Limit(Limit::PathDepth, length::in_file(limits.path_depth)));
    }
    // A whiteout is one by its name, whatever its type says.
    if let Some(meaning) = whiteout(&path)? {
        return Ok(meaning);
    }
    if path.is_root() && !matches!(entry.kind, Kind::Directory) {
        return Err(TarProblem::RootNotDirectory.into());
    }
    if let Kind::HardLink(target) = entry.kind {
        let target = TreePath::parse(&target).map_err(TarProblem::LinkTarget)?;
        return Ok(Meaning::Change(Change::HardLink { path, target }));
    }
    let metadata = Metadata {
        mode: entry.mode & Metadata::MODE_MASK,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: xattrs(entry.xattrs, limits)?,
    };
    let leaf = match entry.kind {
        Kind::File { size: 0, .. } => Leaf::File(Content::default()),
        Kind::File { size, segments } => return Ok(Meaning::File { path, metadata, size, segments }),
        Kind::Directory => return Ok(Meaning::Change(Change::Directory { path, metadata })),
        Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
            return Err(TarProblem::SymlinkTarget.into());
        }
        Kind::Symlink(target) => Leaf::Symlink(target.into()),
        Kind::CharDevice(device) => Leaf::CharDevice(device),
        Kind::BlockDevice(device) => Leaf::BlockDevice(device),
        Kind::Fifo => Leaf::Fifo,
        Kind::HardLink(_) => return Err(TarProblem::UnknownType(b'1').into()),
    };
    Ok(Meaning::Change(Change::Leaf { path, metadata, leaf }))
}

/// About how many bytes of memory a change takes: whoever writes a layer decides how many there are of each part.
pub(crate) fn weight(change: &Change) -> u64 {
    let xattrs = |metadata: &Metadata| {
        let each = |(name, value): (&ByteBuf, &ByteBuf)| name.len().saturating_add(value.len());
        metadata.xattrs.iter().map(each).fold(0, usize::saturating_add)
    };
    let own = match change {
        Change::Directory { metadata, .. } => xattrs(metadata),
        Change::Leaf { metadata, leaf, .. } => xattrs(metadata).saturating_add(match leaf {
            Leaf::File(content) => content.extents.len().saturating_mul(size_of::<Extent>()),
            Leaf::Symlink(target) => target.len(),
            _ => 0,
        }),
        Change::HardLink { target, .. } => target.as_bytes().len(),
        Change::Whiteout { .. } | Change::OpaqueWhiteout { .. } => 0,
    };
    let path = change.path().as_bytes().len();
    length::in_file(size_of::<Change>().saturating_add(path).saturating_add(own))
}

fn whiteout(path: &TreePath) -> Result<Option<Meaning>, TarProblem> {
    let Some((parent, name)) = path.split_last() else { return Ok(None) };
    if name == OPAQUE {
        return inside(&parent).map(|()| Some(Meaning::Change(Change::OpaqueWhiteout { path: parent })));
    }
    if path.components().any(|name| name.starts_with(AUFS)) {
        return Ok(Some(Meaning::Nothing));
    }
    inside(&parent)?;
    let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(None) };
    let hidden = offshoot_tree::Name::new(hidden).map_err(|_| TarProblem::Whiteout)?;
    Ok(Some(Meaning::Change(Change::Whiteout { path: parent.join(&hidden) })))
}

/// Nothing can lie in a directory whose name says that it is gone.
fn inside(parent: &TreePath) -> Result<(), TarProblem> {
    if parent.components().any(|name| name.starts_with(WHITEOUT)) {
        Err(TarProblem::Whiteout)
    } else {
        Ok(())
    }
}

/// Keeps what Linux filesystems keep. Other systems' attributes (`com.apple.…`) mean nothing there, and
/// `system.` is what filesystems make up themselves, but for POSIX ACLs.
fn xattrs(given: Vec<(Vec<u8>, Vec<u8>)>, limits: &Limits) -> Result<Xattrs, Failure> {
    let mut kept = Xattrs::new();
    let mut bytes = 0_usize;
    for (name, value) in given {
        let in_namespace = [&b"user."[..], b"trusted.", b"security."]
            .iter()
            .any(|namespace| name.len() > namespace.len() && name.starts_with(namespace));
        let is_acl = matches!(&*name, b"system.posix_acl_access" | b"system.posix_acl_default");
        if name.is_empty() || name.len() > XATTR_NAME_MAX || name.contains(&0) {
            return Err(TarProblem::XattrName.into());
        }
        if !in_namespace && !is_acl {
            continue;
        }
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if bytes > limits.xattr_bytes {
            return Err(Failure::Limit(Limit::XattrBytes, length::in_file(limits.xattr_bytes)));
        }
        kept.insert(ByteBuf::from(name), ByteBuf::from(value));
        if kept.len() > limits.xattrs {
            return Err(Failure::Limit(Limit::Xattrs, length::in_file(limits.xattrs)));
        }
    }
    Ok(kept)
}
