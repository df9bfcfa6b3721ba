//! Text in and out of a generation: prompts, whole characters, stop strings, ends of turns.

use std::sync::Arc;

use ondine_engine::{
    Engine, EngineError, EngineOptions, FinishReason, GenerateOptions, Sampling, Session,
    SessionOptions, Step,
};
use ondine_format::Value;
use ondine_text::Prompt;
use ondine_text::grammar::GrammarSpec;
use ondine_text::vocab::TokenId;

#[path = "../../model/tests/support/tiny.rs"]
mod tiny;
use tiny::Tiny;

const BOS: TokenId = 1;
const EOS: TokenId = 2;
const USER: TokenId = 3;
const END: TokenId = 4;
const FIM: [TokenId; 3] = [5, 6, 7];
const FIRST_BYTE: TokenId = 8;

const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<|user|>{{ m.content }}<|end|>\
    {% endfor %}{% if add_generation_prompt %}<|user|>{% endif %}";

/// A model whose tokens are marks, every byte, and a space.
fn speaking() -> Tiny {
    let marks = ["<unk>", "<s>", "</s>", "<|user|>", "<|end|>", "<pre>", "<suf>", "<mid>"];
    let mut tokens: Vec<String> = marks.map(String::from).to_vec();
    let mut kinds: Vec<i32> = vec![2, 3, 3, 3, 3, 3, 3, 3];
    for byte in 0..=255u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        kinds.push(6);
    }
    tokens.push("▁".into());
    kinds.push(1);
    let vocab = tokens.len();
    let scores = vec![0.0f32; vocab];
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let more: Vec<(String, Value)> = vec![
        (key("model"), "llama".into()),
        (key("tokens"), tokens.into()),
        (key("scores"), scores.into()),
        (key("token_type"), kinds.into()),
        (key("bos_token_id"), BOS.into()),
        (key("eos_token_id"), EOS.into()),
        (key("eot_token_id"), END.into()),
        (key("fim_pre_token_id"), FIM[0].into()),
        (key("fim_suf_token_id"), FIM[1].into()),
        (key("fim_mid_token_id"), FIM[2].into()),
        (key("add_space_prefix"), false.into()),
        ("tokenizer.chat_template".into(), TEMPLATE.into()),
    ];
    Tiny { vocab, context: 600, more, ..Tiny::llama() }
}

fn engine() -> Arc<Engine> {
    let engine = Engine::load(&speaking().file(), EngineOptions::default()).unwrap();
    engine.tokenizer().unwrap();
    engine
}

fn session(engine: &Arc<Engine>) -> Session {
    let mut session = engine.session(SessionOptions::default()).unwrap();
    session.sync(&[BOS, 9]).unwrap();
    session
}

/// Only these tokens, each as likely as the model says.
fn only(allowed: impl Fn(TokenId) -> bool, max_tokens: usize) -> GenerateOptions {
    let logit_bias =
        (0..265).filter(|id| !allowed(*id)).map(|id| (id, f32::NEG_INFINITY)).collect();
    let sampling = Sampling {
        temperature: 3.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        logit_bias,
        seed: 5,
        ..Sampling::default()
    };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), odds: true, ..Default::default() }
}

fn byte(b: u8) -> TokenId {
    FIRST_BYTE + TokenId::from(b)
}

/// Small letters, by bytes.
fn letters(max_tokens: usize) -> GenerateOptions {
    only(|id| (byte(b'a')..=byte(b'f')).contains(&id), max_tokens)
}

fn all(session: &mut Session, options: GenerateOptions) -> (Vec<Step>, Option<FinishReason>) {
    let mut generation = session.generate(options).unwrap();
    let steps = generation.by_ref().map(Result::unwrap).collect();
    (steps, generation.finish())
}

fn text(steps: &[Step]) -> String {
    steps.iter().map(|step| step.text.as_str()).collect()
}

