//! What a session promises, on tiny random models of every family.

use std::sync::Arc;

use ondine_engine::{
    Engine, EngineError, EngineOptions, FinishReason, GenerateOptions, Overflow, Sampling, Session,
    SessionOptions, Step, Synced,
};
use ondine_model::ModelError;

#[path = "../../model/tests/support/tiny.rs"]
mod tiny;
use tiny::Tiny;
use tiny::reference::{self, difference};

fn load(tiny: &Tiny) -> Arc<Engine> {
    Engine::load(&tiny.file(), EngineOptions::default()).unwrap()
}

fn session(engine: &Arc<Engine>) -> Session {
    engine.session(SessionOptions::default()).unwrap()
}

fn synced(engine: &Arc<Engine>, tokens: &[u32]) -> Session {
    let mut session = session(engine);
    session.sync(tokens).unwrap();
    session
}

fn seeded(seed: u64, max_tokens: usize) -> GenerateOptions {
    let sampling = Sampling {
        temperature: 1.5,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed,
        ..Sampling::default()
    };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ..Default::default() }
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        sampling: Sampling::greedy(),
        max_tokens: Some(max_tokens),
        ..Default::default()
    }
}

fn tokens(session: &mut Session, options: GenerateOptions) -> Vec<u32> {
    session.generate(options).unwrap().map(|step| step.unwrap().token).collect()
}

/// Greatest difference of two rows of logits, as a part of the spread.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    difference(a, &b.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())
}

#[test]
fn sync_evaluates_only_what_is_new() {
    for tiny in Tiny::families() {
        let engine = load(&tiny);
        let a = tiny::text(1, 30, tiny.vocab);
        let mut b = a.clone();
        b[20] = (b[20] + 1) % tiny.vocab as u32;
        let longer = [&a[..], &[1, 2, 3]].concat();
        let rows: &[(&[u32], usize, usize)] = &[
            (&a, 0, 30),
            (&a, 30, 0),
            (&longer, 30, 3),
            // What was cut off is gone, and the logits of the last token left with it.
            (&a, 29, 1),
            (&b, 20, 10),
            (&a[..5], 4, 1),
            (&a, 5, 25),
        ];
        let mut kept = session(&engine);
        for (prompt, reused, evaluated) in rows {
            let wanted = Synced { reused: *reused, evaluated: *evaluated, dropped: 0 };
            assert_eq!(kept.sync(prompt).unwrap(), wanted, "{}", tiny.architecture);
            assert_eq!(kept.tokens(), *prompt);
            let fresh = synced(&engine, prompt).logits().unwrap().to_vec();
            let far = apart(kept.logits().unwrap(), &fresh);
            assert!(far < 1e-3, "{}: reused and fresh differ by {far:e}", tiny.architecture);
        }
    }
}

