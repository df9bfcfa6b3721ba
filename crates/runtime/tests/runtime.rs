//! What a runtime promises to apps that do not know of each other, on the embedded model.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ondine_chat::{
    Answer, Chat, ChatError, Embed, Event, FinishReason, Format, Keeper, Message, Model, Overflow,
    Request, Sampling, Tool, ToolChoice,
};
use ondine_engine::{Engine, EngineOptions};
use ondine_format::{ModelFile, Value, gguf, write};
use ondine_model::{BATCH, Scratch};
use ondine_runtime::{Limits, Runtime};
use ondine_tensor::Bytes;
use serde_json::json;

fn file() -> ModelFile {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf");
    gguf::read(Bytes::map(&File::open(path).unwrap()).unwrap()).unwrap()
}

/// The embedded model with a chat template, which it does not have of its own.
fn with_template(template: &str) -> ModelFile {
    let mut file = file();
    file.metadata.set("tokenizer.chat_template", Value::String(template.to_owned())).unwrap();
    let mut bytes = Vec::new();
    write::rewrite(&file, &mut bytes).unwrap();
    gguf::read(Bytes::from_vec(bytes)).unwrap()
}

fn about(name: &str, bytes: u64) -> Model {
    Model { name: name.into(), bytes, ..Model::default() }
}

fn runtime_of(file: &ModelFile, limits: Limits) -> Runtime {
    let options = EngineOptions { threads: 2, steady: true, ..EngineOptions::default() };
    let mut runtime = Runtime::new(limits);
    runtime.add(about("small", 0), Engine::load(file, options).unwrap()).unwrap();
    runtime
}

fn runtime(limits: Limits) -> Runtime {
    runtime_of(&file(), limits)
}

fn ask(text: &str, seed: u64, max_tokens: usize) -> Request {
    let sampling = Sampling { temperature: Some(1.0), seed: Some(seed), ..Sampling::default() };
    Request { sampling, max_tokens: Some(max_tokens), ..Request::text("", text) }
}

/// A request whose answer does not end before its bound.
fn endless(text: &str, seed: u64, max_tokens: usize) -> Request {
    let mut request = ask(text, seed, max_tokens);
    // The token that ends a turn, and the one that pads.
    request.sampling.logit_bias = [(0, f32::NEG_INFINITY), (1, f32::NEG_INFINITY)].into();
    request
}

/// Begins a request and gives its events.
fn begin(runtime: &Runtime, request: Request) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    runtime.start(request, Box::new(move |event| sender.send(event).is_ok())).unwrap();
    events
}

fn collect(events: Receiver<Event>) -> Answer {
    Answer::collect(|mut sink| {
        for event in events {
            sink(event);
        }
        Ok(())
    })
    .unwrap()
}

#[test]
fn an_answer_is_the_same_whoever_else_asks() {
    let requests: Vec<Request> = (0..24)
        .map(|i| {
            let text = format!("fn number_{i}(x: usize) -> usize {{ ").repeat(1 + i as usize % 7);
            let app = format!("app {}", i % 3);
            Request { app, logprobs: Some(2), ..ask(&text, i, 5 + i as usize) }
        })
        .collect();
    let alone: Vec<Answer> = (requests.iter())
        .map(|request| runtime(Limits::default()).ask(request.clone()).unwrap())
        .collect();
    let busy = runtime(Limits::default());
    let streams: Vec<_> = requests.iter().map(|r| begin(&busy, r.clone())).collect();
    for (stream, alone) in streams.into_iter().zip(alone) {
        let answer = collect(stream);
        assert_eq!((answer.text, answer.logprobs), (alone.text, alone.logprobs));
        assert_eq!(answer.reason, alone.reason);
    }
}

#[test]
fn a_prefix_is_shared_inside_an_app_and_never_between_apps() {
    let runtime = runtime(Limits::default());
    let long = "let total = values.iter().map(|v| v.len()).sum::<usize>(); ".repeat(4);
    let of = |app: &str, text: String| Request { app: app.into(), ..ask(&text, 1, 4) };
    let first = runtime.ask(of("a", long.clone())).unwrap();
    assert_eq!(first.usage.cached_tokens, 0);
    let again = runtime.ask(of("a", format!("{long}return total"))).unwrap();
    let known = again.usage.cached_tokens;
    assert!(known + 8 > first.usage.prompt_tokens, "{known} of {}", first.usage.prompt_tokens);
    let other = runtime.ask(of("b", format!("{long}return total"))).unwrap();
    assert_eq!(other.usage.cached_tokens, 0, "another app's");
    assert_eq!(other.text, again.text, "known or not, the answer is the same");
}

