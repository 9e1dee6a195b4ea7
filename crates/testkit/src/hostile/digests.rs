use serde_json::{Value, json};

use super::Image;
use super::case::{Case, case, tar};
use super::documents::{Document, changed, with};
use super::outcome::{INTEGRITY, NOT_FOUND, Outcome, UNSUPPORTED, refused};
use crate::layout::{self, Layer, Layout, digest};

const IMPOSSIBLE: &str = "it names an impossible digest";

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let climbing = format!("sha256:{}{victim}/precious", "../".repeat(40));
    let hex = "0123456789abcdef".repeat(4);
    // Each of them in each place where a digest stands.
    let forms: [(&str, String, Outcome); 10] = [
        ("that climbs", climbing, refused(INTEGRITY, IMPOSSIBLE)),
        ("that climbs a little", "sha256:../../index.json".to_owned(), refused(INTEGRITY, IMPOSSIBLE)),
        ("that is a path", format!("{victim}/precious"), refused(INTEGRITY, IMPOSSIBLE)),
        ("in upper case", format!("sha256:{}", hex.to_uppercase()), refused(INTEGRITY, IMPOSSIBLE)),
        ("of an algorithm in upper case", format!("SHA256:{hex}"), refused(INTEGRITY, IMPOSSIBLE)),
        ("that is short", format!("sha256:{}", &hex[..63]), refused(INTEGRITY, IMPOSSIBLE)),
        ("that is long", format!("sha256:{hex}0"), refused(INTEGRITY, IMPOSSIBLE)),
        ("with a NUL byte", format!("sha256:{}\0", &hex[..63]), refused(INTEGRITY, IMPOSSIBLE)),
        ("of nothing", String::new(), refused(INTEGRITY, IMPOSSIBLE)),
        ("of an unknown algorithm", format!("md5:{}", &hex[..32]), refused(INTEGRITY, IMPOSSIBLE)),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (name, digest, outcome) in forms {
        let value = Value::from(digest);
        cases.push(changed(
            &format!("a layer {name}"),
            Document::Manifest,
            with("/layers/0/digest", value.clone()),
            outcome.clone(),
        ));
        cases.push(changed(
            &format!("a diff_id {name}"),
            Document::Config,
            with("/rootfs/diff_ids/0", value.clone()),
            outcome.clone(),
        ));
        // What an index lists and nobody can use is passed over.
        cases.push(changed(
            &format!("a manifest {name}"),
            Document::Index,
            with("/manifests/0/digest", value),
            refused(NOT_FOUND, "has no image tagged \"x\""),
        ));
    }
    let layer = || Layer::gzip(&tar(|tar| tar.file("f", 0o644, &[7; 5000])));
    let unpromised = "is not what";
    cases.extend([
        changed(
            "a layer by SHA-512",
            Document::Manifest,
            with("/layers/0/digest", format!("sha512:{}", hex.repeat(2)).into()),
            refused(UNSUPPORTED, "only sha256 is"),
        ),
        changed(
            "a config of another size",
            Document::Manifest,
            with("/config/size", 1.into()),
            refused(INTEGRITY, unpromised),
        ),
        changed(
            "a layer of a negative size",
            Document::Manifest,
            with("/layers/0/size", (-1).into()),
            refused(INTEGRITY, "it cannot be parsed"),
        ),
        changed(
            "a layer of a broken size",
            Document::Manifest,
            with("/layers/0/size", json!(1.5)),
            refused(INTEGRITY, "it cannot be parsed"),
        ),
        changed(
            "a layer of 16 EiB",
            Document::Manifest,
            with("/layers/0/size", u64::MAX.into()),
            refused(INTEGRITY, unpromised),
        ),
        changed(
            "a config of 16 EiB",
            Document::Manifest,
            with("/config/size", u64::MAX.into()),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "the manifest as its own config",
            Document::Manifest,
            |mut manifest| {
                manifest["config"] = json!({"mediaType": layout::CONFIG, "size": 2, "digest": digest(b"{}")});
                super::documents::bytes(&manifest)
            },
            refused(NOT_FOUND, &digest(b"{}")),
        ),
        lying("a layer with another digest", layer().with_wrong_digest(), refused(INTEGRITY, unpromised)),
        lying("a layer with another diff_id", layer().with_wrong_diff_id(), refused(INTEGRITY, "(diff_id)")),
        lying("a layer of which a part is there", layer().truncated(20), refused(INTEGRITY, unpromised)),
        lying("a layer of which nothing is there", layer().truncated(0), refused(INTEGRITY, unpromised)),
        lying("a layer that is not there", layer().missing(), refused(NOT_FOUND, &layer().digest)),
        case(
            "two layers in each other's place",
            Image::Layout(Box::new(|place| {
                let (a, b) = (tar(|tar| tar.file("a", 0o644, b"a")), tar(|tar| tar.file("b", 0o644, b"b")));
                let (mut first, mut second) = (Layer::gzip(&a), Layer::gzip(&b));
                std::mem::swap(&mut first.diff_id, &mut second.diff_id);
                Layout::create(place).add("x", &layout::Image::new().layer(first).layer(second));
            })),
            refused(INTEGRITY, "(diff_id)"),
        ),
    ]);
    cases
}

fn lying(name: &str, layer: Layer, outcome: Outcome) -> Case {
    let image = Image::Layout(Box::new(move |place| {
        Layout::create(place).add("x", &layout::Image::new().layer(layer.clone()));
    }));
    case(name, image, outcome)
}
