//! Q2_K: 256 weights of two bits in groups of 16, each group with a scale and a minimum of four
//! bits.
//!
//! The block, 84 bytes (2.625 bits a weight):
//!
//! ```text
//!  0  scales[16]  u8    group g: scale in bits 0..4, minimum in bits 4..8
//! 16  qs[64]      u8    weight 128 h + 32 j + l: bits 2j..2j+2 of byte 32 h + l
//! 80  d           f16   what scales count
//! 82  dmin        f16   what minimums count
//!
//! weight = d * scale * q - dmin * minimum          q in 0..=3
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Two bits above a minimum for each 16 weights, in blocks of 256.
#[derive(Clone, Copy, Debug)]
pub struct Q2K;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    scales: [u8; 16],
    qs: [u8; 64],
    d: [u8; 2],
    dmin: [u8; 2],
}

impl Format for Q2K {
    const DTYPE: DType = DType::Q2K;
    const BLOCK: usize = 256;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 16;
    const OFFSET: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 256] = q.try_into().expect("a block has 256 weights");
        let scale: &mut [f32; 16] = scale.try_into().expect("a block has 16 groups");
        let offset: &mut [f32; 16] = offset.try_into().expect("a block has 16 groups");
        let (d, dmin) = (half_at(&block.d, 0), half_at(&block.dmin, 0));
        *scale = block.scales.map(|steps| d * f32::from(steps & 15));
        *offset = block.scales.map(|steps| -(dmin * f32::from(steps >> 4)));
        for (q, qs) in q.as_chunks_mut::<128>().0.iter_mut().zip(block.qs.as_chunks::<32>().0) {
            for l in 0..32 {
                q[l] = (qs[l] & 3) as i8;
                q[l + 32] = (qs[l] >> 2 & 3) as i8;
                q[l + 64] = (qs[l] >> 4 & 3) as i8;
                q[l + 96] = (qs[l] >> 6) as i8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q2K>(|block, i| {
            let (h, j, l, g) = (i / 128, i / 32 % 4, i % 32, i / 16);
            let q = bits(block, (16 + 32 * h + l) * 8 + 2 * j, 2);
            let (scale, min) = (bits(block, g * 8, 4) as f32, bits(block, g * 8 + 4, 4) as f32);
            (q, half(block, 80) * scale, -half(block, 82) * min)
        });
    }
}
