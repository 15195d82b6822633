//! JSON Schema, cut down to what structured outputs and strict tools take:
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>.

use serde_json::{Map, Value, value::RawValue};

use crate::dialect::Loss;

/// Keywords that are taken as they are.
const KEPT: &[&str] = &[
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "definitions",
    "description",
    "title",
    "default",
    "additionalProperties",
    "pattern",
];

/// Keywords that say nothing about the answer.
const IDLE: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Deeper schemas are nobody's; the limit keeps the stack whole.
const DEPTH: usize = 64;

/// The schema as the provider takes it; `None`: it cannot, since the schema refers to itself (or is no object).
///
/// A keyword that is cut goes on in the description, so that the model may still heed it.
pub(super) fn cut(schema: &RawValue, lost: &mut Vec<Loss>) -> Option<Value> {
    let mut root: Value = serde_json::from_str(schema.get()).ok()?;
    if !root.is_object() || recurs(&root, &root, &mut Vec::new(), &mut Vec::new(), 0) {
        return None;
    }
    node(&mut root, lost, 0);
    Some(root)
}

fn node(schema: &mut Value, lost: &mut Vec<Loss>, depth: usize) {
    let Value::Object(fields) = schema else {
        return;
    };
    let mut remarks = Vec::new();
    let mut kept = Map::new();
    for (key, mut value) in std::mem::take(fields) {
        let known = match key.as_str() {
            "format" => value.as_str().is_some_and(|text| FORMATS.contains(&text)),
            "minItems" => matches!(value.as_u64(), Some(0 | 1)),
            key => KEPT.contains(&key),
        };
        if depth < DEPTH {
            children(&key, &mut value, lost, depth);
        }
        if known {
            kept.insert(key, value);
        } else if key == "oneOf" {
            // The nearest thing: the model rarely fulfils two alternatives at once.
            note(lost, "oneOf");
            kept.insert("anyOf".into(), value);
        } else if !IDLE.contains(&key.as_str()) {
            note(lost, &key);
            remarks.push(format!("{key}: {value}"));
        }
    }
    let object = match kept.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => kept.contains_key("properties"),
    };
    if object {
        let open = kept.insert("additionalProperties".into(), false.into());
        if open.is_some_and(|open| open != false) {
            note(lost, "additionalProperties");
        }
    }
    if !remarks.is_empty() {
        let remark = format!("{{{}}}", remarks.join(", "));
        let text = match kept.get("description").and_then(Value::as_str) {
            Some(text) => format!("{text}\n\n{remark}"),
            None => remark,
        };
        kept.insert("description".into(), text.into());
    }
    *fields = kept;
}

fn children(key: &str, value: &mut Value, lost: &mut Vec<Loss>, depth: usize) {
    match (key, value) {
        ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
            for (_, schema) in schemas.iter_mut() {
                node(schema, lost, depth + 1);
            }
        }
        ("anyOf" | "allOf" | "oneOf", Value::Array(schemas)) => {
            for schema in schemas {
                node(schema, lost, depth + 1);
            }
        }
        ("items", schema) => node(schema, lost, depth + 1),
        _ => {}
    }
}

fn note(lost: &mut Vec<Loss>, key: &str) {
    let loss = Loss::dropped(&format!("schema.{key}"));
    if !lost.contains(&loss) {
        lost.push(loss);
    }
}

/// Whether following the references of `schema` leads back to where one came from. References out of the document count as such too.
fn recurs<'a>(
    root: &'a Value,
    schema: &'a Value,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    depth: usize,
) -> bool {
    if depth > DEPTH {
        return true;
    }
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| match value.as_str() {
            Some(target) if key == "$ref" => {
                if done.contains(&target) {
                    return false;
                }
                if path.contains(&target) {
                    return true;
                }
                let Some(inside) = target
                    .strip_prefix('#')
                    .and_then(|pointer| root.pointer(pointer))
                else {
                    return true;
                };
                path.push(target);
                let found = recurs(root, inside, path, done, depth + 1);
                path.pop();
                done.push(target);
                found
            }
            // Definitions count where they are used.
            _ if matches!(key.as_str(), "$defs" | "definitions" | "const" | "default") => false,
            _ => recurs(root, value, path, done, depth + 1),
        }),
        Value::Array(items) => items
            .iter()
            .any(|item| recurs(root, item, path, done, depth + 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cut_of(schema: &Value) -> (Option<Value>, String) {
        let raw = serde_json::value::to_raw_value(schema).unwrap();
        let mut lost = Vec::new();
        let cut = cut(&raw, &mut lost);
        let lost: Vec<String> = lost.iter().map(Loss::to_string).collect();
        (cut, lost.join(" "))
    }

    #[test]
    fn trap_1_15_schemas_are_cut_and_closed() {
        let (cut, lost) = cut_of(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "Years."},
                "mail": {"type": "string", "format": "email"},
                "code": {"type": "string", "format": "regex"},
                "minimum": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": true}, "minItems": 1},
                "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
                "some": {"$ref": "#/$defs/some"},
            },
            "required": ["age"],
            "$defs": {"some": {"type": "array", "items": {"type": "string"}, "minItems": 3}},
        }));
        assert_eq!(
            cut.unwrap(),
            json!({
                "type": "object",
                "properties": {
                    "age": {"type": "integer", "description": "Years.\n\n{minimum: 0, maximum: 150}"},
                    "mail": {"type": "string", "format": "email"},
                    "code": {"type": "string", "description": "{format: \"regex\"}"},
                    "minimum": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": false}, "minItems": 1},
                    "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "some": {"$ref": "#/$defs/some"},
                },
                "required": ["age"],
                "$defs": {"some": {"type": "array", "items": {"type": "string"}, "description": "{minItems: 3}"}},
                "additionalProperties": false,
            })
        );
        assert_eq!(
            lost,
            "dropped:schema.minimum dropped:schema.maximum dropped:schema.format dropped:schema.additionalProperties \
             dropped:schema.oneOf dropped:schema.minItems"
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_refused() {
        let (tree, _) = cut_of(&json!({
            "type": "object", "properties": {"tree": {"$ref": "#/$defs/tree"}},
            "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
        }));
        assert_eq!(tree, None);
        assert_eq!(cut_of(&json!({"$ref": "#"})).0, None);
        assert_eq!(cut_of(&json!({"$ref": "https://example.com/s"})).0, None);
        // Twice is not recursive.
        let twice = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
            "$defs": {"x": {"type": "string"}}});
        assert!(cut_of(&twice).0.is_some());
        let mut deep = json!({"type": "string"});
        for _ in 0..200 {
            deep = json!({"type": "array", "items": deep});
        }
        assert_eq!(cut_of(&deep).0, None);
    }
}
