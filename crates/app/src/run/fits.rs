//! Whether arguments look like what a tool takes: enough to tell a model what is missing before a person
//! is asked or a tool is called. The tool still checks for itself; nothing is refused here that JSON
//! Schema would allow.

use serde_json::{Map, Value};

/// Bytes of arguments that a call may have.
const ARGUMENTS_BYTES_MAX: usize = 256 << 10;

/// What is wrong with the arguments, where something is.
pub(super) fn wrong(schema: &Value, arguments: &Value) -> Option<String> {
    let Value::Object(given) = arguments else {
        return Some(format!("the arguments have to be a JSON object, not {}", kind(arguments)));
    };
    if arguments.to_string().len() > ARGUMENTS_BYTES_MAX {
        return Some(format!("the arguments are longer than {ARGUMENTS_BYTES_MAX} bytes"));
    }
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let known = || properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if !given.contains_key(name) {
            return Some(format!("{name:?} is missing; it takes: {}", known()));
        }
    }
    let closed = schema["additionalProperties"] == Value::Bool(false)
        && schema.get("patternProperties").is_none();
    for (name, value) in given {
        match properties.get(name) {
            None if closed => return Some(format!("it takes no {name:?}; it takes: {}", known())),
            None => {}
            Some(shape) if !of_type(&shape["type"], value) => {
                let wanted = &shape["type"];
                return Some(format!("{name:?} has to be {wanted}, not {}", kind(value)));
            }
            Some(_) => {}
        }
    }
    None
}

fn of_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::String(name) => match name.as_str() {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            _ => true,
        },
        Value::Array(names) => names.iter().any(|name| of_type(name, value)),
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
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
    fn a_model_is_told_what_is_wrong() {
        let schema = json!({
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]}},
            "required": ["city"],
            "additionalProperties": false,
        });
        let rows = [
            (json!({"city": "Oslo"}), None),
            (json!({"city": "Oslo", "days": 2.0}), None),
            (json!({"city": "Oslo", "days": null}), None),
            (json!({"days": 2}), Some("\"city\" is missing")),
            (json!({"city": 1}), Some("\"city\" has to be \"string\", not a number")),
            (json!({"city": "Oslo", "days": 2.5}), Some("\"days\" has to be")),
            (json!({"city": "Oslo", "x": 1}), Some("takes no \"x\"")),
            (json!(["Oslo"]), Some("not a list")),
        ];
        for (arguments, want) in rows {
            let got = wrong(&schema, &arguments);
            let fits = match want {
                None => got.is_none(),
                Some(part) => got.as_ref().is_some_and(|got| got.contains(part)),
            };
            assert!(fits, "{arguments}: {got:?}");
        }
        assert_eq!(wrong(&json!({"type": "object"}), &json!({"any": 1})), None);
    }
}
