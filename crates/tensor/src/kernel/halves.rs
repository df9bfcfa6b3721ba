//! An output head in halves (`layout/halves.rs`): all of it times any number of columns, and a
//! coarse reading that says which groups of rows can hold the likeliest.
//!
//! [`times`] puts a byte together from its halves and multiplies as `interleaved` does with Q8_0: the
//! same integers, scaled and summed in the same order, so the same bits.
//!
//! [`screen`] reads the upper halves alone. A weight is `q = 16 (h - 8) + l`, with `h` and `l` in
//! 0..=15, so a block's part of a logit is
//!
//! ```text
//! d dx Σ q x  =  d dx (16 Σ (h - 8) x + 7.5 Σ x)  +  d dx Σ (l - 7.5) x
//!                what is read                        at most d dx ‖l - 7.5‖ ‖x‖, by Cauchy and Schwarz
//! ```
//!
//! where x are the column's integers and dx their scale, and ‖l - 7.5‖ is at most the block's span. The
//! sum of these bounds is a row's *reach*: its logit stands within reach of what was read.
//!
//! Rounding is within reach too. Let P be the sum of d dx ‖x‖ over the B blocks. A span is at least
//! √32 / 2, so P is at most reach / 2.82. Neither sum has terms of more than 767 P altogether (|q| ≤ 128
//! gives 724, the middles 43), integers below 2²⁴ are exact, and a sum of n rounded terms is off by at
//! most (n + 2) 2⁻²⁴ of them; both have at most 2 B + 2 and 6 B + 2 roundings, and adding the reach is
//! one more: together under (8 B + 5) 2⁻²⁴ · 1.01 · 273 · reach < (B + 1) · 1.5 · 10⁻⁴ · reach, which
//! [`slack`] adds.

use crate::isa::Isa;
use crate::kernel::activation::Tile;
use crate::layout::halves::{SPAN, UPPER};
use crate::simd::{on, vectors};

/// Bytes of a block of Q8_0.
const BLOCK: usize = 34;

/// What a column's block contributes to coarse sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// The scale of sixteen steps.
    step: f32,
    /// Seven and a half times the sum of the integers, scaled.
    middle: f32,
    /// The length of the scaled integers, times the unit of a span.
    length: f32,
}

/// The terms of a tile's only column.
pub(crate) fn terms(x: &Tile, out: &mut Vec<Term>) {
    out.clear();
    out.extend(x.q.as_chunks::<32>().0.iter().zip(&x.scale).map(|(q, scale)| {
        let sum: i32 = q.iter().map(|&q| i32::from(q)).sum();
        let square: i32 = q.iter().map(|&q| i32::from(q).pow(2)).sum();
        Term {
            step: 16.0 * scale,
            middle: 7.5 * sum as f32 * scale,
            length: SPAN * scale * (square as f32).sqrt(),
        }
    }));
}

/// What reaches are multiplied with, so that rounding is within them.
pub(crate) fn slack(blocks: usize) -> f32 {
    1.0 + (blocks + 1) as f32 * 1.5e-4
}

/// Multiplies whole groups of rows with a tile's columns: `out` is (groups, columns, LANES).
pub(crate) fn times(isa: Isa, weights: &[u8], row_bytes: usize, x: &Tile, out: &mut [f32]) {
    macro_rules! by_count {
        ($($n:literal)*) => {
            match x.count {
                $($n => on!(isa, times_halves::<$n>(weights, row_bytes, x, out)),)*
                n => unreachable!("a tile of {n} columns"),
            }
        };
    }
    by_count!(1 2 3 4 5 6 7 8 12);
}

/// For each group, between what and what the largest of its logits lies. What cannot be bounded lies
/// between minus infinity and infinity.
pub(crate) fn screen(
    isa: Isa,
    weights: &[u8],
    row_bytes: usize,
    (x, terms): (&Tile, &[Term]),
    spans: &[u8],
    out: &mut [[f32; 2]],
) {
    on!(isa, screen_halves(weights, row_bytes, x, terms, spans, out));
}

