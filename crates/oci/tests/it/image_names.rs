use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use offshoot_oci::{ImageName, ImageNameProblem, PathOrStdin};
use offshoot_store::{Digest, DigestError};

fn layout(directory: &str, tag: Option<&str>, digest: Option<Digest>) -> ImageName {
    ImageName::OciLayout { directory: directory.into(), tag: tag.map(str::to_owned), digest }
}

fn archive(file: PathOrStdin, tag: Option<&str>) -> ImageName {
    ImageName::OciArchive { file, tag: tag.map(str::to_owned), digest: None }
}

fn path(path: &str) -> PathOrStdin {
    PathOrStdin::Path(path.into())
}

#[test]
fn transports_and_references() {
    let digest = Digest::of(b"x");
    let registry = |text: &str| ImageName::Registry(text.parse().unwrap());
    for (text, expected, display) in [
        ("alpine", registry("alpine"), "docker.io/library/alpine:latest"),
        ("docker://alpine", registry("alpine"), "docker.io/library/alpine:latest"),
        // `docker` is an image, too; only with slashes is it the transport.
        ("docker:dind", registry("docker:dind"), "docker.io/library/docker:dind"),
        ("docker://dir:1", registry("dir:1"), "docker.io/library/dir:1"),
        ("docker://oci:5000/x", registry("oci:5000/x"), "docker://oci:5000/x:latest"),
        ("scratch", registry("scratch"), "docker.io/library/scratch:latest"),
        ("scratch:", ImageName::Scratch, "scratch:"),
        ("oci:out", layout("out", None, None), "oci:out"),
        ("oci:out:dev", layout("out", Some("dev"), None), "oci:out:dev"),
        ("oci:/a/b:x/y:z", layout("/a/b", Some("x/y:z"), None), "oci:/a/b:x/y:z"),
        ("oci:-", layout("-", None, None), "oci:-"),
        ("oci:a@b", layout("a@b", None, None), "oci:a@b"),
        ("oci:a:b@c", layout("a", Some("b@c"), None), "oci:a:b@c"),
        ("oci-archive:x.tar", archive(path("x.tar"), None), "oci-archive:x.tar"),
        ("oci-archive:x.tar:v1", archive(path("x.tar"), Some("v1")), "oci-archive:x.tar:v1"),
        ("oci-archive:-", archive(PathOrStdin::Stdin, None), "oci-archive:-"),
        ("oci-archive:-:v1", archive(PathOrStdin::Stdin, Some("v1")), "oci-archive:-:v1"),
        ("oci-archive:./-", archive(path("./-"), None), "oci-archive:./-"),
        (
            "docker-archive:x.tar:app:v1",
            ImageName::DockerArchive { file: path("x.tar"), tag: Some("app:v1".into()) },
            "docker-archive:x.tar:app:v1",
        ),
        ("docker-daemon:app:v1", ImageName::DockerDaemon("app:v1".into()), "docker-daemon:app:v1"),
        (
            "containers-storage:[vfs@/x]app:v1",
            ImageName::ContainersStorage("[vfs@/x]app:v1".into()),
            "containers-storage:[vfs@/x]app:v1",
        ),
        ("dockerfile:.", ImageName::Dockerfile(".".into()), "dockerfile:."),
        ("dir:/a:b", ImageName::Directory("/a:b".into()), "dir:/a:b"),
        ("tar:/a:b.tar.gz", ImageName::Tar(path("/a:b.tar.gz")), "tar:/a:b.tar.gz"),
        ("tar:-", ImageName::Tar(PathOrStdin::Stdin), "tar:-"),
        ("tar:https://x", ImageName::Tar(path("https://x")), "tar:https://x"),
    ] {
        let name: ImageName = text.parse().unwrap();
        assert_eq!(name, expected);
        assert_eq!(name.to_string(), display);
        assert_eq!(display.parse().as_ref(), Ok(&name));
    }
    for (prefix, tag) in [("oci:out", None), ("oci:out:dev", Some("dev"))] {
        let text = format!("{prefix}@{digest}");
        assert_eq!(text.parse(), Ok(layout("out", tag, Some(digest))));
        assert_eq!(layout("out", tag, Some(digest)).to_string(), text);
    }
    // A file that is called `-` is not standard input.
    assert_eq!(ImageName::Tar(path("-")).to_string(), "tar:./-");
}

#[test]
fn what_names_no_image() {
    let problem = |text: &str| text.parse::<ImageName>().unwrap_err().problem;
    for (text, form) in [
        ("oci:", "oci:DIR[:TAG][@DIGEST]"),
        ("oci::tag", "oci:DIR[:TAG][@DIGEST]"),
        ("oci-archive:", "oci-archive:FILE[:TAG][@DIGEST]"),
        ("docker-archive::x", "docker-archive:FILE[:TAG]"),
        ("docker-daemon:", "docker-daemon:NAME"),
        ("containers-storage:", "containers-storage:NAME"),
        ("dockerfile:", "dockerfile:DIR"),
        ("dir:", "dir:DIR"),
        ("tar:", "tar:FILE"),
        ("scratch:x", "scratch: alone"),
    ] {
        assert_eq!(problem(text), ImageNameProblem::Form(form), "{text}");
    }
    assert_eq!(problem("oci:a:"), ImageNameProblem::EmptyTag);
    assert_eq!(problem("tar:a\0b"), ImageNameProblem::Nul);
    assert_eq!(
        problem("oci:a@sha256:12"),
        ImageNameProblem::Digest(DigestError::Malformed("sha256:12".into()))
    );
    for text in ["", "docker://", "A", "file:///etc/passwd", "docker://https://x"] {
        assert!(matches!(problem(text), ImageNameProblem::Reference(_)), "{text}");
    }
}

#[test]
fn one_key_however_a_path_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let real = root.join("layout");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink("layout", root.join("link")).unwrap();
    let canonical = |text: String| text.parse::<ImageName>().unwrap().canonical();
    let expected = format!("oci:{}:v1", real.display());
    for spelling in ["layout", "./layout/", "link", "layout/../layout", "link/."] {
        assert_eq!(canonical(format!("oci:{}/{spelling}:v1", root.display())).unwrap(), expected);
    }
    let relative = ImageName::Directory(".".into()).canonical().unwrap();
    assert_eq!(
        relative,
        format!("dir:{}", std::env::current_dir().unwrap().canonicalize().unwrap().display())
    );
    // What does not exist any more still has its key.
    assert_eq!(
        canonical(format!("tar:{}/gone", root.display())).unwrap(),
        format!("tar:{}/gone", root.display())
    );
    assert_eq!(canonical("oci-archive:-:x".into()).unwrap(), "oci-archive:-:x");
    assert_eq!(canonical("alpine".into()).unwrap(), "docker.io/library/alpine:latest");
    // These keys could be those of another name.
    let colon = ImageName::OciLayout { directory: root.join("a:b"), tag: None, digest: None };
    assert_eq!(colon.canonical().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let bytes = ImageName::Directory(PathBuf::from(std::ffi::OsString::from_vec(b"/x\xff".to_vec())));
    assert_eq!(bytes.canonical().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
