//! Few columns: a weight row is read once, as it lies in the file, and multiplied with all of them.
//!
//! This is decoding, drafts that are verified and requests that share a step: it costs what reading
//! the weights costs, as long as the multiplications keep up. A step takes 32 or 64 weights out of
//! their blocks into one register, once; each column then costs a byte product, a conversion and
//! two float operations. Every column has two float sums, of even and of odd steps, so that no
//! instruction waits for the one before it.
//!
//! A column's sum does not depend on how many columns there are.

use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::columns::{Chunk, Columns};
use crate::quant::{Format, q4_k, q6_k, with_format};
use crate::simd::{on, vectors};

/// Most columns whose sums stay in registers.
pub(crate) fn most_columns(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => 8,
        _ => 4,
    }
}

/// Weight rows that are multiplied with one chunk of columns before the next chunk comes: few
/// enough to stay in the first-level cache.
const TOGETHER: usize = 8;

/// Weights that are unpacked before they are multiplied: what has just been stored in pieces cannot
/// be loaded whole until the stores are through, so the loads come some hundred cycles later.
const STRETCH: usize = 512;

/// Multiplies whole weight rows with all columns: `out` is (weight rows, columns).
pub(crate) fn rows(
    isa: Isa,
    dtype: DType,
    weights: &[u8],
    row_bytes: usize,
    x: &Columns,
    out: &mut [f32],
) {
    let count = x.count();
    let pieces = weights.chunks(TOGETHER * row_bytes).zip(out.chunks_mut(TOGETHER * count));
    for (weights, out) in pieces {
        for chunk in x.chunks() {
            macro_rules! by_count {
                ($($n:literal)*) => {
                    match chunk.count {
                        $($n => match dtype {
                            DType::Q4_0 => {
                                on!(isa, rows_of_32::<4, $n>(weights, row_bytes, &chunk, count, out))
                            }
                            DType::Q5_0 => {
                                on!(isa, rows_of_32::<5, $n>(weights, row_bytes, &chunk, count, out))
                            }
                            DType::Q8_0 => {
                                on!(isa, rows_of_32::<8, $n>(weights, row_bytes, &chunk, count, out))
                            }
                            DType::Q4K => {
                                on!(isa, rows_q4_k::<$n>(weights, row_bytes, &chunk, count, out))
                            }
                            DType::Q6K => {
                                on!(isa, rows_q6_k::<$n>(weights, row_bytes, &chunk, count, out))
                            }
                            _ => with_format!(
                                dtype,
                                F => on!(isa, rows_any::<F, $n>(weights, row_bytes, &chunk, count, out)),
                                else unreachable!("{dtype} is not a quantised format")
                            ),
                        },)*
                        n => unreachable!("a chunk of {n} columns"),
                    }
                };
            }
            by_count!(1 2 3 4 5 6 7 8);
        }
    }
}

