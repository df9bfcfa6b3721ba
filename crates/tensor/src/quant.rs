//! Block formats: how small integers, scales and minimums lie in bytes.
//!
//! Every quantised format of ggml that the house computes with is the same thing in another
//! packing: groups of 16 or 32 small integers `q`, each group with a scale and some with an
//! offset, so that a weight is `scale * q + offset`. A format is therefore one file with one
//! function, [`Format::unpack`], and everything else follows from it: decoding, the product with
//! a quantised activation, the panels of the matrix product. What is *not* here: how products are
//! computed, and which instruction set computes them.

use crate::dtype::DType;

mod float;
mod iq4_nl;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
pub(crate) mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
pub(crate) mod q6_k;
mod q8_0;

pub use float::{Bf16, F16, F32, FloatFormat};
pub use iq4_nl::Iq4Nl;
pub use q2_k::Q2K;
pub use q3_k::Q3K;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

/// Most weights in a block of any format.
pub const MAX_BLOCK: usize = 256;
/// Most groups in a block of any format (blocks of 256 in groups of 16).
pub const MAX_GROUPS: usize = 16;

/// A quantised block format.
pub trait Format: Copy + Send + Sync + 'static {
    /// The type that is stored so.
    const DTYPE: DType;
    /// Weights in a block: 32 or 256.
    const BLOCK: usize;
    /// Bytes in a block.
    const BYTES: usize;
    /// Weights that share a scale: 16 or 32.
    const GROUP: usize;
    /// Whether groups have an offset beside their scale.
    const OFFSET: bool;

    /// Takes a block apart, so that weight `i` is
    /// `scale[i / GROUP] * q[i] + offset[i / GROUP]`.
    ///
    /// `block` holds [`BYTES`](Self::BYTES) bytes, `q` takes [`BLOCK`](Self::BLOCK) integers,
    /// `scale` and `offset` take `BLOCK / GROUP` floats; `offset` is left alone by formats
    /// without one. `q` may be -128 (Q8_0 files may hold it): products treat it exactly, since it is
    /// activations that never are.
    fn unpack(block: &[u8], q: &mut [i8], scale: &mut [f32], offset: &mut [f32]);
}

/// Reads the half-precision float at `at`.
#[inline(always)]
pub(crate) fn half_at(bytes: &[u8], at: usize) -> f32 {
    // Not the conversion of crate `half`, which asks at run time what the processor can do and
    // calls a function: one call a block was a fifth of the decoding of Q4_K.
    half_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// The value of a half-precision float, without a branch, so that loops over blocks vectorise.
#[inline(always)]
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // The exponent's bias differs by 112. Subnormal halves, which the scales of K-quants often
    // are, go by their integer: as a float they would be subnormal on the way, and processors
    // take a hundred cycles to multiply one of those.
    let normal = f32::from_bits(magnitude + (112 << 23));
    let subnormal = (magnitude >> 13) as f32 * (1.0 / 16_777_216.0);
    let special = f32::from_bits(magnitude | 0x7f80_0000);
    let finite = if magnitude < 0x0080_0000 { subnormal } else { normal };
    let value = if magnitude >= 0x0f80_0000 { special } else { finite };
    f32::from_bits(value.to_bits() | u32::from(bits & 0x8000) << 16)
}

/// Calls `$body` with `$F` bound to the format of `$dtype`: the one table of quantised formats.
macro_rules! with_format {
    ($dtype:expr, $F:ident => $body:expr, else $other:expr) => {
        match $dtype {
            $crate::dtype::DType::Q4_0 => {
                type $F = $crate::quant::Q4_0;
                $body
            }
            $crate::dtype::DType::Q4_1 => {
                type $F = $crate::quant::Q4_1;
                $body
            }
            $crate::dtype::DType::Q5_0 => {
                type $F = $crate::quant::Q5_0;
                $body
            }
            $crate::dtype::DType::Q5_1 => {
                type $F = $crate::quant::Q5_1;
                $body
            }
            $crate::dtype::DType::Q8_0 => {
                type $F = $crate::quant::Q8_0;
                $body
            }
            $crate::dtype::DType::Q2K => {
                type $F = $crate::quant::Q2K;
                $body
            }
            $crate::dtype::DType::Q3K => {
                type $F = $crate::quant::Q3K;
                $body
            }
            $crate::dtype::DType::Q4K => {
                type $F = $crate::quant::Q4K;
                $body
            }
            $crate::dtype::DType::Q5K => {
                type $F = $crate::quant::Q5K;
                $body
            }
            $crate::dtype::DType::Q6K => {
                type $F = $crate::quant::Q6K;
                $body
            }
            $crate::dtype::DType::Iq4Nl => {
                type $F = $crate::quant::Iq4Nl;
                $body
            }
            _ => $other,
        }
    };
}
pub(crate) use with_format;

/// Writes stored weights as floats: the definition that every kernel is judged by.
///
/// # Panics
/// Where `dtype` does not compute, or `bytes` and `out` are not the same whole blocks.
pub fn decode(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    assert_eq!(Some(bytes.len()), dtype.row_bytes(out.len()), "{dtype}: bytes and floats differ");
    with_format!(dtype, F => decode_blocks::<F>(bytes, out), else float::decode(dtype, bytes, out))
}

fn decode_blocks<F: Format>(bytes: &[u8], out: &mut [f32]) {
    let mut q = [0i8; MAX_BLOCK];
    let (mut scale, mut offset) = ([0f32; MAX_GROUPS], [0f32; MAX_GROUPS]);
    let groups = F::BLOCK / F::GROUP;
    for (block, out) in bytes.chunks_exact(F::BYTES).zip(out.chunks_exact_mut(F::BLOCK)) {
        F::unpack(block, &mut q[..F::BLOCK], &mut scale[..groups], &mut offset[..groups]);
        for (i, out) in out.iter_mut().enumerate() {
            *out = scale[i / F::GROUP] * f32::from(q[i]) + offset[i / F::GROUP];
        }
    }
}

/// Stores floats as `dtype`; `None` for types that nothing here writes yet.
///
/// Written: F32, F16, BF16, Q8_0, Q4_0, by the rounding of ggml's reference quantiser.
///
/// # Panics
/// Where `src` is not whole rows of `width`, or rows are not whole blocks.
pub fn quantize(dtype: DType, src: &[f32], width: usize) -> Option<Vec<u8>> {
    assert!(src.len().is_multiple_of(width), "{} floats are not rows of {width}", src.len());
    assert!(dtype.row_bytes(width).is_some(), "rows of {width} are not whole blocks of {dtype}");
    match dtype {
        DType::Q8_0 => Some(q8_0::encode(src)),
        DType::Q4_0 => Some(q4_0::encode(src)),
        _ => float::encode(dtype, src),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_converted_exactly() {
        for bits in 0..=u16::MAX {
            let (got, want) = (half_to_f32(bits), half::f16::from_bits(bits).to_f32());
            assert!(
                got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                "{bits:04x}"
            );
        }
    }
}
