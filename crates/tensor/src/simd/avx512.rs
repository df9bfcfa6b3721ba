//! AVX-512 with VNNI: 512-bit vectors, byte products in one instruction.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes. Panels therefore hold each weight plus
//! [`BIAS`], and the accumulators start at `-BIAS` times the sum of the activations, which takes
//! the bias out again at no cost. The row kernels do it the other way round, so that it is paid by
//! weight and not by column: there the activations are stored with the bias.
//!
//! Every function needs the features it enables; the only unsafe code is the loads and stores.

use half::f16;
use std::arch::x86_64::*;

use crate::quant::MAX_BLOCK;

pub(crate) const LANES: usize = 16;
pub(crate) const COLS: usize = 12;
pub(crate) const BIAS: i32 = 128;

pub(crate) type F32 = __m512;
pub(crate) type I32 = __m512i;
pub(crate) type Line = __m512i;
pub(crate) type Small = __m512i;
pub(crate) type Quads = __m512i;
pub(crate) type Run = I32;
pub(crate) type Sums = __m512i;
pub(crate) type Factors = __m512;
pub(crate) type Acc = __m512;

pub(crate) const GROUPS: usize = 2;

/// A step's weights, signed, and -128 times the sum of each lane's four: what takes the bias of
/// the activations out again. It is paid once for all columns.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    q: __m512i,
    start: __m512i,
}

/// Where the two groups' scales lie, alternating; the upper half is not used.
const fn scales(second: i16) -> [i16; 32] {
    let mut at = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        at[lane] = if lane % 2 == 0 { 0 } else { second };
        lane += 1;
    }
    at
}

