use std::io::ErrorKind;

use arbitrary::{Result, Unstructured};
use ext4_view::{Ext4, FileType, Path};
use offshoot_ext4::{Error, Label, Options, Plan, Size, State, inspect};
use offshoot_tree::{
    BLOCK_SIZE, Change, Content, Device, Extent, Leaf, Merge, Metadata, Name, Node, SourceId, Timestamp,
    Tree, TreePath, Xattrs,
};
use serde_bytes::ByteBuf;

use crate::judge;
use crate::merge::check_tree;
use crate::noise::noise;
use crate::sparse_disk::{SparseDisk, source_block};

/// How many inputs there are to one that e2fsck judges.
const JUDGED: u64 = 16;

/// A tree of anything becomes a filesystem: what the plan says is there, ext4-view reads every file of it as it went in,
/// and for some inputs e2fsck finds nothing.
pub fn ext4_tree(input: &[u8]) {
    let mut unstructured = Unstructured::new(input);
    let Ok((changes, options)) = case(&mut unstructured) else { return };
    let mut merge = Merge::new();
    if merge.apply(SourceId(0), changes).is_err() {
        return;
    }
    let tree = merge.finish();
    check_tree(&tree);
    let Ok(plan) = Plan::new(&tree, &options) else { return };
    assert!(Plan::new(&tree, &options).unwrap() == plan, "the same tree gives another plan");
    let mut disk = SparseDisk::new(0);
    match plan.emit(&mut disk) {
        Ok(()) => {}
        // More than a run's memory.
        Err(Error::Sink { source, .. }) if source.kind() == ErrorKind::StorageFull => return,
        Err(error) => panic!("{error}"),
    }
    let summary = plan.summary();
    let found = inspect(&disk).unwrap();
    assert_eq!((found.state, found.uuid), (State::Clean, options.uuid));
    assert_eq!(
        (found.blocks, found.free_blocks, found.inodes, found.free_inodes, found.device_bytes),
        (summary.blocks, summary.free_blocks, summary.inodes, summary.free_inodes, summary.size_bytes)
    );
    if judge::asked(input, JUDGED) {
        judge::e2fsck(&disk).unwrap_or_else(|complaint| panic!("{complaint}"));
    }
    // ext4-view knows no times before 1970 and after 2038.
    if tree.inodes().all(|(_, inode)| (0..1 << 31).contains(&inode.metadata.mtime.seconds)) {
        read_back(&tree, disk);
    }
}

/// ext4-view finds the tree, and nothing else.
fn read_back(tree: &Tree, disk: SparseDisk) {
    let view = Ext4::load(Box::new(disk)).unwrap();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let full = [b"/", path.as_bytes()].concat();
        let Ok(full) = Path::try_from(&full[..]) else { continue };
        let found = view.symlink_metadata(full).unwrap_or_else(|error| panic!("{path}: {error}"));
        let metadata = &inode.metadata;
        assert_eq!(
            (found.mode() & 0o7777, found.uid(), found.gid()),
            (metadata.mode, metadata.uid, metadata.gid),
            "{path}"
        );
        let kind = found.file_type();
        match &inode.node {
            Node::Directory(children) => {
                assert_eq!(kind, FileType::Directory, "{path}");
                let mut names: Vec<Vec<u8>> = view
                    .read_dir(full)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().as_ref().to_vec())
                    .filter(|name| !matches!(&name[..], b"." | b".."))
                    .filter(|name| {
                        !path.is_root() || name != b"lost+found" || children.contains_key(&name[..])
                    })
                    .collect();
                names.sort();
                let expected: Vec<&[u8]> = children.keys().map(Name::as_bytes).collect();
                assert_eq!(names, expected, "{path}");
            }
            Node::Leaf(Leaf::File(content)) => {
                assert_eq!((kind, found.len()), (FileType::Regular, content.size), "{path}");
                if content.size < 1 << 20 {
                    assert!(view.read(full).unwrap() == bytes_of(content), "{path}: other contents");
                }
            }
            Node::Leaf(Leaf::Symlink(target)) => {
                assert_eq!(kind, FileType::Symlink, "{path}");
                // A target that is no path to ext4-view, it does not read.
                if let Ok(read) = view.read_link(full) {
                    assert_eq!(read.as_ref(), &target[..], "{path}");
                }
            }
            Node::Leaf(Leaf::CharDevice(_)) => assert_eq!(kind, FileType::CharacterDevice, "{path}"),
            Node::Leaf(Leaf::BlockDevice(_)) => assert_eq!(kind, FileType::BlockDevice, "{path}"),
            Node::Leaf(Leaf::Fifo) => assert_eq!(kind, FileType::Fifo, "{path}"),
            Node::Leaf(Leaf::Socket) => assert_eq!(kind, FileType::Socket, "{path}"),
        }
    }
}

