//! Where credentials are looked for and kept: files in order, their forms, helpers, login and logout.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use offshoot_oci::{
    Credentials, CredentialsError, CredentialsFormError, Environment, Error, ErrorKind, KeptIn, RegistryHost,
    RegistryLimits, RegistryProblem, Secret, login, logout,
};
use offshoot_testkit::oracle;
use offshoot_testkit::registry::Auth;
use serde_json::{Value, json};

use crate::registry_fixture::{Fixture, line};

const USER: &str = "alice";
const PASSWORD: &str = "pass:word";

/// A registry for [`USER`], and a home with nothing in it.
struct Home {
    fixture: Fixture,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let mut fixture = Fixture::new(10);
        fixture.registry.auth(Auth::Basic(USER.into(), PASSWORD.into()));
        let path = fixture.directory.path().join("home");
        fs::create_dir_all(path.join("bin")).unwrap();
        fixture.options.environment = Environment {
            runtime_directory: Some(path.join("run")),
            config_directory: Some(path.join("config")),
            docker_directory: Some(path.join("docker")),
            path: Some(path.join("bin").into()),
            ..Environment::default()
        };
        Self { fixture, path }
    }

    fn host(&self) -> String {
        self.fixture.registry.host()
    }

    fn registry(&self) -> RegistryHost {
        self.host().parse().unwrap()
    }

    fn write(&self, file: &str, contents: &Value) -> PathBuf {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents.to_string().replace("HOST", &self.host())).unwrap();
        path
    }

    fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path.join(file)).unwrap()).unwrap()
    }

    /// A credential helper: what it was asked goes to `asked`, one line each.
    fn helper(&self, name: &str, script: &str) {
        let path = self.path.join("bin").join(format!("docker-credential-{name}"));
        let asked = self.path.join("asked");
        let text = format!(
            "#!/bin/sh\nPATH=/bin:/usr/bin\nread line\necho \"$1 $line\" >>{}\n{script}\n",
            asked.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn asked(&self) -> String {
        let path = self.path.join("asked");
        let asked = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        asked.replace(&self.host(), "HOST")
    }

    fn is_let_in(&self) -> bool {
        match self.fixture.resolve() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Authentication, "{}", line(&error));
                false
            }
        }
    }

    fn problem(&self) -> CredentialsError {
        credentials_error(self.fixture.resolve().unwrap_err())
    }
}

