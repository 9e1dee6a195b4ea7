use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::Image;
use super::case::{Case, case};
use super::outcome::{Outcome, USAGE, made, refused};
use super::tree::contents;

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let victim = victim.to_owned();
    let target = victim.clone();
    vec![
        // A directory's own times and owners are those of whoever made it, and set to what the lines have.
        directory(
            "a file that would be a whiteout",
            |place| write(place, ".wh.f"),
            refused(USAGE, "a name that begins with .wh."),
        ),
        directory(
            "a directory that would be a whiteout",
            |place| make(place, "d/.wh..wh..opq"),
            refused(USAGE, ".wh. deletes a file"),
        ),
        directory(
            "links to the host",
            move |place| {
                link(place, "link", &target);
                link(place, "up", "../../../../etc");
                link(place, "loop", "loop");
            },
            made([
                format!("l link -> {}", contents(victim.as_bytes())),
                r#"l loop -> "loop""#.to_owned(),
                r#"l up -> "../../../../etc""#.to_owned(),
            ]),
        ),
        directory(
            "a pipe that nobody writes to, and a socket",
            |place| {
                pipe(&place.join("p"));
                let _ = std::os::unix::net::UnixListener::bind(place.join("s"));
            },
            // tar has no place for sockets.
            made(["p p"]),
        ),
        directory(
            "a name that is no text, and others that are strange",
            |place| {
                use std::os::unix::ffi::OsStrExt;
                for name in [&b"\xff\xfe"[..], b"a\nb", b"\\", b"-rf"] {
                    write(place, std::ffi::OsStr::from_bytes(name));
                }
            },
            made([r#"f -rf "x""#, r#"f \\ "x""#, r#"f a\nb "x""#, r#"f \xff\xfe "x""#]),
        ),
        directory(
            "257 deep",
            |place| make(place, &vec!["d"; 257].join("/")),
            refused(5, "exceeds the limit of 256 names"),
        ),
        directory(
            "a file that claims a tebibyte",
            |place| {
                let file = fs::File::create(place.join("f"));
                file.and_then(|file| file.set_len(1 << 40)).unwrap_or_else(|error| panic!("{error}"));
            },
            super::outcome::counted(1, 1 << 40),
        ),
        directory(
            "an attribute with an equals sign in its name",
            |place| {
                write(place, "f");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(place.join("f"), "user.a=b", b"v", flags)
                    .unwrap_or_else(|error| panic!("{error}"));
            },
            refused(USAGE, "its name has a \"=\""),
        ),
        directory(
            "a directory that nobody may read",
            |place| {
                make(place, "d");
                write(place, "d/f");
                let nothing = fs::Permissions::from_mode(0o000);
                fs::set_permissions(place.join("d"), nothing).unwrap_or_else(|error| panic!("{error}"));
            },
            // Root may.
            made(["d d mode=0000", r#"f d/f "x""#]),
        ),
    ]
}

/// What is put into it gets the epoch for its time, so that it can be told from what was made by accident.
fn directory(name: &str, fill: impl Fn(&Path) + 'static, outcome: Outcome) -> Case {
    let fill = move |place: &Path| {
        fill(place);
        settle(place);
    };
    case(name, Image::Directory(Box::new(fill)), outcome)
}

fn settle(path: &Path) {
    let metadata = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            settle(&entry.path());
        }
    }
    let epoch = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: epoch, last_modification: epoch };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn write(place: &Path, name: impl AsRef<Path>) {
    let path = place.join(name);
    fs::write(&path, b"x").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn make(place: &Path, name: &str) {
    let path = place.join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn link(place: &Path, name: &str, target: &str) {
    symlink(target, place.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Makes a pipe.
pub(super) fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
