//! OTLP/JSON: how a span is written as a line, and how a file of such lines, ours or another exporter's,
//! is read. The shape is OpenTelemetry's (`TracesData` of its protocol, in the JSON encoding: ids in
//! hexadecimal, 64-bit numbers as text).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Spans of a file.
const SPANS_MAX: usize = 1 << 20;
/// How deep a value may lie in others.
const DEPTH_MAX: usize = 16;

/// Attributes that are lists and that `tracing` can only carry as JSON.
const LISTS: &[&str] = &["gen_ai.response.finish_reasons", "gen_ai.request.stop_sequences"];

/// Why a trace cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no spans.
    #[error("{}: line {line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// The program has a listener.
    #[error("somebody listens to this program's spans already")]
    Taken,
}

/// A span that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanRead {
    /// Which trace it is of.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it is inside of; empty for the outermost.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// What is known of it.
    pub attributes: BTreeMap<String, Value>,
    /// Notes on the way: when, and what.
    pub events: Vec<(u64, String)>,
}

impl SpanRead {
    /// An attribute that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_str()
    }

    /// An attribute that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.attributes.get(name)?.as_f64()
    }

    /// How long it took, in seconds.
    pub fn took_s(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The spans, in the order in which they ended.
    pub spans: Vec<SpanRead>,
    /// The last line was cut off, as by a program that was killed.
    pub torn: bool,
}

/// An attribute as it is written.
pub(super) fn attribute(key: &str, value: &Value) -> Value {
    let listed = match value {
        Value::String(text) if LISTS.contains(&key) => serde_json::from_str(text).ok(),
        _ => None,
    };
    json!({ "key": key, "value": written(listed.as_ref().unwrap_or(value)) })
}

fn written(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(written).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    }
}

/// A line with one span.
pub(super) fn document(span: Value) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [attribute("service.name", &"ondine".into())] },
        "scopeSpans": [{
            "scope": { "name": "ondine-app", "version": env!("CARGO_PKG_VERSION") },
            "spans": [span],
        }],
    }] })
}

/// Reads a file of spans: a line of OTLP/JSON is one or many. A last line that was cut off is left out,
/// and told.
///
/// # Errors
/// The file cannot be read, or a line is none of spans.
pub fn read(path: impl AsRef<Path>) -> Result<Read, TraceError> {
    let path = path.as_ref();
    let failed = |source| TraceError::File { path: path.to_path_buf(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut all, mut number) = (Read::default(), 0);
    loop {
        let mut line = Vec::new();
        let length =
            (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            return Ok(all);
        }
        number += 1;
        let wrong =
            |what: String| TraceError::Line { path: path.to_path_buf(), line: number, what };
        let whole = line.last() == Some(&b'\n');
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if !whole && length as u64 > LINE_BYTES_MAX {
            return Err(wrong(format!("it has more than {LINE_BYTES_MAX} bytes")));
        }
        let value: Value = match serde_json::from_slice(&line) {
            Ok(value) => value,
            Err(_) if !whole => {
                all.torn = true;
                return Ok(all);
            }
            Err(error) => return Err(wrong(format!("no JSON: {error}"))),
        };
        spans(&value, &mut all.spans).map_err(wrong)?;
    }
}

fn spans(document: &Value, all: &mut Vec<SpanRead>) -> Result<(), String> {
    let list = |value: &Value, name: &str| {
        value[name].as_array().cloned().ok_or_else(|| format!("no {name}; expected OTLP/JSON"))
    };
    for resource in list(document, "resourceSpans")? {
        for scope in list(&resource, "scopeSpans")? {
            for span in list(&scope, "spans")? {
                if all.len() == SPANS_MAX {
                    return Err(format!("the file has more than {SPANS_MAX} spans"));
                }
                all.push(one(&span)?);
            }
        }
    }
    Ok(())
}

fn one(span: &Value) -> Result<SpanRead, String> {
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let ns = |value: &Value| {
        let said = value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64());
        said.ok_or_else(|| format!("a span without a time: {value}"))
    };
    let listed = |value: &Value| -> BTreeMap<String, Value> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|a| Some((a["key"].as_str()?.to_owned(), plain(&a["value"], 0)))).collect()
    };
    if text("spanId").is_empty() {
        return Err("a span without a spanId".into());
    }
    let mut events = Vec::new();
    for event in span["events"].as_array().into_iter().flatten() {
        let mut said = event["name"].as_str().unwrap_or_default().to_owned();
        for (key, value) in listed(&event["attributes"]) {
            said.push_str(&format!(" {key}={value}"));
        }
        events.push((ns(&event["timeUnixNano"])?, said));
    }
    Ok(SpanRead {
        trace: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        name: text("name"),
        start_ns: ns(&span["startTimeUnixNano"])?,
        end_ns: ns(&span["endTimeUnixNano"])?,
        attributes: listed(&span["attributes"]),
        events,
    })
}

/// A value without the words around it that say of which kind it is.
fn plain(value: &Value, depth: usize) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        _ if depth == DEPTH_MAX => Value::Null,
        "intValue" => match inner.as_str().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => number.into(),
            None => inner.clone(),
        },
        "arrayValue" => {
            let values = inner["values"].as_array().into_iter().flatten();
            values.map(|value| plain(value, depth + 1)).collect()
        }
        "kvlistValue" => {
            let pairs = inner["values"].as_array().into_iter().flatten();
            let pair = |pair: &Value| {
                Some((pair["key"].as_str()?.to_owned(), plain(&pair["value"], depth + 1)))
            };
            Value::Object(pairs.filter_map(pair).collect())
        }
        _ => inner.clone(),
    }
}
