use offshoot_oci::{Error, ErrorKind, ImageConfig, Malformed, Unsupported};
use offshoot_store::Digest;
use serde_json::json;

fn parse(value: &serde_json::Value) -> Result<ImageConfig, Error> {
    ImageConfig::parse(value.to_string().as_bytes())
}

#[test]
fn everything_may_be_missing() {
    for value in [
        json!({}),
        json!({"config": {}}),
        json!({"config": null, "rootfs": null, "os": null, "created": null}),
        json!({"os": "", "architecture": "", "created": "", "rootfs": {"type": "", "diff_ids": null}}),
        json!({"config": {"Env": null, "Cmd": null, "Entrypoint": null, "ExposedPorts": null, "Labels": null,
            "Volumes": null, "User": null, "WorkingDir": null, "StopSignal": ""}}),
        json!({"config": {"Healthcheck": {"Test": ["NONE"]}, "OnBuild": ["x"], "ArgsEscaped": true}, "x": [1]}),
    ] {
        assert_eq!(parse(&value).unwrap(), ImageConfig::default(), "{value}");
    }
}

#[test]
fn what_images_say() {
    let diff_id = Digest::of(b"layer");
    let config = parse(&json!({
        "created": "2024-05-01T12:00:00.5Z",
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "config": {
            "User": "1000:1000",
            "ExposedPorts": {"8080/tcp": {}, "53/udp": {}, "6000-6010": {}, "http": {}, "99999": {}, "": {}},
            "Env": ["PATH=/bin", "EMPTY=", "EQUALS=a=b=c", "BARE"],
            "Entrypoint": ["/init", "--"],
            "Cmd": "one",
            "Volumes": {"/data": {}, "/cache": {}},
            "WorkingDir": "/srv",
            "Labels": {"a": "1", "null": null},
            "StopSignal": "SIGINT",
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id.to_string()]},
        "history": [{"created_by": "x"}],
    }))
    .unwrap();
    // Also what the clone's JSON has: its names and forms do not change.
    let expected = json!({
        "entrypoint": ["/init", "--"],
        "cmd": ["one"],
        "env": ["PATH=/bin", "EMPTY=", "EQUALS=a=b=c", "BARE="],
        "working_dir": "/srv",
        "user": "1000:1000",
        "exposed_ports": ["53/udp", "6000-6010/tcp", "8080/tcp"],
        "labels": {"a": "1", "null": ""},
        "stop_signal": "SIGINT",
        "volumes": ["/cache", "/data"],
        "diff_ids": [diff_id.to_string()],
        "platform": "linux/arm64",
        "created": "2024-05-01T12:00:00.5Z",
    });
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(json, expected);
    assert_eq!(config.env[2], ("EQUALS".to_owned(), "a=b=c".to_owned()));
    assert_eq!(serde_json::from_value::<ImageConfig>(json).unwrap(), config);
}

#[test]
fn what_a_config_cannot_say() {
    let malformed = |value: serde_json::Value| match parse(&value) {
        Err(error @ Error::Malformed { .. }) => {
            assert_eq!(error.kind(), ErrorKind::Integrity);
            let Error::Malformed { problem, .. } = error else { unreachable!() };
            problem
        }
        other => panic!("{value}: {other:?}"),
    };
    for value in
        [json!([]), json!(""), json!({"config": []}), json!({"config": {"Env": "A=b"}}), json!({"os": 1})]
    {
        assert!(matches!(malformed(value), Malformed::Json(_)));
    }
    let rootfs = |rootfs| malformed(json!({ "rootfs": rootfs }));
    assert!(matches!(rootfs(json!({"type": "windows"})), Malformed::RootfsType(kind) if kind == "windows"));
    assert!(matches!(rootfs(json!({"diff_ids": ["sha256:x"]})), Malformed::Digest(_)));
    assert!(matches!(rootfs(json!({"diff_ids": ["../../etc"]})), Malformed::Digest(_)));
    assert!(matches!(malformed(json!({"os": "li nux", "architecture": "x"})), Malformed::Platform(_)));
    let sha512 = parse(&json!({"rootfs": {"diff_ids": ["sha512:00"]}}));
    assert!(matches!(sha512, Err(Error::Unsupported { reason: Unsupported::Digest(_), .. })));
}
