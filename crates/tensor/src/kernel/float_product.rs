//! 16- and 32-bit float weights times float activations.
//!
//! The same two ways as `rows` and `panel`: rows for few columns, panels for many. Weights are widened
//! exactly; activations are first rounded to the type of the weights, as ggml does it and as the
//! instructions that multiply sixteen-bit floats will want it.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::quant;
use crate::simd::{on, vectors};

/// Multiplies whole weight rows with `n` (1..=4) activation rows: `out` is (weight rows, n).
pub(crate) fn rows(
    isa: Isa,
    dtype: DType,
    weights: &[u8],
    row_bytes: usize,
    x: &[f32],
    n: usize,
    out: &mut [f32],
) {
    match dtype {
        DType::F32 => rows_f32::rows(isa, weights, row_bytes, x, n, out),
        DType::F16 => rows_f16::rows(isa, weights, row_bytes, x, n, out),
        DType::Bf16 => rows_bf16::rows(isa, weights, row_bytes, x, n, out),
        _ => unreachable!("{dtype} is not a float format"),
    }
}

/// Weight rows widened and turned for the outer product: (width, LANES).
#[derive(Default)]
pub(crate) struct FloatPanel {
    w: Vec<f32>,
    row: Vec<f32>,
}

impl FloatPanel {
    /// Widens up to LANES weight rows; missing ones count as zeros.
    pub(crate) fn unpack(
        &mut self,
        dtype: DType,
        weights: &[u8],
        row_bytes: usize,
        width: usize,
        lanes: usize,
    ) {
        self.w.clear();
        self.w.resize(width * lanes, 0.0);
        self.row.resize(width, 0.0);
        for (r, bytes) in weights.chunks_exact(row_bytes).take(lanes).enumerate() {
            quant::decode(dtype, bytes, &mut self.row);
            for (to, from) in self.w.chunks_exact_mut(lanes).zip(&self.row) {
                to[r] = *from;
            }
        }
    }

    /// The products with `n` columns packed as (width, n): `out` is (n, LANES).
    pub(crate) fn times(&self, isa: Isa, x: &[f32], n: usize, out: &mut [f32]) {
        match n {
            12 => on!(isa, outer::<12>(&self.w, x, out)),
            8 => on!(isa, outer::<8>(&self.w, x, out)),
            4 => on!(isa, outer::<4>(&self.w, x, out)),
            2 => on!(isa, outer::<2>(&self.w, x, out)),
            1 => on!(isa, outer::<1>(&self.w, x, out)),
            n => unreachable!("a tile of {n} columns"),
        }
    }
}

/// What activations are rounded to before they meet weights of a float type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// 32-bit weights: nothing.
    None,
    /// Half precision; what is too large becomes the largest finite half.
    Half,
    /// The upper half of a 32-bit float, to nearest.
    Bf16,
}

impl Rounding {
    pub(crate) fn of(dtype: DType) -> Rounding {
        match dtype {
            DType::F16 => Rounding::Half,
            DType::Bf16 => Rounding::Bf16,
            _ => Rounding::None,
        }
    }

    #[inline]
    pub(crate) fn of_float(self, x: f32) -> f32 {
        match self {
            Rounding::None => x,
            // A clamp would hide what is not a number; this keeps it.
            Rounding::Half if x.abs() > 65504.0 => 65504f32.copysign(x),
            Rounding::Half => half::f16::from_f32(x).to_f32(),
            Rounding::Bf16 => half::bf16::from_f32(x).to_f32(),
        }
    }
}

/// Turns rows of `width` into (width, rows), rounded.
pub(crate) fn pack_columns(x: &[f32], width: usize, rounding: Rounding, out: &mut Vec<f32>) {
    let n = x.len() / width;
    out.resize(x.len(), 0.0);
    for (j, x) in x.chunks_exact(width).enumerate() {
        for (to, from) in out.chunks_exact_mut(n).zip(x) {
            to[j] = rounding.of_float(*from);
        }
    }
}

/// Bytes as the array that the vocabulary's load takes; compiles to nothing.
macro_rules! widen {
    (4, $bytes:expr, $lanes:expr) => {{
        let mut out = [0f32; $lanes];
        for (out, b) in out.iter_mut().zip($bytes.as_chunks::<4>().0) {
            *out = f32::from_le_bytes(*b);
        }
        out
    }};
    (2, $bytes:expr, $lanes:expr) => {{
        let mut out = [Default::default(); $lanes];
        for (out, b) in out.iter_mut().zip($bytes.as_chunks::<2>().0) {
            *out = bytemuck::cast(u16::from_le_bytes(*b));
        }
        out
    }};
}

/// One module a float type: the same body over another load.
macro_rules! rows_of {
    ($name:ident, $bytes:tt, $load:ident, $one:expr) => {
        mod $name {
            use super::*;

            pub(super) fn rows(
                isa: Isa,
                weights: &[u8],
                row_bytes: usize,
                x: &[f32],
                n: usize,
                out: &mut [f32],
            ) {
                on!(isa, some_rows(weights, row_bytes, x, n, out));
            }

            vectors! {
                pub(super) fn some_rows(
                    weights: &[u8],
                    row_bytes: usize,
                    x: &[f32],
                    n: usize,
                    out: &mut [f32],
                ) {
                    let width = row_bytes / $bytes;
                    let outs = out.chunks_exact_mut(n);
                    for (row, out) in weights.chunks_exact(row_bytes).zip(outs) {
                        let (w, w_rest) = row.as_chunks::<{ $bytes * v::LANES }>();
                        for (out, x) in out.iter_mut().zip(x.chunks_exact(width)) {
                            let (x, x_rest) = x.as_chunks::<{ v::LANES }>();
                            let (pairs, odd) = w.as_chunks::<2>();
                            let (x_pairs, x_odd) = x.as_chunks::<2>();
                            let mut acc = [v::zero(); 2];
                            for (w, x) in pairs.iter().zip(x_pairs) {
                                for i in 0..2 {
                                    let w = v::$load(&widen!($bytes, w[i], v::LANES));
                                    acc[i] = v::mul_add(w, v::load(&x[i]), acc[i]);
                                }
                            }
                            for (w, x) in odd.iter().zip(x_odd) {
                                let w = v::$load(&widen!($bytes, w, v::LANES));
                                acc[0] = v::mul_add(w, v::load(x), acc[0]);
                            }
                            let rest = (w_rest.as_chunks::<$bytes>().0.iter().zip(x_rest))
                                .map(|(w, x)| $one(*w) * x)
                                .sum::<f32>();
                            *out = v::sum(v::add(acc[0], acc[1])) + rest;
                        }
                    }
                }
            }
        }
    };
}

rows_of!(rows_f32, 4, load, f32::from_le_bytes);
rows_of!(rows_f16, 2, load_half, |b| quant::half_to_f32(u16::from_le_bytes(b)));
rows_of!(rows_bf16, 2, load_bf16, |b: [u8; 2]| f32::from_bits(
    u32::from(u16::from_le_bytes(b)) << 16
));

vectors! {
    pub(super) fn outer<const N: usize>(panel: &[f32], x: &[f32], out: &mut [f32]) {
        let (lines, _) = panel.as_chunks::<{ v::LANES }>();
        let (xs, _) = x.as_chunks::<N>();
        let mut acc = [v::zero(); N];
        for (line, x) in lines.iter().zip(xs) {
            let line = v::load(line);
            for j in 0..N {
                acc[j] = v::mul_add(line, v::splat(x[j]), acc[j]);
            }
        }
        for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<{ v::LANES }>().0) {
            v::store(acc, out);
        }
    }
}
