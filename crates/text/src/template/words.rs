//! Python's way with words: case, whitespace, lines, replacement. Works on text alone.

use minijinja::{Error, Value};

use super::text::{Str, Text};
use super::value::Run;

/// What `str.isspace` holds for whitespace: Unicode's, and four old separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The first character upper, the others lower.
pub(crate) fn capitalize(s: Str<'_>) -> Text {
    let mut first = true;
    s.map_chars(|c| {
        let mapped: Vec<char> = if std::mem::take(&mut first) {
            c.to_uppercase().collect()
        } else {
            c.to_lowercase().collect()
        };
        mapped
    })
}

/// `str.title`: upper after anything that is not a letter.
pub(crate) fn title(s: Str<'_>) -> Text {
    title_after(s, |c| !c.is_alphabetic())
}

/// Jinja's `title` filter: upper only after dashes, spaces and opening brackets.
pub(crate) fn title_filter(s: Str<'_>) -> Text {
    title_after(s, |c| is_space(c) || "-({[<".contains(c))
}

fn title_after(s: Str<'_>, boundary: impl Fn(char) -> bool) -> Text {
    let mut start = true;
    s.map_chars(|c| {
        let mapped: Vec<char> =
            if start { c.to_uppercase().collect() } else { c.to_lowercase().collect() };
        start = boundary(c);
        mapped
    })
}

/// `s` without leading or trailing characters of a set, or whitespace.
pub(crate) fn strip<'a>(s: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let s = if left { s.trim_start_matches(strips) } else { s };
    if right { s.trim_end_matches(strips) } else { s }
}

/// `str.split()`: words between runs of whitespace.
pub(crate) fn split_spaces(s: &str, max: Option<usize>, from_right: bool) -> Vec<&str> {
    let max = max.unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = strip(s, None, !from_right, from_right);
    while !rest.is_empty() {
        if parts.len() == max {
            parts.push(rest);
            break;
        }
        if from_right {
            let at = rest.char_indices().rev().find(|(_, c)| is_space(*c));
            let at = at.map_or(0, |(at, c)| at + c.len_utf8());
            parts.push(&rest[at..]);
            rest = strip(&rest[..at], None, false, true);
        } else {
            let at = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..at]);
            rest = strip(&rest[at..], None, true, false);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `str.splitlines`.
pub(crate) fn lines(s: &str, keep_ends: bool) -> Vec<&str> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = s;
    while let Some(at) = rest.find(ends) {
        let len = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..if keep_ends { at + len } else { at }]);
        rest = &rest[at + len..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Escapes what HTML gives a meaning to.
pub(crate) fn escape(s: Str<'_>) -> Text {
    let mut out = Text::default();
    for (c, quoted) in s.chars() {
        match c {
            '&' => out.push_piece("&amp;", quoted),
            '<' => out.push_piece("&lt;", quoted),
            '>' => out.push_piece("&gt;", quoted),
            '\'' => out.push_piece("&#39;", quoted),
            '"' => out.push_piece("&#34;", quoted),
            c => out.push_char(c, quoted),
        }
    }
    out.into_markup()
}

/// `str.replace`.
pub(crate) fn replace(
    run: &Run,
    s: Str<'_>,
    old: &str,
    new: Str<'_>,
    count: Option<i64>,
) -> Result<Value, Error> {
    let count = count.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = s.s.match_indices(old).take(count).count();
    run.charge(s.s.len().saturating_add(found.saturating_mul(new.s.len())))?;
    let mut out = Text::default();
    let mut at = 0;
    for (start, _) in s.s.match_indices(old).take(count) {
        out.push_str(s.part(&s.s[at..start]).as_str());
        out.push_str(new);
        at = start + old.len();
    }
    out.push_str(s.part(&s.s[at..]).as_str());
    Ok(out.into_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_splits_from_either_end() {
        assert_eq!(split_spaces("  a b  c ", None, false), ["a", "b", "c"]);
        assert_eq!(split_spaces("  a b  c ", Some(1), false), ["a", "b  c "]);
        assert_eq!(split_spaces("  a b  c ", Some(1), true), ["  a b", "c"]);
        assert_eq!(split_spaces("  a b  c ", Some(0), false), ["a b  c "]);
        assert_eq!(split_spaces("   ", None, false), Vec::<&str>::new());
    }

    #[test]
    fn lines_end_as_in_python() {
        assert_eq!(lines("a\r\nb\n\nc\u{2028}d", false), ["a", "b", "", "c", "d"]);
        assert_eq!(lines("a\r\nb\n", true), ["a\r\n", "b\n"]);
    }
}
