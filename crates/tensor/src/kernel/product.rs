//! Quantised weights times quantised activations.
//!
//! Two ways, for few columns and for many:
//!
//! * **Rows.** A weight row is read once as it lies in the file and multiplied with up to four
//!   activation rows. This is decoding: it costs what reading the weights costs.
//! * **Panels.** LANES weight rows are unpacked into a panel, four columns of each row beside
//!   those of the next, and an outer product keeps LANES rows by COLS columns in registers. This
//!   is prompt processing: it costs the multiplications, and unpacking is paid once for all
//!   columns, so that its speed does not depend on the storage format.
//!
//! For a group of weights w = s q + o and activations x = t p (t and p by `activation`):
//! sum w x = s t (sum q p) + o (t sum p). The first bracket is integer arithmetic, the second is
//! known before the weights are read.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::activation::{Quantised, Tile};
use crate::quant::{self, Format, MAX_BLOCK, MAX_GROUPS, with_format};
use crate::simd::{on, vectors};

/// Most columns that the row kernels take at a time.
pub(crate) const ROW_COLS: usize = 4;

/// Rows that share a panel on an instruction set.
pub(crate) fn lanes(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => crate::simd::avx2::LANES,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => crate::simd::avx512::LANES,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => crate::simd::neon::LANES,
        _ => crate::simd::scalar::LANES,
    }
}

/// Columns that a tile holds on an instruction set.
pub(crate) fn cols(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => crate::simd::avx2::COLS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => crate::simd::avx512::COLS,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => crate::simd::neon::COLS,
        _ => crate::simd::scalar::COLS,
    }
}

/// Multiplies whole weight rows with `n` (1..=ROW_COLS) activation rows from `first` on.
///
/// `out` is (weight rows, n).
#[expect(clippy::too_many_arguments, reason = "plain arguments of a hot loop")]
pub(crate) fn rows(
    isa: Isa,
    dtype: DType,
    weights: &[u8],
    row_bytes: usize,
    x: &Quantised,
    first: usize,
    n: usize,
    out: &mut [f32],
) {
    match (dtype, n) {
        (DType::Q4_0, 1) => on!(isa, rows_q4_0::<1>(weights, row_bytes, x, first, out)),
        (DType::Q4_0, 2) => on!(isa, rows_q4_0::<2>(weights, row_bytes, x, first, out)),
        (DType::Q4_0, 3) => on!(isa, rows_q4_0::<3>(weights, row_bytes, x, first, out)),
        (DType::Q4_0, _) => on!(isa, rows_q4_0::<4>(weights, row_bytes, x, first, out)),
        (DType::Q8_0, 1) => on!(isa, rows_q8_0::<1>(weights, row_bytes, x, first, out)),
        (DType::Q8_0, 2) => on!(isa, rows_q8_0::<2>(weights, row_bytes, x, first, out)),
        (DType::Q8_0, 3) => on!(isa, rows_q8_0::<3>(weights, row_bytes, x, first, out)),
        (DType::Q8_0, _) => on!(isa, rows_q8_0::<4>(weights, row_bytes, x, first, out)),
        _ => with_format!(
            dtype,
            F => on!(isa, rows_any::<F>(weights, row_bytes, x, first, n, out)),
            else unreachable!("{dtype} is not a quantised format")
        ),
    }
}

/// Weight rows unpacked for the outer product.
#[derive(Default)]
pub(crate) struct Panel {
    /// (width / 4, LANES, 4), with BIAS added.
    q: Vec<i8>,
    /// (width / GROUP, LANES)
    scale: Vec<f32>,
    /// (width / GROUP, LANES), where the format has offsets.
    offset: Vec<f32>,
}

impl Panel {
    /// Unpacks up to LANES weight rows; missing ones count as zeros.
    pub(crate) fn unpack(
        &mut self,
        isa: Isa,
        dtype: DType,
        weights: &[u8],
        row_bytes: usize,
        width: usize,
    ) {
        with_format!(dtype, F => {
            let lanes = lanes(isa);
            self.q.resize(width * lanes, 0);
            self.scale.resize(width / F::GROUP * lanes, 0.0);
            if F::OFFSET {
                self.offset.resize(width / F::GROUP * lanes, 0.0);
            }
            if weights.len() < lanes * row_bytes {
                self.q.fill(0);
                self.scale.fill(0.0);
                self.offset.fill(0.0);
            }
            let Panel { q, scale, offset } = self;
            on!(isa, unpack_panel::<F>(weights, row_bytes, q, scale, offset))
        }, else unreachable!("{dtype} is not a quantised format"));
    }

