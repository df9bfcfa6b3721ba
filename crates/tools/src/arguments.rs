//! The arguments of a call, taken apart once: names, types and lengths. Whoever calls may be bound by no
//! grammar, so that nothing about them is believed. It knows no tool.

use ondine_app::ToolError;
use serde_json::{Map, Value};

/// The arguments of one call, from which each is taken once.
pub(crate) struct Arguments {
    fields: Map<String, Value>,
}

fn wrong<T>(what: String) -> Result<T, ToolError> {
    Err(ToolError::Arguments(what))
}

/// A name as it stands in a message: bounded and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}

impl Arguments {
    /// An object whose fields are among these. A field that is `null` counts as absent: small models
    /// write one where they mean none.
    pub(crate) fn of(value: Value, known: &[&str]) -> Result<Arguments, ToolError> {
        let Value::Object(mut fields) = value else {
            return wrong(format!("expected an object with {}", known.join(", ")));
        };
        fields.retain(|_, value| !value.is_null());
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) if known.is_empty() => {
                wrong(format!("`{}` is not expected; nothing is", shown(name)))
            }
            Some(name) => wrong(format!(
                "`{}` is not expected; expected are {}",
                shown(name),
                known.join(", ")
            )),
            None => Ok(Arguments { fields }),
        }
    }

    /// A text of at most so many bytes, where it is there.
    pub(crate) fn text_if(&mut self, name: &str, most: usize) -> Result<Option<String>, ToolError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() > most => {
                wrong(format!("`{name}` has {} bytes; expected at most {most}", text.len()))
            }
            Some(Value::String(text)) if text.contains('\0') => {
                wrong(format!("`{name}` contains a zero character"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => wrong(format!("expected `{name}` to be a text, not {}", kind(&other))),
        }
    }

    /// A text that says something, of at most so many bytes.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Result<String, ToolError> {
        match self.text_if(name, most)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => wrong(format!("`{name}` is empty")),
            None => wrong(format!("`{name}` is missing")),
        }
    }

    /// A whole number within bounds, where it is there.
    pub(crate) fn number_if(
        &mut self,
        name: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.fields.remove(name) else { return Ok(None) };
        // Small models write numbers as texts and as 5.0.
        let number = match &value {
            Value::Number(number) => number.as_u64().or_else(|| {
                let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
                // Far within what is exact.
                (0.0..1e15).contains(&float).then_some(float as u64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => wrong(format!("expected `{name}` to be a whole number from {least} to {most}")),
        }
    }

    /// A word of a few, where it is there.
    pub(crate) fn word_if<T: Copy>(
        &mut self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ToolError> {
        let Some(text) = self.text_if(name, 64)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                wrong(format!("expected `{name}` to be one of {}", list.join(", ")))
            }
        }
    }

    /// A list, where it is there, of at most so many values.
    pub(crate) fn list_if(
        &mut self,
        name: &str,
        most: usize,
    ) -> Result<Option<Vec<Value>>, ToolError> {
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::Array(values)) if values.len() <= most => Ok(Some(values)),
            Some(_) => wrong(format!("expected `{name}` to be a list of at most {most}")),
        }
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_about_arguments_is_believed() {
        let known = &["text", "n", "word", "list"];
        for value in [json!(null), json!([]), json!("x"), json!({"other": 1})] {
            assert!(Arguments::of(value, known).is_err());
        }
        let of = |value| Arguments::of(value, known).unwrap();
        assert_eq!(of(json!({"text": "a"})).text("text", 1).unwrap(), "a");
        for text in [json!("ab"), json!(""), json!(" "), json!("\0"), json!(1), json!(null)] {
            assert!(of(json!({"text": text})).text("text", 1).is_err());
        }
        for n in [json!(5), json!(5.0), json!(" 5 ")] {
            assert_eq!(of(json!({"n": n})).number_if("n", 1, 9).unwrap(), Some(5));
        }
        for n in [json!(0), json!(10), json!(5.5), json!("five"), json!(-1), json!(1e300)] {
            assert!(of(json!({"n": n})).number_if("n", 1, 9).is_err());
        }
        assert_eq!(of(json!({"n": null})).number_if("n", 1, 9).unwrap(), None);
        let words = &[("on", true), ("off", false)];
        assert_eq!(of(json!({"word": "on"})).word_if("word", words).unwrap(), Some(true));
        assert!(of(json!({"word": "of"})).word_if("word", words).is_err());
        assert!(of(json!({"list": [1, 2]})).list_if("list", 1).is_err());
    }
}
