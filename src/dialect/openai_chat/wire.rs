//! What providers of OpenAI's format send: whole answers and chunks, which share all but one name.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::usage::Usage;
use crate::dialect::text::{Text, count};

/// A whole answer, or one chunk of a stream.
#[derive(Default, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) object: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    pub(super) created: u64,
    #[serde(borrow, default)]
    pub(super) system_fingerprint: Text<'a>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Option<Usage>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// Of an error that has no object of its own.
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) detail: Text<'a>,
    /// Groq's: <https://console.groq.com/docs/api-reference#chat-create>.
    #[serde(borrow)]
    pub(super) x_groq: Option<Groq<'a>>,
    /// Perplexity's sources: <https://docs.perplexity.ai/api-reference/chat-completions-post>.
    #[serde(borrow)]
    pub(super) search_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
}

/// Groq's own part of a chunk: the last one has the usage, asked for or not.
#[derive(Deserialize)]
pub(super) struct Groq<'a> {
    pub(super) usage: Option<Usage>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default, deserialize_with = "count")]
    pub(super) index: u64,
    /// Of whole answers.
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    /// Of chunks.
    #[serde(borrow)]
    pub(super) delta: Option<Message<'a>>,
    /// Of completions. Together sends it in chat, too, beside the same text in the delta.
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    /// vLLM's: the stop sequence that was met, or the number of a token:
    /// <https://docs.vllm.ai/en/latest/api/vllm/entrypoints/openai/protocol.html>.
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    /// The same of SGLang's.
    #[serde(borrow, default)]
    pub(super) matched_stop: Text<'a>,
    /// OpenRouter's: <https://openrouter.ai/docs/api-reference/errors>.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A message, or what a chunk adds to it.
#[derive(Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    /// DeepSeek's name, and most others': <https://api-docs.deepseek.com/guides/thinking_mode>.
    #[serde(borrow, default)]
    pub(super) reasoning_content: Text<'a>,
    /// OpenRouter's, Groq's and Cerebras': <https://openrouter.ai/docs/use-cases/reasoning-tokens>.
    #[serde(borrow, default)]
    pub(super) reasoning: Text<'a>,
    /// LiteLLM's: <https://docs.litellm.ai/docs/reasoning_content>.
    #[serde(borrow)]
    pub(super) thinking_blocks: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
    /// OpenAI's before there were tools.
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    /// Google's place for what OpenAI has no field for: <https://ai.google.dev/gemini-api/docs/thought-signatures>.
    #[serde(borrow)]
    extra_content: Option<&'a RawValue>,
    /// LiteLLM's.
    #[serde(borrow)]
    provider_specific_fields: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'a> ToolCall<'a> {
    /// The call of an answer that knows no tools. It has no id, and its result will be told by name.
    pub(super) fn legacy(function: Function<'a>) -> ToolCall<'a> {
        ToolCall {
            index: Some(0),
            id: function.name.clone(),
            function: Some(function),
            extra_content: None,
            provider_specific_fields: None,
        }
    }

    /// The proof that Gemini wants back with the call.
    pub(super) fn signature(&self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Extra<'a> {
            #[serde(borrow)]
            google: Option<Fields<'a>>,
        }

        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            thought_signature: Text<'a>,
        }

        read::<Extra<'_>>(self.extra_content)
            .and_then(|extra| extra.google)
            .or_else(|| read::<Fields<'_>>(self.provider_specific_fields))
            .and_then(|fields| fields.thought_signature.filled())
    }
}

impl<'a> Function<'a> {
    /// Arguments are JSON in a string; some servers send the object itself. Empty if there are none.
    pub(super) fn arguments(&self) -> Cow<'a, str> {
        match self.arguments {
            Some(raw) if raw.get().starts_with('"') => {
                read::<Text<'_>>(Some(raw)).unwrap_or_default().or_empty()
            }
            Some(raw) if raw.get() != "null" => Cow::Borrowed(raw.get()),
            _ => Cow::Borrowed(""),
        }
    }
}

/// Reads a field that few providers send; one of another shape is as good as none.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// The content of a message: a text, or a list of blocks.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    /// `null`, or something unknown.
    #[default]
    None,
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

/// A block of an answer's content, as Mistral has them:
/// <https://docs.mistral.ai/studio-api/conversations/reasoning>.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    /// Of reasoning: a list of texts, or one.
    #[serde(borrow, default)]
    pub(super) thinking: Content<'a>,
}

impl<'a> Content<'a> {
    /// The text, that of all blocks joined.
    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Content::None => Cow::Borrowed(""),
            Content::Text(text) => text,
            Content::Blocks(blocks) => blocks
                .into_iter()
                .map(|block| block.text.or_empty())
                .reduce(|all, text| all + text)
                .unwrap_or_default(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text)))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut blocks = Vec::new();
                while let Some(raw) = seq.next_element::<&'de RawValue>()? {
                    blocks.extend(read::<Block<'_>>(Some(raw)));
                }
                Ok(Content::Blocks(blocks))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::None)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// One of LiteLLM's `thinking_blocks`.
#[derive(Debug, Deserialize)]
pub(super) struct ThinkingBlock<'a> {
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    /// Of redacted ones.
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// A piece of reasoning.
#[derive(Debug)]
pub(super) enum Thought<'a> {
    Plain {
        text: Cow<'a, str>,
        signature: Option<Cow<'a, str>>,
    },
    Redacted(Cow<'a, str>),
}

/// The reasoning of a message that tells it twice: blocks have the signatures, so they are preferred. A lone block without the text (a
/// client that joined deltas may leave it out) gets that of `reasoning`.
pub(super) fn thoughts<'a>(
    reasoning: Option<Cow<'a, str>>,
    blocks: Vec<ThinkingBlock<'a>>,
) -> Vec<Thought<'a>> {
    let mut thoughts: Vec<Thought<'a>> = Vec::with_capacity(blocks.len().max(1));
    for block in blocks {
        if let Some(data) = block.data.filled() {
            thoughts.push(Thought::Redacted(data));
            continue;
        }
        let (text, signature) = (block.thinking.or_empty(), block.signature.filled());
        if !text.is_empty() || signature.is_some() {
            thoughts.push(Thought::Plain { text, signature });
        }
    }
    let Some(reasoning) = reasoning else {
        return thoughts;
    };
    let mut plain = thoughts.iter_mut().filter_map(|thought| match thought {
        Thought::Plain { text, .. } => Some(text),
        Thought::Redacted(_) => None,
    });
    match (plain.next(), plain.next()) {
        (Some(text), None) if text.is_empty() => *text = reasoning,
        (Some(_), _) => {}
        (None, _) => thoughts.insert(
            0,
            Thought::Plain {
                text: reasoning,
                signature: None,
            },
        ),
    }
    thoughts
}
