//! What a runtime promises about models that take turns in memory. The models are the embedded one with
//! other angles of its positions: small, quick to load, and each with answers of its own.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ondine_chat::{
    Answer, Chat, ChatError, Embed, Event, Eviction, FinishReason, Keep, Keeper, Message, Model,
    Request, Sampling, Script, Wanted,
};
use ondine_engine::EngineOptions;
use ondine_format::{Value, gguf, write};
use ondine_runtime::{Happened, Limits, Loader, Runtime, Source};
use ondine_tensor::Bytes;

/// A model file whose answers are told from others' by `variant`.
fn file(variant: u32) -> Vec<u8> {
    static DROPLET: OnceLock<Vec<u8>> = OnceLock::new();
    let droplet = DROPLET.get_or_init(|| {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf")).unwrap()
    });
    let mut file = gguf::read(Bytes::from_vec(droplet.clone())).unwrap();
    let base = Value::F32(1000.0 * (1 + variant) as f32);
    file.metadata.set("llama.rope.freq_base", base).unwrap();
    let mut bytes = Vec::new();
    write::rewrite(&file, &mut bytes).unwrap();
    bytes
}

/// A model file that loads, and whose weights give no numbers.
fn broken() -> Vec<u8> {
    let mut bytes = file(99);
    let length = bytes.len();
    bytes[length / 2..].fill(0xff);
    bytes
}

/// A digest, and what it is of.
type Content = (String, Arc<Vec<u8>>);

/// Models by name, as a store has them.
#[derive(Default)]
struct Shelf {
    models: Mutex<BTreeMap<String, Content>>,
    told: Mutex<Vec<String>>,
    /// How often something was opened.
    opened: AtomicUsize,
    /// Nothing can be opened.
    shut: AtomicBool,
}

impl Shelf {
    fn of(names: &[(&str, u32)]) -> Arc<Shelf> {
        let shelf = Shelf::default();
        for (name, variant) in names {
            shelf.put(name, &variant.to_string(), Arc::new(file(*variant)));
        }
        Arc::new(shelf)
    }

    fn put(&self, name: &str, digest: &str, content: Arc<Vec<u8>>) {
        self.models.lock().unwrap().insert(name.into(), (digest.into(), content));
    }

    /// How often something of this kind was told.
    fn told(&self, word: &str) -> usize {
        self.told.lock().unwrap().iter().filter(|line| line.contains(word)).count()
    }
}

fn about(name: &str, digest: &str, bytes: usize) -> Model {
    Model {
        name: name.into(),
        chats: true,
        bytes: bytes as u64,
        sha256: Some(digest.into()),
        ..Model::default()
    }
}

impl Loader for Shelf {
    fn known(&self) -> Vec<Model> {
        let models = self.models.lock().unwrap();
        models.iter().map(|(name, (digest, bytes))| about(name, digest, bytes.len())).collect()
    }

    fn find(&self, name: &str) -> Option<Model> {
        self.known().into_iter().find(|model| model.name == name)
    }

    fn open(&self, name: &str) -> Result<Source, ChatError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let wrong = |error: &dyn std::fmt::Display| ChatError::Internal(error.to_string());
        if self.shut.load(Ordering::SeqCst) {
            return Err(wrong(&"the shelf is shut"));
        }
        let (digest, bytes) = self.models.lock().unwrap()[name].clone();
        let file = gguf::read(Bytes::from_vec(bytes.to_vec())).map_err(|error| wrong(&error))?;
        let options = EngineOptions { threads: 1, steady: true, ..EngineOptions::default() };
        Source::new(about(name, &digest, bytes.len()), file, options).map_err(|error| wrong(&error))
    }

    fn told(&self, happened: &Happened<'_>) {
        self.told.lock().unwrap().push(format!("{happened:?}"));
    }
}

fn ask(model: &str, text: &str, max_tokens: usize) -> Request {
    let mut sampling = Sampling { temperature: Some(1.0), seed: Some(7), ..Sampling::default() };
    // The tokens that end a turn and that pad: an answer is as long as it may be.
    sampling.logit_bias = [(0, f32::NEG_INFINITY), (1, f32::NEG_INFINITY)].into();
    Request { sampling, max_tokens: Some(max_tokens), ..Request::text(model, text) }
}

