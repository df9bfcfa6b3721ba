//! 64-bit Arm with the dot-product instructions: 128-bit vectors.
//!
//! `sdot` multiplies signed by signed bytes, so nothing is biased and no sign is moved. It has no
//! stable intrinsic in the compiler this project asks for, hence one line of assembly; the
//! feature itself and its detection are stable.
//!
//! Every function needs the features it enables; the only unsafe code is the loads, the stores
//! and that line.

use half::f16;
use std::arch::aarch64::*;
use std::arch::asm;

use crate::quant::{MAX_BLOCK, half_at};

pub(crate) const LANES: usize = 4;
pub(crate) const COLS: usize = 8;
pub(crate) const BIAS: i32 = 0;

pub(crate) type F32 = float32x4_t;
pub(crate) type I32 = int32x4_t;
pub(crate) type Line = int8x16_t;
pub(crate) type Small = int8x16_t;
pub(crate) type Quads = int8x16_t;
pub(crate) type Run = I32;
pub(crate) type Acc = float32x4_t;

pub(crate) const GROUPS: usize = 1;

/// The first and the last sixteen weights of a step.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    low: int8x16_t,
    high: int8x16_t,
}

/// What the first and the last sixteen are scaled by.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    low: float32x4_t,
    high: float32x4_t,
}

