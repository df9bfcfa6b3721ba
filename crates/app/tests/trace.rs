//! A file of spans: what is in it, what is not, and what a reader makes of files that are not honest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ondine_app::chat::{Chat, ChatError, Message, Model, Rendered, Request, Sink, ToolCall};
use ondine_app::trace::{self, TraceFile};
use ondine_app::{
    Bounds, Context, Effect, Llm, Reply, ScriptedModel, Tool, ToolError, ToolSpec, perform,
};
use serde_json::{Value, json};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ondine-trace-{name}-{}", std::process::id()))
}

/// A model that shows how it reads.
struct Open(ScriptedModel);

impl Chat for Open {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        self.0.start(request, sink)
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.0.count_tokens(request)
    }

    fn rendered(&self, _: &Request) -> Result<Rendered, ChatError> {
        Ok(Rendered { text: "<|user|>the secret<|assistant|>".into(), tokens: vec![7, 8, 9] })
    }

    fn models(&self) -> Vec<Model> {
        self.0.models()
    }
}

struct Look(ToolSpec);

impl Tool for Look {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        match arguments["fail"].as_bool() {
            Some(true) => Err(ToolError::Failed("no such thing".into())),
            _ => Ok("the result".into()),
        }
    }
}

fn run(file: &TraceFile) {
    let llm = Llm::new(Arc::new(Open(ScriptedModel::new([Reply::text("a private answer")]))));
    let tool: Arc<dyn Tool> = Arc::new(Look(ToolSpec {
        name: "look".into(),
        description: String::new(),
        parameters: json!({"type": "object"}),
        effect: Effect::Read,
        timeout: Duration::from_secs(5),
    }));
    file.listen(|| {
        let agent = trace::agent("clerk", "1");
        agent.in_scope(|| {
            llm.answer(Request {
                stop: vec!["END".into()],
                ..Request::new("m", [Message::user("the secret")])
            })
            .unwrap();
            for fail in [false, true] {
                let arguments = json!({ "fail": fail });
                let call = ToolCall { id: "c1".into(), name: "look".into(), arguments };
                perform(&tool, &call, &Context::default(), Bounds::default());
            }
            tracing::info!(attempts = 2, "gave up");
            // The script is at its end.
            assert!(llm.ask("again").is_err());
        });
    });
    file.flushed().unwrap();
}

