//! Activations as bytes: the right factor of every quantised product.
//!
//! Weights stored in blocks of 32 are multiplied by activations with one scale for each 32;
//! weights in blocks of 256 by activations with one scale for each 256. These are the numerics of
//! ggml (its Q8_0 and Q8_K), kept so that a model gives the same answers here and there: the
//! scale of 32 and its sum are rounded to half precision, the scale of 256 carries the sign of
//! the largest.

use crate::isa::Isa;
use crate::kernel::panel;
use crate::quant::Format;
use crate::simd::{on, vectors};

/// How many activations share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// One scale for 32.
    By32,
    /// One scale for 256.
    By256,
}

impl Scaling {
    /// What the weights of a format are multiplied by.
    pub(crate) const fn of<F: Format>() -> Scaling {
        if F::BLOCK == 256 { Scaling::By256 } else { Scaling::By32 }
    }
}

/// Quantised activations, row by row.
#[derive(Default)]
pub(crate) struct Quantised {
    pub(crate) width: usize,
    /// (count, width); never -128.
    pub(crate) q: Vec<i8>,
    /// (count, width / 32)
    pub(crate) scale: Vec<f32>,
    /// (count, width / 32): the sum of the integers of each 32.
    pub(crate) sum: Vec<i32>,
    /// (count, width / 16): scale times the sum of the integers of each 16; for scales of 32,
    /// that of all 32 and then zero.
    pub(crate) weighted: Vec<f32>,
}

impl Quantised {
    /// Makes room for `count` rows of `width`, whole groups of 32.
    pub(crate) fn reset(&mut self, count: usize, width: usize) {
        assert!(width.is_multiple_of(32), "rows of {width} are not whole groups of 32");
        self.width = width;
        self.q.resize(count * width, 0);
        self.scale.resize(count * width / 32, 0.0);
        self.sum.resize(count * width / 32, 0);
        self.weighted.resize(count * width / 16, 0.0);
    }
}

/// Quantises one row into the four slices of a row of [`Quantised`].
pub(crate) fn quantise(
    isa: Isa,
    scaling: Scaling,
    x: &[f32],
    q: &mut [i8],
    scale: &mut [f32],
    sum: &mut [i32],
    weighted: &mut [f32],
) {
    match scaling {
        Scaling::By32 => {
            for (((x, q), scale), (sum, weighted)) in (x.as_chunks::<32>().0.iter())
                .zip(q.as_chunks_mut::<32>().0)
                .zip(scale)
                .zip(sum.iter_mut().zip(weighted.as_chunks_mut::<2>().0))
            {
                let largest = on!(isa, largest(x));
                // So small that the inverse is infinite is as good as zero.
                let inverse = Some(127.0 / largest).filter(|i| i.is_finite()).unwrap_or(0.0);
                let step = largest / 127.0;
                *scale = half::f16::from_f32(step).to_f32();
                on!(isa, scale_and_sum(x, inverse, step, q, sum, weighted));
                // Blocks of 32 with an offset want the sum of all 32, and ggml keeps it as a half.
                let whole = half::f16::from_f32(step * *sum as f32).to_f32();
                *weighted = [whole, 0.0];
            }
        }
        Scaling::By256 => {
            for (((x, q), scale), (sum, weighted)) in (x.chunks(256))
                .zip(q.chunks_mut(256))
                .zip(scale.chunks_mut(8))
                .zip(sum.chunks_mut(8).zip(weighted.chunks_mut(16)))
            {
                let largest = on!(isa, largest(x));
                // Of two that are equally far from zero, the first decides the sign.
                let signed = x.iter().copied().find(|x| x.abs() == largest).unwrap_or(largest);
                let inverse = Some(-127.0 / signed).filter(|i| i.is_finite()).unwrap_or(0.0);
                let step = if inverse == 0.0 { 0.0 } else { 1.0 / inverse };
                scale.fill(step);
                for ((x, q), (sum, weighted)) in (x.as_chunks::<32>().0.iter())
                    .zip(q.as_chunks_mut::<32>().0)
                    .zip(sum.iter_mut().zip(weighted.as_chunks_mut::<2>().0))
                {
                    on!(isa, scale_and_sum(x, inverse, step, q, sum, weighted));
                }
            }
        }
    }
}

