//! Folders become files, texts become vectors: `ondine import` and `ondine embed`.

use std::fs;
use std::path::Path;

use crate::support::{Folder, model_folder, ondine, ondine_with, tiny_model};

const WIDTH: usize = 32;
const FF: usize = 48;
const CONTEXT: usize = 24;

const CONFIG: &str = r#"{"model_type":"bert","hidden_size":32,"intermediate_size":48,
    "num_hidden_layers":2,"num_attention_heads":4,"max_position_embeddings":24,
    "layer_norm_eps":1e-12,"vocab_size":64,"type_vocab_size":2,"hidden_act":"gelu"}"#;

const MODULES: &str = r#"[{"idx":0,"path":"","type":"sentence_transformers.models.Transformer"},
    {"idx":1,"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#;

/// Writes a bert as Hugging Face has them: configuration, weights, words and pooling.
pub(crate) fn bert_folder(folder: &Folder) -> String {
    let home = folder.path("bert");
    fs::create_dir_all(folder.path("bert/1_Pooling")).unwrap();
    folder.file("bert/config.json", CONFIG);
    folder.file("bert/modules.json", MODULES);
    folder.file("bert/1_Pooling/config.json", r#"{"pooling_mode_mean_tokens":true}"#);
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from).to_vec();
    words.extend(('a'..='z').map(String::from));
    words.extend(('a'..='z').map(|c| format!("##{c}")));
    folder.file("bert/vocab.txt", words.join("\n") + "\n");
    folder.file("bert/tokenizer_config.json", r#"{"do_lower_case":true}"#);

    let mut tensors = vec![
        ("embeddings.word_embeddings.weight".to_string(), vec![64, WIDTH]),
        ("embeddings.position_embeddings.weight".to_string(), vec![CONTEXT, WIDTH]),
        ("embeddings.token_type_embeddings.weight".to_string(), vec![2, WIDTH]),
    ];
    let mut norms = vec!["embeddings".to_string()];
    for layer in 0..2 {
        let block = format!("encoder.layer.{layer}");
        for (part, rows, cols) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", FF, WIDTH),
            ("output.dense", WIDTH, FF),
        ] {
            tensors.push((format!("{block}.{part}.weight"), vec![rows, cols]));
            tensors.push((format!("{block}.{part}.bias"), vec![rows]));
        }
        norms.push(format!("{block}.attention.output"));
        norms.push(format!("{block}.output"));
    }
    for norm in norms {
        tensors.push((format!("{norm}.LayerNorm.weight"), vec![WIDTH]));
        tensors.push((format!("{norm}.LayerNorm.bias"), vec![WIDTH]));
    }
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let mut seed = 1u32;
    for (name, shape) in tensors {
        let begin = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let around = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            data.extend((around + (seed as f32 / u32::MAX as f32 - 0.5) * 0.6).to_le_bytes());
        }
        let offsets = [begin, data.len()];
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets });
        header.insert(name, entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.as_bytes());
    content.extend(data);
    folder.file("bert/model.safetensors", content);
    home
}

fn vectors(text: &str) -> Vec<Vec<f64>> {
    let line = |line: &str| line.split(' ').map(|x| x.parse().expect("a number")).collect();
    text.lines().map(line).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_folder_and_its_import_give_the_same_vectors() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let out = folder.path("bert.gguf");
    assert_eq!(ondine(&["import", &home, &out]).ok(), "");
    let texts = ["hello there", "a cat", "", "[CLS] ünïcode"];
    let embed = |model: &str| {
        let arguments: Vec<&str> = ["embed", "-m", model].into_iter().chain(texts).collect();
        ondine(&arguments).ok()
    };
    let lines = embed(&out);
    assert_eq!(lines, embed(&home));
    let all = vectors(&lines);
    assert_eq!(all.len(), 4);
    for vector in &all {
        assert_eq!(vector.len(), WIDTH);
        let length: f64 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert!(cosine(&all[0], &all[1]) < 0.9999);

    let json = ondine(&["embed", "-m", &out, "--json", "hello there", "a cat"]).ok();
    for (index, line) in json.lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(row["index"], index);
        assert_eq!(row["tokens"], [12, 6][index]);
        let vector: Vec<f64> = serde_json::from_value(row["embedding"].clone()).unwrap();
        assert_eq!(vector, all[index]);
    }

    // One thread or two, and any instruction set, say the same.
    let isa = ondine(&["embed", "-m", &out, "--isa", "scalar", "-t", "2", texts[0]]).ok();
    assert!(cosine(&vectors(&isa)[0], &all[0]) > 0.999999);
}

