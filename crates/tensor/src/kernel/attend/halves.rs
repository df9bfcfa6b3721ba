//! Keys and values as 16-bit floats: how they lie, how they are written, scores and sums.
//!
//! Keys lie turned, (kv_heads, head_dim, PAGE), so that one vector load brings the same dimension
//! of many tokens and scores need no sums across lanes; values lie (kv_heads, PAGE, head_dim).

use std::ops::Range;

use half::f16;

use super::{PAGE, Span};
use crate::isa::Isa;
use crate::kv::KvLine;
use crate::simd::{on, vectors};

/// Queries as the scores want them.
#[derive(Default)]
pub(crate) struct Queries(Vec<f32>);

/// Rounds rows of keys and values of one token into a page.
///
/// `k` and `v` are the `head_dim` floats of head `head`; `slot` is the token's place in the page.
pub(crate) fn store(
    isa: Isa,
    (k, v): (&[f32], &[f32]),
    (keys, values): (&mut [KvLine], &mut [KvLine]),
    head: usize,
    slot: usize,
    rounded: &mut Vec<f16>,
) {
    let dim = k.len();
    let inside = head * dim * PAGE..(head + 1) * dim * PAGE;
    let keys: &mut [f16] = &mut bytemuck::cast_slice_mut(keys)[inside.clone()];
    let values: &mut [f16] = &mut bytemuck::cast_slice_mut(values)[inside];
    rounded.resize(dim, f16::ZERO);
    on!(isa, round(k, rounded));
    for (page, k) in keys.chunks_exact_mut(PAGE).zip(rounded.iter()) {
        page[slot] = *k;
    }
    on!(isa, round(v, &mut values[slot * dim..(slot + 1) * dim]));
}

/// The pages of a span's head.
fn of_head<'a>(span: &Span<'_>, pages: &[&'a [KvLine]]) -> Vec<&'a [f16]> {
    let size = span.head_dim * PAGE;
    let inside = span.head * size..(span.head + 1) * size;
    pages.iter().map(|page| &bytemuck::cast_slice(page)[inside.clone()]).collect()
}

/// Scores of all tokens of a span, (columns, tokens).
pub(super) fn scores(
    isa: Isa,
    columns: &[&[f32]],
    span: &Span<'_>,
    Queries(queries): &mut Queries,
    scores: &mut [f32],
) {
    let n = columns.len();
    queries.resize(span.head_dim * n, 0.0);
    for (j, q) in columns.iter().enumerate() {
        for (to, q) in queries.chunks_exact_mut(n).zip(*q) {
            to[j] = q * span.scale;
        }
    }
    let keys = of_head(span, span.keys);
    by_count!(isa, n, scores(queries, &keys, scores));
}

/// Values weighted by scores, (columns, head_dim).
pub(super) fn sums(
    isa: Isa,
    scores: &[f32],
    span: &Span<'_>,
    seen: &[Range<usize>],
    out: &mut [f32],
) {
    let values = of_head(span, span.values);
    // Behind the last token a page holds whatever was there.
    let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
    by_count!(isa, seen.len(), sums(&values, span.head_dim, scores, end, out));
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

    pub(super) fn scores<const N: usize>(q: &[f32], keys: &[&[f16]], scores: &mut [f32]) {
        let tokens = keys.len() * PAGE;
        let (qs, _) = q.as_chunks::<N>();
        // As many sums as there are registers for: 32 where vectors are widest, else 16.
        let together = if v::LANES == 16 && N <= 4 { 4 } else { 1 };
        let (groups, rest) = keys.split_at(keys.len() / together * together);
        if together == 4 {
            scores_of::<N, 4>(qs, groups, scores, tokens);
        } else {
            scores_of::<N, 1>(qs, groups, scores, tokens);
        }
        scores_of::<N, 1>(qs, rest, &mut scores[groups.len() * PAGE..], tokens);
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
        values: &[&[f16]],
        dim: usize,
        scores: &[f32],
        end: usize,
        at: usize,
        out: &mut [f32],
    ) {
        let tokens = values.len() * PAGE;
        let mut acc = [[v::zero(); C]; N];
        for (p, page) in values.iter().enumerate() {
            let mine: [&[f32]; N] =
                std::array::from_fn(|j| &scores[j * tokens + p * PAGE..][..PAGE]);
            // Behind the last token a page holds whatever was there: zero times that may be no
            // number.
            let here = PAGE.min(end.saturating_sub(p * PAGE));
            let next = values.get(p + 2).unwrap_or(page);
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

    pub(super) fn sums<const N: usize>(
        values: &[&[f16]],
        dim: usize,
        scores: &[f32],
        end: usize,
        out: &mut [f32],
    ) {
        let tokens = values.len() * PAGE;
        let whole = dim - dim % v::LANES;
        let mut at = 0;
        while at < whole {
            let left = (whole - at) / v::LANES;
            if left >= 4 && N * 4 <= 16 {
                weighted::<N, 4>(values, dim, scores, end, at, out);
                at += 4 * v::LANES;
            } else if left >= 2 && N * 2 <= 2 * v::LANES.max(8) {
                weighted::<N, 2>(values, dim, scores, end, at, out);
                at += 2 * v::LANES;
            } else {
                weighted::<N, 1>(values, dim, scores, end, at, out);
                at += v::LANES;
            }
        }
        // Heads narrower than a vector, and what is left over of others.
        for (j, out) in out.chunks_exact_mut(dim).enumerate() {
            for (d, out) in out.iter_mut().enumerate().skip(whole) {
                *out = 0.0;
                for (p, page) in values.iter().enumerate() {
                    for t in 0..PAGE.min(end.saturating_sub(p * PAGE)) {
                        *out += scores[j * tokens + p * PAGE + t] * page[t * dim + d].to_f32();
                    }
                }
            }
        }
    }
}
