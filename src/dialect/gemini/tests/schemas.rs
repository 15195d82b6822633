use proptest::prelude::*;
use serde_json::{Value, json, value::to_raw_value};

use crate::dialect::gemini::schema;

fn reduced(schema: &Value) -> (Value, Vec<String>) {
    let mut lost = Vec::new();
    let reduced = schema::reduce(&to_raw_value(schema).unwrap(), &mut lost);
    let mut lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
    lost.dedup();
    (reduced, lost)
}

#[test]
fn trap_1_15_schemas_are_cut_down() {
    let cases = [
        // References are written out, wherever they lead.
        (
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string", "description": "d"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "description": "d"}}}),
            "",
        ),
        // A tree has no end: it is cut where it begins again.
        (
            json!({"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}}}}}),
            json!({"type": "object", "properties": {"kids": {"type": "array", "items": {"type": "object"}}}}),
            "dropped:schema.$ref",
        ),
        (
            json!({"$ref": "https://h/x.json"}),
            json!({"type": "object"}),
            "dropped:schema.$ref",
        ),
        (
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a", "b"]}),
            "",
        ),
        (
            json!({"allOf": [{"type": "string", "minLength": 1}, {"minLength": 2}]}),
            json!({"type": "string", "minLength": 1}),
            "dropped:schema.allOf",
        ),
        (
            json!({"const": "x"}),
            json!({"type": "string", "enum": ["x"]}),
            "",
        ),
        (
            json!({"const": 3}),
            json!({"type": "integer"}),
            "dropped:schema.enum",
        ),
        (
            json!({"type": "string", "enum": ["a", null]}),
            json!({"type": "string", "enum": ["a"], "nullable": true}),
            "",
        ),
        (
            json!({"type": ["string", "null"]}),
            json!({"type": "string", "nullable": true}),
            "",
        ),
        (
            json!({"type": ["string", "integer", "null"], "description": "d"}),
            json!({"anyOf": [{"type": "string", "description": "d", "nullable": true}, {"type": "integer", "description": "d", "nullable": true}]}),
            "",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"}),
            json!({"type": "string", "description": "d", "nullable": true}),
            "",
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "number"}]}),
            "",
        ),
        (
            json!({"type": "object", "properties": {}, "additionalProperties": false, "$schema": "x", "not": {}}),
            json!({"type": "object", "properties": {}}),
            "dropped:schema.additionalProperties,dropped:schema.not",
        ),
        (
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "string"}),
            "dropped:schema.format",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "date-time"}),
            "",
        ),
        (
            json!({"type": "integer", "exclusiveMinimum": 0}),
            json!({"type": "integer", "minimum": 1}),
            "",
        ),
        (
            json!({"type": "array"}),
            json!({"type": "array", "items": {"type": "string"}}),
            "clamped:schema.items",
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]}),
            json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}),
            "dropped:schema.prefixItems",
        ),
        (
            json!({"properties": {"a": {"type": "string"}}, "required": ["a", "b"]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
            "dropped:schema.required",
        ),
        (
            json!({"description": "anything"}),
            json!({"type": "string", "description": "anything"}),
            "clamped:schema.type",
        ),
    ];
    for (schema, expected, losses) in cases {
        let (reduced, lost) = reduced(&schema);
        assert_eq!(reduced, expected, "{schema}");
        assert_eq!(lost.join(","), losses, "{schema}");
    }
}

#[test]
fn references_that_double_do_not_explode() {
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let next = format!("#/$defs/L{}", level + 1);
        defs.insert(
            format!("L{level}"),
            json!({"type": "object", "properties": {"a": {"$ref": next}, "b": {"$ref": next}}}),
        );
    }
    let (reduced, lost) = reduced(&json!({"$ref": "#/$defs/L0", "$defs": defs}));
    assert!(reduced.to_string().len() < 4 << 20);
    assert!(lost.contains(&"dropped:schema.$ref".to_owned()));
}

#[test]
fn googles_schemas_become_standard_and_back() {
    let own = json!({"type": "OBJECT", "properties": {
        "a": {"type": "STRING", "nullable": true, "format": "enum", "enum": ["x"]},
        "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2"},
        "c": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}}, "required": ["a"]});
    let standard = schema::standard(own);
    assert_eq!(
        standard,
        json!({"type": "object", "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", null]},
            "b": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
            "c": {"anyOf": [{"type": "string"}, {"type": "number"}]}}, "required": ["a"]})
    );
    let (again, lost) = reduced(&standard);
    assert_eq!(
        again,
        json!({"type": "object", "properties": {
            "a": {"type": "string", "enum": ["x"], "nullable": true},
            "b": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
            "c": {"anyOf": [{"type": "string"}, {"type": "number"}]}}, "required": ["a"]})
    );
    assert!(lost.is_empty(), "{lost:?}");
}

/// Anything that looks a little like a schema.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": ["integer", "null"]})),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/properties/a"})),
        Just(json!(true)),
        Just(json!({"enum": [1, "a", null]})),
        Just(json!(null)),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|of| json!({"anyOf": of})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|of| json!({"allOf": of, "oneOf": of})),
            inner.clone().prop_map(|of| json!({"type": "array", "items": of})),
            (inner.clone(), inner).prop_map(|(a, b)| {
                json!({"properties": {"a": a, "b": b}, "required": ["a", "z"], "additionalProperties": b})
            }),
        ]
    })
}

/// Whether Google's fields are all that is there.
fn is_known(schema: &Value) -> bool {
    const KNOWN: &[&str] = &[
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    ];
    let Some(fields) = schema.as_object() else {
        return false;
    };
    fields.keys().all(|key| KNOWN.contains(&key.as_str()))
        && (fields.contains_key("anyOf") || fields.get("type").is_some_and(Value::is_string))
        && fields.get("items").is_none_or(is_known)
        && fields
            .get("properties")
            .and_then(Value::as_object)
            .is_none_or(|fields| fields.values().all(is_known))
        && fields
            .get("anyOf")
            .and_then(Value::as_array)
            .is_none_or(|of| of.iter().all(is_known))
}

proptest! {
    #[test]
    fn nothing_unknown_is_left(schema in schemas()) {
        let (reduced, _) = reduced(&schema);
        prop_assert!(is_known(&reduced), "{schema} -> {reduced}");
    }
}
