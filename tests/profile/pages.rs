//! `man`, `profile schema`, `key`, and help.

use super::Home;

#[test]
fn manual_pages() {
    let home = Home::new();
    let page = home.run(&["man"]).out();
    assert!(page.contains(".TH aiproxy 1"), "{page}");
    let done = home.run(&["man", "--dir", "man/man1"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""));
    for page in [
        "aiproxy.1",
        "aiproxy-serve.1",
        "aiproxy-profile-new.1",
        "aiproxy-key-set.1",
    ] {
        let text = std::fs::read_to_string(home.path("man/man1").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    assert_eq!(home.run(&["man", "--dir", "/dev/null/x"]).code, 1);
}

#[test]
fn the_schema_and_the_reference() {
    let home = Home::new();
    let schema = home.run(&["profile", "schema"]).out();
    assert_eq!(schema, home.run(&["profile", "schema", "--json"]).out());
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["properties"]["ai-proxy"]["type"], "object");
    let reference = home.run(&["profile", "schema", "--reference"]).out();
    assert!(reference.starts_with("### Top of the file\n\n| Key | Value | Default | Meaning |\n"));
    assert!(
        reference.contains("\n| `response_streaming` | `allow`, `deny`, `always` | `\"allow\"` | "),
        "{reference}"
    );
    assert!(reference.contains("\n### `[ai-proxy.model.options.bedrock]`\n"));
}

#[test]
fn keys_are_never_arguments_or_output() {
    let home = Home::new();
    for (args, input, code) in [
        (&["key", "set", "work"][..], "", 2),
        (&["key", "set", "work"], "\r\n", 2),
        (&["key", "set", "a}b"], "q7Zp04mXw9", 2),
        (&["key", "set"], "q7Zp04mXw9", 2),
        // There is no key ring without a session bus.
        (&["key", "set", "work"], "q7Zp04mXw9\n", 1),
        (&["key", "remove", "work"], "", 1),
    ] {
        if cfg!(not(target_os = "linux")) && code == 1 {
            continue;
        }
        let done = home.run_with_input(args, input);
        assert_eq!(
            (done.code, done.out.as_str()),
            (code, ""),
            "{args:?} {done:?}"
        );
        assert!(
            done.err.contains("error: ") || done.err.contains("Usage:"),
            "{done:?}"
        );
        assert!(!done.err.contains("q7Zp04mXw9"), "{done:?}");
    }
}

#[test]
fn help_has_examples() {
    let home = Home::new();
    for command in [
        &["profile"][..],
        &["profile", "list"],
        &["profile", "show"],
        &["profile", "check"],
        &["profile", "new"],
        &["profile", "schema"],
        &["key"],
        &["key", "set"],
        &["key", "remove"],
        &["man"],
    ] {
        let help = home.run(&[command, &["--help"]].concat()).out();
        assert!(help.contains("Example"), "{command:?}");
    }
}
