//! Trees just below, at and above each limit of the format.

use offshoot_ext4::{Options, Size};
use offshoot_tree::{Content, Device, Extent, Leaf, Merge, Metadata, SourceId, Timestamp};

use crate::check;
use crate::image::{Image, exact, options};
use crate::sample::{Layer, merge, metadata, tree, xattrs};

fn device(major: u32, minor: u32) -> Device {
    Device { major, minor }
}

#[test]
fn every_kind_of_node() {
    let (tree, packs) = tree(|layer| {
        layer.leaf(b"char", metadata(), Leaf::CharDevice(device(1, 3)));
        layer.leaf(b"char-new", metadata(), Leaf::CharDevice(device(300, 70_000)));
        layer.leaf(b"block", metadata(), Leaf::BlockDevice(device(8, 255)));
        layer.leaf(b"block-new", metadata(), Leaf::BlockDevice(device(259, 256)));
        layer.leaf(b"block-last", metadata(), Leaf::BlockDevice(device(4095, 0xf_ffff)));
        layer.leaf(b"zero", metadata(), Leaf::CharDevice(device(0, 0)));
        layer.leaf(b"fifo", Metadata { mode: 0o600, ..metadata() }, Leaf::Fifo);
        layer.leaf(b"socket", metadata(), Leaf::Socket);
        layer.blocks("file", 3);
        layer.link("d/e/link", "file");
        layer.link("another", "fifo");
        layer.leaf(b"empty", Metadata { mode: 0o7777, ..metadata() }, Leaf::File(Content::default()));
        layer.leaf(b"\xff\xfe \n\x01", metadata(), Leaf::Symlink(b"\x80\x81"[..].into()));
        layer.leaf(
            b"ids",
            Metadata { uid: 4_200_000_000, gid: u32::MAX - 1, ..metadata() },
            Leaf::File(Content::default()),
        );
    });
    check::everything(&tree, &packs, &options());
    check::everything(&tree, &packs, &Options { journal: false, ..options() });
}

#[test]
fn times_before_1970_and_after_2038() {
    let (tree, packs) = tree(|layer| {
        for (name, seconds, nanoseconds) in [
            ("1901", -(1 << 31), 0),
            ("1969", -1, 999_999_999),
            ("1970", 0, 1),
            ("2038", (1 << 31) - 1, 5),
            ("2038+", 1 << 31, 5),
            ("2106+", 1 << 32, 500_000_000),
            ("2242+", 1 << 33, 7),
            ("2400", 13_600_000_000, 7),
            ("2446", (1 << 34) - (1 << 31) - 1, 999_999_999),
        ] {
            let mtime = Timestamp { seconds, nanoseconds };
            layer.leaf(name.as_bytes(), Metadata { mtime, ..metadata() }, Leaf::Fifo);
        }
    });
    // ext4-view takes the low word for unsigned, and refuses these.
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    check::kernel(&tree, &packs, &image.path());
}

/// e2fsck takes such times for an old kernel's mistake about times before 1970; the kernel reads them right.
#[test]
fn times_that_e2fsck_doubts() {
    let (tree, packs) = tree(|layer| {
        for (name, seconds) in [("2310", 3 * (1 << 32) - (1 << 31)), ("2378", 3 * (1 << 32) - 1)] {
            let mtime = Timestamp { seconds, nanoseconds: 5 };
            layer.leaf(name.as_bytes(), Metadata { mtime, ..metadata() }, Leaf::Fifo);
        }
    });
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::kernel(&tree, &packs, &image.path());
}

#[test]
fn times_that_do_not_fit_become_the_nearest() {
    let (tree, packs) = tree(|layer| {
        for (name, seconds) in [("before", i64::MIN), ("after", i64::MAX)] {
            let mtime = Timestamp { seconds, nanoseconds: 5 };
            layer.leaf(name.as_bytes(), Metadata { mtime, ..metadata() }, Leaf::Fifo);
        }
    });
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    if offshoot_testkit::oracle::root() {
        let mount = offshoot_testkit::LoopMount::read_only(&image.path());
        for (name, seconds) in [("before", -(1 << 31)), ("after", (1 << 34) - (1 << 31) - 1)] {
            let metadata = std::fs::symlink_metadata(mount.path().join(name)).unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mtime(&metadata), seconds);
            assert_eq!(std::os::unix::fs::MetadataExt::mtime_nsec(&metadata), 0);
        }
    }
}

