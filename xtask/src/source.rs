//! One Rust file, split by eye into code, comments and test-only parts.
//!
//! A full parser would see more and is not needed: the checks ask for words and for the comments
//! near them. It knows no check.

/// A Rust file's lines, as written and with comments and text literals blanked out.
pub(crate) struct Source {
    /// The lines as written.
    pub(crate) lines: Vec<String>,
    /// The same lines; characters of comments and literals are spaces.
    pub(crate) code: Vec<String>,
    /// For each line, whether it stands in an item under `#[cfg(test)]`.
    pub(crate) test: Vec<bool>,
}

impl Source {
    /// Splits a file.
    pub(crate) fn new(text: &str) -> Source {
        let blanked = blank(text);
        let lines: Vec<String> = text.lines().map(String::from).collect();
        let code: Vec<String> = blanked.lines().map(String::from).collect();
        let test = test_lines(&code);
        Source { lines, code, test }
    }

    /// The words (identifiers) of one line of code, each with the byte it starts at.
    pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + code[at..].find(is_word)?;
            let length = code[start..].find(|c| !is_word(c)).unwrap_or(code.len() - start);
            at = start + length;
            Some((start, &code[start..at]))
        })
    }
}

/// The text with every character of comments and of string and character literals made a space;
/// line breaks stay, so that line numbers stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_end(&chars, at),
            'r' | 'b' | 'c' if !follows_word(&chars, at) => prefixed_literal_end(&chars, at),
            '"' => text_end(&chars, at + 1),
            '\'' => character_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
}

/// Past the end of a block comment; such comments nest.
fn block_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

/// Past the closing quote of a literal whose opening quote stands just before `from`.
fn text_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Past a literal such as `r#"…"#`, `b"…"`, `br"…"`, `b'x'`; `at` itself where it is no literal.
fn prefixed_literal_end(chars: &[char], at: usize) -> usize {
    let mut here = at;
    while matches!(chars.get(here), Some('r' | 'b' | 'c')) && here < at + 2 {
        here += 1;
    }
    let raw = chars[at..here].contains(&'r');
    let quote = (here..chars.len()).find(|&i| chars[i] != '#').unwrap_or(chars.len());
    let hashes = quote - here;
    match chars.get(quote) {
        Some('"') if raw => {
            let closes = |i: &usize| {
                chars[*i] == '"'
                    && chars[*i + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
            };
            (quote + 1..chars.len()).find(closes).map_or(chars.len(), |i| i + 1 + hashes)
        }
        Some('"') if hashes == 0 => text_end(chars, quote + 1),
        Some('\'') if hashes == 0 && chars[at] == 'b' && here == at + 1 => {
            character_end(chars, quote)
        }
        _ => at,
    }
}

/// Past a character literal; `at` itself where the quote opens a lifetime.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let close = (at + 3..chars.len()).find(|&i| chars[i] == '\'');
            close.map_or(chars.len(), |i| i + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Marks the lines of every item under `#[cfg(test)]`: up to its closing brace, or to the
/// semicolon of an item without a body.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut at = 0;
    while at < code.len() {
        if !code[at].trim_start().starts_with("#[cfg(test)]") {
            at += 1;
            continue;
        }
        let mut depth = 0_i32;
        let mut opened = false;
        let mut end = at;
        'item: for (line, text) in code.iter().enumerate().skip(at) {
            end = line;
            for c in text.chars() {
                match c {
                    '{' => (depth, opened) = (depth + 1, true),
                    '}' => depth -= 1,
                    ';' if !opened => break 'item,
                    _ => {}
                }
                if opened && depth == 0 {
                    break 'item;
                }
            }
        }
        marks[at..=end].fill(true);
        at = end + 1;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let rows = [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("unsafe \" x") + 1"#, "f(             ) + 1"),
            (r##"r#"a"b"# x"##, "         x"),
            ("'\"' x", "    x"),
            ("'\\'' x", "     x"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("b'\"' b\"x\" bar br\"y\"", "          bar      "),
            ("/// docs\nfn f() {}", "        \nfn f() {}"),
        ];
        for (text, expected) in rows {
            assert_eq!(blank(text).trim_end(), expected.trim_end(), "{text}");
        }
    }

    #[test]
    fn test_items_are_marked_to_their_end() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}";
        let marks = Source::new(text).test;
        assert_eq!(
            marks,
            [false, true, true, true, true, true, false, true, true, false],
            "one mark a line"
        );
    }

    #[test]
    fn words_of_a_line() {
        let words: Vec<_> = Source::words("use std::{fs, io}; x_1+y").map(|(_, w)| w).collect();
        assert_eq!(words, ["use", "std", "fs", "io", "x_1", "y"]);
    }
}
