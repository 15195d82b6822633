//! What a model takes, by its name.
//!
//! <https://platform.claude.com/docs/en/models/overview>, <https://platform.claude.com/docs/en/build-with-claude/thinking>,
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>. A name that says no generation (another service's model
//! behind this format) gets the rules that the oldest reasoning models had, which such services follow.

/// What a model takes.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// `max_tokens` where nobody names it, which the format demands; within the model's documented limit.
    pub(super) max_tokens: u64,
    pub(super) thinking: Thinking,
    /// Its levels of `output_config.effort`.
    pub(super) efforts: &'static [&'static str],
    pub(super) sampling: Randomness,
    /// Whether a call of a tool can be forced.
    pub(super) forced: bool,
    /// Whether it has `output_config.format` and strict tools.
    pub(super) schemas: bool,
}

/// How a model reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It does not.
    None,
    /// Within a budget of tokens: `thinking.type = "enabled"`.
    Budget,
    /// As much as it sees fit: `thinking.type = "adaptive"`.
    Adaptive {
        /// How it is told not to.
        off: Off,
        /// The text comes only if `display` asks for it.
        hidden: bool,
    },
}

/// How a model is told not to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// It does not unless asked to.
    Omit,
    /// By this `thinking.type`.
    Say(&'static str),
    /// It always reasons.
    Never,
}

/// Which of `temperature`, `top_p` and `top_k` a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Randomness {
    /// All.
    All,
    /// Of temperature and `top_p` one at a time.
    Either,
    /// None: values other than the defaults are refused.
    None,
}

const EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const EFFORTS_4_6: &[&str] = &["low", "medium", "high", "max"];
const FAMILIES: &[&str] = &["opus", "sonnet", "haiku", "fable", "mythos", "instant"];

impl Model {
    /// By the name that goes to the provider.
    pub(super) fn of(name: &str) -> Model {
        let Some((family, version)) = generation(name) else {
            return Model {
                max_tokens: 8_192,
                thinking: Thinking::Budget,
                efforts: &[],
                sampling: Randomness::All,
                forced: true,
                schemas: false,
            };
        };
        let grand = matches!(family, "fable" | "mythos");
        let at_least = |major: u8, minor: u8| version >= (major, minor);
        let off = match family {
            _ if grand => Off::Never,
            "opus" if at_least(5, 5) => Off::Never,
            "sonnet" if at_least(5, 5) => Off::Say("between_tools"),
            _ if at_least(5, 0) => Off::Say("disabled"),
            _ => Off::Omit,
        };
        Model {
            max_tokens: match version {
                (0..=2, _) | (3, 0..=4) => 4_096,
                (3, 5 | 6) => 8_192,
                (3, _) | (4, 0..=5) => 32_000,
                _ => 64_000,
            },
            thinking: match version {
                (0..=2, _) | (3, 0..=6) => Thinking::None,
                (3, _) | (4, 0..=5) => Thinking::Budget,
                _ => Thinking::Adaptive {
                    off,
                    hidden: at_least(4, 7),
                },
            },
            efforts: match version {
                (4, 6) => EFFORTS_4_6,
                _ if at_least(4, 7) => EFFORTS,
                _ => &[],
            },
            sampling: match version {
                _ if at_least(4, 7) => Randomness::None,
                _ if at_least(4, 1) => Randomness::Either,
                _ => Randomness::All,
            },
            forced: !(grand && at_least(5, 1)
                || matches!(family, "opus" | "sonnet") && at_least(5, 5)),
            schemas: at_least(4, 5),
        }
    }
}

/// Family and version in names like `claude-3-5-sonnet-20241022`, `claude-opus-4-6`, `claude-2.1`,
/// `eu.anthropic.claude-sonnet-4-5-20250929-v1:0`.
fn generation(name: &str) -> Option<(&'static str, (u8, u8))> {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let claude = words.iter().position(|word| *word == "claude")?;
    let words = words.get(claude + 1..)?;
    let found = words.iter().enumerate().find_map(|(at, word)| {
        let family = FAMILIES.iter().find(|family| *family == word)?;
        Some((at, *family))
    });
    // A longer number is a date.
    let numbers = |words: &[&str]| {
        let mut numbers = words
            .iter()
            .map_while(|word| (word.len() < 3).then(|| word.parse::<u8>().ok()).flatten());
        numbers
            .next()
            .map(|major| (major, numbers.next().unwrap_or_default()))
    };
    let Some((at, family)) = found else {
        let first = words.first()?.trim_start_matches('v');
        let rest = words.get(1..).unwrap_or_default();
        let version: Vec<&str> = [first].into_iter().chain(rest.iter().copied()).collect();
        return numbers(&version).map(|version| ("", version));
    };
    let version = numbers(words.get(at + 1..).unwrap_or_default())
        .or_else(|| numbers(words))
        .or(match family {
            "fable" | "mythos" => Some((5, 0)),
            "instant" => Some((1, 0)),
            _ => None,
        })?;
    Some((family, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_read_from_names() {
        for (name, expected) in [
            ("claude-2.1", Some(("", (2, 1)))),
            ("anthropic.claude-v2:1", Some(("", (2, 1)))),
            ("claude-instant-1.2", Some(("instant", (1, 2)))),
            ("claude-3-opus-20240229", Some(("opus", (3, 0)))),
            ("claude-3-5-sonnet@20240620", Some(("sonnet", (3, 5)))),
            ("claude-3-7-sonnet-latest", Some(("sonnet", (3, 7)))),
            ("claude-opus-4-20250514", Some(("opus", (4, 0)))),
            (
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Some(("sonnet", (4, 5))),
            ),
            ("anthropic/claude-opus-4.6", Some(("opus", (4, 6)))),
            ("claude-haiku-5-5", Some(("haiku", (5, 5)))),
            ("claude-mythos-preview", Some(("mythos", (5, 0)))),
            ("claude-sonnet-latest", None),
            ("deepseek-chat", None),
            ("", None),
        ] {
            assert_eq!(generation(name), expected, "{name}");
        }
    }

    #[test]
    fn generations_differ() {
        let of = |name: &str| {
            let model = Model::of(name);
            (model.max_tokens, model.forced, model.schemas)
        };
        assert_eq!(of("claude-2.1"), (4_096, true, false));
        assert_eq!(of("claude-3-5-haiku-latest"), (8_192, true, false));
        assert_eq!(of("claude-opus-4-1"), (32_000, true, false));
        assert_eq!(of("claude-opus-5"), (64_000, true, true));
        assert_eq!(of("claude-opus-5-5"), (64_000, false, true));
        assert_eq!(of("claude-fable-5-1"), (64_000, false, true));
        assert_eq!(of("claude-haiku-5-5"), (64_000, true, true));
        assert_eq!(of("glm-4.6"), (8_192, true, false));
        let thinking = |name: &str| Model::of(name).thinking;
        assert_eq!(thinking("claude-3-5-sonnet-latest"), Thinking::None);
        assert_eq!(thinking("claude-opus-4-5"), Thinking::Budget);
        assert_eq!(
            thinking("claude-sonnet-5-5"),
            Thinking::Adaptive {
                off: Off::Say("between_tools"),
                hidden: true
            }
        );
        assert_eq!(
            thinking("claude-sonnet-4-6"),
            Thinking::Adaptive {
                off: Off::Omit,
                hidden: false
            }
        );
    }
}
