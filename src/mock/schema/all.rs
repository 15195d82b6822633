//! What several schemas demand together.

use serde_json::{Map, Value};

/// Most schemas that one value must satisfy at once.
const MOST_AT_ONCE: usize = 64;

/// Schemas that one value must satisfy together: a schema, what it refers to, its `allOf`, and one each of its `anyOf` and `oneOf`.
pub(super) struct All<'a>(pub(super) Vec<&'a Map<String, Value>>);

impl<'a> All<'a> {
    /// Adds a schema and all that comes with it.
    pub(super) fn gather(&mut self, schema: &'a Value, root: &'a Value) {
        // `true`, and whatever is no schema, demands nothing.
        let Value::Object(map) = schema else { return };
        if self.0.len() >= MOST_AT_ONCE || self.0.iter().any(|other| std::ptr::eq(*other, map)) {
            return;
        }
        self.0.push(map);
        let pointer = map
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix('#'));
        if let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) {
            self.gather(target, root);
        }
        for schema in map
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.gather(schema, root);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(options) = map.get(key).and_then(Value::as_array) else {
                continue;
            };
            // `null` is the dull answer: take another if there is one.
            let is_null =
                |option: &&Value| option.get("type").and_then(Value::as_str) == Some("null");
            if let Some(option) = options
                .iter()
                .find(|option| !is_null(option))
                .or(options.first())
            {
                self.gather(option, root);
            }
        }
    }

    /// A keyword's values.
    pub(super) fn each(&self, key: &str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter_map(move |schema| schema.get(key))
    }

    /// A keyword's value.
    pub(super) fn first(&self, key: &str) -> Option<&'a Value> {
        self.each(key).next()
    }

    /// A keyword's value that is a list.
    pub(super) fn list(&self, key: &str) -> &'a [Value] {
        self.first(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The tightest of the bounds.
    pub(super) fn bound(&self, key: &str, tighter: fn(f64, f64) -> f64) -> Option<f64> {
        self.each(key).filter_map(Value::as_f64).reduce(tighter)
    }

    /// The type; where it is left out, the one that the other keys speak of.
    pub(super) fn kind(&self) -> &'a str {
        match self.first("type") {
            Some(Value::String(kind)) => return kind,
            Some(Value::Array(kinds)) => {
                let mut kinds = kinds.iter().filter_map(Value::as_str);
                let first = kinds.next().unwrap_or_default();
                return if first == "null" {
                    kinds.next().unwrap_or(first)
                } else {
                    first
                };
            }
            _ => {}
        }
        let has = |keys: &[&str]| keys.iter().any(|key| self.first(key).is_some());
        if has(&["properties", "required", "additionalProperties"]) {
            "object"
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            "array"
        } else if has(&[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ]) {
            "number"
        } else {
            "string"
        }
    }
}
