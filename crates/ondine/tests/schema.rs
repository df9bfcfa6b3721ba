//! Typed answers and calls of tools by the worst model at hand, a story teller of 260,000 weights that has
//! never seen JSON: every one is valid. Some dozens here; `ONDINE_GENERATIONS=1000` makes so many of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ondine::app::{Bounds, Error, Outcome, ToolSpec};
use ondine::chat::{ChatError, FinishReason, ToolChoice};
use ondine::prelude::*;
use ondine::{Shape, chat};
use ondine_format::{Value, gguf, write};
use ondine_tensor::Bytes;

/// Whose weather it is.
#[derive(Clone, Debug, PartialEq, Generable)]
enum Sky {
    Clear,
    PartlyCloudy,
    #[guide(name = "雨")]
    Rain,
    #[guide(name = "snow \"and\" ice\n")]
    Snow,
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Person {
    /// First and last name.
    #[guide(length = 1..=16)]
    name: String,
    #[guide(range = 0..=120)]
    age: u8,
    nick: Option<char>,
    home: Place,
    #[guide(count = ..=2)]
    skies: Vec<Sky>,
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Place {
    #[guide(range = -90.0..=90.0)]
    at: [f32; 2],
    inhabited: bool,
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Numbers {
    small: i8,
    large: u64,
    whole: i64,
    #[guide(range = -5..0)]
    debt: i32,
    #[guide(range = 0.0..=1.0)]
    share: f64,
    any: f64,
    #[guide(range = 10..)]
    many: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Words {
    #[guide(pattern = "[一-龥]{1,4}", length = ..=4)]
    chinese: String,
    #[guide(length = 3..=20)]
    free: String,
    #[guide(pattern = "[a-z]{2}-[0-9]{3}", length = ..=6)]
    code: String,
}

/// A drawing.
#[derive(Clone, Debug, PartialEq, Generable)]
#[guide(depth = 2)]
enum Drawing {
    /// Nothing at all.
    Empty,
    Circle {
        #[guide(range = 1..=99)]
        radius: u8,
    },
    Named(Sky),
    Group {
        #[guide(count = 0..=2)]
        parts: Vec<Drawing>,
    },
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Counts(#[guide(count = ..=3, range = 0..=9)] BTreeMap<String, u8>);

/// A path beside the checkout, where it is there.
fn stories() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = root.join("stories260k.gguf");
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

fn generations() -> u64 {
    let asked = std::env::var("ONDINE_GENERATIONS").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(48)
}

/// Another way to choose tokens for each try: from the likeliest alone to nearly anything.
fn sampling(nth: u64) -> Sampling {
    let temperature = [0.0, 0.7, 1.0, 1.5, 3.0, 20.0][(nth % 6) as usize];
    Sampling { temperature: Some(temperature), seed: Some(nth), ..Sampling::default() }
}

const PROMPTS: &[&str] = &["Lily saw a dog.", "Once upon a time", "{\"", "你好 😀", "\\"];

/// Has one value made, and holds it and its text to what was promised.
fn one<T: Generable + std::fmt::Debug>(llm: &Llm, nth: u64) -> usize {
    let shape = Shape::of::<T>().unwrap();
    let most = shape.most_bytes().expect("a derived type has a bound");
    let mut talk = llm.clone().sampling(sampling(nth)).talk();
    let prompt = PROMPTS[(nth % 5) as usize];
    let value: T = talk.generate(prompt).unwrap_or_else(|error| panic!("{nth}: {error}"));
    let text = &talk.messages()[1].text;
    assert!(text.len() <= most, "{} bytes of at most {most}: {text}", text.len());
    // Whoever reads it once more reads the same.
    let again: T = shape.read(text).unwrap();
    assert_eq!(format!("{value:?}"), format!("{again:?}"), "{text}");
    text.len()
}

#[test]
fn every_typed_answer_is_valid() {
    let Some(path) = stories() else { return };
    let llm = ondine::open(path).unwrap().llm();
    type One = fn(&Llm, u64) -> usize;
    let kinds: &[(&str, One)] = &[
        ("person", one::<Person>),
        ("numbers", one::<Numbers>),
        ("words", one::<Words>),
        ("drawing", one::<Drawing>),
        ("counts", one::<Counts>),
        ("sky", one::<Sky>),
    ];
    let mut longest = BTreeMap::new();
    for nth in 0..generations() {
        let (name, one) = kinds[(nth / 6 % kinds.len() as u64) as usize];
        let bytes = one(&llm, nth);
        let longest = longest.entry(name).or_insert((0, 0));
        *longest = (longest.0 + 1, bytes.max(longest.1));
    }
    for (name, (made, bytes)) in longest {
        eprintln!("{name}: {made} of {made} valid, the longest {bytes} bytes");
    }
}

#[test]
fn snapshots_of_a_real_stream_only_grow() {
    let Some(path) = stories() else { return };
    let llm = ondine::open(path).unwrap().llm().temperature(1.0);
    for seed in 0..generations() / 8 {
        let mut stream = llm.clone().seed(seed).stream::<Person>("Lily").unwrap();
        let mut last = PersonPartial::default();
        for snapshot in stream.by_ref() {
            let now = snapshot.unwrap();
            let grew = now.name.clone().unwrap_or_default();
            assert!(grew.starts_with(&last.name.unwrap_or_default()), "{grew}");
            assert!(last.age.is_none() || last.age == now.age);
            last = now;
        }
        let whole = stream.finish().unwrap();
        assert_eq!((last.name, last.age), (Some(whole.name), Some(whole.age)));
    }
}

#[test]
fn what_cannot_fit_is_refused_with_both_numbers() {
    let Some(path) = stories() else { return };
    let llm = ondine::open(path).unwrap().llm().temperature(1.0).seed(3);
    let most = Shape::of::<Vec<String>>().unwrap().most_bytes().unwrap();
    match llm.generate::<Vec<String>>("Lily").unwrap_err() {
        Error::Chat(ChatError::Context { wanted, context, .. }) => {
            assert_eq!((wanted, context), (most + 1, 512));
        }
        other => panic!("{other}"),
    }
    // Who takes the risk gets a value, or is told that it was cut.
    match llm.may_be_cut().generate::<Vec<String>>("Lily") {
        Ok(_) | Err(Error::Cut { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Adds two numbers.
#[tool(effect = read)]
fn add(a: i16, b: i16) -> i32 {
    i32::from(a) + i32::from(b)
}

/// The weather of a city.
#[tool(effect = read, timeout = "2s")]
async fn weather(
    #[arg(length = 1..=8)] city: String,
    #[arg(default = 1, range = 1..=7)] days: u8,
) -> Result<String, String> {
    Ok(format!("rain in {city} for {days} days"))
}

/// Puts a line on the list.
#[tool(effect = write, name = "note-down")]
fn note(#[arg(length = 0..=24)] line: &str, context: &Context) -> String {
    format!("{} {line}", context.key)
}

fn performed(tools: &[std::sync::Arc<dyn Tool>], call: &ToolCall) {
    let spec = |tool: &&std::sync::Arc<dyn Tool>| -> bool { tool.spec().name == call.name };
    let tool = tools.iter().find(spec).unwrap_or_else(|| panic!("no tool {}", call.name));
    let seen = perform(tool, call, &Context::default(), Bounds::default());
    assert_eq!(seen.outcome, Outcome::Done, "{call:?}: {}", seen.text);
}

#[test]
fn every_chosen_call_is_valid() {
    let Some(path) = stories() else { return };
    let llm = ondine::open(path).unwrap().llm();
    let sets = [tools![add], tools![weather], tools![note]];
    for nth in 0..generations() {
        // Three tools in words are most of the positions that this model has.
        let tools = &sets[(nth / 6 % 3) as usize];
        let prompt = ["Call.", "1?", "{"][(nth % 3) as usize];
        let call = llm.clone().sampling(sampling(nth)).choose(prompt, tools);
        performed(tools, &call.unwrap_or_else(|error| panic!("{nth}: {error}")));
    }
    eprintln!("{0} of {0} calls valid", generations());
}

/// The model with a chat template, which it does not have of its own.
fn with_template(path: &Path, to: &Path) {
    let file = gguf::read(Bytes::map(&std::fs::File::open(path).unwrap()).unwrap());
    let mut file = file.unwrap();
    let template =
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if tools %}<tool_call>{% endif %}";
    file.metadata.set("tokenizer.chat_template", Value::String(template.into())).unwrap();
    let mut bytes = Vec::new();
    write::rewrite(&file, &mut bytes).unwrap();
    std::fs::write(to, bytes).unwrap();
}

#[test]
fn every_call_through_a_template_is_valid() {
    let Some(path) = stories() else { return };
    let to = std::env::temp_dir().join(format!("ondine-schema-{}.gguf", std::process::id()));
    with_template(&path, &to);
    let device = ondine::open(&to).unwrap();
    std::fs::remove_file(&to).unwrap();
    let (llm, tools) = (device.llm(), tools![add, weather, note]);
    let specs: Vec<chat::Tool> = tools.iter().map(|tool| ToolSpec::tool(tool.spec())).collect();
    let (mut calls, mut cut) = (0, 0);
    for nth in 0..generations() {
        let request = Request {
            tools: specs.clone(),
            tool_choice: ToolChoice::Required,
            sampling: sampling(nth),
            ..Request::new("", [Message::user(PROMPTS[(nth % 5) as usize])])
        };
        let answer = llm.answer(request).unwrap();
        match answer.reason {
            FinishReason::Calls => assert!(!answer.calls.is_empty()),
            // Its positions ended inside of its first call: no call is told, and that it was cut is.
            reason => assert_eq!((reason, answer.calls.len()), (FinishReason::Length, 0)),
        }
        cut += usize::from(answer.reason == FinishReason::Length);
        calls += answer.calls.len();
        answer.calls.iter().for_each(|call| performed(&tools, call));
    }
    eprintln!("{calls} of {calls} calls valid in {} answers, {cut} answers cut", generations());
    assert!(calls > 0);
}
