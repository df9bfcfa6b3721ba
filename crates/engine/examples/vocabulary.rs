//! How long a file's vocabulary takes from its bytes to a tokenizer that can be used.
//!
//! `cargo run --release -p ondine-engine --example vocabulary -- MODEL.gguf ...`
//!
//! The first reading of a process counts most: it is what somebody waits for who starts one, and it
//! takes its memory from the system. So each file is read in a process of its own, seven times, and
//! the figures are medians with the least and the most.

use std::process::Command;
use std::time::Instant;

use ondine_tensor::Bytes;

const SAMPLES: usize = 7;
/// Tells a process that it is to measure one file and print two numbers of milliseconds.
const ONCE: &str = "--once";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, path] if flag == ONCE => {
            let [header, tokenizer] = once(path);
            println!("{header} {tokenizer}");
        }
        paths => {
            println!("| file | header, ms | tokenizer, ms | both (least to most; {SAMPLES}) |");
            println!("|---|---|---|---|");
            for path in paths {
                line(path);
            }
        }
    }
}

fn line(path: &str) {
    let program = std::env::current_exe().expect("a program has a place");
    let samples: Vec<[f64; 2]> = (0..SAMPLES)
        .map(|_| {
            let run = Command::new(&program).args([ONCE, path]).output().expect("it starts");
            let text = String::from_utf8_lossy(&run.stdout).into_owned();
            let mut numbers = text.split_whitespace().map(|n| n.parse().expect("a number"));
            std::array::from_fn(|_| numbers.next().expect("two numbers"))
        })
        .collect();
    let sorted = |pick: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (header, tokenizer) = (sorted(|s| s[0]), sorted(|s| s[1]));
    let both = sorted(|s| s[0] + s[1]);
    let name = path.rsplit('/').next().unwrap_or(path);
    let middle = SAMPLES / 2;
    println!(
        "| {name} | {:.1} | {:.1} | {:.1} ({:.1} to {:.1}) |",
        header[middle],
        tokenizer[middle],
        both[middle],
        both[0],
        both[SAMPLES - 1]
    );
}

fn once(path: &str) -> [f64; 2] {
    let file = std::fs::File::open(path).expect("a file");
    let bytes = Bytes::map(&file).expect("a file that can be mapped");
    let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let header = ondine_format::gguf::read_header(&bytes).expect("a GGUF file");
    let read = milliseconds(start);
    let start = Instant::now();
    let tokenizer = ondine_engine::tokenizer(&header.metadata).expect("a tokenizer");
    let made = milliseconds(start);
    assert!(tokenizer.len() > 0);
    [read, made]
}
