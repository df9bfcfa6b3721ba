//! Nothing is lost between an app and a daemon: neither of what is asked nor of what comes back.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ondine_chat::{
    Chat, ChatError, Embed, Event, FinishReason, Format, Keep, Message, NewSession, Overflow,
    Prompt, Request, Sampling, Script, Sessions, Timing, TokenLogprob, Tool, ToolCall, ToolChoice,
    Usage,
};
use serde_json::json;

use crate::common::{Slow, Tape, script};
use crate::{Daemon, keeps_conversations};

fn plain() -> Request {
    Request::new("m", [Message::user("x")])
}

fn tool() -> Tool {
    let parameters = json!({"type": "object", "properties": {"zone": {"type": "string"}}});
    Tool { name: "get_time".into(), description: "The time.".into(), parameters }
}

fn call() -> ToolCall {
    let arguments = json!({"zone": "UTC", "n": 1.5});
    ToolCall { id: "call_1".into(), name: "get_time".into(), arguments }
}

fn text(text: &str) -> Event {
    Event::Text { text: text.into(), logprobs: Vec::new() }
}

fn usage() -> Usage {
    Usage {
        prompt_tokens: 9,
        cached_tokens: 4,
        completion_tokens: 2,
        dropped_tokens: 3,
        timing: Timing { queue_s: 0.1, prefill_s: 0.25, decode_s: 1.0 / 3.0 },
    }
}

