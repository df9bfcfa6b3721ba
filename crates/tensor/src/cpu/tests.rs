//! Every operation, on every instruction set and several thread counts, against its definition
//! in double precision. Attention has its own in `attention/tests.rs`.

use std::ops::Range;

use super::activations::Factor;
use super::matmul::{FEW, Product};
use super::place::SHARES;
use super::*;
use crate::bytes::{Arena, Bytes};
use crate::dtype::DType;
use crate::kernel::activation::quantise;
use crate::kernel::panel;
use crate::layout;
use crate::matrix::Matrix;
use crate::pool::Parts;
use crate::rows::Rows;

pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }
    /// Roughly normal.
    pub(super) fn float(&mut self) -> f32 {
        (0..4).map(|_| self.next() as f32 / (1u64 << 31) as f32 - 0.5).sum()
    }
    pub(super) fn rows(&mut self, count: usize, width: usize) -> Rows {
        Rows::from_vec((0..count * width).map(|_| self.float()).collect(), width)
    }
}

/// Random weights of any type: random bytes, with the scales made ordinary.
fn weights(random: &mut Random, dtype: DType, rows: usize, cols: usize) -> Matrix {
    let count = dtype.row_bytes(cols).unwrap() * rows;
    let mut bytes: Vec<u8> = (0..count).map(|_| random.next() as u8).collect();
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => {
            let floats: Vec<f32> = (0..rows * cols).map(|_| random.float()).collect();
            bytes = crate::quantize(dtype, &floats, cols).unwrap();
        }
        _ => {
            for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
                let scale = half::f16::from_f32(random.float() * 0.02).to_le_bytes();
                let at: &[usize] = match dtype {
                    DType::Q2K => &[80, 82],
                    DType::Q3K => &[108],
                    DType::Q6K => &[208],
                    DType::Q4K | DType::Q5K | DType::Q4_1 | DType::Q5_1 => &[0, 2],
                    _ => &[0],
                };
                for &at in at {
                    block[at..at + 2].copy_from_slice(&scale);
                }
            }
        }
    }
    Matrix::new(dtype, rows, cols, Bytes::from_vec(bytes)).unwrap()
}

const COMPUTING: [DType; 14] = [
    DType::F32,
    DType::F16,
    DType::Bf16,
    DType::Q8_0,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q2K,
    DType::Q3K,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
    DType::Iq4Nl,
];

#[test]
fn the_list_is_the_table() {
    assert!(DType::all().filter(|d| d.computes()).all(|d| COMPUTING.contains(&d)));
}

/// The product by its definition, over the activations as the format rounds them.
fn slow_matmul(w: &Matrix, x: &Rows) -> Vec<f64> {
    let mut x = x.clone();
    // What the rounding of a block's sum to a half adds to the sum, by row and block.
    let mut rounding = vec![Vec::new(); x.count()];
    let factor = Product { w, lanes: 1, bytes: &[], y: Parts::new(&mut []), width: 0 }.factor();
    if let Factor::Floats(rounding) = factor {
        x.as_mut_slice().iter_mut().for_each(|x| *x = rounding.of_float(*x));
    }
    if let Factor::Bytes(scaling) = factor {
        for (r, rounding) in rounding.iter_mut().enumerate() {
            let mut q = Quantised::default();
            q.reset(1, x.width());
            let Quantised { q, scale, sum, weighted, .. } = &mut q;
            quantise(Isa::Scalar, scaling, x.row(r), q, scale, sum, weighted);
            for (i, x) in x.row_mut(r).iter_mut().enumerate() {
                *x = f32::from(q[i]) * scale[i / 32];
            }
            *rounding = (scale.iter().zip(sum.iter()).zip(weighted.as_chunks::<2>().0))
                .map(|((&d, &n), w)| f64::from(w[0] + w[1]) - f64::from(d) * f64::from(n))
                .collect::<Vec<f64>>();
        }
    }
    let decoded = w.decode();
    let offset = |row: usize, block: usize| match w.dtype() {
        DType::Q4_1 | DType::Q5_1 => {
            let at = block * w.dtype().block_bytes();
            f64::from(crate::quant::half_at(&w.bytes()[row * w.row_bytes()..], at + 2))
        }
        _ => 0.0,
    };
    let mut out = Vec::new();
    for (r, rounding) in rounding.iter().enumerate() {
        for (row, weights) in decoded.chunks_exact(w.cols()).enumerate() {
            let products = weights.iter().zip(x.row(r)).map(|(w, x)| f64::from(*w) * f64::from(*x));
            let rounding = rounding.iter().enumerate().map(|(b, by)| offset(row, b) * by);
            out.push(products.sum::<f64>() + rounding.sum::<f64>());
        }
    }
    out
}

