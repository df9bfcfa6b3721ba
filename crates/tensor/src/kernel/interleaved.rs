//! Interleaved weights (`layout`) times any number of columns.
//!
//! A vector holds four weights of each of LANES rows; a column's four activations meet it as one
//! broadcast operand. Nothing is shuffled and nothing is summed across lanes, which is what rows as
//! they lie cost (`rows`): a product is little more than its multiplications, and a thread reads
//! one stream. Taking nibbles out of a line costs a tenth of what multiplying it with a tile does, so
//! that no panels are made here; five or six bits come from two lines, and where a prompt has many tiles
//! they are taken apart once (`opened`). The arithmetic is that of `panel::outer`, operation by operation: all
//! three give the same bits.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::activation::Tile;
use crate::simd::{on, vectors};

/// How far ahead of the multiplications memory is asked for, in bytes.
pub(crate) const AHEAD: usize = 8 << 10;

/// Multiplies whole groups of rows with a tile's columns: `out` is (groups, columns, LANES).
pub(crate) fn times(
    isa: Isa,
    dtype: DType,
    weights: &[u8],
    row_bytes: usize,
    x: &Tile,
    out: &mut [f32],
) {
    macro_rules! by_count {
        ($($n:literal)*) => {
            match x.count {
                $($n => match dtype {
                    DType::Q4_0 => on!(isa, times_q4_0::<$n>(weights, row_bytes, x, out)),
                    DType::Q5_0 => on!(isa, times_q5_0::<$n>(weights, row_bytes, x, out)),
                    DType::Q8_0 => on!(isa, times_q8_0::<$n>(weights, row_bytes, x, out)),
                    DType::Q4K => on!(isa, times_k::<$n, false>(weights, row_bytes, x, out)),
                    DType::Q5K => on!(isa, times_k::<$n, true>(weights, row_bytes, x, out)),
                    DType::Q6K => on!(isa, times_q6_k::<$n>(weights, row_bytes, x, out)),
                    _ => unreachable!("{dtype} does not interleave"),
                },)*
                n => unreachable!("a tile of {n} columns"),
            }
        };
    }
    by_count!(1 2 3 4 5 6 7 8 12);
}

/// The eight scales and the eight minimums of some rows, (8, rows) each, from the twelve bytes of each
/// row: `quant/q4_k.rs` draws them.
#[inline(always)]
pub(super) fn steps_of_k(bytes: &[u8], scales: &mut [u8], mins: &mut [u8]) {
    let four = bytes.len() / 3;
    let (a, bytes) = bytes.split_at(four);
    let (b, c) = bytes.split_at(four);
    let (scales, more_scales) = scales.split_at_mut(four);
    let (mins, more_mins) = mins.split_at_mut(four);
    for i in 0..four {
        let (a, b, c) = (a[i], b[i], c[i]);
        scales[i] = a & 63;
        mins[i] = b & 63;
        more_scales[i] = c & 15 | a >> 2 & 48;
        more_mins[i] = c >> 4 | b >> 2 & 48;
    }
}