#[test]
fn who_goes_away_frees_a_place_and_only_his() {
    let runtime = runtime(Limits { running: 2, ..Limits::default() });
    let gone = begin(&runtime, endless("one two three", 1, 400));
    let stays = begin(&runtime, ask("one two three", 2, 60));
    assert!(matches!(gone.recv().unwrap(), Event::Started { .. }));
    drop(gone);
    let begun = Instant::now();
    let after = collect(begin(&runtime, ask("four", 3, 1)));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(after.usage.completion_tokens, 1);
    let stayed = collect(stays);
    assert!(stayed.usage.completion_tokens > 0);
    assert_eq!(runtime.ask(ask("one two three", 2, 60)).unwrap().text, stayed.text);
}

#[test]
fn who_goes_away_while_waiting_leaves_the_queue() {
    let runtime = runtime(Limits { running: 1, ..Limits::default() });
    let runs = begin(&runtime, endless("one two three", 1, 480));
    runs.recv().unwrap();
    let waits = [(); 3].map(|()| begin(&runtime, endless("one two three", 2, 480)));
    let [gone, _stays, also_gone] = waits;
    drop((gone, also_gone));
    let begun = Instant::now();
    while runtime.status().models["small"].waiting.get("") != Some(&1) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", runtime.status());
        std::thread::sleep(Duration::from_millis(5));
    }
    // The one who runs was not in the way, and was not touched.
    assert!(runs.iter().take(3).all(|event| !matches!(event, Event::Failed(_))));
}

#[test]
fn a_full_queue_says_which_limit_and_when_to_come_back() {
    let limits = Limits { running: 1, waiting_of_app: 2, waiting: 3, ..Limits::default() };
    let runtime = runtime(limits);
    let of = |app: &str| Request { app: app.into(), ..endless("one two", 1, 480) };
    let mut streams = vec![begin(&runtime, of("a"))];
    streams[0].recv().unwrap();
    streams.extend([begin(&runtime, of("a")), begin(&runtime, of("a"))]);
    let refused = |app: &str| runtime.start(of(app), Box::new(|_| true)).unwrap_err();
    match refused("a") {
        ChatError::Busy { limit, value: 2, retry_after_s: 1.. } => {
            assert!(limit.contains("\"a\""), "{limit}");
        }
        other => panic!("{other:?}"),
    }
    streams.push(begin(&runtime, of("b")));
    assert!(matches!(refused("c"), ChatError::Busy { value: 3, .. }));
    assert_eq!(runtime.status().models["small"].waiting["a"], 2);
    drop(streams);
}

#[test]
fn bytes_are_promised_before_they_are_used_and_given_back() {
    let file = file();
    let options = EngineOptions { steady: true, ..EngineOptions::default() };
    let engine = Engine::load(&file, options).unwrap();
    let scratch = Scratch::bytes_for(engine.shape(), BATCH).unwrap() as u64;
    // Room for one such answer beside the weights, and not for two.
    let memory = 1000 + scratch + 600_000;
    let mut tight = Runtime::new(Limits { memory, ..Limits::default() });
    let error = tight.add(about("vast", memory + 1), Arc::clone(&engine)).unwrap_err();
    assert!(matches!(error, ChatError::Memory { .. }), "{error}");
    tight.add(about("small", 1000), engine).unwrap();
    let too_long = tight.start(ask("one", 1, 500), Box::new(|_| true)).unwrap_err();
    assert!(matches!(too_long, ChatError::Memory { budget, .. } if budget == memory), "{too_long}");
    let mut most = 0;
    let streams: Vec<_> = (0..6)
        .map(|i| begin(&tight, Request { app: i.to_string(), ..ask("one two three four", i, 80) }))
        .collect();
    for stream in streams {
        for event in stream {
            assert!(!matches!(event, Event::Failed(_)), "{event:?}");
            most = tight.status().memory_used.max(most);
        }
    }
    assert!(most <= memory && most > 1000, "{most} of {memory}");
}