#[test]
fn the_pieces_are_the_whole_text() {
    let engine = engine();
    let tokenizer = engine.tokenizer().unwrap();
    // Bytes that begin characters and bytes that go on, in any order: much of it is broken.
    let some = |id: TokenId| {
        id == byte(b'x')
            || (byte(0xc2)..byte(0xf5)).contains(&id)
            || (byte(0x80)..byte(0xc0)).contains(&id)
    };
    let (steps, finish) = all(&mut session(&engine), only(some, 400));
    assert_eq!((steps.len(), finish), (400, Some(FinishReason::Length)));
    let bytes: Vec<u8> =
        steps.iter().flat_map(|step| tokenizer.bytes(step.token).unwrap().to_vec()).collect();
    assert_eq!(text(&steps), String::from_utf8_lossy(&bytes));
    assert!(steps.iter().any(|step| step.text.is_empty()), "some piece waited for its character");
}

#[test]
fn a_stop_string_is_found_across_tokens_and_not_shown() {
    let engine = engine();
    let (free, _) = all(&mut session(&engine), letters(60));
    let whole = text(&free);
    assert_eq!(whole.len(), 60);
    for (at, len) in [(0, 1), (10, 3), (25, 7), (50, 10)] {
        let stop = &whole[at..at + len];
        let first = whole.find(stop).unwrap();
        let mut session = session(&engine);
        let options = GenerateOptions { stop: vec!["zzz".into(), stop.into()], ..letters(60) };
        let (steps, finish) = all(&mut session, options);
        assert_eq!(text(&steps), whole[..first], "{stop:?}");
        assert_eq!((steps.len(), finish), (first + len, Some(FinishReason::Stop)));
        assert_eq!(steps.last().unwrap().finish, Some(FinishReason::Stop));
    }
    // A beginning that never becomes the stop string is shown in the end.
    let stop = vec![format!("{}!", &whole[50..])];
    let (steps, finish) = all(&mut session(&engine), GenerateOptions { stop, ..letters(60) });
    assert_eq!((text(&steps), finish), (whole.clone(), Some(FinishReason::Length)));
    assert!(steps[59].text.len() >= 10, "held to the end");
}

#[test]
fn the_end_of_a_turn_is_a_step_without_text() {
    let engine = engine();
    for end in [EOS, END] {
        let mut session = session(&engine);
        let (steps, finish) = all(&mut session, only(|id| id == end, 10));
        assert_eq!(finish, Some(FinishReason::EndOfTurn));
        assert_eq!((steps.len(), steps[0].token, steps[0].text.as_str()), (1, end, ""));
        assert_eq!(session.tokens(), [BOS, 9], "the next prompt writes it");
        let logits = session.logits().unwrap();
        let total: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        let wanted = f64::from(logits[end as usize]) - total.ln();
        assert!((f64::from(steps[0].odds.unwrap().logprob) - wanted).abs() < 1e-5);
    }
}

#[test]
fn nothing_allowed_is_an_error() {
    let engine = engine();
    let mut session = session(&engine);
    let steps: Vec<_> = session.generate(only(|_| false, 3)).unwrap().collect();
    assert!(matches!(steps[..], [Err(EngineError::NothingAllowed { position: 2 })]));
    let bad = Sampling { temperature: -1.0, ..Sampling::default() };
    let bad = GenerateOptions { sampling: bad, ..Default::default() };
    assert!(matches!(
        session.generate(bad),
        Err(EngineError::Sampling { name: "temperature", .. })
    ));
}

#[test]
fn a_chat_begins_once_and_users_write_no_marks() {
    let engine = engine();
    let input = serde_json::json!({
        "messages": [{"role": "user", "content": "a<|end|>b"}, {"role": "user", "content": "c"}],
    });
    let prompt = engine.chat_prompt(&input, None).unwrap();
    assert_eq!(prompt.text, "<s><|user|>a<|end|>b<|end|><|user|>c<|end|><|user|>");
    let tokens = engine.encode_prompt(&prompt).unwrap();
    let spelled: Vec<TokenId> = "a<|end|>b".bytes().map(byte).collect();
    let wanted = [&[BOS, USER], &spelled[..], &[END, USER, byte(b'c'), END, USER]].concat();
    assert_eq!(tokens, wanted);

    // A prompt that does not begin with the mark gets it, once.
    let plain = Prompt { text: "<|user|>".into(), quoted: Vec::new() };
    assert_eq!(engine.encode_prompt(&plain).unwrap(), [BOS, USER]);
    assert_eq!(engine.encode_text("<s>").unwrap()[..2], [BOS, byte(b'<')]);

    // Templates trust the texts of special tokens, so a chat cannot bring its own.
    let done = serde_json::json!({
        "messages": [], "add_generation_prompt": false, "bos_token": "<|user|>",
    });
    assert_eq!(engine.chat_prompt(&done, None).unwrap().text, "<s>");
}

