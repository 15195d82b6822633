//! Profiles as people and tools see them: one profile redacted, and the keys that there are.
//!
//! All of it comes from the declarations in [`schema`](super::schema).

use serde_json::{Map, Value, json};

use super::{
    Profile, privacy,
    schema::{Document, Key, Shape, table::show_into},
};

/// The keys of one table, for a reference.
#[derive(Clone, Debug)]
pub struct Section {
    /// The table, such as `ai-proxy.auth`; empty for the top of the file.
    pub table: String,
    /// Its keys, in order.
    pub rows: Vec<Row>,
}

/// One key, for a reference.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key inside its table.
    pub key: &'static str,
    /// What its value is, in words; for a fixed set, the values.
    pub kind: String,
    /// What holds when it is absent; nothing if there is no default, or the key is a table.
    pub default: Option<String>,
    /// It has to be there.
    pub required: bool,
    /// What it does.
    pub doc: String,
}

/// A profile with its effective values and without its secrets, in the order of the schema.
#[must_use]
pub fn view(profile: &Profile) -> Value {
    let mut shown = Map::new();
    shown.insert("name".into(), profile.name.as_ref().into());
    shown.insert("origin".into(), profile.origin.to_string().into());
    show_into(&mut shown, "description", &profile.description);
    show_into(&mut shown, "ai-proxy", &profile.ai_proxy);
    show_into(
        &mut shown,
        "ai-request-transformer",
        &profile.ai_request_transformer,
    );
    show_into(
        &mut shown,
        "ai-response-transformer",
        &profile.ai_response_transformer,
    );
    show_into(&mut shown, "upstream", &profile.upstream);
    show_into(&mut shown, "aiproxy", &profile.aiproxy);
    let mut value = Value::Object(shown);
    for model in [
        "/ai-proxy/model",
        "/ai-request-transformer/llm/model",
        "/ai-response-transformer/llm/model",
    ] {
        forget_azure(value.pointer_mut(model));
    }
    value
}

/// A URL as it may be shown: a query that holds a secret is left out.
#[must_use]
pub fn url(text: &str) -> String {
    privacy::url_without_secret(text)
}

/// Kong gives every model Azure's API version; beside another provider it only confuses.
fn forget_azure(model: Option<&mut Value>) {
    let Some(model) = model.and_then(Value::as_object_mut) else {
        return;
    };
    if model
        .get("provider")
        .is_some_and(|provider| provider == "azure")
    {
        return;
    }
    if let Some(options) = model.get_mut("options").and_then(Value::as_object_mut) {
        options.shift_remove("azure_api_version");
        if options.is_empty() {
            model.shift_remove("options");
        }
    }
}

/// Every table with its keys. A table that stands in several places is described once.
#[must_use]
pub fn reference() -> Vec<Section> {
    let mut sections = Vec::new();
    let mut seen: Vec<(&'static [Key], String)> = Vec::new();
    describe_table("", Document::KEYS, &mut seen, &mut sections);
    sections
}

fn describe_table(
    table: &str,
    keys: &'static [Key],
    seen: &mut Vec<(&'static [Key], String)>,
    sections: &mut Vec<Section>,
) {
    seen.push((keys, table.to_owned()));
    let place = sections.len();
    sections.push(Section {
        table: table.to_owned(),
        rows: Vec::new(),
    });
    let mut rows = Vec::new();
    for key in keys {
        let mut doc = key.summary();
        if let Shape::Table(inner) = (key.shape)() {
            let path = if table.is_empty() {
                key.name.to_owned()
            } else {
                format!("{table}.{}", key.name)
            };
            match seen.iter().find(|(known, _)| std::ptr::eq(*known, inner)) {
                Some((_, first)) => doc = format!("{doc} The same keys as `[{first}]`."),
                None => describe_table(&path, inner, seen, sections),
            }
        }
        rows.push(Row {
            key: key.name,
            kind: kind_in_words((key.shape)()),
            default: (key.default)()
                .filter(|value| !value.is_object())
                .map(|value| value.to_string()),
            required: (key.required)(),
            doc,
        });
    }
    if let Some(section) = sections.get_mut(place) {
        section.rows = rows;
    }
}

fn kind_in_words(shape: Shape) -> String {
    match shape {
        Shape::Text => "string".into(),
        Shape::Template => "string, may hold templates".into(),
        Shape::Secret => "string, may hold `{vault://...}`".into(),
        Shape::Url => "URL".into(),
        Shape::Choice(texts) => texts
            .iter()
            .map(|text| format!("`{text}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::Boolean => "boolean".into(),
        Shape::Integer(..) => "integer".into(),
        Shape::Milliseconds => "milliseconds".into(),
        Shape::Number => "number".into(),
        Shape::Table(_) => "table".into(),
        Shape::Map => "table of strings".into(),
    }
}

/// The JSON Schema of a profile file, for editors.
#[must_use]
pub fn schema_json() -> Value {
    let mut schema = Map::new();
    schema.insert(
        "$schema".into(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".into(), "aiproxy profile".into());
    schema.extend(table_schema(Document::KEYS));
    Value::Object(schema)
}

fn table_schema(keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), key_schema(key)))
        .collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| (key.required)())
        .map(|key| key.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn key_schema(key: &Key) -> Value {
    let shape = match (key.shape)() {
        Shape::Text | Shape::Template | Shape::Secret => json!({"type": "string", "minLength": 1}),
        Shape::Url => json!({"type": "string", "pattern": "^https?://"}),
        Shape::Choice(texts) => json!({"enum": texts}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Integer(low, u64::MAX) => json!({"type": "integer", "minimum": low}),
        Shape::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Milliseconds => json!({"type": "integer", "minimum": 1}),
        Shape::Number => json!({"type": "number"}),
        Shape::Table(keys) => Value::Object(table_schema(keys)),
        Shape::Map => {
            json!({"type": "object", "additionalProperties": {"type": "string", "minLength": 1}})
        }
    };
    let mut schema = Map::new();
    schema.insert("description".into(), key.summary().into());
    if let Value::Object(shape) = shape {
        schema.extend(shape);
    }
    if let Some(default) = (key.default)().filter(|value| !value.is_object()) {
        schema.insert("default".into(), default);
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests;
