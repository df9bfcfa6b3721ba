//! FF-15 and FF-16: numbers that no model can be built from, each with the key that is named.

mod corpus;

use ondine_format::{
    Array, Experts, FormatError, Hparams, Metadata, RopeScaling, Scales, Value, Windowed, gguf,
};
use ondine_tensor::Bytes;

/// A small llama of three tokens.
fn llama() -> Metadata {
    let mut metadata = Metadata::new();
    let rows: Vec<(&str, Value)> = vec![
        ("general.architecture", "llama".into()),
        ("llama.block_count", 2u32.into()),
        ("llama.embedding_length", 64u32.into()),
        ("llama.attention.head_count", 8u32.into()),
        ("llama.attention.head_count_kv", 4u32.into()),
        ("llama.feed_forward_length", 172u32.into()),
        ("llama.context_length", 512u32.into()),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5f32.into()),
        ("tokenizer.ggml.tokens", vec!["a".to_owned(), "b".to_owned(), "c".to_owned()].into()),
        ("tokenizer.ggml.scores", vec![0f32, 1.0, 2.0].into()),
        ("tokenizer.ggml.token_type", vec![1i32, 1, 3].into()),
        ("tokenizer.ggml.bos_token_id", 2u32.into()),
    ];
    for (key, value) in rows {
        metadata.insert(key, value).unwrap();
    }
    metadata
}

#[test]
fn a_small_llama_reads() {
    let hparams = Hparams::read(&llama()).unwrap();
    assert_eq!(hparams.architecture, "llama");
    assert_eq!((hparams.layers, hparams.width, hparams.ff), (2, 64, 172));
    assert_eq!((hparams.heads, hparams.kv_heads), (8, 4));
    assert_eq!((hparams.head_dim, hparams.value_dim, hparams.rope_dims), (8, 8, 8));
    assert_eq!((hparams.vocab, hparams.context), (3, 512));
    assert_eq!((hparams.rope_base, hparams.norm_eps), (10_000.0, 1e-5));
    assert_eq!(hparams.rope_scaling, RopeScaling::None);
    assert_eq!((hparams.sliding_window, hparams.experts), (None, None));
}