vectors! {
    pub(super) fn times_halves<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (quads, scales) = (x.quads::<N>(), x.scales::<N>());
        let (starts, _) = x.start32.as_chunks::<N>();
        let groups = weights.chunks_exact(v::LANES * row_bytes);
        for (group, out) in groups.zip(out.chunks_exact_mut(N * v::LANES)) {
            let mut acc = [v::zero(); N];
            let (upper, lower) = group.split_at(row_bytes / BLOCK * UPPER * v::LANES);
            let blocks = upper.as_chunks::<{ UPPER * v::LANES }>().0.iter();
            let (lower, _) = lower.as_chunks::<{ 4 * v::LANES }>().0.as_chunks::<4>();
            let of_blocks = quads.as_chunks::<8>().0.iter().zip(scales).zip(starts);
            for ((block, lower), ((quads, x_scale), starts)) in blocks.zip(lower).zip(of_blocks) {
                let (scale, upper) = block.split_at(2 * v::LANES);
                let (upper, _) = upper.as_chunks::<{ 4 * v::LANES }>();
                let mut sums: [_; N] = std::array::from_fn(|j| v::isplat(starts[j]));
                for (i, (upper, lower)) in upper.iter().zip(lower).enumerate() {
                    // Both parts of the next group, which is a group ahead.
                    v::prefetch(upper.as_ptr().wrapping_add(group.len()));
                    v::prefetch(lower.as_ptr().wrapping_add(group.len()));
                    let (first, second) = v::joined(upper, lower);
                    for j in 0..N {
                        sums[j] = v::dot4(sums[j], first, quads[i][j]);
                        sums[j] = v::dot4(sums[j], second, quads[4 + i][j]);
                    }
                }
                let scale = v::halves(scale.try_into().expect("LANES halves"));
                for j in 0..N {
                    let both = v::mul(scale, v::splat(x_scale[j]));
                    acc[j] = v::mul_add(v::to_f32(sums[j]), both, acc[j]);
                }
            }
            for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<{ v::LANES }>().0) {
                v::store(acc, out);
            }
        }
    }

    pub(super) fn screen_halves(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        terms: &[Term],
        spans: &[u8],
        out: &mut [[f32; 2]],
    ) {
        let (quads, starts) = (x.quads::<1>(), x.starts_q4_0::<1>());
        let blocks = row_bytes / BLOCK;
        let slack = v::splat(slack(blocks));
        let groups = weights.chunks_exact(v::LANES * row_bytes).zip(spans.chunks_exact(blocks));
        for ((group, spans), out) in groups.zip(out) {
            let (mut value, mut reach) = (v::zero(), v::zero());
            let (upper, _) = group.split_at(blocks * UPPER * v::LANES);
            let of_blocks = quads.as_chunks::<8>().0.iter().zip(starts).zip(terms).zip(spans);
            for (block, (((quads, start), term), span)) in
                upper.as_chunks::<{ UPPER * v::LANES }>().0.iter().zip(of_blocks)
            {
                let (scale, lines) = block.split_at(2 * v::LANES);
                // Two chains of products: one would be longer than a block takes to be read.
                let starts = [v::isplat(start[0]), v::isplat(0)];
                let mut runs = [v::open(starts[0]), v::open(starts[1])];
                for (i, line) in lines.as_chunks::<{ 4 * v::LANES }>().0.iter().enumerate() {
                    v::prefetch(line.as_ptr().wrapping_add(group.len()));
                    runs[0] = v::dot4_small(runs[0], v::low_nibbles(line), quads[i][0]);
                    runs[1] = v::dot4_small(runs[1], v::high_nibbles(line), quads[4 + i][0]);
                }
                let scale = v::halves(scale.try_into().expect("LANES halves"));
                let step = v::mul(scale, v::splat(term.step));
                value = v::mul_add(v::to_f32(v::close(starts[0], runs[0])), step, value);
                value = v::mul_add(v::to_f32(v::close(starts[1], runs[1])), step, value);
                value = v::mul_add(scale, v::splat(term.middle), value);
                reach = v::mul_add(scale, v::splat(term.length * f32::from(*span)), reach);
            }
            let reach = v::mul(reach, slack);
            let bounds = [v::sub(value, reach), v::add(value, reach)];
            let [mut least, mut most] = [[0.0; v::LANES]; 2];
            v::store(bounds[0], &mut least);
            v::store(bounds[1], &mut most);
            let number = least.iter().chain(&most).all(|bound| bound.is_finite());
            let peak = |of: &[f32; v::LANES]| of.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            *out = if number { [peak(&least), peak(&most)] } else { [f32::NEG_INFINITY, f32::INFINITY] };
        }
    }
}
