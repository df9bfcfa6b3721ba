//! A few columns of activations, laid out for the row kernels.
//!
//! It knows the order in which `rows` reads; how numbers become bytes stands in `activation`.

use crate::isa::Isa;
use crate::kernel::activation::{Quantised, Scaling, quantise};
use crate::simd::{on, vectors};

/// A few rows of activations as the row kernels take them: for each step, the bytes of one column
/// after those of another, arranged as the instruction set wants them. Columns that share a pass
/// over the weights are a chunk. Rows end in zeros up to a whole pair of steps.
#[derive(Default)]
pub(crate) struct Columns {
    count: usize,
    /// Columns in a chunk; the last may have fewer.
    together: usize,
    /// Width of a row with the zeros at its end.
    width: usize,
    /// (chunk, width / step, columns of the chunk, step)
    q: Vec<u8>,
    /// (chunk, width / step, columns of the chunk, step / 32)
    scale: Vec<f32>,
    /// (count, width / 32): scale times the sum of the integers.
    sums32: Vec<f32>,
    /// (count, width / 16): the same of each 16; for scales of 32, that of 32 and then zero.
    sums16: Vec<f32>,
    row: Quantised,
}

/// Columns that share a pass.
pub(crate) struct Chunk<'a> {
    /// The first of them.
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) q: &'a [u8],
    pub(crate) scale: &'a [f32],
    width: usize,
    sums32: &'a [f32],
    sums16: &'a [f32],
}

impl Chunk<'_> {
    /// Scale times sum of each 32 of the chunk's column `j`.
    #[inline(always)]
    pub(crate) fn sums32(&self, j: usize) -> &[f32] {
        &self.sums32[j * self.width / 32..(j + 1) * self.width / 32]
    }

    /// Scale times sum of each 16 of the chunk's column `j`.
    #[inline(always)]
    pub(crate) fn sums16(&self, j: usize) -> &[f32] {
        &self.sums16[j * self.width / 16..(j + 1) * self.width / 16]
    }
}

impl Columns {
    /// Quantises rows `x` (each `width` wide), `together` of them to a chunk.
    pub(crate) fn pack(
        &mut self,
        isa: Isa,
        scaling: Scaling,
        x: &[f32],
        width: usize,
        together: usize,
    ) {
        let count = x.len() / width;
        // Two steps of the widest set; and the sums of 32 in whole eights.
        let padded = width.next_multiple_of(256);
        (self.count, self.together, self.width) = (count, together, padded);
        self.q.resize(count * padded, 0);
        self.scale.resize(count * padded / 32, 0.0);
        self.sums32.resize(count * padded / 32, 0.0);
        self.sums16.resize(count * padded / 16, 0.0);
        self.row.reset(1, padded);
        for (j, x) in x.chunks_exact(width).enumerate() {
            let Quantised { q, scale, sum, weighted, .. } = &mut self.row;
            q[width..].fill(0);
            scale[width / 32..].fill(0.0);
            weighted[width / 16..].fill(0.0);
            let (w, b) = (width, width / 32);
            let (q, scale) = (&mut q[..], &mut scale[..]);
            quantise(
                isa,
                scaling,
                x,
                &mut q[..w],
                &mut scale[..b],
                &mut sum[..b],
                &mut weighted[..2 * b],
            );
            let chunk = j / together * together;
            let columns = together.min(count - chunk);
            let place = (chunk, columns, j - chunk);
            let (from, to) = (chunk * padded, (chunk + columns) * padded);
            let scales = &mut self.scale[from / 32..to / 32];
            on!(isa, arrange(q, scale, place, &mut self.q[from..to], scales));
            let sums = &mut self.sums16[j * padded / 16..(j + 1) * padded / 16];
            sums.copy_from_slice(weighted);
            let pairs = self.sums32[j * padded / 32..(j + 1) * padded / 32].iter_mut();
            pairs.zip(weighted.as_chunks::<2>().0).for_each(|(out, [a, b])| *out = a + b);
        }
    }

    /// How many columns there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The chunks, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let width = self.width;
        (0..self.count).step_by(self.together.max(1)).map(move |first| {
            let count = self.together.min(self.count - first);
            let of = |unit: usize| first * width / unit..(first + count) * width / unit;
            Chunk {
                first,
                count,
                q: &self.q[of(1)],
                scale: &self.scale[of(32)],
                width,
                sums32: &self.sums32[of(32)],
                sums16: &self.sums16[of(16)],
            }
        })
    }
}

vectors! {
    /// Puts a row of integers and scales into its chunk's place.
    pub(super) fn arrange(
        q: &[i8],
        scale: &[f32],
        (_, columns, j): (usize, usize, usize),
        out: &mut [u8],
        scales: &mut [f32],
    ) {
        let (steps, _) = q.as_chunks::<{ 32 * v::GROUPS }>();
        let (out, _) = out.as_chunks_mut::<{ 32 * v::GROUPS }>();
        for (s, step) in steps.iter().enumerate() {
            v::arrange(step, &mut out[s * columns + j]);
        }
        let (from, _) = scale.as_chunks::<{ v::GROUPS }>();
        let (scales, _) = scales.as_chunks_mut::<{ v::GROUPS }>();
        for (s, step) in from.iter().enumerate() {
            scales[s * columns + j] = *step;
        }
    }
}
