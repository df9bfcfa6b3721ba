//! The program as a process of its own, with a tiny encoder that is made here: it knows the letters.

use std::process::{Command, Output};

use ondine_format::{Value, write};

#[path = "../../../crates/model/tests/support/bert.rs"]
mod bert;
#[path = "../../../crates/model/tests/support/tiny.rs"]
mod tiny;

/// An encoder's file: random weights, and a vocabulary of marks and letters.
fn encoder() -> Vec<u8> {
    let mut tokens: Vec<String> = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"].map(String::from).to_vec();
    tokens.extend(('a'..='z').map(|c| format!("▁{c}")));
    tokens.extend(('a'..='z').map(String::from));
    let mut kinds = vec![1i32; tokens.len()];
    kinds[..4].fill(3);
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let mut tiny = bert::TinyBert { vocab: tokens.len(), context: 24, ..bert::TinyBert::new() };
    let more: Vec<(String, Value)> = vec![
        (key("model"), "bert".into()),
        (key("tokens"), tokens.into()),
        (key("token_type"), kinds.into()),
        (key("bos_token_id"), 1u32.into()),
        (key("seperator_token_id"), 2u32.into()),
        (key("unknown_token_id"), 3u32.into()),
    ];
    tiny.more.extend(more);
    let mut bytes = Vec::new();
    write::rewrite(&tiny.file(), &mut bytes).unwrap();
    bytes
}

fn embed(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_embed")).args(words).output().expect("the program starts")
}

#[test]
fn a_sentence_is_most_like_itself() {
    let path = std::env::temp_dir().join(format!("ondine-embed-{}.gguf", std::process::id()));
    std::fs::write(&path, encoder()).unwrap();
    let ran = embed(&[path.to_str().unwrap(), "a cat", "a cat", "the sea"]);
    std::fs::remove_file(&path).unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let alike: Vec<f32> =
        out.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(alike.len(), 3, "{out}{err}");
    assert!((alike[0] - 1.0).abs() < 1e-3 && alike[0] == alike[1] && alike[2] < 0.99, "{out}");
}

#[test]
fn a_model_that_makes_no_vectors_says_so() {
    let ran = embed(&["droplet", "a cat"]);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && !err.is_empty(), "{err}");
}
