//! Requests to the provider.

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    blocks::Block,
    decode::TOOLS,
    messages::{Conversation, Names, Turn, Writer},
    model::{Model, Randomness, Thinking},
    schema, thinking,
};
use crate::{
    dialect::{Encoded, Error, Loss, Restore, put, strangers},
    llm::{ChatRequest, Format, OutputFormat, Sampling, Tool, ToolChoice},
};

/// Longest name of a tool: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools>.
const NAME: usize = 128;

/// Asks for JSON where no schema says which.
const JSON_ONLY: &str =
    "Answer with one JSON object and nothing else: no text around it, no Markdown fence.";

/// The fields of a body, in order.
#[derive(Default)]
struct Body(Vec<(String, Box<RawValue>)>);

impl Body {
    fn set(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let value = serde_json::value::to_raw_value(value)?;
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
        Ok(())
    }

    fn set_some<T: Serialize>(&mut self, key: &str, value: Option<T>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.set(key, &value))
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A tool as it is written.
#[derive(Serialize)]
struct WireTool<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    if request.sampling.n.is_some_and(|n| n > 1) {
        return Err(Error::Unsupported {
            what: "n > 1".into(),
        });
    }
    let model = Model::of(request.model.as_deref().unwrap_or_default());
    let mut lost = Vec::new();
    let mut names = Names::new(NAME);
    for tool in &request.tools {
        names.sent(&tool.name);
    }
    let thinks = model.thinking != Thinking::None;
    let Conversation {
        mut system,
        turns,
        called,
    } = Writer::new(&mut names, &mut lost, thinks).conversation(&request.messages)?;

    let mut tools = Vec::new();
    for tool in &request.tools {
        tools.push(wire_tool(tool, &model, &mut names, &mut lost)?);
    }
    let form = form(request, &model, &mut names, &mut lost)?;
    let mut hints = Vec::new();
    let mut format = None;
    let mut answer_tool = None;
    match form {
        Form::Free => {}
        Form::Hint => hints.push(JSON_ONLY),
        Form::Schema(schema) => format = Some(json!({"type": "json_schema", "schema": schema})),
        Form::Tool(tool) => {
            answer_tool = Some(tool.name.clone());
            tools.push(tool);
        }
    }
    system.extend(hints);

    let native = native_tools(request);
    let offered = !tools.is_empty() || !native.is_empty();
    let choice = choice(request, offered, answer_tool.as_deref(), &mut names);
    let forced = matches!(
        choice
            .as_ref()
            .and_then(|choice| choice.get("type")?.as_str()),
        Some("any" | "tool")
    );
    if forced && !model.forced {
        return Err(Error::Unsupported {
            what: "a forced tool_choice: the model rejects it".into(),
        });
    }
    let max_tokens = request.sampling.max_tokens.unwrap_or(model.max_tokens);
    let plan = thinking::plan(
        &model,
        &request.reasoning,
        max_tokens,
        forced,
        &turns,
        &mut lost,
    );

    let mut body = Body::default();
    body.set_some("model", request.model.as_deref())?;
    match system.as_slice() {
        [] => {}
        [text] => body.set("system", text)?,
        texts => {
            let blocks: Vec<Block<'_>> = texts.iter().map(|text| Block::text(*text)).collect();
            body.set("system", &blocks)?;
        }
    }
    let turns: Vec<_> = turns.into_iter().map(Turn::wire).collect();
    body.set("messages", &turns)?;
    body.set("max_tokens", &max_tokens)?;
    sampling(&request.sampling, &model, plan.on, &mut body, &mut lost)?;
    write_tools(&mut body, &tools, &native, &called)?;
    body.set_some("tool_choice", choice)?;
    body.set_some("thinking", plan.thinking)?;
    let mut config = Map::new();
    config.extend(
        plan.effort
            .map(|effort| ("effort".to_owned(), effort.into())),
    );
    config.extend(format.map(|format| ("format".to_owned(), format)));
    if !config.is_empty() {
        body.set("output_config", &config)?;
    }
    extras(request, &mut body, &mut lost)?;
    body.set("stream", &request.stream)?;
    Ok(Encoded {
        body: Bytes::from(serde_json::to_vec(&body).map_err(Error::from)?),
        lost,
        restore: Restore {
            tools: names.changed(),
            answer_tool,
        },
    })
}

/// What makes an answer have its form.
enum Form<'a> {
    Free,
    /// An instruction.
    Hint,
    /// `output_config.format`.
    Schema(Value),
    /// A tool that takes the answer.
    Tool(WireTool<'a>),
}

