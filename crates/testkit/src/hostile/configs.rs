use serde_json::{Value, json};

use super::case::Case;
use super::documents::{Document, RIGHT, changed, instead, with, without};
use super::outcome::{INTEGRITY, NOT_FOUND, UNSUPPORTED, made, refused};

const UNPARSED: &str = "it cannot be parsed";

pub(super) fn cases() -> Vec<Case> {
    let shape = |name: &str, bytes: &[u8]| {
        changed(name, Document::Config, instead(bytes), refused(INTEGRITY, UNPARSED))
    };
    let bad = |name: &str, path, value| {
        changed(name, Document::Config, with(path, value), refused(INTEGRITY, UNPARSED))
    };
    let fine = |name: &str, path, value| changed(name, Document::Config, with(path, value), made(RIGHT));
    vec![
        shape("no bytes at all", b""),
        shape("bytes that are no text", b"{\"os\": \"\xff\"}"),
        shape("a list", b"[]"),
        shape("null", b"null"),
        shape("a hundred thousand brackets", "{\"a\":".repeat(100_000).as_bytes()),
        shape("the same key twice", br#"{"os": "linux", "os": "linux"}"#),
        changed(
            "more than 4 MiB",
            Document::Config,
            with("/history", json!(["x".repeat(4 << 20)])),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "an empty object",
            Document::Config,
            instead(b"{}"),
            refused(INTEGRITY, "has 1 layers, and its config has 0 diff_ids"),
        ),
        changed(
            "no rootfs",
            Document::Config,
            without("rootfs"),
            refused(INTEGRITY, "its config has 0 diff_ids"),
        ),
        changed(
            "diff_ids that are null",
            Document::Config,
            with("/rootfs/diff_ids", Value::Null),
            refused(INTEGRITY, "its config has 0 diff_ids"),
        ),
        bad("diff_ids that are a word", "/rootfs/diff_ids", "sha256:".into()),
        bad("a rootfs that is a list", "/rootfs", json!([])),
        changed(
            "a rootfs of Windows",
            Document::Config,
            with("/rootfs/type", "windows".into()),
            refused(INTEGRITY, "its rootfs is of the type \"windows\""),
        ),
        changed(
            "a diff_id by SHA-512",
            Document::Config,
            with("/rootfs/diff_ids/0", format!("sha512:{}", "0".repeat(128)).into()),
            refused(UNSUPPORTED, "only sha256 is"),
        ),
        bad("a config that is a list", "/config", json!([])),
        bad("an environment that is a word", "/config/Env", "A=b".into()),
        bad("a user that is a number", "/config/User", 0.into()),
        bad("labels that are a list", "/config/Labels", json!(["a"])),
        bad("a system that is a number", "/os", 1.into()),
        changed(
            "a system that is no name",
            Document::Config,
            with("/os", "li nux".into()),
            refused(INTEGRITY, "its platform is impossible"),
        ),
        changed(
            "another system",
            Document::Config,
            with("/os", "plan9".into()),
            refused(NOT_FOUND, "the image is plan9/"),
        ),
        fine("a config that is null", "/config", Value::Null),
        fine("no system", "/os", "".into()),
        fine(
            "ports that are none",
            "/config/ExposedPorts",
            json!({"99999": {}, "-1/tcp": {}, "../x": {}, "": {}}),
        ),
        fine("a working directory that climbs", "/config/WorkingDir", "../../../proc/self/fd/7".into()),
        fine("volumes that climb", "/config/Volumes", json!({"../../../etc": {}, "/": {}, "": {}})),
        fine("users that are none", "/config/User", "../../root:-1".into()),
        fine(
            "an environment without equals signs",
            "/config/Env",
            json!(["", "=", "=x", "A", "LD_PRELOAD=/x\n\u{0}"]),
        ),
        fine("commands with anything in them", "/config/Cmd", json!(["\u{1b}[2J", "$(id)", "", "\u{0}"])),
        fine(
            "labels with anything in them",
            "/config/Labels",
            json!({"": null, "a\nb": "\u{202e}", "../x": "y"}),
        ),
        fine("ten thousand labels", "/config/Labels", labels(10_000)),
        fine("a time that is none", "/created", "yesterday".into()),
        fine("a signal that is none", "/config/StopSignal", "SIGFOO; reboot".into()),
        fine("a history that does not fit", "/history", json!([{"empty_layer": false}, 7, null])),
        fine("what nobody knows", "/config/OnBuild", json!({"RUN": ["rm -rf /"]})),
    ]
}

fn labels(count: usize) -> Value {
    (0..count).map(|n| (format!("label-{n}"), Value::from("v"))).collect::<serde_json::Map<_, _>>().into()
}
