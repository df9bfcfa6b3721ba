//! Keys and values that went to the disk: answers are as if they had stayed, nobody else gets them, and
//! what is damaged is never used. On the embedded model, with real files.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ondine_chat::{Answer, Chat, Keeper, Model, Request, Sampling};
use ondine_engine::{Engine, EngineOptions};
use ondine_format::gguf;
use ondine_runtime::{Fingerprint, Limits, Runtime};
use ondine_spill::{Counts, Folder, common};
use ondine_tensor::Bytes;

/// A folder that goes with the test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Temp {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Temp(std::env::temp_dir().join(format!("ondine-kept-{}-{number}", std::process::id())))
    }

    fn open(&self) -> Arc<Folder> {
        let limits = ondine_spill::Limits { keep_free: 0, ..ondine_spill::Limits::default() };
        Arc::new(Folder::open(&self.0, limits).unwrap())
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn engine() -> Arc<Engine> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf");
    let file = gguf::read(Bytes::map(&File::open(path).unwrap()).unwrap()).unwrap();
    let options = EngineOptions { threads: 2, steady: true, ..EngineOptions::default() };
    Engine::load(&file, options).unwrap()
}

fn known() -> Fingerprint {
    Fingerprint::of_hex(&"ab".repeat(32))
}

fn start(folder: Option<&Arc<Folder>>, memory: u64, fingerprint: Fingerprint) -> Runtime {
    let mut runtime = Runtime::new(Limits { memory, ..Limits::default() });
    if let Some(folder) = folder {
        runtime.spill_to(Arc::clone(folder));
    }
    let about = Model { name: "small".into(), ..Model::default() };
    runtime.add_known(about, engine(), fingerprint).unwrap();
    runtime
}

/// A turn of an app's session: greedy, with every token's probability, so that bits can be compared.
fn turn(app: &str, session: Option<&str>, text: &str) -> Request {
    let mut sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    // The token that ends a turn, and the one that pads: every answer is as long.
    sampling.logit_bias = [(0, f32::NEG_INFINITY), (1, f32::NEG_INFINITY)].into();
    Request {
        app: app.into(),
        session: session.map(str::to_owned),
        max_tokens: Some(8),
        logprobs: Some(3),
        sampling,
        ..Request::text("", text)
    }
}

/// Text of a conversation so far: different ones of different sessions, each beginning with the one
/// before.
fn text(session: usize, turns: usize) -> String {
    (0..=turns)
        .map(|i| format!("let row_{session}_{i} = table.get({i}).unwrap_or(&{session}); "))
        .collect()
}

type Said = (String, Vec<(Vec<u8>, u32)>);

/// What was said, with the bits of its probabilities.
fn said(answer: &Answer) -> Said {
    let logprobs = answer.logprobs.iter();
    let bits = logprobs.map(|token| (token.bytes.clone(), token.logprob.to_bits())).collect();
    (answer.text.clone(), bits)
}

/// What a runtime that keeps nothing says.
fn judge(requests: &[Request]) -> Vec<Said> {
    let ask = |request: &Request| {
        let answer = start(None, u64::MAX, known()).ask(request.clone()).unwrap();
        assert_eq!(answer.usage.cached_tokens, 0);
        said(&answer)
    };
    requests.iter().map(ask).collect()
}

#[test]
fn a_session_goes_on_after_a_restart_as_if_there_had_been_none() {
    let temp = Temp::new();
    let requests: Vec<Request> = (0..4).map(|i| turn("a", Some("s"), &text(0, i * 2))).collect();
    let wanted = judge(&requests);
    let mut known_before = 0;
    for (request, wanted) in requests.iter().zip(&wanted) {
        let mut runtime = start(Some(&temp.open()), u64::MAX, known());
        let answer = runtime.ask(request.clone()).unwrap();
        assert_eq!(said(&answer), *wanted);
        assert_eq!(answer.usage.cached_tokens, known_before, "{:?}", answer.usage);
        runtime.finish();
        assert_eq!(temp.files().len(), 1, "one session, one file");
        // What was read, but not what was said then: the next prompt goes on otherwise.
        let next = requests.iter().find(|r| text_of(r).len() > text_of(request).len());
        known_before = next.map_or(0, |next| beginning(request, next));
    }
}

fn text_of(request: &Request) -> &str {
    match &request.prompt {
        ondine_chat::Prompt::Text(text) => text,
        ondine_chat::Prompt::Messages(_) => unreachable!("these tests send texts"),
    }
}

/// Tokens that two prompts begin with.
fn beginning(a: &Request, b: &Request) -> usize {
    let engine = engine();
    let [a, b] = [a, b].map(|request| engine.encode_text(text_of(request)).unwrap());
    common(&a, &b)
}

#[test]
fn under_a_cap_sessions_go_to_the_disk_and_come_back_the_same() {
    let temp = Temp::new();
    let folder = temp.open();
    let shape = engine().shape().cache();
    // Room for two conversations at their longest, of six.
    let rounds = 4;
    let longest = engine().encode_text(&text(5, rounds * 2)).unwrap().len() + 8;
    let fixed = start(None, u64::MAX, known()).status().memory_used;
    let memory = fixed + 2 * shape.bytes_for(longest).unwrap() as u64;
    let requests: Vec<Request> = (0..rounds)
        .flat_map(|round| (0..6).map(move |i| (round, i)))
        .map(|(round, i)| turn(["a", "b"][i % 2], Some(&format!("s{i}")), &text(i, round * 2)))
        .collect();
    let wanted = judge(&requests);
    let runtime = start(Some(&folder), memory, known());
    let mut cached = 0;
    for (request, wanted) in requests.iter().zip(&wanted) {
        let answer = runtime.ask(request.clone()).unwrap();
        assert_eq!(said(&answer), *wanted);
        cached += answer.usage.cached_tokens;
        let used = runtime.status().memory_used;
        assert!(used <= memory, "{used} of {memory}");
    }
    let counts = folder.counts();
    assert!(counts.written >= 6 && counts.restored >= 6 && counts.damaged == 0, "{counts:?}");
    assert!(cached > 0);
    drop(runtime);
    assert_eq!(folder.counts().files, 6, "a file a session");
}

