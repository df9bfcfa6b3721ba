//! Attention of some query rows over the pages of one key/value head. How far a row sees is told:
//! up to itself in a decoder, to the end of the text in an encoder.
//!
//! A page holds PAGE tokens. All query heads that share the key/value head, and during a prompt
//! several positions too, are columns of one tile: each key and each value is read once for all of
//! them. What is done with keys and values stands in one file a type: 32-bit floats in
//! `attend/floats.rs`, 16-bit floats in `attend/halves.rs`, bytes in `attend/bytes.rs`. What lies between the two is here.
//!
//! A long span goes in pieces of [`PIECE`] pages, so that scores stay in the first cache and threads
//! can share a head. Each piece gives sums weighted by e^(score - its own peak); [`merge`] puts
//! pieces together in their order (the online softmax of Milakov and Gimelshein 2018), so that the
//! result is the same whoever computed which piece.

use std::ops::Range;

use crate::isa::Isa;
use crate::kernel::panel;
use crate::kv::{KvLine, KvType};
use crate::simd::{on, vectors};

/// Calls a function of `vectors` with the number of columns as a constant: one that [`tile_cols`]
/// gives.
macro_rules! by_count {
    ($isa:expr, $count:expr, $name:ident($($arg:expr),* $(,)?)) => {
        match $count {
            1 => on!($isa, $name::<1>($($arg),*)),
            2 => on!($isa, $name::<2>($($arg),*)),
            3 => on!($isa, $name::<3>($($arg),*)),
            4 => on!($isa, $name::<4>($($arg),*)),
            5 => on!($isa, $name::<5>($($arg),*)),
            6 => on!($isa, $name::<6>($($arg),*)),
            7 => on!($isa, $name::<7>($($arg),*)),
            8 => on!($isa, $name::<8>($($arg),*)),
            12 => on!($isa, $name::<12>($($arg),*)),
            n => unreachable!("a tile of {n} columns"),
        }
    };
}

pub(crate) mod bytes;
pub(crate) mod floats;
pub(crate) mod halves;

/// Tokens in a page of keys and values.
pub(crate) const PAGE: usize = 16;

/// Pages of a piece.
pub(crate) const PIECE: usize = 32;

/// The most columns of a tile on any instruction set.
pub(crate) const MAX_COLS: usize = 16;

/// How many of `left` columns the next tile takes.
pub(crate) fn tile_cols(isa: Isa, left: usize) -> usize {
    let most = panel::cols(isa);
    if left >= 12 && most >= 12 { 12 } else { left.min(most).min(8) }
}

/// What one tile attends to: at most a piece of one key/value head.
pub(crate) struct Span<'a> {
    pub(crate) kv: KvType,
    /// Pages of the keys of all heads.
    pub(crate) keys: &'a [&'a [KvLine]],
    /// Pages of the values of all heads.
    pub(crate) values: &'a [&'a [KvLine]],
    pub(crate) head: usize,
    pub(crate) head_dim: usize,
    /// What queries are multiplied with.
    pub(crate) scale: f32,
}

/// What attention works with, kept so that a token costs no allocation here.
#[derive(Default)]
pub(crate) struct Work {
    /// (columns, tokens)
    scores: Vec<f32>,
    halves: halves::Queries,
    bytes: bytes::Factors,
}

/// What a column gives for a piece: its largest score, and the sum of e^(score - largest).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    peak: f32,
    sum: f32,
}

impl Weight {
    /// Of a column that sees nothing.
    pub(crate) const NONE: Weight = Weight { peak: f32::NEG_INFINITY, sum: 0.0 };
}