fn begin(runtime: &Runtime, request: Request) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    runtime.start(request, Box::new(move |event| sender.send(event).is_ok())).unwrap();
    events
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says that it is over, also where a test fails: else those who ask would ask for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Bytes that a model of this size takes before any request.
fn fixed(shelf: &Arc<Shelf>, name: &str) -> u64 {
    let runtime = Runtime::with_loader(Limits::default(), shelf.clone());
    let wanted = Wanted { model: name.into(), prompt_tokens: 1, ..Wanted::default() };
    let plan = runtime.plan(&wanted).unwrap();
    runtime.load(name, Keep::Usual).unwrap();
    let used = runtime.status().memory_used;
    assert!(used <= plan.weights + plan.scratch, "{used}: {plan:?}");
    assert!(used > plan.weights, "scratch memory counts: {used}, {plan:?}");
    used
}

fn loaded(runtime: &Runtime) -> Vec<String> {
    let models = runtime.status().models.into_iter();
    models.filter(|(_, status)| status.loaded).map(|(name, _)| name).collect()
}

#[test]
fn a_model_is_loaded_once_for_all_who_wait_and_answers_as_ever() {
    let shelf = Shelf::of(&[("a", 1), ("b", 2)]);
    let runtime = Runtime::with_loader(Limits::default(), shelf.clone());
    assert_eq!(runtime.models().len(), 2);
    assert!(loaded(&runtime).is_empty());
    let streams: Vec<_> = (0..8).map(|_| begin(&runtime, ask("a", "fn main() {", 12))).collect();
    let answers: Vec<Answer> = streams
        .into_iter()
        .map(|events| {
            let seen: Vec<Event> = events.iter().collect();
            Answer::collect(|mut sink| {
                seen.into_iter().for_each(|event| assert!(sink(event)));
                Ok(())
            })
            .unwrap()
        })
        .collect();
    assert_eq!(shelf.opened.load(Ordering::SeqCst), 1, "one flight");
    assert_eq!(loaded(&runtime), ["a"]);
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    assert!(answers[0].usage.timing.queue_s > 0.0, "loading is waiting");
    let other = runtime.ask(ask("b", "fn main() {", 12)).unwrap();
    assert_ne!(other.text, answers[0].text, "the models differ");
    let again = runtime.ask(ask("", "fn main() {", 12)).unwrap();
    assert_eq!(again.text, answers[0].text, "the first is the default");
    let status = &runtime.status().models["a"];
    assert_eq!(status.sha256.as_deref(), Some("1"));
    assert!(status.leaves_in_s.is_some_and(|s| s > 200), "{status:?}");
    assert!(runtime.count_tokens(&ask("b", "fn main() {", 1)).unwrap() > 2);
    assert!(
        matches!(runtime.ask(ask("c", "x", 1)), Err(ChatError::NoModel { known, .. }) if known == ["a", "b"])
    );
    assert!(matches!(runtime.embed("a", &["x".into()]), Err(ChatError::Invalid { .. })));
}

