//! Attention of some query rows over the pages of one key/value head. How far a row sees is told:
//! up to itself in a decoder, to the end of the text in an encoder.
//!
//! A page holds PAGE tokens of half-precision keys and values. Keys lie turned, (head_dim, PAGE),
//! so that one vector load brings the same dimension of many tokens and scores need no sums
//! across lanes; values lie (PAGE, head_dim). All query heads that share the key/value head, and
//! during a prompt several positions too, are columns of one tile: each key and each value is
//! read once for all of them.
//!
//! Scores of the tile are kept whole, (columns, tokens), and normalised by the plain softmax.

use std::ops::Range;

use half::f16;

use crate::isa::Isa;
use crate::simd::{on, vectors};

/// Tokens in a page of keys and values.
pub(crate) const PAGE: usize = 16;

/// What one tile attends to.
pub(crate) struct Span<'a> {
    /// Pages of this head's keys, each (head_dim, PAGE).
    pub(crate) keys: &'a [&'a [f16]],
    /// Pages of this head's values, each (PAGE, head_dim).
    pub(crate) values: &'a [&'a [f16]],
    pub(crate) head_dim: usize,
}

/// Attends for `seen.len()` columns; column `j` sees the tokens `seen[j]`, at least one, counted
/// from the first page of the span.
///
/// `q` is (head_dim, columns), already scaled; `out` is (columns, head_dim). `scores` is scratch.
/// The number of columns is one that `panel::tile_cols` gives.
pub(crate) fn attend(
    isa: Isa,
    q: &[f32],
    span: &Span<'_>,
    seen: &[Range<usize>],
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let tokens = span.keys.len() * PAGE;
    scores.resize(seen.len() * tokens, 0.0);
    match seen.len() {
        12 => on!(isa, tile::<12>(q, span, seen, scores, out)),
        8 => on!(isa, tile::<8>(q, span, seen, scores, out)),
        4 => on!(isa, tile::<4>(q, span, seen, scores, out)),
        2 => on!(isa, tile::<2>(q, span, seen, scores, out)),
        1 => on!(isa, tile::<1>(q, span, seen, scores, out)),
        n => unreachable!("a tile of {n} columns"),
    }
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

    #[inline]
    pub(super) fn softmax(x: &mut [f32]) {
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
        let scale = v::splat(1.0 / total);
        for c in chunks {
            v::store(v::mul(v::load(c), scale), c);
        }
        for x in rest {
            *x *= 1.0 / total;
        }
    }

    pub(super) fn tile<const N: usize>(
        q: &[f32],
        span: &Span<'_>,
        seen: &[Range<usize>],
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        let tokens = span.keys.len() * PAGE;
        let (qs, _) = q.as_chunks::<N>();
        for (p, page) in span.keys.iter().enumerate() {
            for at in (0..PAGE).step_by(v::LANES) {
                let mut acc = [v::zero(); N];
                for (k, q) in page.chunks_exact(PAGE).zip(qs) {
                    let Some(k) = k[at..].first_chunk::<{ v::LANES }>() else { continue };
                    let k = v::load_half(k);
                    for j in 0..N {
                        acc[j] = v::mul_add(k, v::splat(q[j]), acc[j]);
                    }
                }
                for (j, acc) in acc.into_iter().enumerate() {
                    let to = &mut scores[j * tokens + p * PAGE + at..];
                    if let Some(to) = to.first_chunk_mut::<{ v::LANES }>() {
                        v::store(acc, to);
                    }
                }
            }
        }
        for (scores, seen) in scores.chunks_exact_mut(tokens).zip(seen) {
            softmax(&mut scores[seen.clone()]);
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
        }
        let dim = span.head_dim;
        // Behind the last token a page holds whatever was there: zero times that may be no number.
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let whole = dim - dim % v::LANES;
        for at in (0..whole).step_by(v::LANES) {
            let mut acc = [v::zero(); N];
            for (p, page) in span.values.iter().enumerate() {
                let tokens_here = end.saturating_sub(p * PAGE);
                for (t, row) in page.chunks_exact(dim).enumerate().take(tokens_here) {
                    let Some(row) = row[at..].first_chunk::<{ v::LANES }>() else { continue };
                    let row = v::load_half(row);
                    for j in 0..N {
                        let score = scores[j * tokens + p * PAGE + t];
                        acc[j] = v::mul_add(row, v::splat(score), acc[j]);
                    }
                }
            }
            for (acc, out) in acc.into_iter().zip(out.chunks_exact_mut(dim)) {
                if let Some(out) = out[at..].first_chunk_mut::<{ v::LANES }>() {
                    v::store(acc, out);
                }
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
