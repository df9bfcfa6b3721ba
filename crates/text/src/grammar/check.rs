//! What is looked at before a grammar is compiled: sizes, depths and counts, so that compiling is
//! short whatever was sent. Knows the three languages only so far.

use serde_json::Value;

use super::GrammarError;
use crate::limits;
use crate::vocab::TokenId;

/// Keywords of a schema that count something, and so repeat it.
const COUNTS: &[&str] =
    &["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];

fn over(what: &'static str, limit: u64) -> GrammarError {
    GrammarError::Limit { what, limit }
}

fn invalid(message: impl Into<String>) -> GrammarError {
    GrammarError::Invalid { message: message.into() }
}

/// A schema, if it is one of bounded size. References stay inside it.
pub(super) fn schema(source: &str) -> Result<Value, GrammarError> {
    if source.len() > limits::SCHEMA_BYTES_MAX {
        return Err(over("the schema's size", limits::SCHEMA_BYTES_MAX as u64));
    }
    let depth = source.bytes().scan((0usize, false, false), |(depth, in_string, escaped), b| {
        match b {
            _ if *escaped => *escaped = false,
            b'\\' if *in_string => *escaped = true,
            b'"' => *in_string = !*in_string,
            b'{' | b'[' if !*in_string => *depth += 1,
            b'}' | b']' if !*in_string => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    // A schema of depth n nests some two brackets a level; twice the limit keeps all honest ones.
    if depth.max().unwrap_or(0) > 2 * limits::SCHEMA_DEPTH_MAX {
        return Err(over("the schema's depth", limits::SCHEMA_DEPTH_MAX as u64));
    }
    let schema: Value = serde_json::from_str(source)
        .map_err(|e| invalid(format!("the schema is not JSON: {e}")))?;
    if !schema.is_object() && !schema.is_boolean() {
        return Err(invalid("a schema is an object or a boolean"));
    }
    match &schema {
        Value::Object(map) if map.get("x-guidance").is_some_and(is_stricter) => {
            let mut rest = map.clone();
            rest.remove("x-guidance");
            keywords(&rest.into())?;
        }
        schema => keywords(schema)?,
    }
    Ok(schema)
}

/// Whether a schema's own settings ask for less than it would get without them: of blanks one at most, of
/// escapes none by number. An answer's longest text is then known, and not much longer than its content.
fn is_stricter(settings: &Value) -> bool {
    *settings
        == serde_json::json!({
            "whitespace_pattern": "[ ]?",
            "json_allowed_escapes": "nrbtf\\\"",
        })
}

fn keywords(value: &Value) -> Result<(), GrammarError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(keywords),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            match (key.as_str(), value) {
                // An extension of the compiler that would let a schema loosen it.
                ("x-guidance", _) => return Err(invalid("x-guidance is not accepted")),
                ("$ref", Value::String(to)) if !to.starts_with('#') => {
                    return Err(invalid(format!("$ref {to:?} points outside the schema")));
                }
                ("pattern", Value::String(pattern)) => regex(pattern)?,
                (key, Value::Number(n))
                    if COUNTS.contains(&key)
                        && n.as_f64()
                            .is_some_and(|n| n > limits::GRAMMAR_REPETITIONS_MAX as f64) =>
                {
                    return Err(over("a count", limits::GRAMMAR_REPETITIONS_MAX));
                }
                _ => {}
            }
            keywords(value)
        }),
        _ => Ok(()),
    }
}

/// A regular expression of bounded size, nesting and repetition.
pub(super) fn regex(pattern: &str) -> Result<(), GrammarError> {
    if pattern.len() > limits::GRAMMAR_BYTES_MAX {
        return Err(over("the pattern's size", limits::GRAMMAR_BYTES_MAX as u64));
    }
    let mut depth = 0usize;
    let mut in_class = false;
    let mut rest = pattern;
    // The product of counts over brackets within one another bounds how far they multiply.
    let mut counts: Vec<u64> = vec![1];
    let mut closed = 1u64;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escaped = rest.chars().next().map_or(0, char::len_utf8);
                rest = &rest[escaped..];
                closed = 1;
            }
            '[' if !in_class => in_class = true,
            ']' if in_class => {
                in_class = false;
                closed = 1;
            }
            _ if in_class => {}
            '(' => {
                depth += 1;
                counts.push(1);
            }
            ')' => {
                depth = depth.saturating_sub(1);
                closed = if counts.len() > 1 { counts.pop().unwrap_or(1) } else { 1 };
                if let Some(outer) = counts.last_mut() {
                    *outer = (*outer).max(closed);
                }
            }
            '{' => {
                let count = rest.split('}').next().unwrap_or_default();
                let largest = count.split(',').filter_map(|n| n.trim().parse::<u64>().ok()).max();
                let digits_only = count.chars().all(|c| c.is_ascii_digit() || c == ',' || c == ' ');
                let largest = match largest {
                    Some(n) => n,
                    None if digits_only && count.chars().any(|c| c.is_ascii_digit()) => u64::MAX,
                    None => 1,
                };
                closed = closed.saturating_mul(largest.max(1));
                if closed > limits::GRAMMAR_REPETITIONS_MAX {
                    return Err(over("a repetition", limits::GRAMMAR_REPETITIONS_MAX));
                }
                if let Some(outer) = counts.last_mut() {
                    *outer = (*outer).max(closed);
                }
            }
            '}' | '?' => {}
            _ => closed = 1,
        }
        if depth > limits::GRAMMAR_NESTING_MAX {
            return Err(over("the pattern's nesting", limits::GRAMMAR_NESTING_MAX as u64));
        }
    }
    Ok(())
}