#[test]
fn texts_come_from_lines_and_pipes() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let file = folder.file("texts.txt", "a cat\n\nhello there\n");
    let by_file = ondine(&["embed", "-m", &home, "--file", &file]).ok();
    let by_pipe = ondine_with("a cat\n\nhello there\n", &["embed", "-m", &home]).ok();
    let by_hand = ondine(&["embed", "-m", &home, "a cat", "", "hello there"]).ok();
    assert_eq!((&by_file, &by_pipe), (&by_hand, &by_hand));
    let error = ondine(&["embed", "-m", &home, "--file", &file, "a cat"]).fails(2);
    assert!(error.contains("--file"), "{error}");
    assert_eq!(ondine_with("", &["embed", "-m", &home]).ok(), "");
}

#[test]
fn pooling_and_length_are_chosen() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let embed = |more: &[&str]| {
        let arguments = [&["embed", "-m", &home][..], more, &["a cat"]].concat();
        vectors(&ondine(&arguments).ok()).remove(0)
    };
    let [mean, cls, last] =
        ["mean", "cls", "last"].map(|how| embed(&["--pooling", how, "--no-normalize"]));
    assert!(cosine(&mean, &cls) < 0.999 && cosine(&cls, &last) < 0.999);
    let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() > 1e-3, "{length}");
    // The folder says the mean.
    let unit: Vec<f64> = mean.iter().map(|x| x / length).collect();
    let own = embed(&[]);
    assert!(own.iter().zip(&unit).all(|(a, b)| (a - b).abs() < 1e-6));
    // One that says nothing is asked.
    fs::remove_file(Path::new(&home).join("modules.json")).unwrap();
    let error = ondine(&["embed", "-m", &home, "a cat"]).fails(1);
    assert!(error.contains("does not say") && error.contains("--pooling"), "{error}");
    assert_eq!(embed(&["--pooling", "mean", "--no-normalize"]), mean);
}

#[test]
fn a_long_text_is_refused_with_its_place_or_cut_where_asked() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let long = "a ".repeat(23);
    let fits = "a ".repeat(22);
    let ran = ondine(&["embed", "-m", &home, "a cat", &long]);
    let error = ran.fails(1);
    assert!(error.contains("text 2") && error.contains("25 tokens"), "{error}");
    assert!(error.contains("24 at once") && error.contains("--truncate"), "{error}");
    let file = folder.file("long.txt", format!("a\nb\n{long}\n"));
    let error = ondine(&["embed", "-m", &home, "--file", &file]).fails(1);
    assert!(error.contains("long.txt, line 3"), "{error}");
    let cut = ondine(&["embed", "-m", &home, "--truncate", &long]).ok();
    assert_eq!(cut, ondine(&["embed", "-m", &home, &fits]).ok());
}

