use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use offshoot_store::{Digest, Hasher};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ignore_file::IgnoreRules;
use crate::directory::file_xattrs;
use crate::{Error, Missing, Platform, ProgramProblem, Watch, bounded_file};

/// What buildah takes for the recipe, in this order.
const RECIPES: [&str; 2] = ["Containerfile", "Dockerfile"];
/// Changes when anything about the digest does.
const SCHEME: &[u8] = b"offshoot context 1\n";

/// A directory that an image is built from.
#[derive(Debug)]
pub(super) struct Context {
    /// The source's name, for errors.
    what: String,
    /// Absolute.
    pub(super) directory: PathBuf,
    /// Its Containerfile or Dockerfile.
    pub(super) recipe: PathBuf,
    /// What says which of its files are not for the build.
    pub(super) ignore_file: Option<PathBuf>,
}

/// A digest in the making.
struct Digesting<'a> {
    what: &'a str,
    hasher: Hasher,
    rules: IgnoreRules,
    watch: &'a dyn Watch,
}

impl Context {
    pub(super) fn open(what: &str, directory: &Path) -> Result<Self, Error> {
        let path = directory.canonicalize().map_err(Error::io("open", directory))?;
        if !path.is_dir() {
            let expected = "a directory with a Dockerfile";
            return Err(Error::WrongKind { path: directory.to_owned(), expected, found: "not a directory" });
        }
        let below = |name: &str| Some(path.join(name)).filter(|path| path.is_file());
        let Some((name, recipe)) = RECIPES.iter().find_map(|name| Some((name, below(name)?))) else {
            return Err(Missing::Dockerfile(directory.to_owned()).into());
        };
        let ignore_files = [
            format!("{name}.containerignore"),
            format!("{name}.dockerignore"),
            ".containerignore".to_owned(),
            ".dockerignore".to_owned(),
        ];
        let ignore_file = ignore_files.iter().find_map(|name| below(name));
        Ok(Self { what: what.to_owned(), directory: path, recipe, ignore_file })
    }

    /// The digest of all that a build may read of it, and of what it is built for: recipe, names, permissions, contents,
    /// link targets, capabilities. Owners and times do not count: a copy of the context is the same context.
    pub(super) fn digest(&self, platform: &Platform, watch: &dyn Watch) -> Result<Digest, Error> {
        let recipe = bounded_file::read(&self.recipe)?;
        let ignore_file = match &self.ignore_file {
            Some(path) => bounded_file::read(path)?,
            None => Vec::new(),
        };
        let recipe_text = String::from_utf8_lossy(&recipe);
        // What is mounted is the whole context.
        let rules = match mounts_context(&recipe_text) {
            true => IgnoreRules::default(),
            false => IgnoreRules::parse(&String::from_utf8_lossy(&ignore_file)),
        };
        let mut digesting = Digesting { what: &self.what, hasher: Hasher::new(), rules, watch };
        digesting.hasher.update(SCHEME);
        for part in [platform.to_string().as_bytes(), &recipe, &ignore_file] {
            digesting.part(part);
        }
        digesting.directory(&self.directory, b"", &mut Vec::new())?;
        Ok(digesting.hasher.finish())
    }
}

/// Whether a step may read the context in another way than by copying from it (`RUN --mount=type=bind`).
fn mounts_context(recipe: &str) -> bool {
    let elsewhere = ["from=", "type=cache", "type=tmpfs", "type=secret", "type=ssh"];
    recipe.split("--mount").skip(1).any(|rest| {
        let mount = rest.split_whitespace().next().unwrap_or_default();
        mount.contains('$') || !elsewhere.iter().any(|words| mount.contains(words))
    })
}

