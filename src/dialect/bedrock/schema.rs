//! JSON Schemas as Bedrock takes them.

use serde_json::{Map, Value, json, value::RawValue};

use crate::dialect::Loss;

/// The schema of a tool's input, which must be one of an object.
pub(super) fn of_tool(schema: Option<&RawValue>) -> Value {
    let schema = schema.and_then(|schema| serde_json::from_str(schema.get()).ok());
    match schema {
        Some(Value::Object(fields)) if fields.contains_key("type") => fields.into(),
        Some(Value::Object(fields)) => {
            let mut typed = Map::new();
            typed.insert("type".into(), "object".into());
            typed.extend(fields);
            typed.into()
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

/// Keywords that the grammar behind structured outputs does not have; a schema with them is refused:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>.
const WITHOUT_EQUIVALENT: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Cuts a schema down to what structured outputs take, and closes its objects, which they require.
pub(super) fn restrict(schema: &mut Value, lost: &mut Vec<Loss>) {
    let Value::Object(fields) = schema else {
        return;
    };
    let mut lose = |key: &str| {
        let loss = Loss::dropped(&format!("schema.{key}"));
        if !lost.contains(&loss) {
            lost.push(loss);
        }
    };
    for key in WITHOUT_EQUIVALENT {
        if fields.shift_remove(*key).is_some() {
            lose(key);
        }
    }
    // At least none, or at least one: more cannot be said.
    if fields
        .get("minItems")
        .is_some_and(|least| least.as_u64().is_none_or(|least| least > 1))
    {
        fields.shift_remove("minItems");
        lose("minItems");
    }
    let object = fields.contains_key("properties")
        || match fields.get("type") {
            Some(Value::String(kind)) => kind == "object",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            _ => false,
        };
    if object {
        let before = fields.insert("additionalProperties".into(), false.into());
        if before.is_some_and(|before| before != false) {
            lose("additionalProperties");
        }
    }
    for (key, value) in fields.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                for schema in schemas.values_mut() {
                    restrict(schema, lost);
                }
            }
            ("anyOf" | "allOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                for schema in schemas {
                    restrict(schema, lost);
                }
            }
            ("items" | "not", schema) => restrict(schema, lost),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_take_objects() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(of_tool(None), json!({"type": "object", "properties": {}}));
        assert_eq!(
            of_tool(Some(&raw("true"))),
            json!({"type": "object", "properties": {}})
        );
        assert_eq!(
            of_tool(Some(&raw(r#"{"properties":{"a":{}}}"#))).to_string(),
            r#"{"type":"object","properties":{"a":{}}}"#
        );
    }

    #[test]
    fn what_the_grammar_lacks_is_cut_and_said() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer", "minimum": 1, "enum": [1, 2]},
                "list": {"type": "array", "minItems": 2, "items": {"type": "object", "properties": {}, "additionalProperties": true}},
                "some": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string", "maxLength": 3}, {"$ref": "#/$defs/x"}]}},
            },
            "$defs": {"x": {"type": "object", "properties": {"n": {"type": "number", "minimum": 0}}}},
        });
        let mut lost = Vec::new();
        restrict(&mut schema, &mut lost);
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "minimum": {"type": "integer", "enum": [1, 2]},
                    "list": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": false}},
                    "some": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]}},
                },
                "$defs": {"x": {"type": "object", "properties": {"n": {"type": "number"}}, "additionalProperties": false}},
                "additionalProperties": false,
            })
        );
        let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
        assert_eq!(
            lost,
            [
                "dropped:schema.minimum",
                "dropped:schema.minItems",
                "dropped:schema.additionalProperties",
                "dropped:schema.maxLength"
            ]
        );
    }
}
