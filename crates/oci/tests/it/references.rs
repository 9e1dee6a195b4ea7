use offshoot_oci::{Platform, Reference, ReferenceProblem};
use offshoot_store::DigestError;
use offshoot_testkit::oracle;

use crate::registry_fixture::Fixture;

const HEX: &str = "7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";

/// Text, canonical, familiar. `{D}` stands for a digest.
const REFERENCES: [(&str, &str, &str); 70] = [
    ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
    ("alpine:3.21", "docker.io/library/alpine:3.21", "alpine:3.21"),
    ("alpine@{D}", "docker.io/library/alpine@{D}", "alpine@{D}"),
    ("alpine:3.21@{D}", "docker.io/library/alpine:3.21@{D}", "alpine:3.21@{D}"),
    ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
    ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
    ("docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
    ("index.docker.io/alpine:1", "docker.io/library/alpine:1", "alpine:1"),
    ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
    ("team/app", "docker.io/team/app:latest", "team/app:latest"),
    ("docker.io/team/app:v1", "docker.io/team/app:v1", "team/app:v1"),
    ("team/group/app", "docker.io/team/group/app:latest", "team/group/app:latest"),
    ("library/group/app", "docker.io/library/group/app:latest", "library/group/app:latest"),
    ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
    ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
    ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
    ("localhost:5000/app:v1@{D}", "localhost:5000/app:v1@{D}", "localhost:5000/app:v1@{D}"),
    ("docker.io/localhost/app", "docker.io/localhost/app:latest", "docker.io/localhost/app:latest"),
    ("docker.io/my.team/app", "docker.io/my.team/app:latest", "docker.io/my.team/app:latest"),
    ("registry.example.com/app", "registry.example.com/app:latest", "registry.example.com/app:latest"),
    (
        "registry.example.com:443/a/b/c:d",
        "registry.example.com:443/a/b/c:d",
        "registry.example.com:443/a/b/c:d",
    ),
    (
        "registry.example.com/library/app",
        "registry.example.com/library/app:latest",
        "registry.example.com/library/app:latest",
    ),
    ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
    ("EXAMPLE.com/app", "EXAMPLE.com/app:latest", "EXAMPLE.com/app:latest"),
    ("xn--bcher-kva.example/app", "xn--bcher-kva.example/app:latest", "xn--bcher-kva.example/app:latest"),
    ("192.0.2.1/app", "192.0.2.1/app:latest", "192.0.2.1/app:latest"),
    ("192.0.2.1:5000/app", "192.0.2.1:5000/app:latest", "192.0.2.1:5000/app:latest"),
    ("[2001:db8::1]/app", "[2001:db8::1]/app:latest", "[2001:db8::1]/app:latest"),
    ("[2001:db8::1]:5000/app:v1", "[2001:db8::1]:5000/app:v1", "[2001:db8::1]:5000/app:v1"),
    ("host:5000/app", "host:5000/app:latest", "host:5000/app:latest"),
    ("host:65535/app", "host:65535/app:latest", "host:65535/app:latest"),
    ("a-b.c-d/app", "a-b.c-d/app:latest", "a-b.c-d/app:latest"),
    ("a_b", "docker.io/library/a_b:latest", "a_b:latest"),
    ("a__b", "docker.io/library/a__b:latest", "a__b:latest"),
    ("a-b--c---d", "docker.io/library/a-b--c---d:latest", "a-b--c---d:latest"),
    ("a.b", "docker.io/library/a.b:latest", "a.b:latest"),
    ("0", "docker.io/library/0:latest", "0:latest"),
    ("app:_x", "docker.io/library/app:_x", "app:_x"),
    ("app:V1.0-rc_1", "docker.io/library/app:V1.0-rc_1", "app:V1.0-rc_1"),
    ("app:1.", "docker.io/library/app:1.", "app:1."),
    ("host.example:80/app@{D}", "host.example:80/app@{D}", "host.example:80/app@{D}"),
    // 63 digits are a name like any other, and so are 64 with a tag.
    (
        "173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc",
        "docker.io/library/173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc:latest",
        "173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc:latest",
    ),
    (
        "7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc:x",
        "docker.io/library/7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc:x",
        "7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc:x",
    ),
    ("docker/docker:dind", "docker.io/docker/docker:dind", "docker/docker:dind"),
    // Registries by the names that they are known by, and their ways with paths.
    ("registry.example.com/a", "registry.example.com/a:latest", "registry.example.com/a:latest"),
    (
        "registry.example.com/a/b/c/d/e/f:1",
        "registry.example.com/a/b/c/d/e/f:1",
        "registry.example.com/a/b/c/d/e/f:1",
    ),
    ("registry.example.com/a@{D}", "registry.example.com/a@{D}", "registry.example.com/a@{D}"),
    ("registry.example.com/a:1@{D}", "registry.example.com/a:1@{D}", "registry.example.com/a:1@{D}"),
    (
        "registry-1.docker.io/library/alpine",
        "registry-1.docker.io/library/alpine:latest",
        "registry-1.docker.io/library/alpine:latest",
    ),
    ("index.docker.io/team/app@{D}", "docker.io/team/app@{D}", "team/app@{D}"),
    ("docker.io/alpine@{D}", "docker.io/library/alpine@{D}", "alpine@{D}"),
    (
        "123456789012.dkr.ecr.eu-west-1.example.com/team/app:v1",
        "123456789012.dkr.ecr.eu-west-1.example.com/team/app:v1",
        "123456789012.dkr.ecr.eu-west-1.example.com/team/app:v1",
    ),
    ("localhost/a/b", "localhost/a/b:latest", "localhost/a/b:latest"),
    ("localhost:1/a", "localhost:1/a:latest", "localhost:1/a:latest"),
    ("127.0.0.1:5000/a@{D}", "127.0.0.1:5000/a@{D}", "127.0.0.1:5000/a@{D}"),
    ("[::1]:5000/a@{D}", "[::1]:5000/a@{D}", "[::1]:5000/a@{D}"),
    ("a.example:05000/b", "a.example:05000/b:latest", "a.example:05000/b:latest"),
    // A number, a dot and a port each make a registry of what stands before the slash.
    ("1/2", "docker.io/1/2:latest", "1/2:latest"),
    ("1.2/3", "1.2/3:latest", "1.2/3:latest"),
    ("a:1/b", "a:1/b:latest", "a:1/b:latest"),
    ("a.b/c.d/e_f/g__h/i-j", "a.b/c.d/e_f/g__h/i-j:latest", "a.b/c.d/e_f/g__h/i-j:latest"),
    ("a/b.c", "docker.io/a/b.c:latest", "a/b.c:latest"),
    ("a/localhost", "docker.io/a/localhost:latest", "a/localhost:latest"),
    ("localhosts/a", "docker.io/localhosts/a:latest", "localhosts/a:latest"),
    // Tags that look like something else.
    ("a:sha256", "docker.io/library/a:sha256", "a:sha256"),
    ("a:0", "docker.io/library/a:0", "a:0"),
    ("a:A_B.C-D", "docker.io/library/a:A_B.C-D", "a:A_B.C-D"),
    ("sha256:7173b809", "docker.io/library/sha256:7173b809", "sha256:7173b809"),
];

#[test]
fn every_form_has_one_canonical_text() {
    let digest = format!("sha256:{HEX}");
    for (text, canonical, familiar) in REFERENCES.map(|(text, canonical, familiar)| {
        [text, canonical, familiar].map(|form| form.replace("{D}", &digest)).into()
    }) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), canonical);
        assert_eq!(reference.familiar(), familiar);
        for form in [canonical, familiar] {
            assert_eq!(form.parse().as_ref(), Ok(&reference), "{form}");
        }
    }
}