impl Digesting<'_> {
    /// So long and these bytes: what follows cannot be taken for a part of them.
    fn part(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    /// `kind` tells what sort of file it is.
    fn entry(&mut self, kind: u8, path: &[u8], mode: u32, contents: &[u8]) {
        self.hasher.update(&[kind]);
        self.part(path);
        self.hasher.update(&(mode & 0o7777).to_le_bytes());
        self.part(contents);
    }

    /// All in a directory, by the bytes of its names. `above` are directories that count as soon as something in them does.
    fn directory(
        &mut self,
        directory: &Path,
        within: &[u8],
        above: &mut Vec<(Vec<u8>, u32)>,
    ) -> Result<(), Error> {
        let read = fs::read_dir(directory).map_err(gone("read", directory))?;
        let names = read.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>().map_err(Error::io("read", directory))?;
        names.sort_unstable();
        for name in names {
            self.check()?;
            let path = directory.join(&name);
            let within = match within {
                b"" => name.as_bytes().to_owned(),
                within => [within, b"/", name.as_bytes()].concat(),
            };
            let shown = String::from_utf8_lossy(&within);
            let ignored = self.rules.ignores(&shown);
            // Not so much as looked at: it may be another's, or vanish.
            if ignored && self.rules.ignores_all_of(&shown) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).map_err(gone("read", &path))?;
            if metadata.is_dir() {
                above.push((within.clone(), metadata.mode()));
                if !ignored {
                    self.count(above);
                }
                self.directory(&path, &within, above)?;
                above.pop();
            } else if !ignored {
                self.count(above);
                self.file(&path, &within, &metadata)?;
            }
        }
        Ok(())
    }

    /// The directories that something was found in; each counts once.
    fn count(&mut self, above: &mut [(Vec<u8>, u32)]) {
        for (path, mode) in above.iter_mut().filter(|(path, _)| !path.is_empty()) {
            let path = std::mem::take(path);
            self.entry(b'd', &path, *mode, b"");
        }
    }

    fn file(&mut self, path: &Path, within: &[u8], metadata: &Metadata) -> Result<(), Error> {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(gone("read", path))?;
            self.entry(b'l', within, 0, target.as_os_str().as_bytes());
        } else if kind.is_file() {
            let (contents, mode) = self.contents(path)?;
            self.entry(b'f', within, mode, contents.to_string().as_bytes());
        } else {
            let kind = [kind.is_fifo(), kind.is_socket(), kind.is_block_device(), kind.is_char_device()];
            let contents = [kind.map(u8::from).as_slice(), &metadata.rdev().to_le_bytes()].concat();
            self.entry(b'o', within, metadata.mode(), &contents);
        }
        Ok(())
    }

    /// The digest of a file's bytes, and its permissions. The attributes that are copied with it are entered before it.
    fn contents(&mut self, path: &Path) -> Result<(Digest, u32), Error> {
        // Whatever takes the file's place meanwhile is neither followed nor waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut file: File =
            OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(gone("open", path))?;
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        if !metadata.is_file() {
            return Err(Error::Changed { path: path.to_owned() });
        }
        for (name, value) in file_xattrs(file.as_fd(), path)? {
            if name.starts_with(b"user.") || name.as_slice() == b"security.capability" {
                self.hasher.update(b"x");
                self.part(&name);
                self.part(&value);
            }
        }
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.check()?;
            match file.read(&mut buffer).map_err(Error::io("read", path))? {
                0 => return Ok((hasher.finish(), metadata.mode())),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.watch.cancelled() {
            return Err(Error::Program {
                program: "buildah",
                operation: "build",
                what: self.what.to_owned(),
                problem: ProgramProblem::Interrupted,
            });
        }
        Ok(())
    }
}

