use super::case::{Case, layer};
use super::outcome::{INTEGRITY, made, refused};
use crate::layout::{Style, TarEntry, checksum};

/// ext4 has 34 bits, the first of them for 1901.
const LAST: i64 = (1 << 34) - 1 - (1 << 31);
const FIRST: i64 = -(1 << 31);

pub(super) fn cases() -> Vec<Case> {
    let time = |name: &str, mtime: (i64, u32), disk: (i64, u32)| {
        let line = |time: (i64, u32)| [format!("f f mtime={}.{:09} \"x\"", time.0, time.1)];
        let entry = TarEntry { mtime, contents: b"x".to_vec(), ..TarEntry::new("f", b'0') };
        let outcome = if mtime == disk { made(line(disk)) } else { made(line(disk)).where_the_host_can() };
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let owner = |name: &str, uid: u64, gid: u64, style| {
        let entry = TarEntry { uid, gid, style, contents: b"x".to_vec(), ..TarEntry::new("f", b'0') };
        layer(name, move |tar| tar.entry(&entry), made([format!("f f owner={uid}:{gid} \"x\"")]))
    };
    let record = |name: &str, key: &str, value: &str, outcome| {
        let records = vec![(key.as_bytes().to_vec(), value.as_bytes().to_vec())];
        let entry = TarEntry { records, contents: b"x".to_vec(), ..TarEntry::new("f", b'0') };
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let no_time = || refused(INTEGRITY, "its mtime is no number");
    vec![
        time("a second before 1970", (-1, 0), (-1, 0)).like_umoci(),
        time("a quarter of a second before 1970", (-1, 750_000_000), (-1, 750_000_000)),
        time("the first second of ext4", (FIRST, 0), (FIRST, 0)),
        time("before the first second of ext4", (FIRST - 1, 5), (FIRST, 0)),
        time("in the year 1", (-62_135_596_800, 0), (FIRST, 0)),
        time("past 2038", (1 << 31, 999_999_999), (1 << 31, 999_999_999)),
        time("the last second of ext4", (LAST, 1), (LAST, 1)),
        time("past the last second of ext4", (LAST + 1, 1), (LAST, 0)),
        record("in 292 billion years", "mtime", "9223372036854775807", {
            let line = |seconds: i64| [format!("f f mtime={seconds}.000000000 \"x\"")];
            made(line(LAST)).where_the_host_can()
        }),
        record("more than 64 bits of seconds", "mtime", "9223372036854775808", no_time()),
        record("not a number", "mtime", "NaN", no_time()),
        record("an exponent", "mtime", "1e9", no_time()),
        record("a fraction without an end", "mtime", &format!("1.{}", "9".repeat(10_000)), {
            made([r#"f f mtime=1.999999999 "x""#])
        }),
        record("the time of another clock", "atime", "-99999999999999", made([r#"f f "x""#])),
        layer(
            "a negative time in base 256",
            |tar| {
                tar.entry(&TarEntry {
                    mtime: (-86_400, 0),
                    style: Style::Gnu,
                    contents: b"x".to_vec(),
                    ..TarEntry::new("f", b'0')
                })
            },
            made([r#"f f mtime=-86400.000000000 "x""#]),
        ),
        owner("past 2³¹", (1 << 31) + 1, (1 << 31) + 2, Style::Pax),
        owner("past 2³¹ in base 256", (1 << 31) + 1, (1 << 31) + 2, Style::Gnu),
        owner("2³² − 2", 4_294_967_294, 4_294_967_294, Style::Pax),
        // To chown it means: leave it as it is.
        record("2³² − 1, which is nobody", "uid", "4294967295", refused(INTEGRITY, "its uid is no number")),
        record("a group of 2³² − 1", "gid", "4294967295", refused(INTEGRITY, "its gid is no number")),
        record(
            "2³², which is 0 to whoever cuts it",
            "uid",
            "4294967296",
            refused(INTEGRITY, "its uid is no number"),
        ),
        record("a group of 2⁶⁴", "gid", "18446744073709551616", refused(INTEGRITY, "its gid is no number")),
        record("a negative owner", "uid", "-1", refused(INTEGRITY, "its uid is no number")),
        layer(
            "a negative owner in base 256",
            |tar| {
                let mut header = [0; 512];
                header.copy_from_slice(&TarEntry::new("f", b'0').to_bytes());
                header[108..116].fill(0xff);
                checksum(&mut header);
                tar.raw(&header)
            },
            refused(INTEGRITY, "its uid is no number"),
        ),
        layer(
            "set-user-id of root, and every other bit",
            |tar| tar.file("f", 0o7777, b"x").directory("d", 0o7777),
            made(["d d mode=7777", r#"f f mode=7777 "x""#]),
        )
        .like_umoci(),
        layer(
            "no permission for anybody",
            |tar| tar.file("d/f", 0o000, b"x").directory("d", 0o000),
            made(["d d mode=0000", r#"f d/f mode=0000 "x""#]),
        ),
    ]
}
