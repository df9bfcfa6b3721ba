//! Interleaved weights of five or six bits, opened into a byte a weight, times the columns of a prompt.
//!
//! Their bits come from two lines, which costs a third of a tile of twelve columns and most of a tile of four. Where a
//! prompt has many tiles, groups of rows are opened first and stay in the second-level cache while they pass by. (A
//! `panel` takes rows of any format and therefore holds signed bytes; these are in 0..=63, and AVX2 adds up their
//! products in sixteen bits.) The arithmetic is that of `interleaved`, operation by operation: both give the same bits.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::activation::Tile;
use crate::kernel::interleaved::steps_of_k;
use crate::kernel::panel;
use crate::simd::{on, vectors};

/// Groups of interleaved rows, a byte a weight.
#[derive(Default)]
pub(crate) struct Opened {
    /// Bytes of a group's lines.
    group: usize,
    /// (groups, width / 4, LANES, 4)
    lines: Vec<u8>,
    /// (groups, width / weights that share a scale, LANES)
    scales: Vec<f32>,
    /// (groups, width / 32, LANES), where the format has offsets.
    offsets: Vec<f32>,
}

/// One of them.
#[derive(Clone, Copy)]
struct Group<'a> {
    lines: &'a [u8],
    scales: &'a [f32],
    offsets: &'a [f32],
}

/// Whether opening the type's groups is worth it for a prompt: five bits share the work of taking
/// them apart among a tile's columns, and where those are many, it is less than that of opening.
pub(crate) fn opens(isa: Isa, dtype: DType) -> bool {
    match dtype {
        DType::Q5K => panel::cols(isa) < 12,
        DType::Q6K => true,
        _ => false,
    }
}

impl Opened {
    /// Opens whole groups of rows, each `width` wide and `row_bytes` long.
    pub(crate) fn open(
        &mut self,
        isa: Isa,
        dtype: DType,
        weights: &[u8],
        row_bytes: usize,
        width: usize,
    ) {
        let lanes = panel::lanes(isa);
        let groups = weights.chunks_exact(lanes * row_bytes);
        self.group = width * lanes;
        self.lines.resize(groups.len() * self.group, 0);
        match dtype {
            DType::Q5K => {
                let few = width / 32 * lanes;
                self.scales.resize(groups.len() * few, 0.0);
                self.offsets.resize(groups.len() * few, 0.0);
                let scales = self.scales.chunks_exact_mut(few);
                let out = self.lines.chunks_exact_mut(self.group).zip(scales);
                let out = out.zip(self.offsets.chunks_exact_mut(few));
                for (group, ((lines, scales), offsets)) in groups.zip(out) {
                    on!(isa, open_q5_k(group, lines, scales, offsets));
                }
            }
            DType::Q6K => {
                let few = width / 16 * lanes;
                self.scales.resize(groups.len() * few, 0.0);
                let scales = self.scales.chunks_exact_mut(few);
                for (group, (lines, scales)) in
                    groups.zip(self.lines.chunks_exact_mut(self.group).zip(scales))
                {
                    on!(isa, open_q6_k(group, lines, scales));
                }
            }
            _ => unreachable!("{dtype} is not opened"),
        }
    }

    /// The products of the groups' rows with a tile's columns: `out` is (groups, columns, LANES).
    pub(crate) fn times(&self, isa: Isa, dtype: DType, x: &Tile, out: &mut [f32]) {
        macro_rules! by_count {
            ($($n:literal)*) => {
                match x.count {
                    $($n => match dtype {
                        DType::Q5K => on!(isa, times::<$n, 32, 4>(self, x, out)),
                        DType::Q6K => on!(isa, times::<$n, 16, 2>(self, x, out)),
                        _ => unreachable!("{dtype} is not opened"),
                    },)*
                    n => unreachable!("a tile of {n} columns"),
                }
            };
        }
        by_count!(1 2 4 8 12);
    }

    /// Each group, of `few` scales and as many offsets or none.
    fn groups(&self, few: usize) -> impl Iterator<Item = Group<'_>> {
        let offsets = self.offsets.chunks_exact(few).map(Some).chain(std::iter::repeat(None));
        let groups = self.lines.chunks_exact(self.group).zip(self.scales.chunks_exact(few));
        groups.zip(offsets).map(|((lines, scales), offsets)| Group {
            lines,
            scales,
            offsets: offsets.unwrap_or_default(),
        })
    }
}

