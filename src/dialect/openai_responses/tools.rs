//! Tools and their choice, both ways.
//!
//! The canonical model has functions alone. A custom tool (free text in, <https://platform.openai.com/docs/guides/function-calling#custom-tools>)
//! becomes one with a single string, `input`; a namespace's tools have its name before their own; a search among tools that the client
//! makes itself (<https://developers.openai.com/api/docs/guides/tools-tool-search>) is a function, and what it found are tools like others.
//! Answers are told in the client's terms again, by what the request declared.

use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Echo,
    items::{object, text},
};
use crate::{
    dialect::{Error, openai_chat::Names, put},
    llm::{ChatRequest, Tool, ToolChoice},
};

/// The one argument of a function that stands for a custom tool.
pub(super) const INPUT: &str = "input";

/// The function that stands for the client's own search, and the type of its declaration.
pub(super) const SEARCH: &str = "tool_search";

/// Where the tools that items bring along stand beside the others in what is kept of a request; also the type of such an item.
pub(super) const BROUGHT: &str = "additional_tools";

/// What becomes of tools that run at OpenAI, or that its models were taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltIn {
    /// The request is refused.
    Refused,
    /// Nobody calls them.
    Ignored,
}

fn malformed(why: &str) -> Error {
    Error::Malformed(why.into())
}

fn built_in(kind: &str) -> Error {
    let kind: String = kind.chars().take(40).collect();
    Error::Unsupported {
        what: format!(
            "the built-in tool `{kind}`, which is OpenAI's own: turn it off in the client"
        ),
    }
}

/// The name of a namespace's tool.
pub(super) fn flat(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) if namespace.ends_with("__") => format!("{namespace}{name}"),
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}

/// The tools that the input brings along: those that the client adds there, and those that its searches found.
pub(super) fn brought(fields: &Map<String, Value>) -> Vec<Value> {
    let items = fields.get("input").and_then(Value::as_array);
    let bring = |item: &&Value| {
        let kind = item.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind == BROUGHT || kind == "tool_search_output")
    };
    let lists = items.into_iter().flatten().filter(bring);
    let lists = lists.filter_map(|item| item.get("tools")?.as_array());
    lists.flatten().cloned().collect()
}

/// What is told of a search: the names of what it found.
pub(super) fn found(tools: &[Value]) -> String {
    fn names(tools: &[Value], namespace: Option<&str>, all: &mut Vec<String>) {
        for tool in tools {
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            match tool.get("tools").and_then(Value::as_array) {
                Some(inner) => names(inner, Some(name), all),
                None => all.push(flat(namespace, name)),
            }
        }
    }
    let mut all = Vec::new();
    names(tools, None, &mut all);
    if all.is_empty() {
        "No tool was found.".into()
    } else {
        format!("Found, and now on offer: {}", all.join(", "))
    }
}

/// Takes what a request says about tools; `brought`: see there.
pub(super) fn decode(
    fields: &mut Map<String, Value>,
    brought: Vec<Value>,
    request: &mut ChatRequest,
    own: BuiltIn,
) -> Result<(), Error> {
    match fields.shift_remove("tools") {
        None => {}
        Some(Value::Array(tools)) => {
            for wire in tools {
                let Value::Object(wire) = wire else {
                    return Err(malformed("a tool is no object"));
                };
                tool(wire, None, own, &mut request.tools)?;
            }
        }
        Some(_) => return Err(malformed("`tools` is no list")),
    }
    let mut more = Vec::new();
    for wire in brought {
        let Value::Object(wire) = wire else {
            return Err(malformed("a tool is no object"));
        };
        tool(wire, None, own, &mut more)?;
    }
    // Each turn tells those of the earlier ones again.
    for tool in more {
        if request.tools.iter().all(|known| known.name != tool.name) {
            request.tools.push(tool);
        }
    }
    if let Some(Value::Bool(parallel)) = fields.get("parallel_tool_calls") {
        request.parallel_tool_calls = Some(*parallel);
        fields.shift_remove("parallel_tool_calls");
    }
    if let Some(choice) = fields.shift_remove("tool_choice") {
        choose(choice, request, own)?;
    }
    Ok(())
}

