//! A text becomes words, as `recipes/table/common.py` splits it; a fixture that the recipe writes holds
//! the two together. It knows nothing of the table.
//!
//! Letters, digits and Hanzi are runs of their own, everything else separates. Names are taken apart
//! where their case changes (`readToEnd` is `read`, `to`, `end`), English words are brought to a light
//! stem, full-width letters are ordinary ones.

use std::borrow::Cow;

/// Characters of the longest word; what is longer is several.
const WORD_CHARS_MAX: usize = 64;

/// What a text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A word in small letters, or digits.
    Letters(&'a str),
    /// A run of Hanzi, which has no words yet.
    Hanzi(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hanzi,
    Letter,
    Digit,
    Other,
}

pub(super) fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

fn kind(c: char) -> Kind {
    match c {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '0'..='9' => Kind::Digit,
        '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{24f}' => Kind::Letter,
        '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{4ff}' => Kind::Letter,
        c if is_hanzi(c) => Kind::Hanzi,
        _ => Kind::Other,
    }
}

/// Hands every word of a text over, in order.
pub(super) fn split(text: &str, mut each: impl FnMut(Word<'_>)) {
    let text = half_width(text);
    let mut rest = &*text;
    let mut lower = String::with_capacity(WORD_CHARS_MAX);
    while let Some(first) = rest.chars().next() {
        let what = kind(first);
        let end = rest.find(|c| kind(c) != what).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        match what {
            Kind::Other => {}
            Kind::Hanzi => each(Word::Hanzi(run)),
            Kind::Digit => pieces(run, |piece| each(Word::Letters(piece))),
            Kind::Letter if run.is_ascii() => names(run, |part| {
                pieces(part, |piece| {
                    lower.clear();
                    lower.push_str(piece);
                    lower.make_ascii_lowercase();
                    stem(&mut lower);
                    each(Word::Letters(&lower));
                });
            }),
            Kind::Letter => pieces(run, |piece| {
                lower.clear();
                lower.extend(piece.chars().filter_map(|c| c.to_lowercase().next()));
                each(Word::Letters(&lower));
            }),
        }
    }
}

/// `Ａ` is `A`.
fn half_width(text: &str) -> Cow<'_, str> {
    let full = |c: char| ('\u{ff01}'..='\u{ff5e}').contains(&c);
    if !text.contains(full) {
        return Cow::Borrowed(text);
    }
    let half = |c: char| match full(c) {
        true => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        false => c,
    };
    Cow::Owned(text.chars().map(half).collect())
}

/// A run in pieces of at most [`WORD_CHARS_MAX`] characters.
fn pieces(mut run: &str, mut each: impl FnMut(&str)) {
    while let Some((end, _)) = run.char_indices().nth(WORD_CHARS_MAX) {
        each(&run[..end]);
        run = &run[end..];
    }
    each(run);
}

/// The parts of a name of ASCII letters: `HTTPServer` is `HTTP` and `Server`.
fn names(mut run: &str, mut each: impl FnMut(&str)) {
    while !run.is_empty() {
        let letters = run.as_bytes();
        let large = letters.iter().take_while(|c| c.is_ascii_uppercase()).count();
        let small = letters[large..].iter().take_while(|c| c.is_ascii_lowercase()).count();
        let end = match (large, small) {
            (0 | 1, small) => large + small,
            (large, 0) => large,
            (large, _) => large - 1,
        };
        each(&run[..end]);
        run = &run[end..];
    }
}

/// Brings a word of small ASCII letters to a light stem: plurals, -ing, -ed and a last e.
fn stem(word: &mut String) {
    let ends = |word: &str, end: &str| word.ends_with(end);
    if word.len() < 4 {
        return;
    }
    if ends(word, "ies") || ends(word, "ied") {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if ends(word, "s") && !ends(word, "ss") && !ends(word, "us") && !ends(word, "is") {
        word.pop();
    }
    for ending in ["ing", "ed"] {
        let Some(body) = word.strip_suffix(ending) else { continue };
        if body.len() >= 3 && body.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            const DOUBLES: [&str; 8] = ["bb", "dd", "gg", "mm", "nn", "pp", "rr", "tt"];
            let double = DOUBLES.iter().any(|d| body.ends_with(d));
            let end = body.len() - usize::from(double);
            word.truncate(end);
            break;
        }
    }
    if word.len() >= 4 && word.ends_with('e') {
        word.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        split(text, |word| match word {
            Word::Letters(w) => found.push(w.to_owned()),
            Word::Hanzi(w) => found.push(format!("[{w}]")),
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn texts_become_words() {
        let long = "x".repeat(130);
        check("", &[]);
        check("Hello, world!", &["hello", "world"]);
        check(
            "readToEnd read_to_end HTTPServer ID",
            &["read", "to", "end", "read", "to", "end", "http", "server", "id"],
        );
        check(
            "copies copied copying classes bus stopped caches cache",
            &["copy", "copy", "copy", "class", "bus", "stop", "cach", "cach"],
        );
        check("string thing need used", &["string", "thing", "need", "used"]);
        check("用HashMap存数据2024年", &["[用]", "hash", "map", "[存数据]", "2024", "[年]"]);
        check("ＡＢｃ１", &["a", "bc", "1"]);
        check("Élan Привет", &["élan", "привет"]);
        check("مرحبا 한국어 🦀 \u{0}", &[]);
        check(&long, &[&long[..64], &long[..64], &long[..2]]);
    }
}
