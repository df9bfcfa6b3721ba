//! What finding the likeliest tokens without reading all of the output head is worth, on droplet:
//!
//! ```text
//! cargo run --release -p ondine-droplet --example head [THREADS] [ROUNDS]
//! ```
//!
//! Greedy answers to the same prompts, in turns with and without; the same tokens, or it says so and
//! ends. It knows nothing of how the head is read.

use std::time::Instant;

use ondine_engine::{EngineOptions, GenerateOptions, Sampling, SessionOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let threads = arguments.next().transpose()?.unwrap_or(1);
    let rounds = arguments.next().transpose()?.unwrap_or(9);
    let file = ondine_droplet::file()?;
    let options = EngineOptions { threads, ..EngineOptions::default() };
    let engine = ondine_engine::Engine::load(&file, options)?;
    let prompts: Vec<Vec<u32>> =
        (0..16).map(|n| (0..8).map(|i| 300 + 31 * n + 7 * i).collect()).collect();
    let answer =
        |prompt: &[u32], odds: bool| -> Result<(Vec<u32>, f64), ondine_engine::EngineError> {
            let mut session = engine.session(SessionOptions::default())?;
            session.sync(prompt)?;
            let sampling = Sampling::greedy();
            let options =
                GenerateOptions { sampling, odds, max_tokens: Some(64), ..Default::default() };
            let begun = Instant::now();
            let tokens: Result<Vec<u32>, _> =
                session.generate(options)?.map(|step| step.map(|step| step.token)).collect();
            Ok((tokens?, begun.elapsed().as_secs_f64()))
        };
    let mut seconds = [Vec::new(), Vec::new()];
    let mut count = 0;
    for round in 0..=rounds {
        let mut sums = [0.0; 2];
        count = 0;
        for prompt in &prompts {
            let (all, whole_s) = answer(prompt, true)?;
            let (few, screened_s) = answer(prompt, false)?;
            if all != few {
                return Err(format!("other tokens: {all:?} and {few:?}").into());
            }
            count += all.len();
            sums[0] += whole_s;
            sums[1] += screened_s;
        }
        // The first round lays weights out.
        if round > 0 {
            seconds[0].push(sums[0]);
            seconds[1].push(sums[1]);
        }
    }
    for of in &mut seconds {
        of.sort_by(f64::total_cmp);
    }
    let [whole, screened] = seconds.map(|of| of[of.len() / 2]);
    println!("{count} tokens a round, {threads} threads, {rounds} rounds, medians");
    println!("all logits and their odds   {:8.1} tokens/s", count as f64 / whole);
    println!("the likeliest alone         {:8.1} tokens/s", count as f64 / screened);
    Ok(())
}
