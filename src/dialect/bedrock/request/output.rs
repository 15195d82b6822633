//! What the answer must look like: Converse's own JSON schema where the model has it, else a tool that the model is made to call.

use serde_json::{Value, json};

use super::{
    super::{family::Vendor, schema},
    Writer, claude,
};
use crate::{
    dialect::{Error, put},
    llm::{ChatRequest, OutputFormat},
};

/// How a wish for JSON goes out.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// `outputConfig.textFormat`.
    pub(super) text_format: Option<Value>,
    /// The tool whose input is the answer.
    pub(super) tool: Option<AnswerTool>,
}

/// A tool whose input is the answer.
#[derive(Debug)]
pub(super) struct AnswerTool {
    pub(super) name: String,
    pub(super) spec: Value,
}

pub(super) fn encode(request: &ChatRequest, writer: &mut Writer<'_>) -> Result<Output, Error> {
    let (name, schema, description) = match &request.output {
        OutputFormat::Text => return Ok(Output::default()),
        OutputFormat::JsonObject => {
            // A schema of any object: only these two take a certain tool for sure.
            if claude(writer.model) || writer.model.vendor == Vendor::Nova {
                let schema =
                    json!({"type": "object", "properties": {}, "additionalProperties": true});
                return Ok(tool("json_answer", schema, None, writer));
            }
            writer.drop("response_format");
            return Ok(Output::default());
        }
        OutputFormat::JsonSchema {
            name,
            schema,
            description,
            ..
        } => (name, schema, description),
    };
    let mut schema: Value = serde_json::from_str(schema.get())?;
    if !writer.model.structured() {
        let object = schema.get("type").is_none_or(|kind| kind == "object");
        if !object || !schema.is_object() {
            return Err(Error::Unsupported {
                what: "a JSON schema that is not one of an object".into(),
            });
        }
        put(&mut schema, "type", "object");
        return Ok(tool(name, schema, description.as_deref(), writer));
    }
    schema::restrict(&mut schema, &mut writer.lost);
    let mut definition = json!({"schema": schema.to_string()});
    if !name.is_empty() {
        put(&mut definition, "name", name.clone());
    }
    if let Some(description) = description {
        put(&mut definition, "description", description.clone());
    }
    Ok(Output {
        text_format: Some(json!({"type": "json_schema", "structure": {"jsonSchema": definition}})),
        tool: None,
    })
}

fn tool(name: &str, schema: Value, description: Option<&str>, writer: &mut Writer<'_>) -> Output {
    let name = writer
        .names
        .free(if name.is_empty() { "json_answer" } else { name });
    let description = match description.filter(|text| !text.is_empty()) {
        Some(description) => format!("Give the answer by calling this tool. {description}"),
        None => "Give the answer by calling this tool.".to_owned(),
    };
    let mut input = json!({});
    put(&mut input, "json", schema);
    let spec =
        json!({"toolSpec": {"name": name, "description": description, "inputSchema": input}});
    Output {
        text_format: None,
        tool: Some(AnswerTool { name, spec }),
    }
}
