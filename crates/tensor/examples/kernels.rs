//! How fast matrix products are, by storage format and number of columns, beside what the machine
//! can do: the bytes it reads and the byte products it multiplies in a second.
//!
//! `cargo run --release -p ondine-tensor --example kernels [-- THREADS ISA SIDE FORMAT ...]`
//!
//! Types whose rows can be interleaved have a second line, so marked, for weights that are.
//!
//! Each row is one format on matrices of SIDE x SIDE that no cache holds together. A figure is the median of
//! seven samples; the probes stand beside each sample, and the shares are of the probe beside it.

use std::time::Instant;

use ondine_tensor::probe::{ReadProbe, int8_probe};
use ondine_tensor::{Arena, Bytes, Cpu, DType, Isa, Matrix, Rows};

/// More bytes of weights than any cache holds.
const WEIGHTS: usize = 192 << 20;
const SAMPLES: usize = 7;
const COLUMNS: [usize; 7] = [1, 2, 4, 8, 16, 64, 512];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.into());
    let threads: usize = next("1").parse().expect("a number of threads");
    let isa: Isa = match next("best").as_str() {
        "best" => Isa::best(),
        name => name.parse().expect("an instruction set of this machine"),
    };
    let side: usize = next("4096").parse().expect("a width in whole blocks of 256");
    let wanted: Vec<String> = arguments.collect();
    let cpu = Cpu::new(threads, isa);
    let read = ReadProbe::new(WEIGHTS);
    println!(
        "{threads} threads, {isa}; columns 1 in GB/s (share of the read probe), others in GMAC/s (share of the int8 probe)"
    );
    println!("| format | {} |", COLUMNS.map(|n| n.to_string()).join(" | "));
    println!("|---|{}", "---|".repeat(COLUMNS.len()));
    for dtype in DType::all().filter(|d| d.computes()) {
        if !wanted.is_empty() && !wanted.iter().any(|name| name.eq_ignore_ascii_case(dtype.name()))
        {
            continue;
        }
        let one = dtype.row_bytes(side).expect("whole blocks") * side;
        let matrices: Vec<Matrix> = (0..WEIGHTS.div_ceil(one))
            .map(|i| {
                let bytes = ordinary(dtype, one, i as u64);
                Matrix::new(dtype, side, side, Bytes::from_vec(bytes)).expect("sound")
            })
            .collect();
        line(&cpu, &read, dtype.name(), &matrices);
        let mut arena = Arena::new(matrices.len() * (one + 64)).expect("address space");
        let groups: Option<Vec<Matrix>> =
            matrices.iter().map(|w| cpu.interleave(w, &mut arena)).collect();
        if let Some(groups) = groups {
            cpu.settled();
            line(&cpu, &read, &format!("{} interleaved", dtype.name()), &groups);
        }
    }
}

fn line(cpu: &Cpu, read: &ReadProbe, name: &str, matrices: &[Matrix]) {
    let (side, one) = (matrices[0].rows(), matrices[0].bytes().len());
    print!("| {name} |");
    for columns in COLUMNS {
        let x = Rows::from_vec(
            (0..columns * side).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect(),
            side,
        );
        let mut y = Rows::new(columns, side);
        let uses = if columns >= 64 { 2 } else { matrices.len() };
        let mut rates = Vec::new();
        for sample in 0..=SAMPLES {
            let begun = Instant::now();
            for w in &matrices[..uses] {
                cpu.matmul(&x, &mut [(w, &mut y)]);
            }
            let seconds = begun.elapsed().as_secs_f64();
            let (work, limit) = if columns == 1 {
                let begun = Instant::now();
                let bytes = read.run(cpu);
                ((one * uses) as f64, bytes as f64 / begun.elapsed().as_secs_f64())
            } else {
                let begun = Instant::now();
                let done = int8_probe(cpu, 20_000);
                ((side * side * columns * uses) as f64, done as f64 / begun.elapsed().as_secs_f64())
            };
            if sample > 0 {
                rates.push((work / seconds / 1e9, work / seconds / limit));
            }
        }
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (rate, share) = rates[SAMPLES / 2];
        print!(" {rate:.1} ({:.0} %) |", share * 100.0);
        use std::io::Write;
        std::io::stdout().flush().expect("standard output");
    }
    println!();
}
/// Bytes of whole blocks whose scales are ordinary numbers.
fn ordinary(dtype: DType, count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes: Vec<u8> = (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
        let end = block.len();
        for at in [0, 2, end.saturating_sub(4), end - 2].into_iter().filter(|at| at + 1 < end) {
            block[at + 1] = block[at + 1] & 0x83 | 0x24;
        }
        if end == 2 {
            block[1] = block[1] & 0x83 | 0x24;
        } else if end == 4 {
            block[3] = 0x3e;
        }
    }
    bytes
}
