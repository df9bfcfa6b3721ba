//! bf16 weights times many columns, where the machine multiplies pairs of bf16.
//!
//! The same panels and tiles as in `float_product`, half as large: a line is a pair of each row's
//! weights. Activations are rounded to bf16, as they are there. Elsewhere, and for few columns,
//! `float_product` widens the weights and multiplies floats.

use crate::isa::Isa;
use crate::quant::MAX_BLOCK;
use crate::simd::{on, vectors};

/// Whether pairs can be multiplied on this machine with this instruction set.
pub(crate) fn is_available(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa == Isa::Avx512 && crate::simd::avx512_bf16::is_available();
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        false
    }
}

/// Rows of weights turned for the outer product.
#[derive(Default)]
pub(crate) struct PairPanel {
    /// (pairs, LANES, 2) bf16, as bytes.
    lines: Vec<i8>,
}

impl PairPanel {
    /// Turns up to LANES weight rows; missing ones, and the partner of an odd column, are zeros.
    pub(crate) fn unpack(&mut self, isa: Isa, weights: &[u8], row_bytes: usize, lanes: usize) {
        self.lines.resize(row_bytes.div_ceil(4) * 4 * lanes, 0);
        on!(isa, turn(weights, row_bytes, &mut self.lines));
    }

    /// The products with `n` columns packed by [`pack_pairs`]: `out` is (n, LANES).
    pub(crate) fn times(&self, isa: Isa, x: &[[u16; 2]], n: usize, out: &mut [f32]) {
        assert!(is_available(isa), "pairs of bf16 are not multiplied on {isa}");
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::avx512_bf16::outer;
            // SAFETY: the instruction was found on this machine, by the assertion above.
            unsafe {
                match n {
                    12 => outer::<12>(&self.lines, x, out),
                    8 => outer::<8>(&self.lines, x, out),
                    4 => outer::<4>(&self.lines, x, out),
                    2 => outer::<2>(&self.lines, x, out),
                    1 => outer::<1>(&self.lines, x, out),
                    n => unreachable!("a tile of {n} columns"),
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (x, n, out);
    }
}

/// Turns rows of `width` into (width / 2, rows) pairs of bf16.
pub(crate) fn pack_pairs(x: &[f32], width: usize, out: &mut Vec<[u16; 2]>) {
    let n = x.len() / width;
    out.resize(width.div_ceil(2) * n, [0; 2]);
    let round = |x: f32| half::bf16::from_f32(x).to_bits();
    for (j, x) in x.chunks_exact(width).enumerate() {
        let (pairs, odd) = x.as_chunks::<2>();
        let odd = odd.iter().map(|&x| [round(x), 0]);
        let pairs = pairs.iter().map(|&[a, b]| [round(a), round(b)]).chain(odd);
        for (to, pair) in out.chunks_exact_mut(n).zip(pairs) {
            to[j] = pair;
        }
    }
}

vectors! {
    pub(super) fn turn(weights: &[u8], row_bytes: usize, panel: &mut [i8]) {
        let mut rows = [[0i8; MAX_BLOCK]; v::LANES];
        let mut turned = [[0i8; 4 * v::LANES]; v::LANES];
        let (panel, _) = panel.as_chunks_mut::<{ 4 * v::LANES }>();
        for (n, lines) in panel.chunks_mut(MAX_BLOCK / 4).enumerate() {
            for (to, row) in rows.iter_mut().zip(weights.chunks_exact(row_bytes)) {
                let from = &row[n * MAX_BLOCK..row.len().min((n + 1) * MAX_BLOCK)];
                to[..from.len()].copy_from_slice(bytemuck::cast_slice(from));
                to[from.len()..].fill(0);
            }
            for (s, lines) in lines.chunks_mut(v::LANES).enumerate() {
                v::lines(&rows, 4 * v::LANES * s, &mut turned);
                for (to, from) in lines.iter_mut().zip(&turned) {
                    // `lines` adds the bias of bytes, which these are not.
                    *to = from.map(|b| b.wrapping_sub(v::BIAS as i8));
                }
            }
        }
    }
}