/// In a step the quads of the two groups alternate, so that a pair of scales, broadcast, meets
/// its lanes. Where 16-bit words of each lane come from: `first` and `second` are the words where
/// the groups' bytes begin, `high` is added for the second eight lanes.
const fn alternate(first: i16, second: i16, high: i16) -> [i16; 32] {
    let mut at = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        let group = if lane % 2 == 0 { first } else { second };
        let quad = (lane / 2 % 4) as i16;
        let from = group + 2 * quad + if lane < 8 { 0 } else { high };
        at[2 * lane] = from;
        at[2 * lane + 1] = from + 1;
        lane += 1;
    }
    at
}

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
pub(crate) fn quads(x: &[i8; 4 * LANES]) -> Quads {
    line(x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot4_counts(sums: I32, w: Quads, x: [i8; 4]) -> I32 {
    let x = _mm512_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
    _mm512_dpbusd_epi32(sums, x, w)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn open(sums: I32) -> Run {
    sums
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn close(_: I32, run: Run) -> I32 {
    run
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot4_small(run: Run, w: Small, x: [i8; 4]) -> Run {
    dot4(run, w, x)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn biased(x: &[u8; 4 * LANES]) -> Line {
    _mm512_xor_si512(line(bytemuck::cast_ref(x)), _mm512_set1_epi8(BIAS as i8))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn joined(upper: &[u8; 4 * LANES], lower: &[u8; 4 * LANES]) -> (Line, Line) {
    // The bias is what the flipped sign is already.
    let (first, lower_first) = (low_nibbles(upper), low_nibbles(lower));
    let first = _mm512_or_si512(_mm512_slli_epi16::<4>(first), lower_first);
    let second = _mm512_and_si512(line(bytemuck::cast_ref(upper)), _mm512_set1_epi8(-16));
    (first, _mm512_or_si512(second, high_nibbles(lower)))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn small(x: &[u8; 4 * LANES]) -> Small {
    line(bytemuck::cast_ref(x))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn low_nibbles(x: &[u8; 4 * LANES]) -> Small {
    _mm512_and_si512(line(bytemuck::cast_ref(x)), _mm512_set1_epi8(15))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn high_nibbles(x: &[u8; 4 * LANES]) -> Small {
    let x = _mm512_srli_epi16::<4>(line(bytemuck::cast_ref(x)));
    _mm512_and_si512(x, _mm512_set1_epi8(15))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn six<const J: usize>(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES]) -> Small {
    let high = line(bytemuck::cast_ref(high));
    let high = match J {
        0 => _mm512_slli_epi16::<4>(high),
        1 => _mm512_slli_epi16::<2>(high),
        2 => high,
        _ => _mm512_srli_epi16::<2>(high),
    };
    let low = if J < 2 { low_nibbles(low) } else { high_nibbles(low) };
    // low | high & 48, in one instruction.
    _mm512_ternarylogic_epi32::<0xf8>(low, high, _mm512_set1_epi8(48))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn six_at(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES], j: usize) -> Small {
    let count = |by: usize| _mm512_set1_epi16(by as i16);
    let low = _mm512_srlv_epi16(line(bytemuck::cast_ref(low)), count(j / 2 * 4));
    let high = _mm512_srlv_epi16(line(bytemuck::cast_ref(high)), count(2 * j));
    let high = _mm512_and_si512(_mm512_slli_epi16::<4>(high), _mm512_set1_epi8(48));
    // low & 15 | high, in one instruction.
    _mm512_ternarylogic_epi32::<0xf8>(high, low, _mm512_set1_epi8(15))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn five(nibbles: Small, high: &[u8; 4 * LANES], bit: usize) -> Small {
    let is_set = _mm512_set1_epi8((1u8 << bit) as i8);
    let set = _mm512_test_epi8_mask(line(bytemuck::cast_ref(high)), is_set);
    _mm512_mask_add_epi8(nibbles, set, nibbles, _mm512_set1_epi8(16))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn five_of_quad(nibbles: Small, bits: &[u8; 4 * LANES], quad: usize) -> Small {
    // The byte of each row that holds the quad's bits, four times.
    let at = _mm512_set_epi32(12, 8, 4, 0, 12, 8, 4, 0, 12, 8, 4, 0, 12, 8, 4, 0);
    let at = _mm512_add_epi32(at, _mm512_set1_epi32((quad / 2) as i32));
    let at = _mm512_mullo_epi32(at, _mm512_set1_epi32(0x0101_0101));
    let bytes = _mm512_shuffle_epi8(line(bytemuck::cast_ref(bits)), at);
    let is_set = _mm512_set1_epi32(0x0804_0201 << (quad % 2 * 4));
    let set = _mm512_test_epi8_mask(bytes, is_set);
    _mm512_mask_add_epi8(nibbles, set, nibbles, _mm512_set1_epi8(16))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn prefetch(at: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(at.cast());
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn halves(x: &[u8; 2 * LANES]) -> F32 {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(x.as_ptr().cast()) })
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn unsigned(x: &[u8; LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(x.as_ptr().cast()) }))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn signed(x: &[u8; LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(x.as_ptr().cast()) }))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
fn words(at: &[i16; 32]) -> __m512i {
    // SAFETY: the array is 64 readable bytes and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(at.as_ptr().cast()) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
fn ready(q: __m512i) -> Weights {
    let zero = _mm512_setzero_si512();
    let sums = _mm512_dpbusd_epi32(zero, _mm512_set1_epi8(-128), q);
    Weights { q, start: _mm512_sub_epi32(zero, sums) }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn weights(q: &[i8; 32 * GROUPS]) -> Weights {
    const AT: [i16; 32] = alternate(0, 16, 8);
    ready(_mm512_permutexvar_epi16(words(&AT), line(q)))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn q4_0(blocks: &[u8; 18 * GROUPS]) -> (Weights, Factors) {
    // The low nibbles are the first four quads of a group, the high ones the last four.
    const AT: [i16; 32] = alternate(1, 10, 0);
    const SCALES: [i16; 32] = scales(9);
    // Two plain loads: a masked one of 36 bytes costs some twenty cycles on Zen 5.
    // SAFETY: the array is 36 readable bytes, of which the loads take 0..32 and 32..36.
    let raw = unsafe {
        let rest = _mm_loadu_si32(blocks.as_ptr().add(32).cast());
        let most = _mm256_loadu_si256(blocks.as_ptr().cast());
        _mm512_inserti32x4::<2>(_mm512_castsi256_si512(most), rest)
    };
    let both = _mm512_permutexvar_epi16(words(&AT), raw);
    let shift = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4);
    let nibbles = _mm512_and_si512(_mm512_srlv_epi32(both, shift), _mm512_set1_epi8(15));
    let scales = _mm512_castsi512_si256(_mm512_permutexvar_epi16(words(&SCALES), raw));
    // -128 (n - 8) four times, in one instruction since nibbles are not negative.
    let bias = _mm512_set1_epi8(-128);
    let start = _mm512_dpbusd_epi32(_mm512_set1_epi32(4 * 8 * 128), nibbles, bias);
    let q = _mm512_sub_epi8(nibbles, _mm512_set1_epi8(8));
    (Weights { q, start }, _mm512_cvtph_ps(scales))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn q8_0(blocks: &[u8; 34 * GROUPS]) -> (Weights, Factors) {
    // Words 32 and up are of the second load, which begins two words later.
    const AT: [i16; 32] = alternate(1, 32 + 16, 8);
    const SCALES: [i16; 32] = scales(17);
    // SAFETY: the array is 68 readable bytes, of which the two loads take 0..64 and 4..68.
    let (first, second) = unsafe {
        let first = _mm512_loadu_si512(blocks.as_ptr().cast());
        (first, _mm512_loadu_si512(blocks.as_ptr().add(4).cast()))
    };
    let q = _mm512_permutex2var_epi16(first, words(&AT), second);
    let scales = _mm512_castsi512_si256(_mm512_permutexvar_epi16(words(&SCALES), first));
    (ready(q), _mm512_cvtph_ps(scales))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn nibbles(run: &[u8; 32]) -> [Weights; 2 / GROUPS] {
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    let raw = _mm512_cvtepu32_epi64(unsafe { _mm256_loadu_si256(run.as_ptr().cast()) });
    // A quad of low nibbles, then the same quad's high ones.
    let both = _mm512_or_si512(raw, _mm512_slli_epi64::<28>(raw));
    let q = _mm512_and_si512(both, _mm512_set1_epi8(15));
    let start = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, _mm512_set1_epi8(-128));
    [Weights { q, start }]
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn q5_0(blocks: &[u8; 22 * GROUPS]) -> (Weights, Factors) {
    let (pair, _) = blocks.as_chunks::<22>();
    // SAFETY: each block is 22 readable bytes, of which the load takes the last 16.
    let [first, second] = [&pair[0], &pair[1]]
        .map(|b| _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(b.as_ptr().add(6).cast()) }));
    let raw = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
    let shift = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
    let nibbles = _mm512_and_si512(_mm512_srlv_epi32(raw, shift), _mm512_set1_epi8(15));
    let fifth = |b: &[u8; 22]| u64::from(u32::from_le_bytes([b[2], b[3], b[4], b[5]]));
    let fifths = fifth(&pair[0]) | fifth(&pair[1]) << 32;
    // Without its fifth bit a weight stands for sixteen less.
    let low = _mm512_sub_epi8(nibbles, _mm512_set1_epi8(16));
    let q = _mm512_mask_mov_epi8(low, fifths, nibbles);
    const AT: [i16; 32] = alternate(0, 16, 8);
    let half = |b: &[u8; 22]| i32::from(u16::from_le_bytes([b[0], b[1]]));
    let scales = _mm256_set1_epi32(half(&pair[0]) | half(&pair[1]) << 16);
    (ready(_mm512_permutexvar_epi16(words(&AT), q)), _mm512_cvtph_ps(scales))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn sixes(low: &[u8; 64], high: &[u8; 32]) -> [Weights; 4 / GROUPS] {
    const AT: [i16; 32] = alternate(0, 16, 8);
    let low = _mm512_permutexvar_epi16(words(&AT), line(bytemuck::cast_ref(low)));
    // A quad of high bits for both groups of a step.
    // SAFETY: the array is 32 readable bytes and the load asks for no alignment.
    let high = _mm512_cvtepu32_epi64(unsafe { _mm256_loadu_si256(high.as_ptr().cast()) });
    let high = _mm512_or_si512(high, _mm512_slli_epi64::<32>(high));
    let first = _mm512_setr_epi32(4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2);
    let second = _mm512_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2);
    let pairs = [
        (low, _mm512_sllv_epi32(high, first)),
        (_mm512_srli_epi16::<4>(low), _mm512_srlv_epi32(high, second)),
    ];
    pairs.map(|(low, high)| {
        let low = _mm512_and_si512(low, _mm512_set1_epi8(15));
        let n = _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi8(48)));
        let bias = _mm512_set1_epi8(-128);
        let start = _mm512_dpbusd_epi32(_mm512_set1_epi32(4 * 32 * 128), n, bias);
        Weights { q: _mm512_sub_epi8(n, _mm512_set1_epi8(32)), start }
    })
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn factors(scales: &[f32; GROUPS]) -> Factors {
    _mm512_castpd_ps(_mm512_set1_pd(bytemuck::cast(*scales)))
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn factors_of_halves(scales: &[f32; 2 * GROUPS]) -> Factors {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    let all = _mm512_broadcast_f32x4(unsafe { _mm_loadu_ps(scales.as_ptr()) });
    let lanes = _mm512_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2, 1, 3, 1, 3, 1, 3, 1, 3);
    _mm512_permutexvar_ps(lanes, all)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn arrange(x: &[i8; 32 * GROUPS], out: &mut [u8; 32 * GROUPS]) {
    const AT: [i16; 32] = alternate(0, 16, 8);
    let x = _mm512_xor_si512(line(x), _mm512_set1_epi8(-128));
    // SAFETY: the array is 64 writable bytes and the store asks for no alignment.
    unsafe {
        _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_permutexvar_epi16(words(&AT), x));
    }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn dot(w: Weights, x: &[u8; 32 * GROUPS]) -> Sums {
    // SAFETY: the array is 64 readable bytes and the load asks for no alignment.
    let x = unsafe { _mm512_loadu_si512(x.as_ptr().cast()) };
    _mm512_dpbusd_epi32(w.start, x, w.q)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn acc() -> Acc {
    _mm512_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn accumulate(acc: Acc, sums: Sums, w: Factors, x: &[f32; GROUPS]) -> Acc {
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(w, factors(x)), acc)
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn total(a: Acc, b: Acc) -> f32 {
    _mm512_reduce_add_ps(_mm512_add_ps(a, b))
}
/// Sixteen rows of sixteen quads, turned in four rounds of shuffles.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn lines(
    rows: &[[i8; MAX_BLOCK]; LANES],
    at: usize,
    out: &mut [[i8; 4 * LANES]; LANES],
) {
    let bias = _mm512_set1_epi8(-128);
    let a: [_; 16] = std::array::from_fn(|r| {
        let row: &[i8; 64] = rows[r][at..at + 64].try_into().expect("a strip of 64");
        _mm512_xor_si512(line(row), bias)
    });
    // Pairs of rows by quads, fours of rows by pairs of quads ...
    let b: [_; 16] = std::array::from_fn(|i| {
        let (x, y) = (a[i / 2 * 2], a[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm512_unpacklo_epi32(x, y) } else { _mm512_unpackhi_epi32(x, y) }
    });
    let c: [_; 16] = std::array::from_fn(|i| {
        let (four, quad) = (i / 4 * 4, i % 4);
        let (x, y) = (b[four + quad / 2], b[four + quad / 2 + 2]);
        if quad % 2 == 0 { _mm512_unpacklo_epi64(x, y) } else { _mm512_unpackhi_epi64(x, y) }
    });
    // ... then the 128-bit pieces: c[4 f + q] holds quads q, 4 + q, 8 + q, 12 + q of rows 4 f ..
    for q in 0..4 {
        let (low, high) = (
            [
                _mm512_shuffle_i32x4::<0x88>(c[q], c[4 + q]),
                _mm512_shuffle_i32x4::<0x88>(c[8 + q], c[12 + q]),
            ],
            [
                _mm512_shuffle_i32x4::<0xdd>(c[q], c[4 + q]),
                _mm512_shuffle_i32x4::<0xdd>(c[8 + q], c[12 + q]),
            ],
        );
        let turned = [
            (q, _mm512_shuffle_i32x4::<0x88>(low[0], low[1])),
            (8 + q, _mm512_shuffle_i32x4::<0xdd>(low[0], low[1])),
            (4 + q, _mm512_shuffle_i32x4::<0x88>(high[0], high[1])),
            (12 + q, _mm512_shuffle_i32x4::<0xdd>(high[0], high[1])),
        ];
        for (k, line) in turned {
            // SAFETY: the array is 64 writable bytes and the store asks for no alignment.
            unsafe { _mm512_storeu_si512(out[k].as_mut_ptr().cast(), line) }
        }
    }
}
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(crate) fn round_to_i8(x: F32, out: &mut [i8; LANES]) {
    let i = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    // SAFETY: the array is 16 writable bytes and the store asks for no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), i) }
}
