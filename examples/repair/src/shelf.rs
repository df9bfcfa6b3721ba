//! The pairs, found by what was said of a program and by its code: by words that are rare among the
//! pairs and by the vectors of the table, ranks fused. It knows nothing of programs.

use std::collections::{BTreeMap, BTreeSet};

use ondine_app::{Hit, Retrieve, RetrieveError};
use ondine_rag::Table;

use crate::data::Pattern;

/// As usual for fused ranks (Cormack et al. 2009).
const RANK_CONSTANT: f64 = 60.0;

/// A shelf of pairs.
pub struct Shelf {
    table: Table,
    hits: Vec<Hit>,
    vectors: Vec<Vec<f32>>,
    words: Vec<BTreeSet<String>>,
}

impl Shelf {
    /// Puts pairs on a shelf.
    pub fn new(patterns: &[Pattern]) -> Shelf {
        let table = Table::embedded();
        let hit = |p: &Pattern| Hit {
            path: format!("{}.md", p.name),
            line_start: 1,
            line_end: p.text.lines().count().max(1),
            score: 0.0,
            text: p.text.clone(),
        };
        Shelf {
            vectors: patterns.iter().map(|p| table.vector(&p.text)).collect(),
            words: patterns.iter().map(|p| words(&p.text)).collect(),
            hits: patterns.iter().map(hit).collect(),
            table,
        }
    }

    /// How many pairs a word stands in decides what it counts.
    fn by_words(&self, question: &str) -> Vec<f64> {
        let count = self.words.len() as f64;
        let mut scores = vec![0.0; self.words.len()];
        for word in words(question) {
            let within = |w: &BTreeSet<String>| w.contains(&word);
            let many = self.words.iter().filter(|w| within(w)).count() as f64;
            for (score, pair) in scores.iter_mut().zip(&self.words) {
                if within(pair) {
                    *score += (1.0 + count / many).ln() / (pair.len() as f64).sqrt();
                }
            }
        }
        scores
    }

    fn by_vectors(&self, question: &str) -> Vec<f64> {
        let asked = self.table.vector(question);
        let near = |v: &Vec<f32>| f64::from(v.iter().zip(&asked).map(|(a, b)| a * b).sum::<f32>());
        self.vectors.iter().map(near).collect()
    }
}

impl Retrieve for Shelf {
    fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
        let mut fused: BTreeMap<usize, f64> = BTreeMap::new();
        for scores in [self.by_words(question), self.by_vectors(question)] {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            for (rank, pair) in (1..).zip(order) {
                *fused.entry(pair).or_default() += 1.0 / (RANK_CONSTANT + f64::from(rank));
            }
        }
        let mut order: Vec<(usize, f64)> = fused.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let hit = |(pair, score): (usize, f64)| Hit { score, ..self.hits[pair].clone() };
        Ok(order.into_iter().take(k).map(hit).collect())
    }
}

fn words(text: &str) -> BTreeSet<String> {
    let runs = text.split(|c: char| !c.is_alphanumeric());
    runs.filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}
