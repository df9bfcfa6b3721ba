//! Choosing a token does not wait for all of the output head (`tensor`'s `cpu/likeliest.rs`); what is
//! chosen is the same. droplet is the real, trained model at hand that has such a head.

use std::sync::Arc;

use ondine_engine::{Engine, EngineOptions, GenerateOptions, Sampling, Session, SessionOptions};
use ondine_tensor::Isa;
use ondine_text::tokenizer::Special;

const TEXTS: [&str; 4] = [
    "turn off the kitchen light",
    "fn greatest(x: &[f32]) -> Option<f32> {",
    "明天早上六点半叫醒我",
    "Once upon a time there was a",
];

fn engines() -> impl Iterator<Item = (Isa, Arc<Engine>)> {
    let file = ondine_droplet::file().unwrap();
    Isa::available().map(move |isa| {
        // droplet's head would fit a cache.
        let options = EngineOptions { threads: 2, isa, screen_from: 0, ..EngineOptions::default() };
        (isa, Engine::load(&file, options).unwrap())
    })
}

fn synced(engine: &Arc<Engine>, text: &str) -> Session {
    let mut session = engine.session(SessionOptions::default()).unwrap();
    let prompt = engine.tokenizer().unwrap().encode(text, Special::AsText);
    session.sync(&prompt).unwrap();
    session
}

/// The tokens that a session goes on with. Whoever asks for odds has every logit computed.
fn said(session: &mut Session, sampling: &Sampling, odds: bool) -> Vec<u32> {
    let sampling = sampling.clone();
    let options =
        GenerateOptions { sampling, odds, max_tokens: Some(24), ..GenerateOptions::default() };
    session.generate(options).unwrap().map(|step| step.unwrap().token).collect()
}

#[test]
fn the_same_tokens_are_chosen() {
    for (isa, engine) in engines() {
        for (n, text) in TEXTS.iter().enumerate() {
            let greedy = Sampling::greedy();
            let few = |top_k| Sampling { top_k, seed: n as u64, ..Sampling::default() };
            for sampling in [greedy, few(1), few(5), few(40)] {
                let whole = said(&mut synced(&engine, text), &sampling, true);
                let screened = said(&mut synced(&engine, text), &sampling, false);
                assert_eq!(screened, whole, "{isa}, {text:?}, the {} greatest", sampling.top_k);
            }
        }
    }
}

#[test]
fn whoever_asks_for_all_logits_gets_them() {
    for (isa, engine) in engines() {
        let mut session = synced(&engine, TEXTS[0]);
        said(&mut session, &Sampling::greedy(), false);
        let mut judge = engine.session(SessionOptions::default()).unwrap();
        judge.sync(session.tokens()).unwrap();
        let logits = session.logits().unwrap().to_vec();
        assert!(logits.iter().all(|logit| logit.is_finite()), "{isa}: some are not known");
        let most = logits.iter().zip(judge.logits().unwrap()).map(|(a, b)| (a - b).abs());
        assert!(most.fold(0.0, f32::max) < 0.05, "{isa}");
        // And in the middle of an answer.
        let mut session = synced(&engine, TEXTS[1]);
        let first = said(&mut session.fork(), &Sampling::greedy(), false);
        said(&mut session, &Sampling { top_k: 2, ..Sampling::default() }, false);
        session.rewind(session.tokens().len().min(12));
        assert!(session.logits().unwrap().iter().all(|logit| logit.is_finite()), "{isa}");
        assert!(!first.is_empty());
    }
}
