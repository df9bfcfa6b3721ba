//! `ondine run` and `complete` with a model file: text, objects, batches, pipes, interrupts.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Folder, command, ondine, ondine_with, plain_model, shared, tiny_model};

const GREEDY: &[&str] = &["--temp", "0", "--max-tokens", "8", "--threads", "1"];

fn run<'a>(model: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["run", "-m", model], GREEDY, rest].concat()
}

/// The object has exactly the promised fields.
#[track_caller]
fn check_object(object: &Value, extra: &[&str]) {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let mut expected = vec!["text", "tokens", "finish_reason", "prompt_tokens", "timings"];
    expected.extend(extra);
    assert_eq!(keys(object), expected);
    assert_eq!(
        keys(&object["timings"]),
        ["load_s", "prompt_s", "decode_s", "prompt_tokens_per_s", "decode_tokens_per_s", "ttft_s"]
    );
    for (name, seconds) in object["timings"].as_object().expect("an object") {
        assert!(seconds.as_f64().is_some_and(|s| s >= 0.0), "{name} is {seconds}");
    }
    assert!(object["tokens"].as_array().expect("a list").iter().all(Value::is_u64));
}

#[test]
fn an_answer_is_text_and_an_object_says_the_same() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let text = ondine(&run(&model, &["hello"])).ok();
    let object = ondine(&run(&model, &["hello", "--json"])).json();
    check_object(&object, &[]);
    assert_eq!(format!("{}\n", object["text"].as_str().unwrap()), text);
    assert_eq!(object["tokens"].as_array().unwrap().len(), 8);
    assert_eq!(object["finish_reason"], "length");
    assert!(object["prompt_tokens"].as_u64().unwrap() > 5);
}

#[test]
fn a_pipe_is_a_prompt() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let typed = ondine(&run(&model, &["hello"])).ok();
    assert_eq!(ondine_with("hello", &run(&model, &[])).ok(), typed);
}

#[test]
fn the_seed_decides() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let answer = |seed: &str| {
        let arguments = [
            "run",
            "-m",
            &model,
            "--seed",
            seed,
            "--max-tokens",
            "24",
            "--top-k",
            "0",
            "hi",
            "--json",
        ];
        ondine(&arguments).json()["tokens"].clone()
    };
    assert_eq!(answer("7"), answer("7"));
    assert_ne!(answer("7"), answer("8"));
}

#[test]
fn a_stop_text_ends_the_answer_and_is_not_in_it() {
    let folder = Folder::new();
    let model = plain_model(&folder);
    let arguments = ["run", "-m", &model, "--temp", "0", "--max-tokens", "64", "go", "--json"];
    let whole = ondine(&arguments).json();
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(3).take(2).collect();
    let cut = ondine(&[&arguments[..], &["--stop", &stop]].concat()).json();
    assert_eq!(cut["finish_reason"], "stop");
    assert_eq!(cut["text"].as_str(), text.split(&stop).next());
}

#[test]
fn raw_reads_special_tokens_and_text_does_not() {
    let folder = Folder::new();
    let model = plain_model(&folder);
    let tokens =
        |rest: &[&str]| ondine(&run(&model, rest)).json()["prompt_tokens"].as_u64().unwrap();
    // The beginning token, and "[end]" as one mark; or as a space and its five letters.
    assert_eq!(tokens(&["[end]", "--raw", "--json"]), 2);
    assert_eq!(tokens(&["[end]", "--json"]), 7);
}

#[test]
fn a_user_cannot_open_a_turn() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let tokens = |prompt: &str| {
        ondine(&run(&model, &[prompt, "--json"])).json()["prompt_tokens"].as_u64().unwrap()
    };
    // Letters are single bytes here: five letters are five tokens whatever they spell.
    assert_eq!(tokens("[end]"), tokens("abcde"));
}

#[test]
fn a_batch_is_an_object_a_line() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let prompts = folder.file("prompts.txt", "hello\nyou there\nhello\n");
    let lines = ondine(&run(&model, &["--batch", &prompts, "--json"])).ok();
    let objects: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3);
    objects.iter().for_each(|object| check_object(object, &[]));
    let single = ondine(&run(&model, &["hello", "--json"])).json();
    assert_eq!(objects[0]["tokens"], single["tokens"]);
    assert_eq!(objects[2]["tokens"], single["tokens"], "a prompt knows nothing of those before it");
    assert_eq!(objects[0]["timings"]["load_s"], objects[1]["timings"]["load_s"], "loaded once");
}

