//! The least that finds passages: plain pieces of documents, BM25, the table's vectors, and their ranks
//! fused. It measures the table while there is no index; nothing ships of it.

use std::collections::HashMap;

use ondine_rag::Table;

use crate::asked::{Documents, Place};

/// How passages are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Keywords,
    Vectors,
    Both,
}

pub(crate) const WAYS: [Way; 3] = [Way::Keywords, Way::Vectors, Way::Both];

/// Fused ranks: `weight / (constant + rank)`, summed. With two lists the usual constant of 60 lets what
/// both have far down beat what one of them has first, which is where answers in another language are.
const RANK_CONSTANT: f64 = 10.0;
/// What the vectors' ranks count beside the words'.
const VECTORS_WEIGHT: f64 = 0.8;
const LISTED: usize = 100;

pub(crate) struct Index {
    places: Vec<Place>,
    lengths: Vec<f64>,
    postings: HashMap<String, HashMap<usize, f64>>,
    vectors: Vec<Vec<f32>>,
}

impl Index {
    pub(crate) fn new(documents: &Documents) -> Index {
        let table = Table::embedded();
        let (mut places, mut lengths, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
        let mut postings: HashMap<String, HashMap<usize, f64>> = HashMap::new();
        for (path, text) in documents {
            for (from, to, piece) in pieces(path, text) {
                let mut length = 0.0;
                words(&format!("{path}\n{piece}"), |word| {
                    length += 1.0;
                    *postings.entry(word).or_default().entry(places.len()).or_default() += 1.0;
                });
                vectors.push(table.vector(&piece));
                lengths.push(length);
                places.push((path.clone(), from, to));
            }
        }
        Index { places, lengths, postings, vectors }
    }

    pub(crate) fn ask(&self, way: Way, question: &str, k: usize) -> Vec<Place> {
        let ranked = match way {
            Way::Keywords => self.by_words(question),
            Way::Vectors => self.by_vector(question),
            Way::Both => {
                let mut sums: HashMap<usize, f64> = HashMap::new();
                let lists =
                    [(1.0, self.by_words(question)), (VECTORS_WEIGHT, self.by_vector(question))];
                for (weight, list) in lists {
                    for (rank, (piece, _)) in (1..).zip(list) {
                        *sums.entry(piece).or_default() +=
                            weight / (RANK_CONSTANT + f64::from(rank));
                    }
                }
                best(sums.into_iter().collect())
            }
        };
        ranked.into_iter().take(k).map(|(piece, _)| self.places[piece].clone()).collect()
    }

    fn by_words(&self, question: &str) -> Vec<(usize, f64)> {
        let n = self.places.len() as f64;
        let mean = self.lengths.iter().sum::<f64>() / n;
        let mut scores: HashMap<usize, f64> = HashMap::new();
        words(question, |word| {
            let Some(found) = self.postings.get(&word) else { return };
            let many = found.len() as f64;
            let idf = (1.0 + (n - many + 0.5) / (many + 0.5)).ln();
            for (&piece, &tf) in found {
                let norm = 1.2 * (0.25 + 0.75 * self.lengths[piece] / mean);
                *scores.entry(piece).or_default() += idf * tf * 2.2 / (tf + norm);
            }
        });
        best(scores.into_iter().collect())
    }

    fn by_vector(&self, question: &str) -> Vec<(usize, f64)> {
        let asked = Table::embedded().vector(question);
        let near = |v: &Vec<f32>| f64::from(v.iter().zip(&asked).map(|(a, b)| a * b).sum::<f32>());
        best(self.vectors.iter().map(near).enumerate().collect())
    }
}

fn best(mut scored: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.truncate(LISTED);
    scored
}

/// Lines put together up to a size; headings begin a piece.
fn pieces(path: &str, text: &str) -> Vec<(usize, usize, String)> {
    let chinese = text.chars().take(3000).any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let limit = if chinese { 400 } else { 800 };
    let (mut out, mut piece, mut size, mut from) = (Vec::new(), String::new(), 0, 1);
    for (line, at) in text.lines().zip(1..) {
        let heading = line.starts_with('#') && path.ends_with(".md");
        let full = size > limit && line.trim().is_empty() || size > 2 * limit;
        if size > 0 && (heading || full) {
            out.push((from, at - 1, std::mem::take(&mut piece)));
            (size, from) = (0, at);
        }
        piece.push_str(line);
        piece.push('\n');
        size += line.chars().count() + 1;
    }
    out.push((from, text.lines().count(), piece));
    out.retain(|(_, _, piece)| !piece.trim().is_empty());
    out
}

/// Words in small letters without their commonest endings; pairs of Hanzi.
fn words(text: &str, mut each: impl FnMut(String)) {
    let is_hanzi = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (is_hanzi(c), c.is_ascii_alphabetic(), c.is_ascii_digit());
        let mut before = first;
        let end = rest.find(|c: char| {
            let hump = before.is_ascii_lowercase() && c.is_ascii_uppercase();
            before = c;
            kind(c) != kind(first) || hump
        });
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        if is_hanzi(first) {
            let run: Vec<char> = run.chars().collect();
            run.windows(run.len().min(2)).for_each(|w| each(w.iter().collect()));
        } else if first.is_ascii_alphanumeric() {
            let word = run.to_ascii_lowercase();
            let ending = ["ing", "ed", "es", "s", "e"]
                .into_iter()
                .find(|e| word.len() >= e.len() + 3 && word.ends_with(e));
            each(word[..word.len() - ending.map_or(0, str::len)].to_owned());
        }
    }
}