fn close(got: &[f32], want: &[f64], what: impl Fn() -> String) {
    within(2e-5, got, want, what);
}

/// Whether no element is further off than `bound`, as a part of the size of what is wanted.
pub(super) fn within(bound: f64, got: &[f32], want: &[f64], what: impl Fn() -> String) {
    assert_eq!(got.len(), want.len());
    let size = (want.iter().map(|x| x * x).sum::<f64>() / want.len().max(1) as f64).sqrt();
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(error <= bound * size.max(1e-6), "{}: element {i}: {got} {want}", what());
    }
}

#[test]
fn products_of_every_type_on_every_set() {
    let mut random = Random(1);
    let cpus: Vec<Cpu> =
        Isa::available().flat_map(|isa| [1, 3].map(|n| Cpu::new(n, isa))).collect();
    for dtype in COMPUTING {
        for count in [1, 2, 3, 4, 5, 7, 12, 13, 23, 31] {
            let block = dtype.block().max(if dtype == DType::F32 { 1 } else { 32 });
            let cols = block * (1 + random.below(if block == 256 { 3 } else { 9 }));
            let (a, b) = (1 + random.below(70), 1 + random.below(9));
            let (wa, wb) =
                (weights(&mut random, dtype, a, cols), weights(&mut random, dtype, b, cols));
            let x = random.rows(count, cols);
            let (want_a, want_b) = (slow_matmul(&wa, &x), slow_matmul(&wb, &x));
            for cpu in &cpus {
                let what = || format!("{dtype} {a}+{b}x{cols} by {count}, {}", cpu.isa());
                let (mut ya, mut yb) = (Rows::new(count, a), Rows::new(count, b));
                cpu.matmul(&x, &mut [(&wa, &mut ya), (&wb, &mut yb)]);
                close(ya.as_slice(), &want_a, what);
                close(yb.as_slice(), &want_b, what);
            }
        }
    }
}

/// The same weights, interleaved for this machine, in memory of their own.
fn interleave(cpu: &Cpu, w: &Matrix) -> Matrix {
    let mut arena = Arena::new(w.bytes().len()).unwrap();
    cpu.interleave(w, &mut arena).expect("a type and a number of rows that interleave")
}

#[test]
fn interleaved_rows_are_the_same_weights() {
    let mut random = Random(7);
    for dtype in COMPUTING.into_iter().filter(|d| layout::interleaves(*d)) {
        for isa in Isa::available() {
            let cols = dtype.block() * (1 + random.below(3));
            let cpu = Cpu::new(3, isa);
            let rows = 16 * (1 + random.below(5));
            let w = weights(&mut random, dtype, rows, cols);
            let groups = interleave(&cpu, &w);
            assert_eq!(groups.decode(), w.decode(), "{dtype} {isa}");
            for count in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 25] {
                let what = || format!("{dtype} {}x{cols} by {count}, {isa}", w.rows());
                let x = random.rows(count, cols);
                let mut y = Rows::new(count, w.rows());
                cpu.matmul(&x, &mut [(&groups, &mut y)]);
                close(y.as_slice(), &slow_matmul(&w, &x), what);
                // Many columns go by panels, and a panel is the same whatever it was made from.
                if count > FEW {
                    let mut plain = Rows::new(count, w.rows());
                    cpu.matmul(&x, &mut [(&w, &mut plain)]);
                    assert_eq!(y, plain, "{}", what());
                }
                // A column is the same alone, among a few and in a panel.
                let mut alone = Rows::new(1, w.rows());
                let last = Rows::from_vec(x.row(count - 1).to_vec(), cols);
                cpu.matmul(&last, &mut [(&groups, &mut alone)]);
                assert_eq!(alone.row(0), y.row(count - 1), "{}", what());
            }
        }
    }
}

