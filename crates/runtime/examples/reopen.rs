//! What reopening a conversation costs after the process ended, beside computing it again.
//!
//! `cargo run --release -p ondine-runtime --example reopen -- MODEL.gguf [TOKENS] [THREADS] [ROUNDS]`
//!
//! Every figure is of a process of its own. One writes a conversation of TOKENS tokens and ends. Then, in
//! turns: one computes it again, one finds it on the disk, one finds it on the disk after the system was
//! told to drop the file from memory (`dd … iflag=nocache`). Each asks for what follows the conversation
//! and a few words more; what counts is the time from the request to the first token. In a process that
//! has answered nobody yet, either way pays for the first use of the weights; `used` ones have answered
//! another app before. That all answers are one is checked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use ondine_chat::{Chat, Event, Model, Request, Sampling};
use ondine_engine::{Engine, EngineOptions};
use ondine_format::gguf;
use ondine_runtime::{Fingerprint, Limits, Runtime};
use ondine_spill::Folder;
use ondine_tensor::Bytes;
use serde_json::{Value, json};

/// Tells the processes that measure from the one that compares.
const CHILD: &str = "ONDINE_REOPEN";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let path = PathBuf::from(arguments.first().expect("a GGUF file"));
    let (tokens, threads, rounds) = (number(1, 2000), number(2, 2), number(3, 5));
    match std::env::var(CHILD) {
        Ok(mode) => println!("{}", measure(&path, tokens, threads, &mode)),
        Err(_) => compare(&arguments, tokens, rounds),
    }
}

/// Runs the processes in turns and prints medians.
fn compare(arguments: &[String], tokens: usize, rounds: usize) {
    let folder = std::env::temp_dir().join(format!("ondine-reopen-{}", std::process::id()));
    let run = |mode: &str| -> Value {
        let own = std::env::current_exe().expect("this program");
        let mode = format!("{mode} {}", folder.display());
        let output = Command::new(own).args(arguments).env(CHILD, mode).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).expect("a line of JSON")
    };
    let written = run("write");
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    let [file] = &files[..] else { panic!("one file, not {files:?}") };
    let bytes = fs::metadata(file).expect("a file").len();
    // What is not on the disk yet cannot be dropped from memory.
    File::open(file).and_then(|file| file.sync_all()).expect("written");
    println!(
        "{} tokens, {:.1} MB on disk, written at the end in {:.0} ms; {rounds} rounds, medians",
        tokens,
        bytes as f64 / 1e6,
        written["finish_ms"].as_f64().expect("a number"),
    );
    let modes = [
        "recompute fresh",
        "reopen fresh warm",
        "reopen fresh cold",
        "recompute used",
        "reopen used warm",
        "reopen used cold",
    ];
    let mut figures = vec![Vec::new(); modes.len()];
    let mut words = None;
    for _ in 0..rounds {
        for (mode, figures) in modes.iter().zip(&mut figures) {
            if mode.ends_with("cold") {
                drop_cached(file);
            }
            let told = run(mode);
            let cached = told["cached"].as_u64().expect("a number") as usize;
            let wanted = if mode.starts_with("reopen") { tokens } else { 0 };
            assert_eq!(cached, wanted, "{mode}: {told}");
            let said = words.get_or_insert_with(|| told["words"].clone());
            assert_eq!(*said, told["words"], "{mode}: another answer");
            figures.push((told["first_ms"].as_f64(), told["open_ms"].as_f64()));
        }
    }
    println!("| process | first token (ms) | of computing it | opening the folder (ms) |");
    println!("|---|---|---|---|");
    let mut computed = 0.0;
    for (mode, figures) in modes.iter().zip(figures) {
        let (first, open): (Vec<_>, Vec<_>) = figures.into_iter().unzip();
        let (first, open) = (median(first), median(open));
        if mode.starts_with("recompute") {
            computed = first;
        }
        println!("| {mode} | {first:.1} | {:.3} | {open:.2} |", first / computed);
    }
    fs::remove_dir_all(&folder).expect("the folder goes");
}

