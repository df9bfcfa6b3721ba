//! What many streams at once are worth, and what a long prompt costs those who listen.
//!
//! `cargo run --release -p ondine-runtime --example streams -- MODEL.gguf [THREADS] [ROUNDS]`
//!
//! First: tokens a second of 1, 2, 4, 8 and 16 streams together, in turns, medians of ROUNDS. Then:
//! the gaps between the words of one stream while a prompt of 2,000 tokens joins, without and with it.

use std::fs::File;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ondine_chat::{Chat, Event, Model, Request, Sampling};
use ondine_engine::{Engine, EngineOptions};
use ondine_format::gguf;
use ondine_runtime::{Limits, Runtime};
use ondine_tensor::Bytes;

/// Tokens of an answer.
const ANSWER: usize = 64;
/// Tokens of the prompt that joins.
const LONG: usize = 2000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a GGUF file");
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (threads, rounds) = (number(2), number(7));
    let bytes = Bytes::map(&File::open(&path).expect("a file")).expect("a file that maps");
    let file = gguf::read(bytes).expect("a GGUF file");
    let options = EngineOptions { threads, steady: true, ..EngineOptions::default() };
    let mut runtime = Runtime::new(Limits::default());
    let engine = Engine::load(&file, options).expect("a model");
    runtime.add(Model { name: path.clone(), ..Model::default() }, engine).expect("bytes");
    println!("{path}, {threads} threads, answers of {ANSWER} tokens, {rounds} rounds");

    // The first answer lays the weights out, and some hundred tokens move them to better pages.
    for i in 0..10 {
        spoken(&runtime, 1, i);
    }
    let counts = [1, 2, 4, 8, 16];
    let mut rates = vec![Vec::new(); counts.len()];
    for round in 0..rounds {
        for (count, rates) in counts.iter().zip(&mut rates) {
            rates.push(spoken(&runtime, *count, round as u64));
        }
    }
    let one = median(rates[0].clone());
    println!("| streams | tokens/s | of one stream's |\n|---|---|---|");
    for (count, rates) in counts.iter().zip(rates) {
        let rate = median(rates);
        println!("| {count} | {rate:.1} | {:.2} |", rate / one);
    }

    let positions = runtime.models()[0].context;
    if positions < LONG + ANSWER {
        return println!("no long prompt: the model has {positions} positions");
    }
    for joins in [false, true] {
        let mut gaps: Vec<f64> = (0..rounds).flat_map(|i| gaps(&runtime, joins, i)).collect();
        gaps.sort_by(f64::total_cmp);
        let at = |part: f64| gaps[((gaps.len() - 1) as f64 * part) as usize] * 1e3;
        println!(
            "gaps between words, {}: median {:.1} ms, 99 % {:.1} ms, largest {:.1} ms",
            if joins { "a prompt of 2,000 tokens joining" } else { "alone" },
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

fn begin(runtime: &Runtime, text: String, app: usize, max_tokens: usize) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    // The end of a turn must not end a sample.
    let sampling =
        Sampling { temperature: Some(1.0), seed: Some(app as u64), ..Sampling::default() };
    let request = Request {
        app: app.to_string(),
        max_tokens: Some(max_tokens),
        sampling,
        ..Request::text("", text)
    };
    runtime.start(request, Box::new(move |event| sender.send(event).is_ok())).expect("a place");
    events
}

/// Tokens a second of so many streams together, from the first token of the first to the end.
fn spoken(runtime: &Runtime, count: usize, round: u64) -> f64 {
    let prompt = |i: usize| format!("{round} {i} the little girl went");
    let streams: Vec<_> = (0..count).map(|i| begin(runtime, prompt(i), i, ANSWER)).collect();
    let (mut tokens, mut begun) = (0, None);
    for events in streams {
        for event in events {
            match event {
                Event::Text { .. } => _ = begun.get_or_insert_with(Instant::now),
                Event::Finished { usage, .. } => tokens += usage.completion_tokens,
                Event::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }
    tokens as f64 / begun.expect("tokens").elapsed().as_secs_f64()
}

/// Seconds between the words of one stream, another prompt joining it or not.
fn gaps(runtime: &Runtime, joins: bool, round: usize) -> Vec<f64> {
    let events = begin(runtime, format!("{round} once upon a time"), 0, 256);
    let (mut last, mut gaps, mut other) = (None, Vec::new(), None);
    for event in events {
        if let Event::Text { .. } = event {
            let now = Instant::now();
            gaps.extend(last.replace(now).map(|before| (now - before).as_secs_f64()));
            if joins && gaps.len() == 20 {
                let words = (0..LONG).map(|i| format!(" {}", (i * 7 + round) % 10));
                other = Some(begin(runtime, words.collect::<String>(), 1, 1));
            }
        }
    }
    if let Some(other) = other {
        let end = other.iter().last();
        assert!(matches!(end, Some(Event::Finished { .. })), "{end:?}");
    }
    std::thread::sleep(Duration::from_millis(20));
    gaps
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
