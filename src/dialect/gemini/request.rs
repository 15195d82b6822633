//! Requests, written.

use std::{borrow::Cow, collections::HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Api, config, ids, media, schema, version,
    wire::{Known, OutContent, OutPart, OutResult, object, raw},
};
use crate::{
    dialect::{Encoded, Error, Loss, Restore, strangers},
    llm::{ChatRequest, Format, Media, Message, Part, Role, ToolChoice},
};

/// Stands for the signature of a call that another model made, which Gemini 3 would refuse:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures#faqs>.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The longest name of a function.
const LONGEST_NAME: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<OutContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<OutContent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    generation_config: Map<String, Value>,
    /// Fields of Gemini's own that have no name in the canonical model.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest, api: Api) -> Result<Encoded, Error> {
    let mut lost = Vec::new();
    let model = request.model.as_deref().unwrap_or_default();
    let version = version(model);
    let mut turns = Turns {
        contents: Vec::new(),
        system: Vec::new(),
        results: Vec::new(),
        after: Vec::new(),
        calls: HashMap::new(),
        names: Names {
            changed: Vec::new(),
            taken: request.tools.iter().map(|tool| tool.name.clone()).collect(),
        },
        // Earlier models give no ids and know none.
        ids: api == Api::Gemini && version.is_none_or(|version| version >= (3, 0)),
        pictures: version.is_some_and(|version| version >= (3, 0)),
    };
    for message in &request.messages {
        if message.name.is_some() {
            lost.push(Loss::dropped("name"));
        }
        turns.message(message, &mut lost)?;
    }
    turns.flush();
    if version == Some((1, 0)) && !turns.system.is_empty() {
        return Err(Error::Malformed(
            "system prompts aren't supported on gemini-1.0 models".into(),
        ));
    }
    let Turns {
        mut contents,
        system,
        mut names,
        ..
    } = turns;
    if version.is_some_and(|version| version >= (3, 0)) {
        sign(&mut contents);
    }
    let system_instruction = (!system.is_empty()).then_some(OutContent {
        role: None,
        parts: system,
    });
    let mut body = Body {
        contents,
        system_instruction,
        tools: tools(request, &mut names, &mut lost),
        tool_config: tool_config(request, &mut names),
        generation_config: config::encode(request, &mut lost),
        extra: Map::new(),
    };
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        lost.push(Loss::dropped("parallel_tool_calls"));
    }
    lost.extend(strangers(request.extra.as_ref(), Format::Gemini, &[]));
    if let Some(extra) = &request.extra
        && extra.from == Format::Gemini
    {
        own(&extra.fields, &mut body);
    }
    let mut seen = Vec::new();
    lost.retain(|loss: &Loss| {
        let new = !seen.contains(loss);
        if new {
            seen.push(loss.clone());
        }
        new
    });
    Ok(Encoded {
        body: serde_json::to_vec(&body)?.into(),
        lost,
        restore: Restore {
            tools: names.changed,
            answer_tool: None,
        },
    })
}

/// Gemini's own fields, beside or inside of those that the canonical model has.
fn own(fields: &Map<String, Value>, body: &mut Body<'_>) {
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("generationConfig", Value::Object(fields)) => {
                for (key, value) in fields {
                    body.generation_config
                        .entry(key)
                        .or_insert_with(|| value.clone());
                }
            }
            ("tools", Value::Array(tools)) => body.tools.extend(tools.iter().cloned()),
            ("toolConfig", Value::Object(fields)) => {
                let config = body.tool_config.get_or_insert_with(|| json!({}));
                if let Some(config) = config.as_object_mut() {
                    config.extend(fields.clone());
                }
            }
            _ => {
                body.extra.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Names of functions: those that Gemini would refuse go out changed.
struct Names {
    /// Sent, own.
    changed: Vec<(String, String)>,
    /// Names of tools, which no changed name may be.
    taken: Vec<String>,
}

impl Names {
    fn sent<'n>(&mut self, own: &'n str) -> Cow<'n, str> {
        let fits = |(at, c): (usize, char)| {
            c.is_ascii_alphabetic()
                || c == '_'
                || at > 0 && (c.is_ascii_digit() || matches!(c, '.' | ':' | '-'))
        };
        if !own.is_empty() && own.len() <= LONGEST_NAME && own.char_indices().all(fits) {
            return own.into();
        }
        if let Some((sent, _)) = self.changed.iter().find(|(_, known)| known == own) {
            return sent.clone().into();
        }
        let mut sent: String = own
            .char_indices()
            .map(|(at, c)| if fits((at, c)) { c } else { '_' })
            .take(LONGEST_NAME - 4)
            .collect();
        if sent.is_empty() {
            sent.push('_');
        }
        let plain = sent.clone();
        let mut number = 1;
        while self.taken.contains(&sent) || self.changed.iter().any(|(known, _)| *known == sent) {
            number += 1;
            sent = format!("{plain}_{number}");
        }
        self.changed.push((sent.clone(), own.to_owned()));
        sent.into()
    }
}