    /// The products of the panel's rows with a tile's columns: `out` is (columns, LANES).
    pub(crate) fn times(&self, isa: Isa, dtype: DType, x: &Tile, out: &mut [f32]) {
        // The panels of all formats are alike; what is left of a format is two facts.
        let kind = with_format!(
            dtype,
            F => const { (F::GROUP, F::OFFSET) },
            else unreachable!("{dtype} is not a quantised format")
        );
        match kind {
            (32, false) => self.times_kind::<32, false>(isa, x, out),
            (32, true) => self.times_kind::<32, true>(isa, x, out),
            (_, false) => self.times_kind::<16, false>(isa, x, out),
            (_, true) => self.times_kind::<16, true>(isa, x, out),
        }
    }

    fn times_kind<const GROUP: usize, const OFFSET: bool>(
        &self,
        isa: Isa,
        x: &Tile,
        out: &mut [f32],
    ) {
        match x.count {
            12 => on!(isa, outer::<12, GROUP, OFFSET>(self, x, out)),
            8 => on!(isa, outer::<8, GROUP, OFFSET>(self, x, out)),
            4 => on!(isa, outer::<4, GROUP, OFFSET>(self, x, out)),
            2 => on!(isa, outer::<2, GROUP, OFFSET>(self, x, out)),
            1 => on!(isa, outer::<1, GROUP, OFFSET>(self, x, out)),
            n => unreachable!("a tile of {n} columns"),
        }
    }
}

/// How many of `left` columns the next tile takes: the widest kernel that they fill.
pub(crate) fn tile_cols(isa: Isa, left: usize) -> usize {
    let most = cols(isa);
    [12, 8, 4, 2, 1].into_iter().find(|&n| n <= most && n <= left).unwrap_or(1)
}

