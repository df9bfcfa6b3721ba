//! The scanners that pre-tokenizers are made of. Each takes the rest of a text and says how many
//! bytes its first piece has. They know characters, not tokens.
//!
//! A vocabulary's pre-tokenizer is given as regular expressions. A scanner here does the work of
//! one such expression by hand, in one pass with no backtracking, so that no text can make it slow.
//! Where an expression matches only parts of a text, the stretch before the next match is a piece
//! of its own: pieces always cover the text.
//!
//! Every scanner is given a text that is not empty and returns at least one whole character.

use crate::unicode::{is_letter, is_mark, is_number, is_punctuation, is_space};

fn first(text: &str) -> Option<char> {
    text.chars().next()
}

/// The bytes of the leading characters that are `wanted`.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// The bytes before the first character that is `wanted`.
fn until(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(wanted).unwrap_or(text.len())
}

/// `set+`, and what lies between such runs.
fn runs_of(text: &str, set: impl Fn(char) -> bool) -> usize {
    match run(text, &set) {
        0 => until(text, set),
        length => length,
    }
}

/// `set`, one character a piece, and what lies between.
fn each_of(text: &str, set: impl Fn(char) -> bool) -> usize {
    match first(text) {
        Some(c) if set(c) => c.len_utf8(),
        _ => until(text, set),
    }
}