vectors! {
    #[inline]
    pub(super) fn largest(x: &[f32]) -> f32 {
        let (chunks, rest) = x.as_chunks::<{ v::LANES }>();
        let mut most = v::zero();
        for c in chunks {
            let c = v::load(c);
            most = v::max(v::max(c, v::sub(v::zero(), c)), most);
        }
        rest.iter().fold(v::peak(most), |m, x| m.max(x.abs()))
    }

    #[inline]
    pub(super) fn scale_and_sum(
        x: &[f32; 32],
        inverse: f32,
        scale: f32,
        q: &mut [i8; 32],
        sum: &mut i32,
        weighted: &mut [f32; 2],
    ) {
        let factor = v::splat(inverse);
        let (xs, _) = x.as_chunks::<{ v::LANES }>();
        let (qs, _) = q.as_chunks_mut::<{ v::LANES }>();
        for (x, q) in xs.iter().zip(qs) {
            v::round_to_i8(v::mul(v::load(x), factor), q);
        }
        let (halves, _) = q.as_chunks::<16>();
        let low: i32 = halves[0].iter().map(|&q| i32::from(q)).sum();
        let high: i32 = halves[1].iter().map(|&q| i32::from(q)).sum();
        *sum = low + high;
        *weighted = [scale * low as f32, scale * high as f32];
    }
}

/// Columns of activations packed for panels and interleaved rows: a few rows of [`Quantised`], turned so that the
/// four bytes that meet a panel line lie beside those of the next column.
#[derive(Default)]
pub(crate) struct Tile {
    /// Columns, 1..=COLS.
    pub(crate) count: usize,
    /// (width / 4, count, 4)
    pub(crate) q: Vec<i8>,
    /// (width / 32, count)
    pub(crate) scale: Vec<f32>,
    /// (width / 16, count): what the sums of products of each 16 begin with, which is the sum of
    /// the integers times minus the panels' bias.
    pub(crate) start16: Vec<i32>,
    /// (width / 32, count): the same of each 32.
    pub(crate) start32: Vec<i32>,
    /// (width / 32, count): the sum of each 32 integers times -8, the zero point of Q4_0.
    start_q4_0: Vec<i32>,
    /// (width / 32, count): the same times -16, the zero point of Q5_0.
    start_q5_0: Vec<i32>,
    /// (width / 16, count): that of each 16 times -32, the zero point of Q6_K.
    start_q6_k: Vec<i32>,
    /// (width / 16, count): scale times the sum of the integers of each 16.
    pub(crate) sums16: Vec<f32>,
    /// (width / 32, count): the same of each 32.
    pub(crate) sums32: Vec<f32>,
}

impl Tile {
    /// Four bytes of each of `N` columns, for each four rows of weights.
    #[inline(always)]
    pub(crate) fn quads<const N: usize>(&self) -> &[[[i8; 4]; N]] {
        self.q.as_chunks::<4>().0.as_chunks::<N>().0
    }

    /// The scales of `N` columns, for each 32.
    #[inline(always)]
    pub(crate) fn scales<const N: usize>(&self) -> &[[f32; N]] {
        self.scale.as_chunks::<N>().0
    }

    /// What sums of Q4_0 begin with, for each 32.
    #[inline(always)]
    pub(crate) fn starts_q4_0<const N: usize>(&self) -> &[[i32; N]] {
        self.start_q4_0.as_chunks::<N>().0
    }

    /// What sums of Q5_0 begin with, for each 32.
    #[inline(always)]
    pub(crate) fn starts_q5_0<const N: usize>(&self) -> &[[i32; N]] {
        self.start_q5_0.as_chunks::<N>().0
    }

    /// What sums of Q6_K begin with, for each 16.
    #[inline(always)]
    pub(crate) fn starts_q6_k<const N: usize>(&self) -> &[[i32; N]] {
        self.start_q6_k.as_chunks::<N>().0
    }

