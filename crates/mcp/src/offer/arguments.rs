//! Whether arguments keep to a schema, as far as that is written in its plain words. It refuses what a word
//! forbids and passes over words that it does not know: what a tool needs beyond them, it checks itself.

use serde_json::Value;

/// Values within one another that are looked at; the JSON reader itself goes no deeper.
const DEPTH: usize = 128;

/// Whether a value is what a schema asks for.
///
/// # Errors
/// Where it is not, and what is wanted there.
pub(super) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker { root: schema }.at(schema, value, "", DEPTH)
}

struct Checker<'a> {
    root: &'a Value,
}

impl<'a> Checker<'a> {
    fn at(&self, schema: &'a Value, value: &Value, path: &str, depth: usize) -> Result<(), String> {
        let place = if path.is_empty() { "the arguments" } else { path };
        if depth == 0 {
            return Err(format!("{place}: too deep"));
        }
        let Value::Object(words) = schema else {
            return if schema == &Value::Bool(false) {
                Err(format!("{place}: nothing fits here"))
            } else {
                Ok(())
            };
        };
        if let Some(Value::String(reference)) = words.get("$ref")
            && let Some(target) = reference.strip_prefix('#').and_then(|at| self.root.pointer(at))
        {
            self.at(target, value, path, depth - 1)?;
        }
        if let Some(kinds) = words.get("type") {
            let fits = match kinds {
                Value::String(kind) => is(value, kind),
                Value::Array(kinds) => {
                    kinds.iter().filter_map(Value::as_str).any(|kind| is(value, kind))
                }
                _ => true,
            };
            if !fits {
                return Err(format!("{place}: {kinds} is wanted, not {}", kind(value)));
            }
        }
        if let Some(Value::Array(allowed)) = words.get("enum")
            && !allowed.iter().any(|allowed| same(allowed, value))
        {
            return Err(format!("{place}: one of {} is wanted", Value::Array(allowed.clone())));
        }
        if let Some(only) = words.get("const")
            && !same(only, value)
        {
            return Err(format!("{place}: {only} is wanted"));
        }
        for (word, all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
            let Some(Value::Array(inner)) = words.get(word) else { continue };
            let mut results = inner.iter().map(|schema| self.at(schema, value, path, depth - 1));
            if all {
                results.collect::<Result<(), String>>()?;
            } else if !inner.is_empty() && !results.any(|result| result.is_ok()) {
                return Err(format!(
                    "{place}: fits none of the {} kinds that are wanted",
                    inner.len()
                ));
            }
        }
        let number = |word: &str| words.get(word).and_then(Value::as_f64);
        let count = |word: &str| words.get(word).and_then(Value::as_u64);
        let within = |what: &str, has: u64, least: &str, most: &str| {
            if count(least).is_some_and(|least| has < least)
                || count(most).is_some_and(|most| has > most)
            {
                let least = count(least).unwrap_or(0);
                return Err(match count(most) {
                    Some(most) => format!("{place}: {has} {what}, {least} to {most} are wanted"),
                    None => format!("{place}: {has} {what}, at least {least} are wanted"),
                });
            }
            Ok(())
        };
        match value {
            Value::Object(fields) => {
                let wanted = words.get("required").and_then(Value::as_array);
                for name in wanted.into_iter().flatten().filter_map(Value::as_str) {
                    if !fields.contains_key(name) {
                        return Err(format!("{place}: {name:?} is missing"));
                    }
                }
                let known = words.get("properties").and_then(Value::as_object);
                for (name, value) in fields {
                    let path =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let other = || words.get("additionalProperties");
                    match known.and_then(|known| known.get(name)) {
                        Some(schema) => self.at(schema, value, &path, depth - 1)?,
                        // Patterns may name it; whoever has them checks them.
                        None if words.contains_key("patternProperties") => {}
                        None if other() == Some(&Value::Bool(false)) => {
                            return Err(format!("{place}: there is no {name:?}"));
                        }
                        None => {
                            if let Some(schema) = other() {
                                self.at(schema, value, &path, depth - 1)?;
                            }
                        }
                    }
                }
                within("values", fields.len() as u64, "minProperties", "maxProperties")
            }
            Value::Array(list) => {
                within("values", list.len() as u64, "minItems", "maxItems")?;
                let Some(schema) =
                    words.get("items").filter(|_| !words.contains_key("prefixItems"))
                else {
                    return Ok(());
                };
                list.iter().enumerate().try_for_each(|(n, value)| {
                    self.at(schema, value, &format!("{path}[{n}]"), depth - 1)
                })
            }
            Value::String(text) => {
                within("characters", text.chars().count() as u64, "minLength", "maxLength")
            }
            Value::Number(value) => {
                let value = value.as_f64().unwrap_or(f64::NAN);
                let low = number("minimum").is_some_and(|least| value < least)
                    || number("exclusiveMinimum").is_some_and(|least| value <= least);
                let high = number("maximum").is_some_and(|most| value > most)
                    || number("exclusiveMaximum").is_some_and(|most| value >= most);
                if low || high {
                    return Err(format!("{place}: too {}", if low { "small" } else { "large" }));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        // A word that is not known forbids nothing.
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_keep_to_their_schema_or_are_told_where_not() {
        let schema = json!({
            "type": "object",
            "properties": {
                "text": {"type": "string", "minLength": 1, "maxLength": 3},
                "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
                "unit": {"enum": ["km", "mi"]},
                "list": {"type": "array", "items": {"$ref": "#/$defs/point"}, "maxItems": 2},
                "any": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                "one": {"const": 1},
            },
            "required": ["text"],
            "additionalProperties": false,
            "$defs": {"point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}},
        });
        let rows = [
            (
                json!({"text": "abc", "n": 9, "unit": "mi", "list": [{"x": 1.5}], "any": null, "one": 1.0}),
                "",
            ),
            (json!({"text": "名字名"}), ""),
            (json!([]), "the arguments: \"object\" is wanted, not a list"),
            (json!({}), "the arguments: \"text\" is missing"),
            (json!({"text": 1}), "text: \"string\" is wanted, not a number"),
            (json!({"text": ""}), "text: 0 characters, 1 to 3 are wanted"),
            (json!({"text": "abcd"}), "text: 4 characters, 1 to 3 are wanted"),
            (json!({"text": "a", "n": 0}), "n: too small"),
            (json!({"text": "a", "n": 10}), "n: too large"),
            (json!({"text": "a", "n": 1.5}), "n: \"integer\" is wanted, not a number"),
            (json!({"text": "a", "n": 2.0}), ""),
            (json!({"text": "a", "unit": "m"}), "unit: one of [\"km\",\"mi\"] is wanted"),
            (json!({"text": "a", "list": [{"x": 1}, {}]}), "list[1]: \"x\" is missing"),
            (json!({"text": "a", "list": [1, 2, 3]}), "list: 3 values, 0 to 2 are wanted"),
            (json!({"text": "a", "any": 1}), "any: fits none of the 2 kinds that are wanted"),
            (json!({"text": "a", "one": 2}), "one: 1 is wanted"),
            (json!({"text": "a", "more": 2}), "the arguments: there is no \"more\""),
        ];
        for (value, expected) in rows {
            let said = check(&schema, &value).err().unwrap_or_default();
            assert_eq!(said, expected, "{value}");
        }
    }

    #[test]
    fn a_schema_of_its_own_kind_does_not_turn_for_ever() {
        let schema = json!({"$ref": "#"});
        assert!(check(&schema, &json!({})).unwrap_err().contains("too deep"));
        let tree = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert_eq!(check(&tree, &json!({"next": {"next": {}}})), Ok(()));
    }
}
