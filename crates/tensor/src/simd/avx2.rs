//! AVX2 with FMA and F16C: 256-bit vectors, signed byte products by moving the sign.
//!
//! Every function needs the features it enables; the only unsafe code is the loads and stores.

use half::f16;
use std::arch::x86_64::*;

pub(crate) const LANES: usize = 8;
pub(crate) const COLS: usize = 4;
pub(crate) const BIAS: i32 = 0;

pub(crate) type F32 = __m256;
pub(crate) type I32 = __m256i;
pub(crate) type Sums = __m256i;
pub(crate) type Acc = __m256;

/// A panel line and its absolute values: `vpmaddubsw` wants an unsigned left factor, so the
/// weights give their sign to the activations. |-128| is 128 as an unsigned byte, so no weight is
/// out of range; activations never are -128, whose sign cannot be flipped in eight bits. Two
/// products reach at most 2 * 128 * 127 = 32512, which fits the 16 bits they are added in.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    signed: __m256i,
    size: __m256i,
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn zero() -> F32 {
    _mm256_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn splat(x: f32) -> F32 {
    _mm256_set1_ps(x)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn load(x: &[f32; LANES]) -> F32 {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn store(x: F32, out: &mut [f32; LANES]) {
    // SAFETY: the array is 32 writable bytes and the store asks for no alignment.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), x) }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn add(a: F32, b: F32) -> F32 {
    _mm256_add_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn sub(a: F32, b: F32) -> F32 {
    _mm256_sub_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn mul(a: F32, b: F32) -> F32 {
    _mm256_mul_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn div(a: F32, b: F32) -> F32 {
    _mm256_div_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn max(a: F32, b: F32) -> F32 {
    _mm256_max_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn mul_add(a: F32, b: F32, c: F32) -> F32 {
    _mm256_fmadd_ps(a, b, c)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn sum(a: F32) -> f32 {
    let s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn peak(a: F32) -> f32 {
    let s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)))
}
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its series to the sixth power; 2^n by adding n to
/// the exponent bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn exp(a: F32) -> F32 {
    let x = _mm256_min_ps(splat(88.0), a);
    let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm256_mul_ps(
        x,
        splat(std::f32::consts::LOG2_E),
    ));
    // ln 2 in two parts, so that n * high is exact.
    let r = _mm256_fnmadd_ps(n, splat(0.693_359_4), x);
    let r = _mm256_fnmadd_ps(n, splat(-2.121_944_4e-4), r);
    let mut p = splat(1.0 / 720.0);
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = _mm256_fmadd_ps(p, r, splat(c));
    }
    let power = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
    let y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
    let y = _mm256_blendv_ps(y, splat(f32::INFINITY), _mm256_cmp_ps::<_CMP_GT_OQ>(a, splat(88.0)));
    _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, splat(-87.0)), y)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn load_half(x: &[f16; LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(x.as_ptr().cast()) })
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn load_bf16(x: &[u16; LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    let x = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(x.as_ptr().cast()) });
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn store_half(x: F32, out: &mut [f16; LANES]) {
    let h = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
    // SAFETY: the array is 16 writable bytes and the store asks for no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), h) }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn isplat(x: i32) -> I32 {
    _mm256_set1_epi32(x)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn to_f32(x: I32) -> F32 {
    _mm256_cvtepi32_ps(x)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bytes(x: &[i8; 32]) -> __m256i {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn products(size: __m256i, x: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_set1_epi16(1), _mm256_maddubs_epi16(size, x))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn line(x: &[i8; 4 * LANES]) -> Line {
    let signed = bytes(x);
    Line { signed, size: _mm256_abs_epi8(signed) }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot4(sums: I32, w: Line, x: [i8; 4]) -> I32 {
    let x = _mm256_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
    _mm256_add_epi32(sums, products(w.size, _mm256_sign_epi8(x, w.signed)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn start(n: i32) -> Sums {
    _mm256_set1_epi32(n)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot32(sums: Sums, w: &[i8; 32], x: &[i8; 32]) -> Sums {
    let w = bytes(w);
    _mm256_add_epi32(sums, products(_mm256_abs_epi8(w), _mm256_sign_epi8(bytes(x), w)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot32_nibbles(sums: Sums, w: &[u8; 16], x: &[i8; 32]) -> Sums {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    let raw = unsafe { _mm_loadu_si128(w.as_ptr().cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(raw), raw);
    let w = _mm256_and_si256(both, _mm256_set1_epi8(15));
    _mm256_add_epi32(sums, products(w, bytes(x)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn acc() -> Acc {
    _mm256_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn scaled(acc: Acc, sums: Sums, scale: f32) -> Acc {
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(scale), acc)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn scaled_halves(acc: Acc, sums: Sums, low: f32, high: f32) -> Acc {
    let scale = _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low));
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, acc)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn total(a: Acc) -> f32 {
    sum(a)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn round_to_i8(x: F32, out: &mut [i8; LANES]) {
    let i = _mm256_cvtps_epi32(x);
    let i = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256::<1>(i));
    let i = _mm_packs_epi16(i, i);
    // SAFETY: the array is 8 writable bytes and the store asks for no alignment.
    unsafe { _mm_storel_epi64(out.as_mut_ptr().cast(), i) }
}