#[test]
fn symlinks_in_the_inode_and_in_a_block() {
    let (tree, packs) = tree(|layer| {
        for length in [1, 58, 59, 60, 61, 255, 4094, 4095] {
            // With slashes, since ext4-view wants targets to be paths.
            layer.symlink(&format!("{length}"), &b"x/".repeat(2048)[..length]);
        }
    });
    check::everything(&tree, &packs, &options());
}

#[test]
fn files_of_many_extents() {
    let counts = [1, 2, 4, 5, 339, 340, 341, 680, 1360, 1361, 1700];
    let (tree, packs) = tree(|layer| {
        for extents in counts {
            let content = layer.scattered(extents);
            layer.file(&format!("{extents}"), content);
        }
    });
    let image = check::everything(&tree, &packs, &options());
    for extents in counts {
        let stat = offshoot_testkit::oracle::debugfs(&image.path(), &format!("ex /{extents}"));
        let leaves = stat.lines().filter(|line| line.split_whitespace().next().is_some_and(is_leaf)).count();
        // Levels print as "depth/ max"; a leaf's line has equal numbers.
        assert!(leaves as u64 >= extents, "{extents} extents: {stat}");
    }
}

fn is_leaf(level: &str) -> bool {
    level.ends_with('/')
}

#[test]
fn half_a_million_extents_have_three_levels() {
    let mut layer = Layer::new();
    let content = layer.zeros(470_000);
    let mut scattered = content.clone();
    scattered.extents =
        (0..470_000).map(|i| Extent { logical_block: 2 * i, source_block: i, block_count: 1 }).collect();
    scattered.size = 2 * content.size;
    layer.file("file", scattered);
    let (tree, packs) = merge([layer]);
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    let extents = offshoot_testkit::oracle::debugfs(&image.path(), "stat /file");
    assert!(extents.contains("Size: 3850240000"), "{extents}");
}

#[test]
fn sparse_files_and_the_largest_file() {
    let (tree, packs) = tree(|layer| {
        let mut content = layer.content(3);
        content.extents = vec![
            Extent { logical_block: 5, source_block: 0, block_count: 1 },
            Extent { logical_block: 100, source_block: 1, block_count: 2 },
        ];
        content.size = 1 << 20;
        layer.file("sparse", content);
        layer.file("hole", Content { size: 64 << 20, ..Content::default() });
        layer.file("odd hole", Content { size: 12345, ..Content::default() });
    });
    check::everything(&tree, &packs, &options());

    let mut layer = Layer::new();
    let last = layer.zeros(1);
    let size = ((1 << 32) - 1) * 4096;
    let extents = vec![Extent { logical_block: (1 << 32) - 2, ..last.extents[0] }];
    layer.file("largest", Content { size, extents, ..last });
    let (tree, packs) = merge([layer]);
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
}

#[test]
fn files_longer_than_an_extent_and_across_groups() {
    let (tree, packs) = tree(|layer| {
        for (name, blocks) in [("a", 32_767), ("b", 32_768), ("c", 32_769), ("d", 100_000), ("e", 200_000)] {
            let content = layer.zeros(blocks);
            layer.file(name, content);
        }
    });
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    check::growth(&image.path(), 20 << 30);
}

#[test]
fn directories_around_a_block() {
    // Names of 4 bytes take 12: (4084 - 24) / 12 = 338 entries, of which the root's `lost+found` is one.
    let counts = [0, 1, 337, 338, 339, 340, 600];
    let (tree, packs) = tree(|layer| {
        for count in counts {
            layer.directory(&format!("d{count}"));
            for file in 0..count {
                layer.leaf(format!("d{count}/{file:04}").as_bytes(), metadata(), Leaf::Fifo);
            }
        }
    });
    let image = check::everything(&tree, &packs, &options());
    for count in counts {
        let stat = offshoot_testkit::oracle::debugfs(&image.path(), &format!("stat /d{count}"));
        assert_eq!(stat.contains("Flags: 0x81000"), count > 338, "{count} entries: {stat}");
    }
}

