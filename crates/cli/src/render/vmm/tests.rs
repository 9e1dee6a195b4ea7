use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use offshoot_testkit::oracle;
use serde_json::Value;

use super::*;

const BACKING: &str = "/store/templates/t/rootfs.ext4";

fn disk<'a>(path: &'a str, format: Format<'a>) -> Disk<'a> {
    Disk { path: path.as_ref(), format, read_only: false }
}

fn qcow2() -> Format<'static> {
    Format::Qcow2 { backing: Path::new(BACKING) }
}

fn read_only(disk: Disk<'_>) -> Disk<'_> {
    Disk { read_only: true, ..disk }
}

#[test]
fn plain_disks() {
    let raw = disk("/store/clones/vm/rootfs.ext4", Format::Raw);
    let overlay = disk("/store/clones/vm/rootfs.qcow2", qcow2());
    let directory = disk("/store/clones/vm/rootfs", Format::Directory);
    let cases = [
        (Vmm::CloudHypervisor, raw, "--disk path=/store/clones/vm/rootfs.ext4,image_type=raw,readonly=off\n"),
        (
            Vmm::CloudHypervisor,
            read_only(overlay),
            "--disk path=/store/clones/vm/rootfs.qcow2,image_type=qcow2,backing_files=on,num_queues=1,readonly=on\n",
        ),
        (
            Vmm::Libkrun,
            raw,
            "krun_add_disk2(ctx, \"root\", \"/store/clones/vm/rootfs.ext4\", KRUN_DISK_FORMAT_RAW, false);\n",
        ),
        (
            Vmm::Libkrun,
            read_only(overlay),
            "krun_add_disk2(ctx, \"root\", \"/store/clones/vm/rootfs.qcow2\", KRUN_DISK_FORMAT_QCOW2, true);\n",
        ),
        (Vmm::Libkrun, directory, "krun_set_root(ctx, \"/store/clones/vm/rootfs\");\n"),
    ];
    for (vmm, disk, expected) in cases {
        assert_eq!(configuration(vmm, &disk).unwrap(), expected);
    }
    let drive: Value =
        serde_json::from_str(&configuration(Vmm::Firecracker, &read_only(raw)).unwrap()).unwrap();
    let expected = json!({
        "drive_id": "rootfs",
        "path_on_host": "/store/clones/vm/rootfs.ext4",
        "is_root_device": true,
        "is_read_only": true,
        "cache_type": "Writeback",
        "io_engine": "Sync",
    });
    assert_eq!(drive, expected);
}

#[test]
fn qemu_is_told_every_format() {
    let node = |disk: Disk| -> Value {
        let text = configuration(Vmm::Qemu, &disk).unwrap();
        let node = text.strip_prefix("-blockdev '").unwrap();
        let node = node.strip_suffix("' -device virtio-blk-pci,drive=rootfs\n").unwrap();
        serde_json::from_str(node).unwrap()
    };
    let raw = node(disk("/a", Format::Raw));
    assert_eq!((&raw["driver"], &raw["file"]["filename"]), (&json!("raw"), &json!("/a")));
    assert_eq!((&raw["read-only"], &raw["backing"]), (&json!(false), &Value::Null));
    let overlay = node(read_only(disk("/b", qcow2())));
    assert_eq!((&overlay["driver"], &overlay["read-only"]), (&json!("qcow2"), &json!(true)));
    assert_eq!(overlay["backing"]["driver"], "raw");
    assert_eq!(overlay["backing"]["read-only"], true);
    assert_eq!(overlay["backing"]["file"], json!({ "driver": "file", "filename": BACKING }));
}

#[test]
fn what_a_vmm_cannot_have_is_refused() {
    let directory = disk("/d", Format::Directory);
    for (vmm, disk, expected) in [
        (Vmm::Firecracker, disk("/d", qcow2()), Unsupported::FirecrackerQcow2),
        (Vmm::Firecracker, directory, Unsupported::Directory),
        (Vmm::CloudHypervisor, directory, Unsupported::Directory),
        (Vmm::Qemu, directory, Unsupported::Directory),
        (Vmm::Libkrun, read_only(directory), Unsupported::ReadOnlyDirectory),
    ] {
        assert_eq!(configuration(vmm, &disk), Err(expected));
    }
}

#[test]
fn odd_paths() {
    let all = [Vmm::Firecracker, Vmm::CloudHypervisor, Vmm::Qemu, Vmm::Libkrun];
    for bytes in [&b"/a\xff"[..], b"/a\0b"] {
        let path = Path::new(OsStr::from_bytes(bytes));
        for vmm in all {
            let refused = configuration(vmm, &Disk { path, format: Format::Raw, read_only: false });
            assert!(matches!(refused, Err(Unsupported::Path { .. })), "{refused:?}");
            let above = Format::Qcow2 { backing: path };
            let refused = configuration(Vmm::Qemu, &disk("/a", above));
            assert!(matches!(refused, Err(Unsupported::Path { .. })), "{refused:?}");
        }
    }
    let end = ",image_type=raw,readonly=off";
    for (path, cloud_hypervisor, libkrun) in [
        ("/a,b=c", Some(format!("'path=\"/a,b=c\"{end}'")), r#""/a,b=c""#),
        ("/a b", Some(format!("'path=/a b{end}'")), r#""/a b""#),
        ("/it's", Some(format!(r"'path=/it'\''s{end}'")), r#""/it's""#),
        ("/$(x)`y`", Some(format!("'path=/$(x)`y`{end}'")), r#""/$(x)`y`""#),
        ("/new\nline", Some(format!("'path=/new\nline{end}'")), r#""/new\012line""#),
        ("/é1", Some(format!("'path=/é1{end}'")), r#""/\303\2511""#),
        (r"/back\slash", Some(format!(r"'path=/back\slash{end}'")), r#""/back\\slash""#),
        ("/what??/", Some(format!("'path=/what??/{end}'")), r#""/what\?\?/""#),
        ("/a\"b", None, r#""/a\"b""#),
        ("/a[1]", None, r#""/a[1]""#),
        ("/a]", None, r#""/a]""#),
        ("/end ", None, r#""/end ""#),
    ] {
        let raw = disk(path, Format::Raw);
        let said = configuration(Vmm::CloudHypervisor, &raw);
        match cloud_hypervisor {
            Some(expected) => assert_eq!(said.unwrap(), format!("--disk {expected}\n")),
            None => assert!(matches!(said, Err(Unsupported::Path { .. })), "{path}: {said:?}"),
        }
        let call = configuration(Vmm::Libkrun, &raw).unwrap();
        assert_eq!(call, format!("krun_add_disk2(ctx, \"root\", {libkrun}, KRUN_DISK_FORMAT_RAW, false);\n"));
        let drive: Value = serde_json::from_str(&configuration(Vmm::Firecracker, &raw).unwrap()).unwrap();
        assert_eq!(drive["path_on_host"], path);
    }
}

/// Starts QEMU with what is printed, put into a shell, and gives its answer to `query-block`.
fn ask_qemu(arguments: &str) -> Value {
    let qemu = oracle::find("qemu-system-x86_64").unwrap();
    let line = format!(
        "exec {} -machine q35,accel=tcg -nodefaults -display none -S -qmp stdio {arguments}",
        qemu.display()
    );
    let mut shell = oracle::command("sh");
    shell.arg("-c").arg(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let questions =
        ["qmp_capabilities", "query-block", "quit"].map(|command| json!({ "execute": command }).to_string());
    child.stdin.take().unwrap().write_all(questions.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", oracle::describe(&shell, &output));
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers.into_iter().find_map(|answer| answer["return"].get(0).cloned()).unwrap()
}

#[test]
fn qemu_takes_it() {
    if !oracle::available(&["qemu-system-x86_64", "qemu-img"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for name in
        ["plain", "a,b=c", "it's \"so\"", "$(x)`y`", "new\nline", "é", r"back\slash", "a[1]", "end ", "nbd:x"]
    {
        let backing = directory.path().join(format!("{name}.raw"));
        fs::write(&backing, vec![0; 1 << 20]).unwrap();
        let overlay = directory.path().join(format!("{name}.qcow2"));
        let mut create = oracle::command("qemu-img");
        // Where its own header would lead, there is nothing.
        create
            .args(["create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "/nowhere"])
            .arg(&overlay)
            .arg("2M");
        oracle::run(&mut create);
        let poisoned = directory.path().join(format!("{name}.poisoned"));
        fs::copy(&overlay, &poisoned).unwrap();

        let poisoned_disk = Disk { path: &poisoned, format: Format::Raw, read_only: true };
        let raw = &ask_qemu(&configuration(Vmm::Qemu, &poisoned_disk).unwrap())["inserted"];
        assert_eq!(raw["drv"], "raw", "{raw}");
        assert_eq!(raw["image"]["filename"], poisoned.to_str().unwrap());
        assert_eq!(raw["ro"], true);

        let over = Disk { path: &overlay, format: Format::Qcow2 { backing: &backing }, read_only: false };
        let inserted = &ask_qemu(&configuration(Vmm::Qemu, &over).unwrap())["inserted"];
        assert_eq!(inserted["drv"], "qcow2", "{inserted}");
        assert_eq!(inserted["ro"], false);
        let below = &inserted["image"]["backing-image"];
        assert_eq!(
            (&below["format"], &below["filename"]),
            (&json!("raw"), &json!(backing.to_str().unwrap()))
        );
    }
}
