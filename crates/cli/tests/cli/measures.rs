//! `ondine inspect`, `logits`, `perplexity` and `bench`: what they print and in which form.

use crate::support::{
    CONTEXT, FOLDER_VOCAB, Folder, command, finish, model_folder, ondine, ondine_with, shared,
    tiny_model,
};

#[test]
fn inspect_tells_people_and_programs() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let table = ondine(&["inspect", &model, "--ctx", "64"]).ok();
    for part in
        ["general.architecture", "token_embd.weight", "F32", "parameters", "context of 64 tokens"]
    {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
    assert!(!table.contains('\u{1b}'), "a name recolours the terminal");
    assert!(table.contains("\\u{1b}[31mred"), "{table}");

    let object = ondine(&["inspect", &model, "--json"]).json();
    assert_eq!(object["metadata"]["general.architecture"], "llama");
    assert_eq!(object["memory"]["ctx"], CONTEXT);
    let tensors = object["tensors"].as_array().unwrap();
    let bytes: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    assert_eq!(object["bytes_by_type"]["F32"], bytes);
    assert_eq!(object["parameters"], bytes / 4);
    assert_eq!(object["memory"]["weights_bytes"], bytes);
    // Two layers, one head of keys and one of values, 16 wide, two bytes each.
    assert_eq!(object["memory"]["kv_bytes"], 2 * 2 * 16 * 2 * u64::from(CONTEXT));
    // As bytes: one each, and a scale of four.
    let object = ondine(&["inspect", &model, "--kv", "int8", "--json"]).json();
    assert_eq!(object["memory"]["kv_bytes"], 2 * 2 * (16 + 4) * u64::from(CONTEXT));
}

#[test]
fn keys_and_values_are_stored_as_asked() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let logits = |kv: &[&str]| -> Vec<f64> {
        let line = [&["logits", "-m", &model, "--tokens", "1,100,101,102,103,104"], kv].concat();
        serde_json::from_value(ondine(&line).json()).unwrap()
    };
    let (floats, bytes) = (logits(&[]), logits(&["--kv", "int8"]));
    assert_eq!(logits(&["--kv", "f16"]), floats, "16-bit floats are the default");
    assert_ne!(bytes, floats);
    let text = folder.file("text", "a story of a dog. ".repeat(40));
    for (line, refused) in [
        (&["run", "-m", &model, "--raw", "-n", "3", "a dog"][..], false),
        (&["perplexity", "-m", &model, "--file", &text, "--ctx", "16"], false),
        (&["bench", "-m", &model, "-p", "8", "-n", "2", "-r", "1", "--depth", "20"], false),
        (&["embed", "-m", &model, "a"], true),
    ] {
        let code = |kv| ondine(&[line, &["--kv", kv]].concat()).code;
        assert_eq!(code("int8"), if refused { 2 } else { 0 }, "{line:?}");
        for hostile in ["int4", "", "INT8", "-1", "f16,int8"] {
            assert_eq!(code(hostile), 2, "{line:?} --kv {hostile}");
        }
    }
}

#[test]
fn logits_are_a_list_of_the_vocabulary() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let list = ondine(&["logits", "-m", &model, "--tokens", "1,100,101"]).json();
    let object = ondine(&["inspect", &model, "--json"]).json();
    let vocab = object["metadata"]["tokenizer.ggml.tokens"].as_array().unwrap().len();
    assert_eq!(list.as_array().unwrap().len(), vocab);
    assert!(list.as_array().unwrap().iter().all(serde_json::Value::is_number));
}

#[test]
fn a_hugging_face_folder_is_a_model() {
    let folder = Folder::new();
    let home = model_folder(&folder);
    let list = ondine(&["logits", "-m", &home, "--tokens", "1,2,3"]).json();
    assert_eq!(list.as_array().unwrap().len(), FOLDER_VOCAB);
    let object = ondine(&["inspect", &home, "--json"]).json();
    assert_eq!(object["metadata"]["general.architecture"], "llama");
    assert_eq!(object["memory"]["ctx"], 128);
    // Text needs a tokenizer, which does not come with it yet.
    let complaint = ondine(&["run", "-m", &home, "hello"]).fails(1);
    assert!(complaint.contains("tokenizer") && complaint.contains("hint: "), "{complaint}");
}

