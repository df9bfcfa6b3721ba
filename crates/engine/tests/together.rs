//! Sessions that are evaluated together get what each would get alone, bit for bit.

use std::fs::File;
use std::sync::Arc;

use ondine_engine::{
    Engine, EngineError, EngineOptions, GenerateOptions, Memory, Sampling, Session, SessionOptions,
    Share, Speech, evaluate_together,
};
use ondine_format::{ModelFile, gguf};
use ondine_model::{BATCH, Scratch};
use ondine_tensor::Bytes;

#[path = "../../model/tests/support/tiny.rs"]
mod tiny;
use tiny::Tiny;

fn load(file: &ModelFile, memory: Memory) -> Arc<Engine> {
    let options = EngineOptions { threads: 2, memory, steady: true, ..EngineOptions::default() };
    Engine::load(file, options).unwrap()
}

/// A model with quantised weights: the embedded one.
fn quantised() -> ModelFile {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf");
    gguf::read(Bytes::map(&File::open(path).unwrap()).unwrap()).unwrap()
}

fn options(seed: u64, max_tokens: usize) -> GenerateOptions {
    let sampling = Sampling { temperature: 1.3, seed, ..Sampling::default() };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), odds: true, ..Default::default() }
}

/// Prompts of several lengths, and how long the answers are.
fn tasks(vocab: usize) -> Vec<(Vec<u32>, u64, usize)> {
    [(3, 9), (40, 5), (1, 12), (17, 1), (33, 7), (16, 8)]
        .into_iter()
        .enumerate()
        .map(|(i, (prompt, answer))| (tiny::text(i as u64, prompt, vocab), i as u64, answer))
        .collect()
}

type Bits = Vec<u32>;

/// Tokens of the answer and the bits of their probabilities.
type Said = (Vec<u32>, Bits);

fn alone(engine: &Arc<Engine>, (prompt, seed, max): &(Vec<u32>, u64, usize)) -> Said {
    let mut session = engine.session(SessionOptions::default()).unwrap();
    session.sync(prompt).unwrap();
    let steps = session.generate(options(*seed, *max)).unwrap();
    steps
        .map(|step| step.unwrap())
        .map(|step| (step.token, step.odds.unwrap().logprob.to_bits()))
        .unzip()
}

/// All at once: a new one joins every second step, prompts come in pieces of `piece`.
fn together(engine: &Arc<Engine>, tasks: &[(Vec<u32>, u64, usize)], piece: usize) -> Vec<Said> {
    let mut scratch = Scratch::new(engine.shape());
    let mut running: Vec<(usize, Session, Speech)> = Vec::new();
    let mut said: Vec<Said> = vec![Said::default(); tasks.len()];
    let (mut next, mut step) = (0, 0);
    while next < tasks.len() || !running.is_empty() {
        if step % 2 == 0 && next < tasks.len() {
            let (prompt, seed, max) = &tasks[next];
            let mut session = engine.session(SessionOptions::default()).unwrap();
            assert_eq!(session.prepare(prompt).unwrap(), 0);
            running.push((next, session, Speech::new(options(*seed, *max)).unwrap()));
            next += 1;
        }
        step += 1;
        let mut shares: Vec<Share<'_>> = (running.iter_mut())
            .map(|(_, session, _)| Share {
                session,
                tokens: piece,
                likeliest: None,
                result: Ok(()),
            })
            .collect();
        evaluate_together(engine, &mut scratch, &mut shares);
        assert!(shares.iter().all(|share| share.result.is_ok()));
        running.retain_mut(|(i, session, speech)| {
            if session.pending() > 0 {
                return true;
            }
            let Some(step) = speech.next(session) else { return false };
            let step = step.unwrap();
            said[*i].0.push(step.token);
            said[*i].1.push(step.odds.unwrap().logprob.to_bits());
            speech.goes_on(session)
        });
    }
    said
}

#[test]
fn nobody_can_tell_who_else_is_there() {
    let mut files: Vec<(String, ModelFile)> =
        Tiny::families().iter().map(|tiny| (tiny.architecture.to_owned(), tiny.file())).collect();
    files.push(("quantised".into(), quantised()));
    for (name, file) in files {
        for memory in [Memory::Fast, Memory::Lean] {
            let engine = load(&file, memory);
            let tasks = tasks(engine.shape().vocab);
            let wanted: Vec<Said> = tasks.iter().map(|task| alone(&engine, task)).collect();
            for piece in [1, 5, 16, 40] {
                let said = together(&engine, &tasks, piece);
                assert!(said == wanted, "{name} {memory:?}, in pieces of {piece}");
            }
        }
    }
}

#[test]
fn who_cannot_go_on_does_not_keep_others() {
    let tiny = Tiny { nan_token: Some(7), ..Tiny::llama() };
    let engine = load(&tiny.file(), Memory::Fast);
    let prompt = tiny::text(1, 20, 7);
    let mut sick = engine.session(SessionOptions::default()).unwrap();
    let mut well = engine.session(SessionOptions::default()).unwrap();
    let mut judge = engine.session(SessionOptions::default()).unwrap();
    sick.prepare(&[&prompt[..], &[7]].concat()).unwrap();
    well.prepare(&prompt).unwrap();
    let mut scratch = Scratch::new(engine.shape());
    let mut shares = [&mut sick, &mut well].map(|session| Share {
        session,
        tokens: BATCH / 2,
        likeliest: None,
        result: Ok(()),
    });
    evaluate_together(&engine, &mut scratch, &mut shares);
    let [sick_result, well_result] = shares.map(|share| share.result);
    assert!(matches!(sick_result, Err(EngineError::Numerical { position: 20 })), "{sick_result:?}");
    well_result.unwrap();
    judge.sync(&prompt).unwrap();
    assert_eq!(well.logits().unwrap(), judge.logits().unwrap());
    // What is left of the sick one can go on.
    sick.sync(&prompt).unwrap();
    assert_eq!(sick.logits().unwrap(), judge.logits().unwrap());
}

#[test]
fn a_prompt_is_prepared_as_it_is_synced() {
    let tiny = Tiny::llama();
    let engine = load(&tiny.file(), Memory::Fast);
    let prompt = tiny::text(1, 30, tiny.vocab);
    let mut session = engine.session(SessionOptions::default()).unwrap();
    session.sync(&prompt).unwrap();
    assert_eq!(session.prepare(&prompt).unwrap(), 29, "the last token gives logits");
    assert_eq!((session.pending(), session.tokens().len()), (1, 30));
    assert_eq!(session.prepare(&prompt[..10]).unwrap(), 9);
    assert!(matches!(session.prepare(&[]), Err(EngineError::EmptyPrompt)));
    let long = tiny::text(1, tiny.context + 1, tiny.vocab);
    assert!(matches!(session.prepare(&long), Err(EngineError::Context { .. })));
    assert!(session.prepare(&[tiny.vocab as u32]).is_err());
    assert_eq!(session.tokens(), &prompt[..10], "what was refused changed nothing");
}