fn credentials_error(error: Error) -> CredentialsError {
    match error {
        Error::Registry { problem, .. } => match *problem {
            RegistryProblem::Credentials(problem) => problem,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn right() -> Value {
    json!({"auths": {"HOST": {"auth": "YWxpY2U6cGFzczp3b3Jk"}}})
}

fn wrong() -> Value {
    json!({"auths": {"HOST": {"username": "alice", "password": "wrong"}}})
}

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
    let identity = Some("identity-1".to_owned());
    home.fixture.registry.auth(Auth::Bearer {
        user: None,
        identity,
        realm: None,
        expires_in: None,
        field: "token",
    });
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
    let identity = Some("identity-1".to_owned());
    home.fixture.registry.auth(Auth::Bearer {
        user: None,
        identity,
        realm: None,
        expires_in: None,
        field: "token",
    });
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

#[test]
fn login_keeps_what_is_right() {
    let home = Home::new();
    let credentials = Credentials::password(USER, PASSWORD);
    let wrong = Credentials::password(USER, "wrong");
    let error = login(&home.registry(), &wrong, &home.fixture.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!home.path.join("docker").exists());
    assert_eq!(home.fixture.registry.seen()[0].path, "/v2/");

    let file = home.path.join("docker/config.json");
    let kept = login(&home.registry(), &credentials, &home.fixture.options).unwrap();
    assert_eq!(kept, KeptIn::File(file.clone()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);
    assert!(home.is_let_in());
    // What else is there stays, and so does a link.
    home.write("docker/config.json", &json!({"new": [1, {"a": null}], "auths": {"https://HOST/v1/": {"auth": "eDp5"}, "b.example": {"auth": "eDp5"}}}));
    fs::rename(&file, home.path.join("elsewhere")).unwrap();
    symlink(home.path.join("elsewhere"), &file).unwrap();
    login(&home.registry(), &credentials, &home.fixture.options).unwrap();
    assert!(file.is_symlink());
    let entry = right()["auths"]["HOST"].clone();
    let expected =
        json!({"new": [1, {"a": null}], "auths": {home.host(): entry, "b.example": {"auth": "eDp5"}}});
    assert_eq!(home.read("elsewhere"), expected);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let names: Vec<_> =
        fs::read_dir(home.path.join("docker")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["config.json"]);

    let forgotten = logout(&home.registry(), &home.fixture.options).unwrap();
    assert_eq!(forgotten, [KeptIn::File(file.clone())]);
    assert_eq!(home.read("elsewhere")["auths"], json!({"b.example": {"auth": "eDp5"}}));
    assert!(!home.is_let_in());
    assert_eq!(logout(&home.registry(), &home.fixture.options).unwrap(), []);
}

#[test]
fn login_writes_where_it_will_be_found() {
    let mut home = Home::new();
    let credentials = Credentials::password(USER, PASSWORD);
    // A file that has some for the registry would be found first.
    let first = home.write("run/containers/auth.json", &wrong());
    assert_eq!(
        login(&home.registry(), &credentials, &home.fixture.options).unwrap(),
        KeptIn::File(first.clone())
    );
    assert!(home.is_let_in());
    home.write("docker/config.json", &right());
    assert_eq!(logout(&home.registry(), &home.fixture.options).unwrap().len(), 2);
    assert!(!home.is_let_in());
    let named = home.path.join("new/named.json");
    home.fixture.options.auth_file = Some(named.clone());
    assert_eq!(login(&home.registry(), &credentials, &home.fixture.options).unwrap(), KeptIn::File(named));
    assert!(home.is_let_in());
    home.fixture.options.auth_file = None;
    home.fixture.options.environment.docker_directory = None;
    let nowhere = Environment { path: None, ..Environment::default() };
    home.fixture.options.environment = nowhere;
    let error = login(&home.registry(), &credentials, &home.fixture.options).unwrap_err();
    assert!(matches!(credentials_error(error), CredentialsError::NoFile));
}

#[test]
fn login_by_a_helper() {
    let home = Home::new();
    let kept = home.path.join("kept");
    let shown = kept.display();
    let script = format!(
        "case $1 in store) echo \"$line\" >{shown};; erase) rm {shown};; \
         get) cat {shown} 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }};; esac"
    );
    home.helper("keeps", &script);
    let file = home.write("docker/config.json", &json!({"credsStore": "keeps"}));
    let credentials = Credentials::password(USER, PASSWORD);
    let by_helper = KeptIn::Helper { name: "keeps".into(), file: file.clone() };
    assert_eq!(login(&home.registry(), &credentials, &home.fixture.options).unwrap(), by_helper);
    let stored: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(stored, json!({"ServerURL": home.host(), "Username": USER, "Secret": PASSWORD}));
    assert_eq!(home.read("docker/config.json"), json!({"credsStore": "keeps", "auths": {home.host(): {}}}));
    assert!(home.is_let_in());
    assert_eq!(logout(&home.registry(), &home.fixture.options).unwrap(), [by_helper]);
    assert!(!kept.exists() && !home.is_let_in());
    assert_eq!(home.read("docker/config.json"), json!({"credsStore": "keeps", "auths": {}}));
    assert_eq!(logout(&home.registry(), &home.fixture.options).unwrap(), []);
    home.helper("refuses", "exit 1");
    home.write("docker/config.json", &json!({"credsStore": "refuses"}));
    let error = login(&home.registry(), &credentials, &home.fixture.options).unwrap_err();
    assert!(matches!(credentials_error(error), CredentialsError::HelperFailed { .. }));
}

#[test]
fn login_with_tokens() {
    let home = Home::new();
    home.fixture.registry.auth(Auth::tokens_for(USER, PASSWORD));
    login(&home.registry(), &Credentials::password(USER, PASSWORD), &home.fixture.options).unwrap();
    assert_eq!(home.fixture.registry.seen_of("token")[0].parameter("scope"), None);
    assert!(home.is_let_in());
    let wrong = Credentials::password(USER, "wrong");
    let error = login(&home.registry(), &wrong, &home.fixture.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let identity = Some("identity-1".to_owned());
    home.fixture.registry.auth(Auth::Bearer {
        user: None,
        identity,
        realm: None,
        expires_in: None,
        field: "token",
    });
    let token = Credentials::IdentityToken { user: Some(USER.into()), token: Secret::new("identity-1") };
    login(&home.registry(), &token, &home.fixture.options).unwrap();
    assert!(home.is_let_in());
}

#[test]
fn skopeo_reads_what_is_kept_and_keeps_what_is_read() {
    if !oracle::available(&["skopeo"]) {
        return;
    }
    let mut home = Home::new();
    let file = home.path.join("auth.json");
    home.fixture.options.auth_file = Some(file.clone());
    login(&home.registry(), &Credentials::password(USER, PASSWORD), &home.fixture.options).unwrap();
    let skopeo = |arguments: &[&str]| {
        let mut command = oracle::command("skopeo");
        oracle::run(command.args(arguments).arg("--authfile").arg(&file).env("HOME", &home.path))
    };
    assert_eq!(skopeo(&["login", "--get-login", &home.host()]), "alice\n");
    skopeo(&["logout", &home.host()]);
    assert!(!home.is_let_in());
    skopeo(&["login", "--tls-verify=false", "-u", USER, "-p", PASSWORD, &home.host()]);
    assert!(home.is_let_in());
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
