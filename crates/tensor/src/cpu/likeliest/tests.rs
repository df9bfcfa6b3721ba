//! The likeliest of an output head against all of it, on every instruction set.

use super::*;
use crate::bytes::Bytes;
use crate::cpu::tests::Random;
use crate::dtype::DType;
use crate::isa::Isa;

/// A head as trained ones are: a few rows point where activations do, most nowhere in particular.
fn head(random: &mut Random, x: &Rows, rows: usize, peaked: bool) -> Matrix {
    let width = x.width();
    let mut floats: Vec<f32> = (0..rows * width).map(|_| random.float()).collect();
    for row in floats.chunks_exact_mut(width).filter(|_| peaked) {
        if random.below(16) == 0 {
            let share = 0.3 + random.float().abs();
            row.iter_mut().zip(x.row(0)).for_each(|(w, x)| *w += share * x);
        }
    }
    let bytes = crate::quantize(DType::Q8_0, &floats, width).unwrap();
    Matrix::new(DType::Q8_0, rows, width, Bytes::from_vec(bytes)).unwrap()
}

/// The same weights, laid out as a head and as any other matrix.
fn laid(cpu: &Cpu, head: &Matrix) -> [Matrix; 2] {
    let mut arena = Arena::new(2 * head.bytes().len()).unwrap();
    let apart = cpu.place_head(head, &mut arena).unwrap();
    cpu.lay_out(&apart);
    [apart, cpu.interleave(head, &mut arena).unwrap()]
}

/// Reads heads of any size coarsely first.
fn screening(threads: usize, isa: Isa) -> Cpu {
    Cpu::new(threads, isa).screen_from(0)
}

fn product(cpu: &Cpu, x: &Rows, w: &Matrix) -> Rows {
    let mut y = Rows::new(x.count(), w.rows());
    cpu.matmul(x, &mut [(w, &mut y)]);
    y
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The places of the `count` greatest, greatest first, of equal ones the first.
fn greatest(logits: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..logits.len()).collect();
    places.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    places.truncate(count);
    places
}

#[test]
fn bits_that_lie_apart_give_the_same_bits() {
    let mut random = Random(11);
    for isa in Isa::available() {
        let cpu = screening(2, isa);
        for (blocks, rows) in [(1, 16), (3, 48), (18, 160)] {
            for count in [1, 2, 3, 5, 8, 13, 40] {
                let x = random.rows(count, 32 * blocks);
                let file = head(&mut random, &x, rows, false);
                let [apart, together] = laid(&cpu, &file);
                let (a, b) = (product(&cpu, &x, &apart), product(&cpu, &x, &together));
                assert_eq!(bits(a.as_slice()), bits(b.as_slice()), "{isa}, {blocks}, {count}");
                assert_eq!(apart.decode(), file.decode(), "{isa}");
            }
        }
    }
}

#[test]
fn none_of_the_greatest_is_left_out() {
    let mut random = Random(5);
    for isa in Isa::available() {
        for threads in [1, 3] {
            let cpu = screening(threads, isa);
            for round in 0..24 {
                let (blocks, groups) = (1 + random.below(20), 8 + random.below(60));
                let x = random.rows(1, 32 * blocks);
                let peaked = round % 3 > 0;
                let [head, _] = laid(&cpu, &head(&mut random, &x, 16 * groups, peaked));
                let whole = product(&cpu, &x, &head);
                let mut few = Rows::new(1, head.rows());
                for count in [1, 2, 1 + random.below(8), 40] {
                    head.halves().unwrap().rest(0);
                    cpu.likeliest(&x, &head, count, &mut few);
                    let what =
                        || format!("{isa}, {blocks} blocks, {groups} groups, {count} greatest");
                    let same = |(few, whole): (&f32, &f32)| {
                        few.to_bits() == whole.to_bits() || *few == f32::NEG_INFINITY
                    };
                    assert!(few.row(0).iter().zip(whole.row(0)).all(same), "{}", what());
                    assert_eq!(
                        greatest(few.row(0), count),
                        greatest(whole.row(0), count),
                        "{}",
                        what()
                    );
                }
            }
        }
    }
}