#[test]
fn steps_are_spans_and_words_stay_out_unless_asked_for() {
    let path = path("quiet");
    run(&TraceFile::create(&path).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in ["the secret", "a private answer", "the result"] {
        assert!(!text.contains(secret), "{secret} is in the file");
    }
    let spans = trace::read(&path).unwrap().spans;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    // In the order in which they ended; the agent's is last.
    assert_eq!(
        names,
        ["chat m", "execute_tool look", "execute_tool look", "chat", "invoke_agent clerk"]
    );
    let agent = &spans[4];
    assert!(agent.parent.is_empty());
    for span in &spans[..4] {
        assert_eq!((&span.parent, &span.trace), (&agent.id, &agent.trace), "{}", span.name);
        assert!(span.start_ns >= agent.start_ns && span.end_ns <= agent.end_ns);
    }
    let chat = &spans[0];
    assert_eq!(chat.text("gen_ai.operation.name"), Some("chat"));
    assert_eq!(chat.text("gen_ai.provider.name"), Some("ondine"));
    assert_eq!(chat.text("gen_ai.request.model"), Some("m"));
    assert_eq!(chat.number("gen_ai.usage.input_tokens"), Some(2.0));
    assert_eq!(chat.number("gen_ai.usage.output_tokens"), Some(3.0));
    assert_eq!(chat.attributes["gen_ai.response.finish_reasons"], json!(["stop"]));
    assert_eq!(chat.attributes["gen_ai.request.stop_sequences"], json!(["END"]));
    assert_eq!(spans[1].text("error.type"), None);
    assert_eq!(spans[2].text("error.type"), Some("failed"));
    assert_eq!(spans[3].text("error.type"), Some("_OTHER"));
    assert_eq!(agent.events.len(), 1);
    assert_eq!(agent.events[0].1, "gave up attempts=2");
    // As the protocol has it: ids of 16 and 8 bytes, times as text, an error's status.
    let line: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert!(span["startTimeUnixNano"].is_string());
    assert_eq!(span["status"]["code"], 2);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_exact_prompt_and_its_tokens_are_there_on_demand() {
    let path = path("words");
    run(&TraceFile::create(&path).unwrap().with_words());
    let spans = trace::read(&path).unwrap().spans;
    assert_eq!(spans[0].text("ondine.prompt.text"), Some("<|user|>the secret<|assistant|>"));
    assert_eq!(spans[0].text("ondine.prompt.tokens"), Some("[7, 8, 9]"));
    let short = trace::tree(&spans, false);
    assert!(short.starts_with("invoke_agent clerk  "), "{short}");
    assert!(short.contains("\n  chat m  ") && short.contains("2 tokens in, 3 out"), "{short}");
    assert!(short.contains("ERROR failed") && !short.contains("secret"), "{short}");
    let full = trace::tree(&spans, true);
    for said in [
        "user: the secret",
        "[7, 8, 9]",
        "assistant: a private answer",
        "{\"fail\":false}",
        "the result",
    ] {
        assert!(full.contains(said), "{said} is not in\n{full}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn two_listeners_on_two_threads_do_not_mix() {
    let paths = [path("one"), path("two")];
    std::thread::scope(|scope| {
        for path in &paths {
            scope.spawn(move || {
                let file = TraceFile::create(path).unwrap();
                for _ in 0..200 {
                    file.listen(|| {
                        let outer = trace::workflow("outer");
                        outer.in_scope(|| drop(trace::agent("inner", "")));
                    });
                }
                file.flushed().unwrap();
            });
        }
    });
    for path in &paths {
        let spans = trace::read(path).unwrap().spans;
        assert_eq!(spans.len(), 400);
        for pair in spans.chunks(2) {
            assert_eq!(pair[0].parent, pair[1].id);
        }
        let ids: std::collections::HashSet<&str> = spans.iter().map(|span| &*span.id).collect();
        assert_eq!(ids.len(), 400);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_was_cut_is_read_and_a_wrong_one_is_refused_with_its_line() {
    let path = path("cut");
    run(&TraceFile::create(&path).unwrap());
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let read = trace::read(&path).unwrap();
        // A line without its end that is whole all the same counts.
        assert!(read.spans.len() == lines || cut + 1 == whole.len(), "cut at {cut}");
    }
    let rows: &[(&str, &str)] = &[
        ("no json\n", "line 1: no JSON"),
        ("{}\n", "no resourceSpans"),
        ("\n\n{\"resourceSpans\":[{}]}\n", "line 3: no scopeSpans"),
        ("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}\n", "without a spanId"),
        (
            "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"spanId\":\"a\"}]}]}]}\n",
            "without a time",
        ),
    ];
    for (text, expected) in rows {
        std::fs::write(&path, text).unwrap();
        let error = trace::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn spans_of_another_exporter_are_read_and_circles_end() {
    let path = path("other");
    let span = |id: &str, parent: &str| {
        json!({
            "traceId": "t", "spanId": id, "parentSpanId": parent, "name": id,
            "startTimeUnixNano": 1_000_u64, "endTimeUnixNano": "2000",
            "attributes": [
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 5}},
                {"key": "k", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": true}}]}}},
            ],
        })
    };
    let spans = [span("a", "b"), span("b", "a"), span("c", "nobody"), span("d", "d")];
    let line = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    std::fs::write(&path, line.to_string()).unwrap();
    let spans = trace::read(&path).unwrap().spans;
    assert_eq!(spans[0].attributes["k"], json!({"a": true}));
    let tree = trace::tree(&spans, true);
    for name in ["a", "b", "c", "d"] {
        let named = |line: &&str| line.trim_start().starts_with(&format!("{name}  1 µs"));
        assert_eq!(tree.lines().filter(named).count(), 1, "{tree}");
    }
    assert!(tree.contains("5 tokens in"));
    std::fs::remove_file(&path).unwrap();
}