    /// Quantises rows `x` (each `width` wide) and packs them.
    pub(crate) fn pack(
        &mut self,
        isa: Isa,
        scaling: Scaling,
        x: &[f32],
        width: usize,
        row: &mut Quantised,
    ) {
        let count = x.len() / width;
        self.count = count;
        self.q.resize(width * count, 0);
        self.scale.resize(width / 32 * count, 0.0);
        self.start16.resize(width / 16 * count, 0);
        self.start32.resize(width / 32 * count, 0);
        self.start_q6_k.resize(width / 16 * count, 0);
        self.start_q4_0.resize(width / 32 * count, 0);
        self.start_q5_0.resize(width / 32 * count, 0);
        self.sums16.resize(width / 16 * count, 0.0);
        self.sums32.resize(width / 32 * count, 0.0);
        row.reset(1, width);
        let bias = panel::bias(isa);
        for (j, x) in x.chunks_exact(width).enumerate() {
            let Quantised { q, scale, sum, weighted, .. } = row;
            quantise(isa, scaling, x, q, scale, sum, weighted);
            let (quads, _) = q.as_chunks::<4>();
            let (out, _) = self.q.as_chunks_mut::<4>();
            for (k, quad) in quads.iter().enumerate() {
                out[k * count + j] = *quad;
            }
            for (k, &scale) in scale.iter().enumerate() {
                self.scale[k * count + j] = scale;
            }
            for (k, [low, high]) in weighted.as_chunks::<2>().0.iter().enumerate() {
                self.sums16[2 * k * count + j] = *low;
                self.sums16[(2 * k + 1) * count + j] = *high;
                self.sums32[k * count + j] = low + high;
            }
            for (k, (part, sum)) in q.as_chunks::<32>().0.iter().zip(&*sum).enumerate() {
                let low: i32 = part[..16].iter().map(|&q| i32::from(q)).sum();
                self.start16[2 * k * count + j] = -bias * low;
                self.start16[(2 * k + 1) * count + j] = -bias * (sum - low);
                self.start32[k * count + j] = -bias * sum;
                self.start_q6_k[2 * k * count + j] = -32 * low;
                self.start_q6_k[(2 * k + 1) * count + j] = -32 * (sum - low);
                self.start_q4_0[k * count + j] = -8 * sum;
                self.start_q5_0[k * count + j] = -16 * sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(isa: Isa, scaling: Scaling, x: &[f32]) -> Quantised {
        let mut out = Quantised::default();
        out.reset(1, x.len());
        let Quantised { q, scale, sum, weighted, .. } = &mut out;
        quantise(isa, scaling, x, q, scale, sum, weighted);
        out
    }

    #[test]
    fn bytes_times_scale_are_close_to_the_floats() {
        let x: Vec<f32> = (0..512).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        for scaling in [Scaling::By32, Scaling::By256] {
            let judge = row(Isa::Scalar, scaling, &x);
            for (i, x) in x.iter().enumerate() {
                let got = f32::from(judge.q[i]) * judge.scale[i / 32];
                assert!(
                    (got - x).abs() <= 0.51 * judge.scale[i / 32].abs() + 1e-3,
                    "{i}: {got} {x}"
                );
                assert_ne!(judge.q[i], -128);
            }
            for isa in Isa::available() {
                let got = row(isa, scaling, &x);
                assert_eq!(got.q, judge.q, "{isa}");
                assert_eq!(got.scale, judge.scale, "{isa}");
                assert_eq!(got.sum, judge.sum, "{isa}");
                assert_eq!(got.weighted, judge.weighted, "{isa}");
            }
        }
    }

    #[test]
    fn the_smallest_floats_are_zeros() {
        for isa in Isa::available() {
            for scaling in [Scaling::By32, Scaling::By256] {
                let got = row(isa, scaling, &[-1e-40; 256]);
                assert!(got.q.iter().all(|&q| q == 0), "{isa} {scaling:?}");
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for isa in Isa::available() {
            for scaling in [Scaling::By32, Scaling::By256] {
                let got = row(isa, scaling, &[0.0; 256]);
                assert!(got.q.iter().all(|&q| q == 0));
                assert!(got.scale.iter().all(|&s| s == 0.0));
            }
        }
    }
}