/// The conversation as it is built.
struct Turns<'a> {
    contents: Vec<OutContent<'a>>,
    system: Vec<OutPart<'a>>,
    /// Results of the last calls, with the calls' places: Gemini wants them in call order, in a turn of their own (TRAPS 1.12).
    results: Vec<(usize, OutPart<'a>)>,
    /// What the user says beside them.
    after: Vec<OutPart<'a>>,
    /// Id of a call to its function's name and its place: results do not name the function.
    calls: HashMap<&'a str, (Cow<'a, str>, usize)>,
    names: Names,
    /// Calls and results carry ids.
    ids: bool,
    /// Results carry pictures.
    pictures: bool,
}

impl<'a> Turns<'a> {
    fn message(&mut self, message: &'a Message, lost: &mut Vec<Loss>) -> Result<(), Error> {
        match message.role {
            Role::System => {
                for part in &message.parts {
                    match part {
                        Part::Text(text) if text.is_empty() => {}
                        Part::Text(text) => self.system.push(OutPart::text(text)),
                        other => {
                            return Err(Error::Unsupported {
                                what: format!("{} in a system message", kind(other)),
                            });
                        }
                    }
                }
            }
            Role::User => {
                for part in &message.parts {
                    if let Part::ToolResult {
                        id,
                        parts,
                        is_error,
                    } = part
                    {
                        self.result(id, parts, *is_error)?;
                    } else if let Some(part) = self.part(part, lost)? {
                        self.after.push(part);
                    }
                }
            }
            Role::Assistant => {
                self.flush();
                let mut parts: Vec<OutPart<'a>> = Vec::new();
                for part in &message.parts {
                    if let Part::Thinking {
                        text,
                        signature: Some(signature),
                    } = part
                        && text.is_empty()
                        && let Some(OutPart::Known(last)) = parts.last_mut()
                        && last.text.is_some()
                        && last.thought.is_none()
                        && last.thought_signature.is_none()
                    {
                        last.thought_signature = Some(signature.into());
                        continue;
                    }
                    parts.extend(self.part(part, lost)?);
                }
                self.push("model", parts);
            }
        }
        Ok(())
    }

    fn push(&mut self, role: &'static str, parts: Vec<OutPart<'a>>) {
        if parts.is_empty() {
            return;
        }
        match self.contents.last_mut() {
            // Neighbours of one role are one turn, but results stand alone.
            Some(last) if last.role == Some(role) && !last.parts.iter().any(is_result) => {
                last.parts.extend(parts);
            }
            _ => self.contents.push(OutContent {
                role: Some(role),
                parts,
            }),
        }
    }

    fn flush(&mut self) {
        let mut results = std::mem::take(&mut self.results);
        if !results.is_empty() {
            results.sort_by_key(|(place, _)| *place);
            self.contents.push(OutContent {
                role: Some("user"),
                parts: results.into_iter().map(|(_, part)| part).collect(),
            });
        }
        let after = std::mem::take(&mut self.after);
        self.push("user", after);
    }

