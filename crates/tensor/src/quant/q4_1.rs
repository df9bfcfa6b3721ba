//! Q4_1: 32 weights of four bits above a common minimum.
//!
//! The block, 20 bytes (5 bits a weight):
//!
//! ```text
//!  0  d       f16   scale
//!  2  m       f16   minimum
//!  4  qs[16]  u8    byte i: weight i in bits 0..4, weight i + 16 in bits 4..8
//!
//! weight = d * q + m            q in 0..=15
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Four bits above a minimum for each 32 weights.
#[derive(Clone, Copy, Debug)]
pub struct Q4_1;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    m: [u8; 2],
    qs: [u8; 16],
}

impl Format for Q4_1 {
    const DTYPE: DType = DType::Q4_1;
    const BLOCK: usize = 32;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 32] = q.try_into().expect("a block has 32 weights");
        scale[0] = half_at(&block.d, 0);
        offset[0] = half_at(&block.m, 0);
        let (low, high) = q.split_at_mut(16);
        for i in 0..16 {
            low[i] = (block.qs[i] & 15) as i8;
            high[i] = (block.qs[i] >> 4) as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q4_1>(|block, i| {
            (bits(block, 32 + i % 16 * 8 + i / 16 * 4, 4), half(block, 0), half(block, 2))
        });
    }
}
