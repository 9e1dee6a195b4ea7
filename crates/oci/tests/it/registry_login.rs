//! Where credentials are kept: login and logout, by files and helpers, also as skopeo has them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use offshoot_oci::{Credentials, CredentialsError, Environment, ErrorKind, KeptIn, Secret, login, logout};
use offshoot_testkit::oracle;
use offshoot_testkit::registry::Auth;
use serde_json::{Value, json};

use crate::registry_home::{Home, PASSWORD, USER, credentials_error, right, wrong};

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
    home.fixture.registry.auth(Auth::tokens_by("identity-1"));
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