/// A Lark grammar of bounded size, nesting and repetition, with `<name>` of a token that `named`
/// knows written as `<[number]>`.
pub(super) fn lark(
    source: &str,
    named: impl Fn(&str) -> Option<TokenId>,
) -> Result<String, GrammarError> {
    if source.len() > limits::GRAMMAR_BYTES_MAX {
        return Err(over("the grammar's size", limits::GRAMMAR_BYTES_MAX as u64));
    }
    let mut out = String::with_capacity(source.len());
    let mut depth = 0usize;
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => quoted(rest, '"'),
            // A division sign has no meaning in Lark: this opens a pattern.
            '/' if rest.starts_with("//") => line(rest),
            '/' => {
                let pattern = quoted(rest, '/');
                regex(pattern.trim_matches('/'))?;
                pattern
            }
            '#' => line(rest),
            '<' => {
                let end = rest.find(|c: char| c == '>' || c.is_whitespace()).map_or(0, |at| at + 1);
                let name = &rest[..end.max(1)];
                match named(name).filter(|_| name.ends_with('>')) {
                    Some(id) => {
                        out.push_str(&format!("<[{id}]>"));
                        rest = &rest[name.len()..];
                        continue;
                    }
                    None => name,
                }
            }
            '(' | '[' | '{' => {
                depth += 1;
                &rest[..1]
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                &rest[..1]
            }
            '~' => {
                let counts = rest[1..].split(|c: char| !c.is_ascii_digit() && !" .".contains(c));
                let counts = counts.take(1).flat_map(|s| s.split(|c: char| !c.is_ascii_digit()));
                for n in counts.filter(|n| !n.is_empty()) {
                    if n.parse::<u64>().map_or(true, |n| n > limits::GRAMMAR_REPETITIONS_MAX) {
                        return Err(over("a repetition", limits::GRAMMAR_REPETITIONS_MAX));
                    }
                }
                &rest[..1]
            }
            c => &rest[..c.len_utf8()],
        };
        // `x{m,n}` counts in braces, of which JSON after `%json` has many without numbers.
        if c == '{' {
            let count = rest[1..].split('}').next().unwrap_or_default();
            if count.chars().all(|c| c.is_ascii_digit() || ", ".contains(c)) {
                regex(&format!("x{{{count}}}"))?;
            }
        }
        if depth > limits::GRAMMAR_NESTING_MAX {
            return Err(over("the grammar's nesting", limits::GRAMMAR_NESTING_MAX as u64));
        }
        out.push_str(taken);
        rest = &rest[taken.len()..];
    }
    Ok(out)
}

/// From an opening quote to its closing one, or all that is left.
fn quoted(s: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in s.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return &s[..at + 1],
            '\n' if quote == '/' => return &s[..at],
            _ => {}
        }
    }
    s
}

fn line(s: &str) -> &str {
    &s[..s.find('\n').unwrap_or(s.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_multiply_through_brackets() {
        assert!(regex("(ab{10}){100}").is_ok());
        assert!(regex("((a{50}){50})c").is_err());
        assert!(regex("((a{50})|b){50}").is_err());
        assert!(regex("(a{50})(b{50})").is_ok());
        assert!(regex("x{0,2000000000}").is_err());
        assert!(regex("x{99999999999999999999999}").is_err());
        assert!(regex(r"[{(]\{9999\}").is_ok());
        assert!(regex(&"(".repeat(200)).is_err());
    }

    #[test]
    fn names_of_tokens_are_numbers_outside_of_text() {
        let named = |name: &str| (name == "<think>").then_some(7);
        let source = "start: <think> \"<think>\" /<think>/ <|end|> // <think>\n";
        let want = "start: <[7]> \"<think>\" /<think>/ <|end|> // <think>\n";
        assert_eq!(lark(source, named).unwrap(), want);
        assert!(lark("start: \"(((\" a{1,3000}", |_| None).is_err());
        assert!(lark("start: a~3..9000", |_| None).is_err());
        assert!(lark(&format!("start: {}", "(".repeat(200)), |_| None).is_err());
        assert!(lark(&format!("start: {}", "\"(\" ".repeat(200)), |_| None).is_ok());
    }

    #[test]
    fn schemas_are_measured_before_they_are_read() {
        assert!(schema(&"[".repeat(100_000)).is_err());
        assert!(schema(r#"{"$ref": "http://example.org/s"}"#).is_err());
        assert!(schema(r#"{"x-guidance": {"lenient": true}}"#).is_err());
        let strict = r#"{"whitespace_pattern": "[ ]?", "json_allowed_escapes": "nrbtf\\\""}"#;
        assert!(schema(&format!(r#"{{"type": "object", "x-guidance": {strict}}}"#)).is_ok());
        assert!(schema(&format!(r#"{{"items": {{"x-guidance": {strict}}}}}"#)).is_err());
        assert!(
            schema(&format!(r#"{{"x-guidance": {strict}, "pattern": "(a{{9999}})"}}"#)).is_err()
        );
        assert!(schema(r#"{"maxLength": 100000}"#).is_err());
        assert!(schema(r##"{"properties": {"a": {"$ref": "#"}}}"##).is_ok());
        assert!(schema("3").is_err());
    }
}