fn tool(
    mut wire: Map<String, Value>,
    namespace: Option<&str>,
    own: BuiltIn,
    tools: &mut Vec<Tool>,
) -> Result<(), Error> {
    let kind = text(&mut wire, "type").unwrap_or_else(|| "function".into());
    let name = || {
        let name = wire.get("name").and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| malformed("a tool has no `name`"))
    };
    let raw = |value: &Value| RawValue::from_string(value.to_string()).map_err(Error::from);
    let parameters = || match wire.get("parameters") {
        None | Some(Value::Null) => Ok(None),
        Some(schema) => raw(schema).map(Some),
    };
    let by_client = wire.get("execution").and_then(Value::as_str) == Some("client");
    let description = || wire.get("description").and_then(Value::as_str);
    match kind.as_str() {
        "function" => tools.push(Tool {
            name: flat(namespace, name()?),
            description: description().map(str::to_owned),
            parameters: parameters()?,
            strict: wire.get("strict").and_then(Value::as_bool),
        }),
        SEARCH if by_client => tools.push(Tool {
            name: SEARCH.into(),
            description: description().map(str::to_owned),
            parameters: parameters()?,
            strict: None,
        }),
        "custom" => tools.push(Tool {
            name: flat(namespace, name()?),
            description: explained(description(), wire.get("format")),
            parameters: Some(raw(&json!({
                "type": "object",
                "properties": {INPUT: {"type": "string", "description": "The tool's whole input, as text."}},
                "required": [INPUT],
                "additionalProperties": false,
            }))?),
            strict: None,
        }),
        "namespace" => {
            let namespace = name()?.to_owned();
            let Some(Value::Array(inner)) = wire.shift_remove("tools") else {
                return Err(malformed("a namespace has no list of `tools`"));
            };
            for wire in inner {
                let Value::Object(wire) = wire else {
                    return Err(malformed("a tool is no object"));
                };
                tool(wire, Some(&namespace), own, tools)?;
            }
        }
        kind if own == BuiltIn::Refused => return Err(built_in(kind)),
        _ => {}
    }
    Ok(())
}

/// A custom tool's description, with the grammar that its input follows: no other format has a place for it.
fn explained(description: Option<&str>, format: Option<&Value>) -> Option<String> {
    let said = |key: &str| format?.get(key)?.as_str();
    let grammar = said("definition").filter(|_| said("type") == Some("grammar"));
    let Some(grammar) = grammar else {
        return description.map(str::to_owned);
    };
    let syntax = said("syntax").unwrap_or("lark");
    let before = description
        .map(|text| format!("{text}\n\n"))
        .unwrap_or_default();
    Some(format!(
        "{before}`{INPUT}` must be text that this {syntax} grammar accepts:\n\n{grammar}"
    ))
}

fn by_word(word: &str) -> Result<ToolChoice, Error> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(malformed(&format!("unknown `tool_choice` `{other}`")))
        }
    }
}

/// The name that a choice, or an entry of `allowed_tools`, means.
fn named(wire: &Map<String, Value>) -> Result<String, Error> {
    let said = |key: &str| wire.get(key).and_then(Value::as_str);
    let name = said("name").ok_or_else(|| malformed("`tool_choice` names no tool"))?;
    Ok(flat(said("namespace"), name))
}

/// A word, a tool, or a set of tools and a word.
fn choose(choice: Value, request: &mut ChatRequest, own: BuiltIn) -> Result<(), Error> {
    let mut choice = match choice {
        Value::String(word) => {
            request.tool_choice = Some(by_word(&word)?);
            return Ok(());
        }
        Value::Object(choice) => choice,
        _ => return Err(malformed("`tool_choice` is neither a word nor an object")),
    };
    let kind = text(&mut choice, "type").unwrap_or_default();
    match kind.as_str() {
        "" | "function" | "custom" => {
            request.tool_choice = Some(ToolChoice::Named(named(&choice)?));
        }
        "allowed_tools" => {
            let mut allowed = object(&mut choice, "allowed_tools").unwrap_or(choice);
            let mode = allowed.get("mode").and_then(Value::as_str);
            request.tool_choice = Some(by_word(mode.unwrap_or("auto"))?);
            let Some(Value::Array(tools)) = allowed.shift_remove("tools") else {
                return Err(malformed("`allowed_tools` has no list of `tools`"));
            };
            let mut names = Vec::new();
            for wire in &tools {
                let Value::Object(wire) = wire else {
                    return Err(malformed("an entry of `allowed_tools` is no object"));
                };
                match wire.get("type").and_then(Value::as_str) {
                    None | Some("function" | "custom") => names.push(named(wire)?),
                    Some(kind) if own == BuiltIn::Refused => return Err(built_in(kind)),
                    Some(_) => {}
                }
            }
            request.tools.retain(|tool| names.contains(&tool.name));
        }
        kind if own == BuiltIn::Refused => return Err(built_in(kind)),
        _ => {}
    }
    Ok(())
}

