//! Norms, gates, softmax and rotary positions: one row at a time.

use crate::isa::Isa;
use crate::simd::{on, vectors};

/// `out = x / rms(x) * weight`, where rms is the root of the mean square plus `eps`.
pub(crate) fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    on!(isa, rms_norm(x, weight, eps, out));
}

/// `out = (x - mean) / deviation * weight + bias`.
pub(crate) fn layer_norm(
    isa: Isa,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    on!(isa, layer_norm(x, weight, bias, eps, out));
}

/// `gate = silu(gate) * up`, with silu(x) = x / (1 + e^-x).
pub(crate) fn swiglu(isa: Isa, gate: &mut [f32], up: &[f32]) {
    on!(isa, swiglu(gate, up));
}

/// `gate = gelu(gate) * up`, in the tanh form of gelu.
pub(crate) fn geglu(isa: Isa, gate: &mut [f32], up: &[f32]) {
    on!(isa, geglu(gate, up));
}

/// The tanh form of gelu.
pub(crate) fn gelu(isa: Isa, x: &mut [f32]) {
    on!(isa, gelu(x));
}

/// Gelu by its definition, `x Φ(x)`, where Φ is the normal distribution.
pub(crate) fn gelu_erf(isa: Isa, x: &mut [f32]) {
    on!(isa, gelu_erf(x));
}

/// `x *= factor`.
pub(crate) fn scale(isa: Isa, x: &mut [f32], factor: f32) {
    on!(isa, scale(x, factor));
}

/// `x = most * tanh(x / most)`.
pub(crate) fn soft_cap(isa: Isa, x: &mut [f32], most: f32) {
    on!(isa, soft_cap(x, most));
}

/// `x += factor * y`.
pub(crate) fn add_scaled(isa: Isa, x: &mut [f32], y: &[f32], factor: f32) {
    on!(isa, add_scaled(x, y, factor));
}

/// `x += y / rms(y) * weight`.
pub(crate) fn add_rms_norm(isa: Isa, x: &mut [f32], y: &[f32], weight: &[f32], eps: f32) {
    on!(isa, add_rms_norm(x, y, weight, eps));
}

/// `x += y`.
pub(crate) fn add(isa: Isa, x: &mut [f32], y: &[f32]) {
    on!(isa, add(x, y));
}

/// Turns pairs by their angles; `table` holds a cosine and a sine for each pair.
pub(crate) fn rope_interleaved(head: &mut [f32], table: &[[f32; 2]]) {
    for (pair, [cos, sin]) in head.as_chunks_mut::<2>().0.iter_mut().zip(table) {
        *pair = [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos];
    }
}

/// As [`rope_interleaved`], for heads whose pairs lie half a head apart.
pub(crate) fn rope_halves(head: &mut [f32], table: &[[f32; 2]]) {
    let (first, second) = head.split_at_mut(table.len());
    for ((a, b), [cos, sin]) in first.iter_mut().zip(second).zip(table) {
        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
    }
}

