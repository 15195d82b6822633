use std::{collections::HashMap, io};

use super::*;

struct Values(HashMap<&'static str, &'static str>);

impl Vault for Values {
    fn env(&self, variable: &str) -> Option<String> {
        self.0.get(variable).map(|value| (*value).to_owned())
    }
    fn file(&self, path: &Path) -> io::Result<String> {
        let value = path.to_str().and_then(|path| self.0.get(path));
        value
            .map(|value| (*value).to_owned())
            .ok_or_else(|| io::Error::other("there is no such file"))
    }
    fn keyring(&self, name: &str) -> Result<String, String> {
        self.0
            .get(name)
            .map(|value| (*value).to_owned())
            .ok_or_else(|| "there is no such entry".into())
    }
}

fn resolve(text: &str) -> Result<String, String> {
    let values = Values(HashMap::from([
        ("OPENAI_API_KEY", "sk-1"),
        ("ENDS", "sk-2\r\n\n"),
        ("EMPTY", "\n"),
        ("/profiles/keys/a.txt", "sk-3\n"),
        ("/abs/b", "sk-4"),
        ("work", "sk-5"),
    ]));
    let secret =
        SecretRef::parse(text, Some(Path::new("/profiles"))).map_err(|error| error.to_string())?;
    secret
        .resolve(&values)
        .map(|secret| secret.expose().to_owned())
        .map_err(|error| error.to_string())
}

#[test]
fn resolves_text_and_references() {
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("{not a reference}", "{not a reference}"),
        ("Bearer {vault://env/openai-api-key}", "Bearer sk-1"),
        ("{vault://env/OPENAI_API_KEY}", "sk-1"),
        ("{vault://env/ends}:{vault://env/ends}", "sk-2:sk-2"),
        ("{vault://file/keys/a.txt}", "sk-3"),
        ("{vault://file//abs/b}", "sk-4"),
        ("a{vault://keyring/work}b", "ask-5b"),
    ] {
        assert_eq!(resolve(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn says_what_does_not_resolve() {
    for (text, expected) in [
        (
            "Bearer {vault://env/no-such-key}",
            "secret {vault://env/no-such-key} does not resolve: environment variable NO_SUCH_KEY is not set",
        ),
        (
            "{vault://env/empty}",
            "secret {vault://env/empty} does not resolve: environment variable EMPTY is empty",
        ),
        (
            "{vault://file/none}",
            "secret {vault://file/none} does not resolve: cannot read /profiles/none: there is no such file",
        ),
        (
            "{vault://keyring/none}",
            "secret {vault://keyring/none} does not resolve: no key `none` in the key ring: there is no such entry",
        ),
    ] {
        assert_eq!(resolve(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn refuses_what_is_no_reference() {
    for (text, expected) in [
        (
            "{vault://env/x",
            "a `{vault://` reference has no closing `}`",
        ),
        (
            "{vault://env}",
            "a `{vault://env/...}` reference has no usable name",
        ),
        (
            "{vault://env/a b}",
            "a `{vault://env/...}` reference has no usable name",
        ),
        (
            "{vault://env/1a}",
            "a `{vault://env/...}` reference has no usable name",
        ),
        (
            "{vault://env/a/b}",
            "a `{vault://env/...}` reference has no usable name",
        ),
        (
            "{vault://file/}",
            "a `{vault://file/...}` reference has no usable name",
        ),
        (
            "{vault://keyring}",
            "a `{vault://keyring/...}` reference has no usable name",
        ),
        ("{vault://aws/x}", "unknown vault `aws`"),
        ("{vault://q7Zp04mXw9/x}", "unknown vault `***`"),
    ] {
        assert_eq!(resolve(text), Err(expected.to_owned()), "{text}");
    }
    assert_eq!(
        SecretRef::parse("{vault://file/a}", None).unwrap_err(),
        BadReference::Folder
    );
}

#[test]
fn prints_references_and_no_values() {
    let secret = SecretRef::parse("Bearer {vault://env/a-key} tail", None).unwrap();
    assert_eq!(secret.to_string(), "Bearer {vault://env/a-key}***");
    assert_eq!(
        format!("{secret:?} {secret:#?}"),
        "Bearer {vault://env/a-key}*** Bearer {vault://env/a-key}***"
    );
    for (text, shown) in [
        ("Bearer q7Zp04mXw9", "***"),
        ("Bearer ", "***"),
        ("q7Zp04mXw9 {vault://env/a}", "***{vault://env/a}"),
        (
            "{vault://env/a}Bearer {vault://env/b}",
            "{vault://env/a}Bearer {vault://env/b}",
        ),
    ] {
        let secret = SecretRef::parse(text, None).unwrap();
        assert_eq!(secret.to_string(), shown, "{text}");
    }
    let names: Vec<_> = secret
        .references()
        .map(|reference| (reference.text(), reference.variable()))
        .collect();
    assert_eq!(names, [("{vault://env/a-key}", Some("A_KEY"))]);
    assert_eq!(format!("{:?}", Secret::new("sk-1".into())), "(secret)");
}
