//! What strace sees: names are only ever looked up one at a time, below a directory that is open.

use offshoot_testkit::{oracle, scratch_directory};

/// Whatever takes a path.
const CALLS: &str = "trace=%file";

#[test]
fn no_path_of_an_image_is_walked() {
    if !oracle::root() || !oracle::available(&["strace"]) {
        return;
    }
    let directory = scratch_directory();
    let mut seen = Vec::new();
    for test in [
        "native::attributes",
        "native::every_kind_of_node",
        "native::hard_links_across_directories_leave_times_alone",
        "overriding::as_root",
    ] {
        let trace = directory.path().join("trace");
        let mut strace = oracle::command("strace");
        strace.args(["-f", "-Y", "-qq", "-s", "4096", "-e", CALLS, "-o"]).arg(&trace);
        strace.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--test-threads=1"]);
        let printed = oracle::run(&mut strace);
        assert!(printed.contains("1 passed"), "{printed}");
        let trace = std::fs::read_to_string(&trace).unwrap();
        for call in trace.lines().filter(|line| line.contains("<unpack>") || line.contains(" linkat(")) {
            let call = call.split_once('>').unwrap().1.trim_start();
            let Some((name, arguments)) = call.split_once('(') else { continue };
            assert!(is_harmless(name, arguments), "{call}");
            seen.push(name.to_owned());
        }
    }
    for expected in [
        "openat",
        "openat2",
        "mkdirat",
        "symlinkat",
        "mknodat",
        "utimensat",
        "fchownat",
        "lsetxattr",
        "linkat",
    ] {
        assert!(seen.iter().any(|name| name == expected), "{expected}: {seen:?}");
    }
}

fn is_harmless(name: &str, arguments: &str) -> bool {
    let paths: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    let single = |path: &str| !path.contains('/') && !matches!(path, "" | "." | "..");
    let relative = !arguments.starts_with("AT_FDCWD");
    match name {
        "utimensat" if paths.is_empty() => true,
        // Both names, and a link that is linked to is not followed.
        "linkat" => {
            paths.iter().all(|path| single(path))
                && !arguments.contains("AT_FDCWD")
                && !arguments.contains("SYMLINK_FOLLOW")
        }
        // Made, not looked up: the first path is what the link says.
        "symlinkat" => single(paths[1]) && !arguments.contains("AT_FDCWD"),
        "mkdirat" | "mknodat" => relative && single(paths[0]),
        "openat" | "utimensat" | "fchownat" | "newfstatat" => {
            relative && arguments.contains("NOFOLLOW") && paths.iter().all(|path| single(path))
        }
        "openat2" => ["RESOLVE_BENEATH", "RESOLVE_NO_SYMLINKS", "RESOLVE_NO_MAGICLINKS", "RESOLVE_NO_XDEV"]
            .iter()
            .all(|flag| arguments.contains(flag)),
        // The directory that is open, and one name that is not followed.
        "lsetxattr" => {
            let rest = paths[0].strip_prefix("/proc/self/fd/").and_then(|rest| rest.split_once('/'));
            rest.is_some_and(|(number, name)| number.parse::<u32>().is_ok() && single(name))
        }
        // What is open already.
        "fchmodat" => paths[0].strip_prefix("/proc/self/fd/").is_some_and(|rest| rest.parse::<u32>().is_ok()),
        _ => false,
    }
}