vectors! {
    /// One divided by the root of the mean square plus `eps`.
    #[inline]
    pub(super) fn rms_scale(x: &[f32], eps: f32) -> f32 {
        let (chunks, rest) = x.as_chunks::<{ v::LANES }>();
        let mut squares = v::zero();
        for c in chunks {
            let c = v::load(c);
            squares = v::mul_add(c, c, squares);
        }
        let squares = v::sum(squares) + rest.iter().map(|x| x * x).sum::<f32>();
        1.0 / (squares / x.len() as f32 + eps).sqrt()
    }

    pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let scale = rms_scale(x, eps);
        for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * w;
        }
    }

    pub(super) fn add_rms_norm(x: &mut [f32], y: &[f32], weight: &[f32], eps: f32) {
        let scale = rms_scale(y, eps);
        for ((x, y), w) in x.iter_mut().zip(y).zip(weight) {
            *x += y * scale * w;
        }
    }

    pub(super) fn layer_norm(
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
        out: &mut [f32],
    ) {
        let n = x.len() as f32;
        let (chunks, rest) = x.as_chunks::<{ v::LANES }>();
        let mut sum = v::zero();
        for c in chunks {
            sum = v::add(v::load(c), sum);
        }
        let mean = (v::sum(sum) + rest.iter().sum::<f32>()) / n;
        let mut squares = v::zero();
        for c in chunks {
            let c = v::sub(v::load(c), v::splat(mean));
            squares = v::mul_add(c, c, squares);
        }
        let rest = rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
        let scale = 1.0 / ((v::sum(squares) + rest) / n + eps).sqrt();
        for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * scale * w + b;
        }
    }

    pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
        let (gates, gate_rest) = gate.as_chunks_mut::<{ v::LANES }>();
        let (ups, up_rest) = up.as_chunks::<{ v::LANES }>();
        let one = v::splat(1.0);
        for (gate, up) in gates.iter_mut().zip(ups) {
            let x = v::load(gate);
            let silu = v::div(x, v::add(one, v::exp(v::sub(v::zero(), x))));
            v::store(v::mul(silu, v::load(up)), gate);
        }
        for (gate, up) in gate_rest.iter_mut().zip(up_rest) {
            *gate = *gate / (1.0 + (-*gate).exp()) * up;
        }
    }

    pub(super) fn geglu(gate: &mut [f32], up: &[f32]) {
        gelu(gate);
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate *= up;
        }
    }

    #[inline]
    pub(super) fn gelu(x: &mut [f32]) {
        // tanh u = 1 - 2 / (e^2u + 1), so that
        // gelu(x) = x / 2 (1 + tanh u) = x (1 - 1 / (e^2u + 1)).
        const TWO_ROOT_2_OVER_PI: f32 = 1.595_769_2;
        const CUBIC: f32 = 0.044_715;
        let (chunks, rest) = x.as_chunks_mut::<{ v::LANES }>();
        let one = v::splat(1.0);
        for c in chunks {
            let x = v::load(c);
            let inner = v::mul_add(v::mul(v::splat(CUBIC), x), x, one);
            let e = v::exp(v::mul(v::mul(v::splat(TWO_ROOT_2_OVER_PI), x), inner));
            v::store(v::mul(x, v::sub(one, v::div(one, v::add(e, one)))), c);
        }
        for x in rest {
            let e = (TWO_ROOT_2_OVER_PI * *x * (1.0 + CUBIC * *x * *x)).exp();
            *x *= 1.0 - 1.0 / (e + 1.0);
        }
    }

    pub(super) fn gelu_erf(x: &mut [f32]) {
        // With Φ(x) = 1 - erfc(x / √2) / 2 and erfc(-t) = 2 - erfc(t), both sides of zero are
        // gelu(x) = max(x, 0) - |x| erfc(t) / 2, where t = |x| / √2. For t ≥ 0,
        // erfc(t) = (a1 k + a2 k² + a3 k³ + a4 k⁴ + a5 k⁵) e^-t², k = 1 / (1 + p t), within
        // 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
        const HALF_ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;
        const P: f32 = 0.327_591_1;
        const A: [f32; 5] = [0.254_829_6, -0.284_496_72, 1.421_413_8, -1.453_152, 1.061_405_4];
        let (chunks, rest) = x.as_chunks_mut::<{ v::LANES }>();
        let one = v::splat(1.0);
        for c in chunks {
            let x = v::load(c);
            let size = v::max(x, v::sub(v::zero(), x));
            let t = v::mul(size, v::splat(HALF_ROOT));
            let k = v::div(one, v::mul_add(v::splat(P), t, one));
            let mut sum = v::splat(A[4]);
            for a in [A[3], A[2], A[1], A[0]] {
                sum = v::mul_add(sum, k, v::splat(a));
            }
            let e = v::exp(v::sub(v::zero(), v::mul(t, t)));
            let half_erfc = v::mul(v::mul(v::mul(sum, k), e), v::splat(0.5));
            v::store(v::sub(v::max(x, v::zero()), v::mul(size, half_erfc)), c);
        }
        for x in rest {
            let t = x.abs() * HALF_ROOT;
            let k = 1.0 / (1.0 + P * t);
            let sum = A.iter().rev().fold(0.0, |sum, a| sum * k + a);
            *x = x.max(0.0) - x.abs() * (sum * k * (-t * t).exp() * 0.5);
        }
    }

    pub(super) fn add(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }

    pub(super) fn add_scaled(x: &mut [f32], y: &[f32], factor: f32) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += factor * y;
        }
    }

    pub(super) fn scale(x: &mut [f32], factor: f32) {
        for x in x.iter_mut() {
            *x *= factor;
        }
    }

    pub(super) fn soft_cap(x: &mut [f32], most: f32) {
        // tanh u = 1 - 2 / (e^2u + 1)
        let (chunks, rest) = x.as_chunks_mut::<{ v::LANES }>();
        let (one, two) = (v::splat(1.0), v::splat(2.0));
        for c in chunks {
            let e = v::exp(v::mul(v::load(c), v::splat(2.0 / most)));
            let tanh = v::sub(one, v::div(two, v::add(e, one)));
            v::store(v::mul(tanh, v::splat(most)), c);
        }
        for x in rest {
            *x = most * (1.0 - 2.0 / ((2.0 / most * *x).exp() + 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|i| ((i * i * 31 + i * 7) % 199) as f32 / 99.0 * scale - scale).collect()
    }

    /// Runs `fast` on every instruction set over ragged lengths and compares with `slow`.
    fn check(fast: impl Fn(Isa, &mut [f32]), slow: impl Fn(&[f64]) -> Vec<f64>) {
        for isa in Isa::available() {
            for n in [1, 2, 7, 8, 15, 16, 17, 31, 64, 100, 576] {
                let x = wave(n, 9.0);
                let want = slow(&x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
                let mut got = x.clone();
                fast(isa, &mut got);
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    let error = (f64::from(*got) - want).abs();
                    assert!(error <= 2e-6 * want.abs().max(1.0), "{isa} {i}/{n}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn norms() {
        let w = wave(576, 1.0);
        let b = wave(576, 0.5);
        check(
            |isa, x| {
                let from = x.to_vec();
                rms_norm(isa, &from, &w, 1e-5, x);
            },
            |x| {
                let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
                x.iter().zip(&w).map(|(x, &w)| x / (mean + 1e-5).sqrt() * f64::from(w)).collect()
            },
        );
        check(
            |isa, x| {
                let from = x.to_vec();
                layer_norm(isa, &from, &w, &b, 1e-2, x);
            },
            |x| {
                let n = x.len() as f64;
                let mean = x.iter().sum::<f64>() / n;
                let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                (x.iter().zip(&w).zip(&b))
                    .map(|((x, &w), &b)| {
                        (x - mean) / (var + 1e-2).sqrt() * f64::from(w) + f64::from(b)
                    })
                    .collect()
            },
        );
    }

    /// The normal distribution at `x`, by adding up its density in small steps (Simpson's rule).
    fn normal(x: f64) -> f64 {
        const STEPS: usize = 2000;
        let width = x / STEPS as f64;
        let density = |i: usize| (-0.5 * (i as f64 * width).powi(2)).exp();
        let inner = (1..STEPS).map(|i| density(i) * if i % 2 == 1 { 4.0 } else { 2.0 });
        let area = (density(0) + inner.sum::<f64>() + density(STEPS)) * width / 3.0;
        0.5 + area / std::f64::consts::TAU.sqrt()
    }

    #[test]
    fn gates() {
        let up = wave(576, 2.0);
        check(
            |isa, x| swiglu(isa, x, &up[..x.len()]),
            |x| x.iter().zip(&up).map(|(x, &u)| x / (1.0 + (-x).exp()) * f64::from(u)).collect(),
        );
        let slow_gelu = |x: f64| {
            let c = (2.0 / std::f64::consts::PI).sqrt();
            0.5 * x * (1.0 + (c * (x + 0.044715 * x.powi(3))).tanh())
        };
        check(gelu, |x| x.iter().map(|x| slow_gelu(*x)).collect());
        check(gelu_erf, |x| x.iter().map(|&x| x * normal(x)).collect());
        check(
            |isa, x| geglu(isa, x, &up[..x.len()]),
            |x| x.iter().zip(&up).map(|(x, &u)| slow_gelu(*x) * f64::from(u)).collect(),
        );
    }

    #[test]
    fn sums_and_caps() {
        let (y, w) = (wave(576, 2.0), wave(576, 1.0));
        check(
            |isa, x| add_scaled(isa, x, &y[..x.len()], 0.3),
            |x| x.iter().zip(&y).map(|(x, &y)| x + f64::from(0.3f32) * f64::from(y)).collect(),
        );
        check(|isa, x| scale(isa, x, 0.3), |x| x.iter().map(|x| x * f64::from(0.3f32)).collect());
        check(
            |isa, x| soft_cap(isa, x, 5.0),
            |x| x.iter().map(|x| 5.0 * (x / 5.0).tanh()).collect(),
        );
        check(
            |isa, x| {
                let y = &y[..x.len()];
                add_rms_norm(isa, x, y, &w, 1e-5);
            },
            |x| {
                let y: Vec<f64> = y[..x.len()].iter().map(|y| f64::from(*y)).collect();
                let mean = y.iter().map(|y| y * y).sum::<f64>() / y.len() as f64;
                let scale = 1.0 / (mean + 1e-5).sqrt();
                x.iter().zip(&y).zip(&w).map(|((x, y), &w)| x + y * scale * f64::from(w)).collect()
            },
        );
    }

    #[test]
    fn far_values_neither_overflow_nor_vanish() {
        for isa in Isa::available() {
            let mut x = vec![-1e4, -200.0, 200.0, 1e4, 0.0, -0.0, 3e38, -3e38];
            let up = vec![1.0; 8];
            swiglu(isa, &mut x, &up);
            assert_eq!(x, [0.0, 0.0, 200.0, 1e4, 0.0, 0.0, 3e38, 0.0], "{isa}");
            let mut x = vec![f32::NAN; 16];
            swiglu(isa, &mut x, &[1.0; 16]);
            assert!(x.iter().all(|x| x.is_nan()), "{isa}");
            let mut x = vec![-1e4, -200.0, 200.0, 1e4, 0.0, -0.0, 3e38, -3e38];
            x.extend_from_within(..);
            x.push(3e38);
            gelu_erf(isa, &mut x);
            let row = [0.0, 0.0, 200.0, 1e4, 0.0, 0.0, 3e38, 0.0];
            assert_eq!(x, [&row[..], &row, &[3e38]].concat(), "{isa}");
            let mut x = vec![f32::NAN; 17];
            gelu_erf(isa, &mut x);
            assert!(x[..16].iter().all(|x| x.is_nan()) && x[16].is_nan(), "{isa}");
        }
    }

    #[test]
    fn both_rotations_are_the_same_turn() {
        let angles: Vec<[f32; 2]> = (0..4).map(|i| [(i as f32).cos(), (i as f32).sin()]).collect();
        let mut pairs = wave(8, 1.0);
        let mut halves: Vec<f32> = (0..8).map(|i| pairs[i % 4 * 2 + i / 4]).collect();
        rope_interleaved(&mut pairs, &angles);
        rope_halves(&mut halves, &angles);
        assert_eq!(halves, (0..8).map(|i| pairs[i % 4 * 2 + i / 4]).collect::<Vec<_>>());
    }
}
