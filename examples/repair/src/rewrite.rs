//! A repair is carried over to another program: a template with holes is laid over the tokens of the
//! program, and where it fits, the holes' contents are put into the other half.
//!
//! `$x` is one word or literal, `$$e` anything balanced within a statement; the same hole holds the
//! same twice. It knows neither the language nor whether the result is any good.

use std::collections::BTreeMap;
use std::ops::Range;

/// Most places of a program that one template is tried at.
const PLACES_MAX: usize = 6;

/// Signs of more than one character, the longer ones first.
const SIGNS: [&str; 22] = [
    "..=", "...", "===", "!==", "=>", "->", "::", "..", "==", "!=", "<=", ">=", "&&", "||", "??",
    "?.", "+=", "-=", "*=", "/=", "++", "--",
];

/// Where the tokens of a program stand: words, numbers, texts and signs. Comments are none.
pub fn tokens(source: &str) -> Vec<Range<usize>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if word(c) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if c == '"' || c == '`' || (c == '\'' && !lifetime(rest)) {
            literal(rest, c)
        } else {
            let sign = SIGNS.iter().find(|s| rest.starts_with(**s));
            sign.map_or(c.len_utf8(), |s| s.len())
        };
        out.push(at..at + length);
        at += length;
    }
    out
}

/// `'a` of Rust, and not `'a'`.
fn lifetime(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    chars.next().is_some_and(char::is_alphabetic)
        && chars.next() != Some('\'')
        && !rest[1..].split('\n').next().is_some_and(|line| line.contains('\''))
}

fn literal(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Every program that comes of laying a rewrite (`before ==> after`) over one place of a program,
/// the places nearest to `lines` first.
pub fn candidates(source: &str, rewrite: &str, lines: &[usize]) -> Vec<String> {
    let Some((before, after)) = rewrite.split_once(" ==> ") else { return Vec::new() };
    let before: Vec<&str> = before.split_whitespace().collect();
    let tokens = tokens(source);
    let mut found: Vec<(usize, String)> = Vec::new();
    for start in 0..tokens.len() {
        let mut holes = BTreeMap::new();
        let Some(end) = fit(source, &tokens, start, &before, &mut holes) else { continue };
        let filled: Vec<&str> = after
            .split_whitespace()
            .map(|part| match holes.get(part) {
                Some(range) => &source[Range::clone(range)],
                None => part,
            })
            .collect();
        let place = tokens[start].start..tokens[end - 1].end;
        let first = 1 + source[..place.start].matches('\n').count();
        let last = 1 + source[..place.end].matches('\n').count();
        let far = |line: &usize| first.saturating_sub(*line) + line.saturating_sub(last);
        let far = lines.iter().map(far).min().unwrap_or(0);
        let patched =
            format!("{}{}{}", &source[..place.start], filled.join(" "), &source[place.end..]);
        found.push((far, patched));
    }
    found.sort_by_key(|(far, _)| *far);
    found.into_iter().take(PLACES_MAX).map(|(_, patched)| patched).collect()
}

/// Lays a template over the tokens from one on: the first token behind it, and what the holes hold.
fn fit<'t>(
    source: &str,
    tokens: &[Range<usize>],
    at: usize,
    template: &[&'t str],
    holes: &mut BTreeMap<&'t str, Range<usize>>,
) -> Option<usize> {
    let Some((part, rest)) = template.split_first() else { return Some(at) };
    let text = |i: usize| tokens.get(i).map(|t| &source[Range::clone(t)]);
    if !part.starts_with('$') {
        return (text(at)? == *part).then(|| fit(source, tokens, at + 1, rest, holes))?;
    }
    if let Some(held) = holes.get(part) {
        let same = source[Range::clone(held)] == *text(at)?;
        return same.then(|| fit(source, tokens, at + 1, rest, holes))?;
    }
    if !part.starts_with("$$") {
        let first = text(at)?.chars().next()?;
        if !(first.is_alphanumeric() || matches!(first, '_' | '"' | '\'' | '`')) {
            return None;
        }
        let mut tried = holes.clone();
        tried.insert(part, tokens[at].clone());
        let end = fit(source, tokens, at + 1, rest, &mut tried)?;
        *holes = tried;
        return Some(end);
    }
    let mut depth = 0i32;
    for end in at..tokens.len() {
        match text(end)? {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
        if depth == 0 {
            let mut tried = holes.clone();
            tried.insert(part, tokens[at].start..tokens[end].end);
            if let Some(behind) = fit(source, tokens, end + 1, rest, &mut tried) {
                *holes = tried;
                return Some(behind);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, rewrite: &str, expected: &[&str]) {
        assert_eq!(candidates(source, rewrite, &[]), expected, "{source} with {rewrite}");
    }

    #[test]
    fn templates_are_laid_over_programs() {
        check("let a = b / c * d;", "$a / $b * $c ==> $a * $c / $b", &["let a = b * d / c;"]);
        check("f(a[i + 1], 2);", "$v [ $$i ] ==> $v . at ( $$i )", &["f(a . at ( i + 1 ), 2);"]);
        check("a == b; a == a", "$x == $x ==> true", &["a == b; true"]);
        check("x = \"a == b\"; // a == b", "$x == $y ==> true", &[]);
        check("g(); h();", "$$e ; x ==> y", &[]);
        check("", "$a ==> $a", &[]);
        check("a b", "no arrow", &[]);
        let both = candidates("p(a);\nq(b);\n", "$f ( $x ) ==> $f ( & $x )", &[2]);
        assert_eq!(both, ["p(a);\nq ( & b );\n", "p ( & a );\nq(b);\n"], "the nearer one first");
    }
}
