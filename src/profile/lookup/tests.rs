use std::{fs, time::Instant};

use super::*;

const UPSTREAM: &str = "[upstream]\nurl = \"http://127.0.0.1:9000\"\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The error of a name, with the folder's path taken out.
fn error(folder: &tempfile::TempDir, name: &str) -> String {
    let places = Places::new([folder.path().to_path_buf()]);
    let error = places.load(name).map(|_| ()).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn names_are_plain() {
    for name in [
        "a",
        "0",
        "gpt-4o",
        "a.b_c-d",
        &"x".repeat(64),
        "v1.5",
        "models",
    ] {
        assert!(is_name(name), "{name}");
    }
    for name in [
        "",
        "A",
        "-a",
        ".a",
        "_a",
        "a b",
        "a/b",
        "../a",
        "é",
        &"x".repeat(65),
        "v1",
        "v1beta",
        "api",
        "model",
    ] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn built_in_profiles_load_and_are_sorted() {
    let names: Vec<&str> = builtin::ALL.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted());
    for loaded in Places::default().load_all() {
        let profile = loaded
            .result
            .unwrap_or_else(|error| panic!("{}: {error}", loaded.name));
        assert_eq!(profile.origin, Origin::BuiltIn);
        assert!(
            profile.description.is_some() && profile.aiproxy.default_model.is_some(),
            "{}",
            loaded.name
        );
        // Other paths would walk around a transformer.
        assert_eq!(
            profile.aiproxy.other_paths == crate::profile::OtherPaths::Forward,
            !profile.has_transformer(),
            "{}",
            loaded.name
        );
        // A built-in profile holds no secret of its own.
        for (key, secret) in profile.secrets() {
            assert!(
                key.ends_with("_name") || secret.references().count() == 1,
                "{}: {key}",
                loaded.name
            );
        }
    }
}

#[test]
fn the_first_folder_wins_and_the_rest_is_listed() {
    let first = folder(&[
        ("gpt.toml", UPSTREAM),
        ("note.txt", "x"),
        (".gpt.toml.swp", "x"),
        (".x.toml", "x"),
    ]);
    let second = folder(&[
        ("gpt.yaml", "upstream: {url: http://127.0.0.1:1}\n"),
        ("mock.json", "{}"),
    ]);
    let places = Places::new([first.path().to_path_buf(), second.path().to_path_buf()]);

    let gpt = Origin::File(first.path().join("gpt.toml"));
    assert_eq!(places.load("gpt").unwrap().origin, gpt);
    assert_eq!(places.load("openai").unwrap().origin, Origin::BuiltIn);
    let listed: Vec<Listed> = places
        .list()
        .into_iter()
        .filter(|listed| ["gpt", "mock"].contains(&listed.name.as_str()))
        .collect();
    let mock = Origin::File(second.path().join("mock.json"));
    let entry = |name: &str, origin: Origin, shadowed_by: Option<&Origin>| Listed {
        name: name.into(),
        origin,
        shadowed_by: shadowed_by.cloned(),
    };
    assert_eq!(
        listed,
        [
            entry("gpt", gpt.clone(), None),
            entry(
                "gpt",
                Origin::File(second.path().join("gpt.yaml")),
                Some(&gpt)
            ),
            entry("mock", mock.clone(), None),
            entry("mock", Origin::BuiltIn, Some(&mock)),
        ]
    );
    let all = places.load_all();
    assert_eq!(all.len(), builtin::ALL.len() + 1);
    assert!(
        all.iter()
            .find(|loaded| loaded.name == "mock")
            .unwrap()
            .result
            .is_err()
    );
    assert!(
        all.iter()
            .find(|loaded| loaded.name == "gpt")
            .unwrap()
            .result
            .is_ok()
    );
}

#[test]
fn an_unknown_name_is_told_the_near_ones() {
    let folder = folder(&[("gpt.toml", UPSTREAM)]);
    assert!(error(&folder, "gtp").starts_with("no profile `gtp`\nhint: there are gpt, "));
    for name in ["../gpt", "gpt.toml", "", "/etc/passwd", "a\u{1b}[31m"] {
        assert!(error(&folder, name).starts_with("no profile `"), "{name}");
    }
    assert!(!error(&folder, "a\u{1b}[31m").contains('\u{1b}'));
}

#[test]
fn two_files_of_one_name_are_an_error_that_names_both() {
    let folder = folder(&[
        ("gpt.toml", UPSTREAM),
        ("gpt.yaml", "x: 1"),
        ("gpt.json", "{}"),
    ]);
    assert_eq!(
        error(&folder, "gpt"),
        "gpt.json: profile `gpt` has two files: gpt.json and gpt.toml\nhint: keep one of them"
    );
}

#[test]
fn what_is_no_profile_file_is_told_in_bounded_time() {
    let start = Instant::now();
    let folder = folder(&[
        ("Big.toml", UPSTREAM),
        ("v1.toml", UPSTREAM),
        ("a b.json", "{}"),
    ]);
    fs::create_dir(folder.path().join("dir.toml")).unwrap();
    let large = fs::File::create(folder.path().join("large.yaml")).unwrap();
    large.set_len(100 << 20).unwrap();
    let hint = "hint: a profile is a text file of at most 1 MiB";
    for (name, expected) in [
        (
            "dir",
            format!("dir.toml: the profile cannot be read: it is a directory\n{hint}"),
        ),
        (
            "large",
            format!(
                "large.yaml: the profile cannot be read: it is larger than 1048576 bytes\n{hint}"
            ),
        ),
        (
            "Big",
            format!("Big.toml: `Big` cannot be the name of a profile\nhint: {NAME_RULE}"),
        ),
        (
            "v1",
            format!("v1.toml: `v1` cannot be the name of a profile\nhint: {NAME_RULE}"),
        ),
        (
            "a b",
            format!("a b.json: `a b` cannot be the name of a profile\nhint: {NAME_RULE}"),
        ),
    ] {
        assert_eq!(error(&folder, name), expected);
    }
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe.toml");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.toml")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.toml")).unwrap();
        for (name, reason) in [
            ("pipe", "it is a device, pipe or socket, not a file"),
            ("zero", "it is a device, pipe or socket, not a file"),
            ("gone", "there is no such file"),
        ] {
            assert_eq!(
                error(&folder, name),
                format!("{name}.toml: the profile cannot be read: {reason}\n{hint}")
            );
        }
    }
    let all = Places::new([folder.path().to_path_buf()]).load_all();
    assert!(all.iter().filter(|loaded| loaded.result.is_err()).count() >= 5);
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn a_folder_that_was_asked_for_has_to_be_there() {
    let folder = folder(&[]);
    let missing = folder.path().join("none");
    let places = Places::new([missing.clone()]);
    let expected = format!(
        "{}: profiles cannot be looked up: there is no such folder",
        missing.display()
    );
    assert_eq!(
        places.load("mock").map(|_| ()).unwrap_err().to_string(),
        expected
    );
    let all = places.load_all();
    let broken: Vec<_> = all.iter().filter(|loaded| loaded.result.is_err()).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].name, missing.display().to_string());
}

