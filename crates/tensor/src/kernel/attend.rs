//! Attention of some query rows over the pages of one key/value head. How far a row sees is told:
//! up to itself in a decoder, to the end of the text in an encoder.
//!
//! A page holds PAGE tokens of half-precision keys and values. Keys lie turned, (head_dim, PAGE),
//! so that one vector load brings the same dimension of many tokens and scores need no sums
//! across lanes; values lie (PAGE, head_dim). All query heads that share the key/value head, and
//! during a prompt several positions too, are columns of one tile: each key and each value is
//! read once for all of them.
//!
//! A long span goes in pieces of [`PIECE`] pages, so that scores stay in the first cache and threads
//! can share a head. Each piece gives sums weighted by e^(score - its own peak); [`merge`] puts
//! pieces together in their order (the online softmax of Milakov and Gimelshein 2018), so that the
//! result is the same whoever computed which piece.

use std::ops::Range;

use half::f16;

use crate::isa::Isa;
use crate::kernel::panel;
use crate::simd::{on, vectors};

/// Tokens in a page of keys and values.
pub(crate) const PAGE: usize = 16;

/// Pages of a piece.
pub(crate) const PIECE: usize = 32;

/// How many of `left` columns the next tile takes.
pub(crate) fn tile_cols(isa: Isa, left: usize) -> usize {
    let most = panel::cols(isa);
    if left >= 12 && most >= 12 { 12 } else { left.min(most).min(8) }
}

/// What one tile attends to: at most a piece.
pub(crate) struct Span<'a> {
    /// Pages of this head's keys, each (head_dim, PAGE).
    pub(crate) keys: &'a [&'a [f16]],
    /// Pages of this head's values, each (PAGE, head_dim).
    pub(crate) values: &'a [&'a [f16]],
    pub(crate) head_dim: usize,
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

