//! One batch on its way through a model: what it works with, and what is wanted of it.

use std::ops::Range;

use ondine_cache::Cache;
use ondine_tensor::{Cpu, Matrix, Rows};

use crate::layer::{Norm, Rms, Routing};
use crate::shape::Shape;

/// Tokens evaluated at once. Long prompts go through in pieces of this size, so that the memory
/// for activations does not grow with the prompt; larger pieces would not run faster, since at
/// 256 rows unpacking the weights is a twentieth of multiplying with them.
pub const BATCH: usize = 256;

/// Which positions of the evaluated tokens should give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: the tokens only go into the cache.
    None,
    /// The last one: what sampling needs.
    Last,
    /// The last one's so many greatest, exactly, and perhaps others; the rest is minus infinity. It is
    /// what choosing one of them needs, and takes less reading where the output head allows.
    Likeliest(usize),
    /// Every one: what scoring needs. Takes `tokens × vocab` floats.
    All,
}

impl Want {
    /// How many of the greatest logits matter, where not all do.
    pub(crate) fn likeliest(self) -> Option<usize> {
        match self {
            Want::Likeliest(count) => Some(count),
            _ => None,
        }
    }

    /// The wanted ones of `count` rows: always the last so many.
    pub(crate) fn rows(self, count: usize) -> Range<usize> {
        match self {
            Want::None => count..count,
            Want::Last | Want::Likeliest(_) => count.saturating_sub(1)..count,
            Want::All => 0..count,
        }
    }
}

/// Activations of one batch. Kept from batch to batch, so that a token needs no allocation here.
#[derive(Debug)]
pub struct Scratch {
    /// The stream between blocks: (rows, width)
    pub(crate) x: Rows,
    /// What a part takes and gives: (rows, width)
    pub(crate) h: Rows,
    /// (rows, heads * head_dim)
    pub(crate) q: Rows,
    /// (rows, kv_heads * head_dim)
    pub(crate) k: Rows,
    pub(crate) k_spare: Rows,
    pub(crate) v: Rows,
    /// (rows, heads * head_dim)
    pub(crate) attended: Rows,
    /// Queries, keys, values and what attention gives of one timeline of several.
    pub(crate) own: [Rows; 4],
    /// (rows, ff)
    pub(crate) gate: Rows,
    pub(crate) up: Rows,
    /// What experts work with. Empty where there are none.
    pub(crate) routing: Routing,
}

impl Scratch {
    /// Room for no rows yet; it grows with the first batch.
    pub fn new(shape: &Shape) -> Scratch {
        let rows = |width| Rows::new(0, width);
        Scratch {
            x: rows(shape.width),
            h: rows(shape.width),
            q: rows(shape.query_width()),
            k: rows(shape.key_width()),
            k_spare: rows(shape.key_width()),
            v: rows(shape.key_width()),
            attended: rows(shape.query_width()),
            own: [
                rows(shape.query_width()),
                rows(shape.key_width()),
                rows(shape.key_width()),
                rows(shape.query_width()),
            ],
            gate: rows(shape.ff),
            up: rows(shape.ff),
            routing: Routing::new(shape),
        }
    }

    /// Bytes of all buffers when they have `rows` rows; `None` where that is no number.
    pub fn bytes_for(shape: &Shape, rows: usize) -> Option<usize> {
        Scratch::floats_per_row(shape)?.checked_mul(rows)?.checked_mul(size_of::<f32>())
    }

    /// Floats that a row takes in all buffers together; `None` where that is no number.
    pub(crate) fn floats_per_row(shape: &Shape) -> Option<usize> {
        let heads = shape.heads.checked_mul(shape.head_dim)?.checked_mul(2)?;
        let keys = shape.kv_heads.checked_mul(shape.head_dim)?.checked_mul(3)?;
        let wide = shape.width.checked_add(shape.ff)?.checked_mul(2)?;
        let routing = Routing::floats_per_row(shape)?;
        heads.checked_add(keys)?.checked_add(wide)?.checked_add(routing)
    }

    /// Every buffer gets `rows` rows, but for those of single timelines and of the experts, who take as
    /// they need.
    pub(crate) fn fit(&mut self, rows: usize) {
        let Scratch { x, h, q, k, k_spare, v, attended, gate, up, own: _, routing: _ } = self;
        for buffer in [x, h, q, k, k_spare, v, attended, gate, up] {
            buffer.resize(rows);
        }
    }
}

/// A batch under way: rows of one timeline or of several, which meet nowhere but in the products
/// with the weights.
pub struct Run<'a> {
    /// What computes.
    pub(crate) cpu: &'a Cpu,
    /// Whose rows they are, in the order of the rows.
    pub(crate) timelines: Vec<Timeline<'a>>,
    /// Activations, as many rows as the batch has tokens.
    pub(crate) scratch: &'a mut Scratch,
    /// Where only so many of the greatest logits matter, of the only row that is wanted.
    pub(crate) likeliest: Option<usize>,
}

/// A timeline's share of a batch.
pub(crate) struct Timeline<'a> {
    /// Where keys and values go. Has room for the rows; its length is still the position of the
    /// first of them.
    pub(crate) cache: &'a mut Cache,
    /// Which rows of the batch are its.
    pub(crate) rows: Range<usize>,
    /// Which rows, the last of its own, give logits.
    pub(crate) wanted: Range<usize>,
    /// Position of the first row.
    pub(crate) first: usize,
    /// Positions that the timeline will never grow beyond.
    pub(crate) horizon: usize,
}

impl Run<'_> {
    /// x = the rows of `table` that `tokens` name
    pub(crate) fn embed(&mut self, table: &Matrix, tokens: &[u32]) {
        self.cpu.embed(table, tokens, &mut self.scratch.x);
    }

    /// x += the rows of `table` that the batch's positions name
    pub(crate) fn embed_positions(&mut self, table: &Matrix) {
        let of = |t: &Timeline<'_>| t.first as u32..(t.first + t.rows.len()) as u32;
        let positions: Vec<u32> = self.timelines.iter().flat_map(of).collect();
        self.cpu.embed(table, &positions, &mut self.scratch.h);
        self.add();
    }

    /// h = norm(x)
    pub(crate) fn norm(&mut self, norm: &Norm) {
        norm.apply(self.cpu, &self.scratch.x, &mut self.scratch.h);
    }

    /// x = h
    pub(crate) fn keep(&mut self) {
        self.scratch.x.as_mut_slice().copy_from_slice(self.scratch.h.as_slice());
    }

    /// h = x
    pub(crate) fn copy(&mut self) {
        self.scratch.h.as_mut_slice().copy_from_slice(self.scratch.x.as_slice());
    }

    /// x *= factor
    pub(crate) fn scale(&mut self, factor: f32) {
        self.cpu.scale(&mut self.scratch.x, factor);
    }

    /// x += h
    pub(crate) fn add(&mut self) {
        self.cpu.add(&mut self.scratch.x, &self.scratch.h);
    }

    /// x += factor * h
    pub(crate) fn add_scaled(&mut self, factor: f32) {
        self.cpu.add_scaled(&mut self.scratch.x, &self.scratch.h, factor);
    }

    /// x += norm(h)
    pub(crate) fn add_normed(&mut self, Rms { weight, eps }: &Rms) {
        self.cpu.add_rms_norm(&mut self.scratch.x, &self.scratch.h, weight, *eps);
    }
}