#[test]
fn parts() {
    let reference: Reference = format!("localhost:5000/a/b:v1@sha256:{HEX}").parse().unwrap();
    assert_eq!(
        (reference.domain(), reference.path(), reference.tag()),
        ("localhost:5000", "a/b", Some("v1"))
    );
    assert_eq!(reference.digest().unwrap().hex(), HEX);
    let untagged: Reference = format!("a@sha256:{HEX}").parse().unwrap();
    assert_eq!(untagged.tag(), None);
    let pinned = "a".parse::<Reference>().unwrap().with_digest(untagged.digest().unwrap());
    assert_eq!(pinned.to_string(), format!("docker.io/library/a:latest@sha256:{HEX}"));
    let json = serde_json::to_string(&pinned).unwrap();
    assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), pinned);
    assert!(serde_json::from_str::<Reference>("\"A B\"").is_err());
}

/// What is not a reference, and why.
fn refused() -> Vec<(String, ReferenceProblem)> {
    use ReferenceProblem as Problem;
    let long = "a/".repeat(130) + "a";
    let longest_tag = format!("a:{}", "t".repeat(128));
    assert!(longest_tag.parse::<Reference>().is_ok());
    let long_tag = "t".repeat(129);
    [
        ("", Problem::Empty),
        ("https://registry.example.com/app", Problem::Scheme),
        ("docker://app", Problem::Scheme),
        (HEX, Problem::Identifier),
        ("App", Problem::UpperCase("App".into())),
        ("team/App", Problem::UpperCase("team/App".into())),
        ("library/Alpine:3", Problem::UpperCase("library/Alpine".into())),
        ("a:", Problem::Tag(String::new())),
        ("a:.x", Problem::Tag(".x".into())),
        ("a:-x", Problem::Tag("-x".into())),
        ("a:x y", Problem::Tag("x y".into())),
        ("a:é", Problem::Tag("é".into())),
        ("a:b:c", Problem::Component("a:b".into())),
        ("a@", Problem::Digest(DigestError::Malformed(String::new()))),
        ("a@sha256:", Problem::Digest(DigestError::Malformed("sha256:".into()))),
        ("a@sha256:../../x", Problem::Digest(DigestError::Malformed("sha256:../../x".into()))),
        ("a@sha512:00", Problem::Digest(DigestError::Algorithm("sha512".into()))),
        ("a@b@c", Problem::Digest(DigestError::Malformed("b@c".into()))),
        ("@sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc", Problem::NoRepository),
        ("registry.example.com/", Problem::NoRepository),
        ("registry.example.com/:v1", Problem::NoRepository),
        (":v1", Problem::NoRepository),
        ("/app", Problem::Component(String::new())),
        ("a//b", Problem::Component(String::new())),
        ("a/", Problem::Component(String::new())),
        ("../etc/passwd", Problem::Domain("..".into())),
        ("./a", Problem::Domain(".".into())),
        ("a/../b", Problem::Component("..".into())),
        ("a..b", Problem::Component("a..b".into())),
        ("a___b", Problem::Component("a___b".into())),
        ("a._b", Problem::Component("a._b".into())),
        ("-a", Problem::Component("-a".into())),
        ("a-", Problem::Component("a-".into())),
        ("_a", Problem::Component("_a".into())),
        ("a b", Problem::Component("a b".into())),
        ("é", Problem::Component("é".into())),
        ("a\0b", Problem::Component("a\0b".into())),
        ("a\n", Problem::Component("a\n".into())),
        ("-a.example/app", Problem::Domain("-a.example".into())),
        ("a-.example/app", Problem::Domain("a-.example".into())),
        ("a..example/app", Problem::Domain("a..example".into())),
        ("a_b.example/app", Problem::Domain("a_b.example".into())),
        (".example/app", Problem::Domain(".example".into())),
        ("[2001:db8::1/app", Problem::Domain("[2001:db8::1".into())),
        ("[nonsense:]/app", Problem::Domain("[nonsense:]".into())),
        ("[::1]x:5/app", Problem::Domain("[::1]x:5".into())),
        ("host:/app", Problem::Port(String::new())),
        ("host:port/app", Problem::Port("port".into())),
        ("host:0/app", Problem::Port("0".into())),
        ("host:65536/app", Problem::Port("65536".into())),
        ("host:+80/app", Problem::Port("+80".into())),
    ]
    .map(|(text, problem)| (text.to_owned(), problem))
    .into_iter()
    .chain([(long.clone(), Problem::TooLong(long.len())), (format!("a:{long_tag}"), Problem::Tag(long_tag))])
    .collect()
}

