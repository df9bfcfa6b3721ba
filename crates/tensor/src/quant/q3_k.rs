//! Q3_K: 256 weights of three bits in groups of 16, each group with a signed scale of six bits.
//!
//! The block, 110 bytes (3.4375 bits a weight):
//!
//! ```text
//!   0  hmask[32]   u8    weight 32 j + l: its third bit is bit j of byte l
//!  32  qs[64]      u8    weight 128 h + 32 j + l: its low bits are bits 2j..2j+2 of byte 32 h + l
//!  96  scales[12]  u8    group g: bits 0..4 in nibble g / 8 of byte g % 8,
//!                        bits 4..6 in bits 2(g/4)..2(g/4)+2 of byte 8 + g % 4
//! 108  d           f16   what scales count
//!
//! weight = d * (scale - 32) * (q - 4)       scale in 0..=63, q in 0..=7
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Three bits around a scale for each 16 weights, in blocks of 256.
#[derive(Clone, Copy, Debug)]
pub struct Q3K;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    hmask: [u8; 32],
    qs: [u8; 64],
    scales: [u8; 12],
    d: [u8; 2],
}

impl Format for Q3K {
    const DTYPE: DType = DType::Q3K;
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
        *scale = scales(&block.scales).map(|step| d * f32::from(step as i8 - 32));
        let mut high = block.hmask;
        for (q, qs) in q.as_chunks_mut::<128>().0.iter_mut().zip(block.qs.as_chunks::<32>().0) {
            for l in 0..32 {
                q[l] = (qs[l] & 3 | high[l] << 2 & 4) as i8 - 4;
                q[l + 32] = (qs[l] >> 2 & 3 | high[l] << 1 & 4) as i8 - 4;
                q[l + 64] = (qs[l] >> 4 & 3 | high[l] & 4) as i8 - 4;
                q[l + 96] = (qs[l] >> 6 | high[l] >> 1 & 4) as i8 - 4;
                high[l] >>= 4;
            }
        }
    }
}

/// The 16 scales, four at a time as the bytes of a word.
#[inline(always)]
fn scales(packed: &[u8; 12]) -> [u8; 16] {
    let word =
        |i: usize| u32::from_le_bytes([packed[i], packed[i + 1], packed[i + 2], packed[i + 3]]);
    let (first, second, top) = (word(0), word(4), word(8));
    let join = |low: u32, top: u32| u128::from(low & 0x0f0f_0f0f | (top & 0x0303_0303) << 4);
    let all = join(first, top)
        | join(second, top >> 2) << 32
        | join(first >> 4, top >> 4) << 64
        | join(second >> 4, top >> 6) << 96;
    all.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q3K>(|block, i| {
            let (h, j, l, g) = (i / 128, i / 32 % 4, i % 32, i / 16);
            let low = bits(block, (32 + 32 * h + l) * 8 + 2 * j, 2);
            let q = low + 4 * bits(block, l * 8 + i / 32, 1);
            let scale = bits(block, (96 + g % 8) * 8 + g / 8 * 4, 4)
                + 16 * bits(block, (104 + g % 4) * 8 + g / 4 * 2, 2);
            (q - 4, half(block, 108) * (scale - 32) as f32, 0.0)
        });
    }
}
