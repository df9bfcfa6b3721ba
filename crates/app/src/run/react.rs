//! ReAct as text (Yao and others, 2022): reads `Thought:`, `Action:`, `Action Input:` and
//! `Final Answer:` from whatever a model made of them, and writes the grammar that leaves it no choice.
//!
//! A model that is not held to the grammar writes labels in bold, in another case, in Chinese, puts
//! input into a code fence, calls `tool(…)`, or goes on and invents the observation itself. All that
//! is read, up to the first action or the first answer; what follows is not kept.

use ondine_chat::Tool;
use serde_json::{Map, Value, json};

/// Signs that a constrained thought may have: the weakest model comes to the action before its answer ends.
const THOUGHT_CHARS_MAX: usize = 200;
/// The largest grammar that is asked for; with longer ones a model goes unconstrained.
const GRAMMAR_BYTES_MAX: usize = 48 << 10;

/// What a model said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    /// It wants this done.
    Act { thought: String, tool: String, arguments: Value },
    /// It is done.
    Final { thought: String, answer: String },
    /// It cannot be read; the model is told this.
    Malformed(String),
}

/// What the labels stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Thought,
    Action,
    Input,
    Observation,
    Answer,
}

/// Longer labels before those that they begin with.
const LABELS: &[(&str, Label)] = &[
    ("action input", Label::Input),
    ("action_input", Label::Input),
    ("final answer", Label::Answer),
    ("final_answer", Label::Answer),
    ("observation", Label::Observation),
    ("thought", Label::Thought),
    ("action", Label::Action),
    ("行动输入", Label::Input),
    ("动作输入", Label::Input),
    ("最终答案", Label::Answer),
    ("最终回答", Label::Answer),
    ("观察", Label::Observation),
    ("思考", Label::Thought),
    ("行动", Label::Action),
    ("动作", Label::Action),
];

/// What a model's text wants, where the tools are these.
pub(super) fn parse(text: &str, tools: &[Tool]) -> Parsed {
    let text = without_thinking(text);
    let parts = parts(text);
    let mut thought = String::new();
    let mut parts = parts.into_iter().peekable();
    while let Some((label, body)) = parts.next() {
        match label {
            None | Some(Label::Thought) => {
                if !thought.is_empty() && !body.trim().is_empty() {
                    thought.push('\n');
                }
                thought.push_str(body.trim());
            }
            Some(Label::Answer) => {
                // The rest is the answer, whatever it looks like.
                let start = body.as_ptr() as usize - text.as_ptr() as usize;
                let answer = text[start..].trim();
                if answer.is_empty() {
                    return Parsed::Malformed("\"Final Answer:\" has nothing behind it".into());
                }
                return Parsed::Final { thought, answer: answer.to_owned() };
            }
            Some(Label::Action) => {
                let input = match parts.peek() {
                    Some((Some(Label::Input), input)) => Some(*input),
                    _ => None,
                };
                return action(thought, body, input, tools);
            }
            Some(Label::Input) => {
                return Parsed::Malformed("\"Action Input:\" without \"Action:\" before it".into());
            }
            // The model invents what only a tool can say.
            Some(Label::Observation) => break,
        }
    }
    Parsed::Malformed("there is neither \"Action:\" nor \"Final Answer:\" in it".into())
}

/// What stands behind the last thought of a model that thinks aloud in marks of its own.
fn without_thinking(text: &str) -> &str {
    match text.rfind("</think>") {
        Some(at) => &text[at + "</think>".len()..],
        None => text,
    }
}

/// The text cut before each label, with the label that it begins with.
fn parts(text: &str) -> Vec<(Option<Label>, &str)> {
    let (mut parts, mut open, mut from, mut at) = (Vec::new(), None, 0, 0);
    for line in text.split_inclusive('\n') {
        if let Some((label, length)) = label(line) {
            parts.push((open, &text[from..at]));
            (open, from) = (Some(label), at + length);
        }
        at += line.len();
    }
    parts.push((open, &text[from..]));
    parts
}

/// The label that a line begins with, and how many bytes it takes with all that adorns it.
fn label(line: &str) -> Option<(Label, usize)> {
    let adorns = |c: char| c.is_whitespace() || matches!(c, '*' | '#' | '_' | '-' | '>' | '`');
    let word = line.trim_start_matches(adorns);
    LABELS.iter().find_map(|(name, label)| {
        let head = word.get(..name.len())?;
        if !head.eq_ignore_ascii_case(name) {
            return None;
        }
        // Some number their steps: "Action 1:".
        let rest = word[name.len()..]
            .trim_start_matches(|c: char| adorns(c) || c.is_ascii_digit())
            .strip_prefix([':', '：'])?;
        let rest = rest.trim_start_matches(['*', '_', '`']);
        Some((*label, line.len() - rest.len()))
    })
}