#[test]
fn what_does_not_fit_is_told_with_numbers_or_dropped_as_asked() {
    let runtime = runtime_of(&with_template(CHATML), Limits::default());
    let turns: Vec<Message> = (0..60)
        .flat_map(|i| [Message::user(format!("question number {i}")), Message::assistant("yes")])
        .chain([Message::user("and now?")])
        .collect();
    let request = |overflow| Request {
        overflow,
        max_tokens: Some(32),
        ..Request::new("small", [vec![Message::system("be brief")], turns.clone()].concat())
    };
    let whole = runtime.count_tokens(&request(Overflow::Error)).unwrap();
    let error = runtime.start(request(Overflow::Error), Box::new(|_| true)).unwrap_err();
    assert_eq!(error, ChatError::Context { prompt_tokens: whole, wanted: 32, context: 512 });
    let answer = runtime.ask(request(Overflow::Anchored)).unwrap();
    let usage = answer.usage;
    assert!(usage.prompt_tokens <= 512 - 32, "{usage:?}");
    assert_eq!(usage.dropped_tokens, whole - usage.prompt_tokens);
    // What it read can be seen: without what was dropped, marks spelt.
    let read = runtime.rendered(&request(Overflow::Anchored)).unwrap();
    assert_eq!(read.tokens.len(), usage.prompt_tokens);
    assert!(read.text.contains("be brief") && read.text.contains("and now?"), "{read:?}");
    assert!(!read.text.contains("question number 0"), "{read:?}");
    assert!(runtime.rendered(&request(Overflow::Error)).is_err());
    // One exchange more would not have fitted.
    let without_one = Request::new("small", [&[Message::system("be brief")], &turns[2..]].concat());
    let exchange = whole - runtime.count_tokens(&without_one).unwrap();
    assert!(usage.prompt_tokens + exchange + 4 > 512 - 32, "{usage:?}, {exchange} an exchange");
    // Where the last turn alone is too long, that is an error with its numbers.
    let long = Request {
        overflow: Overflow::Anchored,
        ..Request::new("small", [&turns[..2], &[Message::user("word ".repeat(900))]].concat())
    };
    let error = runtime.start(long, Box::new(|_| true)).unwrap_err();
    assert!(matches!(error, ChatError::Context { prompt_tokens: 800.., .. }), "{error}");
    let overflow = Overflow::Stop;
    let short = Request { max_tokens: Some(1000), overflow, ..ask("one two", 1, 1) };
    let answer = runtime.ask(short).unwrap();
    assert!(answer.usage.prompt_tokens + answer.usage.completion_tokens <= 512);
}

const CHATML: &str = "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}\
    {% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ";

fn tool(name: &str) -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": { "city": { "enum": ["Oslo", "Rome"] } },
        "required": ["city"],
        "additionalProperties": false,
    });
    Tool { name: name.into(), description: "The weather.".into(), parameters }
}

#[test]
fn a_call_is_always_one_that_the_schema_allows() {
    let bare = "{{ tools }} \"parameters\" {{ messages[0].content }}";
    for template in ["{{ messages[0].content }}", CHATML, bare] {
        let runtime = runtime_of(&with_template(template), Limits::default());
        let choices = [
            ToolChoice::Required,
            ToolChoice::Named("b".into()),
            ToolChoice::Auto,
            ToolChoice::None,
        ];
        for (choice, seed) in choices.iter().flat_map(|c| (0..3).map(move |seed| (c, seed))) {
            let request = Request {
                tools: vec![tool("a"), tool("b")],
                tool_choice: choice.clone(),
                prompt: Request::new("", [Message::user("weather?")]).prompt,
                ..ask("", seed, 80)
            };
            let answer = runtime.ask(request).unwrap();
            for call in &answer.calls {
                assert!(["a", "b"].contains(&call.name.as_str()), "{call:?}");
                let city = call.arguments["city"].as_str().unwrap();
                assert!(["Oslo", "Rome"].contains(&city), "{call:?}");
            }
            let called = !answer.calls.is_empty();
            assert_eq!(called, answer.reason == FinishReason::Calls);
            match choice {
                ToolChoice::None => assert!(!called),
                ToolChoice::Named(_) => assert!(answer.calls.iter().all(|call| call.name == "b")),
                _ => {}
            }
            let must = !matches!(choice, ToolChoice::Auto | ToolChoice::None);
            assert!(called || !must || answer.reason == FinishReason::Length, "{answer:?}");
        }
    }
}

