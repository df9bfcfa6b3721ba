//! Q8_0: 32 weights of eight bits with a common scale.
//!
//! The block, 34 bytes (8.5 bits a weight):
//!
//! ```text
//!  0  d       f16   scale
//!  2  qs[32]  i8    weight i
//!
//! weight = d * q                q in -127..=127; files may hold -128
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Eight bits and a scale for each 32 weights.
#[derive(Clone, Copy, Debug)]
pub struct Q8_0;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    qs: [i8; 32],
}

impl Format for Q8_0 {
    const DTYPE: DType = DType::Q8_0;
    const BLOCK: usize = 32;
    const BYTES: usize = size_of::<Block>();
    const GROUP: usize = 32;
    const OFFSET: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], _offset: &mut [f32]) {
        let block: &Block = bytemuck::from_bytes(block);
        let q: &mut [i8; 32] = q.try_into().expect("a block has 32 weights");
        scale[0] = half_at(&block.d, 0);
        *q = block.qs;
    }
}

/// Stores whole blocks as ggml's reference quantiser does: the largest magnitude becomes 127,
/// and a weight half way between two steps goes away from zero.
pub(super) fn encode(src: &[f32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(src.len() / Q8_0::BLOCK * Q8_0::BYTES);
    for weights in src.as_chunks::<{ Q8_0::BLOCK }>().0 {
        let largest = weights.iter().fold(0f32, |m, x| m.max(x.abs()));
        let d = largest / 127.0;
        // Where the scale is so small that its inverse is infinite, every weight is stored as zero;
        // so is it where the scale is infinite, since a NaN becomes zero in the cast.
        let inverse = Some(1.0 / d).filter(|inverse| inverse.is_finite()).unwrap_or(0.0);
        out.extend(half::f16::from_f32(d).to_le_bytes());
        // The inverse of a subnormal is infinite: without the clamp the cast would make -128.
        out.extend(weights.iter().map(|x| (x * inverse).round().clamp(-127.0, 127.0) as i8 as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::q4_0::judge::{bits, check, half};

    #[test]
    fn a_second_reading_agrees() {
        check::<Q8_0>(|block, i| {
            let q = bits(block, 16 + i * 8, 7) - 128 * bits(block, 16 + i * 8 + 7, 1);
            (q, half(block, 0), 0.0)
        });
    }

    #[test]
    fn halves_go_away_from_zero() {
        let mut weights = [0.0; 32];
        (weights[0], weights[1], weights[2], weights[3]) = (127.0, 2.5, -2.5, 2.25);
        let block = encode(&weights);
        assert_eq!(block[..6], [0x00, 0x3c, 127, 3, (-3i8) as u8, 2]);
    }

    #[test]
    fn odd_floats_are_stored_without_a_panic() {
        for x in [0.0, -0.0, -1e-45, f32::MIN, f32::INFINITY, f32::NAN] {
            let block = encode(&[x; 32]);
            assert_eq!(block.len(), Q8_0::BYTES, "{x}");
            assert!(!block[2..].contains(&0x80), "{x} is stored as -128");
        }
    }
}
