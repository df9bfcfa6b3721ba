//! JSON Schemas as this crate writes them: how long their values can get, whether a value keeps to one,
//! and what is sent to whoever decodes under it. Of JSON Schema it knows the words that stand here.

use serde_json::{Map, Value, json};

use super::types::{kind, other, whole};
use super::{Generable, Misfit, Scope};
use crate::error::Error;

/// Characters of a text whose type says nothing else.
pub const TEXT_CHARS_MAX: usize = 256;
/// Items of a list whose type says nothing else.
pub const LIST_MAX: usize = 16;
/// Entries of a map whose type says nothing else.
pub const MAP_MAX: usize = 16;
/// Characters of a map's names.
pub const NAME_CHARS_MAX: usize = 32;
/// The largest integer that all readers of JSON agree on.
pub(super) const INTEGER_MAX: i64 = (1 << 53) - 1;

/// What asks a decoder for as few blanks and escapes as a text needs: one blank between two parts, and no
/// characters by number. An answer's length has a bound then that is worth something.
const GUIDANCE: &str = "x-guidance";
const BLANKS: &str = "[ ]?";
const ESCAPES: &str = "nrbtf\\\"";
/// Bytes of a character in quotes: itself, or a backslash and a letter.
const CHAR_BYTES: usize = 4;
/// Blanks on either side of a part.
const AROUND: usize = 2;

/// What the answers of a type look like, and how long they get.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    schema: Value,
    most_bytes: Option<usize>,
}

impl Shape {
    /// That of a type.
    ///
    /// # Errors
    /// No value of the type has an end: it stands within itself with no way out.
    pub fn of<T: Generable>() -> Result<Shape, Error> {
        let endless = || Error::Endless(std::any::type_name::<T>());
        Ok(Shape::new(T::schema(&mut Scope::default()).ok_or_else(endless)?))
    }

    /// That of a JSON Schema of somebody else's.
    pub fn new(schema: Value) -> Shape {
        let most_bytes = most_bytes(&schema).map(|bytes| bytes + AROUND);
        Shape { schema, most_bytes }
    }

    /// The JSON Schema.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The schema as a decoder of ours takes it: with no more blanks and escapes than a text needs.
    pub fn constraint(&self) -> Value {
        let mut schema = self.schema.clone();
        if let Value::Object(map) = &mut schema {
            let guidance = json!({"whitespace_pattern": BLANKS, "json_allowed_escapes": ESCAPES});
            map.insert(GUIDANCE.into(), guidance);
        }
        schema
    }

    /// A Lark grammar of the same texts, to stand alone or to be built into another.
    pub fn grammar(&self) -> String {
        format!("start: %json {}\n", self.constraint())
    }

    /// The longest text that [`Shape::constraint`] allows, in bytes. A token is at least one byte: an answer
    /// that may have so many tokens, and one for its end, is never cut. `None` where there is no bound, which
    /// a derived type never has.
    pub fn most_bytes(&self) -> Option<usize> {
        self.most_bytes
    }

    /// Whether a value keeps to it. A `pattern` is not looked at: whoever decodes under it keeps to that.
    ///
    /// # Errors
    /// Where it does not, and what is wrong there.
    pub fn check(&self, value: &Value) -> Result<(), Misfit> {
        check(&self.schema, value)
    }

    /// Reads a value of a type out of a text.
    ///
    /// # Errors
    /// The text is no JSON, or of another shape.
    pub fn read<T: Generable>(&self, text: &str) -> Result<T, Error> {
        let value: Value = serde_json::from_str(text).map_err(|error| Error::NoJson {
            reason: error.to_string(),
            text: text.chars().take(200).collect(),
        })?;
        self.check(&value)?;
        Ok(T::read(&value)?)
    }
}

fn count(schema: &Map<String, Value>, word: &str) -> Option<usize> {
    schema.get(word)?.as_u64().map(|n| n as usize)
}

/// Bytes of the longest text of a schema.
fn most_bytes(schema: &Value) -> Option<usize> {
    let schema = schema.as_object()?;
    if let Some(only) = schema.get("const") {
        return Some(only.to_string().len());
    }
    if let Some(choices) = schema.get("enum") {
        return choices.as_array()?.iter().map(|choice| choice.to_string().len()).max();
    }
    if let Some(choices) = schema.get("anyOf") {
        let choices: Option<Vec<usize>> = choices.as_array()?.iter().map(most_bytes).collect();
        return choices?.into_iter().max();
    }
    match schema.get("type")?.as_str()? {
        "null" => Some(4),
        "boolean" => Some(5),
        "integer" => {
            let digits = |word| Some(schema.get(word)?.as_i64()?.to_string().len());
            // Where less than nothing is allowed, so is -0.
            Some(digits("minimum")?.max(digits("maximum")?).max(2))
        }
        "number" => {
            let digits = |word| Some(format!("{:.0}", schema.get(word)?.as_f64()?.trunc()).len());
            let step = schema.get("multipleOf")?.as_f64()?;
            let behind = format!("{step:.9}").trim_end_matches('0').split('.').nth(1)?.len();
            // A sign and a point.
            Some(digits("minimum")?.max(digits("maximum")?) + 2 + behind)
        }
        "string" => Some(2 + CHAR_BYTES * count(schema, "maxLength")?),
        "array" => {
            let most = count(schema, "maxItems")?;
            let item = if most == 0 { 0 } else { most_bytes(schema.get("items")?)? };
            // A comma behind each, and room on both sides of both.
            Some(2 + 2 * AROUND + most.checked_mul(item + 1 + 2 * AROUND)?)
        }
        "object" => {
            if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
                return None;
            }
            let mut bytes = 2 + 2 * AROUND;
            for (name, of) in
                schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                bytes += json!(name).to_string().len() + most_bytes(of)? + 2 + 4 * AROUND;
            }
            for of in schema
                .get("patternProperties")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::values)
            {
                let one = 2 + CHAR_BYTES * NAME_CHARS_MAX + most_bytes(of)? + 2 + 4 * AROUND;
                bytes += count(schema, "maxProperties")?.checked_mul(one)?;
            }
            Some(bytes)
        }
        _ => None,
    }
}