/// The first directory has about 507 leaves, the most for one level; the second needs two.
#[test]
fn directories_around_one_level_of_index() {
    let name = |number: u64| format!("{number:0250}");
    // 11 entries of 260 bytes are three quarters of a block.
    for count in [5500, 5577, 5578, 5700, 12_000] {
        let (tree, packs) = tree(|layer| {
            for file in 0..count {
                layer.leaf(format!("d/{}", name(file)).as_bytes(), metadata(), Leaf::Fifo);
            }
        });
        let image = check::everything(&tree, &packs, &options());
        let dump = offshoot_testkit::oracle::debugfs(&image.path(), "htree_dump /d");
        let levels = if count > 5577 { 1 } else { 0 };
        assert!(dump.contains(&format!("Indirect levels: {levels}")), "{count} entries: {}", &dump[..400]);
        assert!(!dump.contains("rror"), "{count} entries");
    }
}

/// Two names with the same hash (found by trial, for this seed), the first of them the last of a leaf: a
/// lookup of the second must go on into the next leaf.
#[test]
fn equal_hashes_on_both_sides_of_a_cut() {
    let below = [0, 1, 3, 4, 5, 6, 7, 8, 10, 11];
    let equal = [140_924, 186_158];
    let above = [2, 9, 14, 19, 20, 31, 33, 42, 48, 59, 63, 64];
    let (tree, packs) = tree(|layer| {
        for number in below.into_iter().chain(equal).chain(above) {
            layer.leaf(format!("d/{number:0250}").as_bytes(), metadata(), Leaf::Fifo);
        }
    });
    // ext4-view does not go on, and misses the second.
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    check::kernel(&tree, &packs, &image.path());
    let dump = offshoot_testkit::oracle::debugfs(&image.path(), "htree_dump /d");
    assert!(dump.contains("Hash 0xbc94bbb9, block 2"), "{dump}");
}

#[test]
fn the_root_can_have_a_hash_tree() {
    let (tree, packs) = tree(|layer| {
        for file in 0..2000 {
            layer.leaf(format!("file-{file}").as_bytes(), metadata(), Leaf::Socket);
        }
    });
    check::everything(&tree, &packs, &options());
}

#[test]
fn names_of_bytes_above_127() {
    let (tree, packs) = tree(|layer| {
        for file in 0..1000u32 {
            let name: Vec<u8> = file.to_be_bytes().iter().map(|byte| byte | 0x80).collect();
            layer.leaf(&[b"d/\xc3\xa9", &name[..]].concat(), metadata(), Leaf::Fifo);
            layer.leaf(format!("d/{file}").as_bytes(), metadata(), Leaf::Fifo);
        }
    });
    check::everything(&tree, &packs, &options());
    // A seed of zeros stands for the default one.
    check::everything(&tree, &packs, &Options { hash_seed: [0; 16], ..options() });
}

#[test]
fn directories_with_more_links_than_can_be_counted() {
    for count in [64_997, 64_998, 64_999, 65_010] {
        let (tree, packs) = tree(|layer| {
            for directory in 0..count {
                layer.directory(&format!("d/{directory}"));
            }
        });
        let image = Image::new(&tree, &packs, &options()).unwrap();
        check::e2fsck(&image.path());
        let stat = offshoot_testkit::oracle::debugfs(&image.path(), "stat /d");
        let links = if count + 2 > 65_000 { 1 } else { count + 2 };
        assert!(stat.contains(&format!("Links: {links} ")), "{count}: {stat}");
    }
}

#[test]
fn lost_and_found() {
    let (with, packs) = tree(|layer| {
        layer.directory("lost+found");
        layer.blocks("lost+found/#12", 2);
        layer.blocks("zzz", 1);
    });
    check::everything(&with, &packs, &options());
    let (file, _) = tree(|layer| {
        layer.blocks("lost+found", 1);
    });
    let error = offshoot_ext4::Plan::new(&file, &options()).unwrap_err();
    assert!(error.to_string().starts_with("/lost+found "), "{error}");
}

