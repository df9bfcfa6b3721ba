//! Whoever makes vectors, held to what it promises, and how an index knows it again.

use std::sync::Arc;

use ondine_chat::Embed;
use serde::{Deserialize, Serialize};

use crate::error::RagError;
use crate::table::Table;
use crate::vectors::WIDTH_MAX;

/// What every embedder is asked, to be known again by what it says.
const PROBES: [&str; 2] = ["The index keeps what every passage says.", "索引记得每一段话的意思。"];
/// The same embedder may differ by rounding between machines; another one differs by far more.
const SAME: f32 = 0.995;
/// Texts that are asked for at once.
pub(crate) const BATCH: usize = 64;

/// Whoever makes the vectors of an index, and what it is called.
#[derive(Clone)]
pub struct Embedder {
    name: String,
    embed: Arc<dyn Embed>,
}

/// What an index keeps of the embedder that made its vectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) width: usize,
    /// What it said of the probes.
    pub(crate) probes: Vec<Vec<f32>>,
}

impl Embedder {
    /// `name` is also the model that is asked for, where `embed` has several.
    pub fn new(name: impl Into<String>, embed: Arc<dyn Embed>) -> Embedder {
        Embedder { name: name.into(), embed }
    }

    /// The table of vectors that ships with the program.
    pub fn table() -> Embedder {
        Embedder::new(Table::NAME, Arc::new(Table::embedded()))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A vector of length 1 for each text, all of one width; zeros where a text says nothing.
    pub(crate) fn vectors(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, RagError> {
        let mut all = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let vectors = self.embed.embed(&self.name, batch)?.vectors;
            if vectors.len() != batch.len() {
                let what = format!("{} vectors for {} texts", vectors.len(), batch.len());
                return Err(RagError::BadVectors(what));
            }
            all.extend(vectors);
        }
        let width = all.first().map_or(1, Vec::len);
        for vector in &mut all {
            if vector.len() != width || !(1..=WIDTH_MAX).contains(&width) {
                let what = format!("vectors {} and {width} wide", vector.len());
                return Err(RagError::BadVectors(what));
            }
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if !length.is_finite() {
                return Err(RagError::BadVectors("numbers that are not finite".into()));
            }
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
        Ok(all)
    }

    pub(crate) fn mark(&self) -> Result<Mark, RagError> {
        let probes = self.vectors(&PROBES.map(String::from))?;
        let width = probes.first().map_or(0, Vec::len);
        Ok(Mark { name: self.name.clone(), width, probes })
    }
}

impl Mark {
    /// Whether both are of the same embedder, whatever they are called.
    pub(crate) fn is(&self, other: &Mark) -> bool {
        let cosine =
            |(a, b): (&Vec<f32>, &Vec<f32>)| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        self.width == other.width
            && self.probes.len() == other.probes.len()
            && self.probes.iter().zip(&other.probes).map(cosine).all(|cosine| cosine >= SAME)
    }
}
