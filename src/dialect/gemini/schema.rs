//! JSON Schema to the part of `OpenAPI`'s that every Gemini model takes, <https://ai.google.dev/api/caching#Schema>, and back.
//!
//! References are written out, `allOf` is merged, `const` becomes `enum`, `oneOf` becomes `anyOf`, `null` becomes `nullable`. What has no
//! equivalent is cut and told, a loss for each keyword.

use serde_json::{Map, Value, json, value::RawValue};

use crate::dialect::Loss;

/// Deeper schemas are cut: recursion is cut before, where it is seen.
const DEPTH: usize = 48;
/// Most schemas that one schema may grow to when its references are written out.
const NODES: usize = 20_000;

/// Keywords that say nothing about a value.
const SILENT: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Cuts a schema down.
pub(super) fn reduce(schema: &RawValue, lost: &mut Vec<Loss>) -> Value {
    let root: Value = serde_json::from_str(schema.get()).unwrap_or_default();
    let mut reducer = Reducer {
        root: &root,
        lost,
        within: Vec::new(),
        nodes: 0,
    };
    reducer.node(&root, 0)
}

/// Whether this is an object without any fields, which is no schema to Gemini where it stands alone.
pub(super) fn is_empty(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
        && schema
            .get("properties")
            .and_then(Value::as_object)
            .is_none_or(Map::is_empty)
}

struct Reducer<'r> {
    root: &'r Value,
    lost: &'r mut Vec<Loss>,
    /// References that are being written out.
    within: Vec<String>,
    nodes: usize,
}

