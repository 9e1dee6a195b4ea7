//! Challenges and what they are answered with; who learns which secret, and that no message does.

use std::sync::atomic::Ordering;

use offshoot_oci::{
    Credentials, Error, ErrorKind, Platform, RealmProblem, RegistryOptions, RegistryProblem, Secret,
};
use offshoot_testkit::registry::{Auth, Fault, Seen};

use crate::registry_fixture::{Fixture, line, read};

const USER: &str = "robot$ci";
const PASSWORD: &str = "pass:word/with=all&that";

fn with_password() -> Fixture {
    let mut fixture = Fixture::new(100);
    fixture.options.credentials = Some(Credentials::password(USER, PASSWORD));
    fixture
}

fn authorization(seen: &Seen) -> Option<&str> {
    seen.header("authorization")
}

fn problem(error: &Error) -> &RegistryProblem {
    match error {
        Error::Registry { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn anonymous_tokens() {
    let fixture = Fixture::new(100);
    fixture.registry.auth(Auth::anonymous_tokens());
    fixture.assert_downloads();
    let tokens = fixture.registry.seen_of("token");
    // One for the challenge; the scope is ours, since the challenge has none.
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?service=tests&scope=repository%3Aapp%3Apull");
    assert_eq!(authorization(&tokens[0]), None);
    // The manifest twice, config and layer once.
    let others: Vec<_> =
        fixture.registry.seen().into_iter().filter(|seen| seen.plain_path() != "/token").collect();
    assert_eq!(others.len(), 4);
    assert_eq!(authorization(&others[0]), None);
    assert!(others[1..].iter().all(|seen| authorization(seen) == Some("Bearer secret-token-0")));
}

#[test]
fn tokens_for_a_password() {
    let fixture = with_password();
    fixture.registry.auth(Auth::tokens_for(USER, PASSWORD));
    fixture.assert_downloads();
    let tokens = fixture.registry.seen_of("token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].parameter("account"), Some("robot%24ci"));
    assert!(authorization(&tokens[0]).unwrap().starts_with("Basic "));
    // The registry itself sees the token only.
    let registry = fixture.registry.seen().into_iter().filter(|seen| seen.plain_path() != "/token");
    assert!(
        registry
            .filter_map(|seen| authorization(&seen).map(str::to_owned))
            .all(|own| own.starts_with("Bearer "))
    );
}

#[test]
fn tokens_for_an_identity_token() {
    let mut fixture = Fixture::new(100);
    let token = Secret::new("identity/secret+1=");
    fixture.options.credentials = Some(Credentials::IdentityToken { user: None, token });
    fixture.registry.auth(Auth::Bearer {
        user: None,
        identity: Some("identity%2Fsecret%2B1%3D".into()),
        realm: None,
        expires_in: Some(60),
        field: "access_token",
    });
    fixture.assert_downloads();
    let tokens = fixture.registry.seen_of("token");
    assert_eq!((tokens.len(), tokens[0].method.as_str(), tokens[0].path.as_str()), (1, "POST", "/token"));
    let form = "grant_type=refresh_token&client_id=offshoot&refresh_token=identity%2Fsecret%2B1%3D&service=tests&scope=repository%3Aapp%3Apull";
    assert_eq!(tokens[0].body, form);
    assert_eq!(tokens[0].header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[test]
fn basic() {
    let fixture = with_password();
    fixture.registry.auth(Auth::Basic(USER.into(), PASSWORD.into()));
    fixture.assert_downloads();
    // Nothing is said before it is asked for.
    let seen = fixture.registry.seen();
    assert_eq!((authorization(&seen[0]), seen.len()), (None, 4));
}

#[test]
fn of_several_challenges_the_token_s_is_taken() {
    let fixture = with_password();
    let realm = format!("http://{}/token", fixture.registry.host());
    let header =
        format!(r#"Negotiate, Basic realm="x", Bearer realm="{realm}",scope="repository:other/app:pull""#);
    fixture.registry.auth(Auth::Nobody(header));
    let error = fixture.resolve().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let token = &fixture.registry.seen_of("token")[0];
    // The challenge's own scope counts: some registries map names.
    assert_eq!(token.parameter("scope"), Some("repository%3Aother%2Fapp%3Apull"));
}

#[test]
fn an_expired_token_is_made_anew_once() {
    let fixture = Fixture::new(100);
    fixture.registry.auth(Auth::anonymous_tokens());
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    fixture.registry.revoke_tokens();
    let (bytes, end) = read(source.open_layer(&image, 0));
    end.unwrap();
    assert_eq!(bytes, fixture.blob());
    assert_eq!(fixture.registry.seen_of("token").len(), 2);
    assert_eq!(fixture.offsets().len(), 2);
    // One that says it is good for no time is good for the request that it was made for.
    let brief = Auth::Bearer { user: None, identity: None, realm: None, expires_in: Some(0), field: "token" };
    fixture.registry.auth(brief);
    let before = fixture.registry.seen_of("token").len();
    fixture.assert_downloads();
    assert_eq!(fixture.registry.seen_of("token").len() - before, 3);
}

#[test]
fn thirty_readers_ask_for_one_token() {
    let fixture = Fixture::new(100);
    fixture.registry.auth(Auth::anonymous_tokens());
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    fixture.registry.revoke_tokens();
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| read(source.open_layer(&image, 0)).1.unwrap());
        }
    });
    assert_eq!(fixture.registry.seen_of("token").len(), 2);
}

#[test]
fn a_loop_of_challenges_ends() {
    let fixture = with_password();
    for (challenge, requests, tokens) in [
        (format!(r#"Bearer realm="http://{}/token""#, fixture.registry.host()), 2, 1),
        (r#"Basic realm="x""#.to_owned(), 2, 0),
    ] {
        fixture.registry.auth(Auth::Nobody(challenge));
        // Its token server is let in only when there is one.
        let before = fixture.registry.seen().len();
        let error = fixture.resolve().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error:?}");
        let seen = fixture.registry.seen().split_off(before);
        let count = |name: &str| seen.iter().filter(|seen| seen.plain_path().ends_with(name)).count();
        // The token server of this registry says 401 itself.
        let requests = if tokens > 0 { 1 } else { requests };
        assert_eq!((count("/v1"), count("/token")), (requests, tokens));
        assert!(line(&error).contains(&format!("asked in the name of {USER:?}")), "{}", line(&error));
    }
    assert!(fixture.watcher.pauses.lock().unwrap().is_empty());
}

#[test]
fn a_token_that_is_not_good_enough_is_the_end() {
    let fixture = Fixture::new(100);
    let other = Fixture::new(100);
    other.registry.auth(Auth::anonymous_tokens());
    // Tokens of another registry's server.
    fixture.registry.auth(Auth::Bearer {
        user: None,
        identity: None,
        realm: Some(format!("http://{}/token", other.registry.host())),
        expires_in: None,
        field: "token",
    });
    let error = fixture.resolve().unwrap_err();
    let expected = format!(
        "cannot get {reference} from {host}: it denies access (401: UNAUTHORIZED as it was told to say); it was asked \
         without credentials: `offshoot login {host}` keeps some, --creds gives them once",
        reference = fixture.registry.reference("app", "v1"),
        host = fixture.registry.host()
    );
    assert_eq!(line(&error), expected);
    assert_eq!((fixture.registry.seen().len(), other.registry.seen().len()), (2, 1));
}

#[test]
fn challenges_that_cannot_be_answered() {
    let fixture = with_password();
    type Check = fn(&RegistryProblem) -> bool;
    let cases: [(&str, ErrorKind, Check); 7] = [
        (
            "Negotiate, NTLM",
            ErrorKind::Unsupported,
            |own| matches!(own, RegistryProblem::Challenge(schemes) if schemes == "negotiate, ntlm"),
        ),
        ("Bearer", ErrorKind::Authentication, |own| matches!(own, RegistryProblem::NoToken(_))),
        ("", ErrorKind::Authentication, |own| matches!(own, RegistryProblem::Denied { status: 401, .. })),
        (r#"Bearer realm="ftp://x.example/token""#, ErrorKind::Authentication, |own| {
            matches!(own, RegistryProblem::Realm { problem: RealmProblem::Url(_), .. })
        }),
        (r#"Bearer realm="http://u:secret@127.0.0.1/token""#, ErrorKind::Authentication, |own| {
            matches!(own, RegistryProblem::Realm { problem: RealmProblem::Url(_), .. })
        }),
        (r#"Bearer realm="http://127.0.0.1:1/token""#, ErrorKind::Unavailable, |own| {
            matches!(own, RegistryProblem::Transport(_))
        }),
        (r#"Bearer realm="/nowhere""#, ErrorKind::Authentication, |own| {
            matches!(own, RegistryProblem::Denied { .. })
        }),
    ];
    for (challenge, kind, check) in cases {
        fixture.registry.auth(Auth::Nobody(challenge.to_owned()));
        let error = fixture.resolve().unwrap_err();
        assert_eq!(error.kind(), kind, "{challenge}: {error:?}");
        assert!(check(problem(&error)), "{challenge}: {error:?}");
        assert!(!line(&error).contains("secret"));
    }
}

#[test]
fn token_servers_that_misbehave() {
    let fixture = Fixture::new(100);
    fixture.registry.auth(Auth::anonymous_tokens());
    for faults in [
        vec![Fault::Body(b"<html>".to_vec())],
        vec![Fault::Body(b"{}".to_vec())],
        vec![Fault::Body(br#"{"token":""}"#.to_vec())],
        vec![Fault::Body(br#"{"token":"a\nb"}"#.to_vec())],
        vec![Fault::Body(br#"{"token":7}"#.to_vec())],
        vec![Fault::Huge(2 << 20)],
        vec![Fault::Status(404)],
    ] {
        fixture.registry.faults("token", faults.clone());
        let error = fixture.resolve().unwrap_err();
        assert!(matches!(problem(&error), RegistryProblem::NoToken(_)), "{faults:?} {error:?}");
        assert_eq!(error.kind(), ErrorKind::Authentication);
    }
    fixture.registry.fault("token", Fault::Status(503));
    fixture.registry.fault("token", Fault::Hangup);
    fixture.registry.fault("token", Fault::CutAfter(5));
    fixture.resolve().unwrap();
    assert_eq!(fixture.watcher.pauses.lock().unwrap().len(), 3);
}

#[test]
fn redirects_do_not_take_credentials_along() {
    for auth in [Auth::Basic(USER.into(), PASSWORD.into()), Auth::tokens_for(USER, PASSWORD)] {
        let fixture = with_password();
        let storage = Fixture::new(100);
        fixture.registry.auth(auth);
        let away = format!("http://{}{{}}", storage.registry.host());
        fixture.registry.always(&fixture.layer.digest, vec![Fault::Redirect(away)]);
        // Another name for the same address is another host.
        let port = fixture.registry.host().split_once(':').unwrap().1.to_owned();
        let alias = format!("http://localhost:{port}{{}}");
        fixture.registry.fault(&fixture.config(), Fault::Redirect(alias));
        let error = fixture.resolve().unwrap_err();
        assert!(matches!(problem(&error), RegistryProblem::Storage { status: 401, .. }), "{error:?}");
        fixture.assert_downloads();
        assert!(!storage.registry.seen().is_empty());
        assert!(storage.registry.seen().iter().all(|seen| authorization(seen).is_none()));
        let config = fixture.registry.seen_of(&fixture.config());
        assert!(config.iter().any(|seen| authorization(seen).is_none()));
        // And back home, they are there again.
        let back = format!("http://{}{{}}?back", fixture.registry.host());
        storage.registry.fault(&fixture.layer.digest, Fault::Redirect(back));
        fixture
            .registry
            .fault(&fixture.layer.digest, Fault::Redirect(format!("http://{}{{}}", storage.registry.host())));
        fixture.registry.always(&fixture.layer.digest, vec![]);
        fixture.assert_downloads();
    }
}

#[test]
fn a_token_server_s_redirect_does_not_take_the_password_along() {
    let fixture = with_password();
    let other = Fixture::new(100);
    other.registry.auth(Auth::anonymous_tokens());
    fixture.registry.auth(Auth::tokens_for(USER, PASSWORD));
    fixture
        .registry
        .always("token", vec![Fault::Redirect(format!("http://{}/token", other.registry.host()))]);
    // The two count their tokens alike, so this one is good.
    fixture.resolve().unwrap();
    let seen = other.registry.seen();
    assert_eq!((seen.len(), authorization(&seen[0])), (1, None));
    assert!(authorization(&fixture.registry.seen_of("token")[0]).is_some());
}

/// Everything that can be shown of whatever can go wrong, searched for everything that is secret.
#[test]
fn no_message_has_a_secret() {
    const SECRETS: [&str; 5] = [PASSWORD, "secret", "cm9ib3Qk", "signature", "Basic "];
    let mut shown: Vec<String> = Vec::new();
    let echo = |secret: &str| {
        let message = format!("you said {secret}");
        let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]});
        vec![Fault::Status(403), Fault::Body(body.to_string().into_bytes())]
    };
    for auth in [Auth::Anybody, Auth::Basic(USER.into(), PASSWORD.into()), Auth::tokens_for(USER, PASSWORD)] {
        for broken in ["v1", "token", "layer"] {
            let fixture = with_password();
            fixture.registry.auth(auth.clone());
            let name = if broken == "layer" { fixture.layer.digest.as_str() } else { broken };
            let encoded = "cm9ib3QkY2k6cGFzczp3b3JkL3dpdGg9YWxsJnRoYXQ=";
            for faults in [
                // The first token that there is.
                echo("secret-token-0"),
                vec![Fault::Hangup],
                vec![Fault::Garbage],
                vec![Fault::Status(500)],
                vec![Fault::Status(429), Fault::Header("Retry-After".into(), "9999".into())],
                vec![Fault::Redirect("http://127.0.0.1:1/x?signature=secret".into())],
                vec![Fault::Redirect("http://u:secret@127.0.0.1:1/x".into())],
                vec![Fault::Redirect("ftp://127.0.0.1:1/x?signature=secret".into())],
                vec![Fault::Redirect(format!("http://{}/nothing?signature=secret", fixture.registry.host()))],
                vec![Fault::Body(b"secret".to_vec())],
                echo(PASSWORD),
                echo(encoded),
            ] {
                fixture.registry.always(name, faults.clone());
                let source = fixture.source();
                let image = source.resolve(&Platform::host());
                let end = image.and_then(|image| read(source.open_layer(&image, 0)).1);
                let Err(error) = end else { continue };
                let text = format!("{} {error:?}", line(&error));
                // What a registry was never told, it does not have from us.
                let told = match auth {
                    Auth::Anybody => !text.contains("you said"),
                    Auth::Basic(..) => !text.contains("you said secret-token"),
                    _ => true,
                };
                if told {
                    shown.push(text);
                }
            }
            shown.push(format!("{:?} {:?}", fixture.options, fixture.source_options()));
            shown.extend(fixture.watcher.notices.lock().unwrap().iter().map(ToString::to_string));
        }
    }
    assert!(shown.len() > 100, "{}", shown.len());
    for text in &shown {
        let text = text.replace("(secret)", "");
        let text = if text.contains("you said") { text } else { text.replace("secret-token", "") };
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let options = RegistryOptions {
        credentials: Some(Credentials::RegistryToken(Secret::new("x7x"))),
        ..Default::default()
    };
    assert!(!format!("{options:?}").contains("x7x"));
}

#[test]
fn waiting_for_a_token_ends_when_it_is_cancelled() {
    let fixture = Fixture::new(100);
    fixture.registry.auth(Auth::anonymous_tokens());
    fixture.registry.fault("token", Fault::StallAfter(3));
    fixture.watcher.cancelled.store(true, Ordering::SeqCst);
    assert_eq!(fixture.resolve().unwrap_err().kind(), ErrorKind::Interrupted);
}