fn bytes_of(content: &Content) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(content.size.next_multiple_of(BLOCK_SIZE)).unwrap()];
    for extent in &content.extents {
        for block in 0..extent.block_count {
            let start = usize::try_from((extent.logical_block + block) * BLOCK_SIZE).unwrap();
            bytes[start..start + 4096]
                .copy_from_slice(&source_block(content.source, extent.source_block + block));
        }
    }
    bytes.truncate(usize::try_from(content.size).unwrap());
    bytes
}

fn case(input: &mut Unstructured<'_>) -> Result<(Vec<Change>, Options)> {
    let size = match input.int_in_range(0..=3)? {
        0 => Size::Exact { bytes: input.int_in_range(0..=1 << 30)? },
        _ => Size::Automatic {
            headroom_percent: input.int_in_range(0..=200)?,
            headroom_min_bytes: input.int_in_range(0..=8 << 20)?,
        },
    };
    let options = Options {
        uuid: input.arbitrary()?,
        hash_seed: input.arbitrary()?,
        created_seconds: input.arbitrary()?,
        label: Label::default(),
        size,
        journal: input.ratio(1, 8)?,
    };
    let mut changes = Vec::new();
    // One directory of many names now and then, for blocks and an index of them.
    if input.ratio(1, 4)? {
        let length = input.int_in_range(1..=250)?;
        for number in 0..input.int_in_range(0..=600_u32)? {
            let path = TreePath::parse(format!("many/{number:0length$}").as_bytes()).unwrap();
            changes.push(Change::Leaf { path, metadata: Metadata::default(), leaf: Leaf::Fifo });
        }
    }
    let any_time = input.ratio(1, 8)?;
    let mut next_block = 0;
    let mut paths = Vec::new();
    while !input.is_empty() && paths.len() < 60 {
        changes.push(change(input, any_time, &mut next_block, &mut paths)?);
    }
    Ok((changes, options))
}

fn change(
    input: &mut Unstructured<'_>,
    any_time: bool,
    next_block: &mut u64,
    paths: &mut Vec<TreePath>,
) -> Result<Change> {
    let path = path(input, paths)?;
    let metadata = metadata(input, any_time)?;
    let device = |input: &mut Unstructured<'_>| {
        Ok(Device { major: input.int_in_range(0..=4096)?, minor: input.int_in_range(0..=1 << 20)? })
    };
    let leaf = match input.int_in_range(0..=15)? {
        0..=5 => Leaf::File(content(input, next_block)?),
        6 | 7 => Leaf::Symlink(symlink(input)?),
        8 => Leaf::CharDevice(device(input)?),
        9 => Leaf::BlockDevice(device(input)?),
        10 => Leaf::Fifo,
        11 => Leaf::Socket,
        12 | 13 if !paths.is_empty() => {
            let target = input.choose(paths)?.clone();
            return Ok(Change::HardLink { path, target });
        }
        _ => return Ok(Change::Directory { path, metadata }),
    };
    paths.push(path.clone());
    Ok(Change::Leaf { path, metadata, leaf })
}

