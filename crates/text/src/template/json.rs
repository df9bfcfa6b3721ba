//! `tojson` as the Hugging Face libraries define it: Python's `json.dumps` without escaping of
//! other scripts or of HTML.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::ops::{Args, compare};
use super::text::{Str, Text};
use super::value::{self, Dict, Kind, List, Number, Run, items, type_name, wrong};

struct Style {
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sorted: bool,
}

/// `tojson(value, ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(crate) fn tojson(run: &Run, args: &Args) -> Result<Value, Error> {
    let indent = match args.get(2, "indent").filter(|indent| !indent.is_none()) {
        None => None,
        Some(value) => Some(match (Number::of(&value), Str::of(&value)) {
            (Some(Number::Int(n)), _) => " ".repeat(usize::try_from(n).unwrap_or(0).min(64)),
            (_, Some(text)) if text.s.len() <= 64 => text.s.to_owned(),
            _ => return Err(wrong("indent must be a small number or a short string")),
        }),
    };
    let mut style = Style {
        ascii: args.flag(1, "ensure_ascii"),
        item: if indent.is_some() { "," } else { ", " }.to_owned(),
        key: ": ".to_owned(),
        indent,
        sorted: args.flag(4, "sort_keys"),
    };
    if let Some(separators) = args.get(3, "separators").filter(|s| !s.is_none()) {
        match items(run, &separators)?.as_slice() {
            [item, key] => {
                let text = |v| Str::of(v).map(|s: Str<'_>| s.s.to_owned());
                let both = text(item).zip(text(key));
                (style.item, style.key) =
                    both.ok_or_else(|| wrong("separators must be strings"))?;
            }
            _ => return Err(wrong("separators must be a pair of strings")),
        }
    }
    let mut out = Text::default();
    write(run, &args.at(0), &style, 0, &mut out)?;
    Ok(out.into_value())
}

fn write(
    run: &Run,
    value: &Value,
    style: &Style,
    depth: usize,
    out: &mut Text,
) -> Result<(), Error> {
    run.charge(32)?;
    if let Some(text) = Str::of(value) {
        return string(run, text, style, out);
    }
    if let Some(dict) = Dict::of(value) {
        let mut entries: Vec<_> = dict.entries.iter().collect();
        if style.sorted {
            let mut failed = None;
            entries.sort_by(|(a, _), (b, _)| {
                compare(run, a, b).unwrap_or_else(|error| {
                    failed = Some(error);
                    std::cmp::Ordering::Equal
                })
            });
            if let Some(error) = failed {
                return Err(error);
            }
        }
        if entries.is_empty() {
            out.push("{}");
            return Ok(());
        }
        out.push("{");
        for (i, (key, value)) in entries.into_iter().enumerate() {
            between(run, i, style, depth + 1, out)?;
            match Str::of(key) {
                Some(key) => string(run, key, style, out)?,
                None => {
                    out.push("\"");
                    scalar(key, out)?;
                    out.push("\"");
                }
            }
            out.push(&style.key);
            write(run, value, style, depth + 1, out)?;
        }
        new_line(run, style, depth, out)?;
        out.push("}");
        return Ok(());
    }
    match List::of(value) {
        Some(list) if matches!(list.kind, Kind::List | Kind::Tuple) => {
            if list.items.is_empty() {
                out.push("[]");
                return Ok(());
            }
            out.push("[");
            for (i, item) in list.items.iter().enumerate() {
                between(run, i, style, depth + 1, out)?;
                write(run, item, style, depth + 1, out)?;
            }
            new_line(run, style, depth, out)?;
            out.push("]");
            Ok(())
        }
        _ => scalar(value, out),
    }
}

fn between(run: &Run, i: usize, style: &Style, depth: usize, out: &mut Text) -> Result<(), Error> {
    if i > 0 {
        out.push(&style.item);
    }
    new_line(run, style, depth, out)
}

fn new_line(run: &Run, style: &Style, depth: usize, out: &mut Text) -> Result<(), Error> {
    if let Some(indent) = &style.indent {
        run.charge(indent.len() * depth)?;
        out.push("\n");
        for _ in 0..depth {
            out.push(indent);
        }
    }
    Ok(())
}

fn scalar(value: &Value, out: &mut Text) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push("null"),
        ValueKind::Bool => out.push(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => match Number::of(value) {
            Some(Number::Int(i)) => out.push(&i.to_string()),
            Some(Number::Float(f)) if f.is_nan() => out.push("NaN"),
            Some(Number::Float(f)) if f.is_infinite() => {
                out.push(if f > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Some(Number::Float(f)) => out.push(&value::float(f)),
            None => return Err(wrong("number out of range")),
        },
        _ => {
            let name = type_name(value);
            return Err(wrong(format!("Object of type {name} is not JSON serializable")));
        }
    }
    Ok(())
}

fn string(run: &Run, text: Str<'_>, style: &Style, out: &mut Text) -> Result<(), Error> {
    run.charge(text.s.len() * 2)?;
    out.push("\"");
    for (c, quoted) in text.chars() {
        match c {
            '"' => out.push_piece("\\\"", quoted),
            '\\' => out.push_piece("\\\\", quoted),
            '\n' => out.push_piece("\\n", quoted),
            '\r' => out.push_piece("\\r", quoted),
            '\t' => out.push_piece("\\t", quoted),
            '\u{8}' => out.push_piece("\\b", quoted),
            '\u{c}' => out.push_piece("\\f", quoted),
            c if c < ' ' || (style.ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_piece(&format!("\\u{unit:04x}"), quoted);
                }
            }
            c => out.push_char(c, quoted),
        }
    }
    out.push("\"");
    Ok(())
}