/// `\s?set+`, and what lies between. No character of `set` may be white space.
fn spaced_runs_of(text: &str, set: impl Fn(char) -> bool) -> usize {
    let begins_at = |at: usize, c: char| {
        set(c) || (is_space(c) && first(&text[at + c.len_utf8()..]).is_some_and(&set))
    };
    match text.char_indices().find(|&(at, c)| begins_at(at, c)) {
        Some((0, c)) => c.len_utf8() + run(&text[c.len_utf8()..], set),
        Some((at, _)) => at,
        None => text.len(),
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d`: the bytes of the contraction that `text` begins with.
fn contraction(text: &str, any_case: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes[0] != b'\'' {
        return None;
    }
    let at = |i: usize| {
        let byte = bytes.get(i).copied().unwrap_or(0);
        if any_case { byte.to_ascii_lowercase() } else { byte }
    };
    match (at(1), at(2)) {
        (b's' | b't' | b'm' | b'd', _) => Some(2),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(3),
        _ => None,
    }
}

/// `\s+(?!\S)|\s+`: of several spaces before a word, all but the last.
fn spaces(text: &str) -> usize {
    let length = run(text, is_space);
    match text[..length].char_indices().next_back() {
        Some((last, _)) if last > 0 && length < text.len() => last,
        _ => length,
    }
}

/// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
pub(crate) fn gpt2(text: &str) -> usize {
    if let Some(length) = contraction(text, false) {
        return length;
    }
    let rest = text.strip_prefix(' ').unwrap_or(text);
    let space = text.len() - rest.len();
    match first(rest) {
        Some(c) if is_letter(c) => space + run(rest, is_letter),
        Some(c) if is_number(c) => space + run(rest, is_number),
        Some(c) if !is_space(c) => space + run(rest, is_other),
        _ => spaces(text),
    }
}

/// `[^\s\p{L}\p{N}]`
fn is_other(c: char) -> bool {
    !is_space(c) && !is_letter(c) && !is_number(c)
}

/// Llama 3: a number is up to three digits.
pub(crate) fn llama3(text: &str) -> usize {
    modern(text, 3, is_letter)
}

/// Qwen 2: a number is one digit.
pub(crate) fn qwen2(text: &str) -> usize {
    modern(text, 1, is_letter)
}

/// Qwen 3.5: combining marks are part of words.
pub(crate) fn qwen35(text: &str) -> usize {
    modern(text, 1, |c| is_letter(c) || is_mark(c))
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?W+|\p{N}{1,digits}| ?[^\s W \p{N}]+[\r\n]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`, where `W` is what words are made of.
fn modern(text: &str, digits: usize, is_word: impl Fn(char) -> bool) -> usize {
    let is_end = |c: char| c == '\r' || c == '\n';
    if let Some(length) = contraction(text, true) {
        return length;
    }
    let Some(c) = first(text) else { return 0 };
    let after = &text[c.len_utf8()..];
    if is_number(c) {
        let number = text.char_indices().take(digits).take_while(|&(_, c)| is_number(c));
        return number.map(|(at, c)| at + c.len_utf8()).last().unwrap_or(c.len_utf8());
    }
    if !is_end(c) && (is_word(c) || first(after).is_some_and(&is_word)) {
        return c.len_utf8() + run(after, is_word);
    }
    let is_mark_or_sign = |c: char| !is_space(c) && !is_word(c) && !is_number(c);
    let rest = text.strip_prefix(' ').unwrap_or(text);
    if first(rest).is_some_and(is_mark_or_sign) {
        let signs = text.len() - rest.len() + run(rest, is_mark_or_sign);
        return signs + run(&text[signs..], is_end);
    }
    let white = &text[..run(text, is_space)];
    match white.rfind(is_end) {
        Some(end) => end + 1,
        None => spaces(text),
    }
}

/// `\p{N}`: each digit apart.
pub(crate) fn each_number(text: &str) -> usize {
    each_of(text, is_number)
}

/// `\p{N}+`
pub(crate) fn numbers(text: &str) -> usize {
    runs_of(text, is_number)
}

/// `[0-9][0-9][0-9]`
pub(crate) fn digit_triples(text: &str) -> usize {
    let is_triple = |w: &[u8]| w.iter().all(u8::is_ascii_digit);
    match text.as_bytes().windows(3).position(is_triple) {
        Some(0) => 3,
        Some(at) => at,
        None => text.len(),
    }
}

/// ``[\p{P}$+<=>^~|`]+``
pub(crate) fn falcon_signs(text: &str) -> usize {
    runs_of(text, |c| c == '`' || is_sign(c))
}

/// `[\p{P}$+<=>^~|]+`
pub(crate) fn plain_signs(text: &str) -> usize {
    runs_of(text, is_sign)
}

fn is_sign(c: char) -> bool {
    matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|') || is_punctuation(c)
}

/// `[\r\n]`
pub(crate) fn each_line_end(text: &str) -> usize {
    each_of(text, |c| c == '\r' || c == '\n')
}

/// `\s?\p{L}+`
pub(crate) fn spaced_letters(text: &str) -> usize {
    spaced_runs_of(text, is_letter)
}

/// `\s?\p{P}+`
pub(crate) fn spaced_punctuation(text: &str) -> usize {
    spaced_runs_of(text, is_punctuation)
}

/// `[一-龥ࠀ-一가-퟿]+`: all scripts from Samaritan to the Han of Unicode 1, and Hangul.
pub(crate) fn eastern(text: &str) -> usize {
    let is_eastern = |c| matches!(c, '\u{800}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7ff}');
    runs_of(text, |c| is_eastern(c) && !is_space(c))
}

/// `\s?[letters]+` of DeepSeek LLM, which lists its letters.
pub(crate) fn spaced_listed_letters(text: &str) -> usize {
    spaced_runs_of(text, |c| {
        let code = c as u32;
        let next = LISTED_LETTERS.partition_point(|&(low, _)| low <= code);
        next > 0 && code <= LISTED_LETTERS[next - 1].1
    })
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+` of DeepSeek LLM. The second range takes ASCII letters with it.
pub(crate) fn spaced_listed_signs(text: &str) -> usize {
    spaced_runs_of(text, |c| {
        matches!(c,
            '!'..='/' | ':'..='~' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff5e}'
            | '\u{2018}'..='\u{201f}' | '\u{3001}'..='\u{3002}')
    })
}

/// `\s+$`
pub(crate) fn trailing_spaces(text: &str) -> usize {
    match text.trim_end_matches(is_space).len() {
        0 => text.len(),
        words => words,
    }
}

/// `[^\n]+|\n+`
pub(crate) fn lines(text: &str) -> usize {
    runs_of(text, |c| c == '\n')
}

/// The cased letters that DeepSeek LLM's expression names, as first and last code points.
#[rustfmt::skip]
static LISTED_LETTERS: &[(u32, u32)] = &[
    (0x41, 0x5a), (0x61, 0x7a), (0xb5, 0xb5), (0xc0, 0xd6), (0xd8, 0xf6), (0xf8, 0x1ba),
    (0x1bc, 0x1bf), (0x1c4, 0x293), (0x295, 0x2af), (0x370, 0x373), (0x376, 0x376), (0x377, 0x377),
    (0x37b, 0x37d), (0x37f, 0x37f), (0x386, 0x386), (0x388, 0x38a), (0x38c, 0x38c), (0x38e, 0x3a1),
    (0x3a3, 0x3f5), (0x3f7, 0x481), (0x48a, 0x52f), (0x531, 0x556), (0x10a0, 0x10c5),
    (0x13a0, 0x13f5), (0x13f8, 0x13fd), (0x1c90, 0x1cba), (0x1cbd, 0x1cbf), (0x1d00, 0x1d2b),
    (0x1d6b, 0x1d77), (0x1d79, 0x1d9a), (0x1e00, 0x1f15), (0x1f18, 0x1f1d), (0x1f20, 0x1f45),
    (0x1f48, 0x1f4d), (0x1f50, 0x1f57), (0x1f59, 0x1f59), (0x1f5b, 0x1f5b), (0x1f5d, 0x1f5d),
    (0x1f5f, 0x1f7d), (0x1f80, 0x1fb4), (0x1fb6, 0x1fbc), (0x1fbe, 0x1fbe), (0x1fc2, 0x1fc4),
    (0x1fc6, 0x1fcc), (0x1fd0, 0x1fd3), (0x1fd6, 0x1fdb), (0x1fe0, 0x1fec), (0x1ff2, 0x1ff4),
    (0x1ff6, 0x1ffc), (0x2102, 0x2102), (0x2107, 0x2107), (0x210a, 0x2113), (0x2115, 0x2115),
    (0x2119, 0x211d), (0x2124, 0x2124), (0x2126, 0x2126), (0x2128, 0x2128), (0x212a, 0x212d),
    (0x212f, 0x2134), (0x2139, 0x2139), (0x213c, 0x213f), (0x2145, 0x2149), (0x214e, 0x214e),
    (0x2183, 0x2183), (0x2184, 0x2184), (0x2c00, 0x2c7b), (0x2c7e, 0x2ce4), (0x2ceb, 0x2cee),
    (0x2cf2, 0x2cf2), (0x2cf3, 0x2cf3), (0xa640, 0xa66d), (0xa680, 0xa69b), (0xa722, 0xa76f),
    (0xa771, 0xa787), (0xa78b, 0xa78e), (0xab70, 0xabbf), (0xfb00, 0xfb06), (0xfb13, 0xfb17),
    (0xff21, 0xff3a), (0xff41, 0xff5a), (0x10400, 0x1044f), (0x104b0, 0x104d3), (0x104d8, 0x104fb),
    (0x10c80, 0x10cb2), (0x10cc0, 0x10cf2), (0x118a0, 0x118df), (0x1e900, 0x1e943),];
