//! What the tokenizers ask of a character: its broad category, whether it is white space, its
//! lower case and its base letter. Refuses to know tokens.
//!
//! The categories are those of Unicode 15.1, fixed on purpose: the same text must give the same
//! tokens whatever release of Rust or of a table crate the program was built with.

use std::sync::OnceLock;

use unicode_normalization::char::decompose_canonical;

use crate::unicode_table::RANGES;

/// The broad general category of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Unassigned,
    Number,
    Letter,
    Separator,
    Mark,
    Punctuation,
    Symbol,
    Control,
}

/// By the low three bits of a table entry.
const CLASSES: [Class; 8] = [
    Class::Unassigned,
    Class::Number,
    Class::Letter,
    Class::Separator,
    Class::Mark,
    Class::Punctuation,
    Class::Symbol,
    Class::Control,
];

const PAGE: u32 = 256;
const CODE_POINTS: u32 = 0x11_0000;

/// For each page of 256 code points, the range that its first code point lies in: a look-up then
/// searches the few ranges of one page rather than all.
fn pages() -> &'static [u16] {
    static PAGES: OnceLock<Vec<u16>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let range_of = |code: u32| RANGES.partition_point(|&r| r >> 3 <= code) - 1;
        (0..=CODE_POINTS / PAGE).map(|page| range_of(page * PAGE) as u16).collect()
    })
}

/// The category of `c`.
pub(crate) fn class(c: char) -> Class {
    // Most text is ASCII letters; they need no table.
    if c.is_ascii_alphabetic() {
        return Class::Letter;
    }
    let code = c as u32;
    let page = (code / PAGE) as usize;
    let (low, high) = (pages()[page] as usize, pages()[page + 1] as usize + 1);
    let range = low + RANGES[low..high].partition_point(|&r| r >> 3 <= code) - 1;
    CLASSES[(RANGES[range] & 7) as usize]
}

pub(crate) fn is_letter(c: char) -> bool {
    class(c) == Class::Letter
}

pub(crate) fn is_number(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && class(c) == Class::Number)
}

pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && class(c) == Class::Mark
}

pub(crate) fn is_punctuation(c: char) -> bool {
    class(c) == Class::Punctuation
}

/// The 25 characters with the property White_Space, which has not changed in years.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// The lower case of `c` where that is one character, else the first of it: vocabularies were made
/// with one character for one.
pub(crate) fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// The first character of the canonical decomposition: `e` for `é`.
///
/// Only the first, so that a Hangul syllable becomes its leading consonant: the vocabularies in
/// use were measured with this rule, and the rest of a Latin decomposition is dropped anyway.
pub(crate) fn base(c: char) -> char {
    let mut first = None;
    decompose_canonical(c, |d| {
        first.get_or_insert(d);
    });
    first.unwrap_or(c)
}

/// Whether `c` stands as a word of its own in a WordPiece vocabulary.
///
/// The fifth range begins at 2B920 where Unicode's block begins at 2B820: the tokenizers that the
/// vocabularies were trained with have it so.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(c as u32,
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_B73F
        | 0x2_B740..=0x2_B81F | 0x2_B920..=0x2_CEAF | 0xF900..=0xFAFF | 0x2_F800..=0x2_FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_search_agrees_with_a_search_of_the_whole_table() {
        for c in (0..CODE_POINTS).filter_map(char::from_u32) {
            let range = RANGES.partition_point(|&r| r >> 3 <= c as u32) - 1;
            assert_eq!(class(c), CLASSES[(RANGES[range] & 7) as usize], "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn well_known_characters_have_their_classes() {
        let rows = [
            ('a', Class::Letter),
            ('7', Class::Number),
            (' ', Class::Separator),
            ('\n', Class::Control),
            ('\'', Class::Punctuation),
            ('^', Class::Symbol),
            ('\u{301}', Class::Mark),
            ('\u{200d}', Class::Control),
            ('我', Class::Letter),
            ('½', Class::Number),
            ('\u{378}', Class::Unassigned),
            ('\u{10ffff}', Class::Unassigned),
        ];
        for (c, wanted) in rows {
            assert_eq!(class(c), wanted, "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn base_and_lower_give_one_character() {
        assert_eq!(base('é'), 'e');
        assert_eq!(base('ệ'), 'e');
        assert_eq!(base('한'), '\u{1112}');
        assert_eq!(base('x'), 'x');
        assert_eq!(lower('İ'), 'i');
        assert_eq!(lower('Ж'), 'ж');
    }
}
