//! Keys and values as bytes: how they lie, how they are written, scores and sums.
//!
//! The key (and the value) of a head of a token is `head_dim` signed bytes and a 32-bit scale: the
//! largest becomes 127. Half precision would save two bytes of sixty-eight and lose scales below
//! 6e-5, which small values have; sixteen 32-bit scales are a line of memory. Heads are filled up
//! with zeros to whole strips of sixteen dimensions.
//!
//! ```text
//! keys of a head     (strips * 4, PAGE, 4) bytes: four dimensions of each token side by side
//!                    (PAGE) scales
//! values of a head   (strips, PAGE / 4, 16, 4) bytes: four tokens of each dimension side by side
//!                    (PAGE) scales
//! ```
//!
//! A line of keys is multiplied with four dimensions of a query, and a line of values with the
//! weights of four tokens, by one instruction where the machine has it. The other factors are
//! therefore whole numbers too, but in two bytes of seven bits each: with fourteen bits their
//! rounding is a hundredth of that of the keys and values, so that what is lost is lost in storage
//! alone. A query has one step; the weights of a piece have one step for each column, with the
//! scales of the values already in them, so that all sums of a piece are whole numbers.
//!
//! What is not a number has no byte. It makes its scale NaN, and so whatever it is looked at by.

use std::ops::Range;

use super::{MAX_COLS, PAGE, Span};
use crate::isa::Isa;
use crate::kernel::panel;
use crate::kv::KvLine;
use crate::simd::{on, vectors};

/// Dimensions that a head is filled up to.
const STRIP: usize = 16;

/// What the upper of two bytes counts.
const UPPER: f32 = 128.0;

/// The largest query in steps: 127 in the upper byte, nothing in the lower one, which is -64..=64.
const QUERY: f32 = 127.0 * UPPER;

/// The largest weight in steps: 127 in both bytes.
const WEIGHT: f32 = 127.0 * UPPER + 127.0;

/// Pages between what is multiplied and what is asked for: some KiB.
const AHEAD: usize = 4;

/// Lines of the keys (or of the values) of one head in a page; `None` where that is no number.
pub(crate) fn lines(head_dim: usize) -> Option<usize> {
    head_dim.div_ceil(STRIP).checked_mul(4)?.checked_add(1)
}

/// The right factors of a tile, in two bytes.
#[derive(Default)]
pub(crate) struct Factors {
    /// One column's query: its upper bytes, then its lower ones.
    bytes: Vec<i8>,
    /// (head_dim / 4, 2, columns)
    queries: Vec<[i8; 4]>,
    /// (pages, 2, columns)
    weights: Vec<[i8; PAGE]>,
}

/// Rounds rows of keys and values of one token into a page.
///
/// `k` and `v` are the `head_dim` floats of head `head`; `slot` is the token's place in the page.
pub(crate) fn store(
    isa: Isa,
    (k, v): (&[f32], &[f32]),
    (keys, values): (&mut [KvLine], &mut [KvLine]),
    head: usize,
    slot: usize,
    rounded: &mut Vec<i8>,
) {
    rounded.resize(k.len().next_multiple_of(STRIP), 0);
    let size = rounded.len() / 4 + 1;
    let inside = head * size..(head + 1) * size;
    let (keys, values) = (&mut keys[inside.clone()], &mut values[inside]);
    let Some((scales, lines)) = keys.split_last_mut() else { return };
    scales.floats_mut()[slot] = on!(isa, round(k, rounded));
    for (line, quad) in lines.iter_mut().zip(rounded.as_chunks::<4>().0) {
        line.quads_mut()[slot] = *quad;
    }
    let Some((scales, lines)) = values.split_last_mut() else { return };
    scales.floats_mut()[slot] = on!(isa, round(v, rounded));
    for (strip, v) in lines.as_chunks_mut::<4>().0.iter_mut().zip(rounded.as_chunks::<STRIP>().0) {
        for (quad, v) in strip[slot / 4].quads_mut().iter_mut().zip(v) {
            quad[slot % 4] = *v;
        }
    }
}

