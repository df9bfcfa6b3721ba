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
use crate::quant::{Format, MAX_BLOCK, MAX_GROUPS, with_format};
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
                            DType::Q8_0 => {
                                on!(isa, rows_of_32::<8, $n>(weights, row_bytes, &chunk, count, out))
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
    /// A step of Q4_0 or Q8_0, by its bits, without a buffer between.
    #[inline]
    fn step<const BITS: usize>(blocks: &[u8]) -> (v::Weights, v::Factors) {
        if BITS == 4 {
            v::q4_0(blocks.try_into().expect("a step of Q4_0"))
        } else {
            v::q8_0(blocks.try_into().expect("a step of Q8_0"))
        }
    }

    /// Q4_0 and Q8_0, by their bits.
    pub(super) fn rows_of_32<const BITS: usize, const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        let bytes = v::GROUPS * if BITS == 4 { 18 } else { 34 };
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

    /// Any format: blocks are unpacked into a buffer of the first-level cache.
    pub(super) fn rows_any<F: Format, const N: usize>(
        weights: &[u8],
        row_bytes: usize,
        x: &Chunk<'_>,
        count: usize,
        out: &mut [f32],
    ) {
        // A round is a block, or as many small ones as make two steps.
        let round = if F::BLOCK > 64 * v::GROUPS { F::BLOCK } else { 64 * v::GROUPS };
        let groups = F::BLOCK / F::GROUP;
        let steps = round / (32 * v::GROUPS);
        let mut q = [0i8; MAX_BLOCK];
        let (mut scale, mut offset) = ([0f32; MAX_GROUPS], [0f32; MAX_GROUPS]);
        let (xq, _) = x.q.as_chunks::<{ 32 * v::GROUPS }>();
        let (xs, _) = x.scale.as_chunks::<{ v::GROUPS }>();
        for (row, out) in weights.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
            let mut acc = [[v::acc(); 2]; N];
            let mut offsets = [[0f32; 8]; N];
            for (r, bytes) in row.chunks(round / F::BLOCK * F::BYTES).enumerate() {
                if bytes.len() < round / F::BLOCK * F::BYTES {
                    (scale, offset) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
                }
                for (b, block) in bytes.chunks_exact(F::BYTES).enumerate() {
                    F::unpack(
                        block,
                        &mut q[b * F::BLOCK..(b + 1) * F::BLOCK],
                        &mut scale[b * groups..(b + 1) * groups],
                        &mut offset[b * groups..(b + 1) * groups],
                    );
                }
                let xq = &xq[r * steps * N..(r + 1) * steps * N];
                let xs = &xs[r * steps * N..(r + 1) * steps * N];
                let (w, _) = q.as_chunks::<{ 32 * v::GROUPS }>();
                for s in 0..steps {
                    let w = v::weights(&w[s]);
                    let scales = if F::GROUP == 32 {
                        v::factors(&scale.as_chunks::<{ v::GROUPS }>().0[s])
                    } else {
                        v::factors_of_halves(&scale.as_chunks::<{ 2 * v::GROUPS }>().0[s])
                    };
                    for j in 0..N {
                        let sums = v::dot(w, &xq[s * N + j]);
                        acc[j][s % 2] = v::accumulate(acc[j][s % 2], sums, scales, &xs[s * N + j]);
                    }
                }
                if F::OFFSET {
                    let groups = round / F::GROUP;
                    for (j, offsets) in offsets.iter_mut().enumerate() {
                        let sums = if F::GROUP == 32 { x.sums32(j) } else { x.sums16(j) };
                        let sums = &sums[r * groups..(r + 1) * groups];
                        for (g, (offset, sum)) in offset[..groups].iter().zip(sums).enumerate() {
                            offsets[g % 8] += offset * sum;
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
