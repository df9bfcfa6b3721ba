//! JSON from strangers: bounded in length and depth before a parser sees it.

use crate::cursor::wide;
use crate::error::FormatError;
use crate::limits::{self, Limit};
use serde::de::DeserializeOwned;

/// Parses `text` into what is asked for. Unknown keys are skipped without being kept.
pub(crate) fn parse<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
    bytes: Limit,
) -> Result<T, FormatError> {
    let found = wide(text.len());
    if found > bytes.max {
        return Err(FormatError::Limit { what: what.to_owned(), at: 0, found, limit: bytes });
    }
    check_depth(what, text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| FormatError::Json {
        what,
        line: error.line(),
        column: error.column(),
        problem: problem(&error),
    })
}

/// What the parser says, without the place, which the error holds by itself, and with whatever a
/// terminal might act on escaped.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(place.as_str()).unwrap_or(&text);
    let escaped = |c: char| if c == '"' { vec![c] } else { c.escape_debug().collect() };
    text.chars().flat_map(escaped).collect()
}

/// Counts brackets outside strings: no parser that calls itself decides how deep it goes.
fn check_depth(what: &'static str, text: &[u8]) -> Result<(), FormatError> {
    let mut depth = 0u64;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth = depth.saturating_add(1);
                if depth > limits::JSON_DEPTH.max {
                    let limit = limits::JSON_DEPTH;
                    return Err(FormatError::Limit {
                        what: what.to_owned(),
                        at,
                        found: depth,
                        limit,
                    });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}