#[test]
fn logits_are_those_of_the_slow_pass() {
    for tiny in Tiny::families() {
        let file = tiny.file();
        let engine = Engine::load(&file, EngineOptions::default()).unwrap();
        let text = tiny::text(2, 24, tiny.vocab);
        let wanted = reference::logits(&tiny, &file, &text);
        let mut session = synced(&engine, &text[..10]);
        for (at, token) in text.iter().enumerate().skip(10) {
            session.extend(&[*token]).unwrap();
            let far = difference(session.logits().unwrap(), &wanted[at]);
            assert!(far < 1e-3, "{} at {at}: {far:e}", tiny.architecture);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens_whatever_runs_beside() {
    let tiny = Tiny::llama();
    let engine = load(&tiny);
    let prompt = tiny::text(3, 12, tiny.vocab);
    let alone = tokens(&mut synced(&engine, &prompt), seeded(7, 40));
    assert_eq!(alone.len(), 40);
    assert_eq!(tokens(&mut synced(&engine, &prompt), seeded(7, 40)), alone);
    assert_ne!(tokens(&mut synced(&engine, &prompt), seeded(8, 40)), alone);

    // Three in turns, two of them with other seeds.
    let mut sessions = [0, 1, 2].map(|_| synced(&engine, &prompt));
    let mut told = [const { Vec::new() }; 3];
    {
        let mut running: Vec<_> = sessions
            .iter_mut()
            .zip([1, 7, 2])
            .map(|(session, seed)| session.generate(seeded(seed, 40)).unwrap())
            .collect();
        for _ in 0..40 {
            for (told, generation) in told.iter_mut().zip(&mut running) {
                told.push(generation.next().unwrap().unwrap().token);
            }
        }
    }
    assert_eq!(told[1], alone);

    // And on two threads at once.
    let threads = [7, 9].map(|seed| {
        let (engine, prompt) = (Arc::clone(&engine), prompt.clone());
        std::thread::spawn(move || tokens(&mut synced(&engine, &prompt), seeded(seed, 40)))
    });
    let [seven, _] = threads.map(|thread| thread.join().unwrap());
    assert_eq!(seven, alone);
}

#[test]
fn greedy_is_the_argmax_of_the_logits_at_every_step() {
    for tiny in Tiny::families() {
        let engine = load(&tiny);
        let prompt = tiny::text(4, 9, tiny.vocab);
        let told = tokens(&mut synced(&engine, &prompt), greedy(20));
        let mut session = synced(&engine, &prompt);
        for token in told {
            let logits = session.logits().unwrap();
            assert_eq!(Some(token as usize), ondine_tensor::argmax(logits));
            session.extend(&[token]).unwrap();
        }
    }
}

#[test]
fn rewind_and_fork_go_their_own_ways() {
    let tiny = Tiny::qwen3();
    let engine = load(&tiny);
    let prompt = tiny::text(5, 20, tiny.vocab);
    let mut session = synced(&engine, &prompt);
    let told = tokens(&mut session, seeded(1, 15));
    assert_eq!(session.tokens(), [&prompt[..], &told].concat());

    session.rewind(20);
    assert_eq!(session.tokens(), prompt);
    assert_eq!(tokens(&mut session, seeded(1, 15)), told, "again from the same place");
    session.rewind(999);
    assert_eq!(session.tokens().len(), 35);

    session.rewind(20);
    let mut fork = session.fork();
    assert_eq!(
        tokens(&mut fork, seeded(2, 15)),
        tokens(&mut synced(&engine, &prompt), seeded(2, 15))
    );
    assert_eq!(tokens(&mut session, seeded(1, 15)), told, "the fork disturbed its origin");
    assert_eq!(fork.tokens()[..20], prompt);
    // A fork taken in the midst of an answer goes on as its origin would.
    let mut fork = session.fork();
    assert_eq!(tokens(&mut fork, greedy(5)), tokens(&mut session, greedy(5)));
}

#[test]
fn an_abandoned_generation_goes_on_where_it_stood() {
    let tiny = Tiny::gpt2();
    let engine = load(&tiny);
    let prompt = tiny::text(6, 8, tiny.vocab);
    let whole = tokens(&mut synced(&engine, &prompt), greedy(12));
    let mut session = synced(&engine, &prompt);
    let first: Vec<u32> =
        session.generate(greedy(12)).unwrap().take(5).map(|step| step.unwrap().token).collect();
    assert_eq!(first, whole[..5]);
    assert_eq!(session.tokens(), [&prompt[..], &first].concat());
    assert_eq!(tokens(&mut session, greedy(7)), whole[5..]);
}

#[test]
fn what_does_not_fit_is_refused_with_both_numbers() {
    let tiny = Tiny::llama();
    let engine = load(&tiny);
    let options = SessionOptions { context: Some(16), ..SessionOptions::default() };
    let mut session = engine.session(options).unwrap();
    session.sync(&[1, 2, 3]).unwrap();
    let error = session.sync(&[0; 17]).unwrap_err();
    assert_eq!(error.to_string(), "the prompt takes 17 positions, the session has 16");
    assert_eq!(session.tokens(), [1, 2, 3], "as it was");
    assert!(matches!(
        session.sync(&[1, 99]),
        Err(EngineError::Model(ModelError::Token { id: 99, vocab: 40 }))
    ));
    assert!(matches!(session.sync(&[]), Err(EngineError::EmptyPrompt)));
    assert_eq!(session.tokens(), [1, 2, 3], "as it was");

    let mut generation = session.generate(greedy(100)).unwrap();
    let steps: Vec<Step> = generation.by_ref().map(Result::unwrap).collect();
    assert_eq!((steps.len(), generation.finish()), (13, Some(FinishReason::Context)));
    assert_eq!(steps[12].finish, Some(FinishReason::Context));
    assert!(steps[..12].iter().all(|step| step.finish.is_none()));
    assert_eq!(session.tokens().len(), 16);
    // No room at all: nothing is generated, and that is said.
    let mut generation = session.generate(greedy(1)).unwrap();
    assert!(generation.next().is_none());
    assert_eq!(generation.finish(), Some(FinishReason::Context));

    for (context, overflow) in
        [(0, Overflow::Error), (97, Overflow::Error), (16, Overflow::Shift { keep: 15 })]
    {
        let options = SessionOptions { context: Some(context), overflow, ..Default::default() };
        assert!(engine.session(options).is_err());
    }
}

#[test]
fn a_shift_is_the_shorter_prompt_exactly() {
    for tiny in Tiny::families() {
        let engine = load(&tiny);
        let overflow = Overflow::Shift { keep: 4 };
        let options = SessionOptions { context: Some(24), overflow, ..Default::default() };
        let mut shifting = engine.session(options).unwrap();
        let prompt = tiny::text(8, 20, tiny.vocab);
        shifting.sync(&prompt).unwrap();
        let told = tokens(&mut shifting, greedy(60));
        assert_eq!(told.len(), 60, "{}", tiny.architecture);
        assert!(shifting.tokens().len() <= 24);
        assert_eq!(shifting.tokens()[..4], prompt[..4]);

        // Each token is the greatest of a fresh session over the timeline as it is cut.
        let whole = [&prompt[..], &told].concat();
        let (mut previous, mut cut): (Option<Session>, usize) = (None, 0);
        for end in prompt.len()..whole.len() {
            let mut one = previous.take().unwrap_or_else(|| engine.session(options).unwrap());
            let did = one.sync(&whole[..end]).unwrap();
            let kept = one.tokens().to_vec();
            assert_eq!(kept, [&whole[..4], &whole[4 + did.dropped..end]].concat());
            assert_eq!(did.dropped % 10, 0, "cuts lie at multiples of half of what may go");
            let logits = one.logits().unwrap().to_vec();
            let fresh = synced(&engine, &kept).logits().unwrap().to_vec();
            assert!(apart(&logits, &fresh) < 1e-3);
            // The cut stays where it was as the prompt grows, so all but the new token is reused.
            if did.dropped == cut && end > prompt.len() {
                assert_eq!(did.evaluated, 1, "{did:?} at {end}");
            }
            cut = did.dropped;
            previous = Some(one);
        }
        // After a turn the whole history is handed over again: nothing is evaluated anew.
        shifting.logits().unwrap();
        let did = shifting.sync(&whole).unwrap();
        assert_eq!((did.evaluated, did.reused + did.dropped), (0, whole.len()));
    }
}

#[test]
fn logits_that_are_no_numbers_end_in_an_error() {
    for tiny in Tiny::families() {
        let engine = load(&Tiny { nan_token: Some(5), tied: false, ..tiny.clone() });
        let mut session = synced(&engine, &[1, 2, 3]);
        for prompt in [&[1, 2, 5][..], &[5], &[1, 2, 3, 4, 5, 6]] {
            let error = session.sync(prompt).unwrap_err();
            assert!(
                matches!(error, EngineError::Numerical { .. }),
                "{}: {error}",
                tiny.architecture
            );
        }
        // The session is still good for prompts that do not touch the damage.
        session.sync(&[1, 2, 3]).unwrap();
        session.extend(&[5]).unwrap();
        let steps: Vec<_> = session.generate(greedy(9)).unwrap().collect();
        assert!(matches!(steps[..], [Err(EngineError::Numerical { .. })]));
        assert_eq!(session.tokens(), [1, 2, 3]);
        assert_eq!(tokens(&mut session, greedy(1)).len(), 1);
    }
    // A head with NaN weights: every prompt fails, none hangs or panics.
    let tiny = Tiny { nan_token: Some(5), tied: true, ..Tiny::llama() };
    let error = session(&load(&tiny)).sync(&[1, 2]).unwrap_err();
    assert_eq!(error.to_string(), "numerical: the logits after position 1 are not numbers");
}

#[test]
fn probabilities_are_those_of_the_model() {
    let engine = load(&Tiny::llama());
    let mut session = synced(&engine, &[3, 1, 4]);
    let logits: Vec<f64> = session.logits().unwrap().iter().map(|x| f64::from(*x)).collect();
    let total: f64 = logits.iter().map(|x| x.exp()).sum();
    let options = GenerateOptions { odds: true, ..seeded(5, 1) };
    let step = session.generate(options).unwrap().next().unwrap().unwrap();
    let odds = step.odds.unwrap();
    let wanted = logits[step.token as usize] - total.ln();
    assert!((f64::from(odds.logprob) - wanted).abs() < 1e-5);
    assert!((f64::from(odds.allowed_prob) - wanted.exp()).abs() < 1e-6);
}

#[test]
fn a_file_without_a_tokenizer_serves_ids() {
    let engine = load(&Tiny::llama());
    assert!(matches!(engine.tokenizer(), Err(EngineError::NoTokenizer { .. })));
    assert!(matches!(engine.template(), Err(EngineError::NoTemplate { .. })));
    assert!(matches!(engine.encode_text("x"), Err(EngineError::NoTokenizer { .. })));
    let mut session = synced(&engine, &[1]);
    let steps: Vec<Step> = session.generate(greedy(3)).unwrap().map(Result::unwrap).collect();
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|step| step.text.is_empty()));
    assert_eq!(steps[2].finish, Some(FinishReason::Length));
    assert_eq!(session.generate(greedy(0)).unwrap().count(), 0);
}

#[test]
fn perplexity_is_the_mean_over_second_halves() {
    let tiny = Tiny::qwen2();
    let file = tiny.file();
    let engine = Engine::load(&file, EngineOptions::default()).unwrap();
    let text = tiny::text(9, 3 * 20 + 7, tiny.vocab);
    let mut nlls = Vec::new();
    for window in text.chunks_exact(20) {
        let logits = reference::logits(&tiny, &file, window);
        for at in 10..19 {
            let total: f64 = logits[at].iter().map(|x| x.exp()).sum();
            nlls.push(total.ln() - logits[at][window[at + 1] as usize]);
        }
    }
    let n = nlls.len() as f64;
    let mean = nlls.iter().sum::<f64>() / n;
    let variance = nlls.iter().map(|x| x * x).sum::<f64>() / n - mean * mean;
    let got = ondine_engine::perplexity(&mut session(&engine), &text, 20).unwrap();
    assert_eq!(got.tokens, 27);
    assert!((got.nll - mean).abs() < 1e-3, "{got:?}, wanted {mean}");
    assert!((got.ppl - mean.exp()).abs() < 1e-3 * got.ppl);
    let error = mean.exp() * (variance / (n - 1.0)).sqrt();
    assert!((got.error - error).abs() < 1e-2 * error, "{got:?}, wanted {error}");
    for (window, len) in [(3, 67), (97, 67), (68, 67)] {
        assert!(ondine_engine::perplexity(&mut session(&engine), &text[..len], window).is_err());
    }
}