/// The pages of a span's head.
fn of_head<'a>(span: &Span<'_>, pages: &[&'a [KvLine]]) -> Vec<&'a [KvLine]> {
    let size = span.head_dim.next_multiple_of(STRIP) / 4 + 1;
    let inside = span.head * size..(span.head + 1) * size;
    pages.iter().map(|page| &page[inside.clone()]).collect()
}

/// Scores of all tokens of a span, (columns, tokens).
pub(super) fn scores(
    isa: Isa,
    columns: &[&[f32]],
    span: &Span<'_>,
    factors: &mut Factors,
    scores: &mut [f32],
) {
    let n = columns.len();
    let dim = span.head_dim.next_multiple_of(STRIP);
    let Factors { bytes, queries, .. } = factors;
    bytes.resize(2 * dim, 0);
    queries.resize(dim / 4 * 2 * n, [0; 4]);
    let (mut steps, mut starts) = ([0.0; MAX_COLS], [[0; 2]; MAX_COLS]);
    for (j, q) in columns.iter().enumerate() {
        let (upper, lower) = bytes.split_at_mut(dim);
        steps[j] = on!(isa, split(q, span.scale, upper, lower));
        for (part, bytes) in [upper, lower].into_iter().enumerate() {
            let sum: i32 = bytes.iter().map(|&b| i32::from(b)).sum();
            starts[j][part] = -panel::bias(isa) * sum;
            let to = queries[part * n + j..].iter_mut().step_by(2 * n);
            to.zip(bytes.as_chunks::<4>().0).for_each(|(to, quad)| *to = *quad);
        }
    }
    let keys = of_head(span, span.keys);
    by_count!(isa, n, scores(queries, &steps, &starts, &keys, scores));
}

/// Values weighted by scores, (columns, head_dim). The scores are used up.
pub(super) fn sums(
    isa: Isa,
    scores: &mut [f32],
    span: &Span<'_>,
    seen: &[Range<usize>],
    factors: &mut Factors,
    out: &mut [f32],
) {
    let values = of_head(span, span.values);
    let weights = &mut factors.weights;
    weights.resize(values.len() * 2 * seen.len(), [0; PAGE]);
    by_count!(isa, seen.len(), sums(&values, span.head_dim, scores, seen, weights, out));
}

vectors! {
    /// Bytes of `x`, filled up with zeros, and the scale that makes them `x` again.
    pub(super) fn round(x: &[f32], out: &mut [i8]) -> f32 {
        let (largest, odd) = largest(x, 1.0);
        // So small that the inverse is infinite is as good as zero.
        let inverse = Some(127.0 / largest).filter(|i| i.is_finite()).unwrap_or(0.0);
        let (out, filling) = out.split_at_mut(x.len());
        let (xs, x_rest) = x.as_chunks::<{ v::LANES }>();
        let (outs, out_rest) = out.as_chunks_mut::<{ v::LANES }>();
        for (x, out) in xs.iter().zip(outs) {
            v::round_to_i8(v::mul(v::load(x), v::splat(inverse)), out);
        }
        for (x, out) in x_rest.iter().zip(out_rest) {
            *out = (x * inverse).round_ties_even() as i8;
        }
        filling.fill(0);
        largest / 127.0 + odd
    }

    /// The largest magnitude of `x * scale`, and zero; or NaN for zero where one is no number, which
    /// a comparison would not see.
    #[inline]
    fn largest(x: &[f32], scale: f32) -> (f32, f32) {
        let (chunks, rest) = x.as_chunks::<{ v::LANES }>();
        let (mut most, mut odd) = (v::zero(), v::zero());
        for c in chunks {
            let c = v::mul(v::load(c), v::splat(scale));
            most = v::max(v::max(c, v::sub(v::zero(), c)), most);
            odd = v::mul_add(c, v::zero(), odd);
        }
        let of_rest = rest.iter().map(|x| x * scale);
        let most = of_rest.clone().fold(v::peak(most), |m, x| m.max(x.abs()));
        (most, of_rest.fold(v::sum(odd), |odd, x| odd + x * 0.0))
    }

    /// The nearest whole numbers of floats below four million.
    #[inline]
    fn whole(x: v::F32) -> v::F32 {
        // From here on, neighbouring floats are one apart.
        let far = v::splat(12_582_912.0);
        v::sub(v::add(x, far), far)
    }

    /// A query times `scale` in two bytes, filled up with zeros, and its step.
    pub(super) fn split(x: &[f32], scale: f32, upper: &mut [i8], lower: &mut [i8]) -> f32 {
        let (largest, odd) = largest(x, scale);
        let inverse = Some(QUERY / largest).filter(|i| i.is_finite()).unwrap_or(0.0);
        upper.fill(0);
        lower.fill(0);
        let (uppers, _) = upper.as_chunks_mut::<{ v::LANES }>();
        let (lowers, _) = lower.as_chunks_mut::<{ v::LANES }>();
        for (x, (upper, lower)) in x.chunks(v::LANES).zip(uppers.iter_mut().zip(lowers)) {
            let mut chunk = [0.0; v::LANES];
            chunk[..x.len()].copy_from_slice(x);
            let x = v::mul(v::mul(v::load(&chunk), v::splat(scale)), v::splat(inverse));
            let x = whole(x);
            let over = whole(v::mul(x, v::splat(1.0 / UPPER)));
            v::round_to_i8(over, upper);
            v::round_to_i8(v::mul_add(over, v::splat(-UPPER), x), lower);
        }
        largest / QUERY + odd
    }

    pub(super) fn scores<const N: usize>(
        q: &[[i8; 4]],
        steps: &[f32; MAX_COLS],
        starts: &[[i32; 2]; MAX_COLS],
        keys: &[&[KvLine]],
        scores: &mut [f32],
    ) {
        let (q, _) = q.as_chunks::<N>();
        let (q, _) = q.as_chunks::<2>();
        // Sums wait for themselves: as many at once as there are registers for.
        let most = v::LANES.max(8);
        if N * 2 * 4 <= most {
            scores_of::<N, 4>(q, steps, starts, keys, scores);
        } else if N * 2 * 2 <= most {
            scores_of::<N, 2>(q, steps, starts, keys, scores);
        } else {
            scores_of::<N, 1>(q, steps, starts, keys, scores);
        }
    }

    /// Scores, with `S` sums for each column and part.
    #[inline]
    fn scores_of<const N: usize, const S: usize>(
        q: &[[[[i8; 4]; N]; 2]],
        steps: &[f32; MAX_COLS],
        starts: &[[i32; 2]; MAX_COLS],
        keys: &[&[KvLine]],
        scores: &mut [f32],
    ) {
        let tokens = keys.len() * PAGE;
        let (q, _) = q.as_chunks::<S>();
        for (p, page) in keys.iter().enumerate() {
            // Pages lie anywhere: no prefetcher of the machine finds the next ones.
            let ahead = keys.get(p + AHEAD).unwrap_or(page);
            let [lines @ .., scales] = *page else { continue };
            for i in 0..PAGE / v::LANES {
                let mut acc = [[[v::isplat(0); 2]; N]; S];
                for j in 0..N {
                    acc[0][j] = [v::isplat(starts[j][0]), v::isplat(starts[j][1])];
                }
                let groups = lines.as_chunks::<S>().0.iter().zip(ahead.as_chunks::<S>().0);
                for ((lines, ahead), q) in groups.zip(q) {
                    for s in 0..S {
                        if i == 0 {
                            v::prefetch((&raw const ahead[s]).cast());
                        }
                        let line: &[i8; 4 * v::LANES] = &lines[s].bytes()[i];
                        let k = v::biased(bytemuck::cast_ref(line));
                        for j in 0..N {
                            for part in 0..2 {
                                acc[s][j][part] = v::dot4(acc[s][j][part], k, q[s][part][j]);
                            }
                        }
                    }
                }
                if let (0, Some(scales)) = (i, ahead.last()) {
                    v::prefetch((&raw const *scales).cast());
                }
                let scales = v::load(&scales.floats().as_chunks().0[i]);
                for j in 0..N {
                    let mut sum = [v::zero(); 2];
                    for acc in &acc {
                        for part in 0..2 {
                            sum[part] = v::add(sum[part], v::to_f32(acc[j][part]));
                        }
                    }
                    let sum = v::mul_add(sum[0], v::splat(UPPER), sum[1]);
                    let to = &mut scores[j * tokens + p * PAGE + i * v::LANES..][..v::LANES];
                    let score = v::mul(sum, v::mul(scales, v::splat(steps[j])));
                    v::store(score, to.as_chunks_mut().0.first_mut().expect("a vector"));
                }
            }
        }
    }

    /// One column's scores times the scales of the values, in two bytes each, and their step.
    #[inline]
    fn weigh<const N: usize>(
        j: usize,
        values: &[&[KvLine]],
        scores: &mut [f32],
        seen: &Range<usize>,
        weights: &mut [[[[i8; PAGE]; N]; 2]],
    ) -> f32 {
        let (pages, _) = scores.as_chunks_mut::<PAGE>();
        for (page, values) in pages.iter_mut().zip(values) {
            let Some(scales) = values.last() else { continue };
            let (scales, _) = scales.floats().as_chunks::<{ v::LANES }>();
            for (x, scale) in page.as_chunks_mut().0.iter_mut().zip(scales) {
                v::store(v::mul(v::load(x), v::load(scale)), x);
            }
        }
        // What lies outside was there before, and zero times that may be no number.
        scores[..seen.start].fill(0.0);
        scores[seen.end..].fill(0.0);
        let (largest, odd) = largest(scores, 1.0);
        let inverse = Some(WEIGHT / largest).filter(|i| i.is_finite()).unwrap_or(0.0);
        let (pages, _) = scores.as_chunks::<PAGE>();
        for (x, [upper, lower]) in pages.iter().zip(weights) {
            let (upper, _) = upper[j].as_chunks_mut::<{ v::LANES }>();
            let (lower, _) = lower[j].as_chunks_mut::<{ v::LANES }>();
            for (x, (upper, lower)) in x.as_chunks().0.iter().zip(upper.iter_mut().zip(lower)) {
                let x = whole(v::mul(v::load(x), v::splat(inverse)));
                // Rounded down: the middle of what has the same upper byte goes to that byte.
                let over = v::mul_add(x, v::splat(1.0 / UPPER), v::splat(-63.5 / UPPER));
                let over = whole(over);
                v::round_to_i8(over, upper);
                v::round_to_i8(v::mul_add(over, v::splat(-UPPER), x), lower);
            }
        }
        largest / WEIGHT + odd
    }

    pub(super) fn sums<const N: usize>(
        values: &[&[KvLine]],
        dim: usize,
        scores: &mut [f32],
        seen: &[Range<usize>],
        weights: &mut [[i8; PAGE]],
        out: &mut [f32],
    ) {
        let tokens = values.len() * PAGE;
        let (weights, _) = weights.as_chunks_mut::<N>();
        let (weights, _) = weights.as_chunks_mut::<2>();
        let mut steps = [0.0; N];
        for (j, (scores, seen)) in scores.chunks_exact_mut(tokens).zip(seen).enumerate() {
            steps[j] = weigh::<N>(j, values, scores, seen, weights);
        }
        let vectors = dim.div_ceil(STRIP) * (STRIP / v::LANES);
        let most = v::LANES.max(8);
        let mut at = 0;
        while at < vectors {
            let left = vectors - at;
            if left >= 4 && N * 2 * 4 <= most {
                weighted::<N, 4>(values, dim, at, weights, &steps, out);
                at += 4;
            } else if left >= 2 && N * 2 * 2 <= most {
                weighted::<N, 2>(values, dim, at, weights, &steps, out);
                at += 2;
            } else {
                weighted::<N, 1>(values, dim, at, weights, &steps, out);
                at += 1;
            }
        }
    }

    /// Values times weights, for `C` vectors of dimensions from vector `at` on.
    #[inline]
    fn weighted<const N: usize, const C: usize>(
        values: &[&[KvLine]],
        dim: usize,
        at: usize,
        weights: &[[[[i8; PAGE]; N]; 2]],
        steps: &[f32; N],
        out: &mut [f32],
    ) {
        let mut acc = [[[v::isplat(0); 2]; N]; C];
        for (p, (page, weights)) in values.iter().zip(weights).enumerate() {
            let ahead = values.get(p + AHEAD).unwrap_or(page);
            for (c, acc) in acc.iter_mut().enumerate() {
                let from = (at + c) * v::LANES;
                let (strip, i) = (from / STRIP, from % STRIP / v::LANES);
                let inside = strip * 4..strip * 4 + 4;
                let lines = page[inside.clone()].iter().zip(&ahead[inside]);
                for (quad, (line, ahead)) in lines.enumerate() {
                    if i == 0 {
                        v::prefetch((&raw const *ahead).cast());
                    }
                    let line = v::quads(&line.bytes()[i]);
                    for j in 0..N {
                        for part in 0..2 {
                            let four = weights[part][j].as_chunks::<4>().0[quad];
                            acc[j][part] = v::dot4_counts(acc[j][part], line, four);
                        }
                    }
                }
            }
        }
        for (j, out) in out.chunks_exact_mut(dim).enumerate() {
            for (c, acc) in acc.iter().enumerate() {
                let (upper, lower) = (v::to_f32(acc[j][0]), v::to_f32(acc[j][1]));
                let sum = v::mul(v::mul_add(upper, v::splat(UPPER), lower), v::splat(steps[j]));
                let mut chunk = [0.0; v::LANES];
                v::store(sum, &mut chunk);
                let out = &mut out[dim.min((at + c) * v::LANES)..];
                let len = out.len().min(v::LANES);
                out[..len].copy_from_slice(&chunk[..len]);
            }
        }
    }
}
