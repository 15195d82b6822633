//! Requests: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

mod blocks;
mod decode;
mod media;
mod output;
mod reasoning;
mod sampling;
mod tools;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    STOPPED,
    family::{Model, Vendor},
    names::Names,
};
use crate::{
    dialect::{Encoded, Error, Loss, Restore, put, strangers},
    llm::{ChatRequest, Extra, Format, Part, ToolChoice},
};

pub(super) use blocks::content as decode_content;
pub(super) use decode::decode;

/// Kong sends it with each request, whoever made the model; Converse does not mind.
const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";

/// Fields of Converse that a client of another format may set as they are.
const OWN: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// Fields of OpenAI's that are read here, or that ask for nothing.
const READ: &[&str] = &["metadata", "modalities", "service_tier", "store"];

/// What is known while a request is written.
struct Writer<'a> {
    model: Model<'a>,
    names: Names,
    lost: Vec<Loss>,
}

impl Writer<'_> {
    /// Notes a loss, once.
    fn lose(&mut self, loss: Loss) {
        if !self.lost.contains(&loss) {
            self.lost.push(loss);
        }
    }

    fn drop(&mut self, what: &str) {
        self.lose(Loss::dropped(what));
    }
}

/// Whether the model must call a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forced {
    /// The model may answer in text.
    No,
    /// It must call one, or a certain one.
    Yes,
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    if request.sampling.n.is_some_and(|n| n > 1) {
        return Err(Error::Unsupported {
            what: "`n` > 1".into(),
        });
    }
    let mut writer = Writer {
        model: Model::of(request.model.as_deref().unwrap_or_default()),
        names: Names::of(request),
        lost: Vec::new(),
    };
    let (system, messages) = blocks::conversation(request, &mut writer)?;
    if !system.is_empty() && !writer.model.takes_system() {
        // Kong's wording.
        return Err(Error::Malformed(format!(
            "system prompts are unsupported for model '{}'",
            request.model.as_deref().unwrap_or_default()
        )));
    }
    let output = output::encode(request, &mut writer)?;
    let (tool_config, forced) = tools::encode(request, output.tool.as_ref(), &mut writer);
    let mut additional = Map::new();
    let reasoning = reasoning::encode(request, forced, &mut writer, &mut additional);
    let inference = sampling::encode(request, &reasoning, &mut writer, &mut additional);

    let mut json = json!({"messages": messages});
    if !system.is_empty() {
        put(&mut json, "system", system);
    }
    let stops = inference.contains_key("stopSequences");
    if !inference.is_empty() {
        put(&mut json, "inferenceConfig", inference);
    }
    if let Some(tool_config) = tool_config {
        put(&mut json, "toolConfig", tool_config);
    }
    if let Some(format) = output.text_format {
        put(&mut json, "outputConfig", json!({"textFormat": format}));
    }
    // A client of this format asks for itself.
    let own = matches!(&request.extra, Some(extra) if extra.from == Format::Bedrock);
    if stops && !own && writer.model.vendor == Vendor::Anthropic {
        put(&mut json, "additionalModelResponseFieldPaths", STOPPED);
    }
    extras(request, &mut json, &mut writer);
    if !additional.is_empty() {
        // What the client says itself wins.
        if let Some(Value::Object(own)) = json.get("additionalModelRequestFields") {
            additional.extend(own.clone());
        }
        put(&mut json, "additionalModelRequestFields", additional);
    }
    put(&mut json, "anthropic_version", ANTHROPIC_VERSION);
    let restore = Restore {
        tools: std::mem::take(&mut writer.names.renamed),
        answer_tool: output.tool.map(|tool| tool.name),
    };
    Ok(Encoded {
        body: Bytes::from(json.to_string()),
        lost: writer.lost,
        restore,
    })
}