/// Asks the system to drop a file from its memory. `dd` does so without copying a byte.
fn drop_cached(file: &Path) {
    let status = Command::new("dd")
        .arg(format!("if={}", file.display()))
        .args(["iflag=nocache", "count=0", "status=none"])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "dd drops the file from memory");
}

/// What one process does.
fn measure(path: &Path, tokens: usize, threads: usize, mode: &str) -> Value {
    let (mode, folder) = mode.rsplit_once(' ').expect("a mode and a folder");
    let file = gguf::read(Bytes::map(&File::open(path).expect("a file")).expect("a mapped file"));
    let options = EngineOptions { threads, steady: true, ..EngineOptions::default() };
    let engine = Engine::load(&file.expect("a GGUF file"), options).expect("a model");
    let conversation = conversation(&engine, tokens);
    let mut runtime = Runtime::new(Limits::default());
    let begun = Instant::now();
    if !mode.starts_with("recompute") {
        let limits = ondine_spill::Limits { keep_free: 0, ..ondine_spill::Limits::default() };
        let folder = Folder::open(folder.as_ref(), limits).expect("a folder");
        runtime.spill_to(Arc::new(folder));
    }
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    let fingerprint = Fingerprint::of_hex(&"00".repeat(32));
    runtime.add_known(Model::default(), engine, fingerprint).expect("bytes");
    if mode == "write" {
        ask(&runtime, "a", Some("diary"), conversation, 1);
        let begun = Instant::now();
        runtime.finish();
        return json!({ "finish_ms": begun.elapsed().as_secs_f64() * 1e3 });
    }
    if mode.contains("used") {
        // The second use lays the weights out; some tokens more move them to better pages.
        for i in 0..4 {
            ask(&runtime, "another", None, format!("{i} once there was a house in a wood"), 32);
        }
    }
    // Asked for by itself, so that the file stays as it is for the next process.
    let (first_s, cached, words) = ask(&runtime, "a", None, conversation + " And then,", 16);
    json!({ "first_ms": first_s * 1e3, "open_ms": open_ms, "cached": cached, "words": words })
}

/// A text of so many tokens, that goes on with a new one behind it.
fn conversation(engine: &Engine, tokens: usize) -> String {
    let mut text = String::from("A diary.");
    for day in 1.. {
        let next = format!("{text} On day {day} we walked {} miles along the river.", day * 7 % 31);
        if engine.encode_text(&next).expect("a tokenizer").len() > tokens {
            break;
        }
        text = next;
    }
    while engine.encode_text(&text).expect("a tokenizer").len() < tokens {
        text += " so";
    }
    assert_eq!(engine.encode_text(&text).expect("a tokenizer").len(), tokens, "a word is a token");
    text
}

/// Seconds to the first token, tokens that were known, and the words.
fn ask(
    runtime: &Runtime,
    app: &str,
    session: Option<&str>,
    text: String,
    max_tokens: usize,
) -> (f64, usize, String) {
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let request = Request {
        app: app.into(),
        session: session.map(str::to_owned),
        max_tokens: Some(max_tokens),
        sampling,
        ..Request::text("", text)
    };
    let begun = Instant::now();
    let (sender, events) = mpsc::channel();
    runtime.start(request, Box::new(move |event| sender.send(event).is_ok())).expect("a place");
    let (mut first, mut cached, mut words) = (None, 0, String::new());
    for event in events {
        match event {
            Event::Text { text, .. } => {
                first.get_or_insert_with(|| begun.elapsed().as_secs_f64());
                words += &text;
            }
            Event::Finished { usage, .. } => cached = usage.cached_tokens,
            Event::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    (first.expect("a token"), cached, words)
}

fn median(values: Vec<Option<f64>>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().map(|value| value.expect("a number")).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
