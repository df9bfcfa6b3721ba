//! What is refused, and that the refusal says what, where and what was wanted.

use ondine_cache::{Cache, CacheShape, KvType};
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
    for error in [refusal(&tiny), plan(&tiny.file(), 8, KvType::F16).unwrap_err()] {
        let text = error.to_string();
        assert!(matches!(error, ModelError::Architecture { .. }), "{text}");
        assert!(text.contains("mamba"), "{text}");
        assert!(architectures().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn parts_that_are_not_supported_are_named() {
    let set = |tiny: Tiny, key: &str, value: Value| {
        let key = format!("{}.{key}", tiny.architecture);
        with(tiny, &key, value)
    };
    let experts =
        |tiny: Tiny| set(set(tiny, "expert_count", 8u32.into()), "expert_used_count", 2u32.into());
    let window = |tiny: Tiny| Tiny { window: Some(32), ..tiny };
    let spiral = set(Tiny::llama(), "rope.scaling.type", "spiral".into());
    let mut rows = vec![
        (spiral, "spiral"),
        (Tiny { experts: None, ..Tiny::qwen3moe() }, "no experts"),
        (set(Tiny::gemma3(), "residual_scale", 0.5f32.into()), "scales"),
        (Tiny { rope_long: true, rope_linear: Some(2.0), ..Tiny::phi3() }, "lists of divisors"),
    ];
    for tiny in Tiny::families() {
        let name = tiny.architecture;
        if tiny.experts.is_none() && name != "llama" {
            rows.push((experts(tiny.clone()), "experts"));
        }
        if ["qwen2", "qwen3", "qwen3moe", "granite", "gpt2"].contains(&name) {
            rows.push((window(tiny.clone()), "window of 32"));
        }
        if !["gemma3", "granite"].contains(&name) {
            rows.push((set(tiny.clone(), "logit_scale", 2f32.into()), "scaled"));
            rows.push((Tiny { logit_cap: Some(9.0), ..tiny }, "bounded"));
        }
    }
    for (tiny, wanted) in rows {
        let text = refusal(&tiny).to_string();
        assert!(text.contains(wanted) && text.contains(tiny.architecture), "{wanted}: {text}");
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
    let long = Tiny { rope_long: true, original: Some(32), ..Tiny::phi3() };
    for tiny in Tiny::families().into_iter().chain([long]) {
        check_each_tensor(&tiny);
    }
}

fn check_each_tensor(tiny: &Tiny) {
    for (i, (name, dims, data)) in tiny.tensors().into_iter().enumerate() {
        let mut tensors = tiny.tensors();
        tensors.remove(i);
        let result = load(&tiny::read(tiny::write(&tiny.metadata(), &tensors)));
        // Without a head of its own the model ties the head to the embedding.
        let optional = tiny.architecture == "llama" && name.ends_with("bias");
        if name != "output.weight" && !optional {
            let text = result.err().expect("a refusal").to_string();
            assert!(text.contains(&name), "{name}: {text}");
        }
        // One row (or float, or expert) more than there should be.
        let (last, width) = dims.split_last().unwrap();
        let more = [width, &[last + 1]].concat();
        let room = vec![0.0; width.iter().product()];
        tensors.insert(i, (name.clone(), more, [data, room].concat()));
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
fn experts_of_another_shape_are_named() {
    let tiny = Tiny::mixtral();
    let name = "blk.1.ffn_up_exps.weight";
    let tensors = tiny.tensors();
    let at = tensors.iter().position(|(other, ..)| other == name).unwrap();
    let shapes: [(&[usize], &str); 5] = [
        (&[32, 48, 3], "should be [32, 48, 4], found [32, 48, 3]"),
        (&[48, 32, 4], "should be [32, 48, 4], found [48, 32, 4]"),
        (&[32, 192], "expected three dimensions"),
        (&[32, 48, 2, 2], "expected three dimensions"),
        (&[1, 3, 2048], "the last at most 1024"),
    ];
    for (dims, wanted) in shapes {
        let mut tensors = tensors.clone();
        tensors[at] = (name.into(), dims.to_vec(), vec![0.0; dims.iter().product()]);
        let file = tiny::read(tiny::write(&tiny.metadata(), &tensors));
        let text = load(&file).err().expect("a refusal").to_string();
        assert!(text.contains(name) && text.contains(wanted), "{dims:?}: {text}");
    }
}

#[test]
fn a_window_does_not_end_the_context() {
    let tiny = with(Tiny::llama(), "llama.attention.sliding_window", 32u32);
    let file = tiny.file();
    let model = load(&file).unwrap();
    assert_eq!(model.shape().context, 96);
    let mut cache = Cache::new(model.shape().cache());
    let cpu = Cpu::new(1, Isa::best());
    model.forward(&cpu, &[0; 96], &mut cache, Want::None).unwrap();
    assert!(plan(&file, 96, KvType::F16).is_ok());
    // A timeline that was said to stay short does.
    let mut cache = Cache::with_horizon(model.shape().cache(), 20);
    let error = model.forward(&cpu, &[0; 21], &mut cache, Want::None).unwrap_err();
    assert!(matches!(error, ModelError::Context { needed: 21, context: 20 }), "{error}");
}

#[test]
fn the_plan_is_what_the_parts_take() {
    let tiny = Tiny::qwen3();
    let file = tiny.file();
    let weights: usize = tiny.tensors().iter().map(|(_, _, data)| data.len() * 4).sum();
    let made = plan(&file, 33, KvType::F16).unwrap();
    assert_eq!(made.weights_bytes, weights);
    let model = load(&file).unwrap();
    let mut cache = Cache::new(model.shape().cache());
    cache.reserve(33).unwrap();
    assert_eq!(made.kv_bytes, cache.bytes());
    let bytes = CacheShape { kv: KvType::Int8, ..model.shape().cache() };
    let (mut cache, halves) = (Cache::new(bytes), cache.bytes());
    cache.reserve(33).unwrap();
    assert_eq!(plan(&file, 33, KvType::Int8).unwrap().kv_bytes, cache.bytes());
    // A byte and a quarter for every two: a scale of four bytes for each sixteen dimensions.
    assert_eq!(cache.bytes() * 8, halves * 5);
    let per_row = 2 * (32 + 48) + 2 * 4 * 16 + 3 * 2 * 16;
    assert_eq!(made.scratch_bytes, 4 * (per_row * 33.min(BATCH) + 40 + 16 * 33));
    // Experts need rows of their own.
    let tiny = Tiny::qwen3moe();
    let moe = plan(&tiny.file(), 33, KvType::F16).unwrap().scratch_bytes;
    let per_row = 2 * (32 + 24) + 2 * 4 * 16 + 3 * 2 * 16 + 3 * 32 + 8;
    assert_eq!(moe, 4 * (per_row * 33 + 40 + 16 * 33));
    assert_eq!(made.total(), Some(made.weights_bytes + made.kv_bytes + made.scratch_bytes));
}