#[test]
fn interleaved_and_other_rows_share_a_call() {
    let mut random = Random(8);
    let x = random.rows(3, 512);
    let types = [DType::Q4K, DType::Q4K, DType::Q6K, DType::Q8_0, DType::Q5K, DType::F32];
    let rows = [32, 7, 16, 48, 33, 5];
    for isa in Isa::available() {
        let cpu = Cpu::new(2, isa);
        let plain: Vec<Matrix> =
            types.into_iter().zip(rows).map(|(d, n)| weights(&mut random, d, n, 512)).collect();
        let mixed: Vec<Matrix> = (plain.iter())
            .map(|w| if w.rows() % 16 == 0 { interleave(&cpu, w) } else { w.clone() })
            .collect();
        let mut ys: Vec<Rows> = rows.map(|n| Rows::new(3, n)).into();
        let mut products: Vec<_> = mixed.iter().zip(ys.iter_mut()).collect();
        cpu.matmul(&x, &mut products);
        for (w, y) in plain.iter().zip(&ys) {
            close(y.as_slice(), &slow_matmul(w, &x), || format!("{} {isa}", w.dtype()));
        }
    }
}

#[test]
fn rows_go_to_their_place_at_the_second_use_and_nobody_can_tell_from_the_bits() {
    let mut random = Random(18);
    let types = [DType::Q4_0, DType::Q5_0, DType::Q8_0, DType::Q4K, DType::Q5K, DType::Q6K];
    for (isa, dtype) in Isa::available().flat_map(|i| types.map(|d| (i, d))) {
        let cpu = Cpu::new(2, isa);
        // One that has no place, in the same calls: its bits must not change either.
        let beside = weights(&mut random, DType::Q5_1, 32, 512);
        for count in [1, 3, 8, 9, 40] {
            let plain = weights(&mut random, dtype, 48, 512);
            let mut arena = Arena::new(1 << 20).unwrap();
            let placed = cpu.place(&plain, &mut arena).unwrap();
            let clone = placed.clone();
            drop(arena);
            let x = random.rows(count, 512);
            let product = || {
                let [mut y, mut z] = [&placed, &beside].map(|w| Rows::new(count, w.rows()));
                cpu.matmul(&x, &mut [(&placed, &mut y), (&beside, &mut z)]);
                [y, z].map(|y| y.as_slice().iter().map(|y| y.to_bits()).collect::<Vec<_>>())
            };
            let first = product();
            assert_eq!((placed.lanes(), clone.lanes()), (1, 1), "one answer costs no layout");
            let second = product();
            let lanes = panel::lanes(isa);
            assert_eq!((placed.lanes(), clone.lanes()), (lanes, lanes), "{dtype} {isa}");
            assert!(first == second, "{dtype} by {count} on {isa}");
            assert_eq!(placed.decode(), plain.decode());
            assert_eq!(placed.part(16..32).unwrap().decode(), plain.part(16..32).unwrap().decode());
            cpu.settled();
            assert!(first == product(), "{dtype} by {count} on {isa}, on other pages");
        }
    }
}

#[test]
fn pages_move_with_the_calls_and_all_in_the_end() {
    let cpu = Cpu::new(1, Isa::best());
    let mut arena = Arena::new(9 << 20).unwrap();
    let w = weights(&mut Random(5), DType::Q8_0, 1 << 13, 1024);
    let placed = cpu.interleave(&w, &mut arena).unwrap();
    let total = lock(&cpu.settles).total;
    assert!((3..=5).contains(&total), "{total} huge pages of 8.5 MiB");
    cpu.tend();
    assert_eq!(lock(&cpu.settles).moved, 0, "no page before its time");
    for _ in 1..SHARES {
        cpu.tend();
    }
    assert!(lock(&cpu.settles).queue.is_empty());
    assert_eq!(placed.decode(), w.decode());

    // What nobody holds any more is not moved, and does not hold others up.
    let mut arena = Arena::new(9 << 20).unwrap();
    let gone = cpu.interleave(&w, &mut arena).unwrap();
    drop((gone, arena));
    cpu.settled();
    assert!(lock(&cpu.settles).queue.is_empty());
}