#[test]
fn what_is_damaged_is_computed_again_and_removed() {
    let temp = Temp::new();
    let (before, after) = (turn("a", Some("s"), &text(1, 4)), turn("a", Some("s"), &text(1, 5)));
    let wanted = judge(std::slice::from_ref(&after));
    let keep = || {
        start(Some(&temp.open()), u64::MAX, known()).ask(before.clone()).unwrap();
        let [path] = &temp.files()[..] else { panic!("one file") };
        path.clone()
    };
    let length = fs::metadata(keep()).unwrap().len();
    let mut places: Vec<u64> = (0..200).collect();
    places.extend((200..length).step_by(length as usize / 20));
    for (i, place) in places.into_iter().enumerate().filter(|(i, _)| i % 11 == 0) {
        let path = keep();
        let mut content = fs::read(&path).unwrap();
        // Noticed when the folder is opened, or when it is read.
        let early = i % 2 == 0;
        let folder = (!early).then(|| temp.open());
        content[place as usize] ^= 0x10;
        fs::write(&path, &content).unwrap();
        let folder = folder.unwrap_or_else(|| temp.open());
        let runtime = start(Some(&folder), u64::MAX, known());
        let answer = runtime.ask(after.clone()).unwrap();
        assert_eq!(said(&answer), wanted[0], "byte {place}");
        // A page that is not needed is not read, and its damage not seen.
        let counts = folder.counts();
        assert_eq!(counts.damaged, 1, "byte {place}: {counts:?}");
        assert_eq!(answer.usage.cached_tokens, 0, "byte {place}");
        drop(runtime);
        assert!(!path.exists() || fs::read(&path).unwrap() != content);
        fs::remove_dir_all(&temp.0).unwrap();
    }
}

#[test]
fn nobody_else_gets_it() {
    let temp = Temp::new();
    let words = text(2, 5);
    start(Some(&temp.open()), u64::MAX, known()).ask(turn("a", Some("s"), &words)).unwrap();
    let cached = |app: &str, session: Option<&str>, fingerprint: Fingerprint| {
        let runtime = start(Some(&temp.open()), u64::MAX, fingerprint);
        runtime.ask(turn(app, session, &words)).unwrap().usage.cached_tokens
    };
    assert_eq!(cached("b", None, known()), 0, "another app");
    assert_eq!(cached("b", Some("s"), known()), 0, "another app's session of the same name");
    let other = Fingerprint::of_hex(&"ac".repeat(32));
    assert_eq!(cached("a", None, other), 0, "other weights");
    assert_eq!(cached("a", None, Fingerprint::default()), 0, "weights that nobody knows");
    assert!(cached("a", None, known()) > 0, "the app itself, in another conversation");
}

#[test]
fn what_no_conversation_keeps_leaves_nothing_on_the_disk() {
    let temp = Temp::new();
    let folder = temp.open();
    let mut runtime = start(Some(&folder), u64::MAX, known());
    runtime.ask(turn("a", None, &text(3, 5))).unwrap();
    runtime.finish();
    let mut unknown = start(Some(&folder), u64::MAX, Fingerprint::default());
    unknown.ask(turn("a", Some("s"), &text(3, 5))).unwrap();
    unknown.finish();
    assert_eq!(folder.counts(), Counts::default());
    assert!(temp.files().is_empty());
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_moment_of_rest_is_enough_to_survive_a_kill() {
    let temp = Temp::new();
    let folder = temp.open();
    let runtime = start(Some(&folder), u64::MAX, known());
    for i in 0..3 {
        runtime.ask(turn("a", Some(&format!("s{i}")), &text(i, 5))).unwrap();
    }
    eventually("three sessions are written", || folder.counts().written == 3);
    // As if it had ended here: another process sees what is there.
    let next = start(Some(&temp.open()), u64::MAX, known());
    let answer = next.ask(turn("a", Some("s1"), &text(1, 6))).unwrap();
    assert!(answer.usage.cached_tokens > 50, "{:?}", answer.usage);
    drop(runtime);
    assert_eq!(folder.counts().written, 3, "what is there is not written again");
}

#[test]
fn what_is_forgotten_is_gone_from_memory_and_disk() {
    let temp = Temp::new();
    let folder = temp.open();
    let mut runtime = start(Some(&folder), u64::MAX, known());
    for (app, id) in [("a", "s"), ("a", "t"), ("b", "s")] {
        let words = text(id.len() + usize::from(app == "b") + usize::from(id == "t"), 5);
        runtime.ask(turn(app, Some(id), &words)).unwrap();
    }
    let used = runtime.status().memory_used;
    eventually("three sessions are written", || folder.counts().written == 3);
    runtime.forget("a", "s");
    eventually("a third of the memory is free", || runtime.status().memory_used < used);
    assert_eq!(folder.counts().files, 2);
    runtime.finish();
    assert_eq!(folder.counts().files, 2, "and it does not come back at the end");
}