fn path(input: &mut Unstructured<'_>, paths: &[TreePath]) -> Result<TreePath> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    if !paths.is_empty() && input.ratio(1, 2)? {
        let parent = input.choose(paths)?.split_last().map(|(parent, _)| parent).unwrap_or_default();
        names.extend(parent.components().map(<[u8]>::to_vec));
    }
    for _ in 0..input.int_in_range(1..=3)? {
        let mut name = match input.int_in_range(0..=9)? {
            0 => vec![b'n'; input.int_in_range(1..=255)?],
            1 => b"lost+found".to_vec(),
            _ => {
                let length = input.int_in_range(1..=4)?;
                input.bytes(length)?.to_vec()
            }
        };
        name.iter_mut().filter(|byte| matches!(byte, 0 | b'/' | b'.')).for_each(|byte| *byte = b'_');
        names.push(name);
    }
    Ok(TreePath::parse(&names.join(&b'/')).unwrap())
}

fn metadata(input: &mut Unstructured<'_>, any_time: bool) -> Result<Metadata> {
    let mut xattrs = Xattrs::new();
    let names: [&[u8]; 6] = [
        b"user.x",
        b"user.long-name",
        b"trusted.t",
        b"security.capability",
        b"system.posix_acl_access",
        b"odd",
    ];
    if input.ratio(1, 3)? {
        for _ in 0..input.int_in_range(1..=4)? {
            let name = *input.choose(&names)?;
            let length = *input.choose(&[0, 1, 4, 20, 60, 200, 1000, 4000])?;
            let value = vec![input.arbitrary::<u8>()?; length];
            xattrs.insert(ByteBuf::from(name), ByteBuf::from(value));
        }
    }
    let seconds = if any_time { input.arbitrary()? } else { input.int_in_range(0..=i64::from(i32::MAX))? };
    Ok(Metadata {
        mode: input.int_in_range(0..=0o7777)?,
        uid: input.arbitrary()?,
        gid: input.arbitrary()?,
        mtime: Timestamp { seconds, nanoseconds: input.int_in_range(0..=999_999_999)? },
        xattrs,
    })
}

fn symlink(input: &mut Unstructured<'_>) -> Result<Box<[u8]>> {
    let length = *input.choose(&[1_usize, 5, 59, 60, 61, 300, 4095, 4096, 0])?;
    let byte = input.int_in_range(0..=255)?;
    Ok(vec![byte; length].into())
}

/// Ascending extents that do not overlap, mostly; the source's blocks follow each other, lie apart, or come again.
fn content(input: &mut Unstructured<'_>, next_block: &mut u64) -> Result<Content> {
    let mut content = Content::default();
    let mut logical_block: u64 = 0;
    for _ in 0..input.int_in_range(0..=6)? {
        logical_block += *input.choose(&[0_u64, 0, 1, 2, 30, 1000, 1 << 20])?;
        let block_count = *input.choose(&[1_u64, 1, 2, 3, 20, 60])?;
        let source_block = match input.int_in_range(0..=3)? {
            0 => *next_block + 7,
            1 => *next_block / 2,
            _ => *next_block,
        };
        content.extents.push(Extent { logical_block, source_block, block_count });
        *next_block = source_block + block_count;
        logical_block += block_count;
    }
    // A file may have very many pieces.
    if input.ratio(1, 12)? {
        for _ in 0..input.int_in_range(1..=800)? {
            let extent =
                Extent { logical_block: logical_block + 1, source_block: *next_block, block_count: 1 };
            content.extents.push(extent);
            (logical_block, *next_block) = (logical_block + 2, *next_block + 1);
        }
    }
    // The last block's second half is zero, so that the file may end there.
    let lacks = input.int_in_range(0..=2048)?;
    content.size = (logical_block * BLOCK_SIZE).saturating_sub(lacks);
    if input.ratio(1, 30)? {
        content.size = input.arbitrary()?;
    }
    Ok(content)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..40).map(|seed| noise(1000 + seed, 60 + 40 * usize::try_from(seed).unwrap_or(0))).collect()
}