/// A POSIX ACL as `setxattr` takes it.
fn acl(users: u32) -> Vec<u8> {
    let none = u32::MAX;
    let mut entries = vec![(1u16, 7u16, none)];
    entries.extend((0..users).map(|user| (2, 6, 1000 + user)));
    entries.extend([(4, 5, none), (8, 4, 70_000), (16, 7, none), (32, 5, none)]);
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn extended_attributes() {
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let (tree, packs) = tree(|layer| {
        let mut with = |name: &str, pairs: Vec<(&[u8], Vec<u8>)>| {
            let metadata = Metadata { mode: 0o775, xattrs: xattrs(pairs), ..metadata() };
            layer.leaf(name.as_bytes(), metadata, Leaf::File(Content::default()));
        };
        with("capability", vec![(b"security.capability", capability.clone())]);
        with("selinux", vec![(b"security.selinux", b"system_u:object_r:bin_t:s0\0".to_vec())]);
        with("empty", vec![(b"user.empty", Vec::new()), (b"user.other", b"x".to_vec())]);
        with("trusted", vec![(b"trusted.overlay.opaque", b"y".to_vec())]);
        with("acl", vec![(b"system.posix_acl_access", acl(1))]);
        with("large acl", vec![(b"system.posix_acl_access", acl(100)), (b"user.a", vec![1; 50])]);
        with("bytes", vec![(b"user.\xff\x80\x01", vec![0, 255, 10])]);
        // 92 bytes: the end takes 4, head and name of `user.a` 20, so 68 are left for a value.
        for length in [63, 64, 65, 67, 68, 69, 72] {
            with(&format!("inline{length}"), vec![(b"user.a", vec![b'v'; length])]);
        }
        // A block: 4064 bytes, less the end and the head.
        for length in [4036, 4039, 4040] {
            with(&format!("block{length}"), vec![(b"user.a", vec![b'v'; length])]);
        }
        let names: Vec<Vec<u8>> =
            (0..60).map(|n| format!("user.{n}{}", "n".repeat(n / 2)).into_bytes()).collect();
        with("many", names.iter().map(|name| (&name[..], name.clone())).collect());
        let long = [b"user.", &[b'n'; 250][..]].concat();
        with("long name", vec![(&long, vec![b'v'; 3788])]);
    });
    check::everything(&tree, &packs, &options());
    let mut layer = Layer::new();
    let directory = Metadata {
        mode: 0o2775,
        xattrs: xattrs([(&b"system.posix_acl_default"[..], acl(2)), (b"user.d", vec![7; 300])]),
        ..metadata()
    };
    layer.changes.push(offshoot_tree::Change::Directory {
        path: offshoot_tree::TreePath::root(),
        metadata: directory,
    });
    let (tree, packs) = merge([layer]);
    check::everything(&tree, &packs, &options());
}

#[test]
fn many_inodes_raise_their_number() {
    let (tree, packs) = tree(|layer| {
        for file in 0..60_000 {
            layer.leaf(format!("{}/{file}", file / 1000).as_bytes(), metadata(), Leaf::Fifo);
        }
    });
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    let plan = offshoot_ext4::Plan::new(&tree, &options()).unwrap();
    assert!(plan.summary().free_inodes >= 16_000, "{plan:?}");
}

#[test]
fn blocks_that_two_files_name_are_there_twice() {
    let mut layer = Layer::new();
    let content = layer.content(600);
    let part = |first: u64, blocks: u64| Content {
        size: blocks * 4096,
        source: SourceId(0),
        extents: vec![Extent { logical_block: 0, source_block: first, block_count: blocks }],
    };
    layer.file("all", content);
    for (name, first, blocks) in [("first", 0, 5), ("same", 0, 5), ("middle", 300, 200), ("last", 598, 2)] {
        layer.file(name, Content { size: blocks * 4096, ..part(first, blocks) });
    }
    let mut twice = part(10, 4);
    twice.extents.push(Extent { logical_block: 8, source_block: 12, block_count: 4 });
    twice.size = 12 * 4096;
    layer.file("twice", twice);
    let (tree, packs) = merge([layer]);
    check::everything(&tree, &packs, &options());
}

#[test]
fn an_empty_tree_without_anything() {
    let tree = Merge::new().finish();
    let size = Size::Automatic { headroom_percent: 0, headroom_min_bytes: 0 };
    for journal in [true, false] {
        let options = Options { size, journal, ..options() };
        check::everything(&tree, &Default::default(), &options);
    }
    check::everything(&tree, &Default::default(), &exact(8 << 20));
}