    fn part(&mut self, part: &'a Part, lost: &mut Vec<Loss>) -> Result<Option<OutPart<'a>>, Error> {
        Ok(Some(match part {
            // Vertex AI refuses a part without text.
            Part::Text(text) | Part::Refusal(text) if text.is_empty() => return Ok(None),
            Part::Text(text) | Part::Refusal(text) => OutPart::text(text),
            Part::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    lost.push(Loss::dropped("detail"));
                }
                media::encode(source, None, Some("image/jpeg"))
            }
            Part::Audio { data, format } => media::encode_audio(data, format),
            Part::File { name, source } => {
                if name.is_some() {
                    lost.push(Loss::dropped("filename"));
                }
                media::encode(source, name.as_deref(), None)
            }
            Part::Thinking { text, signature } => {
                return Ok(OutPart::thinking(text, signature.as_deref()));
            }
            Part::Redacted(_) => {
                lost.push(Loss::dropped("redacted_thinking"));
                return Ok(None);
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let (id, carried) = ids::split(id);
                let sent = self.names.sent(name);
                let place = self.calls.len();
                // An id that comes again means the later call.
                self.calls.insert(id, (sent.clone(), place));
                let signature = signature.as_deref().map(Cow::Borrowed).or(carried);
                OutPart::call(self.id(id), sent, arguments, signature)
            }
            Part::ToolResult { .. } => {
                return Err(Error::Unsupported {
                    what: "a tool's result in the model's own turn".into(),
                });
            }
            Part::Opaque {
                from: Format::Gemini,
                json,
            } => OutPart::Opaque(json),
            Part::Opaque { from, json } => {
                let block: Value = serde_json::from_str(json.get()).unwrap_or_default();
                let kind = block.get("type").and_then(Value::as_str).unwrap_or("?");
                // What another provider's answer had, its own reasoning say, is of no use here; a client of OpenAI's chat has no such.
                if *from != Format::OpenAi {
                    lost.push(Loss::dropped(kind));
                    return Ok(None);
                }
                return Err(Error::Malformed(format!(
                    "cannot transform part of type '{}' to Gemini format",
                    kind.chars().take(40).collect::<String>()
                )));
            }
        }))
    }

    /// The id as the provider gave it, if it did.
    fn id(&self, id: &'a str) -> Option<&'a str> {
        (self.ids && !id.is_empty() && !ids::is_made(id)).then_some(id)
    }

    fn result(&mut self, id: &'a str, parts: &'a [Part], is_error: bool) -> Result<(), Error> {
        let (id, _) = ids::split(id);
        let (name, place) = match self.calls.get(id) {
            Some((name, place)) => (name.clone(), *place),
            // OpenAI's older `function` messages have the name for an id.
            None => (self.names.sent(id), usize::MAX),
        };
        let (mut text, mut pictures) = (None::<Cow<'a, str>>, Vec::new());
        for part in parts {
            match part {
                Part::Text(more) | Part::Refusal(more) => match &mut text {
                    None => text = Some(more.into()),
                    Some(text) => text.to_mut().push_str(more),
                },
                // Where results cannot hold it, it follows them.
                Part::Image { source, .. } => {
                    let picture = media::encode(source, None, Some("image/jpeg"));
                    if self.pictures && matches!(source, Media::Base64 { .. }) {
                        pictures.push(picture);
                    } else {
                        self.after.push(picture);
                    }
                }
                Part::File { name, source } => {
                    self.after
                        .push(media::encode(source, name.as_deref(), None));
                }
                Part::Audio { data, format } => {
                    self.after.push(media::encode_audio(data, format));
                }
                other => {
                    return Err(Error::Unsupported {
                        what: format!("{} in a tool's result", kind(other)),
                    });
                }
            }
        }
        let text = text.unwrap_or_default();
        let whole = object(&text).filter(|_| !text.trim().is_empty());
        let response = match (whole, is_error) {
            (Some(object), false) => object,
            (Some(object), true) => raw(&Failed { error: object }),
            (None, false) => raw(&json!({"result": text})),
            (None, true) => raw(&json!({"error": text})),
        };
        let result = OutPart::known(Known {
            function_response: Some(OutResult {
                id: self.id(id),
                name,
                response,
                parts: pictures,
            }),
            ..Known::default()
        });
        self.results.push((place, result));
        Ok(())
    }
}

#[derive(Serialize)]
struct Failed {
    error: Box<serde_json::value::RawValue>,
}

fn is_result(part: &OutPart<'_>) -> bool {
    matches!(part, OutPart::Known(known) if known.function_response.is_some())
}

/// What a part is, for people.
fn kind(part: &Part) -> &'static str {
    match part {
        Part::Text(_) | Part::Refusal(_) => "text",
        Part::Image { .. } => "image",
        Part::Audio { .. } => "audio",
        Part::File { .. } => "file",
        Part::Thinking { .. } | Part::Redacted(_) => "reasoning",
        Part::ToolCall { .. } => "tool call",
        Part::ToolResult { .. } => "tool result",
        Part::Opaque { .. } => "a block of another format",
    }
}

/// The first call of each step has to be signed.
fn sign(contents: &mut [OutContent<'_>]) {
    for content in contents {
        let first = content.parts.iter_mut().find_map(|part| match part {
            OutPart::Known(known) if known.function_call.is_some() => Some(known),
            _ => None,
        });
        if let Some(known) = first {
            known.thought_signature.get_or_insert(NO_SIGNATURE.into());
        }
    }
}

fn tools(request: &ChatRequest, names: &mut Names, lost: &mut Vec<Loss>) -> Vec<Value> {
    let mut declarations = Vec::new();
    for tool in &request.tools {
        let mut declaration = json!({"name": names.sent(&tool.name)});
        if let Some(description) = &tool.description {
            crate::dialect::put(&mut declaration, "description", description.clone());
        }
        if let Some(parameters) = &tool.parameters {
            let parameters = schema::reduce(parameters, lost);
            // A function without parameters must not have any schema of them.
            if !schema::is_empty(&parameters) {
                crate::dialect::put(&mut declaration, "parameters", parameters);
            }
        }
        if tool.strict == Some(true) {
            lost.push(Loss::dropped("strict"));
        }
        declarations.push(declaration);
    }
    if declarations.is_empty() {
        return Vec::new();
    }
    vec![json!({"functionDeclarations": declarations})]
}

/// <https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes>.
fn tool_config(request: &ChatRequest, names: &mut Names) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    let calling = match request.tool_choice.as_ref()? {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => {
            json!({"mode": "ANY", "allowedFunctionNames": [names.sent(name)]})
        }
    };
    Some(json!({"functionCallingConfig": calling}))
}
