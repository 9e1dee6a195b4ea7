use super::case::{Case, layer};
use super::outcome::{INTEGRITY, Outcome, made, refused};
use super::tree::contents;
use crate::layout::TarEntry;

pub(super) fn cases() -> Vec<Case> {
    let with = |name: &str, xattrs: &[(&str, &[u8])], outcome: Outcome| {
        let entry = entry(xattrs);
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let kept = |name: &str, key: &str, value: &[u8]| {
        let line = format!("f f {key}={} \"x\"", contents(value));
        let entry = entry(&[(key, value)]);
        layer(name, move |tar| tar.entry(&entry), made([line]))
    };
    let plain = || made([r#"f f "x""#]);
    let acl: &[u8] =
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\0\x10\0\0\x04\0\x04\0\xff\xff\xff\xff\
        \x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
    // The mask is the group's bits of the mode.
    let masked: &[u8] =
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\0\x10\0\0\x04\0\x04\0\xff\xff\xff\xff\
        \x10\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
    let capability: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let large = vec![b'v'; 64 << 10];
    let block = vec![b'v'; 4000];
    let named = |length: usize| format!("user.{}", "n".repeat(length - 5));
    let many: Vec<(String, Vec<u8>)> = (0..300).map(|n| (format!("user.{n}"), vec![b'v'])).collect();
    let many: Vec<(&str, &[u8])> =
        many.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    vec![
        kept("user.", "user.a", b"\0\n=\xff").like_umoci(),
        kept("trusted.", "trusted.a", b"v"),
        kept("security. of nobody", "security.evil", b"v"),
        kept("overlayfs's opaque mark", "trusted.overlay.opaque", b"y"),
        kept("overlayfs's redirection to the host", "trusted.overlay.redirect", b"/../../etc"),
        kept("another's record of an owner", "user.containers.override_stat", b"0:0:4777"),
        kept("an empty value", "user.a", b""),
        kept("a name of 255 bytes", &named(255), b"v"),
        kept("a value that fills ext4's block", "user.a", &block),
        with(
            "a file capability",
            &[("security.capability", capability)],
            made([format!("f f security.capability={} \"x\"", contents(capability))]),
        ),
        with(
            "an access list",
            &[("system.posix_acl_access", acl)],
            // The mode has the last word, where it is set after the list.
            made([format!("f f system.posix_acl_access={} \"x\"", contents(acl))])
                .but_unpacked([format!("f f system.posix_acl_access={} \"x\"", contents(masked))]),
        ),
        with(
            "an access list that is none",
            &[("system.posix_acl_access", b"garbage")],
            plain().but_build(1, "is not a valid access control list"),
        ),
        with("system. of the kernel's own", &[("system.nfs4_acl", b"v"), ("system.data", b"v")], plain()),
        with(
            "namespaces that Linux has not",
            &[("com.apple.quarantine", b"v"), ("a", b"v"), ("os2.x", b"v")],
            plain(),
        ),
        with("namespaces without a name", &[("user.", b"v"), ("trusted.", b"v"), ("user", b"v")], plain()),
        with(
            "an empty name",
            &[("", b"v")],
            refused(INTEGRITY, "the name of an extended attribute is not possible"),
        ),
        with(
            "a name of 256 bytes",
            &[(&named(256), b"v")],
            refused(INTEGRITY, "the name of an extended attribute is not possible"),
        ),
        with(
            "a NUL byte in a name",
            &[("user.a\0b", b"v")],
            refused(INTEGRITY, "the name of an extended attribute is not possible"),
        ),
        with(
            "a value of 64 KiB",
            &[("user.a", &large)],
            made([format!("f f user.a={} \"x\"", contents(&large))])
                .but_build(1, "take 65560 bytes, more than the 4064 that there are")
                .where_the_host_can(),
        ),
        with(
            "two values of 64 KiB and more",
            &[("user.a", &large), ("user.b", &large)],
            refused(INTEGRITY, "exceeds the limit of 131072 bytes of extended attributes"),
        ),
        with(
            "three hundred attributes",
            &many,
            refused(INTEGRITY, "exceeds the limit of 256 extended attributes"),
        ),
        layer(
            "on a link, a device and a directory",
            |tar| {
                let on = |path: &str, kind| TarEntry {
                    link: b"t".to_vec(),
                    device: (1, 3),
                    ..entry_at(path, kind, &[("trusted.a", b"v")])
                };
                tar.entry(&TarEntry { mode: 0o777, ..on("l", b'2') })
                    .entry(&on("c", b'3'))
                    .entry(&on("d", b'5'))
            },
            made([r#"c c trusted.a="v" 1:3"#, r#"d d trusted.a="v""#, r#"l l trusted.a="v" -> "t""#]),
        ),
        layer(
            "user. on a link, which the kernel has not",
            |tar| {
                tar.entry(&TarEntry {
                    link: b"t".to_vec(),
                    mode: 0o777,
                    ..entry_at("l", b'2', &[("user.a", b"v")])
                })
            },
            made([r#"l l -> "t""#]),
        ),
    ]
}

fn entry(xattrs: &[(&str, &[u8])]) -> TarEntry {
    TarEntry { contents: b"x".to_vec(), ..entry_at("f", b'0', xattrs) }
}

fn entry_at(path: &str, kind: u8, xattrs: &[(&str, &[u8])]) -> TarEntry {
    let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    TarEntry { xattrs, ..TarEntry::new(path, kind) }
}
