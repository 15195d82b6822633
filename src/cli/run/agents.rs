//! Coding agents need more than the variables that SDKs read: they come with models of their own, and one of them takes its URL as an
//! argument.

use std::{ffi::OsString, path::Path};

use crate::{cli::variables::Pairs, profile::Profile, server};

/// The one profile that everything goes through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind<'a> {
    /// The model of requests that name none.
    model: Option<&'a str>,
    /// It is asked in OpenAI's Responses, so it may have tools of OpenAI's own.
    responses: bool,
    /// Its models are Claude, or answer to any name.
    claude: bool,
}

impl<'a> Behind<'a> {
    pub(super) fn of(profile: &'a Profile) -> Behind<'a> {
        let proxy = profile.ai_proxy.as_ref();
        let provider = proxy.map(|proxy| proxy.model.provider.as_str());
        // A map says more than one name; a template none at all.
        let model = profile.model().filter(|model| !model.contains("$("));
        Behind {
            model: model.filter(|_| profile.aiproxy.models.is_empty()),
            responses: server::has_responses(profile),
            claude: matches!(provider, Some("anthropic" | "mock") | None),
        }
    }
}

/// What a program needs beside the variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Variables, unless the environment has them already.
    pub(super) set: Pairs,
    /// Variables that it must not have.
    pub(super) unset: &'static [&'static str],
    /// Arguments, and before which of the command's words they go: what a person wrote comes later, and wins.
    pub(super) arguments: (usize, Vec<OsString>),
}

/// What the program of a command needs; `base_url` is OpenAI's.
pub(super) fn needs(command: &[OsString], base_url: &str, behind: Option<Behind<'_>>) -> Needs {
    if starts(command, "claude", "@anthropic-ai/claude-code").is_some() {
        claude(behind)
    } else if let Some(at) = starts(command, "codex", "@openai/codex") {
        Needs {
            arguments: (at, codex(base_url, behind)),
            ..Needs::default()
        }
    } else {
        Needs::default()
    }
}

/// Where a program's own arguments begin, if the command starts it: by its name, or as a package (`npx -y PACKAGE@VERSION`).
fn starts(command: &[OsString], program: &str, package: &str) -> Option<usize> {
    let first = command.first()?;
    if Path::new(first).file_stem() == Some(program.as_ref()) {
        return Some(1);
    }
    let is_package = |word: &OsString| {
        let rest = word.to_str().and_then(|word| word.strip_prefix(package));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    let at = command.iter().take(4).position(is_package)?;
    Some(at + 1)
}

/// Claude Code asks before it uses an `ANTHROPIC_API_KEY`, and warns of two credentials; with `ANTHROPIC_AUTH_TOKEN` alone it starts at once
/// (<https://code.claude.com/docs/en/llm-gateway-connect>). Its models (<https://code.claude.com/docs/en/model-config>) are Anthropic's:
/// where there are none of them, it is told which there is.
fn claude(behind: Option<Behind<'_>>) -> Needs {
    const MODELS: &[&str] = &[
        "ANTHROPIC_MODEL",
        "ANTHROPIC_DEFAULT_OPUS_MODEL",
        "ANTHROPIC_DEFAULT_SONNET_MODEL",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    ];
    let model = behind.filter(|behind| !behind.claude).and_then(|b| b.model);
    Needs {
        set: MODELS
            .iter()
            .filter_map(|name| Some((*name, model?.to_owned())))
            .collect(),
        unset: &["ANTHROPIC_API_KEY"],
        ..Needs::default()
    }
}

/// Codex takes no URL from its environment (<https://github.com/openai/codex/issues/16719>), but any setting as an argument
/// (<https://developers.openai.com/codex/config-reference>). It offers OpenAI's `web_search` to every model unless told not to.
fn codex(base_url: &str, behind: Option<Behind<'_>>) -> Vec<OsString> {
    // TOML's strings are JSON's, as far as URLs and models go.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut settings = vec![
        format!(
            "model_providers.aiproxy={{name=\"aiproxy\",base_url={},env_key=\"OPENAI_API_KEY\",wire_api=\"responses\"}}",
            text(base_url)
        ),
        "model_provider=\"aiproxy\"".to_owned(),
    ];
    if !behind.is_some_and(|behind| behind.responses) {
        settings.push("web_search=\"disabled\"".to_owned());
        if let Some(model) = behind.and_then(|behind| behind.model) {
            settings.push(format!("model={}", text(model)));
        }
    }
    settings
        .into_iter()
        .flat_map(|setting| ["-c".into(), setting.into()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEMINI: Behind<'_> = Behind {
        model: Some("gemini-3"),
        responses: false,
        claude: false,
    };
    const MOCK: Behind<'_> = Behind {
        model: Some("mock"),
        responses: true,
        claude: true,
    };

    fn told(line: &str, behind: Option<Behind<'_>>) -> Needs {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        needs(&words, "http://127.0.0.1:1/v1", behind)
    }

    #[test]
    fn claude_code_gets_one_credential() {
        for line in [
            "claude",
            "/opt/bin/claude -p hi",
            "npx -y @anthropic-ai/claude-code@2 -p",
        ] {
            assert_eq!(told(line, None).unset, ["ANTHROPIC_API_KEY"], "{line}");
        }
        for line in ["python claude.py", "claude-notes", "sh -c claude"] {
            assert_eq!(told(line, Some(GEMINI)), Needs::default(), "{line}");
        }
    }

    #[test]
    fn claude_code_is_told_of_models_that_are_not_its_own() {
        let set = told("claude", Some(GEMINI)).set;
        assert_eq!(set.len(), 4);
        assert!(set.iter().all(|(_, model)| model == "gemini-3"));
        assert_eq!(told("claude", Some(MOCK)).set, []);
        assert_eq!(told("claude", None).set, []);
    }

    #[test]
    fn codex_gets_its_settings_before_its_own_arguments() {
        let provider = "model_providers.aiproxy={name=\"aiproxy\",base_url=\"http://127.0.0.1:1/v1\",\
            env_key=\"OPENAI_API_KEY\",wire_api=\"responses\"}";
        let ours = ["-c", provider, "-c", "model_provider=\"aiproxy\""];
        let quiet = ["-c", "web_search=\"disabled\""];
        let model = ["-c", "model=\"gemini-3\""];
        for (line, behind, at, expected) in [
            ("codex exec hi", Some(MOCK), 1, ours.to_vec()),
            ("codex", None, 1, [&ours[..], &quiet].concat()),
            (
                "/opt/bin/codex",
                Some(GEMINI),
                1,
                [&ours[..], &quiet, &model].concat(),
            ),
            ("npx -y @openai/codex@1 exec", Some(MOCK), 3, ours.to_vec()),
        ] {
            let expected: Vec<OsString> = expected.into_iter().map(OsString::from).collect();
            assert_eq!(told(line, behind).arguments, (at, expected), "{line}");
        }
        for line in ["codex-notes", "npx @openai/codex-sdk", "sh -c codex"] {
            assert_eq!(told(line, Some(GEMINI)), Needs::default(), "{line}");
        }
    }
}
