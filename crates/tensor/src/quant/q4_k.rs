//! Q4_K: 256 weights of four bits in groups of 32, each group with a scale and a minimum of six
//! bits.
//!
//! The block, 144 bytes (4.5 bits a weight):
//!
//! ```text
//!  0  d           f16   what scales count
//!  2  dmin        f16   what minimums count
//!  4  scales[12]  u8    eight scales S and eight minimums M, see below
//! 16  qs[128]     u8    weight 64 p + 32 n + l: nibble n of byte 32 p + l
//!
//! weight = d * scale * q - dmin * minimum          q in 0..=15
//! ```
//!
//! The twelve bytes, highest bit first (`S4''` are the two upper bits of `S4`, `S4'` the lower
//! four):
//!
//! ```text
//! byte 0..4     S4'' S0     S5'' S1     S6'' S2     S7'' S3
//! byte 4..8     M4'' M0     M5'' M1     M6'' M2     M7'' M3
//! byte 8..12    M4'  S4'    M5'  S5'    M6'  S6'    M7'  S7'
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Four bits above a minimum for each 32 weights, in blocks of 256.
#[derive(Clone, Copy, Debug)]
pub struct Q4K;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    head: Head,
    qs: [u8; 128],
}

impl Format for Q4K {
    const DTYPE: DType = DType::Q4K;
    const BLOCK: usize = 256;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 256] = q.try_into().expect("a block has 256 weights");
        block.head.unpack(scale, offset);
        for (q, qs) in q.as_chunks_mut::<64>().0.iter_mut().zip(block.qs.as_chunks::<32>().0) {
            for l in 0..32 {
                q[l] = (qs[l] & 15) as i8;
                q[l + 32] = (qs[l] >> 4) as i8;
            }
        }
    }
}

/// The scales and offsets of a block's eight groups, and its nibbles as four runs of 32 bytes: the
/// low ones are a group, the high ones the next. For the kernel that keeps them in registers.
#[inline(always)]
pub(crate) fn open<'a>(
    block: &'a [u8; 144],
    scale: &mut [f32; 8],
    offset: &mut [f32; 8],
) -> &'a [[u8; 32]; 4] {
    let block: &Block = bytemuck::from_bytes(block);
    block.head.unpack(scale, offset);
    bytemuck::cast_ref(&block.qs)
}

/// The first 16 bytes of a block, which Q5_K has too.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Head {
    d: [u8; 2],
    dmin: [u8; 2],
    scales: [u8; 12],
}

impl Head {
    /// Scale and offset of the eight groups.
    #[inline(always)]
    pub(super) fn unpack(&self, scale: &mut [f32], offset: &mut [f32]) {
        let scale: &mut [f32; 8] = scale.try_into().expect("a block has 8 groups");
        let offset: &mut [f32; 8] = offset.try_into().expect("a block has 8 groups");
        let (d, dmin) = (half_at(&self.d, 0), half_at(&self.dmin, 0));
        let (scales, mins) = self.steps();
        *scale = scales.map(|step| d * f32::from(step));
        *offset = mins.map(|step| -dmin * f32::from(step));
    }

    /// The eight scales and the eight minimums, four at a time as the bytes of a word.
    #[inline(always)]
    fn steps(&self) -> ([u8; 8], [u8; 8]) {
        let words: [[u8; 4]; 3] = bytemuck::cast(self.scales);
        let [scales, mins, low] = words.map(u32::from_le_bytes);
        let join = |first: u32, low: u32| {
            let second = low & 0x0f0f_0f0f | first >> 2 & 0x3030_3030;
            (u64::from(first & 0x3f3f_3f3f) | u64::from(second) << 32).to_le_bytes()
        };
        (join(scales, low), join(mins, low >> 4))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    /// Scale and offset of a group, read from the drawing above.
    pub(in super::super) fn slow_head(block: &[u8], group: usize) -> (f32, f32) {
        let (byte, six) = (|i: usize| (4 + i) * 8, 6);
        let (scale, min) = if group < 4 {
            (bits(block, byte(group), six), bits(block, byte(4 + group), six))
        } else {
            let (own, top) = (byte(4 + group), byte(group - 4) + 6);
            (
                bits(block, own, 4) + 16 * bits(block, top, 2),
                bits(block, own + 4, 4) + 16 * bits(block, top + 32, 2),
            )
        };
        (half(block, 0) * scale as f32, -half(block, 2) * min as f32)
    }

    #[test]
    fn a_second_reading_agrees() {
        check::<Q4K>(|block, i| {
            let q = bits(block, (16 + 32 * (i / 64) + i % 32) * 8 + i / 32 % 2 * 4, 4);
            let (scale, offset) = slow_head(block, i / 32);
            (q, scale, offset)
        });
    }
}
