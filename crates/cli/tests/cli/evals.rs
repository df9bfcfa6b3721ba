//! `ondine eval` and `ondine trace`: figures, bars, recordings, exact prompts.

use std::fs;

use serde_json::Value;

use crate::support::{Folder, ondine};

const CASES: &str = r#"
about = "calls of droplet"
scorers = [{ kind = "calls" }]
bars = [{ score = "calls", at_least = 1.0 }]

[[cases]]
id = "light"
input = "turn off the kitchen light"
tags = ["home"]
calls = { in_order = [{ name = "light_*" }], most_calls = 1 }

[[cases]]
input = "wake me at half past six tomorrow"
calls = { in_order = [{ name = "alarm_set", arguments = { time = "half past six", date = { contains = "TOMORROW" } } }] }
"#;

#[test]
fn droplet_is_evaluated_recorded_and_traced() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name);
    fs::write(path("cases.toml"), CASES).unwrap();
    let (cases, record, trace) = (path("cases.toml"), path("rec.jsonl"), path("trace.jsonl"));
    let ran = ondine(&[
        "eval",
        &cases,
        "--record",
        &record,
        "--trace",
        &trace,
        "--words",
        "--json",
        "--parallel",
        "2",
    ]);
    let report: Value = ran.json();
    assert_eq!(report["holds"], true, "{report:#}");
    assert_eq!(report["scores"][0]["mean"], 1.0);
    assert_eq!(report["cases"][0]["id"], "light");

    // The same figures without a model, and the recording is not written over.
    let again: Value = ondine(&["eval", &cases, "--replay", &record, "--json"]).json();
    assert_eq!(again["scores"], report["scores"]);
    let again: Value = ondine(&["eval", &cases, "-m", &record, "--json"]).json();
    assert_eq!(again["scores"], report["scores"]);
    assert!(ondine(&["eval", &cases, "--record", &record]).fails(1).contains("not written over"));
    let other = CASES.replace("kitchen", "bathroom");
    fs::write(path("other.toml"), other).unwrap();
    let ran = ondine(&["eval", &path("other.toml"), "--replay", &record]);
    assert!(ran.out.contains("not in the recording"), "{}", ran.out);
    assert!(ran.fails(1).contains("1 of 1 bars"));

    // What it read and what that became, token by token.
    let tree = ondine(&["trace", &trace]).ok();
    assert!(tree.contains("chat  ") && tree.contains("tokens in"), "{tree}");
    assert!(!tree.contains("kitchen"), "{tree}");
    let full = ondine(&["trace", &trace, "--full"]).ok();
    for part in ["prompt:", "tokens:", "user: turn off the kitchen light", "alarm_set("] {
        assert!(full.contains(part), "{part} is not in\n{full}");
    }
}

#[test]
fn a_missed_bar_is_a_failure_and_a_wrong_file_is_refused() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name);
    let lines = "{\"input\": \"turn off the kitchen light\", \"expected\": \"no such text\"}\n";
    fs::write(path("cases.jsonl"), lines).unwrap();
    let out = ondine(&["eval", &path("cases.jsonl")]).ok();
    assert!(out.contains("expected") && out.contains("0.000"), "{out}");
    let rows = [
        ("a.toml", "cases = [", "a.toml"),
        ("a.toml", "cases = []", "there is none"),
        ("b.json", "{\"cases\": [{\"input\": 1}]}", "case 1"),
        ("c.jsonl", "{\"input\": \"x\"}\n{", "line 2"),
        ("d.yaml", "cases: []", "no ending of a description"),
        ("e.json", "{\"cases\": \"../x.jsonl\"}", "no file below"),
        ("f.json", "{\"cases\": \"x.jsonl\"}", "x.jsonl"),
    ];
    for (name, text, expected) in rows {
        fs::write(path(name), text).unwrap();
        let error = ondine(&["eval", &path(name)]).fails(1);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let ran = ondine(&["eval", &path("cases.jsonl"), "--replay", &path("none"), "-m", "droplet"]);
    assert!(ran.fails(2).contains("asks no model"));
    assert!(
        ondine(&["eval", &path("cases.jsonl"), "--replay", &path("none")])
            .fails(1)
            .contains("none")
    );
    fs::write(path("not.trace"), "hello\n").unwrap();
    assert!(ondine(&["trace", &path("not.trace")]).fails(1).contains("line 1: no JSON"));
    // A stranger's span does not act on a terminal.
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"a","name":"\u001b[2Jx","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#;
    fs::write(path("evil.trace"), format!("{span}\n{{\"resource")).unwrap();
    let ran = ondine(&["trace", &path("evil.trace")]);
    assert!(ran.err.contains("cut off"), "{}", ran.err);
    assert!(ran.ok().starts_with("\\u{1b}[2Jx"));
}

#[test]
fn the_readme_s_cases_run_and_cases_without_an_answer_are_no_success() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/eval/");
    let folder = Folder::new();
    let (calls, capitals) = (format!("{shipped}calls.jsonl"), format!("{shipped}capitals.toml"));
    let record = folder.path("rec.jsonl");
    let report: Value = ondine(&["eval", &calls, "--record", &record, "--json"]).json();
    assert_eq!(report["scores"][0]["mean"], 1.0, "{report:#}");
    // The recording has none of these questions.
    let ran = ondine(&["eval", &calls.replace("calls", "none"), "--replay", &record]);
    assert!(ran.fails(1).contains("none.jsonl"));
    fs::write(folder.path("other.jsonl"), "{\"input\": \"what?\", \"expected\": \"that\"}\n")
        .unwrap();
    let ran = ondine(&["eval", &folder.path("other.jsonl"), "--replay", &record]);
    assert!(ran.fails(1).contains("1 of 1 cases were not answered"));
    assert!(ondine(&["eval", &capitals, "--replay", &record]).fails(1).contains("bars"));
    // A trace is not written over anything, least of all the cases.
    let cases = folder.path("other.jsonl");
    let before = fs::read(&cases).unwrap();
    let ran = ondine(&["eval", &cases, "--replay", &record, "--trace", &cases]);
    assert!(ran.fails(1).contains("already"));
    assert_eq!(fs::read(&cases).unwrap(), before);
}
