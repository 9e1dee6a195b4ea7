//! Storage of images by buildah itself, in a place of the test's own.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_oci::{
    Error, ErrorKind, ImageConfig, ImageSource, LocalOptions, Missing, Platform, SourceImage, SourceOptions,
    open,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{Image, Layer, Layout};
use offshoot_testkit::{Ignore, Listing, oracle};
use rustix::fs::{XattrFlags, setxattr};
use tempfile::{TempDir, tempdir};

use crate::docker_archives::assert_image;
use crate::layouts;

/// Where podman, buildah and skopeo keep images, if a configuration says so.
struct Storage {
    directory: TempDir,
}

impl Storage {
    /// `None` where a program is missing, or the process is not root: without, buildah needs subordinate ids.
    fn new(programs: &[&str]) -> Option<Self> {
        if !oracle::available(programs) || !oracle::root() {
            return None;
        }
        let directory = tempdir().unwrap();
        let path = directory.path();
        let configuration = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n",
            path.display()
        );
        fs::write(path.join("storage.conf"), configuration).unwrap();
        for name in ["spool", "bin", "home"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        for program in programs {
            symlink(oracle::find(program).unwrap(), path.join("bin").join(program)).unwrap();
        }
        Some(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// With no other programs than those, and what they start.
    fn options(&self) -> SourceOptions {
        let mut options = SourceOptions::new(&self.path("spool"));
        options.local = LocalOptions::default();
        let mut path = OsString::from(self.path("bin"));
        path.push(":/usr/sbin:/sbin");
        options.local.environment = [
            ("PATH", path),
            ("HOME", self.path("home").into()),
            ("CONTAINERS_STORAGE_CONF", self.path("storage.conf").into()),
        ]
        .map(|(name, value)| (name.into(), value))
        .into();
        options
    }

    fn command(&self, program: &str) -> Command {
        let mut command = oracle::command(program);
        command.env("CONTAINERS_STORAGE_CONF", self.path("storage.conf")).env("HOME", self.path("home"));
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        oracle::run(self.command(program).args(arguments)).trim().to_owned()
    }

    fn source(&self, name: &str) -> Box<dyn ImageSource> {
        open(&name.parse().unwrap(), &self.options()).unwrap()
    }

    fn resolve(&self, name: &str) -> Result<SourceImage, Error> {
        self.source(name).resolve(&Platform::host())
    }

    fn images(&self) -> usize {
        self.run("buildah", &["images", "-q", "--no-trunc"]).lines().count()
    }
}

fn config_digest(image: &SourceImage) -> String {
    image.config.as_ref().unwrap().digest.hex()
}

#[test]
fn images_that_skopeo_has_put_there() {
    for (giver, programs) in [("buildah", &["skopeo", "buildah"][..]), ("skopeo", &["skopeo"])] {
        let Some(storage) = Storage::new(programs) else { return };
        let (lower, upper) = (layouts::tar(b"lower"), layouts::tar(b"upper"));
        let layout = storage.path("layout");
        // Layers of every compression come out as the tars that they were.
        let image = Image::new().layer(Layer::gzip(&lower)).layer(Layer::zstd(&upper));
        Layout::create(&layout).add("x", &image);
        for name in ["localhost/own:v1", "docker.io/library/theirs:latest", "example.com/team/app:v2"] {
            let (from, to) = (format!("oci:{}:x", layout.display()), format!("containers-storage:{name}"));
            storage.run("skopeo", &["--insecure-policy", "copy", "-q", &from, &to]);
        }
        let expected = layouts::resolve(&layouts::name(&layout, "x")).unwrap();
        let id = config_digest(&expected);
        for name in ["localhost/own:v1", "own:v1", "theirs", "example.com/team/app:v2", &id, &id[..12]] {
            let source = storage.source(&format!("containers-storage:{name}"));
            let image = assert_image(source.as_ref(), &[&lower, &upper]);
            assert_eq!(
                image.config.unwrap().bytes,
                expected.config.as_ref().unwrap().bytes,
                "{giver} {name}"
            );
        }
        for name in ["own", "nosuch", "example.com/nosuch:v1", &"0".repeat(64)] {
            let error = storage.resolve(&format!("containers-storage:{name}")).unwrap_err();
            assert!(
                matches!(&error, Error::NotFound(Missing::LocalImage { program, .. }) if *program == giver),
                "{error:?}"
            );
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        let error =
            storage.source("containers-storage:own:v1").resolve(&"linux/s390x".parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::NoPlatform { .. }), "{error:?}");
        assert_eq!(fs::read_dir(storage.path("spool")).unwrap().count(), 0);
    }
}

/// A file with all that is lost easily.
fn precious(directory: &Path, name: &str, uid: u32, gid: u32, mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, name).unwrap();
    chown(&path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// `cap_net_raw+ep`, as the kernel stores it (`struct vfs_cap_data`, revision 2).
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn owners_permissions_and_capabilities_survive() {
    let Some(storage) = Storage::new(&["buildah", "skopeo", "umoci", "tar"]) else { return };
    let container = storage.run("buildah", &["from", "scratch"]);
    let root = PathBuf::from(storage.run("buildah", &["mount", &container]));
    fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(root.join("d")).unwrap();
    let directory = root.join("d");
    chown(&directory, Some(70_000), Some(3_000_000_000)).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o3771)).unwrap();
    precious(&directory, "setuid", 0, 0, 0o4755);
    precious(&directory, "setgid", 1000, 70_001, 0o2711);
    precious(&directory, "large", 4_294_967_294, 65_536, 0o640);
    let capable = precious(&directory, "capable", 0, 0, 0o755);
    setxattr(&capable, "security.capability", &NET_RAW, XattrFlags::empty()).unwrap();
    let noted = precious(&directory, "noted", 0, 0, 0o600);
    setxattr(&noted, "user.note", b"a\0=b\n", XattrFlags::empty()).unwrap();
    fs::hard_link(directory.join("setuid"), directory.join("twin")).unwrap();
    symlink("../elsewhere", directory.join("link")).unwrap();
    let made = Listing::of(&root);
    storage.run("buildah", &["commit", "-q", "--rm", &container, "precious:v1"]);

    // What the source hands over, extracted by tar, is what umoci makes of the image as skopeo copies it, and
    // what was put in.
    let source = storage.source("containers-storage:precious:v1");
    let image = source.resolve(&Platform::host()).unwrap();
    let ours = storage.path("ours");
    fs::create_dir(&ours).unwrap();
    for layer in layouts::layers(source.as_ref(), &image) {
        let file = storage.path("layer.tar");
        fs::write(&file, layer).unwrap();
        let mut tar = storage.command("tar");
        tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-xpf"]);
        oracle::run(tar.arg(file).arg("-C").arg(&ours));
    }
    let layout = format!("oci:{}:x", storage.path("layout").display());
    let from = "containers-storage:localhost/precious:v1";
    storage.run("skopeo", &["--insecure-policy", "copy", "-q", from, &layout]);
    let image = format!("{}:x", storage.path("layout").display());
    let bundle = storage.path("bundle");
    oracle::run(storage.command("umoci").args(["unpack", "--image", &image]).arg(&bundle));
    let ours = Listing::of(&ours);
    // The roots themselves are made by whoever unpacks.
    let ignore = Ignore { mtime_of: &[""], nanoseconds: true, ..Ignore::default() };
    ours.assert_same(&Listing::of(&bundle.join("rootfs")), &ignore);
    ours.assert_same(&made, &ignore);
    assert_eq!(ours.entries().len(), made.entries().len());
}

fn context(storage: &Storage) -> PathBuf {
    let context = storage.path("context");
    fs::create_dir_all(context.join("files")).unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY files /files\nENV NAME=value\n").unwrap();
    fs::write(context.join("files/a"), "a").unwrap();
    context
}

#[test]
fn a_dockerfile_is_built_when_its_context_has_changed() {
    let Some(storage) = Storage::new(&["buildah", "tar"]) else { return };
    let context = context(&storage);
    let name = format!("dockerfile:{}", context.display());
    let build = || {
        let image = storage.resolve(&name).unwrap();
        (config_digest(&image), storage.images())
    };
    let source = storage.source(&name);
    let image = source.resolve(&Platform::host()).unwrap();
    let parsed = ImageConfig::parse(&image.config.as_ref().unwrap().bytes).unwrap();
    assert_eq!(parsed.platform, Some(Platform::host()));
    assert!(parsed.env.contains(&("NAME".to_owned(), "value".to_owned())));
    let layers = layouts::layers(source.as_ref(), &image);
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    assert_eq!(parsed.diff_ids, diff_ids);
    let first = (config_digest(&image), storage.images());

    // The time of a file is not its contents.
    fs::write(context.join("files/a"), "a").unwrap();
    assert_eq!(build(), first);
    // Elsewhere, it is the same context.
    let moved = storage.path("moved");
    fs::rename(&context, &moved).unwrap();
    let image = storage.resolve(&format!("dockerfile:{}", moved.display())).unwrap();
    assert_eq!((config_digest(&image), storage.images()), first);
    fs::rename(&moved, &context).unwrap();

    fs::write(context.join("files/a"), "changed").unwrap();
    let second = build();
    assert_ne!(second.0, first.0);
    assert_eq!(build(), second);
    // Back to what was built before.
    fs::write(context.join("files/a"), "a").unwrap();
    assert_eq!(build().0, first.0);

    // For another platform it is another image; nothing runs in it.
    let other: Platform = "linux/s390x".parse().unwrap();
    let image = storage.source(&name).resolve(&other).unwrap();
    let parsed = ImageConfig::parse(&image.config.unwrap().bytes).unwrap();
    assert_eq!(parsed.platform, Some(other));
    assert_eq!(fs::read_dir(storage.path("spool")).unwrap().count(), 0);
}

#[test]
fn a_build_that_fails_says_why() {
    let Some(storage) = Storage::new(&["buildah"]) else { return };
    let context = context(&storage);
    let name = format!("dockerfile:{}", context.display());
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY missing /\n").unwrap();
    let error = storage.resolve(&name).unwrap_err();
    let Error::Program { program: "buildah", operation: "build", problem, .. } = &error else {
        panic!("{error:?}")
    };
    let said = problem.to_string();
    assert!(said.contains("STEP 2/2: COPY missing /") && said.contains("no such file"), "{said}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    fs::remove_file(context.join("Dockerfile")).unwrap();
    let error = storage.resolve(&name).unwrap_err();
    assert!(matches!(&error, Error::NotFound(Missing::Dockerfile(path)) if *path == context), "{error:?}");
    let error = storage.resolve(&format!("dockerfile:{}", context.join("files/a").display())).unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error:?}");
    let error = storage.resolve(&format!("dockerfile:{}/gone", context.display())).unwrap_err();
    assert!(matches!(error, Error::NotFound(Missing::Path(_))), "{error:?}");
}