vectors! {
    /// A step of Q4_0, Q5_0 or Q8_0, by its bits, without a buffer between.
    #[inline]
    fn step<const BITS: usize>(blocks: &[u8]) -> (v::Weights, v::Factors) {
        match BITS {
            4 => v::q4_0(blocks.try_into().expect("a step of Q4_0")),
            5 => v::q5_0(blocks.try_into().expect("a step of Q5_0")),
            _ => v::q8_0(blocks.try_into().expect("a step of Q8_0")),
        }
    }

    /// Q4_0, Q5_0 and Q8_0, by their bits.
    pub(super) fn rows_of_32<const BITS: usize, const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        // The bits of 32 weights and a half float.
        let bytes = v::GROUPS * (4 * BITS + 2);
        let (xq, _) = x.q.as_chunks::<{ 32 * v::GROUPS }>();
        let (xs, _) = x.scale.as_chunks::<{ v::GROUPS }>();
        let (xq, xs) = (xq.as_chunks::<N>().0, xs.as_chunks::<N>().0);
        let (xq_pairs, xs_pairs) = (xq.as_chunks::<2>().0, xs.as_chunks::<2>().0);
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
            let mut acc = [[v::acc(); 2]; N];
            let pairs = row.chunks_exact(2 * bytes);
            let (rest, mut at) = (pairs.remainder(), 2 * pairs.len());
            for ((pair, xq), xs) in pairs.zip(xq_pairs).zip(xs_pairs) {
                for s in 0..2 {
                    let (w, scales) = step::<BITS>(&pair[s * bytes..(s + 1) * bytes]);
                    for j in 0..N {
                        let sums = v::dot(w, &xq[s][j]);
                        acc[j][s] = v::accumulate(acc[j][s], sums, scales, &xs[s][j]);
                    }
                }
            }
            // What is no whole pair: a step, or a part of one, or both.
            for blocks in rest.chunks(bytes) {
                let mut whole = [0; 34 * v::GROUPS];
                let blocks = if blocks.len() < bytes {
                    whole[..blocks.len()].copy_from_slice(blocks);
                    &whole[..bytes]
                } else {
                    blocks
                };
                let (w, scales) = step::<BITS>(blocks);
                for j in 0..N {
                    let sums = v::dot(w, &xq[at][j]);
                    acc[j][0] = v::accumulate(acc[j][0], sums, scales, &xs[at][j]);
                }
                at += 1;
            }
            for j in 0..N {
                out[x.first + j] = v::total(acc[j][0], acc[j][1]);
            }
        }
    }

    /// Q4_K, whose nibbles need no buffer either.
    pub(super) fn rows_q4_k<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        let (xq, _) = x.q.as_chunks::<{ 32 * v::GROUPS }>();
        let (xs, _) = x.scale.as_chunks::<{ v::GROUPS }>();
        let (xq, xs) = (xq.as_chunks::<N>().0, xs.as_chunks::<N>().0);
        let (xq, _) = xq.as_chunks::<{ 8 / v::GROUPS }>();
        let (xs, _) = xs.as_chunks::<{ 8 / v::GROUPS }>();
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
            let mut acc = [[v::acc(); 2]; N];
            let mut offsets = [[0f32; 8]; N];
            let (mut scale, mut offset) = ([0f32; 8], [0f32; 8]);
            let (blocks, _) = row.as_chunks::<144>();
            for (b, ((block, xq), xs)) in blocks.iter().zip(xq).zip(xs).enumerate() {
                let runs = q4_k::open(block, &mut scale, &mut offset);
                let (scales, _) = scale.as_chunks::<{ v::GROUPS }>();
                for (r, run) in runs.iter().enumerate() {
                    for (i, step) in v::nibbles(run).into_iter().enumerate() {
                        let s = 2 / v::GROUPS * r + i;
                        let factors = v::factors(&scales[s]);
                        for j in 0..N {
                            let sums = v::dot(step, &xq[s][j]);
                            acc[j][s % 2] = v::accumulate(acc[j][s % 2], sums, factors, &xs[s][j]);
                        }
                    }
                }
                for (j, to) in offsets.iter_mut().enumerate() {
                    let sums = &x.sums32(j).as_chunks::<8>().0[b];
                    *to = std::array::from_fn(|g| to[g] + offset[g] * sums[g]);
                }
            }
            for j in 0..N {
                out[x.first + j] = v::total(acc[j][0], acc[j][1]) + offsets[j].iter().sum::<f32>();
            }
        }
    }

    /// Q6_K, likewise.
    pub(super) fn rows_q6_k<const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        let (xq, _) = x.q.as_chunks::<{ 32 * v::GROUPS }>();
        let (xs, _) = x.scale.as_chunks::<{ v::GROUPS }>();
        let (xq, xs) = (xq.as_chunks::<N>().0, xs.as_chunks::<N>().0);
        let (xq, _) = xq.as_chunks::<{ 8 / v::GROUPS }>();
        let (xs, _) = xs.as_chunks::<{ 8 / v::GROUPS }>();
        let mut scale = [0f32; 16];
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
            let mut acc = [[v::acc(); 2]; N];
            let (blocks, _) = row.as_chunks::<210>();
            for ((block, xq), xs) in blocks.iter().zip(xq).zip(xs) {
                let halves = q6_k::open(block, &mut scale);
                let (scales, _) = scale.as_chunks::<{ 2 * v::GROUPS }>();
                for (h, (low, high)) in halves.into_iter().enumerate() {
                    for (i, step) in v::sixes(low, high).into_iter().enumerate() {
                        let s = 4 / v::GROUPS * h + i;
                        let factors = v::factors_of_halves(&scales[s]);
                        for j in 0..N {
                            let sums = v::dot(step, &xq[s][j]);
                            acc[j][s % 2] = v::accumulate(acc[j][s % 2], sums, factors, &xs[s][j]);
                        }
                    }
                }
            }
            for j in 0..N {
                out[x.first + j] = v::total(acc[j][0], acc[j][1]);
            }
        }
    }

    /// Any format: a stretch of blocks is unpacked into the first-level cache, then multiplied.
    pub(super) fn rows_any<F: Format, const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        let groups = F::BLOCK / F::GROUP;
        let mut q = [0i8; STRETCH];
        let (mut scale, mut offset) = ([0f32; STRETCH / 16], [0f32; STRETCH / 16]);
        let (xq, _) = x.q.as_chunks::<{ 32 * v::GROUPS }>();
        let (xs, _) = x.scale.as_chunks::<{ v::GROUPS }>();
        let (xq, xs) = (xq.as_chunks::<N>().0, xs.as_chunks::<N>().0);
        let (xq, xs) = (xq.as_chunks::<2>().0, xs.as_chunks::<2>().0);
        let pairs = STRETCH / (64 * v::GROUPS);
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
            let mut acc = [[v::acc(); 2]; N];
            let mut offsets = [[0f32; 8]; N];
            let stretches = row.chunks(STRETCH / F::BLOCK * F::BYTES);
            for ((r, bytes), (xq, xs)) in
                stretches.enumerate().zip(xq.chunks(pairs).zip(xs.chunks(pairs)))
            {
                let blocks = bytes.len() / F::BYTES;
                if blocks < STRETCH / F::BLOCK {
                    // What a last pair of steps reads behind the row counts for nothing.
                    scale[blocks * groups..].fill(0.0);
                    offset[blocks * groups..].fill(0.0);
                }
                for ((block, q), (scale, offset)) in (bytes.chunks_exact(F::BYTES))
                    .zip(q.chunks_exact_mut(F::BLOCK))
                    .zip(scale.chunks_exact_mut(groups).zip(offset.chunks_exact_mut(groups)))
                {
                    F::unpack(block, q, scale, offset);
                }
                let (w, _) = q.as_chunks::<{ 32 * v::GROUPS }>();
                let (ones, _) = scale.as_chunks::<{ v::GROUPS }>();
                let (halves, _) = scale.as_chunks::<{ 2 * v::GROUPS }>();
                for (pair, (xq, xs)) in xq.iter().zip(xs).enumerate() {
                    for s in 0..2 {
                        let at = 2 * pair + s;
                        let w = v::weights(&w[at]);
                        let scales = if F::GROUP == 32 {
                            v::factors(&ones[at])
                        } else {
                            v::factors_of_halves(&halves[at])
                        };
                        for j in 0..N {
                            let sums = v::dot(w, &xq[s][j]);
                            acc[j][s] = v::accumulate(acc[j][s], sums, scales, &xs[s][j]);
                        }
                    }
                }
                if F::OFFSET {
                    for (j, to) in offsets.iter_mut().enumerate() {
                        let sums = if F::GROUP == 32 { x.sums32(j) } else { x.sums16(j) };
                        let sums = sums[r * STRETCH / F::GROUP..].as_chunks::<8>().0;
                        // Rows of sums end in zeros too, up to whole eights or further.
                        for (sums, offset) in sums.iter().zip(offset.as_chunks::<8>().0) {
                            *to = std::array::from_fn(|g| to[g] + offset[g] * sums[g]);
                        }
                    }
                }
            }
            for j in 0..N {
                out[x.first + j] = v::total(acc[j][0], acc[j][1]) + offsets[j].iter().sum::<f32>();
            }
        }
    }
}
