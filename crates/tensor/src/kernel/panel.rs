//! Many columns: weights unpacked into panels, and an outer product.
//!
//! LANES weight rows are unpacked into a panel, four columns of each row beside those of the next,
//! and an outer product keeps LANES rows by COLS columns in registers. This is prompt processing:
//! it costs the multiplications, and unpacking is paid once for all columns, so that its speed does
//! not depend on the storage format.
//!
//! For a group of weights w = s q + o and activations x = t p (t and p by `activation`):
//! sum w x = s t (sum q p) + o (t sum p). The first bracket is integer arithmetic, the second is
//! known before the weights are read.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::activation::Tile;
use crate::quant::{Format, MAX_BLOCK, MAX_GROUPS, q4_k, with_format};
use crate::simd::{on, vectors};
use half::f16;

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

/// What a panel adds to each weight on an instruction set.
pub(crate) fn bias(isa: Isa) -> i32 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => crate::simd::avx2::BIAS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => crate::simd::avx512::BIAS,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => crate::simd::neon::BIAS,
        _ => crate::simd::scalar::BIAS,
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
            // The rows are read side by side below, which no prefetcher follows: here they pass
            // once as the one sequential stream that they are.
            std::hint::black_box(weights.iter().step_by(64).fold(0, |all, byte| all ^ byte));
            let Panel { q, scale, offset } = self;
            match dtype {
                DType::Q4_0 => on!(isa, unpack_of_32::<4>(weights, row_bytes, q, scale)),
                DType::Q8_0 => on!(isa, unpack_of_32::<8>(weights, row_bytes, q, scale)),
                DType::Q4K => on!(isa, unpack_q4_k(weights, row_bytes, q, scale, offset)),
                _ => on!(isa, unpack_panel::<F>(weights, row_bytes, q, scale, offset)),
            }
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
    /// A call of its own: merged into the loop that scatters the integers, the compiler would
    /// gather them one by one instead of unpacking whole vectors.
    #[inline(never)]
    pub(super) fn unpack<F: Format>(
        block: &[u8],
        q: &mut [i8],
        scale: &mut [f32; MAX_GROUPS],
        offset: &mut [f32; MAX_GROUPS],
    ) {
        let groups = F::BLOCK / F::GROUP;
        F::unpack(block, q, &mut scale[..groups], &mut offset[..groups]);
    }

    pub(super) fn unpack_panel<F: Format>(
        weights: &[u8],
        row_bytes: usize,
        panel: &mut [i8],
        scales: &mut [f32],
        offsets: &mut [f32],
    ) {
        // A round is a block, or as many as make a strip of as many weights as a line has bytes.
        let round = if F::BLOCK > 4 * v::LANES { F::BLOCK } else { 4 * v::LANES };
        let (blocks, groups) = (round / F::BLOCK, F::BLOCK / F::GROUP);
        let mut q = [[0i8; MAX_BLOCK]; v::LANES];
        let (mut scale, mut offset) = ([0f32; MAX_GROUPS], [0f32; MAX_GROUPS]);
        let (panel, _) = panel.as_chunks_mut::<{ 4 * v::LANES }>();
        let mut turned = [[0i8; 4 * v::LANES]; v::LANES];
        for (n, panel) in panel.chunks_mut(round / 4).enumerate() {
            // The last round may have fewer blocks.
            let blocks = n * blocks..(n * blocks + panel.len() * 4 / F::BLOCK);
            for (r, row) in weights.chunks_exact(row_bytes).take(v::LANES).enumerate() {
                for (i, b) in blocks.clone().enumerate() {
                    let block = &row[b * F::BYTES..(b + 1) * F::BYTES];
                    let q = &mut q[r][i * F::BLOCK..(i + 1) * F::BLOCK];
                    unpack::<F>(block, q, &mut scale, &mut offset);
                    for g in 0..groups {
                        scales[(b * groups + g) * v::LANES + r] = scale[g];
                        if F::OFFSET {
                            offsets[(b * groups + g) * v::LANES + r] = offset[g];
                        }
                    }
                }
            }
            for (s, lines) in panel.chunks_mut(v::LANES).enumerate() {
                v::lines(&q, 4 * v::LANES * s, &mut turned);
                lines.copy_from_slice(&turned[..lines.len()]);
            }
        }
    }

    /// Splits a line of packed nibbles into two of weights, `less` subtracted from each.
    #[inline]
    fn split(
        packed: &[i8; 4 * v::LANES],
        less: i8,
        low: &mut [i8; 4 * v::LANES],
        high: &mut [i8; 4 * v::LANES],
    ) {
        let bias = (v::BIAS as i8).wrapping_sub(less);
        for ((packed, low), high) in packed.iter().zip(low).zip(high) {
            // `lines` has added the bias to bytes that were not weights yet.
            let raw = (*packed as u8).wrapping_sub(v::BIAS as u8);
            *low = ((raw & 15) as i8).wrapping_add(bias);
            *high = ((raw >> 4) as i8).wrapping_add(bias);
        }
    }

    /// Q4_0 and Q8_0, by their bits: packed bytes are turned before they are taken apart.
    pub(super) fn unpack_of_32<const BITS: usize>(
        weights: &[u8],
        row_bytes: usize,
        panel: &mut [i8],
        scales: &mut [f32],
    ) {
        let (piece, block) = (4 * BITS, 4 * BITS + 2);
        let stretch = MAX_BLOCK / piece;
        let mut rows = [[0i8; MAX_BLOCK]; v::LANES];
        let mut halves = [[f16::ZERO; v::LANES]; 16];
        let mut turned = [[0i8; 4 * v::LANES]; v::LANES];
        let (panel, _) = panel.as_chunks_mut::<{ 4 * v::LANES }>();
        let (scales, _) = scales.as_chunks_mut::<{ v::LANES }>();
        let stretches = panel.chunks_mut(8 * stretch).zip(scales.chunks_mut(stretch));
        for (n, (lines, scales)) in stretches.enumerate() {
            let (first, blocks) = (n * stretch * block, scales.len());
            for (r, row) in weights.chunks_exact(row_bytes).take(v::LANES).enumerate() {
                let row = &row[first..first + blocks * block];
                let to = rows[r].chunks_exact_mut(piece);
                for ((bytes, to), halves) in row.chunks_exact(block).zip(to).zip(&mut halves) {
                    halves[r] = f16::from_le_bytes([bytes[0], bytes[1]]);
                    to.copy_from_slice(bytemuck::cast_slice(&bytes[2..]));
                }
            }
            for (scale, halves) in scales.iter_mut().zip(&halves) {
                v::store(v::load_half(halves), scale);
            }
            for at in (0..blocks * piece).step_by(4 * v::LANES) {
                v::lines(&rows, at, &mut turned);
                let first = at / 4;
                if BITS == 8 {
                    let lines = &mut lines[first..];
                    let count = lines.len().min(v::LANES);
                    lines[..count].copy_from_slice(&turned[..count]);
                    continue;
                }
                // Four quads of packed bytes are eight of weights: low nibbles, then high ones.
                for (k, packed) in turned.iter().enumerate() {
                    let (b, quad) = ((first + k) / 4, (first + k) % 4);
                    let Some(block) = lines.get_mut(8 * b..8 * b + 8) else { break };
                    let (low, high) = block.split_at_mut(4);
                    split(packed, 8, &mut low[quad], &mut high[quad]);
                }
            }
        }
    }

    /// Q4_K, likewise.
    pub(super) fn unpack_q4_k(
        weights: &[u8],
        row_bytes: usize,
        panel: &mut [i8],
        scales: &mut [f32],
        offsets: &mut [f32],
    ) {
        let mut rows = [[0i8; MAX_BLOCK]; v::LANES];
        let mut turned = [[0i8; 4 * v::LANES]; v::LANES];
        let (panel, _) = panel.as_chunks_mut::<{ 4 * v::LANES }>();
        let (mut scale, mut offset) = ([0f32; 8], [0f32; 8]);
        // Two blocks at a time: what a buffer of packed bytes holds.
        for (n, lines) in panel.chunks_mut(2 * 64).enumerate() {
            for (r, row) in weights.chunks_exact(row_bytes).take(v::LANES).enumerate() {
                let (blocks, _) = row.as_chunks::<144>();
                let halves = rows[r].as_chunks_mut::<128>().0;
                for ((b, block), to) in blocks.iter().enumerate().skip(2 * n).zip(halves) {
                    let runs = q4_k::open(block, &mut scale, &mut offset);
                    *to = bytemuck::cast(*runs);
                    for g in 0..8 {
                        scales[(8 * b + g) * v::LANES + r] = scale[g];
                        offsets[(8 * b + g) * v::LANES + r] = offset[g];
                    }
                }
            }
            for at in (0..lines.len() * 2).step_by(4 * v::LANES) {
                v::lines(&rows, at, &mut turned);
                // Eight quads of a run: the low nibbles are a group, the high ones the next.
                for (k, packed) in turned.iter().enumerate() {
                    let (run, quad) = ((at / 4 + k) / 8, (at / 4 + k) % 8);
                    let Some(run) = lines.get_mut(16 * run..16 * run + 16) else { break };
                    let (low, high) = run.split_at_mut(8);
                    split(packed, 0, &mut low[quad], &mut high[quad]);
                }
            }
        }
    }

    /// Groups of 16 come in blocks of 256, whose activations share a scale: with groups as short as
    /// these it is worth taking it in once a block.
    pub(super) fn outer<const N: usize, const GROUP: usize, const OFFSET: bool>(
        panel: &Panel,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (lines, _) = panel.q.as_chunks::<{ 4 * v::LANES }>();
        let (scales, _) = panel.scale.as_chunks::<{ v::LANES }>();
        let (offsets, _) = panel.offset.as_chunks::<{ v::LANES }>();
        let (quads, x_scales) = (x.quads::<N>(), x.scales::<N>());
        let (starts, sums_of) =
            if GROUP == 32 { (&x.start32, &x.sums32) } else { (&x.start16, &x.sums16) };
        let (starts, _) = starts.as_chunks::<N>();
        let (x_sums, _) = sums_of.as_chunks::<N>();
        let (mut acc, mut part) = ([v::zero(); N], [v::zero(); N]);
        for (g, ((lines, quads), scale)) in (lines.chunks_exact(GROUP / 4))
            .zip(quads.chunks_exact(GROUP / 4))
            .zip(scales)
            .enumerate()
        {
            let start = &starts[g];
            let mut sums: [_; N] = std::array::from_fn(|j| v::isplat(start[j]));
            for (line, quads) in lines.iter().zip(quads) {
                let line = v::line(line);
                for j in 0..N {
                    sums[j] = v::dot4(sums[j], line, quads[j]);
                }
            }
            let scale = v::load(scale);
            let x_scale = &x_scales[g * GROUP / 32];
            for j in 0..N {
                if GROUP == 32 {
                    let both = v::mul(scale, v::splat(x_scale[j]));
                    acc[j] = v::mul_add(v::to_f32(sums[j]), both, acc[j]);
                } else {
                    part[j] = v::mul_add(v::to_f32(sums[j]), scale, part[j]);
                }
            }
            if OFFSET {
                let offset = v::load(&offsets[g]);
                for j in 0..N {
                    acc[j] = v::mul_add(offset, v::splat(x_sums[g][j]), acc[j]);
                }
            }
            if GROUP == 16 && g % 16 == 15 {
                for j in 0..N {
                    acc[j] = v::mul_add(part[j], v::splat(x_scale[j]), acc[j]);
                    part[j] = v::zero();
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<{ v::LANES }>().0) {
            v::store(acc, out);
        }
    }
}
