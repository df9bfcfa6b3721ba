//! Rates of the matrix product: `cargo run --release -p ondine-tensor --example rates [THREADS] [ISA]`.
//!
//! For each storage type and number of columns, billions of multiply-adds a second, with what
//! limits them beside: the int8 peak for many columns, the read rate for one.

use ondine_tensor::probe::{ReadProbe, int8_probe};
use ondine_tensor::{Bytes, Cpu, DType, Isa, Matrix, Rows};
use std::time::Instant;

const ROWS: usize = 4096;
const COLS: usize = 4096;

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let threads = args.next().map_or(Ok(2), |t| t.parse())?;
    let isa = args.next().map_or(Ok(Isa::best()), |isa| isa.parse())?;
    let cpu = Cpu::new(threads, isa);
    let read = ReadProbe::new(256 << 20);
    let timed = |f: &mut dyn FnMut() -> u64| {
        let start = Instant::now();
        let work = f();
        work as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    read.run(&cpu);
    let peak = median((0..5).map(|_| timed(&mut || int8_probe(&cpu, 20_000))).collect());
    let rate = median((0..7).map(|_| timed(&mut || read.run(&cpu) as u64)).collect());
    println!(
        "{isa}, {threads} threads: int8 peak {peak:.0} G multiply-adds/s, read {rate:.1} GB/s"
    );
    println!(
        "{:8} {:>8} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "type", "1 (GB/s)", "1", "4", "8", "32", "512"
    );
    for dtype in DType::all().filter(|d| d.computes()) {
        let count = dtype.row_bytes(COLS).ok_or("whole blocks")? * ROWS;
        let mut state = 1u32;
        let bytes: Vec<u8> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 & 0x3f
            })
            .collect();
        // Several copies, so that one column reads memory and not a cache.
        let copies = (256 << 20) / count + 1;
        let all = Bytes::from_vec(bytes.repeat(copies));
        let matrices = (0..copies)
            .map(|i| {
                let part = all.slice(i * count..(i + 1) * count).ok_or("inside")?;
                Ok(Matrix::new(dtype, ROWS, COLS, part)?)
            })
            .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
        let mut line = format!("{:8}", dtype.name());
        for columns in [1, 4, 8, 32, 512] {
            let x =
                Rows::from_vec((0..columns * COLS).map(|i| (i % 17) as f32 - 8.0).collect(), COLS);
            let mut y = Rows::new(columns, ROWS);
            let some = if columns >= 32 { 1 } else { matrices.len() };
            let samples = (0..5)
                .map(|_| {
                    timed(&mut || {
                        for w in &matrices[..some] {
                            cpu.matmul(&x, &mut [(w, &mut y)]);
                        }
                        (some * ROWS * COLS * columns) as u64
                    })
                })
                .collect();
            let rate = median(samples);
            if columns == 1 {
                let gb = rate / (ROWS * COLS) as f64 * count as f64;
                line += &format!(" {gb:>8.1}");
            }
            line += &format!(" {rate:>9.1}");
        }
        println!("{line}");
    }
    Ok(())
}
