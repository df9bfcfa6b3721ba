//! `ondine rag`: folders come into an index, passages and answers come out.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::embed::bert_folder;
use crate::support::{Folder, command, ondine, plain_model, tiny_model};

fn documents(folder: &Folder) -> String {
    for sub in ["docs", "docs/中文"] {
        fs::create_dir_all(folder.path(sub)).unwrap();
    }
    folder.file(
        "docs/kettle.md",
        "# Kettle\n\n## Descaling\n\nFill it with vinegar and wait an hour.\n",
    );
    folder.file("docs/中文/水壶.md", "# 水壶\n\n每个月用柠檬酸清洗一次。\n");
    folder.file("docs/lamp.rs", "/// Dims the lamp.\nfn dimLamp(percent: u8) {\n    todo();\n}\n");
    folder.path("docs")
}

#[test]
fn a_folder_is_indexed_searched_and_asked() {
    let folder = Folder::new();
    let (docs, index) = (documents(&folder), folder.path("index"));
    let rag =
        |action: &str, rest: &[&str]| ondine(&[&["rag", action, "--index", &index], rest].concat());
    assert!(rag("search", &["vinegar"]).fails(1).contains("rag add FOLDER"));
    let added: Value = rag("add", &[&docs, "--json"]).json();
    assert_eq!((&added["added"], &added["skipped"]), (&3.into(), &Value::Array(vec![])));
    assert!(rag("add", &[&docs]).ok().contains("0 added, 0 changed, 3 as before, 0 removed"));

    let found: Value = rag("search", &["how do I descale the kettle?", "-k", "1", "--json"]).json();
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 1);
    let hit = &hits[0];
    assert_eq!((hit["path"].as_str(), hit["line_end"].as_u64()), (Some("kettle.md"), Some(5)));
    assert!(hit["text"].as_str().unwrap().contains("vinegar") && hit["score"].as_f64().is_some());
    assert!(rag("search", &["怎么清洗水壶", "-k", "1"]).ok().starts_with("中文/水壶.md:1-3"));
    assert!(rag("search", &["dim", "lamp", "--below", "lamp.rs"]).ok().starts_with("lamp.rs:1-4"));
    assert_eq!(hit["file"], folder.path("docs/kettle.md").as_str());
    assert!(rag("search", &["lamp", "--below", "nowhere"]).fails(1).contains("nowhere"));
    let none: Value = rag("search", &["qqqq", "--below", "lamp.rs", "-k", "1", "--json"]).json();
    assert!(none["hits"].as_array().unwrap().len() <= 1);
    rag("search", &[" "]).fails(2);

    // droplet does not chat: the answer is the passages.
    let quoted = rag("ask", &["descale the kettle", "-k", "1"]).ok();
    assert!(
        quoted.contains("> Fill it with vinegar") && quoted.contains("[1] kettle.md:1-5"),
        "{quoted}"
    );
    let object: Value = rag("ask", &["descale the kettle", "-k", "1", "--json"]).json();
    assert!(object["answer"].as_str().unwrap().contains("vinegar"));
    assert_eq!(object["citations"][0]["path"], "kettle.md");
    assert_eq!(object["answered_by"], "passages");
    assert_eq!(object["hits"][0]["line_start"], 1);

    let listed: Value = rag("ls", &["--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert!(rag("rm", &["lamp.rs", "nothing"]).fails(1).contains("rag ls"));
    rag("rm", &[""]).fails(2);
    let gone: Value = rag("rm", &["中文", "--json"]).json();
    assert_eq!(gone, serde_json::json!({ "removed": 1, "left": 2 }));
    assert!(!rag("ls", &[]).ok().contains("水壶"));
    // By where it lies, and all of a folder.
    assert!(rag("rm", &[&docs]).ok().contains("2 removed, 0 left"));
}

#[test]
fn a_model_that_chats_answers_and_one_that_does_not_leaves_the_passages() {
    let folder = Folder::new();
    let (docs, index) = (documents(&folder), folder.path("index"));
    ondine(&["rag", "add", &docs, "--index", &index]).ok();
    let ask = |model: &str| -> Value {
        let question = "when is the kettle cleaned?";
        ondine(&["rag", "ask", question, "--index", &index, "-m", model, "-n", "8", "--json"])
            .json()
    };
    // It says nonsense, within its tokens, and cites nothing.
    let said = ask(&tiny_model(&folder));
    assert!(!said["answer"].as_str().unwrap().contains("vinegar"));
    assert!(
        said["hits"].as_array().unwrap().len() >= 2
            && said["citations"].as_array().unwrap().is_empty()
    );
    assert_eq!(said["answered_by"], "model");
    let trace = folder.path("trace.jsonl");
    let model = tiny_model(&folder);
    let question = ["rag", "ask", "when is the kettle cleaned?", "--index", &index, "-m", &model];
    ondine(&[&question[..], &["-n", "8", "--trace", &trace, "--full"]].concat()).ok();
    let shown = ondine(&["trace", &trace, "--full"]).ok();
    for part in ["retrieval", "chat", "when is the kettle cleaned?", "vinegar"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let refused = ondine(&["rag", "add", &docs, "--index", &index, "--trace", &folder.path("t")]);
    refused.fails(2);
    assert!(!std::path::Path::new(&folder.path("t")).exists(), "what is refused leaves nothing");
    let quoted = ask(&plain_model(&folder));
    assert!(quoted["answer"].as_str().unwrap().contains("> "));
    let missing = ondine(&["rag", "ask", "x", "--index", &index, "-m", "no-such.gguf"]);
    assert!(missing.fails(1).contains("no-such.gguf"));
}

#[test]
fn what_cannot_be_read_is_named_and_the_exit_code_says_so() {
    let folder = Folder::new();
    let (docs, index) = (documents(&folder), folder.path("index"));
    folder.file("docs/torn.pdf", b"%PDF-1.7\nno more");
    folder.file("docs/photo.jpg", b"\xff\xd8\xff\xe0");
    let ran = ondine(&["rag", "add", &docs, "--index", &index]);
    assert!(ran.out.contains("3 added"), "{}", ran.out);
    let said = ran.fails(1);
    assert!(
        said.contains("not read: torn.pdf: damaged")
            && said.contains("1 documents could not be read")
    );
    assert!(!said.contains("photo.jpg"), "{said}");
    for wrong in
        [&["rag"][..], &["rag", "dance"], &["rag", "add"], &["rag", "search"], &["rag", "rm"]]
    {
        ondine(wrong).fails(2);
    }
    assert!(
        ondine(&["rag", "add", "no-such-folder", "--index", &index]).fails(1).contains("no folder")
    );
    // A folder with other things in it is nobody's index.
    assert!(ondine(&["rag", "add", &docs, "--index", &docs]).fails(1).contains("holds no index"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_the_index_as_it_was() {
    let folder = Folder::new();
    let (docs, index) = (documents(&folder), folder.path("index"));
    ondine(&["rag", "add", &docs, "--index", &index]).ok();
    // More than fits the first file of passages: once that stands there, much is left to do.
    for n in 0..600 {
        folder.file(&format!("docs/{n}.txt"), format!("number {n}. ").repeat(6000));
    }
    let files = || {
        let entries = fs::read_dir(&index).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("p-")).count()
    };
    let before = files();
    let mut child = command(&["rag", "add", &docs, "--index", &index])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while files() == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: Value = ondine(&["rag", "ls", "--index", &index, "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn an_encoder_of_the_engine_makes_the_vectors_where_it_is_named() {
    let folder = Folder::new();
    let (docs, index) = (documents(&folder), folder.path("index"));
    let encoder = bert_folder(&folder);
    let rag =
        |action: &str, rest: &[&str]| ondine(&[&["rag", action, "--index", &index], rest].concat());
    let with = ["--embedder", encoder.as_str()];
    rag("add", &[&docs, with[0], with[1]]).ok();
    let found: Value = rag("search", &["kettle", "--json", with[0], with[1]]).json();
    assert_eq!(found["hits"][0]["path"], "kettle.md");
    // Another one's vectors are not compared with these.
    assert!(rag("search", &["kettle"]).fails(1).contains("--embedder"));
    assert!(rag("add", &[&docs]).fails(1).contains("--anew"));
    rag("add", &["--anew"]).ok();
    let found: Value = rag("search", &["kettle", "--json"]).json();
    assert_eq!(found["hits"][0]["path"], "kettle.md");
    assert!(rag("search", &["kettle", with[0], with[1]]).fails(1).contains("--anew"));
}