/// Partial sums of the first and of the last sixteen products.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    low: int32x4_t,
    high: int32x4_t,
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: one instruction of the enabled feature, on registers alone.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) a,
            in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn zero() -> F32 {
    vdupq_n_f32(0.0)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn splat(x: f32) -> F32 {
    vdupq_n_f32(x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn load(x: &[f32; LANES]) -> F32 {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    unsafe { vld1q_f32(x.as_ptr()) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn store(x: F32, out: &mut [f32; LANES]) {
    // SAFETY: the array is 16 writable bytes and the store asks for no alignment.
    unsafe { vst1q_f32(out.as_mut_ptr(), x) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn add(a: F32, b: F32) -> F32 {
    vaddq_f32(a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn sub(a: F32, b: F32) -> F32 {
    vsubq_f32(a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn mul(a: F32, b: F32) -> F32 {
    vmulq_f32(a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn div(a: F32, b: F32) -> F32 {
    vdivq_f32(a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn max(a: F32, b: F32) -> F32 {
    vmaxq_f32(a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn mul_add(a: F32, b: F32, c: F32) -> F32 {
    vfmaq_f32(c, a, b)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn sum(a: F32) -> f32 {
    vaddvq_f32(a)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn peak(a: F32) -> f32 {
    vmaxvq_f32(a)
}
/// As in `avx2.rs`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn exp(a: F32) -> F32 {
    let x = vminq_f32(splat(88.0), a);
    let n = vrndnq_f32(vmulq_f32(x, splat(std::f32::consts::LOG2_E)));
    let r = vfmsq_f32(x, n, splat(0.693_359_4));
    let r = vfmsq_f32(r, n, splat(-2.121_944_4e-4));
    let mut p = splat(1.0 / 720.0);
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = vfmaq_f32(splat(c), p, r);
    }
    let power = vshlq_n_s32::<23>(vcvtq_s32_f32(n));
    let y = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), power));
    let y = vbslq_f32(vcgtq_f32(a, splat(88.0)), splat(f32::INFINITY), y);
    vbslq_f32(vcltq_f32(a, splat(-87.0)), zero(), y)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn load_half(x: &[f16; LANES]) -> F32 {
    // SAFETY: the array is 8 readable bytes and the load asks for no alignment.
    let x = unsafe { vld1_u16(x.as_ptr().cast()) };
    vcvt_f32_f16(vreinterpret_f16_u16(x))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn load_bf16(x: &[u16; LANES]) -> F32 {
    // SAFETY: the array is 8 readable bytes and the load asks for no alignment.
    let x = unsafe { vld1_u16(x.as_ptr()) };
    vreinterpretq_f32_u32(vshlq_n_u32::<16>(vmovl_u16(x)))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn store_half(x: F32, out: &mut [f16; LANES]) {
    let h = vreinterpret_u16_f16(vcvt_f16_f32(x));
    // SAFETY: the array is 8 writable bytes and the store asks for no alignment.
    unsafe { vst1_u16(out.as_mut_ptr().cast(), h) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn isplat(x: i32) -> I32 {
    vdupq_n_s32(x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn to_f32(x: I32) -> F32 {
    vcvtq_f32_s32(x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn line(x: &[i8; 4 * LANES]) -> Line {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    unsafe { vld1q_s8(x.as_ptr()) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot4(sums: I32, w: Line, x: [i8; 4]) -> I32 {
    let x = vdupq_n_s32(i32::from_le_bytes(x.map(|b| b as u8)));
    sdot(sums, w, vreinterpretq_s8_s32(x))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn quads(x: &[i8; 4 * LANES]) -> Quads {
    line(x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot4_counts(sums: I32, w: Quads, x: [i8; 4]) -> I32 {
    dot4(sums, w, x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn open(sums: I32) -> Run {
    sums
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn close(_: I32, run: Run) -> I32 {
    run
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot4_small(run: Run, w: Small, x: [i8; 4]) -> Run {
    dot4(run, w, x)
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn biased(x: &[u8; 4 * LANES]) -> Line {
    line(bytemuck::cast_ref(x))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn raw(x: &[u8; 4 * LANES]) -> uint8x16_t {
    // SAFETY: the array is 16 readable bytes and the load asks for no alignment.
    unsafe { vld1q_u8(x.as_ptr()) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn small(x: &[u8; 4 * LANES]) -> Small {
    vreinterpretq_s8_u8(raw(x))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn joined(upper: &[u8; 4 * LANES], lower: &[u8; 4 * LANES]) -> (Line, Line) {
    let (upper, lower, fifteen) = (raw(upper), raw(lower), vdupq_n_u8(15));
    let first = vorrq_u8(vshlq_n_u8::<4>(upper), vandq_u8(lower, fifteen));
    let second = vorrq_u8(vbicq_u8(upper, fifteen), vshrq_n_u8::<4>(lower));
    let flip = |x| vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80)));
    (flip(first), flip(second))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn low_nibbles(x: &[u8; 4 * LANES]) -> Small {
    vreinterpretq_s8_u8(vandq_u8(raw(x), vdupq_n_u8(15)))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn high_nibbles(x: &[u8; 4 * LANES]) -> Small {
    vreinterpretq_s8_u8(vshrq_n_u8::<4>(raw(x)))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn six<const J: usize>(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES]) -> Small {
    let high = match J {
        0 => vshlq_n_u8::<4>(raw(high)),
        1 => vshlq_n_u8::<2>(raw(high)),
        2 => raw(high),
        _ => vshrq_n_u8::<2>(raw(high)),
    };
    let low = if J < 2 { low_nibbles(low) } else { high_nibbles(low) };
    vorrq_s8(low, vreinterpretq_s8_u8(vandq_u8(high, vdupq_n_u8(48))))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn six_at(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES], j: usize) -> Small {
    match j {
        0 => six::<0>(low, high),
        1 => six::<1>(low, high),
        2 => six::<2>(low, high),
        _ => six::<3>(low, high),
    }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn five(nibbles: Small, high: &[u8; 4 * LANES], bit: usize) -> Small {
    let set = vtstq_u8(raw(high), vdupq_n_u8(1 << bit));
    vorrq_s8(nibbles, vreinterpretq_s8_u8(vandq_u8(set, vdupq_n_u8(16))))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn five_of_quad(nibbles: Small, bits: &[u8; 4 * LANES], quad: usize) -> Small {
    // The byte of each row that holds the quad's bits, four times.
    const AT: [u8; 16] = [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12];
    let at = vaddq_u8(raw(&AT), vdupq_n_u8((quad / 2) as u8));
    let is_set = vreinterpretq_u8_u32(vdupq_n_u32(0x0804_0201 << (quad % 2 * 4)));
    let set = vtstq_u8(vqtbl1q_u8(raw(bits), at), is_set);
    vorrq_s8(nibbles, vreinterpretq_s8_u8(vandq_u8(set, vdupq_n_u8(16))))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch reads nothing and cannot fail, wherever it points.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at,
            options(nostack, readonly, preserves_flags));
    }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn halves(x: &[u8; 2 * LANES]) -> F32 {
    // SAFETY: the array is 8 readable bytes and the load of bytes asks for no alignment.
    let x = unsafe { vld1_u8(x.as_ptr()) };
    vcvt_f32_f16(vreinterpret_f16_u8(x))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn unsigned(x: &[u8; LANES]) -> F32 {
    let x = vreinterpret_u8_u32(vdup_n_u32(u32::from_le_bytes(*x)));
    vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(x))))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn signed(x: &[u8; LANES]) -> F32 {
    let x = vreinterpret_s8_u32(vdup_n_u32(u32::from_le_bytes(*x)));
    vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(x))))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn bytes(x: &[i8; 32]) -> (int8x16_t, int8x16_t) {
    let (halves, _) = x.as_chunks::<16>();
    (line(&halves[0]), line(&halves[1]))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn weights(q: &[i8; 32 * GROUPS]) -> Weights {
    let (low, high) = bytes(q);
    Weights { low, high }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn q4_0(block: &[u8; 18 * GROUPS]) -> (Weights, Factors) {
    // SAFETY: the array is 18 readable bytes, of which the load takes the last 16.
    let raw = unsafe { vld1q_u8(block.as_ptr().add(2)) };
    let signed = |nibbles| vsubq_s8(vreinterpretq_s8_u8(nibbles), vdupq_n_s8(8));
    let low = signed(vandq_u8(raw, vdupq_n_u8(15)));
    let high = signed(vshrq_n_u8::<4>(raw));
    (Weights { low, high }, factors(&[half_at(block, 0)]))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn q8_0(block: &[u8; 34 * GROUPS]) -> (Weights, Factors) {
    let (_, q) = block.split_last_chunk::<32>().expect("the scale is two bytes");
    (weights(bytemuck::cast_ref(q)), factors(&[half_at(block, 0)]))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn nibbles(run: &[u8; 32]) -> [Weights; 2 / GROUPS] {
    let (a, b) = bytes(bytemuck::cast_ref(run));
    let (a, b) = (vreinterpretq_u8_s8(a), vreinterpretq_u8_s8(b));
    let mask = vdupq_n_u8(15);
    let pair = |a, b| Weights { low: vreinterpretq_s8_u8(a), high: vreinterpretq_s8_u8(b) };
    [pair(vandq_u8(a, mask), vandq_u8(b, mask)), pair(vshrq_n_u8::<4>(a), vshrq_n_u8::<4>(b))]
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn q5_0(block: &[u8; 22 * GROUPS]) -> (Weights, Factors) {
    // SAFETY: the array is 22 readable bytes, of which the load takes the last 16.
    let raw = unsafe { vld1q_u8(block.as_ptr().add(6)) };
    let bits: [u8; 8] = std::array::from_fn(|i| 1 << i);
    // SAFETY: the array is 8 readable bytes.
    let bit = unsafe { vld1_u8(bits.as_ptr()) };
    let bit = vcombine_u8(bit, bit);
    let signed = |nibbles, a: u8, b: u8| {
        let fifths = vcombine_u8(vdup_n_u8(a), vdup_n_u8(b));
        let missing = vceqzq_u8(vandq_u8(fifths, bit));
        vreinterpretq_s8_u8(vorrq_u8(nibbles, vandq_u8(missing, vdupq_n_u8(0xf0))))
    };
    let low = signed(vandq_u8(raw, vdupq_n_u8(15)), block[2], block[3]);
    let high = signed(vshrq_n_u8::<4>(raw), block[4], block[5]);
    (Weights { low, high }, factors(&[half_at(block, 0)]))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn sixes(low: &[u8; 64], high: &[u8; 32]) -> [Weights; 4 / GROUPS] {
    // SAFETY: the arrays are 64 and 32 readable bytes, read in pieces of 16.
    let (low, high) = unsafe {
        let at = |from: &[u8], i: usize| vld1q_u8(from[16 * i..16 * i + 16].as_ptr());
        ([0, 1, 2, 3].map(|i| at(low, i)), [at(high, 0), at(high, 1)])
    };
    let join = |low, high| {
        let n = vorrq_u8(vandq_u8(low, vdupq_n_u8(15)), vandq_u8(high, vdupq_n_u8(48)));
        vsubq_s8(vreinterpretq_s8_u8(n), vdupq_n_s8(32))
    };
    let pair = |low, high| Weights { low, high };
    [
        pair(join(low[0], vshlq_n_u8::<4>(high[0])), join(low[1], vshlq_n_u8::<4>(high[1]))),
        pair(join(low[2], vshlq_n_u8::<2>(high[0])), join(low[3], vshlq_n_u8::<2>(high[1]))),
        pair(join(vshrq_n_u8::<4>(low[0]), high[0]), join(vshrq_n_u8::<4>(low[1]), high[1])),
        pair(
            join(vshrq_n_u8::<4>(low[2]), vshrq_n_u8::<2>(high[0])),
            join(vshrq_n_u8::<4>(low[3]), vshrq_n_u8::<2>(high[1])),
        ),
    ]
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn factors(scales: &[f32; GROUPS]) -> Factors {
    Factors { low: splat(scales[0]), high: splat(scales[0]) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn factors_of_halves(scales: &[f32; 2 * GROUPS]) -> Factors {
    Factors { low: splat(scales[0]), high: splat(scales[1]) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn arrange(x: &[i8; 32 * GROUPS], out: &mut [u8; 32 * GROUPS]) {
    *out = bytemuck::cast(*x);
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot(w: Weights, x: &[u8; 32 * GROUPS]) -> Sums {
    let (low, high) = bytes(bytemuck::cast_ref(x));
    Sums { low: sdot(isplat(0), w.low, low), high: sdot(isplat(0), w.high, high) }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn acc() -> Acc {
    zero()
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn accumulate(acc: Acc, sums: Sums, w: Factors, x: &[f32; GROUPS]) -> Acc {
    let acc = vfmaq_f32(acc, vcvtq_f32_s32(sums.low), vmulq_n_f32(w.low, x[0]));
    vfmaq_f32(acc, vcvtq_f32_s32(sums.high), vmulq_n_f32(w.high, x[0]))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn total(a: Acc, b: Acc) -> f32 {
    sum(vaddq_f32(a, b))
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn lines(
    rows: &[[i8; MAX_BLOCK]; LANES],
    at: usize,
    out: &mut [[i8; 4 * LANES]; LANES],
) {
    let row = |r: usize| {
        let strip = line(rows[r][at..at + 16].try_into().expect("a strip of 16"));
        vreinterpretq_s32_s8(strip)
    };
    let (low, high) = (vtrnq_s32(row(0), row(1)), vtrnq_s32(row(2), row(3)));
    let pair = |a, b| (vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b));
    let ((a, c), (b, d)) = (pair(low.0, high.0), pair(low.1, high.1));
    let turned = [vtrn1q_s64(a, c), vtrn1q_s64(b, d), vtrn2q_s64(a, c), vtrn2q_s64(b, d)];
    for (line, out) in turned.into_iter().zip(out) {
        // SAFETY: the array is 16 writable bytes and the store asks for no alignment.
        unsafe { vst1q_s8(out.as_mut_ptr(), vreinterpretq_s8_s64(line)) }
    }
}
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn round_to_i8(x: F32, out: &mut [i8; LANES]) {
    let i = vqmovn_s32(vcvtnq_s32_f32(x));
    let i = vqmovn_s16(vcombine_s16(i, i));
    *out = vget_lane_s32::<0>(vreinterpret_s32_s8(i)).to_le_bytes().map(|b| b as i8);
}
