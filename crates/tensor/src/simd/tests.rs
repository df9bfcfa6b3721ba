//! Every instruction set of the machine against the plain words of `scalar.rs`.

use crate::isa::Isa;
use crate::quant::MAX_BLOCK;
use half::f16;

/// A small generator, so that a failure repeats.
fn random(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

vectors! {
    pub(super) fn exps(x: &[f32], out: &mut Vec<f32>) {
        for x in x {
            let mut lanes = [0.0; v::LANES];
            v::store(v::exp(v::splat(*x)), &mut lanes);
            out.push(lanes[v::LANES - 1]);
        }
    }

    /// Steps of 64 weights: as bytes, as blocks of the formats and as their parts, with one factor a group and one a half.
    pub(super) fn products(w: &[i8; 64], x: &[i8; 64]) -> Vec<f64> {
        let (mut bytes, mut halves, mut q8, mut q4) = (0.0, 0.0, 0.0, 0.0);
        let mut arranged = [0; 32 * v::GROUPS];
        for (s, (w, x)) in
            w.as_chunks::<{ 32 * v::GROUPS }>().0.iter().zip(x.as_chunks().0).enumerate()
        {
            v::arrange(x, &mut arranged);
            let ones = [1.0; v::GROUPS];
            let group = |g: usize| s * v::GROUPS + g;
            let scales: [f32; v::GROUPS] = std::array::from_fn(|g| (group(g) + 1) as f32);
            let total = |w, factors| {
                let acc = v::accumulate(v::acc(), v::dot(w, &arranged), factors, &ones);
                f64::from(v::total(acc, v::acc()))
            };
            bytes += total(v::weights(w), v::factors(&scales));
            let of_halves = std::array::from_fn(|h| (s * 2 * v::GROUPS + h + 1) as f32);
            halves += total(v::weights(w), v::factors_of_halves(&of_halves));
            let scale = |g: usize| f16::from_f32(scales[g]).to_le_bytes();
            let mut blocks = [0u8; 34 * v::GROUPS];
            for (g, block) in blocks.chunks_exact_mut(34).enumerate() {
                block[..2].copy_from_slice(&scale(g));
                block[2..].iter_mut().zip(&w[32 * g..]).for_each(|(b, w)| *b = *w as u8);
            }
            let (ready, factors) = v::q8_0(&blocks);
            q8 += total(ready, factors);
            let mut blocks = [0u8; 18 * v::GROUPS];
            for (g, block) in blocks.chunks_exact_mut(18).enumerate() {
                block[..2].copy_from_slice(&scale(g));
                block[2..].iter_mut().zip(&w[32 * g..]).for_each(|(b, w)| *b = *w as u8);
            }
            let (ready, factors) = v::q4_0(&blocks);
            q4 += total(ready, factors);
        }
        let mut q5 = 0.0;
        for (s, x) in x.as_chunks::<{ 32 * v::GROUPS }>().0.iter().enumerate() {
            v::arrange(x, &mut arranged);
            let mut blocks = [0u8; 22 * v::GROUPS];
            for (g, block) in blocks.chunks_exact_mut(22).enumerate() {
                let group = s * v::GROUPS + g;
                block[..2].copy_from_slice(&f16::from_f32((group + 1) as f32).to_le_bytes());
                block[2..].iter_mut().zip(&w[32 * group..]).for_each(|(b, w)| *b = *w as u8);
            }
            let (ready, factors) = v::q5_0(&blocks);
            let acc = v::accumulate(v::acc(), v::dot(ready, &arranged), factors, &[1.0; v::GROUPS]);
            q5 += f64::from(v::total(acc, v::acc()));
        }
        let mut six = 0.0;
        let low = w.map(|w| w as u8);
        let high: [u8; 32] = std::array::from_fn(|i| x[i] as u8);
        for (s, ready) in v::sixes(&low, &high).into_iter().enumerate() {
            // The same activations for both halves of the 128 weights.
            let steps = x.as_chunks::<{ 32 * v::GROUPS }>().0;
            v::arrange(&steps[s % steps.len()], &mut arranged);
            let halves = std::array::from_fn(|h| (s * 2 * v::GROUPS + h + 1) as f32);
            let sums = v::dot(ready, &arranged);
            let factors = v::factors_of_halves(&halves);
            let acc = v::accumulate(v::acc(), sums, factors, &[1.0; v::GROUPS]);
            six += f64::from(v::total(acc, v::acc()));
        }
        let mut runs = 0.0;
        let run: [u8; 32] = std::array::from_fn(|i| w[i] as u8);
        let ready = v::nibbles(&run);
        for (s, (w, x)) in ready.into_iter().zip(x.as_chunks().0).enumerate() {
            v::arrange(x, &mut arranged);
            let scales = std::array::from_fn(|g| (s * v::GROUPS + g + 1) as f32);
            let sums = v::dot(w, &arranged);
            let acc = v::accumulate(v::acc(), sums, v::factors(&scales), &[1.0; v::GROUPS]);
            runs += f64::from(v::total(acc, v::acc()));
        }
        vec![bytes, halves, q8, q4, q5, six, runs]
    }

    /// What lines hold, less the bias: (row, weight) again.
    pub(super) fn strips(from: &[i8]) -> Vec<i8> {
        let mut rows = [[0i8; MAX_BLOCK]; v::LANES];
        for (r, row) in rows.iter_mut().enumerate() {
            for (k, q) in row.iter_mut().enumerate() {
                *q = from[r * MAX_BLOCK + k];
            }
        }
        let mut out = vec![0; v::LANES * MAX_BLOCK];
        for at in (0..MAX_BLOCK).step_by(4 * v::LANES) {
            let mut lines = [[0; 4 * v::LANES]; v::LANES];
            v::lines(&rows, at, &mut lines);
            for (k, line) in lines.iter().enumerate() {
                for (i, &q) in line.iter().enumerate() {
                    let place = i / 4 * MAX_BLOCK + at + 4 * k + i % 4;
                    out[place] = (i32::from(q) - v::BIAS) as i8;
                }
            }
        }
        out
    }

    pub(super) fn lines(w: &[i8], x: &[i8; 4]) -> Vec<f32> {
        // Any number of lanes: rows of four weights, one after another.
        let (mut out, mut of_counts) = (Vec::new(), Vec::new());
        for w in w.as_chunks::<{ 4 * v::LANES }>().0 {
            let biased = w.map(|w| (i32::from(w) + v::BIAS) as i8);
            let sum: i32 = x.iter().map(|&x| i32::from(x)).sum();
            let dots = v::dot4(v::isplat(7 - v::BIAS * sum), v::line(&biased), *x);
            let mut lanes = [0.0; v::LANES];
            v::store(v::to_f32(dots), &mut lanes);
            out.extend(lanes);
            // The same as counts, without a bias: 0..=127.
            let dots = v::dot4_counts(v::isplat(7), v::quads(w), x.map(|x| x & 127));
            v::store(v::to_f32(dots), &mut lanes);
            of_counts.extend(lanes);
        }
        out.extend(of_counts);
        out
    }

    pub(super) fn halves(x: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        for x in x.as_chunks::<{ v::LANES }>().0 {
            let mut rounded = [f16::ZERO; v::LANES];
            v::store_half(v::load(x), &mut rounded);
            let mut back = [0.0; v::LANES];
            v::store(v::load_half(&rounded), &mut back);
            out.extend(back);
            let top = x.map(|x| (x.to_bits() >> 16) as u16);
            v::store(v::load_bf16(&top), &mut back);
            out.extend(back);
        }
        out
    }

    pub(super) fn folds(x: &[f32]) -> (f32, f32) {
        let mut sum = v::zero();
        let mut most = v::splat(f32::NEG_INFINITY);
        for x in x.as_chunks::<{ v::LANES }>().0 {
            sum = v::add(v::load(x), sum);
            most = v::max(v::load(x), most);
        }
        (v::sum(sum), v::peak(most))
    }
}

#[test]
fn exp_is_close_everywhere() {
    let x: Vec<f32> = (-8700..=8800).map(|i| i as f32 / 100.0).collect();
    for isa in Isa::available() {
        let mut got = Vec::new();
        on!(isa, exps(&x, &mut got));
        for (x, got) in x.iter().zip(got) {
            let want = f64::from(*x).exp();
            let error = (f64::from(got) - want).abs() / want;
            assert!(error < 2.4e-7, "{isa}: e^{x} = {got}, off by {error:.1e}");
        }
        let mut far = Vec::new();
        on!(isa, exps(&[-1e30, f32::NEG_INFINITY, -88.0], &mut far));
        assert_eq!(far, [0.0; 3], "{isa}");
        far.clear();
        on!(isa, exps(&[1e30, f32::INFINITY, 89.0], &mut far));
        assert_eq!(far, [f32::INFINITY; 3], "{isa}");
        let mut nan = Vec::new();
        on!(isa, exps(&[f32::NAN], &mut nan));
        assert!(nan[0].is_nan(), "{isa}");
    }
}

#[test]
fn byte_products_are_exact() {
    let mut seed = 7;
    for round in 0..200 {
        let mut w: [i8; 64] = std::array::from_fn(|_| random(&mut seed) as i8);
        let mut x: [i8; 64] = std::array::from_fn(|_| (random(&mut seed) as i8).max(-127));
        if round == 0 {
            // The extremes, where sixteen bits would overflow.
            w.fill(-128);
            x.fill(-127);
        } else if round == 1 {
            w.fill(-128);
            x.fill(127);
        }
        let want = on!(Isa::Scalar, products(&w, &x));
        let (quad, four): ([i8; 4], Vec<i8>) = ([x[0], x[1], x[2], x[3]], w.repeat(4));
        let want_lines = on!(Isa::Scalar, lines(&four, &quad));
        for isa in Isa::available() {
            assert_eq!(on!(isa, products(&w, &x)), want, "{isa}");
            assert_eq!(on!(isa, lines(&four, &quad)), want_lines, "{isa}");
        }
    }
}

#[test]
fn turned_strips_hold_every_weight() {
    let mut seed = 3;
    let rows: Vec<i8> = (0..16 * MAX_BLOCK).map(|_| random(&mut seed) as i8).collect();
    for isa in Isa::available() {
        let got = on!(isa, strips(&rows));
        assert_eq!(got, rows[..got.len()], "{isa}");
    }
}

#[test]
fn sixteen_bit_floats_agree() {
    let mut seed = 99;
    let x: Vec<f32> = (0..4096)
        .map(|_| f32::from_bits(random(&mut seed)))
        .map(|x| if x.is_finite() { x } else { 1.0 })
        .chain((0..4096).map(|i| (i as f32 - 2048.0) / 97.0))
        .collect();
    let sorted = |isa| {
        let mut all = on!(isa, halves(&x));
        all.sort_by(f32::total_cmp);
        all
    };
    let want = sorted(Isa::Scalar);
    for isa in Isa::available() {
        assert_eq!(sorted(isa), want, "{isa}");
    }
}

#[test]
fn folds_agree() {
    let x: Vec<f32> = (0..64).map(|i| ((i * 37) % 64) as f32).collect();
    for isa in Isa::available() {
        assert_eq!(on!(isa, folds(&x)), (2016.0, 63.0), "{isa}");
    }
}
