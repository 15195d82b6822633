use super::*;

#[test]
fn the_overlay_comes_before_the_environment() {
    let vault = SystemVault::new(HashMap::from([(
        "PATH".to_owned(),
        "sk-hostile".to_owned(),
    )]));
    assert_eq!(vault.env("PATH").as_deref(), Some("sk-hostile"));
    assert_ne!(
        SystemVault::default().env("PATH").as_deref(),
        Some("sk-hostile")
    );
    assert_eq!(vault.env("AIPROXY_NO_SUCH_VARIABLE"), None);
    assert_eq!(format!("{vault:?}"), "SystemVault { overlay: [\"PATH\"] }");
}

#[test]
fn files_are_small_regular_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key"), "sk-1\n").unwrap();
    std::fs::write(path("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    std::fs::write(path("bytes"), b"sk-\xff").unwrap();
    let vault = SystemVault::default();
    assert_eq!(vault.file(&path("key")).unwrap(), "sk-1\n");
    for (name, expected) in [
        ("none", "there is no such file"),
        ("", "it is a directory"),
        ("large", "it is larger than 1048576 bytes"),
        ("bytes", "it is not UTF-8"),
    ] {
        assert_eq!(
            vault.file(&path(name)).unwrap_err().to_string(),
            expected,
            "{name}"
        );
    }
    #[cfg(unix)]
    assert_eq!(
        vault.file(Path::new("/dev/zero")).unwrap_err().to_string(),
        "it is a device, pipe or socket, not a file"
    );
}

#[cfg(not(feature = "keyring"))]
#[test]
fn a_build_without_key_ring_says_so() {
    assert!(
        SystemVault::default()
            .keyring("x")
            .unwrap_err()
            .contains("cargo feature `keyring`")
    );
}
