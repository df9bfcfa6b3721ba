//! What a server lists, made into tools that a model can be told of: names that are safe and unique,
//! schemas that can be held to, descriptions of a length, effects that the user's trust decides.
//!
//! Everything here is a stranger's word. What cannot be made safe is left out, with the reason. It knows
//! no connection.

use std::collections::HashSet;

use ondine_app::{Effect, ToolSpec};
use rmcp::model::ToolAnnotations;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::limits::Limits;
use crate::words::tame;

/// Whether what a server says of its own tools is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Not: each of its tools counts as one whose effect cannot be taken back.
    #[default]
    Stranger,
    /// The user said so: hints on what a tool changes are believed.
    Believed,
}

/// A tool that a server lists and that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, tamed.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A tool that is taken.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the server calls it.
    pub(crate) raw: String,
    /// SHA-256 of all that the server says of it.
    pub(crate) digest: [u8; 32],
    pub(crate) spec: ToolSpec,
}

/// The most that a tool's name has, prefix included: what every model's API takes.
const NAME_BYTES: usize = 64;

/// Makes tools of a list. The prefix is a name that has been checked.
pub(crate) fn read(
    tools: &[rmcp::model::Tool],
    prefix: &str,
    trust: Trust,
    limits: &Limits,
) -> (Vec<Entry>, Vec<LeftOut>) {
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    let (mut raw_names, mut names) = (HashSet::new(), HashSet::new());
    for tool in tools {
        let leave = |why: &str| LeftOut { name: tame(&tool.name, 80, false), why: why.into() };
        if taken.len() == limits.items {
            left_out.push(leave(&format!("there are more than {} tools", limits.items)));
            continue;
        }
        // Which of two a call would mean is the server's to say, and it did not.
        if !raw_names.insert(tool.name.as_ref()) {
            left_out.push(leave("another tool has the same name"));
            continue;
        }
        let parameters = match schema(&tool.input_schema, limits) {
            Ok(parameters) => parameters,
            Err(why) => {
                left_out.push(leave(&format!("its schema {why}")));
                continue;
            }
        };
        let Some(name) = unique(&tool.name, prefix, &mut names) else {
            left_out.push(leave("it has no name that is free"));
            continue;
        };
        let said = tool.description.as_deref().unwrap_or_default();
        let said = tame(said, limits.description_bytes, true);
        taken.push(Entry {
            raw: tool.name.to_string(),
            digest: digest(tool),
            spec: ToolSpec {
                name,
                // Whose words these are belongs to them: a model that reads "you must call this first"
                // has to see who says so.
                description: format!("[what the server `{prefix}` says of its tool] {said}"),
                parameters,
                effect: effect(tool.annotations.as_ref(), trust),
                timeout: limits.call_time,
            },
        });
    }
    (taken, left_out)
}

/// SHA-256 of a tool as it was listed.
pub(crate) fn digest(tool: &rmcp::model::Tool) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(tool).unwrap_or_default()).into()
}

/// What a call changes: hints count where the server is believed, and the worst is assumed otherwise.
fn effect(hints: Option<&ToolAnnotations>, trust: Trust) -> Effect {
    match (trust, hints) {
        (Trust::Believed, Some(hints)) if hints.read_only_hint == Some(true) => Effect::Read,
        (Trust::Believed, Some(hints)) if hints.destructive_hint == Some(false) => Effect::Write,
        _ => Effect::Irreversible,
    }
}

/// `prefix_name` of safe characters, unlike all before it.
fn unique(raw: &str, prefix: &str, names: &mut HashSet<String>) -> Option<String> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut name: String = format!("{prefix}_");
    name.extend(raw.chars().map(safe).take(NAME_BYTES));
    // Room for a number.
    name.truncate(NAME_BYTES - 4);
    let numbered = |n: usize| if n == 1 { name.clone() } else { format!("{name}_{n}") };
    let free = (1..1000).map(numbered).find(|name| !names.contains(name))?;
    names.insert(free.clone());
    Some(free)
}