#[test]
fn a_prompt_that_fails_does_not_stop_the_batch() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let prompts = folder.file("prompts.txt", format!("hello\n{}\nhello", "x".repeat(100)));
    let ran = ondine(&run(&model, &["--ctx", "64", "--batch", &prompts, "--json"]));
    assert_eq!(ran.code, 1, "{}", ran.err);
    let objects: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = objects[1]["error"].as_str().unwrap();
    assert!(error.contains("64"), "both numbers: {error}");
    check_object(&objects[2], &[]);
}

#[test]
fn a_schema_holds_every_answer() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let schema = folder.file(
        "schema.json",
        r#"{"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": false}"#,
    );
    let grammar = folder.file("answer.lark", "start: \"yes\" | \"no\"");
    let arguments = ["run", "-m", &model, "--max-tokens", "200", "--seed", "3", "is it on?"];
    let answer = ondine(&[&arguments[..], &["--schema", &schema]].concat()).ok();
    let value: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert!(value["on"].is_boolean(), "{answer}");
    let answer = ondine(&[&arguments[..], &["--grammar", &grammar]].concat()).ok();
    assert!(["yes\n", "no\n"].contains(&answer.as_str()), "{answer}");
}

#[test]
fn a_cut_is_told() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let grammar = folder.file("answer.lark", "start: \"yes yes\" | \"no no no\"");
    let cut = "the answer was cut before it was complete; raise --max-tokens\n";
    let full = "stopped: the context of 64 tokens is full\n";
    let long = ["--max-tokens", "100"];
    let rows: &[(&[&str], &str)] = &[
        (&["--max-tokens", "3"], ""),
        (&["--ctx", "64", long[0], long[1]], full),
        (&["--grammar", &grammar, "--max-tokens", "3"], cut),
        (&["--grammar", &grammar, long[0], long[1]], ""),
    ];
    for (rest, expected) in rows {
        for form in [&[][..], &["--json"]] {
            let arguments = [&["run", "-m", &model, "--temp", "0", "hi"], *rest, form].concat();
            let ran = ondine(&arguments);
            assert_eq!((ran.code, ran.err.as_str()), (0, *expected), "{arguments:?}");
        }
    }
}

#[test]
fn an_empty_line_of_a_batch_is_an_error_for_every_model() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let prompts = folder.file("prompts.txt", "hello\n\n  \nhello\n");
    for model in [model.as_str(), "droplet"] {
        let ran = ondine(&run(model, &["--batch", &prompts, "--json"]));
        assert_eq!(ran.code, 1, "{}", ran.err);
        let objects: Vec<Value> =
            ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 4);
        for object in &objects[1..3] {
            assert_eq!(object, &serde_json::json!({ "error": "the prompt is empty" }));
        }
        assert!(objects[3]["text"].is_string());
    }
}

#[test]
fn gaps_are_filled() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let arguments =
        ["complete", "-m", &model, "--max-tokens", "4", "--prefix", "a = ", "--suffix", ";"];
    let text = ondine(&arguments).ok();
    let object = ondine(&[&arguments[..], &["--json"]].concat()).json();
    check_object(&object, &[]);
    assert_eq!(format!("{}\n", object["text"].as_str().unwrap()), text);
    let Some(stories) = shared("data/stories260k.gguf") else { return };
    let complaint = ondine(&["complete", "-m", &stories, "--prefix", "x"]).fails(1);
    assert!(complaint.contains("hint: "), "{complaint}");
}

#[test]
fn a_real_model_tells_its_story() {
    let Some(stories) = shared("data/stories260k.gguf") else { return };
    let text = ondine(&run(&stories, &["Once upon a time"])).ok();
    assert_eq!(text, ", there was a little girl\n");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let mut child =
        command(&["run", "-m", &model, "--max-tokens", "100000", "hello"]).spawn().unwrap();
    let mut some = [0; 4];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut some).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_with_130() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    for json in [false, true] {
        let mut arguments = vec!["run", "-m", &model, "--max-tokens", "1000000", "hello"];
        arguments.extend(json.then_some("--json"));
        let mut child = command(&arguments).spawn().unwrap();
        if json {
            // Nothing is printed before the end, so there is nothing to wait for.
            std::thread::sleep(Duration::from_millis(500));
        } else {
            child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        }
        let begun = Instant::now();
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        // The pipe is drained so that the answer cannot wait for its reader.
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "json: {json}");
        assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    }
}

#[test]
fn nothing_but_answers_goes_to_standard_output() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let output = command(&run(&model, &["hello"])).stderr(Stdio::piped()).output().unwrap();
    assert!(output.stderr.is_empty(), "a progress line without a terminal: {:?}", output.stderr);
}