/// For `map_err`: what was there a moment ago and is not has changed.
fn gone(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::INVAL) => {
            Error::Changed { path: path.to_owned() }
        }
        _ => Error::io(operation, path)(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

    use super::*;
    use crate::{ErrorKind, Unwatched};

    fn context(directory: &Path) {
        fs::create_dir_all(directory.join("d/empty")).unwrap();
        for (name, contents) in [
            ("Dockerfile", "FROM scratch\nCOPY . /\n"),
            (".dockerignore", "ignored\n*.log\n"),
            ("a", "contents of a"),
            ("d/b", ""),
            ("ignored", "x"),
        ] {
            fs::write(directory.join(name), contents).unwrap();
        }
        symlink("a", directory.join("link")).unwrap();
        fs::write(directory.with_extension("outside"), "x").unwrap();
        symlink(directory.with_extension("outside"), directory.join("out")).unwrap();
    }

    fn digest(directory: &Path) -> Digest {
        let context = Context::open("dockerfile:x", directory).unwrap();
        context.digest(&"linux/amd64".parse().unwrap(), &Unwatched).unwrap()
    }

    #[test]
    fn what_makes_another_context() {
        type Change = fn(&Path);
        let changes: [(bool, Change); 22] = [
            (true, |path| fs::write(path.join("a"), "contents of b").unwrap()),
            (true, |path| fs::rename(path.join("a"), path.join("c")).unwrap()),
            (true, |path| fs::rename(path.join("a"), path.join("d/a")).unwrap()),
            (true, |path| fs::remove_file(path.join("d/b")).unwrap()),
            (true, |path| fs::set_permissions(path.join("a"), Permissions::from_mode(0o4755)).unwrap()),
            (true, |path| fs::set_permissions(path.join("d"), Permissions::from_mode(0o700)).unwrap()),
            (true, |path| fs::remove_dir(path.join("d/empty")).unwrap()),
            (true, |path| {
                fs::remove_dir(path.join("d/empty")).unwrap();
                fs::write(path.join("d/empty"), "").unwrap();
            }),
            (true, |path| {
                fs::remove_file(path.join("link")).unwrap();
                symlink("d", path.join("link")).unwrap();
            }),
            (true, |path| {
                fs::remove_file(path.join("link")).unwrap();
                fs::write(path.join("link"), "a").unwrap();
            }),
            (true, |path| {
                mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::from_bits_truncate(0o644), 0).unwrap();
            }),
            (true, |path| setxattr(path.join("a"), "user.note", b"x", XattrFlags::empty()).unwrap()),
            (true, |path| fs::write(path.join("Dockerfile"), "FROM scratch\nCOPY a /\n").unwrap()),
            (true, |path| fs::write(path.join("Containerfile"), "FROM scratch\nCOPY . /\n").unwrap()),
            (true, |path| fs::write(path.join(".dockerignore"), "ignored\n").unwrap()),
            (true, |path| fs::write(path.join("Dockerfile.dockerignore"), "").unwrap()),
            (false, |path| fs::write(path.join("ignored"), "another").unwrap()),
            (false, |path| fs::write(path.join("x.log"), "another").unwrap()),
            (false, |path| {
                // What is ignored is not even looked at.
                fs::remove_file(path.join("ignored")).unwrap();
                fs::create_dir_all(path.join("ignored/deep")).unwrap();
            }),
            // Links are not followed.
            (false, |path| fs::write(path.with_extension("outside"), "another").unwrap()),
            (false, |path| {
                let file = File::options().write(true).open(path.join("a")).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }),
            (false, |path| {
                fs::rename(path.join("a"), path.join("a~")).unwrap();
                fs::copy(path.join("a~"), path.join("a")).unwrap();
                fs::remove_file(path.join("a~")).unwrap();
            }),
        ];
        for (number, (expected, change)) in changes.into_iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("context");
            context(&path);
            let before = digest(&path);
            assert_eq!(digest(&path), before);
            change(&path);
            assert_eq!(digest(&path) != before, expected, "change {number}");
        }
    }

    #[test]
    fn what_else_makes_another_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("context");
        context(&path);
        let opened = Context::open("dockerfile:x", &path).unwrap();
        let of = |platform: &str| opened.digest(&platform.parse().unwrap(), &Unwatched).unwrap();
        assert_ne!(of("linux/amd64"), of("linux/arm64"));
        // A step that mounts the context sees what COPY does not.
        let recipe = "FROM scratch\nRUN --mount=type=bind,target=/x ls /x\n";
        fs::write(path.join("Dockerfile"), recipe).unwrap();
        let before = of("linux/amd64");
        fs::write(path.join("ignored"), "another").unwrap();
        assert_ne!(of("linux/amd64"), before);
    }

    #[test]
    fn steps_that_mount_the_context() {
        for (recipe, expected) in [
            ("FROM x\nCOPY . /\n", false),
            ("RUN --mount=type=bind,target=/x ls", true),
            ("RUN --mount=target=/x ls", true),
            ("RUN --mount target=/x ls", true),
            ("RUN --mount=type=$TYPE,target=/x ls", true),
            ("RUN --mount=type=cache,target=/x ls", false),
            ("RUN --mount=type=cache,target=/x --mount=target=/y ls", true),
            ("RUN --mount=type=bind,from=stage,target=/x ls", false),
        ] {
            assert_eq!(mounts_context(recipe), expected, "{recipe}");
        }
    }

    #[test]
    fn a_digest_can_be_stopped() {
        struct Stop;
        impl Watch for Stop {
            fn cancelled(&self) -> bool {
                true
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("context");
        context(&path);
        let opened = Context::open("dockerfile:x", &path).unwrap();
        let error = opened.digest(&Platform::host(), &Stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
