//! AVX2 with FMA and F16C: 256-bit vectors, signed byte products by moving the sign.
//!
//! Every function needs the features it enables; the only unsafe code is the loads and stores.

use half::f16;
use std::arch::x86_64::*;

use crate::quant::MAX_BLOCK;

pub(crate) const LANES: usize = 8;
pub(crate) const COLS: usize = 4;
pub(crate) const BIAS: i32 = 0;

pub(crate) type F32 = __m256;
pub(crate) type I32 = __m256i;
pub(crate) type Weights = Line;
/// Weights of 0..=63: an unsigned left factor as they are.
pub(crate) type Small = __m256i;
pub(crate) type Quads = __m256i;
/// Sums of pairs of products, in sixteen bits.
pub(crate) type Run = __m256i;
pub(crate) type Sums = __m256i;
pub(crate) type Factors = __m256;
pub(crate) type Acc = __m256;

pub(crate) const GROUPS: usize = 1;

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
pub(crate) fn quads(x: &[i8; 4 * LANES]) -> Quads {
    bytes(x)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot4_counts(sums: I32, w: Quads, x: [i8; 4]) -> I32 {
    let x = _mm256_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
    _mm256_add_epi32(sums, products(x, w))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn open(_: I32) -> Run {
    _mm256_setzero_si256()
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn close(sums: I32, run: Run) -> I32 {
    _mm256_add_epi32(sums, _mm256_madd_epi16(run, _mm256_set1_epi16(1)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot4_small(run: Run, w: Small, x: [i8; 4]) -> Run {
    let x = _mm256_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
    _mm256_add_epi16(run, _mm256_maddubs_epi16(w, x))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn biased(x: &[u8; 4 * LANES]) -> Line {
    line(bytemuck::cast_ref(x))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn joined(upper: &[u8; 4 * LANES], lower: &[u8; 4 * LANES]) -> (Line, Line) {
    let (first, lower_first) = (low_nibbles(upper), low_nibbles(lower));
    let first = _mm256_or_si256(_mm256_slli_epi16::<4>(first), lower_first);
    let second = _mm256_and_si256(bytes(bytemuck::cast_ref(upper)), _mm256_set1_epi8(-16));
    let second = _mm256_or_si256(second, high_nibbles(lower));
    let flip = |x| {
        let signed = _mm256_xor_si256(x, _mm256_set1_epi8(i8::MIN));
        Line { signed, size: _mm256_abs_epi8(signed) }
    };
    (flip(first), flip(second))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn small(x: &[u8; 4 * LANES]) -> Small {
    bytes(bytemuck::cast_ref(x))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn low_nibbles(x: &[u8; 4 * LANES]) -> Small {
    _mm256_and_si256(bytes(bytemuck::cast_ref(x)), _mm256_set1_epi8(15))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn high_nibbles(x: &[u8; 4 * LANES]) -> Small {
    let x = _mm256_srli_epi16::<4>(bytes(bytemuck::cast_ref(x)));
    _mm256_and_si256(x, _mm256_set1_epi8(15))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn six<const J: usize>(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES]) -> Small {
    let high = bytes(bytemuck::cast_ref(high));
    let high = match J {
        0 => _mm256_slli_epi16::<4>(high),
        1 => _mm256_slli_epi16::<2>(high),
        2 => high,
        _ => _mm256_srli_epi16::<2>(high),
    };
    let low = if J < 2 { low_nibbles(low) } else { high_nibbles(low) };
    _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(48)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn six_at(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES], j: usize) -> Small {
    match j {
        0 => six::<0>(low, high),
        1 => six::<1>(low, high),
        2 => six::<2>(low, high),
        _ => six::<3>(low, high),
    }
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn five(nibbles: Small, high: &[u8; 4 * LANES], bit: usize) -> Small {
    let is_set = _mm256_set1_epi8((1u8 << bit) as i8);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes(bytemuck::cast_ref(high)), is_set), is_set);
    _mm256_or_si256(nibbles, _mm256_and_si256(set, _mm256_set1_epi8(16)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn five_of_quad(nibbles: Small, bits: &[u8; 4 * LANES], quad: usize) -> Small {
    // The byte of each row that holds the quad's bits, four times.
    let at = _mm256_set_epi32(12, 8, 4, 0, 12, 8, 4, 0);
    let at = _mm256_add_epi32(at, _mm256_set1_epi32((quad / 2) as i32));
    let at = _mm256_mullo_epi32(at, _mm256_set1_epi32(0x0101_0101));
    let mine = _mm256_shuffle_epi8(bytes(bytemuck::cast_ref(bits)), at);
    let is_set = _mm256_set1_epi32(((0x0804_0201u32) << (quad % 2 * 4)) as i32);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(mine, is_set), is_set);
    _mm256_or_si256(nibbles, _mm256_and_si256(set, _mm256_set1_epi8(16)))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn prefetch(at: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(at.cast());
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn halves(x: &[u8; 2 * LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(x.as_ptr().cast()) })
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn unsigned(x: &[u8; LANES]) -> F32 {
    // SAFETY: the array is 8 readable bytes and the load asks for no alignment.
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(x.as_ptr().cast()) }))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn signed(x: &[u8; LANES]) -> F32 {
    // SAFETY: the array is 8 readable bytes and the load asks for no alignment.
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(x.as_ptr().cast()) }))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn weights(q: &[i8; 32 * GROUPS]) -> Weights {
    line(q)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn q4_0(block: &[u8; 18 * GROUPS]) -> (Weights, Factors) {
    // SAFETY: the array is 18 readable bytes, of which the load takes the last 16.
    let raw = unsafe { _mm_loadu_si128(block.as_ptr().add(2).cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(raw), raw);
    let nibbles = _mm256_and_si256(both, _mm256_set1_epi8(15));
    let signed = _mm256_sub_epi8(nibbles, _mm256_set1_epi8(8));
    (Line { signed, size: _mm256_abs_epi8(signed) }, broadcast_half([block[0], block[1]]))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn q8_0(block: &[u8; 34 * GROUPS]) -> (Weights, Factors) {
    let (_, q) = block.split_last_chunk::<32>().expect("the scale is two bytes");
    (line(bytemuck::cast_ref(q)), broadcast_half([block[0], block[1]]))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn broadcast_half(bytes: [u8; 2]) -> Factors {
    let half = _mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bytes)));
    _mm256_broadcastss_ps(_mm_cvtph_ps(half))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn nibbles(run: &[u8; 32]) -> [Weights; 2 / GROUPS] {
    let raw = bytes(bytemuck::cast_ref(run));
    let mask = _mm256_set1_epi8(15);
    let (low, high) = (raw, _mm256_srli_epi16::<4>(raw));
    [low, high].map(|half| {
        let q = _mm256_and_si256(half, mask);
        Line { signed: q, size: q }
    })
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn q5_0(block: &[u8; 22 * GROUPS]) -> (Weights, Factors) {
    // SAFETY: the array is 22 readable bytes, of which the load takes the last 16.
    let raw = unsafe { _mm_loadu_si128(block.as_ptr().add(6).cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(raw), raw);
    let nibbles = _mm256_and_si256(both, _mm256_set1_epi8(15));
    // Each byte gets the byte of fifth bits that has its own, and looks at one bit of it.
    let fifths = i32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    let (zero, one) = (0x0101_0101_0101_0101, 0x0202_0202_0202_0202);
    let spread = _mm256_setr_epi64x(0, zero, one, zero + one);
    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
    let spread = _mm256_shuffle_epi8(_mm256_set1_epi32(fifths), spread);
    let missing = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), _mm256_setzero_si256());
    let signed = _mm256_or_si256(nibbles, _mm256_and_si256(missing, _mm256_set1_epi8(-16)));
    let size = _mm256_abs_epi8(signed);
    (Line { signed, size }, broadcast_half([block[0], block[1]]))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn sixes(low: &[u8; 64], high: &[u8; 32]) -> [Weights; 4 / GROUPS] {
    let (halves, _) = low.as_chunks::<32>();
    let [a, b] = [&halves[0], &halves[1]].map(|half| bytes(bytemuck::cast_ref(half)));
    let high = bytes(bytemuck::cast_ref(high));
    let quarters = [
        (a, _mm256_slli_epi16::<4>(high)),
        (b, _mm256_slli_epi16::<2>(high)),
        (_mm256_srli_epi16::<4>(a), high),
        (_mm256_srli_epi16::<4>(b), _mm256_srli_epi16::<2>(high)),
    ];
    quarters.map(|(low, high)| {
        let low = _mm256_and_si256(low, _mm256_set1_epi8(15));
        let n = _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(48)));
        let signed = _mm256_sub_epi8(n, _mm256_set1_epi8(32));
        Line { signed, size: _mm256_abs_epi8(signed) }
    })
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn factors(scales: &[f32; GROUPS]) -> Factors {
    splat(scales[0])
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn factors_of_halves(scales: &[f32; 2 * GROUPS]) -> Factors {
    _mm256_set_m128(_mm_set1_ps(scales[1]), _mm_set1_ps(scales[0]))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn arrange(x: &[i8; 32 * GROUPS], out: &mut [u8; 32 * GROUPS]) {
    *out = bytemuck::cast(*x);
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot(w: Weights, x: &[u8; 32 * GROUPS]) -> Sums {
    products(w.size, _mm256_sign_epi8(bytes(bytemuck::cast_ref(x)), w.signed))
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn acc() -> Acc {
    _mm256_setzero_ps()
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn accumulate(acc: Acc, sums: Sums, w: Factors, x: &[f32; GROUPS]) -> Acc {
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(w, splat(x[0])), acc)
}
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn total(a: Acc, b: Acc) -> f32 {
    sum(_mm256_add_ps(a, b))
}
/// Eight rows of eight quads, turned in three rounds of shuffles.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn lines(
    rows: &[[i8; MAX_BLOCK]; LANES],
    at: usize,
    out: &mut [[i8; 4 * LANES]; LANES],
) {
    let a: [_; 8] =
        std::array::from_fn(|r| bytes(rows[r][at..at + 32].try_into().expect("a strip of 32")));
    let b: [_; 8] = std::array::from_fn(|i| {
        let (x, y) = (a[i / 2 * 2], a[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm256_unpacklo_epi32(x, y) } else { _mm256_unpackhi_epi32(x, y) }
    });
    let c: [_; 8] = std::array::from_fn(|i| {
        let (four, quad) = (i / 4 * 4, i % 4);
        let (x, y) = (b[four + quad / 2], b[four + quad / 2 + 2]);
        if quad % 2 == 0 { _mm256_unpacklo_epi64(x, y) } else { _mm256_unpackhi_epi64(x, y) }
    });
    for q in 0..4 {
        let low = _mm256_permute2x128_si256::<0x20>(c[q], c[4 + q]);
        let high = _mm256_permute2x128_si256::<0x31>(c[q], c[4 + q]);
        for (k, line) in [(q, low), (4 + q, high)] {
            // SAFETY: the array is 32 writable bytes and the store asks for no alignment.
            unsafe { _mm256_storeu_si256(out[k].as_mut_ptr().cast(), line) }
        }
    }
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
