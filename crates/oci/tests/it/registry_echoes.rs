//! A registry that puts into its answers what it was told, wherever text of an answer could get into a message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offshoot_oci::{Credentials, Error, ErrorKind, Platform, Secret, login};
use offshoot_testkit::layout::{CONFIG, INDEX, MANIFEST};
use offshoot_testkit::registry::{Auth, Fault};
use serde_json::{Value, json};

use crate::registry_fixture::{Fixture, line, read};

const USER: &str = "somebody";
/// With what is written otherwise in URLs, in JSON and in Rust's strings.
const PASSWORD: &str = r#"Correct/horse's "battery" \staple"#;
/// What goes with the user `_json_key`: a file, as it is.
const KEY: &str =
    "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN\\nMIIx+y/z=\\n-----END\\n\"\r\n}\n";
/// The first token that there is.
const TOKEN: &str = "secret-token-0";

/// A word like a secret, that nobody was told.
fn harmless(secret: &str) -> String {
    let turned = secret.chars().map(|character| match character {
        'a'..='m' | 'A'..='M' => char::from_u32(u32::from(character) + 13).unwrap(),
        'n'..='z' | 'N'..='Z' => char::from_u32(u32::from(character) - 13).unwrap(),
        other => other,
    });
    turned.collect()
}

/// What somebody who has heard of a secret could look for.
fn forms(secret: &str) -> Vec<String> {
    let json = |text: &str| inside(&serde_json::to_string(text).unwrap());
    let quoted = |text: &str| inside(&format!("{text:?}"));
    // Its ends say nothing.
    let secret = secret.trim();
    let forms = [
        secret.to_owned(),
        secret.replace(char::is_control, ""),
        secret.replace(char::is_control, " "),
        quoted(secret),
        quoted(&quoted(secret)),
        json(secret),
        quoted(&json(secret)),
        escaped_for_url(secret),
    ];
    forms.iter().map(|form| form.to_lowercase()).collect()
}

/// Without the quotes.
fn inside(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

fn escaped_for_url(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

fn faults(body: &Value) -> Vec<Fault> {
    vec![Fault::Body(body.to_string().into_bytes())]
}

/// An answer for one thing.
type Answer = (&'static str, Vec<Fault>);

/// Each place that a word can be in, and what answers so.
fn answers(word: &str) -> Vec<Answer> {
    let error = |code: &str, message: &str| json!({"errors": [{"code": code, "message": message}]});
    let mut answers = Vec::new();
    for status in [401, 403, 404, 429, 500] {
        let refusal = |body: Value| [vec![Fault::Status(status)], faults(&body)].concat();
        answers.push(("v1", refusal(error("DENIED", word))));
        answers.push(("v1", refusal(error(word, "no"))));
        answers.push(("v1", refusal(error("DENIED", &format!("{}{word}", "long ".repeat(37))))));
        answers.push(("token", refusal(json!({"details": word, "errors": [{"code": word}]}))));
    }
    // What is left out of a message does not keep two halves apart.
    let (half, other) = word.split_at(word.len() / 2);
    answers.push((
        "v1",
        [vec![Fault::Status(403)], faults(&error("DENIED", &format!("{half}\u{7}{other}")))].concat(),
    ));
    answers.push(("token", faults(&json!({"token": [word]}))));
    answers.push(("token", faults(&json!(word))));
    answers.push(("token", faults(&json!({"token": "x", "expires_in": word}))));
    for manifest in [
        json!(word),
        json!({"schemaVersion": word}),
        json!({"schemaVersion": 2, "mediaType": word}),
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": word, "digest": "x", "size": 1}}),
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "size": 2,
            "digest": format!("sha256:{word}")}]}),
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "size": 2,
            "digest": format!("sha256:{}", "1".repeat(64)), "platform": {"os": word, "architecture": word}}]}),
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [{"mediaType": word}], "config": word}),
    ] {
        answers.push(("v1", faults(&manifest)));
    }
    let path = escaped_for_url(word);
    for location in [
        format!("http://127.0.0.1:1/{path}"),
        format!("http://127.0.0.1:1/x?{path}"),
        format!("{path}://127.0.0.1:1/"),
        format!("ftp://{path}/"),
        format!("http://u:{path}@127.0.0.1:1/"),
        format!("/{path}"),
    ] {
        answers.push(("v1", vec![Fault::Redirect(location.clone())]));
        answers.push(("token", vec![Fault::Redirect(location.clone())]));
        answers.push(("layer", vec![Fault::Redirect(location)]));
    }
    for header in ["Content-Type", "Docker-Content-Digest", "Retry-After", "Content-Range"] {
        let set = Fault::Header(header.into(), word.replace('"', "'"));
        answers.push(("v1", vec![set.clone(), Fault::Body(b"{}".to_vec())]));
        answers.push(("v1", vec![Fault::Status(503), set.clone()]));
        answers.push(("layer", vec![set]));
    }
    answers
}

