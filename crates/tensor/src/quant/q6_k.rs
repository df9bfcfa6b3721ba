//! Q6_K: 256 weights of six bits in groups of 16, each group with a signed scale of eight bits.
//!
//! The block, 210 bytes (6.5625 bits a weight):
//!
//! ```text
//!   0  ql[128]     u8    weight 128 h + 64 n + m: its low bits are nibble n of byte 64 h + m
//! 128  qh[64]      u8    weight 128 h + 32 j + l: its high bits are bits 2j..2j+2 of byte 32 h + l
//! 192  scales[16]  i8    group g
//! 208  d           f16   what scales count
//!
//! weight = d * scale * (q - 32)             q in 0..=63
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Six bits around a scale for each 16 weights, in blocks of 256.
#[derive(Clone, Copy, Debug)]
pub struct Q6K;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    ql: [u8; 128],
    qh: [u8; 64],
    scales: [i8; 16],
    d: [u8; 2],
}

impl Format for Q6K {
    const DTYPE: DType = DType::Q6K;
    const BLOCK: usize = 256;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 16;
    const OFFSET: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], _offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 256] = q.try_into().expect("a block has 256 weights");
        let scale: &mut [f32; 16] = scale.try_into().expect("a block has 16 groups");
        let d = half_at(&block.d, 0);
        *scale = block.scales.map(|step| d * f32::from(step));
        let (low, high) = (block.ql.as_chunks::<64>().0, block.qh.as_chunks::<32>().0);
        for ((q, low), high) in q.as_chunks_mut::<128>().0.iter_mut().zip(low).zip(high) {
            for l in 0..32 {
                q[l] = (low[l] & 15 | high[l] << 4 & 48) as i8 - 32;
                q[l + 32] = (low[l + 32] & 15 | high[l] << 2 & 48) as i8 - 32;
                q[l + 64] = (low[l] >> 4 | high[l] & 48) as i8 - 32;
                q[l + 96] = (low[l + 32] >> 4 | high[l] >> 2 & 48) as i8 - 32;
            }
        }
    }
}

/// The scales of a block's sixteen groups, and its halves: nibbles and high bits of 128 weights.
/// For the kernel that keeps them in registers.
#[inline(always)]
pub(crate) fn open<'a>(
    block: &'a [u8; 210],
    scale: &mut [f32; 16],
) -> [(&'a [u8; 64], &'a [u8; 32]); 2] {
    let block: &Block = bytemuck::from_bytes(block);
    let d = half_at(&block.d, 0);
    *scale = block.scales.map(|step| d * f32::from(step));
    let (low, high) = (block.ql.as_chunks::<64>().0, block.qh.as_chunks::<32>().0);
    [(&low[0], &high[0]), (&low[1], &high[1])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q6K>(|block, i| {
            let low = bits(block, (64 * (i / 128) + i % 64) * 8 + i / 64 % 2 * 4, 4);
            let high = bits(block, (128 + 32 * (i / 128) + i % 32) * 8 + i / 32 % 4 * 2, 2);
            let scale = f32::from(block[192 + i / 16] as i8);
            (low + 16 * high - 32, half(block, 208) * scale, 0.0)
        });
    }
}
