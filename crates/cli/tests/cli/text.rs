//! `ondine tokenize` and `template` against what others say of the same texts.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, ondine, ondine_with, shared, tiny_model};

/// Between the texts of a conformance file.
const BORDER: &str = "\n__ggml_vocab_test__\n";

#[test]
fn vocabularies_conform() {
    let Some(list) = shared("data/vocab") else { return };
    let folder = Folder::new();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&list).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_string();
        let Some(name) = file.strip_suffix(".gguf.gz") else { continue };
        let unpacked = Command::new("gzip").arg("-dc").arg(&path).output();
        let Ok(unpacked) = unpacked else {
            eprintln!("skipped: there is no gzip to unpack {name}");
            return;
        };
        let vocab = folder.file(&format!("{name}.gguf"), unpacked.stdout);
        let texts = fs::read_to_string(format!("{list}/{name}.inp")).unwrap();
        let expected = fs::read_to_string(format!("{list}/{name}.out")).unwrap();
        // Every text of every vocabulary is the tokenizer's own test; here some go all the way
        // through files and pipes, the odd ones among them.
        for (at, (text, ids)) in texts.split(BORDER).zip(expected.lines()).enumerate() {
            if at % 7 != 0 {
                continue;
            }
            let expected: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
            let file = folder.file("text", text);
            let list = ondine(&["tokenize", "-m", &vocab, "--file", &file, "--json"]).json();
            let ids: Vec<u32> = serde_json::from_value(list).unwrap();
            if ids != expected {
                wrong.push(format!("{name} text {at}: {ids:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_come_as_words_and_as_a_list() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let words = ondine_with("hi", &["tokenize", "-m", &model]).ok();
    let list = ondine_with("hi", &["tokenize", "-m", &model, "--json"]).json();
    let ids: Vec<u32> = words.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert_eq!(serde_json::to_value(ids).unwrap(), list);
    // "[end]" is a mark where it is asked for, and letters otherwise.
    let special = ondine_with("[end]", &["tokenize", "-m", &model, "--special", "--json"]).json();
    let plain = ondine_with("[end]", &["tokenize", "-m", &model, "--json"]).json();
    assert_eq!(special, serde_json::json!([2]));
    assert_eq!(plain.as_array().unwrap().len(), 6);
}

#[test]
fn text_must_be_text() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let bytes = folder.file("bytes", b"ok \xff");
    let complaint = ondine(&["tokenize", "-m", &model, "--file", &bytes]).fails(1);
    assert!(complaint.contains("byte 3"), "{complaint}");
}

#[test]
fn templates_render_as_jinja_does() {
    let Some(list) = shared("data/templates") else { return };
    let folder = Folder::new();
    let cases = fs::read_to_string(format!("{list}/cases.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = format!("{} {}", case["template"], case["case"]);
        let template = format!("{list}/{}", case["template"].as_str().unwrap());
        let input = folder.file("input.json", case["input"].to_string());
        let ran = ondine(&[
            "template",
            "--template",
            &template,
            "--input",
            &input,
            "--now",
            "2026-11-22T09:30:00Z",
        ]);
        match case["expected"].as_str() {
            Some(expected) if ran.code == 0 && ran.out == expected => {}
            None if ran.code == 1 && ran.out.is_empty() => {}
            _ => wrong.push(format!("{name}: code {}, {}{}", ran.code, ran.out, ran.err)),
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_template_renders_exactly_and_raises_with_one() {
    let folder = Folder::new();
    let template = folder.file("t.jinja", "{{ messages[0].content }}|{{ strftime_now('%H:%M') }}");
    let raising = folder.file("r.jinja", "{{ raise_exception('no') }}");
    let broken = folder.file("b.jinja", "{% if %}");
    let input = folder.file("i.json", r#"{"messages": [{"role": "user", "content": "a\nb"}]}"#);
    let list = folder.file("l.json", "[]");
    let run = |template: &str, input: &str| {
        ondine(&[
            "template",
            "--template",
            template,
            "--input",
            input,
            "--now",
            "2026-01-02T03:04:00+09:00",
        ])
    };
    assert_eq!(run(&template, &input).ok(), "a\nb|03:04");
    assert!(run(&raising, &input).fails(1).contains("no"));
    assert!(run(&broken, &input).fails(1).contains("b.jinja"));
    assert!(run(&template, &list).fails(1).contains("not a JSON object"));
}
