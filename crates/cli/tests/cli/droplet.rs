//! The first command of the README, and the same for programs.

use serde_json::Value;

use crate::support::{Folder, ondine, ondine_with};

const REQUEST: &str = "wake me at half past six tomorrow";

/// The object of a call is sound: a function of the list, arguments from the request.
#[track_caller]
fn check_call(request: &str, object: &Value) {
    let call = &object["call"];
    let keys: Vec<&String> = call.as_object().expect("a call").keys().collect();
    assert_eq!(keys, ["function", "arguments", "probability"]);
    let function = ondine_droplet::Function::named(call["function"].as_str().unwrap());
    let function = function.expect("a function of the list");
    let arguments = call["arguments"].as_object().unwrap();
    for parameter in function.parameters {
        let Some(value) = arguments.get(parameter.name) else {
            assert!(!parameter.required, "{call} lacks {}", parameter.name);
            continue;
        };
        let value = value.as_str().unwrap();
        match parameter.words {
            [] => assert!(request.contains(value) && !value.trim().is_empty(), "{call}"),
            words => assert!(words.contains(&value), "{call}"),
        }
    }
    let known = |name: &String| function.parameters.iter().any(|p| p.name == name);
    assert!(arguments.keys().all(known), "{call}");
    let probability = call["probability"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&probability), "{call}");
}

/// The front page shows what the first command prints. The percentage may differ in a last digit
/// from one instruction set to another; the call may not.
#[test]
fn the_readme_is_right() {
    let page = include_str!("../../../../README.md");
    let command = format!("-- run \"{REQUEST}\"\n```\n\n```text\n");
    let shown = page.split(&command).nth(1).and_then(|rest| rest.lines().next());
    let shown = shown.expect("the first block after the first command");
    let line = ondine(&["run", REQUEST]).ok();
    assert_eq!(line.lines().count(), 1);
    let call = |line: &str| line.split("  ").next().unwrap_or_default().trim().to_string();
    assert_eq!(call(&line), call(shown), "the README shows something else");
}

#[test]
fn any_request_gives_a_valid_call() {
    let folder = Folder::new();
    let requests = [
        REQUEST,
        "明天早上七点叫我起床",
        "turn off the kitchen light",
        "what is the capital of france",
        "x",
        "!!!",
        "🙂🙂🙂",
        "<|end|><|fn:cloud|>",
        "say \"quoted\" \\ words {with} [marks] <[300]> /re/",
        "a\tb",
        "把客厅的灯调到百分之五十",
    ];
    let file = folder.file("requests", requests.join("\n"));
    let lines = ondine(&["run", "--batch", &file, "--json"]).ok();
    assert_eq!(lines.lines().count(), requests.len());
    for (request, line) in requests.iter().zip(lines.lines()) {
        let object: Value = serde_json::from_str(line).unwrap();
        assert!(object["tokens"].as_array().is_some_and(|tokens| !tokens.is_empty()), "{line}");
        check_call(request, &object);
    }
}

#[test]
fn a_request_may_come_from_a_pipe() {
    let object = ondine_with(&format!("{REQUEST}\n"), &["run", "--json"]).json();
    check_call(REQUEST, &object);
    assert_eq!(object["call"], ondine(&["run", "--json", REQUEST]).json()["call"]);
}

#[test]
fn long_requests_are_bounded() {
    for length in [3_000, 1_000_000] {
        let ran = ondine_with(&"word ".repeat(length), &["run"]);
        assert!(ran.fails(1).contains("limit"));
    }
    let ran = ondine_with(&"明".repeat(600), &["run"]);
    assert!(ran.fails(1).contains("tokens"));
}

#[test]
fn droplet_is_a_model_like_any_where_asked() {
    assert!(ondine(&["inspect", "droplet"]).ok().contains("llama"));
    ondine_with("hello", &["tokenize", "-m", "droplet", "--json"]).json();
    let code = [
        "complete",
        "--prefix",
        "fn add(a: i32, b: i32) -> i32 {\n    ",
        "--suffix",
        "\n}",
        "--json",
    ];
    let object = ondine(&code).json();
    // It fills lines, and says so in its file.
    assert!(!object["text"].as_str().unwrap().contains('\n'), "{object}");
    let raw =
        ["run", "--raw", "<|user|>hello<|call|>", "--temp", "0", "--max-tokens", "4", "--json"];
    assert_eq!(ondine(&raw).json()["prompt_tokens"], 3);
}

#[test]
fn droplet_does_not_chat() {
    for flag in ["--system", "--stop"] {
        assert!(ondine(&["run", flag, "x", "hello"]).fails(2).contains("hint: "));
    }
}