#[test]
fn the_wrong_kind_of_model_is_told_which_command_is_right() {
    let folder = Folder::new();
    let bert = bert_folder(&folder);
    let llama = tiny_model(&folder);
    for arguments in [
        &["run", "-m", &bert, "hello"][..],
        &["logits", "-m", &bert, "--tokens", "1"],
        &["perplexity", "-m", &bert, "--file", &folder.file("t.txt", "hello")],
    ] {
        let error = ondine(arguments).fails(1);
        assert!(error.contains("encoder") && error.contains("`ondine embed`"), "{error}");
    }
    for model in [&llama, "droplet"] {
        let error = ondine(&["embed", "-m", model, "hello"]).fails(1);
        assert!(error.contains("decoder") && error.contains("`ondine run`"), "{error}");
    }
    let table = ondine(&["inspect", &bert]).ok();
    assert!(table.contains("memory for a context of 24 tokens"), "{table}");
    assert!(table.contains("together"), "{table}");
    let ids = ondine_with("a cat", &["tokenize", "-m", &bert]).ok();
    assert_eq!(ids, "4 6 30 49\n");
}

#[test]
fn weights_are_stored_as_asked() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let embed =
        |model: &str| vectors(&ondine(&["embed", "-m", model, "hello there"]).ok()).remove(0);
    let exact = embed(&home);
    // How near a vector of a small random model stays.
    for (name, least) in
        [("f32", 0.9999999), ("f16", 0.99999), ("bf16", 0.999), ("q8_0", 0.999), ("q4_0", 0.9)]
    {
        let out = folder.path(&format!("{name}.gguf"));
        ondine(&["import", &home, &out, "--type", name]).ok();
        let near = cosine(&embed(&out), &exact);
        assert!(near > least, "{name}: {near}");
        let inside = ondine(&["inspect", &out, "--json"]).json();
        let kind = |tensor: &str| {
            let all = inside["tensors"].as_array().unwrap();
            all.iter().find(|t| t["name"] == tensor).unwrap()["type"].clone()
        };
        assert_eq!(kind("blk.0.attn_q.weight"), name.to_uppercase());
        // Rows of 48 are no whole blocks of 32.
        let down = if name.starts_with('q') { "F32".to_string() } else { name.to_uppercase() };
        assert_eq!(kind("blk.0.ffn_down.weight"), down);
        for tensor in ["position_embd.weight", "token_types.weight", "blk.0.attn_q.bias"] {
            assert_eq!(kind(tensor), "F32", "{name} {tensor}");
        }
    }
}

