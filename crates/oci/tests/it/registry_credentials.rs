//! Where credentials are looked for: files in order, their forms, helpers, the environment.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use offshoot_oci::{
    Credentials, CredentialsError, CredentialsFormError, Environment, ErrorKind, RegistryLimits, Secret,
    logout,
};
use offshoot_testkit::registry::Auth;
use serde_json::json;

use crate::registry_fixture::line;
use crate::registry_home::{Home, PASSWORD, USER, right, wrong};

#[test]
fn files_are_read_in_their_order() {
    // The last of them is right, all before are wrong; then each is taken away.
    let order = ["run/containers/auth.json", "config/containers/auth.json", "docker/config.json"];
    for right_one in 0..order.len() {
        let home = Home::new();
        for (index, file) in order.iter().enumerate() {
            home.write(file, &if index == right_one { right() } else { wrong() });
        }
        for file in &order[..right_one] {
            assert!(!home.is_let_in());
            fs::remove_file(home.path.join(file)).unwrap();
        }
        assert!(home.is_let_in());
        // A file that knows nothing of the registry leads to the next.
        for file in &order[..right_one] {
            home.write(file, &json!({"auths": {"other.example.com": {"auth": "eDp5"}}}));
        }
        assert!(home.is_let_in());
    }
    let mut home = Home::new();
    assert!(!home.is_let_in());
    // What is named comes before all, and is the only one.
    home.write(order[0], &right());
    home.fixture.options.environment.registry_auth_file = Some(home.write("named", &wrong()));
    assert!(!home.is_let_in());
    home.write("named", &json!({}));
    assert!(!home.is_let_in());
    home.fixture.options.auth_file = Some(home.write("option", &right()));
    assert!(home.is_let_in());
    home.write("option", &wrong());
    home.fixture.options.credentials = Some(Credentials::password(USER, PASSWORD));
    assert!(home.is_let_in());
    home.fixture.options.credentials = None;
    home.fixture.options.auth_file = Some(home.path.join("gone"));
    assert!(matches!(home.problem(), CredentialsError::File { operation: "read", .. }));
}

