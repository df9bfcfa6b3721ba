//! The vocabulary in plain Rust: what each word means, and the judge of the other files.

use half::f16;

use crate::quant::{MAX_BLOCK, half_at};

pub(crate) const LANES: usize = 8;
pub(crate) const COLS: usize = 4;
pub(crate) const BIAS: i32 = 0;

#[derive(Clone, Copy)]
pub(crate) struct F32([f32; LANES]);
#[derive(Clone, Copy)]
pub(crate) struct I32([i32; LANES]);
#[derive(Clone, Copy)]
pub(crate) struct Line([i8; 4 * LANES]);
pub(crate) type Small = Line;
pub(crate) type Quads = Line;
pub(crate) type Run = I32;
#[derive(Clone, Copy)]
pub(crate) struct Weights([i8; 32]);
#[derive(Clone, Copy)]
pub(crate) struct Factors([f32; 8]);
#[derive(Clone, Copy)]
pub(crate) struct Sums([i32; 8]);
#[derive(Clone, Copy)]
pub(crate) struct Acc([f32; 8]);

pub(crate) const GROUPS: usize = 1;

fn map(a: F32, b: F32, f: impl Fn(f32, f32) -> f32) -> F32 {
    F32(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

pub(crate) fn zero() -> F32 {
    F32([0.0; LANES])
}
pub(crate) fn splat(x: f32) -> F32 {
    F32([x; LANES])
}
pub(crate) fn load(x: &[f32; LANES]) -> F32 {
    F32(*x)
}
pub(crate) fn store(x: F32, out: &mut [f32; LANES]) {
    *out = x.0;
}
pub(crate) fn add(a: F32, b: F32) -> F32 {
    map(a, b, |a, b| a + b)
}
pub(crate) fn sub(a: F32, b: F32) -> F32 {
    map(a, b, |a, b| a - b)
}
pub(crate) fn mul(a: F32, b: F32) -> F32 {
    map(a, b, |a, b| a * b)
}
pub(crate) fn div(a: F32, b: F32) -> F32 {
    map(a, b, |a, b| a / b)
}
pub(crate) fn max(a: F32, b: F32) -> F32 {
    map(a, b, f32::max)
}
/// `a * b + c`; rounded twice here and once where the machine fuses it.
pub(crate) fn mul_add(a: F32, b: F32, c: F32) -> F32 {
    F32(std::array::from_fn(|i| a.0[i] * b.0[i] + c.0[i]))
}
pub(crate) fn sum(a: F32) -> f32 {
    a.0.iter().sum()
}
pub(crate) fn peak(a: F32) -> f32 {
    a.0.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}
pub(crate) fn exp(a: F32) -> F32 {
    F32(a.0.map(|x| match x {
        x if x < -87.0 => 0.0,
        x if x > 88.0 => f32::INFINITY,
        x => x.exp(),
    }))
}
pub(crate) fn load_half(x: &[f16; LANES]) -> F32 {
    F32(x.map(f16::to_f32))
}
pub(crate) fn load_bf16(x: &[u16; LANES]) -> F32 {
    F32(x.map(|x| f32::from_bits(u32::from(x) << 16)))
}
pub(crate) fn store_half(x: F32, out: &mut [f16; LANES]) {
    *out = x.0.map(f16::from_f32);
}

pub(crate) fn isplat(x: i32) -> I32 {
    I32([x; LANES])
}
pub(crate) fn to_f32(x: I32) -> F32 {
    F32(x.0.map(|x| x as f32))
}
pub(crate) fn line(x: &[i8; 4 * LANES]) -> Line {
    Line(*x)
}
pub(crate) fn dot4(sums: I32, w: Line, x: [i8; 4]) -> I32 {
    I32(std::array::from_fn(|i| {
        let products = (0..4).map(|j| i32::from(w.0[4 * i + j]) * i32::from(x[j]));
        sums.0[i] + products.sum::<i32>()
    }))
}

pub(crate) fn quads(x: &[i8; 4 * LANES]) -> Quads {
    Line(*x)
}
pub(crate) fn dot4_counts(sums: I32, w: Quads, x: [i8; 4]) -> I32 {
    dot4(sums, w, x)
}

pub(crate) fn open(sums: I32) -> Run {
    sums
}
pub(crate) fn close(_: I32, run: Run) -> I32 {
    run
}
pub(crate) fn dot4_small(run: Run, w: Small, x: [i8; 4]) -> Run {
    dot4(run, w, x)
}
pub(crate) fn biased(x: &[u8; 4 * LANES]) -> Line {
    Line(x.map(|x| x as i8))
}
pub(crate) fn joined(upper: &[u8; 4 * LANES], lower: &[u8; 4 * LANES]) -> (Line, Line) {
    let first = |i: usize| (upper[i] << 4 | (lower[i] & 15)) ^ 0x80;
    let second = |i: usize| ((upper[i] & 0xf0) | lower[i] >> 4) ^ 0x80;
    (Line(std::array::from_fn(|i| first(i) as i8)), Line(std::array::from_fn(|i| second(i) as i8)))
}
pub(crate) fn small(x: &[u8; 4 * LANES]) -> Small {
    Line(x.map(|x| x as i8))
}
pub(crate) fn low_nibbles(x: &[u8; 4 * LANES]) -> Small {
    Line(x.map(|x| (x & 15) as i8))
}
pub(crate) fn high_nibbles(x: &[u8; 4 * LANES]) -> Small {
    Line(x.map(|x| (x >> 4) as i8))
}
pub(crate) fn six<const J: usize>(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES]) -> Small {
    let of = |i: usize| low[i] >> (J / 2 * 4) & 15 | (high[i] >> (2 * J) & 3) << 4;
    Line(std::array::from_fn(|i| of(i) as i8))
}
pub(crate) fn six_at(low: &[u8; 4 * LANES], high: &[u8; 4 * LANES], j: usize) -> Small {
    match j {
        0 => six::<0>(low, high),
        1 => six::<1>(low, high),
        2 => six::<2>(low, high),
        _ => six::<3>(low, high),
    }
}
pub(crate) fn five(nibbles: Small, high: &[u8; 4 * LANES], bit: usize) -> Small {
    Line(std::array::from_fn(|i| nibbles.0[i] + (high[i] >> bit & 1) as i8 * 16))
}
pub(crate) fn five_of_quad(nibbles: Small, bits: &[u8; 4 * LANES], quad: usize) -> Small {
    let bit = |i: usize| bits[i / 4 * 4 + quad / 2] >> (quad % 2 * 4 + i % 4) & 1;
    Line(std::array::from_fn(|i| nibbles.0[i] + bit(i) as i8 * 16))
}
pub(crate) fn prefetch(_: *const u8) {}
pub(crate) fn halves(x: &[u8; 2 * LANES]) -> F32 {
    F32(std::array::from_fn(|i| half_at(x, 2 * i)))
}
pub(crate) fn unsigned(x: &[u8; LANES]) -> F32 {
    F32(x.map(f32::from))
}
pub(crate) fn signed(x: &[u8; LANES]) -> F32 {
    F32(x.map(|x| f32::from(x as i8)))
}

pub(crate) fn weights(q: &[i8; 32 * GROUPS]) -> Weights {
    Weights(*q)
}
/// The low nibbles are the first sixteen weights, the high ones the last; 8 stands for nothing.
pub(crate) fn q4_0(block: &[u8; 18 * GROUPS]) -> (Weights, Factors) {
    let nibble = |i: usize| if i < 16 { block[2 + i] & 15 } else { block[2 + i - 16] >> 4 };
    let w = std::array::from_fn(|i| nibble(i) as i8 - 8);
    (Weights(w), factors(&[half_at(block, 0)]))
}
pub(crate) fn q8_0(block: &[u8; 34 * GROUPS]) -> (Weights, Factors) {
    (Weights(std::array::from_fn(|i| block[2 + i] as i8)), factors(&[half_at(block, 0)]))
}
pub(crate) fn nibbles(run: &[u8; 32]) -> [Weights; 2 / GROUPS] {
    [Weights(run.map(|b| (b & 15) as i8)), Weights(run.map(|b| (b >> 4) as i8))]
}
/// As `q4_0`, with a fifth bit; without it a weight stands for sixteen less.
pub(crate) fn q5_0(block: &[u8; 22 * GROUPS]) -> (Weights, Factors) {
    let nibble = |i: usize| if i < 16 { block[6 + i] & 15 } else { block[6 + i - 16] >> 4 };
    let fifth = |i: usize| block[2 + i / 8] >> (i % 8) & 1;
    let w = std::array::from_fn(|i| (nibble(i) + 16 * fifth(i)) as i8 - 16);
    (Weights(w), factors(&[half_at(block, 0)]))
}
/// Half a block of Q6_K, as `quant/q6_k.rs` draws it.
pub(crate) fn sixes(low: &[u8; 64], high: &[u8; 32]) -> [Weights; 4 / GROUPS] {
    std::array::from_fn(|j| {
        Weights(std::array::from_fn(|l| {
            let nibble = low[32 * (j % 2) + l] >> (4 * (j / 2)) & 15;
            (nibble | (high[l] >> (2 * j) & 3) << 4) as i8 - 32
        }))
    })
}
pub(crate) fn factors(scales: &[f32; GROUPS]) -> Factors {
    Factors([scales[0]; 8])
}
pub(crate) fn factors_of_halves(scales: &[f32; 2 * GROUPS]) -> Factors {
    Factors(std::array::from_fn(|i| scales[i / 4]))
}
pub(crate) fn arrange(x: &[i8; 32 * GROUPS], out: &mut [u8; 32 * GROUPS]) {
    *out = x.map(|x| x as u8);
}
pub(crate) fn dot(w: Weights, x: &[u8; 32 * GROUPS]) -> Sums {
    Sums(std::array::from_fn(|i| {
        (4 * i..4 * i + 4).map(|j| i32::from(w.0[j]) * i32::from(x[j] as i8)).sum()
    }))
}
pub(crate) fn acc() -> Acc {
    Acc([0.0; 8])
}
pub(crate) fn accumulate(acc: Acc, sums: Sums, w: Factors, x: &[f32; GROUPS]) -> Acc {
    Acc(std::array::from_fn(|i| acc.0[i] + sums.0[i] as f32 * (w.0[i] * x[0])))
}
pub(crate) fn total(a: Acc, b: Acc) -> f32 {
    a.0.iter().zip(b.0).map(|(a, b)| a + b).sum()
}
pub(crate) fn lines(
    rows: &[[i8; MAX_BLOCK]; LANES],
    at: usize,
    out: &mut [[i8; 4 * LANES]; LANES],
) {
    for (k, line) in out.iter_mut().enumerate() {
        *line = std::array::from_fn(|i| rows[i / 4][at + 4 * k + i % 4]);
    }
}
pub(crate) fn round_to_i8(x: F32, out: &mut [i8; LANES]) {
    *out = x.0.map(|x| x.round_ties_even() as i8);
}