fn form<'a>(
    request: &'a ChatRequest,
    model: &Model,
    names: &mut Names,
    lost: &mut Vec<Loss>,
) -> Result<Form<'a>, Error> {
    let (name, schema, description) = match &request.output {
        OutputFormat::Text => return Ok(Form::Free),
        OutputFormat::JsonObject => {
            // Structured outputs know no object of any form, and a tool without a schema is answered with `{}`.
            lost.push(Loss {
                how: "weakened",
                what: "response_format".into(),
            });
            return Ok(Form::Hint);
        }
        OutputFormat::JsonSchema {
            name,
            schema,
            description,
            ..
        } => (name, schema, description),
    };
    if model.schemas
        && let Some(schema) = schema::cut(schema, lost)
    {
        return Ok(Form::Schema(schema));
    }
    let value: Value = serde_json::from_str(schema.get())?;
    let object = value
        .get("type")
        .map_or(value.is_object(), |kind| kind == "object");
    if !model.forced || !object {
        return Err(Error::Unsupported {
            what: "a JSON schema that refers to itself, or whose root is no object".into(),
        });
    }
    let mut own = if name.is_empty() { "answer" } else { name }.to_owned();
    while names.known.iter().any(|(known, _)| *known == own) {
        own.push('_');
    }
    // What the answer undoes is the name as sent; `Restore` needs no entry for it.
    let sent = names.sent(&own);
    names.known.retain(|(known, _)| *known != own);
    names.known.push((sent.clone(), sent.clone()));
    Ok(Form::Tool(WireTool {
        name: sent,
        description: Some(
            description
                .as_deref()
                .unwrap_or("Takes the answer, in the form that was asked for."),
        ),
        input_schema: root(Some(schema))?,
        strict: None,
    }))
}

/// The schema of an input, whose root must say that it is an object.
fn root(schema: Option<&RawValue>) -> Result<Box<RawValue>, Error> {
    let mut value: Value = match schema {
        Some(schema) => serde_json::from_str(schema.get())?,
        None => json!({"type": "object", "properties": {}}),
    };
    if let (Some(schema), true) = (schema, value.get("type").is_some()) {
        return Ok(schema.to_owned());
    }
    if !value.is_object() {
        value = json!({"properties": {}});
    }
    put(&mut value, "type", "object");
    Ok(serde_json::value::to_raw_value(&value)?)
}

fn wire_tool<'a>(
    tool: &'a Tool,
    model: &Model,
    names: &mut Names,
    lost: &mut Vec<Loss>,
) -> Result<WireTool<'a>, Error> {
    let mut input_schema = root(tool.parameters.as_deref())?;
    let mut strict = None;
    if tool.strict == Some(true) {
        let mut cut = Vec::new();
        match schema::cut(&input_schema, &mut cut).filter(|_| model.schemas) {
            Some(schema) => {
                input_schema = serde_json::value::to_raw_value(&schema)?;
                cut.retain(|loss| !lost.contains(loss));
                lost.extend(cut);
                strict = Some(true);
            }
            None => once(lost, "strict"),
        }
    }
    Ok(WireTool {
        name: names.sent(&tool.name),
        description: tool.description.as_deref().filter(|text| !text.is_empty()),
        input_schema,
        strict,
    })
}

fn once(lost: &mut Vec<Loss>, what: &str) {
    let loss = Loss::dropped(what);
    if !lost.contains(&loss) {
        lost.push(loss);
    }
}

/// Tools of the provider's own, as a client of this format named them.
fn native_tools(request: &ChatRequest) -> Vec<&Value> {
    request
        .extra
        .iter()
        .filter(|extra| extra.from == Format::Anthropic)
        .filter_map(|extra| extra.fields.get("tools")?.as_array())
        .flatten()
        .collect()
}

fn write_tools(
    body: &mut Body,
    tools: &[WireTool<'_>],
    native: &[&Value],
    called: &[String],
) -> Result<(), Error> {
    let mut all = Vec::new();
    for tool in tools {
        all.push(serde_json::value::to_raw_value(tool)?);
    }
    for tool in native {
        all.push(serde_json::value::to_raw_value(tool)?);
    }
    if !all.is_empty() {
        return body.set("tools", &all);
    }
    if called.is_empty() {
        return Ok(());
    }
    // Calls in the conversation are refused unless there are tools; these can only be looked at.
    let stubs: Vec<Value> = called
        .iter()
        .map(|name| json!({"name": name, "input_schema": {"type": "object"}}))
        .collect();
    body.set("tools", &stubs)?;
    body.set("tool_choice", &json!({"type": "none"}))
}

/// `tool_choice`, which also says whether several calls may come at once.
fn choice(
    request: &ChatRequest,
    offered: bool,
    answer: Option<&str>,
    names: &mut Names,
) -> Option<Value> {
    if !offered {
        // Without tools only this says something.
        let none = request.tool_choice == Some(ToolChoice::None);
        return none.then(|| json!({"type": "none"}));
    }
    let own = !request.tools.is_empty();
    let mut choice = match (answer, &request.tool_choice) {
        (_, Some(ToolChoice::Named(name))) => json!({"type": "tool", "name": names.sent(name)}),
        // Either one of the client's tools, or the answer.
        (Some(_), None | Some(ToolChoice::Auto | ToolChoice::Required)) if own => {
            json!({"type": "any"})
        }
        (Some(answer), _) => json!({"type": "tool", "name": answer}),
        (None, Some(ToolChoice::None)) => json!({"type": "none"}),
        (None, Some(ToolChoice::Required)) => json!({"type": "any"}),
        (None, Some(ToolChoice::Auto)) => json!({"type": "auto"}),
        (None, None) if request.parallel_tool_calls == Some(false) => json!({"type": "auto"}),
        (None, None) => return None,
    };
    let one = request.parallel_tool_calls == Some(false) || answer.is_some();
    if one && choice.get("type").is_some_and(|kind| kind != "none") {
        put(&mut choice, "disable_parallel_tool_use", true);
    }
    Some(choice)
}

/// `temperature` goes from 0 to 1 here.
pub(in crate::dialect) fn temperature(sampling: &Sampling, lost: &mut Vec<Loss>) -> Option<f64> {
    let asked = sampling.temperature?;
    let taken = asked.clamp(0.0, 1.0);
    if (taken - asked).abs() > f64::EPSILON {
        lost.push(Loss::clamped("temperature"));
    }
    Some(taken)
}

/// `stop_sequences`: blank ones are refused.
pub(in crate::dialect) fn sequences<'a>(
    sampling: &'a Sampling,
    lost: &mut Vec<Loss>,
) -> Vec<&'a str> {
    let taken: Vec<&str> = sampling
        .stop
        .iter()
        .map(String::as_str)
        .filter(|stop| !stop.trim().is_empty())
        .collect();
    if taken.len() != sampling.stop.len() {
        lost.push(Loss::dropped("stop"));
    }
    taken
}