#[test]
fn other_ways_of_saying_the_same() {
    let with = |changes: &[(&str, Value)]| {
        let mut metadata = llama();
        for (key, value) in changes {
            metadata.set(*key, value.clone()).unwrap();
        }
        Hparams::read(&metadata).unwrap()
    };
    // Any integer type, and one number for all layers.
    assert_eq!(with(&[("llama.block_count", 2u64.into())]).layers, 2);
    assert_eq!(with(&[("llama.feed_forward_length", vec![8u32, 8].into())]).ff, 8);
    assert_eq!(with(&[("llama.attention.key_length", 16u8.into())]).head_dim, 16);
    assert_eq!(with(&[("llama.attention.sliding_window", 0u32.into())]).sliding_window, None);
    assert_eq!(with(&[("llama.attention.sliding_window", 9u32.into())]).sliding_window, Some(9));
    assert_eq!(with(&[("llama.expert_count", 0u32.into())]).experts, None);
    let experts =
        with(&[("llama.expert_count", 8u32.into()), ("llama.expert_used_count", 2u32.into())]);
    assert_eq!(experts.experts, Some(Experts { count: 8, used: 2, ff: 172 }));
    let linear = RopeScaling::Linear { factor: 4.0 };
    let kind = ("llama.rope.scaling.type", Value::from("linear"));
    let factor = ("llama.rope.scaling.factor", Value::from(4f32));
    assert_eq!(with(&[kind, factor.clone()]).rope_scaling, linear);
    assert_eq!(with(&[("llama.rope.scale_linear", 4f32.into())]).rope_scaling, linear);
    let kind = |kind: &str| ("llama.rope.scaling.type", Value::from(kind));
    let yarn = |more: &[(&str, Value)]| {
        let all = [&[kind("yarn"), factor.clone()], more].concat();
        with(&all).rope_scaling
    };
    let wanted = RopeScaling::Yarn { factor: 4.0, fast: 32.0, slow: 1.0 };
    assert_eq!(yarn(&[]), wanted);
    // What writers put where nothing was chosen, and the magnitude that follows from the factor.
    assert_eq!(yarn(&[("llama.rope.scaling.yarn_ext_factor", (-1f32).into())]), wanted);
    assert_eq!(yarn(&[("llama.rope.scaling.yarn_attn_factor", 1f32.into())]), wanted);
    assert_eq!(yarn(&[("llama.rope.scaling.yarn_attn_factor", 1.1386f32.into())]), wanted);
    assert_eq!(
        yarn(&[
            ("llama.rope.scaling.yarn_beta_fast", 16f32.into()),
            ("llama.rope.scaling.yarn_beta_slow", 2f32.into()),
        ]),
        RopeScaling::Yarn { factor: 4.0, fast: 16.0, slow: 2.0 }
    );
    assert_eq!(with(&[kind("longrope")]).rope_scaling, RopeScaling::Long);
    let other = RopeScaling::Other { kind: "spiral".into(), factor: 4.0 };
    assert_eq!(with(&[kind("spiral"), factor]).rope_scaling, other);
    let ntk = with(&[("llama.rope.scaling.alpha", 8f32.into())]);
    assert_eq!(ntk.rope_scaling, RopeScaling::Ntk { alpha: 8.0 });
    assert_eq!(with(&[]).original_context, 512);
    let long = with(&[
        ("llama.rope.scaling.original_context_length", 64u32.into()),
        ("llama.rope.scaling.attn_factor", 1.25f32.into()),
    ]);
    assert_eq!((long.original_context, long.rope_magnitude), (64, 1.25));
    let pattern = "llama.attention.sliding_window_pattern";
    assert_eq!(with(&[(pattern, 3u32.into())]).windowed, Some(Windowed::Period(3)));
    let layers = with(&[(pattern, Value::Array(Array::Bool(vec![true, false])))]).windowed;
    assert_eq!(layers, Some(Windowed::Layers(vec![true, false])));
    let has = |period| (0..4).map(|layer| Windowed::Period(period).has(layer)).collect::<Vec<_>>();
    assert_eq!(has(0), [true; 4]);
    assert_eq!(has(1), [false; 4]);
    assert_eq!(has(3), [true, true, false, true]);
    let expert = with(&[
        ("llama.expert_count", 8u32.into()),
        ("llama.expert_used_count", 2u32.into()),
        ("llama.expert_feed_forward_length", 24u32.into()),
    ]);
    assert_eq!(expert.experts, Some(Experts { count: 8, used: 2, ff: 24 }));
    let scales = with(&[
        ("llama.embedding_scale", 12f32.into()),
        ("llama.residual_scale", 0f32.into()),
        ("llama.attention.scale", 0.5f32.into()),
        ("llama.logit_scale", 8f32.into()),
        ("llama.final_logit_softcapping", 30f32.into()),
    ]);
    let (embedding, attention, logits) = (Some(12.0), Some(0.5), Some(8.0));
    assert_eq!(scales.scales, Scales { embedding, residual: None, attention, logits });
    assert_eq!(scales.logit_cap, Some(30.0));
    // A width that its heads do not divide is fine where the width of a head is given.
    let odd = with(&[
        ("llama.embedding_length", 63u32.into()),
        ("llama.attention.key_length", 8u32.into()),
    ]);
    assert_eq!((odd.width, odd.head_dim), (63, 8));
}

