use offshoot_oci::{Reference, ReferenceProblem};
use offshoot_store::DigestError;

const HEX: &str = "7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";

/// Text, canonical, familiar. `{D}` stands for a digest.
const REFERENCES: [(&str, &str, &str); 46] = [
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

#[test]
fn what_is_not_a_reference_is_refused_for_what_it_is() {
    use ReferenceProblem as Problem;
    let long = "a/".repeat(130) + "a";
    let longest_tag = format!("a:{}", "t".repeat(128));
    assert!(longest_tag.parse::<Reference>().is_ok());
    let long_tag = "t".repeat(129);
    let cases: Vec<(String, Problem)> = [
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
    .collect();
    for (text, problem) in cases {
        let error = text.parse::<Reference>().unwrap_err();
        assert_eq!((error.reference, error.problem), (text, problem));
    }
}
