//! Trees that are wrong or too much: errors, never panics.

use offshoot_ext4::{Error, Options, Plan, Problem, Size};
use offshoot_tree::{Content, Device, Extent, Leaf, Merge, Metadata, SourceId};

use crate::check;
use crate::image::{Image, exact, options};
use crate::sample::{Layer, merge, metadata, tree, xattrs};

/// What is wrong with a tree that has one leaf.
fn problem(metadata: Metadata, leaf: Leaf) -> Option<Problem> {
    let (tree, _) = tree(|layer| {
        layer.leaf(b"some/where", metadata, leaf);
    });
    match Plan::new(&tree, &options()) {
        Ok(_) => None,
        Err(Error::Unrepresentable { path, problem }) => {
            assert_eq!(path.as_bytes(), b"some/where");
            Some(problem)
        }
        Err(error) => panic!("{error}"),
    }
}

fn extents(size: u64, extents: &[(u64, u64, u64)]) -> Option<Problem> {
    let extents = extents
        .iter()
        .map(|&(logical_block, source_block, block_count)| Extent {
            logical_block,
            source_block,
            block_count,
        })
        .collect();
    problem(metadata(), Leaf::File(Content { size, source: SourceId(0), extents }))
}

#[test]
fn impossible_extents() {
    let bad = |logical_block| Some(Problem::BadExtent { logical_block });
    assert_eq!(extents(8192, &[(0, 0, 1), (1, 7, 1)]), None);
    assert_eq!(extents(8192, &[(0, 0, 3)]), bad(0));
    assert_eq!(extents(8192, &[(0, 0, 0)]), bad(0));
    assert_eq!(extents(8192, &[(0, 0, 2), (1, 7, 1)]), bad(1));
    assert_eq!(extents(8192, &[(1, 0, 1), (0, 7, 1)]), bad(0));
    assert_eq!(extents(8192, &[(2, 0, 1)]), bad(2));
    assert_eq!(extents(0, &[(0, 0, 1)]), bad(0));
    assert_eq!(extents(8192, &[(0, u64::MAX, 1)]), bad(0));
    assert_eq!(extents(8192, &[(0, 1 << 51, 1)]), bad(0));
    assert_eq!(extents(8192, &[(u64::MAX, 0, u64::MAX)]), bad(u64::MAX));
}

#[test]
fn impossible_files() {
    let limit_bytes = ((1 << 32) - 1) * 4096;
    for bytes in [limit_bytes + 1, 1 << 60, u64::MAX] {
        assert_eq!(extents(bytes, &[]), Some(Problem::FileTooLarge { bytes, limit_bytes }));
    }
    assert_eq!(extents(limit_bytes, &[]), None);
    let symlink = |target: &[u8]| problem(metadata(), Leaf::Symlink(target.into()));
    assert_eq!(symlink(b""), Some(Problem::SymlinkLength { bytes: 0, limit: 4095 }));
    assert_eq!(symlink(&[b'x'; 4096]), Some(Problem::SymlinkLength { bytes: 4096, limit: 4095 }));
    assert_eq!(symlink(b"a\0b"), Some(Problem::SymlinkNul));
    for (major, minor) in [(4096, 0), (0, 1 << 20), (u32::MAX, u32::MAX)] {
        let expected = Some(Problem::DeviceNumber { major, minor });
        assert_eq!(problem(metadata(), Leaf::CharDevice(Device { major, minor })), expected);
        assert_eq!(problem(metadata(), Leaf::BlockDevice(Device { major, minor })), expected);
    }
}

#[test]
fn impossible_xattrs() {
    let with = |name: &[u8], value: Vec<u8>| {
        problem(Metadata { xattrs: xattrs([(name, value)]), ..metadata() }, Leaf::Fifo)
    };
    for name in [&b"foo"[..], b"", b"user", b"user.", b"btrfs.compression", b"USER.a", b"system.data"] {
        assert_eq!(with(name, vec![1]), Some(Problem::XattrNamespace { name: name.to_vec() }));
    }
    let long = [b"user.", &[b'n'; 251][..]].concat();
    assert_eq!(with(&long, vec![]), Some(Problem::XattrNameTooLong { bytes: 256 }));
    assert_eq!(with(b"user.a", vec![0; 4040]), None);
    let too_large = Some(Problem::XattrsTooLarge { bytes: 4068, limit: 4064 });
    assert_eq!(with(b"user.a", vec![0; 4041]), too_large);
    assert!(with(b"user.a", vec![0; 1 << 20]).is_some());
    let name = b"system.posix_acl_access";
    assert_eq!(with(name, vec![1, 2, 3]), Some(Problem::Acl { name: name.to_vec() }));
}

