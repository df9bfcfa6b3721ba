//! What is refused, and that the refusal says what, where and what was wanted.

use ondine_cache::Cache;
use ondine_format::Value;
use ondine_model::{BATCH, ModelError, Want, architectures, load, plan};
use ondine_tensor::{Cpu, Isa};

#[path = "support/tiny.rs"]
mod tiny;
use tiny::Tiny;

fn with(tiny: Tiny, key: &str, value: impl Into<Value>) -> Tiny {
    let mut tiny = tiny;
    tiny.more.push((key.into(), value.into()));
    tiny
}

fn refusal(tiny: &Tiny) -> ModelError {
    load(&tiny.file()).err().expect("a refusal")
}

#[test]
fn an_unknown_architecture_is_named_with_those_that_are_known() {
    let tiny = Tiny { architecture: "mamba", ..Tiny::llama() };
    for error in [refusal(&tiny), plan(&tiny.file(), 8).unwrap_err()] {
        let text = error.to_string();
        assert!(matches!(error, ModelError::Architecture { .. }), "{text}");
        assert!(text.contains("mamba"), "{text}");
        assert!(architectures().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn parts_that_are_not_supported_are_named() {
    let llama = Tiny::llama;
    let rows = [
        (
            with(with(llama(), "llama.expert_count", 8u32), "llama.expert_used_count", 2u32),
            "experts",
        ),
        (with(llama(), "llama.rope.scaling.type", "yarn"), "yarn"),
    ];
    for (tiny, wanted) in rows {
        let text = refusal(&tiny).to_string();
        assert!(text.contains(wanted) && text.contains("llama"), "{wanted}: {text}");
    }
}

#[test]
fn a_tensor_that_would_be_ignored_is_an_error() {
    let tiny = Tiny::llama();
    let mut tensors = tiny.tensors();
    tensors.push(("blk.0.attn_q_norm.weight".into(), vec![8], vec![1.0; 8]));
    let error = load(&tiny::read(tiny::write(&tiny.metadata(), &tensors))).err().unwrap();
    assert_eq!(
        error.to_string(),
        "llama has no place for 1 tensors of this file, such as \"blk.0.attn_q_norm.weight\""
    );
}

#[test]
fn a_missing_or_misshapen_tensor_is_named() {
    let tiny = Tiny::llama();
    for (i, (name, dims, data)) in tiny.tensors().into_iter().enumerate() {
        let mut tensors = tiny.tensors();
        tensors.remove(i);
        let result = load(&tiny::read(tiny::write(&tiny.metadata(), &tensors)));
        // Without a head of its own the model ties the head to the embedding.
        if name != "output.weight" {
            let text = result.err().expect("a refusal").to_string();
            assert!(text.contains(&name), "{name}: {text}");
        }
        // One row (or float) more than there should be.
        let width = if dims.len() == 1 { 1 } else { dims[0] };
        let more: Vec<usize> = match dims[..] {
            [len] => vec![len + 1],
            [cols, rows] => vec![cols, rows + 1],
            _ => unreachable!(),
        };
        tensors.insert(i, (name.clone(), more, [data, vec![0.0; width]].concat()));
        let text = load(&tiny::read(tiny::write(&tiny.metadata(), &tensors)))
            .err()
            .expect("a refusal")
            .to_string();
        assert!(text.contains(&name), "{name}: {text}");
    }
}

#[test]
fn tokens_and_positions_out_of_range_leave_the_cache_alone() {
    let tiny = Tiny::gpt2();
    let model = load(&tiny.file()).unwrap();
    let cpu = Cpu::new(1, Isa::best());
    let mut cache = Cache::new(model.shape().cache());
    model.forward(&cpu, &[1, 2, 3], &mut cache, Want::None).unwrap();
    let bytes = cache.bytes();
    let error = model.forward(&cpu, &[4, 40], &mut cache, Want::Last).unwrap_err();
    assert_eq!(error.to_string(), "token 40 is not in the vocabulary of 40");
    let error = model.forward(&cpu, &[0; 94], &mut cache, Want::Last).unwrap_err();
    assert_eq!(error.to_string(), "97 positions are needed, the model has 96");
    assert_eq!((cache.len(), cache.bytes()), (3, bytes));
    let logits = model.forward(&cpu, &[], &mut cache, Want::Last).unwrap();
    assert_eq!((logits.count(), cache.len()), (0, 3));
}

#[test]
fn a_sliding_window_is_where_the_context_ends() {
    let tiny = with(Tiny::llama(), "llama.attention.sliding_window", 32u32);
    let file = tiny.file();
    let model = load(&file).unwrap();
    assert_eq!((model.shape().context, model.shape().window), (32, Some(32)));
    let mut cache = Cache::new(model.shape().cache());
    let cpu = Cpu::new(1, Isa::best());
    let error = model.forward(&cpu, &[0; 33], &mut cache, Want::None).unwrap_err();
    assert!(matches!(error, ModelError::Context { needed: 33, context: 32, window: Some(32) }));
    assert!(error.to_string().contains("slides"), "{error}");
    assert!(matches!(plan(&file, 33), Err(ModelError::Context { window: Some(32), .. })));
    // A window as wide as the context never slides.
    let wide = with(Tiny::llama(), "llama.attention.sliding_window", 96u32);
    assert_eq!(load(&wide.file()).unwrap().shape().window, None);
}

#[test]
fn the_plan_is_what_the_parts_take() {
    let tiny = Tiny::qwen3();
    let file = tiny.file();
    let weights: usize = tiny.tensors().iter().map(|(_, _, data)| data.len() * 4).sum();
    let made = plan(&file, 33).unwrap();
    assert_eq!(made.weights_bytes, weights);
    let model = load(&file).unwrap();
    let mut cache = Cache::new(model.shape().cache());
    cache.reserve(33).unwrap();
    assert_eq!(made.kv_bytes, cache.bytes());
    let per_row = 2 * (32 + 48) + 2 * 4 * 16 + 3 * 2 * 16;
    assert_eq!(made.scratch_bytes, 4 * (per_row * 33.min(BATCH) + 40 + 16 * 33));
    assert_eq!(made.total(), Some(made.weights_bytes + made.kv_bytes + made.scratch_bytes));
}