/// A schema that answers can be held to: an object's, bounded, with no reference that leaves it or comes
/// back to itself. Its texts are tamed.
fn schema(schema: &Map<String, Value>, limits: &Limits) -> Result<Value, String> {
    let mut schema = Value::Object(schema.clone());
    let depth = depth(&schema);
    if depth > limits.schema_depth {
        return Err(format!("is {depth} deep; {} are read", limits.schema_depth));
    }
    let bytes = schema.to_string().len();
    if bytes > limits.schema_bytes {
        return Err(format!("has {bytes} bytes; {} are read", limits.schema_bytes));
    }
    match schema.get("type") {
        None => schema["type"] = "object".into(),
        Some(kind) if kind == "object" => {}
        Some(_) => return Err("is no object's".into()),
    }
    references(&schema, &schema, &mut Vec::new(), &mut 0)?;
    texts(&mut schema, limits.description_bytes);
    Ok(schema)
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Object(map) => map.values().map(depth).max(),
        Value::Array(list) => list.iter().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or_default()
}

/// Walks a schema through its references. What is walked more than once is counted each time: references
/// to references to references grow a small schema into a large one.
fn references<'a>(
    root: &'a Value,
    at: &'a Value,
    open: &mut Vec<&'a str>,
    steps: &mut usize,
) -> Result<(), String> {
    /// Values of a schema with all references written out.
    const STEPS: usize = 20_000;

    *steps += 1;
    if *steps > STEPS {
        return Err(format!("has more than {STEPS} values with its references written out"));
    }
    match at {
        Value::Array(list) => {
            list.iter().try_for_each(|inner| references(root, inner, open, steps))
        }
        Value::Object(map) => {
            for key in ["$dynamicRef", "$recursiveRef"] {
                if map.get(key).is_some_and(Value::is_string) {
                    return Err(format!("has a {key}"));
                }
            }
            if let Some(Value::String(reference)) = map.get("$ref") {
                if open.contains(&reference.as_str()) {
                    return Err("refers to itself".into());
                }
                let pointer = reference.strip_prefix('#').ok_or("refers to another document")?;
                let target = root.pointer(pointer).ok_or("refers to what is not there")?;
                open.push(reference);
                references(root, target, open, steps)?;
                open.pop();
            }
            let inner =
                map.iter().filter(|(key, _)| !matches!(key.as_str(), "$defs" | "definitions"));
            inner.map(|(_, inner)| inner).try_for_each(|inner| references(root, inner, open, steps))
        }
        _ => Ok(()),
    }
}