#[test]
fn rows_that_are_no_groups_stay_as_they_lie() {
    let mut random = Random(9);
    for isa in Isa::available() {
        let cpu = Cpu::new(1, isa);
        let mut arena = Arena::new(1 << 16).unwrap();
        for (dtype, rows) in [(DType::Q4_0, 17), (DType::F16, 16), (DType::Q2K, 16)] {
            let w = weights(&mut random, dtype, rows, 256);
            assert!(cpu.interleave(&w, &mut arena).is_none(), "{dtype}");
        }
        let large = weights(&mut random, DType::Q8_0, 16 * 2000, 256);
        assert!(cpu.interleave(&large, &mut arena).is_none(), "the arena is full");
        let small = weights(&mut random, DType::Q8_0, 32, 256);
        let groups = cpu.interleave(&small, &mut arena).unwrap();
        assert!(cpu.interleave(&groups, &mut arena).is_none(), "it is already");
        assert_eq!(groups.part(16..32).unwrap().decode(), small.part(16..32).unwrap().decode());
        assert!(groups.part(1..16).is_none() && groups.part(16..48).is_none());
    }
}

#[test]
#[should_panic(expected = "another machine")]
fn rows_placed_for_another_machine_are_refused() {
    let blank = Arena::new(576).unwrap().take(576).unwrap();
    let w = weights(&mut Random(1), DType::Q4_0, 32, 32).placed(2, blank, false);
    Cpu::new(1, Isa::Scalar).matmul(&Rows::new(1, 32), &mut [(&w, &mut Rows::new(1, 32))]);
}