#[test]
fn entries_in_all_their_forms() {
    for (auths, let_in) in [
        (right()["auths"].clone(), true),
        (json!({"HOST": {"username": "alice", "password": "pass:word"}}), true),
        (json!({"https://HOST/v1/": {"auth": "YWxpY2U6cGFzczp3b3Jk"}}), true),
        (json!({"HOST/app": {"auth": "YWxpY2U6cGFzczp3b3Jk"}, "HOST": {"auth": "eDp5"}}), true),
        (json!({"HOST/ap": {"auth": "YWxpY2U6cGFzczp3b3Jk"}, "HOST": {"auth": "eDp5"}}), false),
        (json!({"HOST/app/below": {"auth": "YWxpY2U6cGFzczp3b3Jk"}}), false),
        // Zeros at the end, as old Dockers wrote them.
        (json!({"HOST": {"auth": "YWxpY2U6cGFzczp3b3JkAAA="}}), true),
        (json!({"HOST": {"auth": "YWxpY2U6cGFzczp3b3Jk", "email": null, "new": {"field": 1}}}), true),
        (json!({"HOST": {}}), false),
        (json!({"HOST": null}), false),
        (json!({"HOST": {"auth": ""}}), false),
        (json!(null), false),
    ] {
        let home = Home::new();
        home.write("docker/config.json", &json!({"auths": auths}));
        assert_eq!(home.is_let_in(), let_in, "{auths}");
    }
    let home = Home::new();
    for text in ["secret", "{\"auths\": secret}", "[]", "{\"auths\": {\"a\": \"secret}"] {
        fs::create_dir_all(home.path.join("docker")).unwrap();
        fs::write(home.path.join("docker/config.json"), text).unwrap();
        let problem = home.problem();
        assert!(matches!(problem, CredentialsError::Form { .. }), "{text}: {problem:?}");
        assert!(!format!("{problem} {problem:?}").contains("secret"), "{problem}");
    }
    for entry in [
        json!({"auth": "c2VjcmV0"}),
        json!({"auth": "secret!"}),
        json!({"auth": "/////w=="}),
        json!({"auth": "OnNlY3JldA=="}),
        json!({"username": "secret"}),
    ] {
        home.write("docker/config.json", &json!({"auths": {"HOST": entry}}));
        let problem = home.problem();
        assert!(matches!(problem, CredentialsError::Form { .. }), "{entry}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    fs::write(home.path.join("docker/config.json"), " \n").unwrap();
    assert!(!home.is_let_in());
    fs::File::create(home.path.join("docker/config.json")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(home.problem(), CredentialsError::File { .. }));
}

#[test]
fn identity_and_registry_tokens_of_files() {
    let home = Home::new();
    home.fixture.registry.auth(Auth::tokens_by("identity-1"));
    home.write(
        "docker/config.json",
        &json!({"auths": {"HOST": {"auth": "YWxpY2U6", "identitytoken": "identity-1"}}}),
    );
    assert!(home.is_let_in());
    assert_eq!(home.fixture.registry.seen_of("token").len(), 1);
    home.write("docker/config.json", &json!({"auths": {"HOST": {"registrytoken": "secret-token-0"}}}));
    assert!(home.is_let_in());
    assert_eq!(home.fixture.registry.seen_of("token").len(), 1);
    home.write("docker/config.json", &json!({"auths": {"HOST": {"registrytoken": "other"}}}));
    assert!(!home.is_let_in());
}

#[test]
fn helpers() {
    let answer = r#"echo '{"ServerURL":"x","Username":"alice","Secret":"pass:word"}'"#;
    let home = Home::new();
    home.helper("right", answer);
    home.helper("none", "echo 'credentials not found in native keychain'; exit 1");
    home.helper("empty", r#"echo '{"Username":"","Secret":""}'"#);
    let entry = right()["auths"]["HOST"].clone();
    for (file, let_in, asked) in [
        (json!({"credsStore": "right"}), true, "get HOST\n"),
        (json!({"credHelpers": {"HOST": "right"}}), true, "get HOST\n"),
        (json!({"credHelpers": {"HOST/app": "right", "HOST": "none"}}), true, "get HOST/app\n"),
        (json!({"credHelpers": {"HOST": "right"}, "credsStore": "none"}), true, "get HOST\n"),
        // A helper for this registry alone decides for the file; one for all may not know it.
        (json!({"credHelpers": {"HOST": "none"}, "auths": {"HOST": entry}}), false, "get HOST\n"),
        (json!({"credsStore": "none", "auths": {"HOST": entry}}), true, "get HOST\n"),
        (json!({"credsStore": "empty", "auths": {"HOST": entry}}), true, "get HOST\n"),
        (json!({"credsStore": "none", "auths": {"HOST": {}}}), false, "get HOST\n"),
        (json!({"credHelpers": {"other.example.com": "right"}, "auths": {"HOST": entry}}), true, ""),
        (json!({"credHelpers": {"HOST": ""}, "auths": {"HOST": entry}}), true, ""),
    ] {
        home.write("docker/config.json", &file);
        assert_eq!(home.is_let_in(), let_in, "{file}");
        assert_eq!(home.asked(), asked, "{file}");
    }
    // Nobody is asked as long as the registry does not ask.
    home.fixture.registry.auth(Auth::Anybody);
    home.write("docker/config.json", &json!({"credsStore": "right"}));
    assert!(home.is_let_in());
    assert_eq!(home.asked(), "");
    // An identity token.
    home.helper("token", r#"echo '{"Username":"<token>","Secret":"identity-1"}'"#);
    home.fixture.registry.auth(Auth::tokens_by("identity-1"));
    home.write("docker/config.json", &json!({"credsStore": "token"}));
    assert!(home.is_let_in());
}

#[test]
fn helpers_that_misbehave() {
    let mut home = Home::new();
    let problem = |home: &Home, name: &str| {
        home.write("docker/config.json", &json!({"credsStore": name}));
        home.problem()
    };
    home.helper("fails", "echo 'secret'; echo 'secret' >&2; exit 3");
    home.helper("garbage", "echo 'secret'");
    home.helper("endless", "exec yes secret");
    assert!(
        matches!(problem(&home, "fails"), CredentialsError::HelperFailed { status, .. } if status == "exit status: 3")
    );
    assert!(matches!(problem(&home, "garbage"), CredentialsError::HelperAnswer { .. }));
    assert!(matches!(problem(&home, "endless"), CredentialsError::HelperAnswer { .. }));
    assert!(matches!(problem(&home, "gone"), CredentialsError::NoHelper { .. }));
    for name in ["../evil", "a/b", "a b", "$(x)", "ä"] {
        assert!(matches!(problem(&home, name), CredentialsError::HelperName { .. }), "{name}");
    }
    let shown = line(&home.fixture.resolve().unwrap_err());
    assert!(!shown.contains("secret"));

    // One that hangs is ended with all that it started.
    home.fixture.options.limits =
        RegistryLimits { helper: Duration::from_millis(200), ..home.fixture.options.limits };
    let marker = home.path.join("still-there");
    let child =
        format!("(sleep 3600; touch {}) & echo $! >{}/child; wait", marker.display(), home.path.display());
    home.helper("hangs", &child);
    let started = Instant::now();
    assert!(matches!(problem(&home, "hangs"), CredentialsError::SlowHelper { .. }));
    assert!(started.elapsed() < Duration::from_secs(60));
    let child = fs::read_to_string(home.path.join("child")).unwrap();
    // Gone, or dead and not yet reaped by whoever inherited it; a signal takes a moment.
    let status = || fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    while status().is_ok_and(|status| !status.contains(") Z ")) {
        assert!(started.elapsed() < Duration::from_secs(60), "it lives on");
        std::thread::yield_now();
    }
    // One that lets another hold its output.
    home.helper("leaves", "sleep 3600 & exit 0");
    assert!(matches!(problem(&home, "leaves"), CredentialsError::SlowHelper { .. }));

    home.fixture.options.limits =
        RegistryLimits { helper: Duration::from_secs(3600), ..home.fixture.options.limits };
    home.fixture.watcher.cancelled.store(true, Ordering::SeqCst);
    // The registry is not asked any more; a login asks the helper directly.
    let error = logout(&home.registry(), &home.fixture.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

/// Says what the environment is taken for, in a process whose environment is made for it.
#[test]
fn environment_of_this_process() {
    println!("{:?}", Environment::of_process());
}

#[test]
fn what_the_environment_says() {
    let seen = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "registry_credentials::environment_of_this_process", "--nocapture"]);
        let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        output.lines().find_map(|line| Some(line[line.find("Environment {")?..].to_owned())).unwrap()
    };
    assert_eq!(seen(&[]), format!("{:?}", Environment::default()));
    let home = Environment {
        config_directory: Some("/home/a/.config".into()),
        docker_directory: Some("/home/a/.docker".into()),
        ..Environment::default()
    };
    assert_eq!(seen(&[("HOME", "/home/a"), ("DOCKER_CONFIG", "")]), format!("{home:?}"));
    let all = Environment {
        registry_auth_file: Some("/a".into()),
        runtime_directory: Some("/b".into()),
        config_directory: Some("/c".into()),
        docker_directory: Some("/d".into()),
        path: Some("/e:/f".into()),
        proxy: Some(Secret::new("hidden")),
        no_proxy: Some("g,h".into()),
    };
    let variables = [
        ("REGISTRY_AUTH_FILE", "/a"),
        ("XDG_RUNTIME_DIR", "/b"),
        ("XDG_CONFIG_HOME", "/c"),
        ("DOCKER_CONFIG", "/d"),
        ("HOME", "/home/a"),
        ("PATH", "/e:/f"),
        ("all_proxy", "http://user:hidden@proxy.example:1"),
        ("no_proxy", "g,h"),
    ];
    let shown = seen(&variables);
    assert_eq!(shown, format!("{all:?}"));
    assert!(!shown.contains("hidden"));
}

#[test]
fn credentials_on_the_command_line() {
    assert_eq!("alice:pass:word".parse(), Ok(Credentials::password(USER, PASSWORD)));
    for text in ["", "alice", "alice:", ":secret", ":"] {
        assert_eq!(text.parse::<Credentials>(), Err(CredentialsFormError), "{text}");
    }
    assert!(Path::new("/").exists() && !CredentialsFormError.to_string().contains("secret"));
}
