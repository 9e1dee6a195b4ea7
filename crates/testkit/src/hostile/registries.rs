use super::Image;
use super::case::{Case, case, tar};
use super::outcome::{INTEGRITY, Outcome, made, refused};
use super::tree::contents;
use crate::layout::{self, Layer, Layout, digest};
use crate::registry::Fault;

/// What is said of a redirection that is not followed.
const NOWHERE: &str = "it redirects to nowhere";

pub(super) fn cases() -> Vec<Case> {
    let document = |name: &str, fault: Fault, outcome| of(name, None, fault, outcome);
    let blob = |name: &str, fault: Fault, outcome| of(name, Some(layer().digest), fault, outcome);
    let html = || Fault::Body(b"<html>captive portal</html>".to_vec());
    let to = |target: &str| Fault::Redirect(target.to_owned());
    vec![
        document("a page instead of a manifest", html(), refused(INTEGRITY, "the digest is sha256:")),
        document(
            "a manifest of 5 MiB of blanks",
            Fault::Huge(5 << 20),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        document(
            "a manifest by another's digest",
            Fault::Header("Docker-Content-Digest".to_owned(), digest(b"another")),
            refused(INTEGRITY, "the digest is sha256:"),
        ),
        document(
            "a manifest by a digest that climbs",
            Fault::Header("Docker-Content-Digest".to_owned(), "sha256:../../../etc/passwd".to_owned()),
            // What cannot be a digest says nothing; the tag is what the bytes are.
            made([format!("f f {}", contents(&[7; 5000]))]),
        ),
        document("a redirection to a file of the host", to("file:///etc/passwd"), refused(1, NOWHERE)),
        document("a redirection to itself", to("{}"), refused(1, "it redirects more than 5 times")),
        blob("a page instead of a layer", html(), refused(INTEGRITY, "the size is 27 bytes")),
        blob(
            "a layer that is shorter than promised",
            Fault::Short(40),
            refused(INTEGRITY, "the size is 40 bytes"),
        ),
        blob("a layer of 64 MiB of blanks", Fault::Huge(64 << 20), refused(INTEGRITY, "bytes or more")),
        blob("a redirection of a layer to the host's files", to("file:///etc/passwd"), refused(1, NOWHERE)),
        blob("a redirection to a place that is none", to("http://[::1/x y"), refused(1, NOWHERE)),
    ]
}

fn layer() -> Layer {
    Layer::plain(&tar(|tar| tar.file("f", 0o644, &[7; 5000])))
}

/// A registry that always misbehaves so when it is asked for the tag, or for that blob.
fn of(name: &str, blob: Option<String>, fault: Fault, outcome: Outcome) -> Case {
    let fill = Box::new(|place: &std::path::Path| {
        Layout::create(place).add("x", &layout::Image::new().layer(layer()));
    });
    let misbehave = Box::new(move |registry: &crate::registry::Registry| {
        registry.always(blob.as_deref().unwrap_or("x"), vec![fault.clone()]);
    });
    case(name, Image::Registry(fill, misbehave), outcome)
}
