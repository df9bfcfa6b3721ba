//! Many conversations under a cap that holds few of them: whether the budget is ever exceeded, and
//! whether the answers are those of a service that has all the memory it wants.
//!
//! `cargo run --release -p ondine-runtime --example switching -- MODEL.gguf [SECONDS] [THREADS]`
//!
//! The cap is 1.2 times the model's file. 12 conversations of three apps grow in turn, each until it fills
//! most of what the cap leaves beside the weights, and then begins anew. Meanwhile the promised bytes and
//! the process's own resident memory are looked at every 20 ms. Afterwards a sample of the answers is
//! computed again without a cap and without a disk.
//!
//! What is resident is more than what is promised: pages of the mapped model file, which the system may
//! drop at any time (told apart as `file`), and of `anonymous` memory the program itself, logits and the
//! computation's scratch memory.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ondine_chat::{Answer, Chat, Keeper, Model, Request, Sampling};
use ondine_engine::{Engine, EngineOptions};
use ondine_format::gguf;
use ondine_runtime::{Limits, Runtime};
use ondine_spill::Folder;
use ondine_tensor::Bytes;

const SESSIONS: usize = 12;
/// Tokens of an answer.
const ANSWER: usize = 16;
/// One answer of so many is computed again at the end.
const CHECKED: usize = 23;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a GGUF file");
    let mut number =
        |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (seconds, threads) = (number(20), number(2) as usize);
    let bytes = fs::metadata(&path).expect("a file").len();
    let memory = bytes / 5 * 6;
    let place = std::env::temp_dir().join(format!("ondine-switching-{}", std::process::id()));
    let limits = ondine_spill::Limits { keep_free: 0, ..ondine_spill::Limits::default() };
    let folder = Arc::new(Folder::open(&place, limits).expect("a folder"));
    let engine = load(&path, threads);
    let runtime = start(&engine, bytes, memory, Some(&folder));
    let per_token = engine.shape().cache().bytes_per_token().expect("a number") as u64;
    // Room for one conversation, its answer and what is rounded up to pages; not for two.
    let left = memory - runtime.status().memory_used;
    let longest = ((left / per_token) as usize * 3 / 4).min(engine.shape().context) - 64;
    println!(
        "{path}: {bytes} bytes, a cap of {memory}; {SESSIONS} conversations of up to {longest} tokens \
         of {per_token} bytes each"
    );
    let tokens = |text: &str| engine.encode_text(text).expect("a tokenizer").len();

    let done = AtomicBool::new(false);
    let (most, checked, turns, cached, evaluated) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = [0; 3];
            while !done.load(Ordering::Relaxed) {
                let [anonymous, file] = resident();
                let now = [runtime.status().memory_used, anonymous, file];
                most.iter_mut().zip(now).for_each(|(most, now)| *most = now.max(*most));
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let begun = Instant::now();
        let mut texts: Vec<(usize, String)> = (0..SESSIONS).map(|i| (0, beginning(i, 0))).collect();
        let (mut checked, mut turns, mut cached, mut evaluated) = (Vec::new(), 0, 0, 0);
        while begun.elapsed() < Duration::from_secs(seconds) {
            let i = turns % SESSIONS;
            let (life, text) = &mut texts[i];
            if tokens(text) > longest {
                *life += 1;
                *text = beginning(i, *life);
            }
            let request = request(i, *life, text);
            let answer = runtime.ask(request.clone()).expect("an answer");
            cached += answer.usage.cached_tokens;
            evaluated += answer.usage.prompt_tokens - answer.usage.cached_tokens;
            *text =
                format!("{text}{} Then came number {}, and said", answer.text, turns * 37 % 101);
            if turns % CHECKED == 0 {
                checked.push((request, said(&answer)));
            }
            turns += 1;
        }
        done.store(true, Ordering::Relaxed);
        (watch.join().expect("it watches"), checked, turns, cached, evaluated)
    });
    let counts = folder.counts();
    let [promised, anonymous, file] = most;
    println!("turns {turns}; tokens of prompts: {cached} known, {evaluated} evaluated");
    println!(
        "written {} times, brought back {} times, damaged {}; on disk at the end {} files, {} bytes",
        counts.written, counts.restored, counts.damaged, counts.files, counts.bytes
    );
    println!(
        "most promised at once: {promised} of {memory} bytes ({:.4})",
        promised as f64 / memory as f64
    );
    println!("most resident at once: {anonymous} bytes anonymous, {file} bytes of mapped files");
    drop(runtime);
    drop(folder);
    fs::remove_dir_all(&place).expect("the folder goes");

    let judge = start(&engine, bytes, u64::MAX, None);
    let count = checked.len();
    let other = checked.into_iter().filter(|(request, wanted)| {
        // Nothing of another conversation, and nothing of its own.
        let request = Request { app: format!("{} alone", request.app), ..request.clone() };
        said(&judge.ask(request).expect("an answer")) != *wanted
    });
    let other = other.count();
    println!("{count} answers computed again without a cap: {other} differ");
    assert!(promised <= memory && other == 0 && counts.damaged == 0);
}

fn load(path: &str, threads: usize) -> Arc<Engine> {
    let file = gguf::read(Bytes::map(&File::open(path).expect("a file")).expect("a mapped file"));
    let options = EngineOptions { threads, steady: true, ..EngineOptions::default() };
    Engine::load(&file.expect("a GGUF file"), options).expect("a model")
}

fn start(engine: &Arc<Engine>, bytes: u64, memory: u64, folder: Option<&Arc<Folder>>) -> Runtime {
    let mut runtime = Runtime::new(Limits { memory, ..Limits::default() });
    if let Some(folder) = folder {
        runtime.spill_to(Arc::clone(folder));
    }
    let about = Model { bytes, sha256: Some("00".repeat(32)), ..Model::default() };
    runtime.add(about, Arc::clone(engine)).expect("bytes");
    runtime
}

fn beginning(session: usize, life: usize) -> String {
    format!("Story {session} of volume {life}. There was a town where everybody had a number. One")
}

fn request(session: usize, life: usize, text: &str) -> Request {
    // The token that ends a turn must not end a story: all are as long.
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    Request {
        app: format!("app {}", session % 3),
        session: Some(format!("story {session}.{life}")),
        max_tokens: Some(ANSWER),
        logprobs: Some(0),
        sampling,
        ..Request::text("", text)
    }
}

/// Words, and the bits of their probabilities.
fn said(answer: &Answer) -> (String, Vec<u32>) {
    let bits = answer.logprobs.iter().map(|token| token.logprob.to_bits()).collect();
    (answer.text.clone(), bits)
}

/// Bytes of this process's memory that are resident: anonymous, and of files. Zeros where the system does
/// not say.
fn resident() -> [u64; 2] {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    ["RssAnon:", "RssFile:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    })
}
