//! Weights that are floats of their own: 32 bits, half precision, brain floats.
//!
//! Layout, little-endian, one weight after the other:
//!
//! ```text
//! F32    4 bytes   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
//! F16    2 bytes   s eeeee mmmmmmmmmm
//! BF16   2 bytes   s eeeeeeee mmmmmmm         the upper half of an F32
//! ```
//!
//! What is not here: blocks, scales, and any product.

use super::half_to_f32;
use crate::dtype::DType;

/// A type whose weights are floats that stand alone.
pub trait FloatFormat: Copy + Send + Sync + 'static {
    /// The type that is stored so.
    const DTYPE: DType;
    /// Bytes in a weight.
    const BYTES: usize;

    /// The weight in the first [`BYTES`](Self::BYTES) bytes.
    fn get(bytes: &[u8]) -> f32;

    /// Reads one weight after the other until either side ends.
    #[inline(always)]
    fn decode_row(bytes: &[u8], out: &mut [f32]) {
        for (bytes, out) in bytes.chunks_exact(Self::BYTES).zip(out) {
            *out = Self::get(bytes);
        }
    }
}

/// 32-bit floats.
#[derive(Clone, Copy, Debug)]
pub struct F32;

/// Half-precision floats.
#[derive(Clone, Copy, Debug)]
pub struct F16;

/// Brain floats: the upper half of a 32-bit float.
#[derive(Clone, Copy, Debug)]
pub struct Bf16;

impl FloatFormat for F32 {
    const DTYPE: DType = DType::F32;
    const BYTES: usize = 4;

    #[inline(always)]
    fn get(bytes: &[u8]) -> f32 {
        f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

impl FloatFormat for F16 {
    const DTYPE: DType = DType::F16;
    const BYTES: usize = 2;

    #[inline(always)]
    fn get(bytes: &[u8]) -> f32 {
        half_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]))
    }
}

impl FloatFormat for Bf16 {
    const DTYPE: DType = DType::Bf16;
    const BYTES: usize = 2;

    #[inline(always)]
    fn get(bytes: &[u8]) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16)
    }
}

/// Writes stored floats as 32-bit ones.
///
/// # Panics
/// Where `dtype` is none of the types above.
pub(super) fn decode(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::F32 => F32::decode_row(bytes, out),
        DType::F16 => F16::decode_row(bytes, out),
        DType::Bf16 => Bf16::decode_row(bytes, out),
        _ => panic!("weights of {dtype} cannot be computed with"),
    }
}

/// Stores floats as `dtype`, rounded to nearest even; `None` for other types than those above.
pub(super) fn encode(dtype: DType, src: &[f32]) -> Option<Vec<u8>> {
    match dtype {
        DType::F32 => Some(src.iter().flat_map(|x| x.to_le_bytes()).collect()),
        DType::F16 => {
            Some(src.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect())
        }
        DType::Bf16 => {
            Some(src.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_brain_float_and_every_half_comes_back() {
        for dtype in [DType::F16, DType::Bf16] {
            let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let mut floats = vec![0.0; bytes.len() / 2];
            decode(dtype, &bytes, &mut floats);
            let again = encode(dtype, &floats).unwrap();
            let pairs = bytes.chunks_exact(2).zip(again.chunks_exact(2)).zip(&floats);
            for ((before, after), float) in pairs {
                assert!(float.is_nan() || before == after, "{dtype}: {before:?} is {after:?}");
            }
        }
    }

    #[test]
    fn floats_are_rounded_to_even() {
        // One unit and a half, a half unit up from even, infinity by rounding, a lost subnormal.
        let check = |dtype, x: f32, expected: u16| {
            assert_eq!(encode(dtype, &[x]).unwrap(), expected.to_le_bytes(), "{dtype} of {x}");
        };
        check(DType::F16, 1.0 + 1.5 / 1024.0, 0x3c02);
        check(DType::F16, 1.0 + 0.5 / 1024.0, 0x3c00);
        check(DType::F16, 65520.0, 0x7c00);
        check(DType::F16, 2f32.powi(-25), 0);
        check(DType::Bf16, 1.0 + 1.5 / 128.0, 0x3f82);
        check(DType::Bf16, 1.0 + 0.5 / 128.0, 0x3f80);
        check(DType::Bf16, f32::MAX, 0x7f80);
        assert_eq!(encode(DType::Q4K, &[0.0; 256]), None);
    }
}