#[test]
fn what_is_not_a_reference_is_refused_for_what_it_is() {
    for (text, problem) in refused() {
        let error = text.parse::<Reference>().unwrap_err();
        assert_eq!((error.reference, error.problem), (text, problem));
    }
}

/// Skopeo's parser is that of Docker, of some years ago.
#[test]
fn skopeo_agrees_on_what_is_a_reference() {
    if !oracle::available(&["skopeo"]) {
        return;
    }
    // The destination is checked after the source, and nobody is asked anything.
    let accepts = |text: &str| {
        let mut command = oracle::command("skopeo");
        let output = oracle::output(command.args(["copy", &format!("docker://{text}"), "nowhere:at-all"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match (said.contains("Invalid source name"), said.contains("Invalid destination name")) {
            (true, _) => Err(said),
            (_, true) => Ok(()),
            _ => panic!("{said}"),
        }
    };
    let digest = format!("sha256:{HEX}");
    for text in REFERENCES.map(|(text, ..)| text.replace("{D}", &digest)) {
        let name_and_tag = text.split('@').next().unwrap_or_default();
        let both = text.contains('@') && name_and_tag.rsplit('/').next().unwrap_or_default().contains(':');
        let newer = text.starts_with("Registry/") || text.starts_with('[');
        match accepts(&text) {
            Ok(()) => {}
            Err(said) if both => assert!(said.contains("both a tag and digest"), "{said}"),
            // An upper-case registry and an IPv6 address came later.
            Err(_) if newer => {}
            Err(said) => panic!("{said}"),
        }
    }
    for (text, problem) in refused() {
        // A port's range and other digests are nothing that it looks at; an impossible registry it takes for a part
        // of the repository, and is then left without one.
        let ours = matches!(problem, ReferenceProblem::Port(_))
            || matches!(problem, ReferenceProblem::Digest(DigestError::Algorithm(_)))
            || text == "a_b.example/app";
        // No argument of a program has a NUL.
        if !text.contains('\0') && !ours {
            assert!(accepts(&text).is_err(), "{text:?}");
        }
    }
}

/// What is asked for is what skopeo asks for.
#[test]
fn skopeo_asks_for_the_same() {
    if !oracle::available(&["skopeo"]) {
        return;
    }
    let fixture = Fixture::new(10);
    let digest = &fixture.manifest;
    let host = fixture.registry.host();
    for rest in
        ["app", "app:v1", "app:V1.0-rc_1", "a/b/c:v1", "a-b__c.d/e:x", "library/app", "app@{D}", "a/b@{D}"]
    {
        let text = format!("{host}/{}", rest.replace("{D}", digest));
        let asked = |before: usize| {
            let seen = fixture.registry.seen().split_off(before);
            seen.into_iter().map(|seen| seen.path).find(|path| path.contains("/manifests/"))
        };
        let mut before = fixture.registry.seen().len();
        let mut command = oracle::command("skopeo");
        oracle::output(command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{text}")]));
        let theirs = asked(before);
        before = fixture.registry.seen().len();
        let _ = fixture.open(&text).resolve(&Platform::host());
        assert!(theirs.is_some());
        assert_eq!(asked(before), theirs, "{text}");
    }
}
