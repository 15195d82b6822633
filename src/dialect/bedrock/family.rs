//! Who made a model, and what follows from it.

/// The vendors whose models differ in what they take beyond Converse's common fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    Anthropic,
    Nova,
    Cohere,
    Mistral,
    Ai21,
    OpenAi,
    Other,
}

/// Vendors as model ids name them: `anthropic.claude-...`, with or without a region before it (`us.`, `global.`).
const VENDORS: &[&str] = &[
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
];

/// Models without system prompts, by what their names begin with; after Kong's list.
const WITHOUT_SYSTEM: &[&str] = &[
    "amazon.titan-",
    "cohere.command-text-",
    "cohere.command-light-text-",
    "mistral.mistral-7b-instruct-",
    "mistral.mixtral-8x7b-instruct-",
];

/// Models beside Claude whose answers can be held to a JSON schema:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html#structured-output-supported-models>.
const STRUCTURED: &[&str] = &[
    "deepseek.v3",
    "google.gemma-3",
    "minimax.minimax-m2",
    "mistral.magistral-",
    "mistral.ministral-",
    "mistral.mistral-large-3",
    "mistral.voxtral-",
    "moonshot.kimi-k2",
    "moonshotai.kimi-k2",
    "nvidia.nemotron-",
    "openai.gpt-oss-",
    "qwen.qwen3-",
];

/// A model as its id tells of it. Ids without a vendor (application inference profiles, imported models) tell nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    /// `anthropic.claude-...`: without the region or the rest of an ARN.
    pub(super) name: &'a str,
    pub(super) vendor: Vendor,
}

/// How a Claude model is told to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all.
    Never,
    /// With a budget of tokens.
    Budget,
    /// By effort, or still with a budget.
    Either,
    /// By effort alone.
    Adaptive,
}

impl<'a> Model<'a> {
    /// Of a model id or an ARN.
    pub(super) fn of(id: &'a str) -> Model<'a> {
        let named = id.rsplit('/').find_map(|part| {
            let behind_region = part.split_once('.').map(|(_, rest)| rest);
            let mut names = [Some(part), behind_region].into_iter().flatten();
            names.find_map(|name| {
                let (vendor, rest) = name.split_once('.')?;
                (VENDORS.contains(&vendor) && !rest.is_empty()).then_some((name, vendor))
            })
        });
        let Some((name, vendor)) = named else {
            return Model {
                name: id,
                vendor: Vendor::Other,
            };
        };
        let vendor = match vendor {
            "anthropic" => Vendor::Anthropic,
            "amazon" if name.starts_with("amazon.nova") => Vendor::Nova,
            "cohere" => Vendor::Cohere,
            "mistral" => Vendor::Mistral,
            "ai21" => Vendor::Ai21,
            "openai" => Vendor::OpenAi,
            _ => Vendor::Other,
        };
        Model { name, vendor }
    }

    /// Version of a Claude model: `claude-3-7-sonnet-20250219` is 3.7, `claude-opus-4-20250514` is 4.0. Zero if the name tells none.
    fn claude(self) -> (u32, u32) {
        let name = self.name.split([':', '@']).next().unwrap_or_default();
        let mut numbers = name
            .split('-')
            .skip(1)
            .skip_while(|word| word.parse::<u32>().is_err())
            .map_while(|word| word.parse::<u32>().ok())
            // What follows is a date.
            .take_while(|number| *number < 1000);
        match (numbers.next(), numbers.next()) {
            (Some(major), minor) => (major, minor.unwrap_or_default()),
            (None, _) if name.contains("mythos") => (5, 0),
            (None, _) => (0, 0),
        }
    }

    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html>
    pub(super) fn thinking(self) -> Thinking {
        match self.claude() {
            version if version < (3, 7) => Thinking::Never,
            version if version < (4, 6) => Thinking::Budget,
            (4, 6) => Thinking::Either,
            _ => Thinking::Adaptive,
        }
    }

    /// Claude from 4.1 on takes temperature or `topP`, not both.
    pub(super) fn takes_one_of_temperature_and_top_p(self) -> bool {
        self.vendor == Vendor::Anthropic && self.claude() >= (4, 1)
    }

    /// Claude from Opus 4.7 on refuses temperature, `topP` and `top_k`.
    pub(super) fn refuses_sampling(self) -> bool {
        self.vendor == Vendor::Anthropic && self.claude() >= (4, 7)
    }

    /// Whether the model takes `outputConfig.textFormat` and `toolSpec.strict`. Claude after 4.6 refuses them:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-card-anthropic-claude-opus-4-7.html>.
    pub(super) fn structured(self) -> bool {
        match self.vendor {
            Vendor::Anthropic => ((4, 5)..=(4, 6)).contains(&self.claude()),
            _ => STRUCTURED.iter().any(|name| self.name.starts_with(name)),
        }
    }

    pub(super) fn takes_system(self) -> bool {
        !WITHOUT_SYSTEM
            .iter()
            .any(|name| self.name.starts_with(name))
    }

    /// The name under which a sampling parameter goes into `additionalModelRequestFields`; `None`: the model has none.
    pub(super) fn additional(self, parameter: &str) -> Option<&'static str> {
        Some(match (self.vendor, parameter) {
            (Vendor::Anthropic, "top_k") if !self.refuses_sampling() => "top_k",
            (Vendor::Mistral, "top_k") if !self.takes_system() => "top_k",
            (Vendor::Cohere, "top_k") => "k",
            (Vendor::Cohere | Vendor::OpenAi, "seed") => "seed",
            (Vendor::Cohere | Vendor::OpenAi | Vendor::Ai21, "frequency_penalty") => {
                "frequency_penalty"
            }
            (Vendor::Cohere | Vendor::OpenAi | Vendor::Ai21, "presence_penalty") => {
                "presence_penalty"
            }
            _ => return None,
        })
    }
}

