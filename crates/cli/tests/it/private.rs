//! Whose a store is: its owner's alone, whatever the umask, and nobody's without a right to it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::registry::{Auth, Registry};
use offshoot_testkit::{oracle, scratch_directory};

use crate::program::{Store, failure, program, text};

/// Somebody who is nobody else.
const USER: u32 = 54321;

fn all(directory: &Path) -> Vec<PathBuf> {
    let mut paths = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { paths.extend(all(&path)) } else { paths.push(path) }
    }
    paths
}

fn layout(directory: &Path) -> String {
    let tar = Tar::new().file("etc/motd", 0o644, b"hello\n").file("big", 0o644, &[7; 1 << 20]).finish();
    Layout::create(directory).add("v1", &Image::new().layer(Layer::gzip(&tar)));
    format!("oci:{}:v1", directory.display())
}

/// What people do, from the first pull to the last collection.
fn whole_life(image: &str) -> Vec<Vec<String>> {
    let size = ["--size", "32M"];
    let commands: [&[&str]; 17] = [
        &["pull", image],
        &["build", image, "--name", "base", size[0], size[1]],
        &["clone", "base", "vm-1", "--size", "64M"],
        &["clone", "base", "vm-2", "--strategy", "qcow2"],
        &["clone", "base", "vm-3", "--strategy", "copy", "--read-only"],
        &["clone", "base", "vm-4", "--strategy", "hardlink", "--read-only"],
        &["clone", "base", "vm-5", "--as", "dir"],
        &["grow", "vm-1", "96M"],
        &["reset", "vm-1"],
        &["snapshot", "vm-1", "snapshot"],
        &["clones"],
        &["inspect", "base"],
        &["verify"],
        &["df"],
        &["doctor"],
        &["release", "vm-2"],
        &["gc", "--grace", "0s"],
    ];
    commands.iter().map(|command| command.iter().map(|&word| word.to_owned()).collect()).collect()
}