#[test]
fn too_many_names() {
    for (links, fine) in [(65_000, true), (65_001, false)] {
        let (tree, packs) = tree(|layer| {
            layer.blocks("file", 1);
            for link in 1..links {
                layer.link(&format!("links/{link}"), "file");
            }
        });
        match Image::new(&tree, &packs, &options()) {
            Ok(image) => {
                assert!(fine);
                check::e2fsck(&image.path());
            }
            Err(Error::Unrepresentable { path, problem }) => {
                assert!(!fine);
                assert_eq!(path.as_bytes(), b"file");
                assert_eq!(problem, Problem::TooManyLinks { links: 65_001, limit: 65_000 });
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn deep_directories() {
    let mut path = String::new();
    for _ in 0..10_000 {
        path.push_str("d/");
    }
    path.push_str("file");
    let (tree, packs) = tree(|layer| {
        layer.blocks(&path, 1);
    });
    let image = Image::new(&tree, &packs, &options()).unwrap();
    check::e2fsck(&image.path());
    // An error's path is found without recursion too.
    let (tree, _) = self::tree(|layer| {
        layer.symlink(&path, b"");
    });
    let error = Plan::new(&tree, &options()).unwrap_err();
    assert_eq!(error.to_string().len(), path.len() + "/ cannot be stored on ext4".len());
}

#[test]
fn more_than_a_filesystem_holds() {
    let mut layer = Layer::new();
    let content = layer.zeros((1 << 32) - 1);
    layer.file("a", content);
    let (tree, _) = merge([layer]);
    assert!(matches!(Plan::new(&tree, &options()), Err(Error::TooLarge { .. })));
    assert!(matches!(Plan::new(&tree, &exact(1 << 30)), Err(Error::TooLarge { .. })));

    // The same blocks again and again: every file needs its own.
    let mut layer = Layer::new();
    let content = layer.zeros(1 << 30);
    for file in 0..10 {
        layer.file(&format!("{file}"), content.clone());
    }
    let (tree, _) = merge([layer]);
    assert!(matches!(Plan::new(&tree, &options()), Err(Error::TooLarge { .. })));

    let empty = Merge::new().finish();
    for bytes in [(1 << 44) + 4096, u64::MAX] {
        assert!(matches!(Plan::new(&empty, &exact(bytes)), Err(Error::TooLarge { .. })));
    }
    for (headroom_percent, headroom_min_bytes) in [(0, u64::MAX), (0, 1 << 44)] {
        let size = Size::Automatic { headroom_percent, headroom_min_bytes };
        let result = Plan::new(&empty, &Options { size, ..options() });
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    }
    let size = Size::Automatic { headroom_percent: u32::MAX, headroom_min_bytes: 0 };
    Plan::new(&empty, &Options { size, ..options() }).unwrap();
}

#[test]
fn a_sink_that_fails() {
    struct Full(u64);
    impl offshoot_ext4::Sink for Full {
        fn set_len(&mut self, _: u64) -> std::io::Result<()> {
            Ok(())
        }
        fn write_at(&mut self, offset: u64, _: &[u8]) -> std::io::Result<()> {
            if offset >= self.0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        fn copy_from(
            &mut self,
            _: SourceId,
            _: u64,
            offset: u64,
            _: u64,
            _: offshoot_ext4::Transfer,
        ) -> std::io::Result<()> {
            self.write_at(offset, &[])
        }
    }
    let (tree, _) = tree(|layer| {
        layer.blocks("file", 1000);
    });
    let plan = Plan::new(&tree, &options()).unwrap();
    plan.emit(&mut Full(u64::MAX)).unwrap();
    for full in [0, 1 << 20] {
        let Err(Error::Sink { source, .. }) = plan.emit(&mut Full(full)) else { panic!("no error") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    }
}