#[test]
fn what_cannot_be_loaded_is_told_to_all_who_wait_and_tried_again_later() {
    let shelf = Shelf::of(&[("a", 1)]);
    shelf.shut.store(true, Ordering::SeqCst);
    let runtime = Runtime::with_loader(Limits::default(), shelf.clone());
    let mut waited = 0;
    let waits: Vec<_> = (0..4)
        .map(|_| {
            let (sender, events) = mpsc::channel();
            let sink = Box::new(move |event| sender.send(event).is_ok());
            runtime.start(ask("a", "x", 4), sink).map(|()| events)
        })
        .collect();
    for began in waits {
        // Who comes when it is known already is told at once.
        let why = match began.map(|events| events.iter().last()) {
            Ok(Some(Event::Failed(ChatError::Internal(why)))) => {
                waited += 1;
                why
            }
            Err(ChatError::Internal(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(why.contains("shut"), "{why}");
    }
    assert!(waited > 0, "the first had to wait");
    let opened = shelf.opened.load(Ordering::SeqCst);
    assert!(runtime.start(ask("a", "x", 4), Box::new(|_| true)).is_err(), "not at once");
    assert!(runtime.load("a", Keep::Usual).is_err());
    assert_eq!(shelf.opened.load(Ordering::SeqCst), opened);
    assert!(runtime.status().models["a"].problem.is_some());
    shelf.shut.store(false, Ordering::SeqCst);
    until("another attempt", || runtime.ask(ask("a", "x", 4)).is_ok());
    assert_eq!(runtime.status().models["a"].problem, None);
}

#[test]
fn keys_and_values_go_first_then_idle_models_and_never_a_busy_one() {
    let shelf = Shelf::of(&[("a", 1), ("b", 2), ("c", 3)]);
    let fixed = fixed(&shelf, "a");
    // Two models and some keys and values.
    let memory = 2 * fixed + fixed / 2;
    let runtime = Runtime::with_loader(Limits { memory, ..Limits::default() }, shelf.clone());
    runtime.ask(ask("a", &"let x = 1; ".repeat(20), 8)).unwrap();
    runtime.ask(ask("b", &"let x = 1; ".repeat(20), 8)).unwrap();
    until("rest", || runtime.status().models.values().all(|status| status.running.is_empty()));
    let kept = runtime.status().models["a"].kept_bytes;
    assert!(kept > 0);

    let wanted = Wanted { model: "c".into(), prompt_tokens: 30, answer_tokens: Some(8) };
    let plan = runtime.plan(&wanted).unwrap();
    assert!(plan.fits && plan.weights > 0 && plan.kv > 0, "{plan:?}");
    let goes: Vec<_> = plan.evicted.iter().map(|one| (one.model.as_str(), one.what)).collect();
    assert_eq!(
        goes,
        [("a", Eviction::Kv), ("b", Eviction::Kv), ("a", Eviction::Model)],
        "the oldest first, and no more than is needed: {plan:?}"
    );
    assert_eq!(plan.evicted[0].bytes, kept);
    runtime.ask(ask("c", "let x = 1;", 8)).unwrap();
    assert_eq!(loaded(&runtime), ["b", "c"], "as it was planned");
    until("a is gone", || shelf.told("Left") == 1);

    // Who is busy is waited for.
    let busy = begin(&runtime, ask("b", "let y = ", 300));
    busy.recv().unwrap();
    let also = begin(&runtime, ask("c", "let y = ", 300));
    also.recv().unwrap();
    let plan = runtime.plan(&Wanted { model: "a".into(), ..wanted }).unwrap();
    assert!(plan.fits, "when they are done: {plan:?}");
    let answer = runtime.ask(ask("a", "let y = ", 4)).unwrap();
    assert_eq!(answer.reason, FinishReason::Length);
    for events in [busy, also] {
        assert!(matches!(events.iter().last(), Some(Event::Finished { .. })));
    }
}

#[test]
fn what_never_fits_is_refused_with_numbers() {
    let shelf = Shelf::of(&[("a", 1)]);
    let fixed = fixed(&shelf, "a");
    let small = Limits { memory: fixed - 1, ..Limits::default() };
    let runtime = Runtime::with_loader(small, shelf.clone());
    let wanted = Wanted { model: "a".into(), prompt_tokens: 10, answer_tokens: Some(10) };
    let plan = runtime.plan(&wanted).unwrap();
    assert!(!plan.fits && plan.evicted.is_empty() && plan.reason.is_some(), "{plan:?}");
    let error = runtime.ask(ask("a", "x", 4)).unwrap_err();
    assert!(matches!(error, ChatError::Memory { budget, .. } if budget == fixed - 1), "{error}");

    // The model, and an answer of 20 positions: what is said to fit does, and not one page more.
    let page = |positions: usize| {
        let wanted = Wanted { prompt_tokens: positions, answer_tokens: Some(0), ..wanted.clone() };
        Runtime::with_loader(Limits::default(), shelf.clone()).plan(&wanted).unwrap()
    };
    let exact = page(32);
    let memory = exact.weights + exact.scratch + exact.kv;
    let runtime = Runtime::with_loader(Limits { memory, ..Limits::default() }, shelf.clone());
    let plan = |answer_tokens| {
        let answer_tokens = Some(answer_tokens);
        runtime.plan(&Wanted { prompt_tokens: 4, answer_tokens, ..wanted.clone() }).unwrap().fits
    };
    let prompt = runtime.count_tokens(&ask("a", "let x", 1)).unwrap();
    assert!(plan(28) && !plan(29));
    assert!(runtime.ask(ask("a", "let x", 32 - prompt)).is_ok());
    let error = runtime.ask(ask("a", "let x", 33 - prompt)).unwrap_err();
    assert!(matches!(error, ChatError::Memory { .. }), "{error}");
    let long = Wanted { model: "a".into(), prompt_tokens: 500, answer_tokens: Some(100) };
    assert!(runtime.plan(&long).unwrap().reason.unwrap().contains("512"));
}

#[test]
fn a_model_leaves_when_its_time_is_over_and_not_before() {
    let shelf = Shelf::of(&[("a", 1), ("b", 2)]);
    let limits = Limits { keep: Keep::Seconds(1), ..Limits::default() };
    let runtime = Runtime::with_loader(limits, shelf.clone());
    let begun = Instant::now();
    runtime.ask(ask("a", "x", 4)).unwrap();
    runtime.load("b", Keep::Always).unwrap();
    until("a leaves", || loaded(&runtime) == ["b"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(runtime.status().models["b"].leaves_in_s, None);
    until("its memory is free", || shelf.told("Left") == 1);

    // 0 is after the request, and not while it runs.
    let now = Request { keep: Keep::Seconds(0), ..ask("b", "x", 200) };
    let events = begin(&runtime, now);
    events.recv().unwrap();
    assert_eq!(loaded(&runtime), ["b"]);
    assert!(matches!(events.iter().last(), Some(Event::Finished { .. })));
    until("b leaves", || loaded(&runtime).is_empty());
    until("nothing is used", || runtime.status().memory_used == 0);

    runtime.load("a", Keep::Always).unwrap();
    runtime.unload("a").unwrap();
    until("a leaves", || loaded(&runtime).is_empty());
    assert!(matches!(runtime.unload("x"), Err(ChatError::NoModel { .. })));
}

#[test]
fn many_ask_for_more_models_than_fit_and_all_are_answered() {
    let names = ["a", "b", "c"];
    let shelf = Shelf::of(&[("a", 1), ("b", 2), ("c", 3)]);
    let memory = fixed(&shelf, "a") * 3 / 2;
    let turn = Duration::from_millis(20);
    let runtime = Runtime::with_loader(Limits { memory, turn, ..Limits::default() }, shelf.clone());
    let alone: Vec<String> =
        names.map(|name| runtime.ask(ask(name, "fn main() {", 10)).unwrap().text).to_vec();
    let (most, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (runtime, alone, most, over) = (&runtime, &alone, &most, &over);
        let asking: Vec<_> = (0..12)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..6 {
                        let which = (thread + round / 2) % 3;
                        let app = format!("app {}", thread % 4);
                        let request = Request { app, ..ask(names[which], "fn main() {", 10) };
                        let answer = runtime.ask(request).unwrap();
                        assert_eq!(answer.text, alone[which], "model {which}");
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let used = runtime.status().memory_used as usize;
                most.fetch_max(used, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _ends = Ends(over);
        asking.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let most = most.into_inner() as u64;
    assert!(most <= memory && most > memory / 2, "{most} of {memory}");
    assert!(shelf.told("Left") > 3, "they took turns");
}

/// How often a name changes its content in a test; `ONDINE_SWITCHES` says otherwise.
fn switches() -> usize {
    std::env::var("ONDINE_SWITCHES").ok().and_then(|count| count.parse().ok()).unwrap_or(4)
}

/// Many ask all the time while the name stands for one content, then for the other.
fn switching(memory: impl Fn(u64) -> u64) {
    let contents = [Arc::new(file(1)), Arc::new(file(2))];
    let shelf = Shelf::of(&[("a", 1)]);
    let memory = memory(fixed(&shelf, "a"));
    let runtime = Runtime::with_loader(Limits { memory, ..Limits::default() }, shelf.clone());
    let alone: Vec<String> = [1, 2]
        .map(|variant| {
            let runtime = Runtime::with_loader(Limits::default(), Shelf::of(&[("a", variant)]));
            runtime.ask(ask("a", "fn main() {", 24)).unwrap().text
        })
        .to_vec();
    assert_ne!(alone[0], alone[1]);
    let (over, answered) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    std::thread::scope(|scope| {
        let (runtime, alone, over, answered) = (&runtime, &alone, &over, &answered);
        for thread in 0..8 {
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let app = format!("app {}", thread % 2);
                    let answer =
                        runtime.ask(Request { app, ..ask("a", "fn main() {", 24) }).unwrap();
                    let which = alone.iter().position(|text| *text == answer.text);
                    let which = which.unwrap_or_else(|| panic!("of neither: {:?}", answer.text));
                    answered[which].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _ends = Ends(over);
        until("the first answers", || answered[0].load(Ordering::SeqCst) > 20);
        for flip in 0..switches() {
            let which = (flip + 1) % 2;
            let before = answered[which].load(Ordering::SeqCst);
            shelf.put("a", &(which + 1).to_string(), contents[which].clone());
            until("the other one answers", || answered[which].load(Ordering::SeqCst) > before + 20);
            until("one is in memory", || shelf.told("Left") == flip + 1);
            assert!(runtime.status().memory_used <= memory);
        }
    });
    let sha256 = runtime.status().models["a"].sha256.clone();
    assert_eq!(sha256, Some((1 + switches() % 2).to_string()));
    assert_eq!(shelf.told("Refused"), 0);
    eprintln!("{} switches, none of {answered:?} requests failed or was mixed", switches());
}

#[test]
fn a_new_version_takes_over_beside_the_old_one_and_nobody_notices() {
    switching(|fixed| fixed * 5 / 2);
}

#[test]
fn a_new_version_takes_over_where_only_one_fits() {
    switching(|fixed| fixed * 3 / 2);
}

#[test]
fn a_version_that_is_no_good_is_refused_and_the_old_one_goes_on() {
    for factor in [5, 3] {
        let shelf = Shelf::of(&[("a", 1)]);
        let memory = fixed(&shelf, "a") * factor / 2;
        let runtime = Runtime::with_loader(Limits { memory, ..Limits::default() }, shelf.clone());
        let good = runtime.ask(ask("a", "fn main() {", 8)).unwrap().text;
        for (digest, content) in [("bad", broken()), ("worse", b"GGUF".to_vec())] {
            let refused = shelf.told("Refused");
            shelf.put("a", digest, Arc::new(content));
            let begun = Instant::now();
            while shelf.told("Refused") == refused {
                assert_eq!(runtime.ask(ask("a", "fn main() {", 8)).unwrap().text, good);
                assert!(begun.elapsed() < Duration::from_secs(20), "it is not refused");
            }
            assert_eq!(runtime.ask(ask("a", "fn main() {", 8)).unwrap().text, good);
            let status = &runtime.status().models["a"];
            assert_eq!(status.sha256.as_deref(), Some("1"), "{factor}");
            assert!(status.problem.is_some(), "{status:?}");
        }
        // What it stood for before is no problem any more.
        shelf.put("a", "1", Arc::new(file(1)));
        until("no problem", || runtime.status().models["a"].problem.is_none());
        assert_eq!(runtime.ask(ask("a", "fn main() {", 8)).unwrap().text, good);
    }
}

#[test]
fn others_answer_conversations_and_share_the_rest() {
    let shelf = Shelf::of(&[("a", 1)]);
    let mut runtime = Runtime::with_loader(Limits::default(), shelf.clone());
    let script = Arc::new(Script::new(["Good ", "morning."]));
    let other =
        |name: &str| Model { name: name.into(), chats: true, bytes: 10, ..Model::default() };
    runtime.add_chat(other("script"), 10, script.clone()).unwrap();
    runtime.add_chat(other("a"), 10, script.clone()).unwrap();
    for name in ["script", "a"] {
        let answer = runtime.ask(Request::new(name, [Message::user("good day")])).unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.prompt_tokens), ("Good morning.", 2));
    }
    assert!(loaded(&runtime).contains(&"script".to_owned()));
    // A text to go on from is the model's.
    assert_ne!(runtime.ask(ask("a", "good day", 8)).unwrap().text, "Good morning.");
    assert_eq!(runtime.ask(ask("script", "good day", 8)).unwrap().text, "Good morning.");
    until("both are counted", || runtime.status().models["script"].tokens == 2 * (2 + 2));
    script.refuse_next(ChatError::Unsupported("no".into()));
    let refused = runtime.ask(Request::new("script", [Message::user("x")]));
    assert_eq!(refused, Err(ChatError::Unsupported("no".into())));
    let names: Vec<String> = runtime.models().into_iter().map(|model| model.name).collect();
    assert_eq!(names, ["a", "script"]);
    runtime.finish();
    let late = runtime.ask(Request::new("script", [Message::user("x")]));
    assert_eq!(late, Err(ChatError::ShuttingDown));
}