fn sampling(
    asked: &Sampling,
    model: &Model,
    thinking: bool,
    body: &mut Body,
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    let is_one = |value: f64| (value - 1.0).abs() < f64::EPSILON;
    // 1 is the default of both: left out, it means the same.
    if model.sampling == Randomness::None || thinking {
        if asked.temperature.is_some_and(|value| !is_one(value)) {
            lost.push(Loss::dropped("temperature"));
        }
        if asked.top_k.is_some() {
            lost.push(Loss::dropped("top_k"));
        }
        let top_p = asked.top_p.filter(|value| !is_one(*value));
        match top_p {
            Some(_) if model.sampling == Randomness::None => lost.push(Loss::dropped("top_p")),
            // With reasoning, from 0.95.
            Some(value) => {
                if value < 0.95 {
                    lost.push(Loss::clamped("top_p"));
                }
                body.set("top_p", &value.clamp(0.95, 1.0))?;
            }
            None => {}
        }
    } else {
        let temperature = temperature(asked, lost);
        let mut top_p = asked.top_p;
        if model.sampling == Randomness::Either && temperature.is_some() {
            if top_p.is_some_and(|value| !is_one(value)) {
                lost.push(Loss::dropped("top_p"));
            }
            top_p = None;
        }
        body.set_some("temperature", temperature)?;
        body.set_some("top_p", top_p)?;
        body.set_some("top_k", asked.top_k)?;
    }
    let stop = sequences(asked, lost);
    if !stop.is_empty() {
        body.set("stop_sequences", &stop)?;
    }
    lost.extend(unknown(asked));
    Ok(())
}

/// What no model of the provider's takes.
pub(in crate::dialect) fn unknown(sampling: &Sampling) -> Vec<Loss> {
    let penalty = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
    [
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", penalty(sampling.frequency_penalty)),
        ("presence_penalty", penalty(sampling.presence_penalty)),
        ("logprobs", sampling.logprobs == Some(true)),
        ("top_logprobs", sampling.top_logprobs.is_some_and(|n| n > 0)),
    ]
    .into_iter()
    .filter(|(_, asked)| *asked)
    .map(|(name, _)| Loss::dropped(name))
    .collect()
}

/// The end user's id, and the fields that are known to no other format.
fn extras(request: &ChatRequest, body: &mut Body, lost: &mut Vec<Loss>) -> Result<(), Error> {
    let mut metadata = Map::new();
    if let Some(user) = &request.user {
        metadata.insert("user_id".into(), user.as_str().into());
    }
    // `auto` is the default here as there.
    let tier = |value: &Value| value == "auto";
    let mut known = Vec::new();
    if let Some(extra) = &request.extra {
        if extra.fields.get("service_tier").is_some_and(tier) {
            known.push("service_tier");
        }
        for (key, value) in extra
            .fields
            .iter()
            .filter(|_| extra.from == Format::Anthropic)
        {
            match (key.as_str(), value) {
                ("tools", _) => {}
                (key, _) if key.starts_with(TOOLS) => {}
                ("metadata", Value::Object(fields)) => metadata.extend(fields.clone()),
                _ => body.set(key, value)?,
            }
        }
    }
    lost.extend(strangers(request.extra.as_ref(), Format::Anthropic, &known));
    if metadata.is_empty() {
        Ok(())
    } else {
        body.set("metadata", &metadata)
    }
}