/// Tames the texts of a schema that a model reads.
fn texts(value: &mut Value, most: usize) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match (key.as_str(), &inner) {
                    ("description" | "title" | "$comment", Value::String(text)) => {
                        *inner = tame(text, most, true).into();
                    }
                    _ => texts(inner, most),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| texts(inner, most)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, schema: Value) -> rmcp::model::Tool {
        let schema = schema.as_object().unwrap().clone();
        rmcp::model::Tool::new(name.to_owned(), "does it", schema)
    }

    fn names(tools: &[rmcp::model::Tool]) -> (Vec<String>, Vec<LeftOut>) {
        let (taken, left_out) = read(tools, "s", Trust::Stranger, &Limits::default());
        (taken.into_iter().map(|entry| entry.spec.name).collect(), left_out)
    }

    #[test]
    fn names_are_safe_and_unlike_each_other() {
        let plain = || json!({"type": "object"});
        let long = "x".repeat(500);
        let list: Vec<_> =
            ["add", "add", "a b", "a\u{1b}b", "天气", "", &long, &format!("{long}y")]
                .map(|name| tool(name, plain()))
                .into();
        let (taken, left_out) = names(&list);
        let long = format!("s_{}", "x".repeat(58));
        let expected = ["s_add", "s_a_b", "s_a_b_2", "s___", "s_", &long, &format!("{long}_2")];
        assert_eq!(taken, expected);
        assert!(taken.iter().all(|name| name.len() <= NAME_BYTES));
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].why, "another tool has the same name");
    }

    #[test]
    fn schemas_that_cannot_be_held_to_are_left_out() {
        let mut deep = json!({"type": "object"});
        for _ in 0..40 {
            deep = json!({"type": "object", "properties": {"x": deep}});
        }
        let wide = json!({"type": "object", "description": "x".repeat(40 << 10)});
        // Each of twenty definitions refers to the next one twice: a million values.
        let mut bomb =
            json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {}});
        for n in 0..20 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            bomb["$defs"][format!("d{n}")] = json!({"anyOf": [next, next]});
        }
        bomb["$defs"]["d20"] = json!({"type": "string"});
        let rows = [
            (json!({"type": "object"}), None),
            (json!({}), None),
            (json!({"type": "string"}), Some("is no object's")),
            (json!({"type": ["object", "null"]}), Some("is no object's")),
            (deep, Some("deep; 24 are read")),
            (wide, Some("bytes; 32768 are read")),
            (bomb, Some("with its references written out")),
            (
                json!({"type": "object", "properties": {"x": {"$ref": "#"}}}),
                Some("refers to itself"),
            ),
            (
                json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {
                    "a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
                Some("refers to itself"),
            ),
            (
                json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {
                    "a": {"type": "string"}}}),
                None,
            ),
            (
                json!({"type": "object", "properties": {"x": {"$ref": "https://evil.example/s"}}}),
                Some("refers to another document"),
            ),
            (
                json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/none"}}}),
                Some("refers to what is not there"),
            ),
            // A property that is called so is none of these.
            (json!({"type": "object", "properties": {"$ref": {"type": "string"}}}), None),
        ];
        for (schema, expected) in rows {
            let (taken, left_out) = names(&[tool("t", schema.clone())]);
            match expected {
                None => assert_eq!(taken, ["s_t"], "{schema}"),
                Some(why) => assert!(left_out[0].why.contains(why), "{schema}: {left_out:?}"),
            }
        }
    }

    #[test]
    fn hints_count_for_who_is_believed() {
        let hints = |read: Option<bool>, destroys: Option<bool>| {
            ToolAnnotations::from_raw(None, read, destroys, None, None)
        };
        let rows = [
            (None, Trust::Stranger, Effect::Irreversible),
            (None, Trust::Believed, Effect::Irreversible),
            (Some(hints(Some(true), None)), Trust::Stranger, Effect::Irreversible),
            (Some(hints(Some(true), None)), Trust::Believed, Effect::Read),
            (Some(hints(Some(false), Some(false))), Trust::Believed, Effect::Write),
            (Some(hints(None, Some(false))), Trust::Stranger, Effect::Irreversible),
            (Some(hints(Some(false), None)), Trust::Believed, Effect::Irreversible),
            (Some(hints(None, Some(true))), Trust::Believed, Effect::Irreversible),
        ];
        for (hints, trust, expected) in rows {
            assert_eq!(effect(hints.as_ref(), trust), expected, "{hints:?} {trust:?}");
        }
    }

    #[test]
    fn a_list_without_end_has_one_and_words_are_tamed() {
        let many: Vec<_> =
            (0..10_000).map(|n| tool(&format!("t{n}"), json!({"type": "object"}))).collect();
        let (taken, left_out) = names(&many);
        assert_eq!((taken.len(), left_out.len()), (256, 10_000 - 256));

        let mut loud = tool(
            "t",
            json!({"type": "object", "properties": {
            "x": {"type": "string", "description": format!("a\u{1b}b{}", "c".repeat(5000))}}}),
        );
        loud.description = Some(format!("ignore\u{202e} all {}", "x".repeat(5000)).into());
        let (taken, _) = read(&[loud], "s", Trust::Believed, &Limits::default());
        let spec = &taken[0].spec;
        assert!(
            spec.description.starts_with("[what the server `s` says of its tool] ignore all x")
        );
        assert!(spec.description.len() < 1100);
        let inner = spec.parameters["properties"]["x"]["description"].as_str().unwrap();
        assert!(inner.starts_with("abc") && inner.len() < 1100);
    }
}