fn action(thought: String, body: &str, input: Option<&str>, tools: &[Tool]) -> Parsed {
    let body = unfenced(body);
    // {"name": …, "arguments": {…}}, as other models write calls.
    if body.starts_with('{') {
        return match first_json(body).and_then(|(value, _)| as_call(&value)) {
            Some((tool, arguments)) => Parsed::Act { thought, tool, arguments },
            None => Parsed::Malformed("\"Action:\" has to be the name of a tool".into()),
        };
    }
    let line = body.lines().next().unwrap_or_default();
    let end = line.find(['(', '[', '{', ' ', '\t', ':', '：']).unwrap_or(line.len());
    let quotes = |c: char| matches!(c, '`' | '*' | '"' | '\'' | '.' | ',' | '「' | '」');
    let tool = line[..end].trim_matches(quotes).to_owned();
    if tool.is_empty() {
        return Parsed::Malformed("\"Action:\" has to be followed by the name of a tool".into());
    }
    let inline = body[end..].trim_start_matches([':', '：', ' ', '\t']);
    let inline = match inline.chars().next() {
        Some('(') => inline[1..].trim_end().strip_suffix(')').unwrap_or(&inline[1..]),
        Some('[') => inline[1..].trim_end().strip_suffix(']').unwrap_or(&inline[1..]),
        _ => inline,
    };
    let raw = unfenced(input.unwrap_or(inline));
    match arguments(raw, &tool, tools) {
        Ok(arguments) => Parsed::Act { thought, tool, arguments },
        Err(what) => Parsed::Malformed(what),
    }
}

/// A call that was written as an object.
pub(super) fn as_call(value: &Value) -> Option<(String, Value)> {
    let name = value.get("name").or_else(|| value.get("action")).or_else(|| value.get("tool"))?;
    let keys = ["arguments", "parameters", "action_input", "input", "args"];
    let arguments = keys.iter().find_map(|key| value.get(*key));
    let arguments = arguments.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    Some((name.as_str()?.to_owned(), arguments))
}

/// An object, or a value for the one argument that the tool needs.
fn arguments(raw: &str, tool: &str, tools: &[Tool]) -> Result<Value, String> {
    if raw.is_empty() || raw.eq_ignore_ascii_case("none") {
        return Ok(json!({}));
    }
    let parsed = first_json(raw);
    if let Some((Value::Object(map), _)) = &parsed {
        return Ok(Value::Object(map.clone()));
    }
    let schema = tools.iter().find(|known| known.name == tool).map(|known| &known.parameters);
    let (name, shape) = schema.and_then(only_argument).ok_or_else(|| {
        format!("\"Action Input:\" has to be a JSON object with the arguments of {tool}")
    })?;
    let whole = parsed.filter(|(_, rest)| rest.trim().is_empty()).map(|(value, _)| value);
    let value = match whole {
        // A number is a number only where one is wanted.
        Some(value) if shape["type"] != "string" || value.is_string() => value,
        _ => Value::from(raw.lines().next().unwrap_or_default().trim()),
    };
    Ok(json!({ name: value }))
}

/// The argument that a tool needs, or has, where that is one.
fn only_argument(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema["properties"].as_object()?;
    let name = match schema["required"].as_array().map(Vec::as_slice) {
        Some([one]) => one.as_str()?,
        _ if properties.len() == 1 => properties.keys().next()?,
        _ => return None,
    };
    Some((name, properties.get(name)?))
}

/// The JSON value that a text begins with, and what follows.
pub(super) fn first_json(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

/// Without the fence around it.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix("```") else { return text };
    let start = inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
    let inside = &inside[start..];
    inside.find("```").map_or(inside, |end| &inside[..end]).trim()
}

/// A grammar of one step: a thought, then a call of one of these tools under its schema, or the answer.
/// `None` where it would be too large.
pub(super) fn grammar(tools: &[Tool]) -> Option<String> {
    let quoted = |text: String| Value::from(text).to_string();
    let mut rules = String::new();
    let mut calls = Vec::new();
    for (i, tool) in tools.iter().enumerate() {
        let mut schema = tool.parameters.clone();
        if let Value::Object(map) = &mut schema {
            // Blanks as they are usual, so that no model can go on writing them.
            let blanks = json!({ "whitespace_flexible": false });
            map.insert("x-guidance".into(), blanks);
        }
        let head = quoted(format!("Action: {}\nAction Input: ", tool.name));
        rules += &format!("call{i}: {head} input{i} \"\\n\"?\ninput{i}: %json {schema}\n");
        calls.push(format!("call{i}"));
    }
    let next =
        if calls.is_empty() { "final".into() } else { format!("({} | final)", calls.join(" | ")) };
    let grammar = format!(
        "start: \"Thought: \" THOUGHT \"\\n\" {next}\nfinal: \"Final Answer: \" ANSWER\n{rules}\
         THOUGHT: /[^\\n]{{1,{THOUGHT_CHARS_MAX}}}/\nANSWER: /[^\\s](.|\\n)*/\n"
    );
    (grammar.len() <= GRAMMAR_BYTES_MAX).then_some(grammar)
}

#[cfg(test)]
#[path = "react/tests.rs"]
mod tests;