/// Attends for `seen.len()` columns; column `j` sees the tokens `seen[j]`, counted from the first
/// page of the span.
///
/// `q` is (head_dim, columns), already scaled; `out` is (columns, head_dim), sums that are not yet
/// divided by their `weights`. `scores` is scratch. The number of columns is one that
/// [`tile_cols`] gives.
pub(crate) fn attend(
    isa: Isa,
    q: &[f32],
    span: &Span<'_>,
    seen: &[Range<usize>],
    scores: &mut Vec<f32>,
    out: &mut [f32],
    weights: &mut [Weight],
) {
    let tokens = span.keys.len() * PAGE;
    scores.resize(seen.len() * tokens, 0.0);
    macro_rules! by_count {
        ($($n:literal)*) => {
            match seen.len() {
                $($n => on!(isa, tile::<$n>(q, span, seen, scores, out, weights)),)*
                n => unreachable!("a tile of {n} columns"),
            }
        };
    }
    by_count!(1 2 3 4 5 6 7 8 12);
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

/// Rounds rows of keys and values of one token into a page.
///
/// `k` and `v` are one head's `head_dim` floats; `slot` is the token's place in the page.
pub(crate) fn store(
    isa: Isa,
    k: &[f32],
    v: &[f32],
    keys: &mut [f16],
    values: &mut [f16],
    slot: usize,
    rounded: &mut Vec<f16>,
) {
    let head_dim = k.len();
    rounded.resize(head_dim, f16::ZERO);
    on!(isa, round(k, rounded));
    for (page, k) in keys.chunks_exact_mut(PAGE).zip(rounded.iter()) {
        page[slot] = *k;
    }
    on!(isa, round(v, &mut values[slot * head_dim..(slot + 1) * head_dim]));
}

/// Turns scores into probabilities, in place: e^(x - max) / sum.
pub(crate) fn softmax(isa: Isa, x: &mut [f32]) {
    on!(isa, softmax(x));
}

vectors! {
    pub(super) fn round(x: &[f32], out: &mut [f16]) {
        let (xs, x_rest) = x.as_chunks::<{ v::LANES }>();
        let (outs, out_rest) = out.as_chunks_mut::<{ v::LANES }>();
        for (x, out) in xs.iter().zip(outs) {
            v::store_half(v::load(x), out);
        }
        for (x, out) in x_rest.iter().zip(out_rest) {
            *out = f16::from_f32(*x);
        }
    }

    pub(super) fn softmax(x: &mut [f32]) {
        let scale = 1.0 / exponentials(x).sum;
        x.iter_mut().for_each(|x| *x *= scale);
    }

    /// x = e^(x - largest)
    #[inline]
    fn exponentials(x: &mut [f32]) -> Weight {
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

    /// Scores of whole groups of `P` pages: several sums at once, since each waits for itself.
    #[inline]
    fn scores_of<const N: usize, const P: usize>(
        q: &[[f32; N]],
        pages: &[&[f16]],
        scores: &mut [f32],
        tokens: usize,
    ) {
        let (groups, _) = pages.as_chunks::<P>();
        for (g, group) in groups.iter().enumerate() {
            let mut acc = [[[v::zero(); PAGE / v::LANES]; P]; N];
            // Pages lie anywhere: no prefetcher of the machine finds the next ones.
            let next = groups.get(g + 1).unwrap_or(group);
            for (d, q) in q.iter().enumerate() {
                for p in 0..P {
                    if d % 2 == 0 {
                        v::prefetch(next[p][d * PAGE..].as_ptr().cast());
                    }
                    let (k, _) = group[p][d * PAGE..(d + 1) * PAGE].as_chunks::<{ v::LANES }>();
                    for i in 0..PAGE / v::LANES {
                        let k = v::load_half(&k[i]);
                        for j in 0..N {
                            acc[j][p][i] = v::mul_add(k, v::splat(q[j]), acc[j][p][i]);
                        }
                    }
                }
            }
            for (j, acc) in acc.into_iter().enumerate() {
                let to = &mut scores[j * tokens + g * P * PAGE..][..P * PAGE];
                let (to, _) = to.as_chunks_mut::<{ v::LANES }>();
                for (to, acc) in to.iter_mut().zip(acc.into_iter().flatten()) {
                    v::store(acc, to);
                }
            }
        }
    }

    /// Values weighted by scores, for `C` vectors of dimensions from `at` on: every page is read
    /// once for all of them.
    #[inline]
    fn weighted<const N: usize, const C: usize>(
        span: &Span<'_>,
        scores: &[f32],
        end: usize,
        at: usize,
        out: &mut [f32],
    ) {
        let (dim, tokens) = (span.head_dim, span.values.len() * PAGE);
        let mut acc = [[v::zero(); C]; N];
        for (p, page) in span.values.iter().enumerate() {
            let mine: [&[f32]; N] =
                std::array::from_fn(|j| &scores[j * tokens + p * PAGE..][..PAGE]);
            // Behind the last token a page holds whatever was there: zero times that may be no
            // number.
            let here = PAGE.min(end.saturating_sub(p * PAGE));
            let next = span.values.get(p + 2).unwrap_or(page);
            for (t, row) in page.chunks_exact(dim).enumerate().take(here) {
                v::prefetch(next[t * dim + at..].as_ptr().cast());
                if C * v::LANES * 2 > 64 {
                    v::prefetch(next[t * dim + at + 32..].as_ptr().cast());
                }
                let (row, _) = row[at..at + C * v::LANES].as_chunks::<{ v::LANES }>();
                let row: [_; C] = std::array::from_fn(|c| v::load_half(&row[c]));
                for j in 0..N {
                    let score = v::splat(mine[j][t]);
                    for c in 0..C {
                        acc[j][c] = v::mul_add(row[c], score, acc[j][c]);
                    }
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out.chunks_exact_mut(dim)) {
            let (out, _) = out[at..at + C * v::LANES].as_chunks_mut::<{ v::LANES }>();
            for (acc, out) in acc.into_iter().zip(out) {
                v::store(acc, out);
            }
        }
    }

    pub(super) fn tile<const N: usize>(
        q: &[f32],
        span: &Span<'_>,
        seen: &[Range<usize>],
        scores: &mut [f32],
        out: &mut [f32],
        weights: &mut [Weight],
    ) {
        let tokens = span.keys.len() * PAGE;
        let (qs, _) = q.as_chunks::<N>();
        // As many sums as there are registers for: 32 where vectors are widest, else 16.
        let together = if v::LANES == 16 && N <= 4 { 4 } else { 1 };
        let (groups, rest) = span.keys.split_at(span.keys.len() / together * together);
        if together == 4 {
            scores_of::<N, 4>(qs, groups, scores, tokens);
        } else {
            scores_of::<N, 1>(qs, groups, scores, tokens);
        }
        scores_of::<N, 1>(qs, rest, &mut scores[groups.len() * PAGE..], tokens);
        for ((scores, seen), weight) in scores.chunks_exact_mut(tokens).zip(seen).zip(weights) {
            *weight = match &mut scores[seen.clone()] {
                [] => Weight::NONE,
                scores => exponentials(scores),
            };
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
        }
        let dim = span.head_dim;
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let whole = dim - dim % v::LANES;
        let mut at = 0;
        while at < whole {
            let left = (whole - at) / v::LANES;
            if left >= 4 && N * 4 <= 16 {
                weighted::<N, 4>(span, scores, end, at, out);
                at += 4 * v::LANES;
            } else if left >= 2 && N * 2 <= 2 * v::LANES.max(8) {
                weighted::<N, 2>(span, scores, end, at, out);
                at += 2 * v::LANES;
            } else {
                weighted::<N, 1>(span, scores, end, at, out);
                at += v::LANES;
            }
        }
        // Heads narrower than a vector, and what is left over of others.
        for (j, out) in out.chunks_exact_mut(dim).enumerate() {
            for (d, out) in out.iter_mut().enumerate().skip(whole) {
                *out = 0.0;
                for (p, page) in span.values.iter().enumerate() {
                    for t in 0..PAGE.min(end.saturating_sub(p * PAGE)) {
                        *out += scores[j * tokens + p * PAGE + t] * page[t * dim + d].to_f32();
                    }
                }
            }
        }
    }
}