/// Schemas that programs write refer to their own parts, and a model that is unsure likes blanks.
#[test]
fn a_call_may_refer_to_its_own_parts_and_holds_no_run_of_blanks() {
    let runtime = runtime_of(&with_template(CHATML), Limits::default());
    let parameters = json!({
        "$defs": { "Place": { "type": "object", "properties": { "city": { "enum": ["Oslo"] } },
            "required": ["city"], "additionalProperties": false } },
        "type": "object",
        "properties": { "from": { "$ref": "#/$defs/Place" }, "to": { "$ref": "#/$defs/Place" } },
        "required": ["from", "to"],
        "additionalProperties": false,
    });
    let travel = Tool { parameters, ..tool("travel") };
    let request = |tools: Vec<Tool>, seed| Request {
        tools,
        tool_choice: ToolChoice::Required,
        prompt: Request::new("", [Message::user("go")]).prompt,
        ..ask("", seed, 200)
    };
    let mut ended = 0;
    for (tools, seed) in [vec![travel.clone()], vec![tool("a"), travel]].into_iter().zip([1, 2]) {
        for seed in [seed, seed + 10, seed + 20] {
            let answer = runtime.ask(request(tools.clone(), seed)).unwrap();
            // What was cut is told as words.
            let words = &answer.text;
            assert!(!words.contains(&" ".repeat(17)) && !words.contains("\n\n"), "{words:?}");
            ended += usize::from(answer.reason == FinishReason::Calls);
            for call in answer.calls.iter().filter(|call| call.name == "travel") {
                let place = json!({ "city": "Oslo" });
                assert_eq!(call.arguments, json!({ "from": place, "to": place }));
            }
        }
    }
    assert!(ended > 0, "no answer was whole");
    for bad in [
        json!({ "type": "object", "x-guidance": { "whitespace_pattern": "(.|\n)*" } }),
        json!({ "$ref": "http://elsewhere/schema.json" }),
        json!({ "$ref": "#/$defs/nowhere" }),
        json!({ "type": "object", "properties": { "a": { "pattern": "(a{9999}){9999}" } } }),
    ] {
        let tool = Tool { parameters: bad.clone(), ..tool("a") };
        let error = runtime.ask(request(vec![tool], 1)).unwrap_err();
        assert!(matches!(error, ChatError::Invalid { .. }), "{bad}: {error}");
    }
}

#[test]
fn an_object_is_what_its_schema_says_and_nonsense_is_refused() {
    let runtime = runtime(Limits::default());
    let schema = json!({
        "type": "object",
        "properties": { "n": { "enum": [1, 2] } },
        "required": ["n"],
        "additionalProperties": false,
    });
    let request = Request { format: Format::Schema(schema), ..ask("{", 3, 60) };
    let answer = runtime.ask(request).unwrap();
    let value: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert!([json!({ "n": 1 }), json!({ "n": 2 })].contains(&value), "{value}");
    let broken = Request { format: Format::Lark("start: missing".into()), ..ask("x", 1, 1) };
    let hot = Sampling { temperature: Some(-1.0), ..Sampling::default() };
    let named = ToolChoice::Named("x".into());
    for (request, part) in [
        (broken, "format"),
        (Request { sampling: hot, ..ask("x", 1, 1) }, "sampling"),
        (Request { tool_choice: named, ..ask("x", 1, 1) }, "tool_choice"),
        (ask("", 1, 1), "prompt"),
        (Request::new("", []), "prompt"),
    ] {
        match runtime.start(request, Box::new(|_| true)) {
            Err(ChatError::Invalid { part: found, .. }) => assert_eq!(found, part),
            other => panic!("{part}: {other:?}"),
        }
    }
    let unknown = runtime.ask(Request::text("large", "x")).unwrap_err();
    assert_eq!(unknown, ChatError::NoModel { name: "large".into(), known: vec!["small".into()] });
    assert!(matches!(runtime.embed("small", &[]), Err(ChatError::Invalid { .. })));
}

#[test]
fn likeliest_tokens_are_told_in_order() {
    let runtime = runtime(Limits::default());
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let request = Request { logprobs: Some(3), sampling, ..ask("fn main() { let x", 1, 6) };
    let answer = runtime.ask(request).unwrap();
    assert_eq!(answer.logprobs.len(), answer.usage.completion_tokens);
    for token in &answer.logprobs {
        assert_eq!(token.top.len(), 3);
        assert!(token.top.is_sorted_by(|a, b| a.2 >= b.2), "{token:?}");
        assert_eq!(token.top[0].1, token.bytes, "greedy takes the likeliest");
        assert!((token.top[0].2 - token.logprob).abs() < 1e-3, "{token:?}");
    }
}

#[test]
fn at_the_end_what_runs_is_answered_and_what_waits_is_told() {
    let mut runtime = runtime(Limits { running: 1, ..Limits::default() });
    let runs = begin(&runtime, endless("one two", 1, 480));
    runs.recv().unwrap();
    let waits = begin(&runtime, ask("one two", 1, 40));
    runtime.finish();
    assert!(matches!(runs.iter().last(), Some(Event::Finished { .. })));
    assert_eq!(waits.iter().last(), Some(Event::Failed(ChatError::ShuttingDown)));
    let late = runtime.start(ask("x", 1, 1), Box::new(|_| true));
    assert_eq!(late, Err(ChatError::ShuttingDown));
}
