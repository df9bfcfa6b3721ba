//! Q5_K: 256 weights of five bits in groups of 32, each group with a scale and a minimum of six
//! bits.
//!
//! The block, 176 bytes (5.5 bits a weight):
//!
//! ```text
//!  0  head      16 bytes, as in Q4_K: d, dmin, eight scales and eight minimums
//! 16  qh[32]    u8    weight 32 j + l: its fifth bit is bit j of byte l
//! 48  qs[128]   u8    weight 64 p + 32 n + l: nibble n of byte 32 p + l
//!
//! weight = d * scale * q - dmin * minimum          q in 0..=31
//! ```

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::q4_k::Head;
use crate::dtype::DType;

/// Five bits above a minimum for each 32 weights, in blocks of 256.
#[derive(Clone, Copy, Debug)]
pub struct Q5K;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    head: Head,
    qh: [u8; 32],
    qs: [u8; 128],
}

impl Format for Q5K {
    const DTYPE: DType = DType::Q5K;
    const BLOCK: usize = 256;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 256] = q.try_into().expect("a block has 256 weights");
        block.head.unpack(scale, offset);
        let mut high = block.qh;
        for (q, qs) in q.as_chunks_mut::<64>().0.iter_mut().zip(block.qs.as_chunks::<32>().0) {
            for l in 0..32 {
                q[l] = (qs[l] & 15 | high[l] << 4 & 16) as i8;
                q[l + 32] = (qs[l] >> 4 | high[l] << 3 & 16) as i8;
                high[l] >>= 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check};
    use crate::quant::q4_k::tests::slow_head;

    #[test]
    fn a_second_reading_agrees() {
        check::<Q5K>(|block, i| {
            let low = bits(block, (48 + 32 * (i / 64) + i % 32) * 8 + i / 32 % 2 * 4, 4);
            let high = bits(block, (16 + i % 32) * 8 + i / 32, 1);
            let (scale, offset) = slow_head(block, i / 32);
            (low + 16 * high, scale, offset)
        });
    }
}
