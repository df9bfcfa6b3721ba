//! Spans as a tree that people read: what was inside of what, how long it took, what it cost, and, where
//! that is asked for, the words.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde_json::Value;

use super::otlp::SpanRead;

/// How far a tree is drawn to the right.
const DEPTH_MAX: usize = 64;

/// The words that a span may hold: the attribute, and what it is called here.
const WORDS: &[(&str, &str)] = &[
    ("gen_ai.system_instructions", "instructions"),
    ("gen_ai.input.messages", "asked"),
    ("gen_ai.tool.definitions", "tools"),
    ("ondine.prompt.text", "prompt"),
    ("ondine.prompt.tokens", "tokens"),
    ("gen_ai.output.messages", "answered"),
    ("gen_ai.retrieval.query.text", "question"),
    ("gen_ai.retrieval.documents", "passages"),
    ("gen_ai.tool.call.arguments", "arguments"),
    ("gen_ai.tool.call.result", "result"),
];

/// The spans as a tree, one line each; with `full`, their words below them. What strangers said is in it
/// as it is: whoever shows it on a terminal takes care of that.
pub fn tree(spans: &[SpanRead], full: bool) -> String {
    let ids: HashSet<(&str, &str)> =
        spans.iter().map(|span| (span.trace.as_str(), span.id.as_str())).collect();
    let mut children: HashMap<(&str, &str), Vec<&SpanRead>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        let parent = (span.trace.as_str(), span.parent.as_str());
        if span.parent != span.id && ids.contains(&parent) {
            children.entry(parent).or_default().push(span);
        } else {
            roots.push(span);
        }
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| span.start_ns);
    }
    roots.sort_by_key(|span| span.start_ns);
    let mut out = String::new();
    let mut seen = HashSet::new();
    for root in roots {
        draw(root, &children, full, &mut seen, &mut out);
    }
    // Spans that lie inside of each other in a circle, from a file that is not honest.
    for span in spans {
        if !seen.contains(&(span.trace.as_str(), span.id.as_str())) {
            draw(span, &children, full, &mut seen, &mut out);
        }
    }
    out
}

fn draw<'a>(
    root: &'a SpanRead,
    children: &HashMap<(&'a str, &'a str), Vec<&'a SpanRead>>,
    full: bool,
    seen: &mut HashSet<(&'a str, &'a str)>,
    out: &mut String,
) {
    let mut stack = vec![(root, 0)];
    while let Some((span, depth)) = stack.pop() {
        let key = (span.trace.as_str(), span.id.as_str());
        if !seen.insert(key) {
            continue;
        }
        let indent = "  ".repeat(depth.min(DEPTH_MAX));
        // Writing to a string does not fail.
        let _ = writeln!(out, "{indent}{}", line(span));
        for (time_ns, said) in &span.events {
            let after = time_ns.saturating_sub(span.start_ns) as f64 / 1e9;
            let _ = writeln!(out, "{indent}  · {} {said}", time(after));
        }
        if full {
            for (name, called) in WORDS {
                if let Some(value) = span.attributes.get(*name) {
                    let _ = writeln!(out, "{indent}  {called}:");
                    for line in legible(name, value).lines() {
                        let _ = writeln!(out, "{indent}    {line}");
                    }
                }
            }
        }
        let inside = children.get(&key).into_iter().flatten().rev();
        stack.extend(inside.map(|child| (*child, depth + 1)));
    }
}

/// A time as people read it.
fn time(s: f64) -> String {
    match s {
        _ if s < 0.001 => format!("{:.0} µs", s * 1e6),
        _ if s < 1.0 => format!("{:.1} ms", s * 1e3),
        _ => format!("{s:.2} s"),
    }
}

/// What one line says of a span.
fn line(span: &SpanRead) -> String {
    let mut line = format!("{}  {}", span.name, time(span.took_s()));
    let number = |name: &str| span.number(name).map(|n| n as u64);
    let (read, said) = (number("gen_ai.usage.input_tokens"), number("gen_ai.usage.output_tokens"));
    if let Some(read) = read {
        let _ = write!(line, "  {read} tokens in");
        match number("gen_ai.usage.cache_read.input_tokens") {
            Some(known) if known > 0 => {
                let _ = write!(line, " ({known} known)");
            }
            _ => {}
        }
    }
    if let Some(said) = said {
        let _ = write!(line, ", {said} out");
    }
    for (name, called) in [
        ("ondine.timing.queue_s", "waited"),
        ("ondine.timing.prefill_s", "read"),
        ("ondine.timing.decode_s", "said"),
    ] {
        if let Some(s) = span.number(name).filter(|s| *s > 0.0) {
            let _ = write!(line, ", {called} {}", time(s));
        }
    }
    if let Some(dropped) = number("ondine.prompt.dropped_tokens") {
        let _ = write!(line, ", {dropped} tokens left out");
    }
    if let Some(hits) = number("ondine.retrieval.hits") {
        let _ = write!(line, "  {hits} hits");
    }
    if let Some(Value::Array(reasons)) = span.attributes.get("gen_ai.response.finish_reasons") {
        let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
        if reasons != ["stop"] {
            let _ = write!(line, "  [{}]", reasons.join(", "));
        }
    }
    if let Some(error) = span.text("error.type") {
        let _ = write!(line, "  ERROR {error}");
    }
    line.replace(['\n', '\r'], " ")
}

/// The words of an attribute. Conversations are taken apart; what is none is shown as it is.
fn legible(name: &str, value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if !name.ends_with(".messages") {
        return text;
    }
    let Ok(Value::Array(messages)) = serde_json::from_str(&text) else { return text };
    let mut out = String::new();
    for message in &messages {
        let role = message["role"].as_str().unwrap_or("?");
        for part in message["parts"].as_array().into_iter().flatten() {
            let said = match part["type"].as_str() {
                Some("text") => part["content"].as_str().unwrap_or_default().to_owned(),
                Some("tool_call") => {
                    format!("{}({})", part["name"].as_str().unwrap_or("?"), part["arguments"])
                }
                Some("tool_call_response") => match &part["result"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                },
                _ => part.to_string(),
            };
            let _ = writeln!(out, "{role}: {said}");
        }
    }
    out
}
