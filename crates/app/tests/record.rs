//! A recording gives what was given, in the same pieces, and nothing that was not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use ondine_app::chat::{
    Chat, ChatError, Embed, Embedded, Event, Format, Message, Request, Sampling, Script, Sink, Tool,
};
use ondine_app::{Recorder, Recording, Reply, ScriptedModel};
use serde_json::json;

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ondine-record-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// All events of a request, or why there are none.
fn events(chat: &dyn Chat, request: &Request) -> Result<Vec<Event>, ChatError> {
    let (sender, events) = mpsc::channel();
    let sink: Sink = Box::new(move |event| sender.send(event).is_ok());
    chat.start(request.clone(), sink)?;
    Ok(events.iter().collect())
}

fn asked(text: &str) -> Request {
    Request::new("m", [Message::system("be brief"), Message::user(text)])
}

fn recorded(
    path: &Path,
    model: ScriptedModel,
    requests: &[Request],
) -> Vec<Result<Vec<Event>, ChatError>> {
    let recorder = Recorder::create(path, Arc::new(model)).unwrap();
    requests.iter().map(|request| events(&recorder, request)).collect()
}

#[test]
fn the_same_events_come_again_in_the_same_pieces() {
    let path = path("same");
    let model = ScriptedModel::new([
        Reply::text("one two three"),
        Reply::text("looking").and_call("search", json!({"q": "tea", "k": 2})),
        Reply::text("the first again differs"),
        Reply::text("this one breaks off"),
    ])
    .breaking(4, 2, ChatError::Busy { limit: "places".into(), value: 3, retry_after_s: 1 })
    .context(40)
    .logprob(-0.25);
    let tool = Tool {
        name: "search".into(),
        description: String::new(),
        parameters: json!({"b": 1, "a": 2}),
    };
    let requests = [
        Request { logprobs: Some(0), ..asked("x") },
        Request { tools: vec![tool.clone()], ..asked("look") },
        Request { logprobs: Some(0), ..asked("x") },
        asked("break"),
        asked(&"long ".repeat(50)),
        asked("beyond the script"),
    ];
    let given = recorded(&path, model, &requests);
    assert!(matches!(given[4], Err(ChatError::Context { context: 40, .. })));
    assert!(matches!(
        given[3].as_ref().unwrap().last(),
        Some(Event::Failed(ChatError::Busy { value: 3, .. }))
    ));
    let recording = Recording::open(&path).unwrap();
    assert_eq!((recording.questions(), recording.is_torn()), (6, false));
    for (request, given) in requests.iter().zip(&given) {
        assert_eq!(&events(&*recording, request), given);
    }
    // Once more than it was asked then.
    let error = events(&*recording, &requests[0]).unwrap_err().to_string();
    assert!(error.contains("asked 2 times then, this is time 3"), "{error}");
    assert_eq!(recording.models()[0].name, "scripted");
    assert_eq!(recording.count_tokens(&requests[1]).unwrap(), given_tokens(&given[1]));

    // Whose request it is does not matter, nor the order of a schema's keys; what is asked does.
    let recording = Recording::open(&path).unwrap();
    let other = Tool { parameters: json!({"a": 2, "b": 1}), ..tool };
    let mut same =
        Request { tools: vec![other], app: "another".into(), background: true, ..asked("look") };
    assert_eq!(&events(&*recording, &same), &given[1]);
    same.sampling = Sampling { temperature: Some(0.1), ..Sampling::default() };
    assert!(events(&*recording, &same).is_err());
    std::fs::remove_file(&path).unwrap();
}