#[test]
fn products_of_mixed_types_share_a_call() {
    let mut random = Random(2);
    let x = random.rows(19, 512);
    let ws: Vec<Matrix> = [DType::Q4K, DType::Q6K, DType::Q8_0, DType::F32, DType::F16]
        .map(|d| weights(&mut random, d, 33, 512))
        .into();
    for isa in Isa::available() {
        let cpu = Cpu::new(2, isa);
        for count in [2, 19] {
            let mut x = x.clone();
            x.resize(count);
            let mut ys: Vec<Rows> = ws.iter().map(|w| Rows::new(count, w.rows())).collect();
            let mut products: Vec<_> = ws.iter().zip(ys.iter_mut()).collect();
            cpu.matmul(&x, &mut products);
            for (w, y) in ws.iter().zip(&ys) {
                close(y.as_slice(), &slow_matmul(w, &x), || format!("{} {isa}", w.dtype()));
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let mut random = Random(3);
    let w = weights(&mut random, DType::Q4K, 301, 512);
    for count in [1, 40] {
        let x = random.rows(count, 512);
        for isa in Isa::available() {
            let results: Vec<Rows> = [1, 2, 5]
                .map(|threads| {
                    let mut y = Rows::new(count, 301);
                    Cpu::new(threads, isa).matmul(&x, &mut [(&w, &mut y)]);
                    y
                })
                .into();
            assert_eq!(results[0], results[1], "{isa}");
            assert_eq!(results[0], results[2], "{isa}");
        }
    }
}

/// What speculation and shared steps rest on: a column is the same whoever shares its pass.
#[test]
fn a_column_does_not_depend_on_its_neighbours() {
    let mut random = Random(4);
    for dtype in COMPUTING.into_iter().filter(|d| d.block() > 1) {
        let cols = dtype.block() * if dtype.block() == 256 { 3 } else { 11 };
        let w = weights(&mut random, dtype, 21, cols);
        let x = random.rows(FEW, cols);
        for isa in Isa::available() {
            let cpu = Cpu::new(2, isa);
            let product = |rows: Range<usize>| {
                let x =
                    Rows::from_vec(x.as_slice()[rows.start * cols..rows.end * cols].into(), cols);
                let mut y = Rows::new(rows.len(), 21);
                cpu.matmul(&x, &mut [(&w, &mut y)]);
                y
            };
            let alone: Vec<Rows> = (0..FEW).map(|i| product(i..i + 1)).collect();
            for count in 2..=FEW {
                let together = product(0..count);
                for (i, alone) in alone.iter().enumerate().take(count) {
                    assert_eq!(together.row(i), alone.row(0), "{dtype} {isa}: {i} of {count}");
                }
            }
        }
    }
}

#[test]
fn rows_get_their_part_added() {
    for isa in Isa::available() {
        let mut x = Rows::from_vec(vec![1.0; 6], 2);
        let y = Rows::from_vec(vec![1.0, 2.0, 3.0, 4.0], 2);
        Cpu::new(1, isa).add_to_rows(&mut x, &[2, 0], &[0.5, 2.0], &y);
        assert_eq!(x.as_slice(), [7.0, 9.0, 1.0, 1.0, 1.5, 2.0], "{isa}");
    }
}

#[test]
fn a_pair_that_is_kept_turns_at_its_own_speed() {
    let cpu = Cpu::new(1, Isa::best());
    let turned = |rope: Rope| {
        let mut x = Rows::from_vec(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 6);
        cpu.rope(&mut x, 1, &rope, 9);
        x.into_vec()
    };
    let plain = |scale| Rope::new(RopeStyle::Interleaved, 6, 100.0, None, scale);
    let got = turned(plain(0.25).keeping(vec![1.0, 0.0, 0.5]).magnified(2.0));
    let wanted = [turned(plain(1.0)), turned(plain(0.25)), turned(plain(0.625))];
    for (i, wanted) in wanted.iter().enumerate() {
        for j in [2 * i, 2 * i + 1] {
            assert!((got[j] - 2.0 * wanted[j]).abs() < 1e-5, "{i}: {} {}", got[j], wanted[j]);
        }
    }
}

#[test]
fn rope_turns_by_the_position() {
    let mut random = Random(5);
    let factors: Vec<f32> = (0..8).map(|i| 1.0 + i as f32).collect();
    for isa in Isa::available() {
        let cpu = Cpu::new(2, isa);
        for style in [RopeStyle::Interleaved, RopeStyle::Halves] {
            let rope = Rope::new(style, 16, 10_000.0, Some(&factors), 0.5);
            let x = random.rows(70, 3 * 20);
            let mut y = x.clone();
            cpu.rope(&mut y, 3, &rope, 1000);
            for r in 0..70 {
                for h in 0..3 {
                    let (x, y) = (&x.row(r)[h * 20..][..20], &y.row(r)[h * 20..][..20]);
                    for (i, factor) in factors.iter().enumerate() {
                        let angle = (1000 + r) as f64 * 0.5 * 10_000f64.powf(-(i as f64) / 8.0)
                            / f64::from(*factor);
                        let (a, b) = match style {
                            RopeStyle::Interleaved => (2 * i, 2 * i + 1),
                            RopeStyle::Halves => (i, i + 8),
                        };
                        let (xa, xb) = (f64::from(x[a]), f64::from(x[b]));
                        let want_a = xa * angle.cos() - xb * angle.sin();
                        let want_b = xa * angle.sin() + xb * angle.cos();
                        assert!((f64::from(y[a]) - want_a).abs() < 2e-4);
                        assert!((f64::from(y[b]) - want_b).abs() < 2e-4);
                    }
                    assert_eq!(x[16..], y[16..]);
                }
            }
        }
    }
}

#[test]
fn norms_work_by_piece_and_rows_by_thread() {
    let mut random = Random(6);
    for isa in Isa::available() {
        let cpu = Cpu::new(2, isa);
        let x = random.rows(300, 128);
        let w: Vec<f32> = (0..32).map(|_| random.float()).collect();
        let mut out = Rows::new(300, 128);
        cpu.rms_norm(&x, &w, 1e-6, &mut out);
        let want: Vec<f64> = (x.as_slice().chunks(32))
            .flat_map(|piece| {
                let mean = piece.iter().map(|x| f64::from(x * x)).sum::<f64>() / 32.0;
                let scale = 1.0 / (mean + 1e-6).sqrt();
                piece.iter().zip(&w).map(move |(x, w)| f64::from(*x) * scale * f64::from(*w))
            })
            .collect();
        close(out.as_slice(), &want, || isa.to_string());
        let mut sum = x.clone();
        cpu.add(&mut sum, &out);
        cpu.add_bias(&mut sum, &vec![1.0; 128]);
        for ((s, x), o) in sum.as_slice().iter().zip(x.as_slice()).zip(out.as_slice()) {
            assert_eq!(*s, x + o + 1.0);
        }
    }
}

#[test]
fn argmax_takes_the_first_and_refuses_nan() {
    assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
    assert_eq!(argmax(&[f32::NEG_INFINITY]), Some(0));
    assert_eq!(argmax(&[]), None);
    assert_eq!(argmax(&[1.0, f32::NAN]), None);
    let mut x = [0.0, 1.0, f32::NEG_INFINITY];
    softmax(&mut x);
    assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6 && x[2] == 0.0);
}