#[test]
fn much_is_left_out_where_few_rows_stand_out() {
    let mut random = Random(8);
    for isa in Isa::available() {
        let cpu = screening(2, isa);
        let x = random.rows(1, 256);
        let mut floats: Vec<f32> = (0..2048 * 256).map(|_| random.float()).collect();
        let row = &mut floats[1000 * 256..1001 * 256];
        row.iter_mut().zip(x.row(0)).for_each(|(w, x)| *w += x);
        let bytes = Bytes::from_vec(crate::quantize(DType::Q8_0, &floats, 256).unwrap());
        let [head, _] = laid(&cpu, &Matrix::new(DType::Q8_0, 2048, 256, bytes).unwrap());
        let mut few = Rows::new(1, 2048);
        cpu.likeliest(&x, &head, 1, &mut few);
        assert_eq!(greatest(few.row(0), 1), [1000]);
        let read = few.row(0).iter().filter(|logit| logit.is_finite()).count();
        assert!(read <= 2048 / 8, "{isa}: {read} of 2048 rows were read again");
        assert!(!head.halves().unwrap().rests(), "it was worth it");
    }
}

#[test]
fn what_cannot_be_bounded_is_read() {
    let mut random = Random(2);
    for isa in Isa::available() {
        let cpu = screening(2, isa);
        let x = random.rows(1, 64);
        let file = head(&mut random, &x, 256, true);
        let odd = |scale: half::f16| {
            let mut bytes = file.bytes().as_slice().to_vec();
            bytes[34 * 7..][..2].copy_from_slice(&scale.to_le_bytes());
            Matrix::new(DType::Q8_0, 256, 64, Bytes::from_vec(bytes)).unwrap()
        };
        let mut few = Rows::new(1, 256);
        for scale in [half::f16::from_f32(-0.5), half::f16::INFINITY] {
            let [head, _] = laid(&cpu, &odd(scale));
            assert!(head.halves().unwrap().spans().is_none(), "{isa}");
            cpu.likeliest(&x, &head, 1, &mut few);
            assert_eq!(bits(few.row(0)), bits(product(&cpu, &x, &head).row(0)), "{isa}");
        }
        let [head, _] = laid(&cpu, &file);
        for x in [0.0, 1e-42, f32::MAX, f32::INFINITY, f32::NAN] {
            let x = Rows::from_vec(vec![x; 64], 64);
            head.halves().unwrap().rest(0);
            cpu.likeliest(&x, &head, 1, &mut few);
            let whole = product(&cpu, &x, &head);
            let same = |(few, whole): (&f32, &f32)| {
                few.to_bits() == whole.to_bits() || *few == f32::NEG_INFINITY
            };
            assert!(few.row(0).iter().zip(whole.row(0)).all(same), "{isa}");
            if whole.row(0).iter().all(|x| x.is_finite()) {
                assert_eq!(greatest(few.row(0), 1), greatest(whole.row(0), 1), "{isa}");
            }
        }
    }
}

#[test]
fn where_too_much_is_left_the_coarse_reading_rests() {
    let mut random = Random(3);
    let cpu = screening(1, Isa::best());
    let x = random.rows(1, 1024);
    let [head, _] = laid(&cpu, &head(&mut random, &x, 512, false));
    let mut few = Rows::new(1, 512);
    cpu.likeliest(&x, &head, 1, &mut few);
    let read = few.row(0).iter().filter(|logit| logit.is_finite()).count();
    assert!(read > 256, "random rows of this width cannot be told apart in four bits: {read}");
    cpu.likeliest(&x, &head, 1, &mut few);
    assert!(
        few.row(0).iter().all(|logit| logit.is_finite()),
        "all of it, and nothing coarse first"
    );
}