fn given_tokens(given: &Result<Vec<Event>, ChatError>) -> usize {
    match &given.as_ref().unwrap()[0] {
        Event::Started { prompt_tokens, .. } => *prompt_tokens,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_there_shows_the_nearest_and_asks_nobody() {
    let path = path("nearest");
    let requests = [
        asked("What is the capital of France?\nAnswer in one word."),
        asked("Write a poem about the sea."),
    ];
    recorded(&path, ScriptedModel::by(|_| Ok(Reply::text("yes"))), &requests);
    let recording = Recording::open(&path).unwrap();
    let near = Request {
        format: Format::Regex("[a-z]+".into()),
        ..asked("What is the capital of Spain?\nAnswer in one word.")
    };
    let error = events(&*recording, &near).unwrap_err().to_string();
    for line in [
        "which holds 2 others",
        "the nearest is number 1",
        "- prompt.Messages.1.text: What is the capital of France?",
        "+ prompt.Messages.1.text: What is the capital of Spain?",
        "+ format.Regex: [a-z]+",
    ] {
        assert!(error.contains(line), "{line} is not in\n{error}");
    }
    assert!(!error.contains("one word") && !error.contains("poem"), "{error}");
    let error = recording.count_tokens(&near).unwrap_err().to_string();
    assert!(error.contains("not counted"), "{error}");
    // A hostile prompt is shown within bounds.
    let long = asked(&format!("{}\n", "x ".repeat(500)).repeat(2000));
    let error = events(&*recording, &long).unwrap_err().to_string();
    assert!(error.len() < 20_000 && error.contains("lines more"), "{}", error.len());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_changes_from_run_to_run_is_taken_out() {
    let path = path("normal");
    let dated = |day: &str| {
        Request::new("m", [Message::system(format!("Today is {day}")), Message::user("x")])
    };
    recorded(&path, ScriptedModel::new([Reply::text("yes")]), &[dated("Monday")]);
    assert!(events(&*Recording::open(&path).unwrap(), &dated("Friday")).is_err());
    let recording = Recording::open_with(&path, |request| {
        if let ondine_app::chat::Prompt::Messages(turns) = &mut request.prompt {
            turns.retain(|turn| !turn.text.starts_with("Today is"));
        }
    })
    .unwrap();
    assert!(events(&*recording, &dated("Friday")).is_ok());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn who_left_half_way_can_leave_again_and_hears_no_more() {
    let path = path("left");
    let recorder =
        Recorder::create(&path, Arc::new(ScriptedModel::new([Reply::text("one two three")])))
            .unwrap();
    let mut heard = 0;
    let sink: Sink = Box::new(move |_| {
        heard += 1;
        heard < 3
    });
    recorder.start(asked("x"), sink).unwrap();
    let again = events(&*Recording::open(&path).unwrap(), &asked("x")).unwrap();
    assert_eq!(again.len(), 4, "{again:?}");
    assert!(matches!(&again[3], Event::Failed(ChatError::Internal(what)) if what.contains("left")));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn vectors_and_counts_come_again() {
    let path = path("vectors");
    let recorder = Recorder::create(&path, Arc::new(ScriptedModel::new([]))).unwrap();
    let recorder = recorder.embedding_with(Arc::new(Script::new(["x"])));
    let texts = vec!["a b".to_owned(), "c".to_owned()];
    let vectors: Embedded = recorder.embed("e", &texts).unwrap();
    let tokens = recorder.count_tokens(&asked("how many")).unwrap();
    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.embed("e", &texts).unwrap(), vectors);
    assert!(recording.embed("e", &texts[..1]).is_err());
    assert_eq!(recording.count_tokens(&asked("how many")).unwrap(), tokens);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_torn_end_is_left_out_and_anything_else_is_an_error_with_its_line() {
    let path = path("torn");
    let requests = [asked("a"), asked("b")];
    recorded(&path, ScriptedModel::by(|_| Ok(Reply::text("yes"))), &requests);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in first..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let recording = Recording::open(&path).unwrap();
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        assert!(recording.questions() == lines - 1 || recording.questions() == lines, "{cut}");
    }
    let text = String::from_utf8(whole).unwrap();
    let rows = [
        ("", "the file is empty"),
        (
            "{\"ondine_recording\": 2, \"models\": []}\n",
            "a recording of version 2; this program reads 1",
        ),
        (text.split_once('\n').unwrap().1, "begins with its version"),
        (&format!("{text}{text}"), "line 4: a second beginning"),
        (&text.replace("\"b\"", "\"b"), "line 3: no line of a recording"),
        ("not json\n", "line 1"),
    ];
    for (text, expected) in rows {
        std::fs::write(&path, text).unwrap();
        let Err(error) = Recording::open(&path) else { panic!("{text} is taken") };
        assert!(error.to_string().contains(expected), "{error}");
    }
    // A recording is not written over.
    assert!(Recorder::create(&path, Arc::new(ScriptedModel::new([]))).is_err());
    std::fs::remove_file(&path).unwrap();
}