/// Attends for the columns `queries`, each of `head_dim` floats; column `j` sees the tokens
/// `seen[j]`, counted from the first page of the span.
///
/// `out` is (columns, head_dim), sums that are not yet divided by their `weights`. The number of
/// columns is one that [`tile_cols`] gives.
pub(crate) fn attend(
    isa: Isa,
    queries: &[&[f32]],
    span: &Span<'_>,
    seen: &[Range<usize>],
    work: &mut Work,
    out: &mut [f32],
    weights: &mut [Weight],
) {
    let tokens = span.keys.len() * PAGE;
    let Work { scores, halves, bytes } = work;
    scores.resize(seen.len() * tokens, 0.0);
    match span.kv {
        KvType::F32 => floats::scores(queries, span, scores),
        KvType::F16 => halves::scores(isa, queries, span, halves, scores),
        KvType::Int8 => bytes::scores(isa, queries, span, bytes, scores),
    }
    for ((scores, seen), weight) in scores.chunks_exact_mut(tokens).zip(seen).zip(weights) {
        *weight = match &mut scores[seen.clone()] {
            [] => Weight::NONE,
            scores => on!(isa, exponentials(scores)),
        };
        scores[..seen.start].fill(0.0);
        scores[seen.end..].fill(0.0);
    }
    match span.kv {
        KvType::F32 => floats::sums(scores, span, seen, out),
        KvType::F16 => halves::sums(isa, scores, span, seen, out),
        KvType::Int8 => bytes::sums(isa, scores, span, seen, bytes, out),
    }
}

/// Adds a later piece's sums to those of the pieces before it.
pub(crate) fn merge(before: &mut [f32], weight: &mut Weight, piece: &[f32], of_piece: Weight) {
    if of_piece.sum == 0.0 {
        return;
    }
    let peak = weight.peak.max(of_piece.peak);
    let (old, new) = ((weight.peak - peak).exp(), (of_piece.peak - peak).exp());
    for (before, piece) in before.iter_mut().zip(piece) {
        *before = *before * old + piece * new;
    }
    *weight = Weight { peak, sum: weight.sum * old + of_piece.sum * new };
}

/// Divides sums by their weight: what a column attends to.
pub(crate) fn finish(sums: &mut [f32], weight: Weight) {
    let scale = 1.0 / weight.sum;
    sums.iter_mut().for_each(|sum| *sum *= scale);
}

/// Logarithm of the sum of e^x.
pub(crate) fn log_sum_exp(isa: Isa, x: &[f32]) -> f32 {
    let Weight { peak, sum } = on!(isa, exponential_sum(x));
    peak + sum.ln()
}

/// Turns scores into probabilities, in place: e^(x - max) / sum.
pub(crate) fn softmax(isa: Isa, x: &mut [f32]) {
    on!(isa, softmax(x));
}

vectors! {
    pub(super) fn softmax(x: &mut [f32]) {
        let scale = 1.0 / exponentials(x).sum;
        x.iter_mut().for_each(|x| *x *= scale);
    }

    /// The largest x, and the sum of e^(x - largest).
    pub(super) fn exponential_sum(x: &[f32]) -> Weight {
        let (fours, _) = x.as_chunks::<{ 4 * v::LANES }>();
        let rest = &x[fours.len() * 4 * v::LANES..];
        let mut most = [v::splat(f32::NEG_INFINITY); 4];
        for four in fours {
            let (four, _) = four.as_chunks::<{ v::LANES }>();
            for i in 0..4 {
                most[i] = v::max(v::load(&four[i]), most[i]);
            }
        }
        let mut peak = rest.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        for most in most {
            peak = peak.max(v::peak(most));
        }
        let mut sums = [v::zero(); 4];
        for four in fours {
            let (four, _) = four.as_chunks::<{ v::LANES }>();
            for i in 0..4 {
                sums[i] = v::add(sums[i], v::exp(v::sub(v::load(&four[i]), v::splat(peak))));
            }
        }
        let mut sum: f32 = rest.iter().map(|x| (x - peak).exp()).sum();
        for part in sums {
            sum += v::sum(part);
        }
        Weight { peak, sum }
    }

    /// x = e^(x - largest)
    pub(super) fn exponentials(x: &mut [f32]) -> Weight {
        let (chunks, rest) = x.as_chunks_mut::<{ v::LANES }>();
        let mut most = v::splat(f32::NEG_INFINITY);
        for c in chunks.iter() {
            most = v::max(v::load(c), most);
        }
        let most = rest.iter().fold(v::peak(most), |m, &x| m.max(x));
        let mut sum = v::zero();
        for c in chunks.iter_mut() {
            let e = v::exp(v::sub(v::load(c), v::splat(most)));
            sum = v::add(sum, e);
            v::store(e, c);
        }
        let mut total = v::sum(sum);
        for x in rest.iter_mut() {
            *x = (*x - most).exp();
            total += *x;
        }
        Weight { peak: most, sum: total }
    }
}
