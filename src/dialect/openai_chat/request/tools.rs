//! Tools and their choice, both ways, and the functions that OpenAI had before.

use serde_json::{Map, Value, json};

use super::{Rest, decode::raw, malformed, names::Names, object, text, unsupported};
use crate::{
    dialect::{Error, put},
    llm::{ChatRequest, Tool, ToolChoice},
};

/// Takes what a request says about tools.
pub(super) fn decode(
    fields: &mut Map<String, Value>,
    request: &mut ChatRequest,
    rest: &mut Rest,
) -> Result<(), Error> {
    match fields.shift_remove("tools") {
        None => {}
        Some(Value::Array(tools)) => {
            for wire in tools {
                request.tools.push(tool(wire, rest)?);
            }
        }
        Some(_) => return Err(malformed("`tools` is no list")),
    }
    match fields.shift_remove("functions") {
        None => {}
        Some(Value::Array(functions)) => {
            for wire in functions {
                let Value::Object(wire) = wire else {
                    return Err(malformed("a function is no object"));
                };
                request.tools.push(function(wire, rest)?);
            }
        }
        Some(_) => return Err(malformed("`functions` is no list")),
    }
    if let Some(Value::Bool(parallel)) = fields.get("parallel_tool_calls") {
        request.parallel_tool_calls = Some(*parallel);
        fields.shift_remove("parallel_tool_calls");
    }
    if let Some(choice) = fields.shift_remove("function_call") {
        request.tool_choice = Some(match &choice {
            Value::Object(named) => ToolChoice::Named(name_of(named)?),
            word => by_word(word.as_str().unwrap_or_default())?,
        });
    }
    if let Some(choice) = fields.shift_remove("tool_choice") {
        choose(choice, request)?;
    }
    Ok(())
}

fn tool(wire: Value, rest: &mut Rest) -> Result<Tool, Error> {
    let Value::Object(mut wire) = wire else {
        return Err(malformed("a tool is no object"));
    };
    let kind = text(&mut wire, "type");
    match kind.as_deref() {
        None | Some("function") => {}
        Some(kind) => return Err(of_type(kind)),
    }
    let function_fields = object(&mut wire, "function")
        .ok_or_else(|| malformed("a tool of type `function` has no `function`"))?;
    rest.add("tools", &wire);
    function(function_fields, rest)
}

fn of_type(kind: &str) -> Error {
    let kind: String = kind.chars().take(40).collect();
    unsupported(format!("a tool of type `{kind}`"))
}

fn function(mut wire: Map<String, Value>, rest: &mut Rest) -> Result<Tool, Error> {
    let tool = Tool {
        name: name_of(&wire)?,
        description: text(&mut wire, "description"),
        parameters: match wire.shift_remove("parameters") {
            None | Some(Value::Null) => None,
            Some(schema) => Some(raw(Some(&schema))?),
        },
        strict: wire
            .shift_remove("strict")
            .as_ref()
            .and_then(Value::as_bool),
    };
    wire.shift_remove("name");
    rest.add("tools", &wire);
    Ok(tool)
}

fn name_of(wire: &Map<String, Value>) -> Result<String, Error> {
    let name = wire.get("name").and_then(Value::as_str);
    name.filter(|name| !name.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| malformed("a function has no `name`"))
}

fn by_word(word: &str) -> Result<ToolChoice, Error> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        // `any` is Mistral's.
        "required" | "any" => Ok(ToolChoice::Required),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(malformed(format!("unknown `tool_choice` `{other}`")))
        }
    }
}

/// A word, a function, or a set of tools and a word: <https://platform.openai.com/docs/api-reference/chat/create>.
fn choose(choice: Value, request: &mut ChatRequest) -> Result<(), Error> {
    let mut choice = match choice {
        Value::String(word) => {
            request.tool_choice = Some(by_word(&word)?);
            return Ok(());
        }
        Value::Object(choice) => choice,
        _ => return Err(malformed("`tool_choice` is neither a word nor an object")),
    };
    let kind = text(&mut choice, "type");
    match kind.as_deref() {
        None | Some("function") => {
            let function = object(&mut choice, "function").unwrap_or(choice);
            request.tool_choice = Some(ToolChoice::Named(name_of(&function)?));
        }
        Some("allowed_tools") => {
            let mut allowed = object(&mut choice, "allowed_tools").unwrap_or(choice);
            request.tool_choice = Some(by_word(
                allowed
                    .get("mode")
                    .and_then(Value::as_str)
                    .unwrap_or("auto"),
            )?);
            let Some(Value::Array(tools)) = allowed.shift_remove("tools") else {
                return Err(malformed("`allowed_tools` has no list of `tools`"));
            };
            let mut names = Vec::new();
            for tool in &tools {
                match tool.get("type").and_then(Value::as_str) {
                    None | Some("function") => {}
                    Some(kind) => return Err(of_type(kind)),
                }
                let function = tool.get("function").unwrap_or(tool);
                names.extend(function.get("name").and_then(Value::as_str));
            }
            request
                .tools
                .retain(|tool| names.contains(&tool.name.as_str()));
        }
        Some(kind) => return Err(of_type(kind)),
    }
    Ok(())
}

/// Writes what a request says about tools. Without tools there is nothing to choose from, and OpenAI refuses a choice.
pub(super) fn encode(request: &ChatRequest, names: &Names, fields: &mut Map<String, Value>) {
    if request.tools.is_empty() {
        return;
    }
    let tools: Value = request
        .tools
        .iter()
        .map(|tool| encode_tool(tool, names))
        .collect();
    fields.insert("tools".into(), tools);
    if let Some(choice) = &request.tool_choice {
        let choice = match choice {
            ToolChoice::Auto => "auto".into(),
            ToolChoice::None => "none".into(),
            ToolChoice::Required => "required".into(),
            ToolChoice::Named(name) => {
                json!({"type": "function", "function": {"name": names.sent(name)}})
            }
        };
        fields.insert("tool_choice".into(), choice);
    }
    if let Some(parallel) = request.parallel_tool_calls {
        fields.insert("parallel_tool_calls".into(), parallel.into());
    }
}

fn encode_tool(tool: &Tool, names: &Names) -> Value {
    let mut function = json!({"name": names.sent(&tool.name)});
    if let Some(description) = &tool.description {
        put(&mut function, "description", description.as_str());
    }
    if let Some(parameters) = &tool.parameters {
        put(
            &mut function,
            "parameters",
            serde_json::from_str::<Value>(parameters.get()).unwrap_or_default(),
        );
    }
    if let Some(strict) = tool.strict {
        put(&mut function, "strict", strict);
    }
    json!({"type": "function", "function": function})
}
