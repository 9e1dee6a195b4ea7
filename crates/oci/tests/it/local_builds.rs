//! What buildah is asked for, and what becomes of builds that go wrong, with a buildah that is made up.

use std::fs;

use offshoot_oci::{Error, Platform, open};
use offshoot_store::VerifyError;

use crate::local_programs::{Programs, line, resolve};

/// A buildah that keeps notes: `$here/built` has the id of what it has built, `$here/asked` what it was asked.
const BUILDAH: &str = r#"
echo "$1" >>$here/asked
case "$1" in
inspect) if [ -e "$here/built" ]; then cat "$here/built"; exit; fi; echo "Error: x: image not known" >&2; exit 125;;
build)
    echo "$*" >$here/arguments
    while [ "$1" != --iidfile ]; do shift; done
    during "$2"
    printf 'sha256:%s' "$(tar -xOf $here/image.tar manifest.json | cut -d'"' -f4 | cut -d. -f1)" >"$2";;
tag) echo "$3" >$here/built;;
push) exec cat $here/image.tar;;
esac"#;

fn builder(during: &str) -> (Programs, String) {
    let programs = Programs::new();
    programs.add("buildah", &format!("during() {{ {during}; }}\n{BUILDAH}"));
    let context = programs.path().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\n").unwrap();
    (programs, format!("dockerfile:{}", context.display()))
}

#[test]
fn what_buildah_is_asked() {
    let (programs, name) = builder(":");
    let context = programs.path().join("context").display().to_string();
    programs.resolve(&name).unwrap();
    assert_eq!(programs.read("asked"), "inspect\nbuild\npush\ntag\n");
    let arguments = programs.read("arguments");
    let platform = Platform::host();
    let start = format!("build --isolation chroot --layers --pull=missing --platform {platform} --iidfile ");
    assert!(arguments.starts_with(&start), "{arguments}");
    assert!(arguments.ends_with(&format!(" --file {context}/Dockerfile -- {context}\n")), "{arguments}");
    // Built once.
    programs.resolve(&name).unwrap();
    assert_eq!(programs.read("asked"), "inspect\nbuild\npush\ntag\ninspect\npush\n");

    let (programs, name) = builder(":");
    fs::write(programs.path().join("context/.containerignore"), "x").unwrap();
    let mut options = programs.options();
    options.local.environment.insert("BUILDAH_ISOLATION".into(), "rootless".into());
    resolve(&name, &options).unwrap();
    let arguments = programs.read("arguments");
    assert!(arguments.starts_with("build --layers ") && !arguments.contains("--isolation"), "{arguments}");
    assert!(arguments.contains("/context/.containerignore --file "), "{arguments}");
}

#[test]
fn builds_that_go_wrong() {
    // A context that changes while it is built belongs to no digest.
    let (programs, name) = builder("echo changed >>$here/context/Dockerfile");
    let error = programs.resolve(&name).unwrap_err();
    assert!(
        matches!(&error, Error::Changed { path } if *path == programs.path().join("context")),
        "{error:?}"
    );
    assert!(!programs.path().join("built").exists());

    let (programs, name) = builder("exit 0");
    let error = programs.resolve(&name).unwrap_err();
    assert_eq!(line(&error), format!("buildah cannot build {name}: it did not say which image it has built"));

    let (programs, name) = builder(
        "echo STEP 1; echo 'STEP 2: RUN false'; for i in 1 2 3 4 5; do echo line $i >&2; done; echo STEP 3; \
         exit 7",
    );
    let error = programs.resolve(&name).unwrap_err();
    let said = line(&error);
    assert!(said.ends_with("exit status: 7: line 1; line 2; line 3; line 4; line 5; STEP 3"), "{said}");
    assert!(!programs.path().join("built").exists());

    // What it says of the storage is an error, not "there is no image".
    let programs = Programs::new();
    programs.add("buildah", "echo 'Error: storage is broken' >&2; exit 125");
    fs::write(programs.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let error = programs.resolve(&format!("dockerfile:{}", programs.path().display())).unwrap_err();
    assert!(line(&error).ends_with("it failed with exit status: 125: storage is broken"), "{error:?}");

    // It says that it has built another image than it gives.
    let (programs, name) = builder(&format!("printf '{}' >$1; exit 0", "1".repeat(64)));
    let error = programs.resolve(&name).unwrap_err();
    assert!(matches!(error, Error::Verify { source: VerifyError::Digest { .. }, .. }), "{error:?}");
    assert!(!programs.path().join("built").exists());
}

#[test]
fn an_image_of_another_platform_is_built_without_the_cache() {
    let (programs, name) = builder(":");
    let script = fs::read_to_string(programs.path().join("buildah")).unwrap();
    // All builds, not the last one.
    let script = script.replace("echo \"$*\" >$here/arguments", "echo \"$*\" >>$here/arguments");
    fs::write(programs.path().join("buildah"), script).unwrap();
    let source = open(&name.parse().unwrap(), &programs.options()).unwrap();
    let error = source.resolve(&"linux/s390x".parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::NoPlatform { .. }), "{error:?}");
    let arguments = programs.read("arguments");
    let calls: Vec<&str> = arguments.lines().collect();
    assert_eq!(calls.len(), 2);
    assert!(!calls[0].contains("--no-cache") && calls[1].contains("--no-cache"), "{arguments}");
    assert!(!programs.path().join("built").exists());
}
