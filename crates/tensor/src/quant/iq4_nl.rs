//! IQ4_NL: 32 weights of four bits, each the number of a step in a codebook that is finer near
//! zero.
//!
//! The block, 18 bytes (4.5 bits a weight):
//!
//! ```text
//!  0  d       f16   scale
//!  2  qs[16]  u8    byte i: weight i in bits 0..4, weight i + 16 in bits 4..8
//!
//! weight = d * CODEBOOK[q]      q in 0..=15
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Four bits by codebook, with a scale for each 32 weights.
#[derive(Clone, Copy, Debug)]
pub struct Iq4Nl;

/// The steps, which the format fixes.
const CODEBOOK: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    qs: [u8; 16],
}

impl Format for Iq4Nl {
    const DTYPE: DType = DType::Iq4Nl;
    const BLOCK: usize = 32;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], _offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 32] = q.try_into().expect("a block has 32 weights");
        scale[0] = half_at(&block.d, 0);
        let (low, high) = q.split_at_mut(16);
        for i in 0..16 {
            low[i] = (block.qs[i] & 15) as i8;
            high[i] = (block.qs[i] >> 4) as i8;
        }
        for q in q {
            *q = step(*q);
        }
    }
}

/// `CODEBOOK[number]`, as a tree of choices by one bit after the other: a table lookup stays
/// scalar, while choices turn into vectors.
#[inline(always)]
fn step(number: i8) -> i8 {
    let choose = |bit: u32, clear: i8, set: i8| clear ^ ((clear ^ set) & -(number >> bit & 1));
    let pair = |k: usize| choose(0, CODEBOOK[k], CODEBOOK[k + 1]);
    let four = |k: usize| choose(1, pair(k), pair(k + 2));
    choose(3, choose(2, four(0), four(4)), choose(2, four(8), four(12)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Iq4Nl>(|block, i| {
            let number = bits(block, 16 + i % 16 * 8 + i / 16 * 4, 4);
            (i32::from(CODEBOOK[number as usize]), half(block, 0), 0.0)
        });
    }
}