impl Reducer<'_> {
    fn cut(&mut self, keyword: &str) {
        self.lost.push(Loss::dropped(&format!("schema.{keyword}")));
    }

    fn node(&mut self, schema: &Value, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            self.cut("$ref");
            return json!({"type": "object"});
        }
        let outer = self.within.len();
        let flat = self.flat(schema);
        let reduced = self.reduced(flat, depth);
        self.within.truncate(outer);
        reduced
    }

    /// A schema with its reference written out and its `allOf` merged.
    fn flat(&mut self, schema: &Value) -> Map<String, Value> {
        let mut flat = match schema {
            Value::Object(fields) => fields.clone(),
            Value::Bool(false) => {
                self.cut("false");
                Map::new()
            }
            _ => Map::new(),
        };
        if let Some(Value::String(reference)) = flat.shift_remove("$ref") {
            if let Some(target) = self.target(&reference) {
                self.within.push(reference);
                let target = self.flat(&target);
                self.merge(&mut flat, target);
            } else {
                self.cut("$ref");
                if flat.is_empty() {
                    flat.insert("type".into(), "object".into());
                }
            }
        }
        if let Some(Value::Array(all)) = flat.shift_remove("allOf") {
            for schema in &all {
                let schema = self.flat(schema);
                self.merge(&mut flat, schema);
            }
        }
        flat
    }

    /// What a reference means; `None` if it leads out of the schema or into itself.
    fn target(&self, reference: &str) -> Option<Value> {
        if self.within.iter().any(|within| within == reference) || self.within.len() > DEPTH {
            return None;
        }
        let pointer = reference.strip_prefix('#')?;
        // References are URLs: names come percent-encoded.
        let pointer = pointer.replace("%20", " ").replace("%24", "$");
        self.root.pointer(&pointer).cloned()
    }

    /// Both at once.
    fn merge(&mut self, into: &mut Map<String, Value>, from: Map<String, Value>) {
        for (key, value) in from {
            match (into.get_mut(&key), value) {
                (None, value) => {
                    into.insert(key, value);
                }
                (Some(Value::Object(mine)), Value::Object(theirs)) if key == "properties" => {
                    for (name, schema) in theirs {
                        match mine.get(&name) {
                            Some(own) if *own != schema => {
                                let both = json!({"allOf": [own, schema]});
                                mine.insert(name, both);
                            }
                            _ => {
                                mine.insert(name, schema);
                            }
                        }
                    }
                }
                (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => {
                    for name in theirs {
                        if !mine.contains(&name) {
                            mine.push(name);
                        }
                    }
                }
                (Some(mine), theirs)
                    if *mine == theirs
                        || matches!(key.as_str(), "title" | "description" | "default")
                        || SILENT.contains(&key.as_str()) => {}
                _ => self.cut("allOf"),
            }
        }
    }

    fn reduced(&mut self, mut flat: Map<String, Value>, depth: usize) -> Value {
        let mut nullable = flat.shift_remove("nullable") == Some(Value::Bool(true));
        let any = match (flat.shift_remove("anyOf"), flat.shift_remove("oneOf")) {
            (Some(any), None) | (None, Some(any)) => Some(any),
            (Some(any), Some(_)) => {
                self.cut("oneOf");
                Some(any)
            }
            (None, None) => None,
        };
        let branches = match (any, flat.shift_remove("type")) {
            (Some(Value::Array(branches)), kind) => {
                if let Some(kind) = kind {
                    flat.insert("type".into(), kind);
                }
                Some(branches)
            }
            (_, Some(Value::Array(kinds))) => {
                Some(kinds.iter().map(|kind| json!({"type": kind})).collect())
            }
            (_, kind) => {
                if let Some(kind) = kind {
                    flat.insert("type".into(), kind);
                }
                None
            }
        };
        let mut reduced = match branches {
            None => self.plain(flat, depth),
            Some(mut branches) => {
                let before = branches.len();
                branches.retain(|branch| !is_null(branch));
                nullable |= branches.len() < before;
                self.union(&branches, &flat, nullable, depth)
            }
        };
        if nullable
            && reduced.get("anyOf").is_none()
            && let Some(fields) = reduced.as_object_mut()
        {
            fields.insert("nullable".into(), true.into());
        }
        reduced
    }

    /// One of several. Vertex AI wants nothing beside `anyOf`, so what stands there goes into each branch.
    fn union(
        &mut self,
        branches: &[Value],
        beside: &Map<String, Value>,
        nullable: bool,
        depth: usize,
    ) -> Value {
        let mut out = Vec::new();
        for branch in branches {
            let outer = self.within.len();
            let mut flat = self.flat(branch);
            let mut beside = beside.clone();
            if flat.contains_key("type") {
                // Keywords of other types would only be cut from it.
                beside.shift_remove("type");
            }
            self.merge(&mut flat, beside);
            let reduced = self.node(&Value::Object(flat), depth + 1);
            self.within.truncate(outer);
            if !out.contains(&reduced) {
                out.push(reduced);
            }
        }
        if out.len() > 1 {
            for branch in &mut out {
                if nullable && let Some(fields) = branch.as_object_mut() {
                    fields.insert("nullable".into(), true.into());
                }
            }
            return json!({"anyOf": out});
        }
        out.pop().unwrap_or_else(|| json!({"type": "string"}))
    }

    fn plain(&mut self, mut flat: Map<String, Value>, depth: usize) -> Value {
        let mut out = Map::new();
        if let Some(value) = flat.shift_remove("const") {
            flat.entry("enum").or_insert_with(|| json!([value]));
        }
        let kind = self.kind(&mut flat);
        let has_items = flat.contains_key("items") || flat.contains_key("prefixItems");
        out.insert("type".into(), kind.as_str().into());
        for (key, value) in flat {
            match (key.as_str(), kind.as_str()) {
                ("type", _) => {}
                ("title" | "description", _) if value.is_string() => {
                    out.insert(key, value);
                }
                ("default" | "example", _) => {
                    out.insert(key, value);
                }
                ("enum", _) => self.choices(&value, &kind, &mut out),
                ("properties", "object") => {
                    let fields = value.as_object().into_iter().flatten();
                    let fields: Map<String, Value> = fields
                        .map(|(name, schema)| (name.clone(), self.node(schema, depth + 1)))
                        .collect();
                    out.insert(key, fields.into());
                }
                ("required" | "propertyOrdering" | "minProperties" | "maxProperties", "object")
                | ("minItems" | "maxItems", "array")
                | ("minLength" | "maxLength" | "pattern", "string")
                | ("minimum" | "maximum", "number" | "integer") => {
                    out.insert(key, value);
                }
                ("items", "array") if value.is_object() => {
                    let items = self.node(&value, depth + 1);
                    out.insert(key, items);
                }
                ("items" | "prefixItems", "array") if value.is_array() => {
                    let items = self.node(&json!({"anyOf": value}), depth + 1);
                    out.entry("items").or_insert(items);
                    self.cut(&key);
                }
                ("items", "array") => {
                    out.insert(key, json!({"type": "string"}));
                }
                ("format", _) => {
                    let known = match kind.as_str() {
                        "string" => ["date-time", "enum"],
                        "integer" => ["int32", "int64"],
                        _ => ["float", "double"],
                    };
                    if value.as_str().is_some_and(|format| known.contains(&format)) {
                        out.insert(key, value);
                    } else {
                        self.cut("format");
                    }
                }
                ("exclusiveMinimum", "integer") if value.is_i64() => {
                    let least = value.as_i64().map(|n| n.saturating_add(1));
                    out.entry("minimum").or_insert_with(|| least.into());
                }
                ("exclusiveMaximum", "integer") if value.is_i64() => {
                    let most = value.as_i64().map(|n| n.saturating_sub(1));
                    out.entry("maximum").or_insert_with(|| most.into());
                }
                // What holds without saying so.
                ("additionalProperties", _) if value == Value::Bool(true) => {}
                ("uniqueItems", _) if value == Value::Bool(false) => {}
                (key, _) if SILENT.contains(&key) || key.starts_with("x-") => {}
                _ => self.cut(&key),
            }
        }
        if kind == "array" && !has_items {
            out.insert("items".into(), json!({"type": "string"}));
            self.lost.push(Loss::clamped("schema.items"));
        }
        self.only_known(&mut out);
        Value::Object(out)
    }

    /// The type, guessed from the other keywords where none is told: Gemini has no schema for "anything".
    fn kind(&mut self, flat: &mut Map<String, Value>) -> String {
        let told = flat.get("type").and_then(Value::as_str);
        if let Some(told) = told {
            return told.to_ascii_lowercase();
        }
        let has = |keys: &[&str]| keys.iter().any(|key| flat.contains_key(*key));
        let of_enum = || match flat.get("enum")?.as_array()?.first()? {
            Value::Number(number) if number.is_f64() => Some("number"),
            Value::Number(_) => Some("integer"),
            Value::Bool(_) => Some("boolean"),
            _ => Some("string"),
        };
        let kind = if has(&["properties", "required", "additionalProperties"]) {
            "object"
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            "array"
        } else if let Some(kind) = of_enum() {
            kind
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
            "number"
        } else if has(&["pattern", "minLength", "maxLength", "format"]) {
            "string"
        } else {
            self.lost.push(Loss::clamped("schema.type"));
            "string"
        };
        kind.to_owned()
    }

    /// Only texts can be enumerated, and no empty ones.
    fn choices(&mut self, value: &Value, kind: &str, out: &mut Map<String, Value>) {
        let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<&str> = all
            .iter()
            .filter_map(Value::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        let null = all.contains(&Value::Null);
        if null {
            out.insert("nullable".into(), true.into());
        }
        if kind != "string" || texts.is_empty() || texts.len() + usize::from(null) < all.len() {
            self.cut("enum");
        }
        if kind == "string" && !texts.is_empty() {
            out.insert("enum".into(), texts.into());
        }
    }

    /// `required` and `propertyOrdering` may only name properties that are there.
    fn only_known(&mut self, out: &mut Map<String, Value>) {
        let names: Vec<String> = match out.get("properties") {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        };
        for key in ["required", "propertyOrdering"] {
            let Some(Value::Array(listed)) = out.get_mut(key) else {
                continue;
            };
            let before = listed.len();
            listed.retain(|name| {
                name.as_str()
                    .is_some_and(|name| names.iter().any(|n| n == name))
            });
            let (cut, empty) = (listed.len() < before, listed.is_empty());
            if empty {
                out.shift_remove(key);
            }
            if cut {
                self.cut(key);
            }
        }
    }
}

/// A schema that allows `null` and nothing else.
fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
        || schema.get("const") == Some(&Value::Null)
        || schema.get("enum") == Some(&json!([null]))
}