/// Whether a model, by its id, takes system prompts.
#[must_use]
pub fn takes_system(model: &str) -> bool {
    Model::of(model).takes_system()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_the_vendor() {
        for (id, name, vendor) in [
            (
                "anthropic.claude-3-haiku-20240307-v1:0",
                "anthropic.claude-3-haiku-20240307-v1:0",
                Vendor::Anthropic,
            ),
            (
                "us.anthropic.claude-sonnet-4-6",
                "anthropic.claude-sonnet-4-6",
                Vendor::Anthropic,
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.amazon.nova-2-lite-v1:0",
                "amazon.nova-2-lite-v1:0",
                Vendor::Nova,
            ),
            (
                "arn:aws:bedrock:eu-west-1::foundation-model/cohere.command-r-v1:0",
                "cohere.command-r-v1:0",
                Vendor::Cohere,
            ),
            (
                "amazon.titan-text-express-v1",
                "amazon.titan-text-express-v1",
                Vendor::Other,
            ),
            ("aws-titan-v1:0", "aws-titan-v1:0", Vendor::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
                Vendor::Other,
            ),
            ("", "", Vendor::Other),
        ] {
            let model = Model::of(id);
            assert_eq!((model.name, model.vendor), (name, vendor), "{id}");
        }
    }

    #[test]
    fn claude_versions() {
        for (name, version, thinking, structured) in [
            ("claude-v2:1", (0, 0), Thinking::Never, false),
            (
                "claude-3-haiku-20240307-v1:0",
                (3, 0),
                Thinking::Never,
                false,
            ),
            (
                "claude-3-5-sonnet-20241022-v2:0",
                (3, 5),
                Thinking::Never,
                false,
            ),
            (
                "claude-3-7-sonnet-20250219-v1:0",
                (3, 7),
                Thinking::Budget,
                false,
            ),
            (
                "claude-opus-4-20250514-v1:0",
                (4, 0),
                Thinking::Budget,
                false,
            ),
            (
                "claude-haiku-4-5-20251001-v1:0",
                (4, 5),
                Thinking::Budget,
                true,
            ),
            ("claude-opus-4-6-v1", (4, 6), Thinking::Either, true),
            ("claude-opus-4-7", (4, 7), Thinking::Adaptive, false),
            ("claude-mythos-preview", (5, 0), Thinking::Adaptive, false),
        ] {
            let id = format!("eu.anthropic.{name}");
            let model = Model::of(&id);
            assert_eq!(
                (model.claude(), model.thinking(), model.structured()),
                (version, thinking, structured),
                "{name}"
            );
        }
    }

    #[test]
    fn some_models_take_no_system_prompt() {
        assert!(!takes_system("amazon.titan-text-express-v1"));
        assert!(!takes_system("us.mistral.mistral-7b-instruct-v0:2"));
        assert!(takes_system("mistral.mistral-large-2402-v1:0"));
        assert!(takes_system("aws-titan-v1:0"));
    }
}