#[test]
fn relative_references_start_at_the_profiles_folder() {
    let text = "[ai-proxy]\nroute_type = \"llm/v1/chat\"\nmodel.provider = \"openai\"\nauth.header_name = \"x-api-key\"\nauth.header_value = \"{vault://file/key.txt}\"\n";
    let folder = folder(&[("gpt.toml", text), ("key.txt", "sk-1\n")]);
    let profile = Places::new([folder.path().to_path_buf()])
        .load("gpt")
        .unwrap();
    let vault = crate::profile::SystemVault::default();
    let value = profile
        .ai_proxy
        .as_ref()
        .unwrap()
        .auth
        .header_value
        .as_ref()
        .unwrap()
        .resolve(&vault)
        .unwrap();
    assert_eq!(value.expose(), "sk-1");
    assert_eq!(profile.unresolved(&vault), None);
    fs::remove_file(folder.path().join("key.txt")).unwrap();
    assert_eq!(
        profile.unresolved(&vault).unwrap().reference,
        "{vault://file/key.txt}"
    );
}

#[test]
fn fingerprints_follow_contents() {
    let folder = folder(&[("a.toml", UPSTREAM), ("b.json", "{}"), ("c.txt", "x")]);
    let places = Places::new([folder.path().to_path_buf()]);
    let before = places.fingerprints();
    assert_eq!(before.len(), 2);
    assert_eq!(places.fingerprints(), before);
    fs::write(folder.path().join("a.toml"), "x = 1").unwrap();
    let after = places.fingerprints();
    let path = |name: &str| folder.path().join(name);
    assert_ne!(after[&path("a.toml")], before[&path("a.toml")]);
    assert_eq!(after[&path("b.json")], before[&path("b.json")]);
    fs::remove_file(path("b.json")).unwrap();
    assert_eq!(places.fingerprints().len(), 1);
}
