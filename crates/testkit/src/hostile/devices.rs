use super::case::{Case, layer};
use super::outcome::{INTEGRITY, made, refused};
use crate::layout::{Tar, TarEntry, checksum};

pub(super) fn cases() -> Vec<Case> {
    let device = |name: &str, kind: u8, major: u32, minor: u32| {
        let letter = if kind == b'3' { 'c' } else { 'b' };
        layer(
            name,
            move |tar| tar.device("d", kind, major, minor),
            made([format!("{letter} d {major}:{minor}")]),
        )
    };
    let refusal = |name: &str, major: u32, minor: u32| {
        let outcome = refused(INTEGRITY, "its device number is not possible");
        layer(name, move |tar| tar.device("d", b'4', major, minor), outcome)
    };
    let raw = |name: &str, change: fn(&mut [u8; 512])| {
        let outcome = refused(INTEGRITY, "its device number is not possible");
        layer(name, move |tar| with(tar, change), outcome)
    };
    vec![
        device("the largest number", b'3', 4095, 1_048_575).like_umoci(),
        device("the host's first disk", b'4', 8, 0).like_umoci(),
        device("the host's memory", b'3', 1, 1).like_umoci(),
        device("number 0:0", b'4', 0, 0),
        device("beyond the 8 bits of old", b'4', 256, 256),
        refusal("a major number too large", 4096, 0),
        refusal("a minor number too large", 0, 1_048_576),
        raw("a negative number", |header| header[329..337].fill(0xff)),
        raw("a number that is none", |header| header[337..345].copy_from_slice(b"sda1\0\0\0\0")),
        raw("no number, in a header of before ustar", |header| header[257..265].fill(0)),
        layer(
            "called like the host's",
            |tar| tar.device("dev/sda", b'4', 8, 0).device("dev/mem", b'3', 1, 1).fifo("dev/initctl"),
            made(["d dev", "p dev/initctl", "c dev/mem 1:1", "b dev/sda 8:0"]),
        ),
        layer(
            "with a mode and an owner",
            |tar| {
                tar.entry(&TarEntry {
                    mode: 0o6666,
                    uid: 5,
                    gid: 6,
                    device: (1, 3),
                    ..TarEntry::new("null", b'3')
                })
            },
            made(["c null mode=6666 owner=5:6 1:3"]),
        ),
        layer(
            "replaced by a directory",
            |tar| tar.device("d", b'4', 8, 0).file("d/f", 0o644, b"x").fifo("p").directory("p", 0o755),
            made(["d d", r#"f d/f "x""#, "d p"]),
        ),
        layer(
            "in place of a file that was written",
            |tar| tar.file("f", 0o644, b"x").device("f", b'4', 8, 0).file("g", 0o644, b"x").fifo("g"),
            made(["b f 8:0", "p g"]),
        ),
        layer(
            "a pipe that nobody writes to",
            |tar| tar.fifo("p").file("after", 0o644, b"x"),
            made([r#"f after "x""#, "p p"]),
        )
        .like_umoci(),
    ]
}

fn with(tar: &mut Tar, change: fn(&mut [u8; 512])) -> &mut Tar {
    let mut header = [0; 512];
    header.copy_from_slice(&TarEntry::new("d", b'4').to_bytes());
    change(&mut header);
    checksum(&mut header);
    tar.raw(&header)
}
