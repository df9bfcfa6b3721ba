//! Which texts fit a question: by words (BM25), by vectors, and by both. Texts are short and few; it
//! knows nothing of tools.

use std::collections::BTreeMap;

/// Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009): how soon
/// more of the same word stops to matter, and how much a text's length does.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (2009): what is added to a rank.
const RRF_K: f64 = 60.0;

/// The words of some texts.
pub(super) struct Index {
    /// For each word, the texts that have it and how often.
    places: BTreeMap<String, Vec<(usize, usize)>>,
    /// Words of each text.
    lengths: Vec<usize>,
    mean: f64,
}

impl Index {
    pub(super) fn new(texts: impl Iterator<Item = String>) -> Index {
        let mut places: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        let mut lengths = Vec::new();
        for (at, text) in texts.enumerate() {
            let words = words(&text);
            lengths.push(words.len());
            for word in words {
                let list = places.entry(word).or_default();
                match list.last_mut() {
                    Some((last, times)) if *last == at => *times += 1,
                    _ => list.push((at, 1)),
                }
            }
        }
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
        Index { places, lengths, mean }
    }

    /// Texts that have a word of the question, best first; the earlier first where they fit alike.
    pub(super) fn rank(&self, question: &str) -> Vec<usize> {
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        let mut asked = words(question);
        asked.sort_unstable();
        asked.dedup();
        let texts = self.lengths.len() as f64;
        for list in asked.iter().filter_map(|word| self.places.get(word)) {
            let having = list.len() as f64;
            let rare = (1.0 + (texts - having + 0.5) / (having + 0.5)).ln();
            for &(at, times) in list {
                let times = times as f64;
                let long = self.lengths[at] as f64 / self.mean;
                let weight = times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * long));
                *scores.entry(at).or_default() += rare * weight;
            }
        }
        sorted(scores.into_iter().collect())
    }
}

/// All texts by the product of their vectors with one, best first.
pub(super) fn nearest(vectors: &[Vec<f32>], asked: &[f32]) -> Vec<usize> {
    let product = |vector: &[f32]| -> f64 {
        vector.iter().zip(asked).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    sorted(vectors.iter().map(|vector| product(vector)).enumerate().collect())
}

/// Several orders as one.
pub(super) fn fused(orders: &[Vec<usize>]) -> Vec<usize> {
    let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
    for order in orders {
        for (rank, &at) in order.iter().enumerate() {
            *scores.entry(at).or_default() += 1.0 / (RRF_K + 1.0 + rank as f64);
        }
    }
    sorted(scores.into_iter().collect())
}

fn sorted(mut scores: Vec<(usize, f64)>) -> Vec<usize> {
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scores.into_iter().map(|(at, _)| at).collect()
}

/// Words in lower case without the commonest ends and without the commonest words; Chinese as pairs of
/// characters that stand together, a lone one as itself. Names such as `note_create` and `noteCreate`
/// are two words.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut han: Vec<char> = Vec::new();
    let mut was_lower = false;
    for c in text.chars().chain([' ']) {
        let is_han = matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        let goes_on = c.is_alphanumeric() && !is_han && !(was_lower && c.is_uppercase());
        if !goes_on && !word.is_empty() {
            let whole = std::mem::take(&mut word);
            if !COMMON.contains(&whole.as_str()) {
                found.push(stem(whole));
            }
        }
        if c.is_alphanumeric() && !is_han {
            word.extend(c.to_lowercase());
        }
        if is_han {
            han.push(c);
        } else if !han.is_empty() {
            match &han[..] {
                [one] => found.push(one.to_string()),
                many => found.extend(many.windows(2).map(|pair| pair.iter().collect::<String>())),
            }
            han.clear();
        }
        was_lower = c.is_lowercase();
    }
    found
}

/// Words that say nothing about what is wanted.
const COMMON: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "for", "from", "i", "in", "is",
    "it", "me", "my", "of", "on", "or", "please", "that", "the", "this", "to", "was", "what",
    "with", "you",
];

/// A word without the ends that English puts there most. Both sides are cut alike, so that it need not be
/// a word afterwards.
fn stem(mut word: String) -> String {
    for end in ["ing", "ers", "er", "ed", "es", "s", "e"] {
        if word.is_ascii() && word.len() >= end.len() + 3 && word.ends_with(end) {
            word.truncate(word.len() - end.len());
            // stopp(ed), runn(ing)
            let last = word.as_bytes()[word.len() - 1];
            if word.len() > 3 && word.as_bytes()[word.len() - 2] == last && !b"ls".contains(&last) {
                word.pop();
            }
            break;
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_are_about() {
        let rows: &[(&str, &[&str])] = &[
            ("note_create", &["not", "creat"]),
            ("noteCreate notes", &["not", "creat", "not"]),
            ("Converting units", &["convert", "unit"]),
            ("设置闹钟 7点", &["设置", "置闹", "闹钟", "7", "点"]),
            ("", &[]),
        ];
        for (text, expected) in rows {
            assert_eq!(words(text), *expected, "{text}");
        }
    }

    #[test]
    fn the_rarer_word_decides_and_ties_keep_their_order() {
        let texts = ["send mail", "send parcel", "send mail mail", "walk"];
        let index = Index::new(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(index.rank("send a parcel"), [1, 0, 2]);
        assert_eq!(index.rank("nothing here"), [0_usize; 0]);
        assert_eq!(index.rank("mail"), [2, 0]);
        assert_eq!(fused(&[vec![0, 1], vec![1, 2]]), [1, 0, 2]);
        assert_eq!(nearest(&[vec![0.0, 1.0], vec![1.0, 0.0]], &[0.9, 0.1]), [1, 0]);
    }
}
