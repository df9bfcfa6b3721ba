//! Q4_0: 32 weights of four bits around a common scale.
//!
//! The block, 18 bytes (4.5 bits a weight):
//!
//! ```text
//!  0  d       f16   scale
//!  2  qs[16]  u8    byte i: weight i in bits 0..4, weight i + 16 in bits 4..8
//!
//! weight = d * (q - 8)          q in 0..=15
//! ```

use bytemuck::{Pod, Zeroable};

use super::{Format, half_at};
use crate::dtype::DType;

/// Four bits around a scale for each 32 weights.
#[derive(Clone, Copy, Debug)]
pub struct Q4_0;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Block {
    d: [u8; 2],
    qs: [u8; 16],
}

impl Format for Q4_0 {
    const DTYPE: DType = DType::Q4_0;
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
            low[i] = (block.qs[i] & 15) as i8 - 8;
            high[i] = (block.qs[i] >> 4) as i8 - 8;
        }
    }
}

/// Stores whole blocks as ggml's reference quantiser does: the weight that is largest, sign and
/// all, becomes -8 exactly, and the others fall where they fall.
pub(super) fn encode(src: &[f32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(src.len() / Q4_0::BLOCK * Q4_0::BYTES);
    for weights in src.as_chunks::<{ Q4_0::BLOCK }>().0 {
        let largest = weights.iter().fold(0f32, |m, &x| if x.abs() > m.abs() { x } else { m });
        let d = largest / -8.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        // Shifted by 8 and a half, truncation rounds; what overshoots below is zero by the cast.
        let level = |x: f32| ((x * inverse + 8.5) as u8).min(15);
        out.extend(half::f16::from_f32(d).to_le_bytes());
        out.extend((0..16).map(|i| level(weights[i]) | level(weights[i + 16]) << 4));
    }
    out
}

/// What the tests of all block formats share: random blocks, and a second reading to hold each
/// `unpack` against.
#[cfg(test)]
pub(super) mod judge {
    use super::super::{Format, MAX_BLOCK, MAX_GROUPS};

    /// `count` bits from bit `at` on, the lowest bit of the first byte being bit 0.
    pub(in super::super) fn bits(bytes: &[u8], at: usize, count: usize) -> i32 {
        (0..count).map(|i| i32::from(bytes[(at + i) / 8] >> ((at + i) % 8) & 1) << i).sum()
    }

    /// The half-precision float at byte `at`, by its definition.
    pub(in super::super) fn half(bytes: &[u8], at: usize) -> f32 {
        let sign = if bits(bytes, at * 8 + 15, 1) == 1 { -1.0 } else { 1.0 };
        let (exponent, mantissa) = (bits(bytes, at * 8 + 10, 5), bits(bytes, at * 8, 10) as f32);
        sign * match exponent {
            0 => mantissa * 2f32.powi(-24),
            31 if mantissa == 0.0 => f32::INFINITY,
            31 => f32::NAN,
            _ => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
        }
    }

    /// Bytes that look random and are the same in every run.
    fn noise(state: &mut u64) -> u8 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (*state >> 56) as u8
    }

    /// Holds `unpack` against `slow(block, i)`, which reads weight `i` alone and gives its
    /// integer, scale and offset. Random bytes make every scale there is, NaN included.
    pub(in super::super) fn check<F: Format>(slow: fn(&[u8], usize) -> (i32, f32, f32)) {
        let groups = F::BLOCK / F::GROUP;
        let mut state = F::BYTES as u64;
        for round in 0..2000 {
            let block: Vec<u8> = match round {
                0 => vec![0; F::BYTES],
                1 => vec![0xff; F::BYTES],
                _ => (0..F::BYTES).map(|_| noise(&mut state)).collect(),
            };
            let mut q = [99; MAX_BLOCK];
            let (mut scale, mut offset) = ([7.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
            F::unpack(&block, &mut q[..F::BLOCK], &mut scale[..groups], &mut offset[..groups]);
            for (i, &q) in q[..F::BLOCK].iter().enumerate() {
                let got = (i32::from(q), scale[i / F::GROUP], offset[i / F::GROUP]);
                let expected = slow(&block, i);
                let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
                assert!(
                    got.0 == expected.0 && same(got.1, expected.1) && same(got.2, expected.2),
                    "{} weight {i} is {got:?}, expected {expected:?}, in {block:02x?}",
                    F::DTYPE
                );
            }
        }
        assert_eq!((F::BLOCK, F::BYTES), (F::DTYPE.block(), F::DTYPE.block_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_reading_agrees() {
        judge::check::<Q4_0>(|block, i| {
            let q = judge::bits(block, 16 + i % 16 * 8 + i / 16 * 4, 4);
            (q - 8, judge::half(block, 0), 0.0)
        });
    }

    #[test]
    fn the_largest_weight_is_minus_eight() {
        let mut weights = [0.25f32; 32];
        (weights[3], weights[20]) = (-4.0, 4.0);
        let block = encode(&weights);
        assert_eq!(block[..2], half::f16::from_f32(0.5).to_le_bytes());
        let (mut q, mut scale) = ([0; 32], [0.0]);
        Q4_0::unpack(&block, &mut q, &mut scale, &mut []);
        // 8 has no room above 7; a quarter is half a step, which goes away from zero.
        assert_eq!((q[3], q[20], q[0], scale), (-8, 7, 1, [0.5]));
    }

    #[test]
    fn odd_floats_are_stored_without_a_panic() {
        for x in [0.0, -0.0, 1e-45, f32::MAX, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(encode(&[x; 64]).len(), 2 * Q4_0::BYTES, "{x}");
        }
    }
}