vectors! {
    pub(super) fn rows_q4_0<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Quantised,
        first: usize,
        out: &mut [f32],
    ) {
        let x: [_; N] = std::array::from_fn(|n| x.row(first + n));
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.as_chunks_mut::<N>().0) {
            let (blocks, _) = row.as_chunks::<18>();
            let mut acc = [v::acc(); N];
            for n in 0..N {
                let (q, _) = x[n].q.as_chunks::<32>();
                for (((block, q), &scale), &sum) in
                    blocks.iter().zip(q).zip(x[n].scale).zip(x[n].sum)
                {
                    let nibbles: &[u8; 16] = block[2..].try_into().unwrap_or(&[0; 16]);
                    // The nibbles are 0..=15 and stand for -8..=7: start at -8 times the sum.
                    let sums = v::dot32_nibbles(v::start(-sum), nibbles, q);
                    acc[n] = v::scaled(acc[n], sums, quant::half_at(block, 0) * scale);
                }
            }
            *out = std::array::from_fn(|n| v::total(acc[n]));
        }
    }

    pub(super) fn rows_q8_0<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Quantised,
        first: usize,
        out: &mut [f32],
    ) {
        let x: [_; N] = std::array::from_fn(|n| x.row(first + n));
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.as_chunks_mut::<N>().0) {
            let (blocks, _) = row.as_chunks::<34>();
            let mut acc = [v::acc(); N];
            for n in 0..N {
                let (q, _) = x[n].q.as_chunks::<32>();
                for ((block, q), &scale) in blocks.iter().zip(q).zip(x[n].scale) {
                    let w: &[i8; 32] = bytemuck::cast_slice(&block[2..]).try_into().unwrap_or(&[0; 32]);
                    let sums = v::dot32(v::start(0), w, q);
                    acc[n] = v::scaled(acc[n], sums, quant::half_at(block, 0) * scale);
                }
            }
            *out = std::array::from_fn(|n| v::total(acc[n]));
        }
    }

    /// A call of its own: merged into the loop that scatters the integers, the compiler would
    /// gather them one by one instead of unpacking whole vectors.
    #[inline(never)]
    pub(super) fn unpack<F: Format>(
        block: &[u8],
        q: &mut [i8; MAX_BLOCK],
        scale: &mut [f32; MAX_GROUPS],
        offset: &mut [f32; MAX_GROUPS],
    ) {
        let groups = F::BLOCK / F::GROUP;
        F::unpack(block, &mut q[..F::BLOCK], &mut scale[..groups], &mut offset[..groups]);
    }

    pub(super) fn rows_any<F: Format>(
        weights: &[u8],
        row_bytes: usize,
        x: &Quantised,
        first: usize,
        n: usize,
        out: &mut [f32],
    ) {
        let groups = F::BLOCK / F::GROUP;
        let mut q = [0i8; MAX_BLOCK];
        let (mut scale, mut offset) = ([0f32; MAX_GROUPS], [0f32; MAX_GROUPS]);
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(n)) {
            let mut acc = [v::acc(); ROW_COLS];
            let mut offsets = [0f32; ROW_COLS];
            for (b, block) in row.chunks_exact(F::BYTES).enumerate() {
                F::unpack(block, &mut q[..F::BLOCK], &mut scale[..groups], &mut offset[..groups]);
                let (w, _) = q[..F::BLOCK].as_chunks::<32>();
                for (j, (acc, offsets)) in acc.iter_mut().zip(&mut offsets).enumerate().take(n) {
                    let x = x.row(first + j);
                    let (xq, _) = x.q[b * F::BLOCK..(b + 1) * F::BLOCK].as_chunks::<32>();
                    let xs = &x.scale[b * (F::BLOCK / 32)..(b + 1) * (F::BLOCK / 32)];
                    for (i, ((w, xq), xs)) in w.iter().zip(xq).zip(xs).enumerate() {
                        let sums = v::dot32(v::start(0), w, xq);
                        *acc = if F::GROUP == 32 {
                            v::scaled(*acc, sums, scale[i] * xs)
                        } else {
                            v::scaled_halves(*acc, sums, scale[2 * i] * xs, scale[2 * i + 1] * xs)
                        };
                    }
                    if F::OFFSET {
                        let sixteens = F::BLOCK / 16;
                        let weighted = &x.weighted[b * sixteens..(b + 1) * sixteens];
                        for (i, weighted) in weighted.iter().enumerate() {
                            *offsets += offset[i * 16 / F::GROUP] * weighted;
                        }
                    }
                }
            }
            for ((out, acc), offset) in out.iter_mut().zip(acc).zip(offsets) {
                *out = v::total(acc) + offset;
            }
        }
    }

    pub(super) fn unpack_panel<F: Format>(
        weights: &[u8],
        row_bytes: usize,
        panel: &mut [i8],
        scales: &mut [f32],
        offsets: &mut [f32],
    ) {
        let groups = F::BLOCK / F::GROUP;
        let mut q = [0i8; MAX_BLOCK];
        let (mut scale, mut offset) = ([0f32; MAX_GROUPS], [0f32; MAX_GROUPS]);
        let (quads, _) = panel.as_chunks_mut::<4>();
        for (r, row) in weights.chunks_exact(row_bytes).take(v::LANES).enumerate() {
            for (b, block) in row.chunks_exact(F::BYTES).enumerate() {
                unpack::<F>(block, &mut q, &mut scale, &mut offset);
                let (from, _) = q[..F::BLOCK].as_chunks::<4>();
                let to = &mut quads[b * (F::BLOCK / 4) * v::LANES..][..F::BLOCK / 4 * v::LANES];
                for (to, from) in to.chunks_exact_mut(v::LANES).zip(from) {
                    to[r] = from.map(|q| (i32::from(q) + v::BIAS) as i8);
                }
                for g in 0..groups {
                    scales[(b * groups + g) * v::LANES + r] = scale[g];
                    if F::OFFSET {
                        offsets[(b * groups + g) * v::LANES + r] = offset[g];
                    }
                }
            }
        }
    }

    pub(super) fn outer<const N: usize, const GROUP: usize, const OFFSET: bool>(
        panel: &Panel,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (lines, _) = panel.q.as_chunks::<{ 4 * v::LANES }>();
        let (scales, _) = panel.scale.as_chunks::<{ v::LANES }>();
        let (offsets, _) = panel.offset.as_chunks::<{ v::LANES }>();
        let (quads, _) = x.q.as_chunks::<4>();
        let (quads, _) = quads.as_chunks::<N>();
        let (x_scales, _) = x.scale.as_chunks::<N>();
        let (x_sums, _) = x.sum.as_chunks::<N>();
        let (x_weighted, _) = x.weighted.as_chunks::<N>();
        let mut acc = [v::zero(); N];
        for (g, ((lines, quads), scale)) in (lines.chunks_exact(GROUP / 4))
            .zip(quads.chunks_exact(GROUP / 4))
            .zip(scales)
            .enumerate()
        {
            // Sixteens of this group: one or two.
            let sixteen = g * GROUP / 16;
            let mut sums: [_; N] = std::array::from_fn(|j| {
                let second = if GROUP == 32 { x_sums[sixteen + 1][j] } else { 0 };
                v::isplat(-v::BIAS * (x_sums[sixteen][j] + second))
            });
            for (line, quads) in lines.iter().zip(quads) {
                let line = v::line(line);
                for j in 0..N {
                    sums[j] = v::dot4(sums[j], line, quads[j]);
                }
            }
            let scale = v::load(scale);
            let x_scale = &x_scales[g * GROUP / 32];
            for j in 0..N {
                let both = v::mul(scale, v::splat(x_scale[j]));
                acc[j] = v::mul_add(v::to_f32(sums[j]), both, acc[j]);
            }
            if OFFSET {
                let offset = v::load(&offsets[g]);
                for j in 0..N {
                    let second = if GROUP == 32 { x_weighted[sixteen + 1][j] } else { 0.0 };
                    let weighted = v::splat(x_weighted[sixteen][j] + second);
                    acc[j] = v::mul_add(offset, weighted, acc[j]);
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<{ v::LANES }>().0) {
            v::store(acc, out);
        }
    }
}