/// The events of an answer. Pieces of text that met on the way are joined in both.
fn events(chat: &dyn Chat, request: Request) -> Vec<Event> {
    let (sender, events) = mpsc::channel();
    chat.start(request, Box::new(move |event| sender.send(event).is_ok())).unwrap();
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (_, Event::Waiting { .. } | Event::Reading { .. }) => {}
            (
                Some(Event::Text { text, logprobs }),
                Event::Text { text: more, logprobs: tokens },
            ) => {
                text.push_str(&more);
                logprobs.extend(tokens);
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

#[test]
fn every_field_of_a_request_arrives() {
    let script = Arc::new(Script::new(["x"]));
    let daemon = Daemon::new(script.clone());
    let client = daemon.client();
    let conversation = vec![
        Message::system("s"),
        Message::user("ü \"quoted\"\n"),
        Message { calls: vec![call()], ..Message::assistant("") },
        Message::tool("call_1", "noon"),
        Message::assistant("It is noon."),
        Message::system("again"),
        Message::user(""),
    ];
    let tools = |tool_choice| Request { tools: vec![tool()], tool_choice, ..plain() };
    let format = |format| Request { format, ..plain() };
    let sampling = Sampling {
        temperature: Some(0.7),
        top_k: Some(5),
        top_p: Some(0.9),
        min_p: Some(0.05),
        repeat_penalty: Some(1.1),
        presence_penalty: Some(-0.5),
        frequency_penalty: Some(0.3),
        logit_bias: [(7, -100.0), (9, 2.5)].into(),
        seed: Some(u64::MAX),
    };
    let requests = [
        plain(),
        Request { prompt: Prompt::Messages(conversation), ..plain() },
        Request::new("", [Message::user("the default model")]),
        tools(ToolChoice::Auto),
        tools(ToolChoice::None),
        tools(ToolChoice::Required),
        tools(ToolChoice::Named("get_time".into())),
        format(Format::Json),
        format(Format::Schema(json!({"type": "object", "required": ["a"]}))),
        format(Format::Regex("[a-z]+".into())),
        format(Format::Lark("start: \"a\"".into())),
        Request { sampling: sampling.clone(), ..plain() },
        Request { max_tokens: Some(3), stop: vec!["a".into(), "\n".into()], ..plain() },
        Request { logprobs: Some(0), ..plain() },
        Request { logprobs: Some(20), ..plain() },
        Request { overflow: Overflow::Anchored, ..plain() },
        Request { overflow: Overflow::Summarize, keep: Keep::Seconds(0), ..plain() },
        Request { overflow: Overflow::Stop, keep: Keep::Always, ..plain() },
        Request::text("m", "fn main() {"),
        Request {
            sampling,
            max_tokens: Some(3),
            stop: vec!["}".into()],
            logprobs: Some(2),
            overflow: Overflow::Stop,
            format: Format::Regex("a".into()),
            ..Request::text("m", "fn main() {")
        },
    ];
    for request in requests {
        client.ask(request.clone()).unwrap();
        let arrived = script.asked().pop().unwrap();
        assert_eq!(arrived, Request { app: "notes".into(), ..request });
    }
}

#[test]
fn every_event_comes_back() {
    let token = |text: &str, bytes: &[u8]| TokenLogprob {
        text: text.into(),
        bytes: bytes.to_vec(),
        logprob: -0.1,
        top: vec![("x".into(), b"x".to_vec(), -0.1), ("y".into(), vec![255], f32::NEG_INFINITY)],
    };
    let half = |text: &str, token| Event::Text { text: text.into(), logprobs: vec![token] };
    let started = || Event::Started { prompt_tokens: 9, cached_tokens: 4 };
    let finished = |reason| Event::Finished { reason, usage: usage() };
    let rows = [
        (plain(), vec![started(), text("Good "), text("morning."), finished(FinishReason::Stop)]),
        (plain(), vec![started(), text("ü\u{2028}\n\n"), finished(FinishReason::StopText)]),
        (plain(), vec![started(), finished(FinishReason::Length)]),
        (
            plain(),
            vec![
                started(),
                text("a"),
                Event::Call(call()),
                Event::Call(ToolCall { id: "2".into(), arguments: json!({}), ..call() }),
                finished(FinishReason::Calls),
            ],
        ),
        (
            Request { logprobs: Some(2), ..plain() },
            vec![
                started(),
                half("", token("\u{fffd}", &[0xc3])),
                half("ü", token("\u{fffd}", &[0xbc])),
                finished(FinishReason::Stop),
            ],
        ),
        (
            Request { logprobs: Some(1), ..Request::text("m", "x") },
            vec![
                started(),
                half("a", TokenLogprob { top: vec![], ..token("a", b"a") }),
                finished(FinishReason::Stop),
            ],
        ),
        (plain(), vec![started(), text("a"), Event::Failed(ChatError::ShuttingDown)]),
        (plain(), vec![started(), Event::Failed(ChatError::Internal("broke".into()))]),
    ];
    for (request, tape) in rows {
        let tape = Arc::new(Tape(tape));
        let daemon = Daemon::new(tape.clone());
        let here = events(&*tape, request.clone());
        assert_eq!(events(&daemon.client(), request), here);
    }
}

#[test]
fn every_error_comes_back() {
    let script = Arc::new(Script::new(["x"]));
    let daemon = Daemon::new(script.clone());
    let client = daemon.client();
    let known = vec!["a".to_owned(), "b".to_owned()];
    let errors = [
        ChatError::NoModel { name: "m".into(), known },
        ChatError::invalid("tools", "the tools are wrong"),
        ChatError::invalid("prompt", "a conversation has at least one message"),
        ChatError::invalid("sampling", "temperature: 3 is too warm"),
        ChatError::invalid("format", "the schema does not compile"),
        ChatError::Context { prompt_tokens: 900, wanted: 16, context: 512 },
        ChatError::Busy { limit: "the queue of app 7".into(), value: 32, retry_after_s: 9 },
        ChatError::Memory { what: "model 8b".into(), needed: 9, available: 1, budget: 5 },
        ChatError::Conflict("the session is being answered in".into()),
        ChatError::Unsupported("nobody can do this".into()),
        ChatError::Disk("no space is left".into()),
        ChatError::ShuttingDown,
        ChatError::Internal("broke".into()),
    ];
    for error in errors {
        script.refuse_next(error.clone());
        assert_eq!(client.ask(plain()), Err(error.clone()));
        // Once it is under way, there is no status and no header to tell it by.
        let started = Event::Started { prompt_tokens: 1, cached_tokens: 0 };
        let tape = Tape(vec![started, Event::Failed(error.clone())]);
        let within = Daemon::new(Arc::new(tape)).client().ask(plain());
        match error {
            // A name is the client's own; a stream's error comes too late to put it in.
            ChatError::NoModel { known, .. } => {
                assert_eq!(within, Err(ChatError::NoModel { name: String::new(), known }));
            }
            error => assert_eq!(within, Err(error)),
        }
    }
}

#[test]
fn tokens_are_counted_and_texts_become_vectors() {
    let script = script();
    let daemon = Daemon::new(script.clone());
    let client = daemon.client();
    let conversation = [
        Message::system("one two"),
        Message::user("three"),
        Message { calls: vec![call()], ..Message::assistant("four") },
        Message::tool("call_1", "five six"),
        Message::user("seven"),
    ];
    let request = Request {
        tools: vec![tool()],
        tool_choice: ToolChoice::Required,
        ..Request::new("m", conversation)
    };
    assert_eq!(Chat::count_tokens(&client, &request).unwrap(), 7);
    let uncounted = [
        Request::text("m", "x"),
        Request::new("m", [Message::user("x"), Message::system("y")]),
        Request::new("m", [Message::system("y")]),
    ];
    for request in uncounted {
        let refused = Chat::count_tokens(&client, &request);
        assert!(matches!(refused, Err(ChatError::Unsupported(_))), "{refused:?}");
    }
    let texts = ["a b".to_owned(), "c".to_owned()];
    assert_eq!(client.embed("m", &texts), script.embed("m", &texts));
    assert_eq!(
        client.embed("m", &[]),
        script.embed("m", &[]).map(|e| ondine_chat::Embedded { tokens: 0, ..e })
    );
    let (here, there) = (&script.models()[0], &client.models()[0]);
    assert_eq!((&there.name, there.context, there.chats), (&here.name, here.context, here.chats));
    assert_eq!(there.tools, here.tools);
}

#[test]
fn who_stops_listening_is_gone_at_once() {
    let silenced = Arc::new(Mutex::new(None));
    let pause = Duration::from_millis(20);
    let slow = Arc::new(Slow { pause, words: 10_000, silenced: silenced.clone() });
    let daemon = Daemon::new(slow);
    let (sender, left) = mpsc::channel();
    let mut words = 0;
    let sink = Box::new(move |event| {
        words += usize::from(matches!(event, Event::Text { .. }));
        if words == 3 {
            sender.send(Instant::now()).unwrap();
        }
        words < 3
    });
    daemon.client().start(plain(), sink).unwrap();
    let left = left.recv_timeout(Duration::from_secs(10)).unwrap();
    while silenced.lock().unwrap().is_none() {
        assert!(left.elapsed() < Duration::from_secs(5), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = silenced.lock().unwrap().unwrap().saturating_duration_since(left);
    assert!(took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn sessions_are_the_same_on_either_side() {
    let script = script();
    let daemon = Daemon::new(script.clone());
    let client = daemon.client();
    if !keeps_conversations(&client) {
        return;
    }
    let new = || NewSession {
        name: Some("notes".into()),
        overflow: Overflow::Anchored,
        messages: vec![Message::system("short answers")],
        ..NewSession::default()
    };
    let (info, is_new) = client.create("", new()).unwrap();
    assert!(is_new && info.messages == 1 && info.overflow == Overflow::Anchored, "{info:?}");
    assert_eq!(client.create("", new()).unwrap(), (info.clone(), false));

    let say = |text: &str| {
        let request = Request { tools: vec![tool()], ..Request::new("", [Message::user(text)]) };
        ondine_chat::Answer::collect(|sink| client.say(&info.id, request, sink))
    };
    let answer = say("hello").unwrap();
    assert_eq!((answer.text.as_str(), answer.calls.len()), ("Good morning.", 2));
    assert_eq!((answer.reason, answer.usage.prompt_tokens), (FinishReason::Calls, 3));
    let (info, messages) = client.read("", &info.id).unwrap();
    assert_eq!(
        messages,
        [Message::system("short answers"), Message::user("hello"), answer.message()]
    );
    assert_eq!(client.list("").unwrap(), std::slice::from_ref(&info));

    let more = vec![Message::tool("call_1", "noon"), Message::tool("call_2", "one")];
    let longer = client.append("", &info.id, more.clone(), Some(3)).unwrap();
    assert_eq!(longer.messages, 5);
    let twice = client.append("", &info.id, more, Some(3));
    assert!(matches!(twice, Err(ChatError::Conflict(_))), "{twice:?}");
    let count = Sessions::count_tokens(&client, "", &info.id, vec![Message::user("a b")]);
    assert_eq!(count.unwrap(), 2 + 1 + 2 + 1 + 1 + 2);

    let fork = client.fork("", &info.id, Some(2)).unwrap();
    assert_eq!((fork.messages, &fork.forked_from), (2, &Some((info.id.clone(), 2))));
    let too_much = client.fork("", &info.id, Some(99));
    assert!(too_much.is_err(), "{too_much:?}");
    client.delete("", &info.id).unwrap();
    let gone = ChatError::NoSession { id: info.id.clone() };
    assert_eq!(client.read("", &info.id), Err(gone.clone()));
    assert_eq!(client.delete("", &info.id), Err(gone.clone()));
    let unsaid = |id: &str| client.say(id, Request::new("", []), Box::new(|_| true));
    assert_eq!(unsaid(&info.id), Err(gone));
    script.refuse_next(ChatError::ShuttingDown);
    assert_eq!(unsaid(&fork.id), Err(ChatError::ShuttingDown));
}
