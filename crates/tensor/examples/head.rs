//! What finding the likeliest tokens without reading all of an output head is worth.
//!
//! `cargo run --release -p ondine-tensor --example head [-- THREADS WIDTH ROWS]`
//!
//! The heads are made up: most rows point nowhere in particular, as random weights do, and a few point
//! where the activations do, more or less, as those of likely tokens do in a trained model. The more
//! these stand out, the fewer groups of rows are read twice. Both products are timed in turns, after
//! they were found to name the same rows; the share of groups that were read again stands beside.

use std::time::Instant;

use ondine_tensor::{Arena, Bytes, Cpu, DType, Isa, Matrix, Rows, quantize};

const SAMPLES: usize = 15;

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// Roughly normal.
    fn float(&mut self) -> f32 {
        (0..4).map(|_| self.next() as f32 / (1u64 << 31) as f32 - 0.5).sum()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next =
        |usual: usize| arguments.next().map_or(usual, |text| text.parse().expect("a whole number"));
    let (threads, width, rows) = (next(2), next(576), next(128_256));
    let cpu = Cpu::new(threads, Isa::best()).screen_from(0);
    println!(
        "Q8_0, {rows} rows of {width}, {threads} threads, {}, medians of {SAMPLES}",
        Isa::best()
    );
    println!("| standing out | groups read again | all of it, ms | the likeliest, ms | ratio |");
    println!("|---|---|---|---|---|");
    for standing in [0.0, 0.1, 0.2, 0.4, 0.8] {
        let mut random = Random(7);
        let x: Vec<f32> = (0..width).map(|_| random.float()).collect();
        let mut floats = Vec::with_capacity(rows * width);
        for _ in 0..rows {
            let share = if random.next().is_multiple_of(64) {
                standing * random.float().abs()
            } else {
                0.0
            };
            floats.extend(x.iter().map(|x| random.float() + share * x));
        }
        let bytes = Bytes::from_vec(quantize(DType::Q8_0, &floats, width).expect("whole blocks"));
        drop(floats);
        let file = Matrix::new(DType::Q8_0, rows, width, bytes).expect("a sound head");
        let mut arena = Arena::new(2 * file.bytes().len()).expect("memory");
        let apart = cpu.place_head(&file, &mut arena).expect("whole groups");
        let together = cpu.interleave(&file, &mut arena).expect("whole groups");
        let x = Rows::from_vec(x, width);
        let (mut all, mut few) = (Rows::new(1, rows), Rows::new(1, rows));
        // Twice: the second time lays the rows out.
        for _ in 0..2 {
            cpu.matmul(&x, &mut [(&apart, &mut few)]);
            cpu.matmul(&x, &mut [(&together, &mut all)]);
        }
        cpu.settled();
        let (mut whole_s, mut few_s, mut read) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..SAMPLES {
            let begun = Instant::now();
            cpu.matmul(&x, &mut [(&together, &mut all)]);
            whole_s.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            cpu.likeliest(&x, &apart, 1, &mut few);
            few_s.push(begun.elapsed().as_secs_f64());
            let best = |y: &Rows| ondine_tensor::argmax(y.row(0));
            assert_eq!(best(&few), best(&all), "another row is the likeliest");
            let finite = few.row(0).iter().filter(|logit| logit.is_finite()).count();
            read = finite as f64 / rows as f64;
        }
        let median = |of: &mut Vec<f64>| {
            of.sort_by(f64::total_cmp);
            of[of.len() / 2] * 1e3
        };
        let (whole, few) = (median(&mut whole_s), median(&mut few_s));
        println!(
            "| {standing} | {:.1} % | {whole:.2} | {few:.2} | {:.2} |",
            100.0 * read,
            whole / few
        );
    }
}
