//! Examples against a small validator of the tests' own.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn of(schema: &Value) -> Value {
    example(
        &serde_json::value::to_raw_value(schema).unwrap(),
        "what is new?",
        1,
    )
}

/// A small validator of its own, for the keywords that the maker claims.
fn satisfies(value: &Value, schema: &Value, root: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return *schema != Value::Bool(false);
    };
    schema.iter().all(|(key, rule)| match key.as_str() {
        "$ref" => satisfies(
            value,
            root.pointer(&rule.as_str().unwrap()[1..]).unwrap(),
            root,
        ),
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "allOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .all(|rule| satisfies(value, rule, root)),
        "anyOf" | "oneOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| satisfies(value, rule, root)),
        "type" => {
            let is = |kind: &Value| match kind.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                _ => value.is_null(),
            };
            rule.as_array()
                .map_or_else(|| is(rule), |kinds| kinds.iter().any(is))
        }
        "required" => rule
            .as_array()
            .unwrap()
            .iter()
            .all(|name| value.get(name.as_str().unwrap()).is_some()),
        "properties" => rule.as_object().unwrap().iter().all(|(name, rule)| {
            value
                .get(name)
                .is_none_or(|value| satisfies(value, rule, root))
        }),
        "items" => {
            let skip = schema
                .get("prefixItems")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            value.as_array().is_none_or(|items| {
                items
                    .iter()
                    .skip(skip)
                    .all(|item| satisfies(item, rule, root))
            })
        }
        "prefixItems" => {
            let rules = rule.as_array().unwrap();
            value.as_array().is_none_or(|items| {
                items
                    .iter()
                    .zip(rules)
                    .all(|(item, rule)| satisfies(item, rule, root))
            })
        }
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as f64 >= rule.as_f64().unwrap()),
        "maxItems" => value
            .as_array()
            .is_none_or(|items| items.len() as f64 <= rule.as_f64().unwrap()),
        "uniqueItems" => value
            .as_array()
            .is_none_or(|items| (1..items.len()).all(|n| !items[..n].contains(&items[n]))),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as f64 >= rule.as_f64().unwrap()),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as f64 <= rule.as_f64().unwrap()),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= rule.as_f64().unwrap()),
        "exclusiveMinimum" => value
            .as_f64()
            .is_none_or(|number| number > rule.as_f64().unwrap()),
        "exclusiveMaximum" => value
            .as_f64()
            .is_none_or(|number| number < rule.as_f64().unwrap()),
        "multipleOf" => value
            .as_f64()
            .is_none_or(|number| (number / rule.as_f64().unwrap()).fract() == 0.0),
        _ => true,
    })
}

#[test]
fn schemas_are_satisfied() {
    for schema in [
        json!({"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}}, "required": ["city", "unit"]}),
        json!({"type": "object", "properties": {"a": {"type": ["null", "integer"]}, "b": {"const": {"x": [1]}}}, "required": ["a", "b"]}),
        json!({"type": "object", "required": ["free"], "additionalProperties": {"type": "integer", "minimum": 10}}),
        json!({"properties": {"list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
            "minItems": 3, "maxItems": 4}}, "required": ["list"]}),
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true, "minItems": 5}),
        json!({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": true, "minItems": 3}),
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": {"type": "null"}, "minItems": 4}),
        json!({"type": "array", "maxItems": 0}),
        json!({"type": "string", "minLength": 40, "maxLength": 41}),
        json!({"type": "string", "maxLength": 2}),
        json!({"type": "string", "minLength": 30, "format": "date"}),
        json!({"type": "integer", "minimum": 17, "multipleOf": 5}),
        json!({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}),
        json!({"type": "integer", "maximum": -7.5}),
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        json!({"type": "number", "minimum": 0, "maximum": 1}),
        json!({"type": "number", "exclusiveMaximum": 3}),
        json!({"type": "number", "exclusiveMinimum": 3}),
        json!({"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next":
            {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}, "required": ["value"]}}, "$ref": "#/$defs/node"}),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"a": {"minLength": 12}, "b": {"type": "boolean"}}, "required": ["b"]}]}),
        json!({"type": "object", "properties": {"x": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}, "required": ["x"]}),
        json!({}),
        json!(true),
    ] {
        let value = of(&schema);
        assert!(satisfies(&value, &schema, &schema), "{schema} -> {value}");
    }
}

#[test]
fn names_make_values_plausible() {
    let value = of(
        &json!({"properties": {"email": {"type": "string"}, "query": {"type": "string"}, "year": {"type": "integer"}}}),
    );
    assert_eq!(
        value,
        json!({"email": "ada@example.com", "query": "what is new?", "year": 2024})
    );
}

#[test]
fn only_required_properties_are_filled() {
    let value = of(
        &json!({"properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}, "required": ["b"]}),
    );
    assert_eq!(value, json!({"b": true}));
    assert_eq!(of(&json!({"type": "object", "properties": {}})), json!({}));
}

#[test]
fn a_pattern_is_met_by_the_schemas_own_example() {
    assert_eq!(
        of(&json!({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]})),
        "EUR"
    );
}

#[test]
fn hostile_schemas_cost_little() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}], "anyOf": [{"$ref": "#"}]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1_000_000_000}),
        json!({"type": "array", "items": {"const": "x".repeat(10_000)}, "minItems": 1e300}),
        json!({"type": "string", "minLength": 1e18}),
        json!({"type": "number", "minimum": 1e308, "exclusiveMaximum": -1e308, "multipleOf": 1e-300}),
    ] {
        assert!(of(&schema).to_string().len() < 8 * BUDGET, "{schema}");
    }
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "boolean"})),
        (-50i64..50, 0i64..9).prop_map(|(least, more)| json!({"type": "integer", "minimum": least, "maximum": least + more})),
        (-50i64..50, 1i64..9).prop_map(|(least, more)| json!({"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + more})),
        (0usize..20, 0usize..9).prop_map(|(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})),
        Just(json!({"enum": ["x", 1, null]})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(|properties| {
                let required: Vec<&String> = properties.keys().step_by(2).collect();
                json!({"type": "object", "properties": properties, "required": required})
            }),
            (inner.clone(), 0usize..4).prop_map(
                |(items, least)| json!({"type": "array", "items": items, "minItems": least})
            ),
            prop::collection::vec(inner, 1..3).prop_map(|options| json!({"anyOf": options})),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_is_satisfied(schema in any_schema()) {
        let value = of(&schema);
        prop_assert!(satisfies(&value, &schema, &schema), "{} -> {}", schema, value);
    }
}