#[test]
fn modes_are_the_same_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let directory = scratch_directory();
        let image = layout(&directory.path().join("layout"));
        let store = directory.path().join("parent/store");
        for arguments in whole_life(&image) {
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask]).arg(program());
            shell.arg("--store").arg(&store).args(["--progress", "none"]).args(&arguments);
            oracle::run(&mut shell);
        }
        for path in all(&store) {
            // What a clone's directory holds is the image's.
            if path.strip_prefix(&store).unwrap().starts_with("clones/vm-5/rootfs")
                && !path.ends_with("clones/vm-5/rootfs")
            {
                continue;
            }
            let metadata = path.symlink_metadata().unwrap();
            let sealed = path.ends_with("rootfs.ext4")
                && (path.starts_with(store.join("templates"))
                    || ["vm-3", "vm-4"].iter().any(|vm| path.parent().unwrap().ends_with(vm)));
            let expected = match (metadata.is_dir(), sealed) {
                (true, _) if path.ends_with("clones/vm-5/rootfs") => continue,
                (true, _) => 0o700,
                (false, true) => 0o444,
                (false, false) => 0o600,
            };
            assert_eq!(metadata.mode() & 0o7777, expected, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn nothing_needs_root() {
    if !oracle::root() || !oracle::available(&["setpriv"]) {
        return;
    }
    // The user can get neither to the sources of this project nor to what is built of them.
    let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let image = layout(&home.join("layout"));
    let own = home.join("offshoot");
    fs::copy(program(), &own).unwrap();
    for path in all(&home) {
        chown(&path, Some(USER), Some(USER)).unwrap();
    }
    let command = |arguments: &[String]| {
        let mut command = oracle::command("setpriv");
        let user = USER.to_string();
        command.args([
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--inh-caps=-all",
            "--no-new-privs",
        ]);
        command.arg(&own).args(["--progress", "none"]).args(arguments);
        command.env_clear().env("HOME", &home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    };
    for arguments in whole_life(&image) {
        oracle::run(&mut command(&arguments));
    }
    let store = home.join(".local/share/offshoot");
    assert!(store.join("clones/vm-1/rootfs.ext4").is_file());
    for path in all(&store) {
        assert_eq!(path.symlink_metadata().unwrap().uid(), USER, "{}", path.display());
    }
    oracle::e2fsck(&store.join("clones/vm-1/rootfs.ext4"));
    // Root does not use it as if it were its own.
    let (message, code) = Store::at(&store).fails(&["clones"]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains(&format!("user {USER}")) && message.contains("--store"), "{message}");
    // And a record of root's in it is not believed.
    let record = store.join("clones/vm-1/clone.json");
    chown(&record, Some(0), None).unwrap();
    let arguments = ["clone", "base", "vm-1"].map(str::to_owned);
    let mut refused = command(&arguments);
    let (message, _) = failure(&oracle::output(&mut refused), &refused);
    assert!(message.contains("clone.json"), "{message}");
}

#[test]
fn stores_that_others_could_change_are_refused() {
    let directory = scratch_directory();
    let open = directory.path().join("open");
    let store = Store::at(open.join("store"));
    store.run(&["clones"]);
    for (path, mode, word) in
        [(&open, 0o777, "chmod go-w"), (&store.path, 0o770, "chmod go-w"), (&store.path, 0o702, "chmod go-w")]
    {
        let before = path.metadata().unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let link = directory.path().join("link");
        symlink(&store.path, &link).unwrap();
        for place in [&store.path, &link] {
            let (message, code) = Store::at(place).fails(&["clones"]);
            assert_eq!(code, 1, "{message}");
            assert!(message.contains(word) && message.contains(text(path)), "{message}");
        }
        fs::remove_file(&link).unwrap();
        fs::set_permissions(path, before).unwrap();
    }
    // Where only owners can remove what is theirs, as in /tmp.
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    store.run(&["clones"]);
    // A store that is readable is made private only when it is made; verify says so.
    fs::set_permissions(&store.path, Permissions::from_mode(0o755)).unwrap();
    let output = oracle::output(&mut store.command(&["verify"]));
    assert_eq!(output.status.code(), Some(5));
    store.run(&["verify", "--repair"]);
    assert_eq!(store.path.metadata().unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn no_secret_is_kept_or_told() {
    let directory = scratch_directory();
    layout(&directory.path().join("layout"));
    let (user, password) = ("somebody", "correct-horse-battery");
    for auth in [
        Auth::Basic(user.to_owned(), password.to_owned()),
        Auth::Bearer {
            user: Some((user.to_owned(), password.to_owned())),
            identity: None,
            realm: None,
            expires_in: None,
            field: "token",
        },
    ] {
        let registry = Registry::serve(&directory.path().join("layout"));
        registry.auth(auth);
        let store = Store::at(directory.path().join(format!("store-{}", registry.host().replace(':', "-"))));
        let reference = registry.reference("app", "v1");
        let (right, wrong) = (format!("{user}:{password}"), format!("{user}:{password}-not"));
        let mut told = Vec::new();
        for arguments in [
            vec!["-v", "--progress", "json", "pull", "--plain-http", "--creds", &wrong, &reference],
            vec!["-v", "--progress", "json", "pull", "--plain-http", "--creds", &right, &reference],
            vec![
                "--format",
                "json",
                "build",
                "--plain-http",
                "--creds",
                &right,
                &reference,
                "--name",
                "base",
            ],
            vec!["--format", "json", "clone", "base", "vm"],
            vec!["inspect", &reference],
            vec!["--format", "json", "verify"],
        ] {
            let mut command = Command::new(program());
            let output = oracle::output(command.arg("--store").arg(&store.path).args(&arguments));
            told.extend(output.stdout);
            told.extend(output.stderr);
        }
        // In base64, with the user and without.
        let secrets =
            [password, "c29tZWJvZHk6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "Bearer "];
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("\"reference\"") && store.path.join("clones/vm").is_dir(), "{told}");
        for secret in secrets {
            assert!(!told.contains(secret), "{secret} in {told}");
            let mut grep = oracle::command("grep");
            let output = oracle::output(grep.args(["-rlaF", "-e", secret]).arg(&store.path));
            assert_eq!(output.status.code(), Some(1), "{secret}: {}", oracle::describe(&grep, &output));
        }
        assert!(
            oracle::run(oracle::command("grep").args(["-rlaF", "hello"]).arg(&store.path)).contains("data")
        );
    }
}