#[test]
fn the_same_on_every_instruction_set() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let logits = |isa: &str| -> Vec<f32> {
        let list = ondine(&["logits", "-m", &model, "--tokens", "1,100,101", "--isa", isa]).json();
        serde_json::from_value(list).unwrap()
    };
    let judge = logits("scalar");
    for isa in ondine_tensor::Isa::available() {
        for (at, (x, y)) in logits(isa.name()).iter().zip(&judge).enumerate() {
            // Sums in another order: a few rounding errors of values around one.
            assert!((x - y).abs() < 1e-4, "{isa} says {x} of token {at}, scalar says {y}");
        }
    }
}

#[test]
fn perplexity_has_an_error() {
    let Some(stories) = shared("data/stories260k.gguf") else { return };
    let folder = Folder::new();
    let text = "Once upon a time, there was a little girl named Lily. She loved to play outside. ";
    let text = folder.file("text", text.repeat(8));
    let arguments = ["perplexity", "-m", &stories, "--file", &text, "--ctx", "64"];
    let object = ondine(&[&arguments[..], &["--json"]].concat()).json();
    let ppl = object["perplexity"].as_f64().unwrap();
    let error = object["standard_error"].as_f64().unwrap();
    assert!(ppl > 1.0 && ppl < 50.0, "a text of its own kind: {ppl}");
    assert!(error > 0.0 && error < ppl, "{error}");
    assert_eq!(object["ctx"], 64);
    let line = ondine(&arguments).ok();
    assert_eq!(line, format!("{ppl:.4} ± {error:.4}\n"));
    let text = std::fs::read_to_string(&text).unwrap();
    let piped = ondine_with(&text, &["perplexity", "-m", &stories, "--ctx", "64"]).ok();
    assert_eq!(piped, line);
    let complaint = ondine(&["perplexity", "-m", &stories]).fails(1);
    assert!(complaint.contains("standard input: has 0 tokens"), "{complaint}");
}

#[test]
fn bench_reports_medians_with_their_samples() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let arguments = [
        "bench", "-m", &model, "-p", "16", "-n", "4", "-t", "1", "-r", "3", "--depth", "8",
        "--json",
    ];
    let object = ondine(&arguments).json();
    for kind in ["prompt", "decode"] {
        let mut samples: Vec<f64> =
            serde_json::from_value(object[format!("{kind}_samples")].clone()).unwrap();
        samples.sort_by(f64::total_cmp);
        assert_eq!(samples.len(), 3);
        assert_eq!(object[format!("{kind}_tokens_per_s")].as_f64(), Some(samples[1]));
        let probes = object[format!("{kind}_probes")].as_array().unwrap();
        assert_eq!(probes.len(), 3);
        for probe in probes {
            assert!(probe["read_gb_per_s"].as_f64().unwrap() > 0.0, "{probe}");
            assert!(probe["int8_gmac_per_s"].as_f64().unwrap() > 0.0, "{probe}");
        }
    }
    assert!(object["load_s"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        assert!(object["peak_rss_mib"].as_f64().unwrap() > 1.0);
    }
    let complaint = ondine(&["bench", "-m", &model, "-p", "2000000"]).fails(2);
    assert!(
        complaint.contains("2000000") && complaint.contains(&CONTEXT.to_string()),
        "{complaint}"
    );
}

/// Cores are measured once and kept; a slow one gets no thread unless somebody asks for it.
#[test]
#[cfg(target_os = "linux")]
fn slow_cores_get_no_thread() {
    let folder = Folder::new();
    let (model, home) = (tiny_model(&folder), folder.path("home"));
    let threads = |asked: &[&str]| {
        let line = [&["bench", "-m", &model, "-p", "1", "-n", "0", "-r", "1", "--json"], asked];
        let output = command(&line.concat()).env("ONDINE_HOME", &home).output().unwrap();
        finish(output).json()["threads"].as_u64().unwrap()
    };
    let free = threads(&[]);
    assert_eq!(threads(&["--threads", "auto"]), free);
    let kept = std::path::Path::new(&home).join("cores.json");
    let Ok(text) = std::fs::read_to_string(&kept) else {
        println!("skipped: this machine gives the test a single core");
        return;
    };
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rates = file["rates"].as_array_mut().unwrap();
    rates.fill(0.3.into());
    rates[0] = 1.0.into();
    std::fs::write(&kept, file.to_string()).unwrap();
    assert_eq!(threads(&[]), 1, "the others were found to be slow");
    assert_eq!(threads(&["--threads", "2"]), 2, "what is asked for is done");
    // What was not written here is not believed.
    std::fs::write(&kept, text.replace("rates", "x")).unwrap();
    assert_eq!(threads(&[]), free);
}