/// What to set, and words of the message.
#[test]
fn bad_numbers_name_their_key() {
    let rows: Vec<(&str, Value, &str)> = vec![
        ("llama.block_count", 0u32.into(), "\"llama.block_count\" is 0, expected 1 to 512 layers"),
        ("llama.block_count", 513u32.into(), "is 513, expected 1 to 512"),
        ("llama.block_count", u32::MAX.into(), "is 4294967295, expected 1 to 512"),
        ("llama.block_count", "2".into(), "\"llama.block_count\" is string, expected an integer"),
        ("llama.block_count", 2f32.into(), "is f32, expected an integer"),
        ("llama.block_count", (-1i32).into(), "is i32 -1, expected an integer"),
        ("llama.attention.head_count", 0u32.into(), "head_count\" is 0"),
        (
            "llama.attention.head_count",
            7u32.into(),
            "head_count_kv\" is 4, expected a number that divides the 7",
        ),
        (
            "llama.attention.head_count",
            12u32.into(),
            "head_count\" is 12, expected a number that divides the width 64",
        ),
        (
            "llama.attention.head_count",
            vec![8u32, 4].into(),
            "an array of 2, expected the same number for each of 2 layers",
        ),
        (
            "llama.attention.head_count",
            vec![8u32].into(),
            "an array of 1, expected the same number for each of 2 layers",
        ),
        ("llama.attention.head_count_kv", 0u32.into(), "head_count_kv\" is 0"),
        (
            "llama.attention.head_count_kv",
            16u32.into(),
            "head_count_kv\" is 16, expected a number that divides the 8",
        ),
        ("llama.attention.head_count_kv", 3u32.into(), "head_count_kv\" is 3"),
        (
            "llama.context_length",
            (1u64 << 63).into(),
            "context_length\" is 9223372036854775808, expected 1 to 16777216",
        ),
        ("llama.context_length", 0u32.into(), "context_length\" is 0"),
        (
            "llama.rope.dimension_count",
            7u32.into(),
            "dimension_count\" is 7, expected an even number, at most 8",
        ),
        (
            "llama.rope.dimension_count",
            10u32.into(),
            "dimension_count\" is 10, expected an even number, at most 8",
        ),
        (
            "llama.attention.key_length",
            7u32.into(),
            "dimension_count\" is 7, expected an even number",
        ),
        (
            "llama.rope.freq_base",
            0f32.into(),
            "freq_base\" is 0, expected a finite number above zero",
        ),
        ("llama.rope.freq_base", f32::NAN.into(), "freq_base\" is NaN"),
        ("llama.rope.freq_base", f32::INFINITY.into(), "freq_base\" is inf"),
        ("llama.rope.scaling.factor", (-2f32).into(), "factor\" is -2"),
        ("llama.attention.layer_norm_rms_epsilon", 0f32.into(), "epsilon\" is 0"),
        ("llama.attention.layer_norm_rms_epsilon", f32::NAN.into(), "epsilon\" is NaN"),
        (
            "llama.attention.layer_norm_rms_epsilon",
            2f32.into(),
            "epsilon\" is 2, expected at most 1",
        ),
        ("llama.attention.layer_norm_rms_epsilon", 1u32.into(), "is u32 1, expected f32"),
        ("llama.rope.freq_base_swa", 0f32.into(), "freq_base_swa\" is 0"),
        ("llama.rope.scaling.attn_factor", f32::NAN.into(), "attn_factor\" is NaN"),
        ("llama.rope.scaling.alpha", (-1f32).into(), "alpha\" is -1"),
        (
            "llama.rope.scaling.original_context_length",
            0u32.into(),
            "original_context_length\" is 0, expected 1 to 16777216",
        ),
        ("llama.embedding_scale", f32::INFINITY.into(), "embedding_scale\" is inf"),
        ("llama.residual_scale", (-1f32).into(), "residual_scale\" is -1"),
        ("llama.attention.scale", f32::NAN.into(), "attention.scale\" is NaN"),
        ("llama.logit_scale", (-8f32).into(), "logit_scale\" is -8"),
        ("llama.final_logit_softcapping", (-1f32).into(), "softcapping\" is -1"),
        (
            "llama.attention.sliding_window_pattern",
            513u32.into(),
            "sliding_window_pattern\" is 513, expected 1 to 512 layers",
        ),
        (
            "llama.attention.sliding_window_pattern",
            Value::Array(Array::Bool(vec![true; 3])),
            "is an array of 3 bool, expected a bool for each of 2 layers",
        ),
        (
            "llama.attention.sliding_window_pattern",
            vec![1u32, 0].into(),
            "is an array of 2 u32, expected a bool for each of 2 layers",
        ),
        ("llama.expert_count", 8u32.into(), "\"llama.expert_used_count\" is missing"),
        ("llama.expert_used_count", 2u32.into(), "expert_used_count\" is 2, expected 0"),
        // FF-16
        (
            "tokenizer.ggml.scores",
            vec![0u8; 3].into(),
            "\"tokenizer.ggml.scores\" is array of 3 u8, expected array of f32",
        ),
        (
            "tokenizer.ggml.scores",
            vec![0f32; 2].into(),
            "an array of 2, expected 3, one for each token",
        ),
        (
            "tokenizer.ggml.token_type",
            vec![0f32; 3].into(),
            "array of 3 f32, expected array of u32 or of non-negative i32",
        ),
        (
            "tokenizer.ggml.token_type",
            vec![-1i32; 3].into(),
            "expected array of u32 or of non-negative i32",
        ),
        ("tokenizer.ggml.token_type", vec![1i32; 4].into(), "an array of 4, expected 3"),
        ("tokenizer.ggml.tokens", vec!["a".to_owned()].into(), "an array of 3, expected 1"),
        (
            "tokenizer.ggml.tokens",
            Vec::<String>::new().into(),
            "an empty array, expected at least one token",
        ),
        (
            "tokenizer.ggml.tokens",
            vec![1u32, 2, 3].into(),
            "array of 3 u32, expected array of string",
        ),
        ("tokenizer.ggml.merges", vec![1u32].into(), "\"tokenizer.ggml.merges\" is array of 1 u32"),
        (
            "tokenizer.ggml.bos_token_id",
            3u32.into(),
            "\"tokenizer.ggml.bos_token_id\" is 3, expected below the vocabulary's size 3",
        ),
        ("tokenizer.ggml.eos_token_id", u32::MAX.into(), "eos_token_id\" is 4294967295"),
        ("tokenizer.ggml.unknown_token_id", (-1i32).into(), "is i32 -1"),
    ];
    let mut wrong = Vec::new();
    for (key, value, says) in rows {
        let mut metadata = llama();
        metadata.set(key, value.clone()).unwrap();
        match Hparams::read(&metadata) {
            Ok(_) => wrong.push(format!("{key} = {value:?}: read")),
            Err(error) if error.to_string().contains(says) => {}
            Err(error) => wrong.push(format!("{key} = {value:?}: {error}, expected {says}")),
        }
    }
    let yarn = |key: &'static str, value: f32| {
        vec![
            ("llama.rope.scaling.type", "yarn".into()),
            ("llama.rope.scaling.factor", 4f32.into()),
            (key, value.into()),
        ]
    };
    let experts = |key: &'static str, value: Value| {
        vec![
            ("llama.expert_count", 4u32.into()),
            ("llama.expert_used_count", 2u32.into()),
            (key, value),
        ]
    };
    // Words of several keys together.
    let together: Vec<(Vec<(&str, Value)>, &str)> = vec![
        (yarn("llama.rope.scaling.yarn_ext_factor", 0.5), "ext_factor\" is 0.5, expected 1"),
        (yarn("llama.rope.scaling.yarn_attn_factor", 0.7), "attn_factor\" is 0.7, expected 1 or"),
        (yarn("llama.rope.scaling.yarn_log_multiplier", 0.1), "multiplier\" is 0.1, expected 0"),
        (yarn("llama.rope.scaling.yarn_beta_fast", 0.0), "beta_fast\" is 0"),
        (yarn("llama.rope.scaling.alpha", 2.0), "alpha\" is 2, expected no other scaling"),
        (
            vec![
                ("llama.rope.scaling.type", "longrope".into()),
                ("llama.rope.scaling.factor", 4f32.into()),
            ],
            "factor\" is 4, expected 1 beside lists",
        ),
        (experts("llama.expert_group_count", 2u32.into()), "expert_group_count\" is 2"),
        (experts("llama.expert_gating_func", 2u32.into()), "expert_gating_func\" is 2"),
        (experts("llama.expert_weights_scale", 2.5f32.into()), "weights_scale\" is 2.5"),
        (experts("llama.expert_feed_forward_length", 0u32.into()), "forward_length\" is 0"),
    ];
    for (keys, says) in together {
        let mut metadata = llama();
        for (key, value) in &keys {
            metadata.set(*key, value.clone()).unwrap();
        }
        let error = Hparams::read(&metadata).err().map(|error| error.to_string());
        if !error.as_ref().is_some_and(|error| error.contains(says)) {
            wrong.push(format!("{keys:?}: {error:?}, expected {says}"));
        }
    }
    let two = [("llama.expert_count", 4u32), ("llama.expert_used_count", 5)];
    let mut metadata = llama();
    for (key, value) in two {
        metadata.insert(key, value).unwrap();
    }
    let error = Hparams::read(&metadata).unwrap_err().to_string();
    assert!(error.contains("is 5, expected at most the 4 experts"), "{error}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn missing_keys_are_named() {
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.feed_forward_length",
        "llama.context_length",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.tokens",
    ] {
        let mut metadata = Metadata::new();
        for (other, value) in llama().iter().filter(|(other, _)| *other != key) {
            metadata.insert(other, value.clone()).unwrap();
        }
        match Hparams::read(&metadata) {
            Err(FormatError::MissingKey { key: named, .. }) => assert_eq!(named, key),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn a_granite_can_switch_its_rotation_off() {
    let mut metadata = Metadata::new();
    for (key, value) in llama().iter() {
        metadata.insert(key.replace("llama.", "granite."), value.clone()).unwrap();
    }
    metadata.set("general.architecture", "granite").unwrap();
    assert_eq!(Hparams::read(&metadata).unwrap().rope_dims, 8);
    metadata.set("granite.rope.scaling.finetuned", false).unwrap();
    assert_eq!(Hparams::read(&metadata).unwrap().rope_dims, 0);
}

#[test]
fn learned_positions_rotate_nothing() {
    let mut metadata = Metadata::new();
    for (key, value) in llama().iter() {
        metadata.insert(key.replace("llama.", "gpt2."), value.clone()).unwrap();
    }
    metadata.set("general.architecture", "gpt2").unwrap();
    assert_eq!(Hparams::read(&metadata).unwrap().rope_dims, 0);
}

#[test]
fn the_embedding_must_have_the_shape() {
    let file = gguf::read(Bytes::from_vec(corpus::gguf::valid())).unwrap();
    let hparams = Hparams::of(&file).unwrap();
    assert_eq!((hparams.width, hparams.vocab), (32, 3));
    let mut wider = file.clone();
    wider.metadata.set("llama.embedding_length", 64u32).unwrap();
    let error = Hparams::of(&wider).unwrap_err().to_string();
    assert!(error.contains("dimensions [32, 3], expected [64, 3]"), "{error}");
    let mut shorter = file;
    let tokens = vec!["a".to_owned(), "b".to_owned()];
    shorter.metadata.set("tokenizer.ggml.tokens", tokens).unwrap();
    let error = Hparams::of(&shorter).unwrap_err().to_string();
    assert!(error.contains("an array of 2, expected 3, as many as the embedding"), "{error}");
}

#[test]
fn the_story_model_reads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260k.gguf");
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return println!("skipped {path}: {error}"),
    };
    let file = gguf::read(Bytes::from_vec(bytes)).unwrap();
    let hparams = Hparams::of(&file).unwrap();
    assert_eq!((hparams.layers, hparams.width, hparams.vocab), (5, 64, 512));
    assert_eq!(file.matrix("blk.4.ffn_down.weight").unwrap().cols(), 172);
    assert!(file.vector("output_norm.weight").unwrap().iter().all(|v| v.is_finite()));
}
