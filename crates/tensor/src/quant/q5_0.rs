//! Q5_0: 32 weights of five bits around a common scale.
//!
//! The block, 22 bytes (5.5 bits a weight):
//!
//! ```text
//!  0  d       f16   scale
//!  2  qh      u32   bit i: the fifth bit of weight i
//!  6  qs[16]  u8    byte i: weight i in bits 0..4, weight i + 16 in bits 4..8
//!
//! weight = d * (q - 16)         q in 0..=31
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Five bits around a scale for each 32 weights.
#[derive(Clone, Copy, Debug)]
pub struct Q5_0;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    qh: [u8; 4],
    qs: [u8; 16],
}

impl Format for Q5_0 {
    const DTYPE: DType = DType::Q5_0;
    const BLOCK: usize = 32;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], _offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 32] = q.try_into().expect("a block has 32 weights");
        scale[0] = half_at(&block.d, 0);
        five_bits(&block.qs, block.qh, 16, q);
    }
}

/// Joins the nibbles in `low` with the fifth bits in `high`, as Q5_0 and Q5_1 keep them, and
/// counts from `zero`.
#[inline(always)]
pub(super) fn five_bits(low: &[u8; 16], high: [u8; 4], zero: i8, q: &mut [i8; 32]) {
    // Shifting the word by the weight's number is what compilers turn into vectors; reading the
    // bit from its own byte is not.
    let high = u32::from_le_bytes(high);
    let fifth = |i: usize| ((high >> i) as u8 & 1) << 4;
    for i in 0..16 {
        q[i] = (low[i] & 15 | fifth(i)) as i8 - zero;
        q[i + 16] = (low[i] >> 4 | fifth(i + 16)) as i8 - zero;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q5_0>(|block, i| {
            let q = bits(block, 48 + i % 16 * 8 + i / 16 * 4, 4) + 16 * bits(block, 16 + i, 1);
            (q - 16, half(block, 0), 0.0)
        });
    }
}