#[test]
fn an_import_replaces_nothing_unasked_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let home = bert_folder(&folder);
    let out = folder.file("out.gguf", "old");
    let error = ondine(&["import", &home, &out]).fails(1);
    assert!(error.contains("is there already") && error.contains("--force"), "{error}");
    assert_eq!(fs::read(&out).unwrap(), b"old");
    ondine(&["import", &home, &out, "--force"]).ok();
    assert!(fs::read(&out).unwrap().starts_with(b"GGUF"));
    let whole = fs::read(&out).unwrap();
    // The same folder gives the same bytes.
    let again = folder.path("again.gguf");
    ondine(&["import", &home, &again]).ok();
    assert_eq!(fs::read(&again).unwrap(), whole);
    // One that fails leaves the old file and nothing else.
    folder.file("bert/modules.json", r#"[{"path":"2_Dense","type":"x.Dense"}]"#);
    let error = ondine(&["import", &home, &out, "--force"]).fails(1);
    assert!(error.contains("Dense"), "{error}");
    assert_eq!(fs::read(&out).unwrap(), whole);
    folder.file("bert/modules.json", MODULES);
    let error = ondine(&["import", &home, &folder.path("")]).fails(1);
    assert!(error.contains("folder"), "{error}");
    let error = ondine(&["import", &home, &folder.path("none/out.gguf")]).fails(1);
    assert!(error.contains("none"), "{error}");
    let names: Vec<String> = fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("part"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn folders_that_cannot_be_imported_say_why() {
    let folder = Folder::new();
    let llama = model_folder(&folder);
    let out = folder.path("out.gguf");
    let error = ondine(&["import", &llama, &out]).fails(1);
    assert!(error.contains("tokenizer.json") && error.contains("WordPiece"), "{error}");
    folder.file("folder/tokenizer.json", r#"{"model":{"type":"BPE","vocab":{},"merges":[]}}"#);
    let error = ondine(&["import", &llama, &out]).fails(1);
    assert!(error.contains("BPE"), "{error}");
    // The same folder still runs by ids.
    ondine(&["logits", "-m", &llama, "--tokens", "1,2"]).ok();
    let error = ondine(&["import", &folder.file("f.gguf", "GGUF"), &out]).fails(1);
    assert!(error.contains("is no folder"), "{error}");
    let error = ondine(&["import", &folder.path("absent"), &out]).fails(1);
    assert!(error.contains("absent"), "{error}");

    let home = bert_folder(&folder);
    let secret = folder.file("secret.json", r#"{"pooling_mode_mean_tokens":true}"#);
    for (file, content, words) in [
        ("bert/tokenizer_config.json", r#"{"do_lower_case":false}"#, "do_lower_case"),
        ("bert/vocab.txt", "a\nb\n", "[CLS]"),
        ("bert/1_Pooling/config.json", r#"{"pooling_mode_max_tokens":true}"#, "max"),
        ("bert/modules.json", r#"[{"path":"../..","type":"x.Pooling"}]"#, "../.."),
        ("bert/modules.json", "{", "modules.json"),
        ("bert/config.json", "{}", "model_type"),
        ("bert/model.safetensors", "", "safetensors"),
    ] {
        bert_folder(&folder);
        folder.file(file, content);
        let error = ondine(&["import", &home, &out]).fails(1);
        assert!(error.contains(words), "{file} {content}: {error}");
        assert!(!Path::new(&out).exists());
    }
    #[cfg(unix)]
    for name in ["bert/vocab.txt", "bert/modules.json", "bert/1_Pooling/config.json"] {
        bert_folder(&folder);
        fs::remove_file(folder.path(name)).unwrap();
        std::os::unix::fs::symlink(&secret, folder.path(name)).unwrap();
        let error = ondine(&["import", &home, &out]).fails(1);
        assert!(error.contains("not a file of the folder"), "{name}: {error}");
        fs::remove_file(folder.path(name)).unwrap();
    }
    let _ = secret;
}

/// Texts, tokens and vectors of a real model, made by `bench/embed.py reference` from the folder
/// of all-MiniLM-L6-v2 and put into it as `reference.jsonl`. The folder is named by
/// `ONDINE_MINILM`, or lies beside the checkout.
#[test]
fn a_real_model_agrees_with_its_reference() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/minilm").to_string();
    let home = std::env::var("ONDINE_MINILM").unwrap_or(beside);
    let Ok(reference) = fs::read_to_string(Path::new(&home).join("reference.jsonl")) else {
        eprintln!("skipped: there is no {home}/reference.jsonl; ONDINE_MINILM names its folder");
        return;
    };
    let rows: Vec<serde_json::Value> =
        reference.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 200, "{} texts are too few", rows.len());
    let folder = Folder::new();
    let out = folder.path("minilm.gguf");
    ondine(&["import", &home, &out]).ok();
    let texts: String =
        rows.iter().map(|row| format!("{}\n", row["text"].as_str().unwrap())).collect();
    let file = folder.file("texts.txt", texts);
    let got = ondine(&["embed", "-m", &out, "--json", "--file", &file]).ok();
    let mut least = f64::INFINITY;
    for (line, row) in got.lines().zip(&rows) {
        let got: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(got["tokens"], row["tokens"], "{}", row["text"]);
        let vector = |row: &serde_json::Value| -> Vec<f64> {
            serde_json::from_value(row["embedding"].clone()).unwrap()
        };
        let near = cosine(&vector(&got), &vector(row));
        assert!(near >= 0.9999, "{near}: {}", row["text"]);
        least = least.min(near);
    }
    assert_eq!(got.lines().count(), rows.len());
    eprintln!("{} texts, the least cosine is {least:.7}", rows.len());
}
