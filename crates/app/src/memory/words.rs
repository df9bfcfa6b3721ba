//! An index of words, in any language: Okapi BM25 (Robertson and others, 1994) over lower-case words, and
//! over pairs of characters where a language writes no blanks. It knows nothing of what a text is.

use std::collections::HashMap;

/// How fast more of the same word counts less.
const K1: f64 = 1.2;
/// How much a long text counts less.
const B: f64 = 0.5;

/// Texts by their words, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Texts that have a word, ascending, and how often.
    texts: HashMap<String, Vec<(u32, u32)>>,
    /// Words of each text.
    lengths: Vec<u32>,
    total: u64,
}

impl Words {
    pub(super) fn add(&mut self, text: &str) {
        // A number that does not fit is a text that is not found, which no memory lives to see.
        let number = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let mut count = 0;
        for term in terms(text, true) {
            count += 1;
            let texts = self.texts.entry(term).or_default();
            match texts.last_mut() {
                Some((last, times)) if *last == number => *times += 1,
                _ => texts.push((number, 1)),
            }
        }
        self.lengths.push(count);
        self.total += u64::from(count);
    }

    /// The texts that have some of the words, best first; of equals the newest.
    pub(super) fn find(&self, query: &str) -> Vec<usize> {
        let texts = self.lengths.len() as f64;
        let mean = (self.total as f64 / texts.max(1.0)).max(1.0);
        let mut scores: HashMap<u32, f64> = HashMap::new();
        let mut asked: Vec<String> = terms(query, false).collect();
        asked.sort_unstable();
        asked.dedup();
        for term in asked {
            let Some(found) = self.texts.get(&term) else { continue };
            let with = found.len() as f64;
            let rare = (1.0 + (texts - with + 0.5) / (with + 0.5)).ln();
            for &(text, times) in found {
                let (times, long) = (f64::from(times), f64::from(self.lengths[text as usize]));
                let weight = times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * long / mean));
                *scores.entry(text).or_default() += rare * weight;
            }
        }
        let mut found: Vec<(u32, f64)> = scores.into_iter().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        found.into_iter().map(|(text, _)| text as usize).collect()
    }
}

/// Whether a language of this character writes no blanks between words.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// The words of a text, and pairs of characters where there are no words. Single characters are added
/// where `all` is asked, so that a question of one finds them, or where there is but one.
fn terms(text: &str, all: bool) -> impl Iterator<Item = String> {
    let lower: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut terms = Vec::new();
    let mut at = 0;
    while at < lower.len() {
        let dense = is_dense(lower[at]);
        let same = |c: &char| c.is_alphanumeric() && is_dense(*c) == dense;
        let end = at + lower[at..].iter().position(|c| !same(c)).unwrap_or(lower.len() - at);
        let run = &lower[at..end];
        if dense && !run.is_empty() {
            if all || run.len() == 1 {
                terms.extend(run.iter().map(char::to_string));
            }
            terms.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
        } else if !run.is_empty() {
            terms.push(run.iter().collect());
        }
        at = end.max(at + 1);
    }
    terms.into_iter()
}

/// At most about `most` bytes of a text, around the first of the words that it has.
pub(super) fn around(text: &str, query: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    // Lower case may have another length: the place is looked for as it is written, and else the
    // beginning is shown.
    let first = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .filter_map(|word| text.find(word))
        .min();
    let begin = first.unwrap_or(0).saturating_sub(most / 3).min(text.len() - most);
    let (mut begin, mut end) = (begin, begin + most);
    while !text.is_char_boundary(begin) {
        begin -= 1;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (before, after) =
        (if begin > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", &text[begin..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_pairs_of_characters_are_found() {
        let mut words = Words::default();
        let texts = [
            "The red pot is under the stairs",
            "Ada wohnt in ZÜRICH",
            "我们明天下午三点在北京大学见面",
            "北京的大学很多",
            "猫",
            "a stairway, no stairs",
        ];
        texts.iter().for_each(|text| words.add(text));
        for (query, expected) in [
            ("stairs", vec![5, 0]),
            ("red POT", vec![0]),
            ("zürich", vec![1]),
            ("北京大学", vec![2, 3]),
            ("猫", vec![4]),
            ("三点", vec![2]),
            ("", vec![]),
            ("…!?", vec![]),
            ("nothing like it", vec![]),
        ] {
            assert_eq!(words.find(query), expected, "{query}");
        }
    }

    #[test]
    fn a_long_text_is_shown_where_the_word_is() {
        let text = format!("{} needle {}", "é".repeat(500), "ü".repeat(500));
        for most in 10..200 {
            let shown = around(&text, "the needle", most);
            assert!(shown.len() <= most + 8, "{most}: {}", shown.len());
            assert!(most < 24 || shown.contains("needle"), "{most}: {shown}");
        }
        assert_eq!(around("short", "x", 10), "short");
    }
}