vectors! {
    /// Asks for what comes [`AHEAD`] bytes behind a line, a line for a line: the prefetcher of the
    /// machine alone does not run far enough ahead of kernels that are this quick, and all at once
    /// would be more requests than it takes.
    #[inline]
    fn ahead(line: &[u8; 4 * v::LANES]) {
        v::prefetch(line.as_ptr().wrapping_add(AHEAD));
    }

    /// Adds a group's products, scaled, to the sums of all columns.
    #[inline]
    fn add<const N: usize>(
        acc: &mut [v::F32; N],
        sums: [v::I32; N],
        scale: v::F32,
        x_scale: &[f32; N],
    ) {
        for j in 0..N {
            let both = v::mul(scale, v::splat(x_scale[j]));
            acc[j] = v::mul_add(v::to_f32(sums[j]), both, acc[j]);
        }
    }

    #[inline]
    fn finish<const N: usize>(acc: [v::F32; N], out: &mut [f32]) {
        for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<{ v::LANES }>().0) {
            v::store(acc, out);
        }
    }

    /// Sums that begin with what takes the weights' zero point out again.
    #[inline]
    fn begin<const N: usize>(starts: &[i32; N]) -> [v::I32; N] {
        std::array::from_fn(|j| v::isplat(starts[j]))
    }

    #[inline]
    fn open<const N: usize>(sums: &[v::I32; N]) -> [v::Run; N] {
        std::array::from_fn(|j| v::open(sums[j]))
    }

    /// Ends a run and begins the next.
    #[inline]
    fn turn<const N: usize>(sums: &mut [v::I32; N], runs: &mut [v::Run; N]) {
        for j in 0..N {
            sums[j] = v::close(sums[j], runs[j]);
            runs[j] = v::open(sums[j]);
        }
    }

    /// A block of nibbles of all rows, with a word of fifth bits for each row or none.
    #[inline]
    fn block_of_nibbles<const N: usize, const FIVE: bool>(
        lines: &[[u8; 4 * v::LANES]; 4],
        fifths: &[u8; 4 * v::LANES],
        quads: &[[[i8; 4]; N]; 8],
        starts: &[i32; N],
    ) -> [v::I32; N] {
        let mut sums = begin(starts);
        let mut runs = open(&sums);
        for (i, line) in lines.iter().enumerate() {
            ahead(line);
            let (mut low, mut high) = (v::low_nibbles(line), v::high_nibbles(line));
            if FIVE {
                low = v::five_of_quad(low, fifths, i);
                high = v::five_of_quad(high, fifths, 4 + i);
            }
            for j in 0..N {
                runs[j] = v::dot4_small(runs[j], low, quads[i][j]);
                runs[j] = v::dot4_small(runs[j], high, quads[4 + i][j]);
            }
            if i == 3 || FIVE && i == 1 {
                turn(&mut sums, &mut runs);
            }
        }
        sums
    }

    /// Formats of 32: `sums` gives a block's integers, of the lines behind its scales.
    #[inline]
    fn times_of_32<const N: usize, const BYTES: usize>(
        (weights, row_bytes): (&[u8], usize),
        x: &Tile,
        starts: &[[i32; N]],
        out: &mut [f32],
        sums: impl Fn(&[[u8; 4 * v::LANES]], &[[[i8; 4]; N]; 8], &[i32; N]) -> [v::I32; N],
    ) {
        let (quads, scales) = (x.quads::<N>(), x.scales::<N>());
        let groups = weights.chunks_exact(v::LANES * row_bytes);
        for (group, out) in groups.zip(out.chunks_exact_mut(N * v::LANES)) {
            let mut acc = [v::zero(); N];
            let (blocks, _) = group.as_chunks::<BYTES>();
            let of_blocks = quads.as_chunks::<8>().0.iter().zip(scales).zip(starts);
            for (block, ((quads, x_scale), starts)) in blocks.iter().zip(of_blocks) {
                let (scale, lines) = block.split_at(2 * v::LANES);
                let sums = sums(lines.as_chunks::<{ 4 * v::LANES }>().0, quads, starts);
                add(&mut acc, sums, v::halves(scale.try_into().expect("LANES halves")), x_scale);
            }
            finish(acc, out);
        }
    }

    pub(super) fn times_q4_0<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (of, starts) = ((weights, row_bytes), x.starts_q4_0::<N>());
        times_of_32::<N, { 18 * v::LANES }>(of, x, starts, out, |lines, quads, starts| {
            let lines = lines.as_array().expect("4 lines");
            block_of_nibbles::<N, false>(lines, &lines[0], quads, starts)
        });
    }

    pub(super) fn times_q5_0<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (of, starts) = ((weights, row_bytes), x.starts_q5_0::<N>());
        times_of_32::<N, { 22 * v::LANES }>(of, x, starts, out, |lines, quads, starts| {
            ahead(&lines[0]);
            let (fifths, lines) = (&lines[0], lines[1..].as_array().expect("4 lines"));
            block_of_nibbles::<N, true>(lines, fifths, quads, starts)
        });
    }

    pub(super) fn times_q8_0<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (of, (starts, _)) = ((weights, row_bytes), x.start32.as_chunks::<N>());
        times_of_32::<N, { 34 * v::LANES }>(of, x, starts, out, |lines, quads, starts| {
            let mut sums = begin(starts);
            for (line, quads) in lines.iter().zip(quads) {
                ahead(line);
                let line = v::biased(line);
                for j in 0..N {
                    sums[j] = v::dot4(sums[j], line, quads[j]);
                }
            }
            sums
        });
    }

    /// Q4_K, and Q5_K whose fifth bits are bits of further lines, one for each group.
    pub(super) fn times_k<const N: usize, const FIVE: bool>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (quads, scales) = (x.quads::<N>(), x.scales::<N>());
        let (x_sums, _) = x.sums32.as_chunks::<N>();
        let (quads, scales, x_sums) =
            (quads.as_chunks::<64>().0, scales.as_chunks::<8>().0, x_sums.as_chunks::<8>().0);
        let (mut steps, mut mins) = ([0; 8 * v::LANES], [0; 8 * v::LANES]);
        let groups = weights.chunks_exact(v::LANES * row_bytes);
        for (group, out) in groups.zip(out.chunks_exact_mut(N * v::LANES)) {
            let mut acc = [v::zero(); N];
            let of_blocks = quads.iter().zip(scales).zip(x_sums);
            let block_bytes = if FIVE { 176 * v::LANES } else { 144 * v::LANES };
            for (block, ((quads, x_scales), x_sums)) in
                group.chunks_exact(block_bytes).zip(of_blocks)
            {
                let (head, lines) = block.split_at(16 * v::LANES);
                let (halves, bytes) = head.split_at(4 * v::LANES);
                let (halves, _) = halves.as_chunks::<{ 2 * v::LANES }>();
                let (d, dmin) = (v::halves(&halves[0]), v::sub(v::zero(), v::halves(&halves[1])));
                steps_of_k(bytes, &mut steps, &mut mins);
                let (steps, mins) = (steps.as_chunks::<{ v::LANES }>().0, mins.as_chunks::<{ v::LANES }>().0);
                let (lines, _) = lines.as_chunks::<{ 4 * v::LANES }>();
                let (eights, _) = lines.as_chunks::<8>();
                let (fifths, nibbles) = eights.split_at(usize::from(FIVE));
                let nibbles = nibbles.as_array::<4>().expect("32 lines of nibbles");
                for (g, quads) in quads.as_chunks::<8>().0.iter().enumerate() {
                    let mut sums = [v::isplat(0); N];
                    let mut runs = open(&sums);
                    for (i, (line, quads)) in nibbles[g / 2].iter().zip(quads).enumerate() {
                        if g % 2 == 0 {
                            ahead(line);
                        }
                        let mut w =
                            if g % 2 == 0 { v::low_nibbles(line) } else { v::high_nibbles(line) };
                        if FIVE {
                            if g == 0 {
                                ahead(&fifths[0][i]);
                            }
                            w = v::five(w, &fifths[0][i], g);
                        }
                        for j in 0..N {
                            runs[j] = v::dot4_small(runs[j], w, quads[j]);
                        }
                        if i == 7 || FIVE && i == 3 {
                            turn(&mut sums, &mut runs);
                        }
                    }
                    add(&mut acc, sums, v::mul(d, v::unsigned(&steps[g])), &x_scales[g]);
                    let offset = v::mul(dmin, v::unsigned(&mins[g]));
                    for j in 0..N {
                        acc[j] = v::mul_add(offset, v::splat(x_sums[g][j]), acc[j]);
                    }
                }
            }
            finish(acc, out);
        }
    }

    pub(super) fn times_q6_k<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Tile,
        out: &mut [f32],
    ) {
        let (quads, scales, starts) = (x.quads::<N>(), x.scales::<N>(), x.starts_q6_k::<N>());
        let halves = quads.as_chunks::<32>().0.iter().zip(scales.as_chunks::<4>().0);
        let halves = halves.zip(starts.as_chunks::<8>().0);
        let groups = weights.chunks_exact(v::LANES * row_bytes);
        for (group, out) in groups.zip(out.chunks_exact_mut(N * v::LANES)) {
            let mut acc = [v::zero(); N];
            let mut halves = halves.clone();
            for block in group.as_chunks::<{ 210 * v::LANES }>().0 {
                let (head, lines) = block.split_at(18 * v::LANES);
                let (d, steps) = head.split_at(2 * v::LANES);
                let d = v::halves(d.try_into().expect("LANES halves"));
                let (in_order, _) = lines.as_chunks::<{ 4 * v::LANES }>();
                let (low, high) = in_order.split_at(32);
                let (in_order, _) = in_order.as_chunks::<24>();
                let (low, high) = (low.as_chunks::<16>().0, high.as_chunks::<8>().0);
                let steps = steps.as_chunks::<{ v::LANES }>().0.as_chunks::<8>().0;
                let (mut part, mut x_scale) = ([v::zero(); N], &[0.0; N]);
                let lines = in_order.iter().zip(low).zip(high).zip(steps);
                for ((((in_order, low), high), steps), ((quads, x), starts)) in
                    lines.zip(&mut halves)
                {
                    for g in 0..8 {
                        let mut sums = begin(&starts[g]);
                        let mut runs = open(&sums);
                        for i in 0..4 {
                            let (low, high) = (&low[4 * (g % 4) + i], &high[4 * (g % 2) + i]);
                            if g < 6 {
                                // Each of the 24 lines once, in the order of memory.
                                ahead(&in_order[4 * g + i]);
                            }
                            // With the branch alone eight columns and more take twice the time: it
                            // takes their registers.
                            let line = match g / 2 {
                                j if N >= 8 => v::six_at(low, high, j),
                                0 => v::six::<0>(low, high),
                                1 => v::six::<1>(low, high),
                                2 => v::six::<2>(low, high),
                                _ => v::six::<3>(low, high),
                            };
                            for j in 0..N {
                                runs[j] = v::dot4_small(runs[j], line, quads[4 * g + i][j]);
                            }
                            if i % 2 == 1 {
                                turn(&mut sums, &mut runs);
                            }
                        }
                        let scale = v::mul(d, v::signed(&steps[g]));
                        for j in 0..N {
                            part[j] = v::mul_add(v::to_f32(sums[j]), scale, part[j]);
                        }
                    }
                    x_scale = &x[0];
                }
                // The activations of a block share a scale: with groups as short as these it is
                // worth taking it in once a block.
                for j in 0..N {
                    acc[j] = v::mul_add(part[j], v::splat(x_scale[j]), acc[j]);
                }
            }
            finish(acc, out);
        }
    }
}
