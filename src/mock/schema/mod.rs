//! A JSON value that satisfies a JSON Schema: tool arguments and structured answers.
//!
//! It reads what model providers accept in a schema: types, `enum`, `const`, `properties`, `required`, `items`, `prefixItems`, `$ref`
//! within the schema, `anyOf`, `oneOf`, `allOf`, bounds and formats. A `pattern` is met only by the schema's own `default` or `examples`.

mod all;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value, value::RawValue};

use super::words::Dice;
use all::All;
use scalar::{formatted, number, plausible};

/// The deepest value. A schema that demands itself without end gets `null` there.
const DEEPEST: usize = 24;

/// From this depth on, optional things are left out.
const DEEP: usize = 6;

/// Values and characters of one example, so that no schema (`minItems: 1000000000`) costs memory.
const BUDGET: usize = 50_000;

/// An example of a schema; strings that ask for a text get `hint`.
pub(super) fn example(schema: &RawValue, hint: &str, seed: u64) -> Value {
    let root: Value = serde_json::from_str(schema.get()).unwrap_or_default();
    Maker {
        root: &root,
        hint,
        dice: Dice(seed),
        budget: BUDGET,
    }
    .value(&[&root], "", 0)
}

struct Maker<'a> {
    root: &'a Value,
    hint: &'a str,
    dice: Dice,
    budget: usize,
}

impl<'a> Maker<'a> {
    /// A value that satisfies all of `schemas`; `name` is the property that it is for.
    fn value(&mut self, schemas: &[&'a Value], name: &str, depth: usize) -> Value {
        if depth > DEEPEST || !self.spend(1) {
            return Value::Null;
        }
        let mut all = All(Vec::new());
        for schema in schemas {
            all.gather(schema, self.root);
        }
        if let Some(own) = all.first("const").or_else(|| all.list("enum").first()) {
            return if self.spend(weight(own, self.budget)) {
                own.clone()
            } else {
                Value::Null
            };
        }
        match all.kind() {
            "object" => self.object(&all, depth),
            "array" => self.array(&all, name, depth),
            "integer" => number(&all, name, true),
            "number" => number(&all, name, false),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => self.text(&all, name),
        }
    }

    fn object(&mut self, all: &All<'a>, depth: usize) -> Value {
        let demanded = all.0.iter().any(|schema| schema.contains_key("required"));
        let lists = all.each("required").filter_map(Value::as_array);
        let required: Vec<&str> = lists
            .flatten()
            .filter_map(Value::as_str)
            .take(self.budget)
            .collect();
        let wanted: HashSet<&str> = required.iter().copied().collect();
        let maps: Vec<&'a Map<String, Value>> = all
            .each("properties")
            .filter_map(Value::as_object)
            .collect();
        let mut object = Map::new();
        for name in maps
            .iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .chain(required)
        {
            if !self.spend(1) {
                break;
            }
            // A schema that requires nothing gets everything: an empty object would show little.
            let include = wanted.contains(name) || (!demanded && depth < DEEP);
            if !include || object.contains_key(name) || !self.spend(name.len()) {
                continue;
            }
            let mut schemas: Vec<&'a Value> = maps.iter().filter_map(|map| map.get(name)).collect();
            if schemas.is_empty() {
                schemas.extend(all.first("additionalProperties"));
            }
            object.insert(name.to_owned(), self.value(&schemas, name, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&mut self, all: &All<'a>, name: &str, depth: usize) -> Value {
        let least = all.bound("minItems", f64::max).unwrap_or(0.0) as usize;
        let most = all
            .bound("maxItems", f64::min)
            .map_or(usize::MAX, |most| most as usize);
        let first = all.list("prefixItems");
        let rest = all.first("items");
        let plenty = if depth < DEEP {
            first.len().max(1 + self.dice.below(2))
        } else {
            0
        };
        let unique = all.first("uniqueItems") == Some(&Value::Bool(true));
        let mut items: Vec<Value> = Vec::new();
        for index in 0..plenty.max(least).min(most) {
            let schema = first.get(index).or(rest);
            if !self.spend(1) || (index >= first.len() && rest == Some(&Value::Bool(false))) {
                break;
            }
            let mut value = self.value(schema.as_slice(), name, depth + 1);
            // Comparing is quadratic; a long list of distinct values is nobody's schema.
            if unique && items.contains(&value) {
                let listed = schema
                    .and_then(|schema| schema.get("enum"))
                    .and_then(Value::as_array);
                let other = match listed {
                    Some(values) => values.iter().find(|value| !items.contains(value)).cloned(),
                    None => changed(value, index).filter(|value| !items.contains(value)),
                };
                let Some(other) = other.filter(|_| index < 1000) else {
                    break;
                };
                value = other;
            }
            items.push(value);
        }
        Value::Array(items)
    }

    fn text(&mut self, all: &All<'a>, name: &str) -> Value {
        if all.first("pattern").is_some() {
            let mut own = all.first("default").into_iter().chain(all.list("examples"));
            if let Some(own) =
                own.find(|value| value.is_string() && self.spend(weight(value, self.budget)))
            {
                return own.clone();
            }
        }
        let format = all
            .first("format")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut text = match formatted(format) {
            Some(text) => text.to_owned(),
            None => plausible(&name.to_lowercase(), self.hint, &mut self.dice),
        };
        let have = text.chars().count();
        let least = all.bound("minLength", f64::max).unwrap_or(0.0) as usize;
        let more = least.saturating_sub(have).min(self.budget);
        if self.spend(more + text.len()) {
            text.extend(" and so on".chars().cycle().take(more));
        }
        let most = all
            .bound("maxLength", f64::min)
            .map_or(usize::MAX, |most| most as usize);
        if let Some((at, _)) = text.char_indices().nth(most) {
            text.truncate(at);
        }
        Value::String(text)
    }

    /// Takes from the budget; `false` once it is used up.
    fn spend(&mut self, amount: usize) -> bool {
        let enough = amount <= self.budget;
        self.budget = self.budget.saturating_sub(amount);
        enough
    }
}

/// Another value of the same type.
fn changed(value: Value, index: usize) -> Option<Value> {
    match value {
        Value::String(text) => Some(Value::String(format!("{text} {}", index + 1))),
        Value::Number(number) => Some(Value::from(
            number.as_i64()?.saturating_add(i64::try_from(index).ok()?),
        )),
        Value::Bool(value) => Some(Value::Bool(!value)),
        _ => None,
    }
}

/// About how large a value is, counted no further than `most`.
fn weight(value: &Value, most: usize) -> usize {
    let add = |sum: usize, part: usize| Some(sum + part).filter(|sum| *sum <= most);
    match value {
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => items
            .iter()
            .try_fold(1, |sum, item| add(sum, weight(item, most)))
            .unwrap_or(most + 1),
        Value::Object(map) => {
            let mut fields = map.iter();
            fields
                .try_fold(1, |sum, (key, item)| {
                    add(sum, key.len() + weight(item, most))
                })
                .unwrap_or(most + 1)
        }
        _ => 1,
    }
}