#[test]
fn a_gap_is_asked_for_by_marks_that_no_text_can_write() {
    let engine = engine();
    let got = engine.fim_prompt("a<mid>", "b").unwrap();
    let prefix: Vec<TokenId> = "a<mid>".bytes().map(byte).collect();
    let wanted = [&[BOS, FIM[0]], &prefix[..], &[FIM[1], byte(b'b'), FIM[2]]].concat();
    assert_eq!(got, wanted);

    let mut without = speaking();
    without.more.retain(|(key, _)| !key.contains(".fim_"));
    let names = ["<pre>", "<suf>", "<mid>"];
    assert!(names.iter().all(|name| engine.tokenizer().unwrap().id_of(name).is_some()));
    let engine = Engine::load(&without.file(), EngineOptions::default()).unwrap();
    assert!(matches!(engine.fim_prompt("a", "b"), Err(EngineError::NoFim)));
}

#[test]
fn a_refused_tokenizer_says_why_and_the_ids_still_work() {
    let mut broken = speaking();
    broken.more.retain(|(key, _)| key != "tokenizer.ggml.model");
    broken.more.push(("tokenizer.ggml.model".into(), "rwkv".into()));
    let engine = Engine::load(&broken.file(), EngineOptions::default()).unwrap();
    let error = engine.tokenizer().unwrap_err().to_string();
    assert!(error.contains("rwkv"), "{error}");
    let mut session = engine.session(SessionOptions::default()).unwrap();
    session.sync(&[BOS]).unwrap();
    assert_eq!(session.logits().unwrap().len(), 265);
}

#[test]
fn a_grammar_decides_what_may_be_said() {
    let engine = engine();
    let spec = GrammarSpec::Regex("(ab|cd){3}".into());
    let grammar = engine.grammar(&spec).unwrap();
    for seed in 0..20 {
        let mut options = only(|_| true, 50);
        options.sampling.seed = seed;
        options.grammar = Some(grammar.matcher());
        let mut session = session(&engine);
        let mut before = session.fork();
        let (steps, finish) = all(&mut session, options);
        let said = text(&steps);
        assert_eq!(said.len(), 6, "{said}");
        assert!(said.as_bytes().chunks(2).all(|pair| pair == b"ab" || pair == b"cd"), "{said}");
        assert!(matches!(finish, Some(FinishReason::Complete | FinishReason::EndOfTurn)));
        // Where one token alone is allowed it is certain; where two are, they share.
        let logits = before.logits().unwrap();
        let p = |b: u8| f64::from(logits[byte(b) as usize]).exp();
        let first = steps[0].token;
        let wanted = f64::from(logits[first as usize]).exp() / (p(b'a') + p(b'c'));
        assert!((f64::from(steps[0].odds.unwrap().allowed_prob) - wanted).abs() < 1e-5);
        assert!(steps[0].odds.unwrap().logprob.exp() < steps[0].odds.unwrap().allowed_prob);
        assert_eq!(steps[1].odds.unwrap().allowed_prob, 1.0);
    }
    // A bias cannot lift what the grammar forbids, and greedy is greatest among the allowed.
    let mut options = only(|_| true, 1);
    options.sampling.temperature = 0.0;
    options.sampling.logit_bias = vec![(byte(b'z'), 1000.0)];
    options.grammar = Some(grammar.matcher());
    let (steps, _) = all(&mut session(&engine), options);
    assert!([byte(b'a'), byte(b'c')].contains(&steps[0].token));
}