/// Writes what a request says about tools; without any there is nothing to choose from.
pub(super) fn encode(request: &ChatRequest, names: &Names, fields: &mut Map<String, Value>) {
    if request.tools.is_empty() {
        return;
    }
    let tools: Value = request
        .tools
        .iter()
        .map(|tool| {
            let parameters = tool.parameters.as_ref();
            let parameters = parameters.map_or_else(
                || json!({"type": "object", "properties": {}}),
                |schema| serde_json::from_str(schema.get()).unwrap_or_default(),
            );
            let mut wire = json!({
                "type": "function",
                "name": names.sent(&tool.name),
                "parameters": parameters,
                // Here strict is what goes without saying, elsewhere it is not.
                "strict": tool.strict.unwrap_or_default(),
            });
            if let Some(description) = &tool.description {
                put(&mut wire, "description", description.as_str());
            }
            wire
        })
        .collect();
    fields.insert("tools".into(), tools);
    if let Some(choice) = &request.tool_choice {
        let choice = match choice {
            ToolChoice::Auto => "auto".into(),
            ToolChoice::None => "none".into(),
            ToolChoice::Required => "required".into(),
            ToolChoice::Named(name) => json!({"type": "function", "name": names.sent(name)}),
        };
        fields.insert("tool_choice".into(), choice);
    }
    if let Some(parallel) = request.parallel_tool_calls {
        fields.insert("parallel_tool_calls".into(), parallel.into());
    }
}

/// How a call is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Called {
    /// With arguments.
    #[default]
    Function,
    /// With free text.
    Custom,
    /// As the client's own search.
    Search,
}

/// What a tool that the model calls was declared as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) kind: Called,
    /// The name without its namespace's, and that.
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

/// The declaration of the tool that the canonical model calls `name`.
pub(super) fn declared(echo: &Echo, name: &str) -> Declared {
    let tools = ["tools", BROUGHT]
        .into_iter()
        .filter_map(|key| echo.get(key)?.as_array());
    find(tools.flatten(), None, name).unwrap_or_else(|| Declared {
        name: name.to_owned(),
        ..Declared::default()
    })
}

fn find<'a>(
    tools: impl Iterator<Item = &'a Value>,
    namespace: Option<&str>,
    name: &str,
) -> Option<Declared> {
    for tool in tools {
        let said = |key: &str| tool.get(key).and_then(Value::as_str);
        let kind = said("type").unwrap_or_default();
        let own = if kind == SEARCH {
            SEARCH
        } else {
            said("name").unwrap_or_default()
        };
        if kind == "namespace" {
            let inner = tool.get("tools").and_then(Value::as_array);
            let found = find(&mut inner.into_iter().flatten(), Some(own), name);
            if found.is_some() {
                return found;
            }
        } else if flat(namespace, own) == name {
            return Some(Declared {
                kind: match kind {
                    "custom" => Called::Custom,
                    SEARCH => Called::Search,
                    _ => Called::Function,
                },
                name: own.to_owned(),
                namespace: namespace.map(str::to_owned),
            });
        }
    }
    None
}

/// The text that a custom tool gets, of the arguments that stood for it.
pub(super) fn input_of(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut fields)) => match fields.shift_remove(INPUT) {
            Some(Value::String(input)) => input,
            // A model that made up arguments of its own meant them.
            Some(other) => other.to_string(),
            None if fields.is_empty() => String::new(),
            None => arguments.to_owned(),
        },
        Ok(Value::String(input)) => input,
        _ => arguments.to_owned(),
    }
}

/// The arguments that stand for a custom tool's text.
pub(super) fn arguments_of(input: &str) -> String {
    json!({INPUT: input}).to_string()
}