/// The fields without a name in the canonical model.
fn extras(request: &ChatRequest, json: &mut Value, writer: &mut Writer<'_>) {
    let extra = request.extra.as_ref();
    match extra {
        Some(extra) if extra.from == Format::Bedrock => {
            for (key, value) in &extra.fields {
                match (key.as_str(), json.get_mut(key), value) {
                    // Tools of Bedrock's own, beside the client's.
                    ("toolConfig", Some(config), value) => {
                        let own = value.get("tools").and_then(Value::as_array);
                        let tools = config.get_mut("tools").and_then(Value::as_array_mut);
                        if let (Some(own), Some(tools)) = (own, tools) {
                            tools.extend(own.iter().cloned());
                        }
                    }
                    (_, Some(Value::Object(fields)), Value::Object(more)) => {
                        fields.extend(more.clone());
                    }
                    _ => put(json, key, value.clone()),
                }
            }
        }
        Some(extra) if extra.from == Format::OpenAi => openai(extra, json, writer),
        _ => {}
    }
    let known: Vec<&str> = OWN.iter().chain(READ).copied().collect();
    let known = match extra {
        Some(extra) if extra.from == Format::OpenAi => known.as_slice(),
        _ => &[],
    };
    for loss in strangers(extra, Format::Bedrock, known) {
        writer.lose(loss);
    }
    if let Some(user) = &request.user {
        metadata("user", "user", user, json, writer);
    }
}

/// The fields of OpenAI's that Converse has under another name, and those of its own.
fn openai(extra: &Extra, json: &mut Value, writer: &mut Writer<'_>) {
    for key in OWN {
        if let Some(value) = extra.fields.get(*key).filter(|value| !value.is_null()) {
            put(json, key, value.clone());
        }
    }
    let text = |key: &str| extra.fields.get(key).and_then(Value::as_str);
    match text("service_tier") {
        Some(tier @ ("default" | "flex" | "priority")) if json.get("serviceTier").is_none() => {
            put(json, "serviceTier", json!({"type": tier}));
        }
        Some("default" | "flex" | "priority" | "auto") | None => {}
        Some(_) => writer.drop("service_tier"),
    }
    if extra.fields.get("store") == Some(&Value::Bool(true)) {
        writer.drop("store");
    }
    let modalities = extra.fields.get("modalities").and_then(Value::as_array);
    if modalities.is_some_and(|all| all.iter().any(|modality| modality != "text")) {
        writer.drop("modalities");
    }
    if let Some(Value::Object(pairs)) = extra.fields.get("metadata") {
        for (key, value) in pairs {
            metadata(
                "metadata",
                key,
                value.as_str().unwrap_or_default(),
                json,
                writer,
            );
        }
    }
}

/// Adds a label of the request, which Bedrock shows in its invocation logs:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#bedrock-runtime_Converse-request-requestMetadata>.
fn metadata(field: &str, key: &str, value: &str, json: &mut Value, writer: &mut Writer<'_>) {
    let legal = |text: &str| {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
        };
        text.len() <= 256 && text.chars().all(allowed)
    };
    if key.is_empty() || value.is_empty() || !legal(key) || !legal(value) {
        return writer.drop(field);
    }
    let mut all = match json.get("requestMetadata") {
        Some(Value::Object(all)) => all.clone(),
        _ => Map::new(),
    };
    if all.len() >= 16 && !all.contains_key(key) {
        return writer.drop(field);
    }
    all.entry(key.to_owned()).or_insert_with(|| value.into());
    put(json, "requestMetadata", all);
}

/// Whether a conversation holds calls or results of tools.
fn has_tool_blocks(request: &ChatRequest) -> bool {
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| matches!(part, Part::ToolCall { .. } | Part::ToolResult { .. }))
}

/// Whether the client's tools are on offer.
fn offers_tools(request: &ChatRequest) -> bool {
    !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None)
}

/// Whether Claude is asked.
fn claude(model: Model<'_>) -> bool {
    model.vendor == Vendor::Anthropic
}
