//! What an answer to one request may be, as a Lark grammar over tokens.
//!
//! ```text
//! answer   = function parameter*            in the table's order, the required ones always
//! free     = a run of whole words of the request
//! listed   = one of the parameter's words
//! ```
//!
//! The closing token is not part of it: it is the vocabulary's end of text, which a grammar allows
//! wherever an answer may end.

use std::fmt::Write;

use serde_json::json;

use crate::functions::{FUNCTIONS, Parameter};
use crate::tokens::Tokens;

/// The grammar for a request that is not blank.
pub(crate) fn lark(tokens: &Tokens, request: &str) -> String {
    let mut rules = String::new();
    let names: Vec<String> = FUNCTIONS.iter().map(|f| format!("f_{}", f.name)).collect();
    // Writing to a string does not fail, here and below.
    let _ = writeln!(rules, "start: {}", names.join(" | "));
    for (function, id) in FUNCTIONS.iter().zip(&tokens.functions) {
        let _ = write!(rules, "f_{}: <[{id}]>", function.name);
        for parameter in function.parameters {
            let Some(id) = tokens.parameter(parameter.name) else { continue };
            let value = value(parameter);
            let _ = match parameter.required {
                true => write!(rules, " <[{id}]> {value}"),
                false => write!(rules, " (<[{id}]> {value})?"),
            };
        }
        rules.push('\n');
    }
    // A token often begins with the space before a word, so a value may be written with it; it is
    // trimmed from the answer. The first word has a space put before it for the same reason.
    let spaced = format!(" {request}");
    let chunks = json!({ "substring_chunks": chunks(&spaced) });
    let _ = writeln!(rules, "FREE: WORDS & / ?\\S((?s:.*)\\S)?/");
    let _ = writeln!(rules, "WORDS: %regex {chunks}");
    rules
}

fn value(parameter: &Parameter) -> String {
    if parameter.words.is_empty() {
        "FREE".to_string()
    } else {
        format!("/{}/", parameter.words.join("|"))
    }
}

/// Cuts text into the pieces that a value begins and ends at: words of letters or of digits,
/// single characters of scripts written without spaces, and everything else by itself.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let kind = kind(c);
        if at > 0 && (kind == Kind::Alone || last != Some(kind)) {
            chunks.push(&text[start..at]);
            start = at;
        }
        last = Some(kind);
    }
    chunks.push(&text[start..]);
    chunks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letters,
    Digits,
    Alone,
}

fn kind(c: char) -> Kind {
    // Han, Kana, Hangul and their punctuation stand from here on; they are written unspaced.
    let unspaced = c >= '\u{2e80}';
    match c {
        _ if unspaced => Kind::Alone,
        _ if c.is_alphabetic() => Kind::Letters,
        _ if c.is_numeric() => Kind::Digits,
        _ => Kind::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_and_end_at_words() {
        let rows: &[(&str, &[&str])] = &[
            ("wake me at 7am", &["wake", " ", "me", " ", "at", " ", "7", "am"]),
            ("today's, 6:30", &["today", "'", "s", ",", " ", "6", ":", "30"]),
            ("明天早上7点半", &["明", "天", "早", "上", "7", "点", "半"]),
            ("打开WiFi", &["打", "开", "WiFi"]),
            ("a  b", &["a", " ", " ", "b"]),
        ];
        for (text, expected) in rows {
            assert_eq!(chunks(text), *expected, "{text}");
            assert_eq!(chunks(text).concat(), *text);
        }
    }
}
