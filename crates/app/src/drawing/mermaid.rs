//! A drawing as a flow chart of Mermaid.

use std::fmt::Write;

use super::text::clean;
use super::{Drawing, Form};

pub(super) fn draw(drawing: &Drawing) -> String {
    let mut out = String::from("flowchart TD\n");
    for (n, node) in drawing.nodes.iter().enumerate() {
        let (open, close) = match node.form {
            Form::End => ("([", "])"),
            Form::Plain | Form::Model => ("(", ")"),
            Form::Tool => ("[[", "]]"),
            Form::Irreversible => ("[/", "/]"),
            Form::Choice => ("{", "}"),
            Form::Fork => ("{{", "}}"),
        };
        put(&mut out, format_args!("    n{n}{open}\"{}\"{close}\n", escaped(&node.name)));
    }
    for arrow in &drawing.arrows {
        let line = if arrow.dashed { "-.->" } else { "-->" };
        let label = match arrow.label.trim() {
            "" => String::new(),
            label => format!("|\"{}\"|", escaped(label)),
        };
        put(&mut out, format_args!("    n{} {line}{label} n{}\n", arrow.from, arrow.to));
    }
    out
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(what);
}

/// Everything of ASCII that is no letter, digit or blank stands as its number: nothing is left that
/// Mermaid, Markdown or HTML could read.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in clean(name).chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != ' ' {
            put(&mut out, format_args!("#{};", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}