/// Whether a value keeps to a schema.
pub(super) fn check(schema: &Value, value: &Value) -> Result<(), Misfit> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        return Err(other(&kind(only), value));
    }
    if let Some(Value::Array(choices)) = schema.get("enum")
        && !choices.contains(value)
    {
        let known: Vec<String> = choices.iter().map(kind).collect();
        return Err(other(&format!("one of {}", known.join(", ")), value));
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        return any(choices, value);
    }
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "null" if !value.is_null() => return Err(other("null", value)),
        "boolean" if !value.is_boolean() => return Err(other("true or false", value)),
        "integer" if whole(value).is_none() => return Err(other("a whole number", value)),
        "number" if !value.is_number() => return Err(other("a number", value)),
        "string" if !value.is_string() => return Err(other("a text", value)),
        "array" if !value.is_array() => return Err(other("a list", value)),
        "object" if !value.is_object() => return Err(other("an object", value)),
        _ => {}
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let bound = |word: &str| schema.get(word).and_then(Value::as_f64);
            let rows = [
                ("minimum", "at least", f64::lt as fn(&f64, &f64) -> bool),
                ("maximum", "at most", f64::gt),
                ("exclusiveMinimum", "more than", f64::le),
                ("exclusiveMaximum", "less than", f64::ge),
            ];
            for (word, words, is_over) in rows {
                if let Some(bound) = bound(word).filter(|bound| is_over(&number, bound)) {
                    return Err(other(&format!("{words} {bound}"), value));
                }
            }
            Ok(())
        }
        Value::String(text) => {
            sized(schema, ["minLength", "maxLength"], text.chars().count(), "characters")
        }
        Value::Array(items) => {
            sized(schema, ["minItems", "maxItems"], items.len(), "items")?;
            let Some(of) = schema.get("items") else { return Ok(()) };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(nth, item)| check(of, item).map_err(|misfit| misfit.item(nth)))
        }
        Value::Object(fields) => object(schema, fields),
        _ => Ok(()),
    }
}

fn sized(
    schema: &Map<String, Value>,
    [least, most]: [&str; 2],
    size: usize,
    of: &str,
) -> Result<(), Misfit> {
    let wrong =
        |words: &str, bound| Misfit::new(format!("expected {words} {bound} {of}, found {size}"));
    match (count(schema, least), count(schema, most)) {
        (Some(least), _) if size < least => Err(wrong("at least", least)),
        (_, Some(most)) if size > most => Err(wrong("at most", most)),
        _ => Ok(()),
    }
}

fn object(schema: &Map<String, Value>, fields: &Map<String, Value>) -> Result<(), Misfit> {
    sized(schema, ["minProperties", "maxProperties"], fields.len(), "entries")?;
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let others = schema.get("patternProperties").and_then(Value::as_object);
    let others = others.and_then(|patterns| patterns.values().next());
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        let of = known.get(name).unwrap_or(&Value::Null);
        // What may be null may be absent.
        if !fields.contains_key(name) && check(of, &Value::Null).is_err() {
            return Err(Misfit::new(format!("{name:?} is missing")));
        }
    }
    for (name, value) in fields {
        match (known.get(name), others) {
            (Some(of), _) | (None, Some(of)) => {
                check(of, value).map_err(|misfit| misfit.under(name))?;
            }
            (None, None) if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "nothing".into() } else { known.join(", ") };
                let name = kind(&Value::from(name.as_str()));
                return Err(Misfit::new(format!("{name} is unknown; there may be: {known}")));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Whether a value is one of several kinds; what is wrong is told of the kind that it comes nearest to.
fn any(choices: &[Value], value: &Value) -> Result<(), Misfit> {
    let mut nearest: Option<Misfit> = None;
    for choice in choices {
        match check(choice, value) {
            Ok(()) => return Ok(()),
            // A variant of another name, or another kind of value altogether, says nothing of this one.
            Err(misfit)
                if nearest.as_ref().is_none_or(|n| is_nearer(choice, value, &misfit, n)) =>
            {
                nearest = Some(misfit);
            }
            Err(_) => {}
        }
    }
    Err(nearest.unwrap_or_else(|| Misfit::new("no value is allowed here")))
}

fn is_nearer(choice: &Value, value: &Value, misfit: &Misfit, than: &Misfit) -> bool {
    let tags = choice["properties"].as_object().into_iter().flatten();
    let is_named = tags
        .filter_map(|(name, of)| Some((name, of.get("const")?)))
        .any(|(name, only)| value.get(name) == Some(only));
    is_named || (misfit.at.len() > than.at.len() && !than.at.is_empty())
}