/// Challenges that have a word in them.
fn challenges(word: &str) -> Vec<String> {
    let path = escaped_for_url(word);
    let scheme: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    vec![
        scheme,
        format!(r#"{} realm="x""#, word.split(' ').next().unwrap_or_default().replace('/', " ")),
        format!(r#"Bearer realm="http://127.0.0.1:1/{path}""#),
        format!(r#"Bearer realm="ftp://{path}""#),
        format!(r#"Bearer realm="{path}""#),
        format!(r#"Bearer realm="{path}:x""#),
    ]
}

/// Everything that is said of a pull that fails; its kind.
fn pulled(fixture: &Fixture) -> (String, Option<ErrorKind>) {
    let source = fixture.source();
    let image = source.resolve(&Platform::host());
    let end = image.and_then(|image| read(source.open_layer(&image, 0)).1);
    let mut said: String =
        fixture.watcher.notices.lock().unwrap().iter().map(|notice| format!("{notice:?} {notice}")).collect();
    let Err(error) = end else { return (said, None) };
    said.push_str(&shown(&error));
    (said, Some(error.kind()))
}

fn shown(error: &Error) -> String {
    format!("{} {error:?}", line(error))
}

fn fixture(auth: &Auth, credentials: &Credentials) -> Fixture {
    let mut fixture = Fixture::new(10);
    fixture.registry.auth(auth.clone());
    fixture.options.credentials = Some(credentials.clone());
    fixture
}

#[test]
fn what_a_registry_was_told_does_not_come_back() {
    let password = Credentials::password(USER, PASSWORD);
    let identity = Credentials::IdentityToken { user: None, token: Secret::new(PASSWORD) };
    let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let form = escaped_for_url(PASSWORD);
    let by_identity = Auth::tokens_by(&form);
    let basic = Auth::Basic(USER.into(), PASSWORD.into());
    let bearer = Auth::tokens_for(USER, PASSWORD);
    let mut told = 0;
    for (auth, credentials, secret) in [
        (&basic, &password, PASSWORD),
        (&basic, &password, &encoded),
        (&bearer, &password, PASSWORD),
        (&bearer, &password, TOKEN),
        (&by_identity, &identity, PASSWORD),
        (&by_identity, &identity, &form),
    ] {
        let controls = answers(&harmless(secret));
        for ((name, faults), (_, control)) in answers(secret).into_iter().zip(controls) {
            // No token can have come back before there is one.
            if name == "token" && (secret == TOKEN || *auth == basic) {
                continue;
            }
            let run = |faults: Vec<Fault>| {
                let fixture = fixture(auth, credentials);
                let name = if name == "layer" { fixture.layer.digest.clone() } else { name.to_owned() };
                fixture.registry.always(&name, faults);
                pulled(&fixture)
            };
            let (said, kind) = run(faults.clone());
            let (control_said, control_kind) = run(control);
            assert_eq!(kind, control_kind, "{name} {faults:?}: {said} for {control_said}");
            told += usize::from(is_shown(&control_said, &harmless(secret)));
            assert_hidden(&said, secret);
        }
        for (challenge, control) in challenges(secret).into_iter().zip(challenges(&harmless(secret))) {
            let run = |challenge: String| pulled(&fixture(&Auth::Nobody(challenge), credentials));
            let (said, kind) = run(challenge);
            let (control_said, control_kind) = run(control);
            assert_eq!(kind, control_kind, "{said} for {control_said}");
            told += usize::from(is_shown(&control_said, &harmless(secret)));
            // It was told nothing but what it asked for.
            if secret == PASSWORD {
                assert_hidden(&said, secret);
            }
        }
    }
    assert!(told > 60, "few places show what a registry says: {told}");
}

fn assert_hidden(said: &str, secret: &str) {
    assert!(!is_shown(said, secret), "{secret} in {said}");
}

fn is_shown(said: &str, word: &str) -> bool {
    let lower = said.to_lowercase();
    forms(word).iter().any(|form| lower.contains(form))
}

#[test]
fn a_document_that_is_as_its_digest_says_can_have_it_too() {
    let mut fixture =
        fixture(&Auth::Basic(USER.into(), PASSWORD.into()), &Credentials::password(USER, PASSWORD));
    for config in [
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": PASSWORD, "diff_ids": []}}),
        json!({"os": PASSWORD, "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}),
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [PASSWORD]}}),
        json!({"os": "linux", "architecture": "amd64", "rootfs": PASSWORD}),
        json!({"os": "linux", "architecture": "amd64", "config": PASSWORD}),
    ] {
        let digest = fixture.layout.add_document("config", CONFIG, &config);
        let size = config.to_string().len();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": CONFIG, "digest": digest, "size": size}});
        let digest = fixture.layout.add_document("echo", MANIFEST, &manifest);
        let reference = format!("{}/app@{digest}", fixture.registry.host());
        let error = fixture.open(&reference).resolve(&"linux/amd64".parse().unwrap()).unwrap_err();
        assert_hidden(&shown(&error), PASSWORD);
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": format!("sha256:{}", "1".repeat(64)), "size": 2},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": format!("sha256:{}", "2".repeat(64)), "size": 2, "urls": [PASSWORD]}]});
    fixture.layout.add_document("foreign", MANIFEST, &manifest);
    let error =
        fixture.open(&fixture.registry.reference("app", "foreign")).resolve(&Platform::host()).unwrap_err();
    assert_hidden(&shown(&error), PASSWORD);
}

#[test]
fn a_password_of_several_lines_does_not_come_back() {
    let auth = Auth::Basic("_json_key".into(), KEY.into());
    let credentials = Credentials::password("_json_key", KEY);
    let compact = KEY.replace(['\n', '\r', ' '], "");
    let joined = KEY.replace(char::is_control, "");
    let mut told = 0;
    for secret in [KEY, &compact, &joined] {
        let run = |word: &str| {
            let bodies = [
                json!({"errors": [{"code": "DENIED", "message": word}]}),
                json!({"errors": [{"code": "DENIED", "message": format!("{word:?}")}]}),
                json!({"schemaVersion": 2, "mediaType": word}),
                json!({"schemaVersion": word}),
            ];
            let answers = bodies.iter().enumerate().flat_map(|(index, body)| {
                let statuses: &[u16] = if index < 2 { &[401, 403, 404, 429, 500] } else { &[200] };
                statuses.iter().map(move |status| (*status, body))
            });
            let said = answers.map(|(status, body)| {
                let fixture = fixture(&auth, &credentials);
                let status = (status != 200).then_some(Fault::Status(status));
                fixture.registry.always("v1", status.into_iter().chain(faults(body)).collect());
                pulled(&fixture)
            });
            said.collect::<Vec<_>>()
        };
        let control = harmless(secret);
        for ((said, kind), (control_said, control_kind)) in run(secret).into_iter().zip(run(&control)) {
            assert_eq!(kind, control_kind, "{said} for {control_said}");
            // Whatever part of it.
            told += usize::from(control_said.to_lowercase().contains("freivpr"));
            assert!(!said.to_lowercase().contains("service"), "{said}");
        }
    }
    assert!(told > 20, "{told}");
}

#[test]
fn login_repeats_no_password() {
    let credentials = Credentials::password(USER, PASSWORD);
    for challenge in challenges(PASSWORD) {
        let fixture = fixture(&Auth::Nobody(challenge), &credentials);
        let host = fixture.registry.host().parse().unwrap();
        let error = login(&host, &credentials, &fixture.options).unwrap_err();
        assert_hidden(&shown(&error), PASSWORD);
    }
}

#[test]
fn short_secrets_and_names_of_ours_are_left_in_peace() {
    for password in ["e", "app", "the", "somebody", "registry", "problem", "mirrors"] {
        let credentials = Credentials::password(USER, password);
        let fixture = fixture(&Auth::Basic(USER.into(), password.into()), &credentials);
        let missing = fixture.open(&fixture.registry.reference("somebody/app", "gone"));
        let error = missing.resolve(&Platform::host()).unwrap_err();
        assert!(matches!(error, Error::Registry { .. }), "{error:?}");
        let said = line(&error);
        assert!(said.contains("/somebody/app:gone") && said.contains("no such image"), "{said}");
    }
}