/// Google's schema as JSON Schema: types in lower case, `nullable` as a type, counts as numbers.
pub(super) fn standard(schema: Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema;
    };
    let mut out = Map::new();
    let mut nullable = false;
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("type", Value::String(kind)) => {
                out.insert(key, kind.to_ascii_lowercase().into());
            }
            ("nullable", value) => nullable = value == Value::Bool(true),
            ("format", Value::String(format)) if format == "enum" => {}
            ("properties" | "$defs", Value::Object(fields)) => {
                let fields = fields.into_iter();
                let fields: Map<String, Value> = fields
                    .map(|(name, schema)| (name, standard(schema)))
                    .collect();
                out.insert(key, fields.into());
            }
            ("items" | "additionalProperties", value) => {
                out.insert(key, standard(value));
            }
            ("anyOf" | "any_of", Value::Array(branches)) => {
                let branches: Vec<Value> = branches.into_iter().map(standard).collect();
                out.insert("anyOf".into(), branches.into());
            }
            (_, Value::String(count)) if key.starts_with("min") || key.starts_with("max") => {
                let number = count
                    .parse::<u64>()
                    .map_or(Value::String(count), Value::from);
                out.insert(key, number);
            }
            (_, value) => {
                out.insert(key, value);
            }
        }
    }
    if nullable {
        match out.get_mut("type") {
            Some(kind) => *kind = json!([kind.take(), "null"]),
            None => {
                if let Some(Value::Array(branches)) = out.get_mut("anyOf") {
                    branches.push(json!({"type": "null"}));
                }
            }
        }
        if let Some(Value::Array(choices)) = out.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    Value::Object(out)
}
