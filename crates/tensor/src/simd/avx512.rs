//! AVX-512 with VNNI: 512-bit vectors, byte products in one instruction.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes. Panels therefore hold each weight plus
//! [`BIAS`], and the accumulators start at `-BIAS` times the sum of the activations, which takes
//! the bias out again at no cost. Products of single groups use 256 bits: a group is 32 weights.
//!
//! Every function needs the features it enables; the only unsafe code is the loads and stores.

use half::f16;
use std::arch::x86_64::*;

pub(crate) const LANES: usize = 16;
pub(crate) const COLS: usize = 12;
pub(crate) const BIAS: i32 = 128;

pub(crate) type F32 = __m512;
pub(crate) type I32 = __m512i;
pub(crate) type Line = __m512i;
pub(crate) type Sums = __m256i;
pub(crate) type Acc = __m256;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn zero() -> F32 {
    _mm512_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn splat(x: f32) -> F32 {
    _mm512_set1_ps(x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn load(x: &[f32; LANES]) -> F32 {
    // SAFETY: the array is 64 readable bytes and the load asks for no alignment.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn store(x: F32, out: &mut [f32; LANES]) {
    // SAFETY: the array is 64 writable bytes and the store asks for no alignment.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), x) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn add(a: F32, b: F32) -> F32 {
    _mm512_add_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn sub(a: F32, b: F32) -> F32 {
    _mm512_sub_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn mul(a: F32, b: F32) -> F32 {
    _mm512_mul_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn div(a: F32, b: F32) -> F32 {
    _mm512_div_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn max(a: F32, b: F32) -> F32 {
    _mm512_max_ps(a, b)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn mul_add(a: F32, b: F32, c: F32) -> F32 {
    _mm512_fmadd_ps(a, b, c)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn sum(a: F32) -> f32 {
    _mm512_reduce_add_ps(a)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn peak(a: F32) -> f32 {
    _mm512_reduce_max_ps(a)
}
/// As in `avx2.rs`, with the power of two applied by `vscalefps`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn exp(a: F32) -> F32 {
    let x = _mm512_min_ps(splat(88.0), a);
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, splat(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(n, splat(0.693_359_4), x);
    let r = _mm512_fnmadd_ps(n, splat(-2.121_944_4e-4), r);
    let mut p = splat(1.0 / 720.0);
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = _mm512_fmadd_ps(p, r, splat(c));
    }
    let keep = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(a, splat(-87.0));
    let y = _mm512_maskz_scalef_ps(keep, p, n);
    let far = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, splat(88.0));
    _mm512_mask_mov_ps(y, far, splat(f32::INFINITY))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn load_half(x: &[f16; LANES]) -> F32 {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(x.as_ptr().cast()) })
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn load_bf16(x: &[u16; LANES]) -> F32 {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    let x = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(x.as_ptr().cast()) });
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(x))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn store_half(x: F32, out: &mut [f16; LANES]) {
    let h = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
    // SAFETY: the array is 32 writable bytes and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), h) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn isplat(x: i32) -> I32 {
    _mm512_set1_epi32(x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn to_f32(x: I32) -> F32 {
    _mm512_cvtepi32_ps(x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
fn bytes(x: &[i8; 32]) -> __m256i {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn line(x: &[i8; 4 * LANES]) -> Line {
    // SAFETY: the array is 64 readable bytes and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot4(sums: I32, w: Line, x: [i8; 4]) -> I32 {
    let x = _mm512_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
    _mm512_dpbusd_epi32(sums, w, x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn start(n: i32) -> Sums {
    _mm256_set1_epi32(n)
}
/// The weights give their sign to the activations, as in `avx2.rs`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot32(sums: Sums, w: &[i8; 32], x: &[i8; 32]) -> Sums {
    let w = bytes(w);
    _mm256_dpbusd_epi32(sums, _mm256_abs_epi8(w), _mm256_sign_epi8(bytes(x), w))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot32_nibbles(sums: Sums, w: &[u8; 16], x: &[i8; 32]) -> Sums {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    let raw = unsafe { _mm_loadu_si128(w.as_ptr().cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(raw), raw);
    let w = _mm256_and_si256(both, _mm256_set1_epi8(15));
    _mm256_dpbusd_epi32(sums, w, bytes(x))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn acc() -> Acc {
    _mm256_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn scaled(acc: Acc, sums: Sums, scale: f32) -> Acc {
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(scale), acc)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn scaled_halves(acc: Acc, sums: Sums, low: f32, high: f32) -> Acc {
    let scale = _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low));
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, acc)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn total(a: Acc) -> f32 {
    let s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn round_to_i8(x: F32, out: &mut [i8; LANES]) {
    let i = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    // SAFETY: the array is 16 writable bytes and the store asks for no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), i) }
}
