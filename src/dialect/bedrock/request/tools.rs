//! Tools: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html>.

use serde_json::{Value, json};

use super::{super::schema, Forced, Writer, has_tool_blocks, offers_tools, output::AnswerTool};
use crate::{
    dialect::put,
    llm::{ChatRequest, Tool, ToolChoice},
};

/// The tools, and whether the model must call one. `answer` is the tool whose input is the answer.
pub(super) fn encode(
    request: &ChatRequest,
    answer: Option<&AnswerTool>,
    writer: &mut Writer<'_>,
) -> (Option<Value>, Forced) {
    let offered = offers_tools(request);
    let mut tools = Vec::new();
    if offered {
        for tool in &request.tools {
            let tool = spec(tool, writer);
            tools.push(tool);
        }
    }
    if let Some(answer) = answer {
        tools.push(answer.spec.clone());
    }
    let choice = match (&request.tool_choice, answer) {
        (Some(ToolChoice::Named(name)), _) if offered => {
            Some(json!({"tool": {"name": writer.names.tool(name)}}))
        }
        (Some(ToolChoice::Required), _) if offered => Some(json!({"any": {}})),
        // One of the client's, or the one that is the answer.
        (_, Some(_)) if offered => Some(json!({"any": {}})),
        (_, Some(answer)) => Some(json!({"tool": {"name": answer.name}})),
        // What models do by themselves; not all take the word for it.
        _ => None,
    };
    if offered && request.parallel_tool_calls == Some(false) {
        writer.drop("parallel_tool_calls");
    }
    if tools.is_empty() {
        if !has_tool_blocks(request) {
            return (None, Forced::No);
        }
        // The API refuses calls and results in a conversation without tools. No name of the client's is offered: it wants none called.
        let name = writer.names.free("no_tool");
        tools.push(json!({"toolSpec": {
            "name": name,
            "description": "A placeholder. There are no tools: never call it.",
            "inputSchema": {"json": {"type": "object", "properties": {}}},
        }}));
    }
    let forced = if choice.is_some() {
        Forced::Yes
    } else {
        Forced::No
    };
    let mut config = json!({"tools": tools});
    if let Some(choice) = choice {
        put(&mut config, "toolChoice", choice);
    }
    (Some(config), forced)
}

fn spec(tool: &Tool, writer: &mut Writer<'_>) -> Value {
    let mut schema = schema::of_tool(tool.parameters.as_deref());
    let mut spec = json!({"name": writer.names.tool(&tool.name)});
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        put(&mut spec, "description", description);
    }
    if tool.strict == Some(true) {
        if writer.model.structured() {
            schema::restrict(&mut schema, &mut writer.lost);
            put(&mut spec, "strict", true);
        } else {
            writer.drop("tools.strict");
        }
    }
    put(&mut spec, "inputSchema", json!({"json": schema}));
    json!({"toolSpec": spec})
}
