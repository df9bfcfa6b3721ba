//! What the model stored, found by words and, where somebody gives vectors, by meaning; and what another
//! index knows. The rankings are fused by their places: reciprocal rank fusion (Cormack and others, 2009).

use std::collections::HashMap;
use std::sync::Arc;

use super::words::Words;
use crate::error::Error;
use crate::llm::Llm;
use crate::retrieve::Retrieve;

/// How little the first places count more than those after them.
const FUSION: f64 = 60.0;
/// Places of a ranking that count.
const PLACES: usize = 100;

/// Passages, and who else is asked.
#[derive(Default)]
pub(super) struct Archive {
    passages: Vec<String>,
    words: Words,
    /// Of each passage, where there is one.
    vectors: Vec<Option<Vec<f32>>>,
    embed: Option<Llm>,
    index: Option<Arc<dyn Retrieve>>,
}

impl Archive {
    pub(super) fn embed_with(&mut self, llm: Llm) {
        self.embed = Some(llm);
    }

    pub(super) fn look_into(&mut self, index: Arc<dyn Retrieve>) {
        self.index = Some(index);
    }

    pub(super) fn len(&self) -> usize {
        self.passages.len()
    }

    /// The vector of a text, where somebody gives vectors.
    pub(super) fn vector(&self, text: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(llm) = &self.embed else { return Ok(None) };
        Ok(llm.vectors(&[text.to_owned()])?.pop())
    }

    pub(super) fn insert(&mut self, text: String, vector: Option<Vec<f32>>) {
        self.words.add(&text);
        self.passages.push(text);
        self.vectors.push(vector);
    }

    /// Passages that fit, best first.
    pub(super) fn search(&self, query: &str) -> Result<Vec<String>, Error> {
        let mut scores: HashMap<&str, (f64, usize)> = HashMap::new();
        let mut order = 0;
        let mut count = |text, place: usize| {
            order += 1;
            let entry = scores.entry(text).or_insert((0.0, order));
            entry.0 += 1.0 / (FUSION + place as f64 + 1.0);
        };
        for (place, number) in self.words.find(query).into_iter().take(PLACES).enumerate() {
            count(self.passages[number].as_str(), place);
        }
        if let Some(wanted) = self.vector(query)? {
            // A vector of another model has another width, and nothing to say.
            let near = self.vectors.iter().enumerate().filter_map(|(number, vector)| {
                let vector = vector.as_ref().filter(|vector| vector.len() == wanted.len())?;
                Some((number, vector.iter().zip(&wanted).map(|(a, b)| a * b).sum::<f32>()))
            });
            let mut near: Vec<(usize, f32)> = near.collect();
            near.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
            for (place, (number, _)) in near.into_iter().take(PLACES).enumerate() {
                count(self.passages[number].as_str(), place);
            }
        }
        let hits = match &self.index {
            Some(index) => index.retrieve(query, PLACES)?,
            None => Vec::new(),
        };
        for (place, hit) in hits.iter().enumerate() {
            count(hit.text.as_str(), place);
        }
        let mut found: Vec<(&str, (f64, usize))> = scores.into_iter().collect();
        found.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.1.1.cmp(&b.1.1)));
        Ok(found.into_iter().map(|(text, _)| text.to_owned()).collect())
    }
}