vectors! {
    pub(super) fn open_q5_k(
        group: &[u8],
        lines: &mut [u8],
        scales: &mut [f32],
        offsets: &mut [f32],
    ) {
        let (mut steps, mut mins) = ([0; 8 * v::LANES], [0; 8 * v::LANES]);
        let lines = lines.as_chunks_mut::<{ 4 * v::LANES }>().0.as_chunks_mut::<8>().0;
        let scales = scales.as_chunks_mut::<{ v::LANES }>().0.as_chunks_mut::<8>().0;
        let offsets = offsets.as_chunks_mut::<{ v::LANES }>().0.as_chunks_mut::<8>().0;
        let blocks = group.as_chunks::<{ 176 * v::LANES }>().0;
        for (((block, lines), scales), offsets) in
            blocks.iter().zip(lines.as_chunks_mut::<8>().0).zip(scales).zip(offsets)
        {
            let (halves, bytes) = block.split_at(4 * v::LANES);
            let (bytes, stored) = bytes.split_at(12 * v::LANES);
            let (halves, _) = halves.as_chunks::<{ 2 * v::LANES }>();
            let (d, dmin) = (v::halves(&halves[0]), v::sub(v::zero(), v::halves(&halves[1])));
            steps_of_k(bytes, &mut steps, &mut mins);
            let (steps, mins) = (steps.as_chunks::<{ v::LANES }>().0, mins.as_chunks::<{ v::LANES }>().0);
            let (eights, _) = stored.as_chunks::<{ 4 * v::LANES }>().0.as_chunks::<8>();
            let (fifths, nibbles) = (&eights[0], &eights[1..]);
            for (g, lines) in lines.iter_mut().enumerate() {
                v::store(v::mul(d, v::unsigned(&steps[g])), &mut scales[g]);
                v::store(v::mul(dmin, v::unsigned(&mins[g])), &mut offsets[g]);
                for ((line, nibbles), fifths) in lines.iter_mut().zip(&nibbles[g / 2]).zip(fifths) {
                    for ((w, nibbles), fifths) in line.iter_mut().zip(nibbles).zip(fifths) {
                        *w = nibbles >> (g % 2 * 4) & 15 | (fifths >> g & 1) << 4;
                    }
                }
            }
        }
    }

    pub(super) fn open_q6_k(group: &[u8], lines: &mut [u8], scales: &mut [f32]) {
        let lines = lines.as_chunks_mut::<{ 4 * v::LANES }>().0.as_chunks_mut::<64>().0;
        let scales = scales.as_chunks_mut::<{ v::LANES }>().0.as_chunks_mut::<16>().0;
        let blocks = group.as_chunks::<{ 210 * v::LANES }>().0;
        for ((block, lines), scales) in blocks.iter().zip(lines).zip(scales) {
            let (head, stored) = block.split_at(18 * v::LANES);
            let (d, steps) = head.split_at(2 * v::LANES);
            let d = v::halves(d.try_into().expect("LANES halves"));
            for (scale, step) in scales.iter_mut().zip(steps.as_chunks::<{ v::LANES }>().0) {
                v::store(v::mul(d, v::signed(step)), scale);
            }
            let (low, high) = stored.as_chunks::<{ 4 * v::LANES }>().0.split_at(32);
            let halves = low.as_chunks::<16>().0.iter().zip(high.as_chunks::<8>().0);
            for ((low, high), lines) in halves.zip(lines.as_chunks_mut::<32>().0) {
                for (g, lines) in lines.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    for (i, line) in lines.iter_mut().enumerate() {
                        let (low, high) = (&low[4 * (g % 4) + i], &high[4 * (g % 2) + i]);
                        for ((w, low), high) in line.iter_mut().zip(low).zip(high) {
                            *w = low >> (g / 4 * 4) & 15 | (high >> (g / 2 * 2) & 3) << 4;
                        }
                    }
                }
            }
        }
    }

    /// The products of `R` groups with `M` columns of a tile of `N`, from column `FIRST` on, put where they belong in
    /// (N, LANES) of each group. `GROUP` weights share a scale; `RUN` is how many lines' products fit a run.
    #[inline]
    fn part<
        const R: usize,
        const M: usize,
        const FIRST: usize,
        const N: usize,
        const GROUP: usize,
        const RUN: usize,
    >(
        groups: [Group<'_>; R],
        x: &Tile,
        out: [&mut [f32]; R],
    ) {
        let per_block = 256 / GROUP;
        let (x_scales, starts) = (x.scales::<N>(), x.starts_q6_k::<N>());
        let (x_sums, _) = x.sums32.as_chunks::<N>();
        let lines = groups.map(|g| g.lines.as_chunks::<{ 4 * v::LANES }>().0.as_chunks::<64>().0);
        let scales = groups.map(|g| g.scales.as_chunks::<{ v::LANES }>().0);
        let offsets = groups.map(|g| g.offsets.as_chunks::<{ v::LANES }>().0);
        let mut acc = [[v::zero(); M]; R];
        for (b, quads) in x.quads::<N>().as_chunks::<64>().0.iter().enumerate() {
            let lines: [&[[u8; 4 * v::LANES]; 64]; R] = std::array::from_fn(|r| &lines[r][b]);
            let (mut parts, x_scale) = ([[v::zero(); M]; R], &x_scales[8 * b]);
            for g in 0..per_block {
                let mut sums: [[_; M]; R] = [std::array::from_fn(|j| {
                    v::isplat(if GROUP == 16 { starts[b * per_block + g][FIRST + j] } else { 0 })
                }); R];
                for run in 0..GROUP / 4 / RUN {
                    let mut runs: [[_; M]; R] = std::array::from_fn(|r| {
                        std::array::from_fn(|j| v::open(sums[r][j]))
                    });
                    for i in 0..RUN {
                        let at = GROUP / 4 * g + RUN * run + i;
                        let lines: [_; R] = std::array::from_fn(|r| v::small(&lines[r][at]));
                        for j in 0..M {
                            for r in 0..R {
                                runs[r][j] =
                                    v::dot4_small(runs[r][j], lines[r], quads[at][FIRST + j]);
                            }
                        }
                    }
                    for r in 0..R {
                        for j in 0..M {
                            sums[r][j] = v::close(sums[r][j], runs[r][j]);
                        }
                    }
                }
                for r in 0..R {
                    let scale = v::load(&scales[r][b * per_block + g]);
                    if GROUP == 16 {
                        for j in 0..M {
                            parts[r][j] = v::mul_add(v::to_f32(sums[r][j]), scale, parts[r][j]);
                        }
                        continue;
                    }
                    let offset = v::load(&offsets[r][8 * b + g]);
                    for j in 0..M {
                        let both = v::mul(scale, v::splat(x_scale[FIRST + j]));
                        acc[r][j] = v::mul_add(v::to_f32(sums[r][j]), both, acc[r][j]);
                        let x_sum = v::splat(x_sums[8 * b + g][FIRST + j]);
                        acc[r][j] = v::mul_add(offset, x_sum, acc[r][j]);
                    }
                }
            }
            if GROUP == 16 {
                for r in 0..R {
                    for j in 0..M {
                        let x_scale = v::splat(x_scale[FIRST + j]);
                        acc[r][j] = v::mul_add(parts[r][j], x_scale, acc[r][j]);
                    }
                }
            }
        }
        for (acc, out) in acc.into_iter().zip(out) {
            let out = out.as_chunks_mut::<{ v::LANES }>().0;
            for (acc, out) in acc.into_iter().zip(&mut out[FIRST..]) {
                v::store(acc, out);
            }
        }
    }

    /// Two groups and half a tile at a time where a tile has many columns: what a column's activations cost to
    /// broadcast is then shared by two products, and a core that loads no more than it multiplies is kept busy with
    /// products.
    pub(super) fn times<const N: usize, const GROUP: usize, const RUN: usize>(
        opened: &Opened,
        x: &Tile,
        out: &mut [f32],
    ) {
        let few = opened.group / GROUP;
        let mut groups = opened.groups(few);
        let mut out = out.chunks_exact_mut(N * v::LANES);
        while let (Some(group), Some(first)) = (groups.next(), out.next()) {
            if N == 12
                && let (Some(other), Some(second)) = (groups.next(), out.next())
            {
                part::<2, 6, 0, 12, GROUP, RUN>([group, other], x, [&mut *first, &mut *second]);
                part::<2, 6, 6, 12, GROUP, RUN>([group, other], x, [first, second]);
                continue;
            }
            part::<1, N, 0, N, GROUP, RUN>([group], x, [first]);
        }
    }
}
