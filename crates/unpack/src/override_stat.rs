//! The format of containers/storage (`FormatContainersOverrideXattrDevice` in its `pkg/idtools`).

use offshoot_tree::{Leaf, Metadata, Node};

/// The extended attribute that records what a file would be if its maker were root:
/// `UID:GID:MODE:TYPE`, ids in decimal, the mode in octal without the type's bits.
///
/// `TYPE` is `file`, `dir`, `symlink`, `pipe`, `socket`, `block-MAJOR-MINOR` or `char-MAJOR-MINOR`. libkrun reads
/// the first three fields alone, so to its guests devices are empty files.
pub const OVERRIDE_STAT: &str = "user.containers.override_stat";

pub(crate) fn format(metadata: &Metadata, node: &Node) -> String {
    let kind = match node {
        Node::Directory(_) => "dir".to_owned(),
        Node::Leaf(Leaf::File(_)) => "file".to_owned(),
        Node::Leaf(Leaf::Symlink(_)) => "symlink".to_owned(),
        Node::Leaf(Leaf::Fifo) => "pipe".to_owned(),
        Node::Leaf(Leaf::Socket) => "socket".to_owned(),
        Node::Leaf(Leaf::CharDevice(device)) => format!("char-{}-{}", device.major, device.minor),
        Node::Leaf(Leaf::BlockDevice(device)) => format!("block-{}-{}", device.major, device.minor),
    };
    let Metadata { uid, gid, mode, .. } = metadata;
    format!("{uid}:{gid}:{:04o}:{kind}", mode & Metadata::MODE_MASK)
}

#[cfg(test)]
mod tests {
    use offshoot_tree::{Content, Device, Directory};

    use super::*;

    #[test]
    fn is_what_containers_storage_writes() {
        let device = Device { major: 4, minor: 64 };
        for (mode, node, expected) in [
            (0o755, Node::Directory(Directory::new()), "5:6:0755:dir"),
            (0o4755, Node::Leaf(Leaf::File(Content::default())), "5:6:4755:file"),
            (0, Node::Leaf(Leaf::File(Content::default())), "5:6:0000:file"),
            (0o777, Node::Leaf(Leaf::Symlink(b"x"[..].into())), "5:6:0777:symlink"),
            (0o600, Node::Leaf(Leaf::Fifo), "5:6:0600:pipe"),
            (0o600, Node::Leaf(Leaf::Socket), "5:6:0600:socket"),
            (0o620, Node::Leaf(Leaf::CharDevice(device)), "5:6:0620:char-4-64"),
            (0o660, Node::Leaf(Leaf::BlockDevice(device)), "5:6:0660:block-4-64"),
        ] {
            assert_eq!(format(&Metadata { mode, uid: 5, gid: 6, ..Metadata::default() }, &node), expected);
        }
    }
}
