//! What a bad file may cost: memory in proportion to its size, and little time.
//!
//! Alone in its file, and one test: the allocator that counts is the whole process's.

mod corpus;

use corpus::Reader;
use ondine_format::{Hparams, gguf, safetensors, write};
use ondine_tensor::Bytes;
use std::time::{Duration, Instant};

#[global_allocator]
static COUNTER: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Bytes allocated for a byte of the file: the smallest key takes 14 bytes in a file and some 90
/// in memory, the smallest tensor 25 and some 200.
const TIMES: usize = 8;
const SPARE: usize = 1 << 20;
const TIME: Duration = Duration::from_millis(50);
/// The same for the few files that take megabytes to break a limit, or to just keep it.
const TIME_OF_MEGABYTES: Duration = Duration::from_secs(1);

/// Peak of allocated bytes above what was there before, and the time taken.
fn cost(run: impl FnOnce()) -> (usize, Duration) {
    COUNTER.reset_peak_usage();
    let before = COUNTER.current_usage();
    let start = Instant::now();
    run();
    let time = start.elapsed();
    (COUNTER.peak_usage().saturating_sub(before), time)
}

#[test]
fn files_pay_for_what_they_cost() {
    // The counter counts.
    let (peak, _) = cost(|| drop(std::hint::black_box(vec![1u8; 5 << 20])));
    assert!(peak >= 5 << 20);

    let mut wrong = Vec::new();
    let mut worst = (0.0, String::new());
    let mut slowest = (Duration::ZERO, String::new());
    for case in corpus::all() {
        let bytes = Bytes::from_vec(case.bytes.clone());
        let mut best = Duration::MAX;
        // The best of three: another program on the machine is not the reader's doing.
        for _ in 0..3 {
            let (peak, time) = cost(|| match case.reader {
                Reader::Gguf | Reader::GgufHeader => {
                    if let Ok(file) = gguf::read(bytes.clone()) {
                        let _ = Hparams::of(&file);
                    }
                }
                Reader::Safetensors => drop(safetensors::read(&bytes)),
            });
            best = best.min(time);
            let bound = TIMES * bytes.len() + SPARE;
            if peak > bound {
                wrong.push(format!("{} {}: {peak} of {bound} bytes", case.id, case.name));
            }
            let share = peak as f64 / (bytes.len() as f64 + 65_536.0);
            if share > worst.0 {
                worst = (share, format!("{} for {} bytes: {peak}", case.name, bytes.len()));
            }
        }
        if best > slowest.0 {
            slowest = (best, case.name.clone());
        }
        let bound = if bytes.len() <= 1 << 20 { TIME } else { TIME_OF_MEGABYTES };
        if best > bound {
            wrong.push(format!("{} {}: {best:?}", case.id, case.name));
        }
    }
    println!("most memory: {}; longest: {} {:?}", worst.1, slowest.1, slowest.0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A tensor's data is never copied by reading, nor all at once by writing.
    let mut file = corpus::gguf::Build::new(1, 0).tensor("w", &[1 << 24], 0, 0).pad(32).0;
    file.resize(file.len() + (1 << 26), 1);
    let bytes = Bytes::from_vec(file);
    let (peak, _) = cost(|| {
        let file = gguf::read(bytes.clone()).unwrap();
        write::rewrite(&file, &mut std::io::sink()).unwrap();
    });
    assert!(peak < 1 << 16, "{peak} bytes for a tensor that should stay where it is");
}
