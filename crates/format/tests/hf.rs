//! Checkpoints of Hugging Face: names, order of weights, metadata; and what is refused (FF-20).

mod corpus;

use corpus::safetensors::{entry, file};
use ondine_format::hf::{self, Index};
use ondine_format::{FormatError, Hparams, ModelFile, RopeScaling};
use ondine_tensor::{Bytes, DType};

/// A shard of F32 tensors whose weights count up from the given number.
fn shard(tensors: &[(&str, &[u64], usize)]) -> Bytes {
    let mut header = Vec::new();
    let mut data = Vec::new();
    for (name, shape, first) in tensors {
        let count = shape.iter().product::<u64>() as usize;
        let begin = data.len();
        for place in 0..count {
            data.extend(((first + place) as f32).to_le_bytes());
        }
        header.push(entry(name, "F32", shape, begin, data.len()));
    }
    Bytes::from_vec(file(&format!("{{{}}}", header.join(",")), &data))
}

fn config(rest: &str) -> String {
    format!(
        r#"{{"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":1,
            "num_attention_heads":2,"num_key_value_heads":1,"max_position_embeddings":64,
            "rms_norm_eps":1e-5,"vocab_size":3,"rope_theta":5000.0,"hidden_act":"silu",
            "torch_dtype":"float32","unknown":[{{}}]{rest}}}"#
    )
}

const LLAMA: &[(&str, &[u64], usize)] = &[
    ("model.embed_tokens.weight", &[3, 8], 0),
    ("model.norm.weight", &[8], 100),
    ("lm_head.weight", &[3, 8], 200),
    ("model.layers.0.input_layernorm.weight", &[8], 300),
    ("model.layers.0.self_attn.q_proj.weight", &[8, 8], 1_000),
    ("model.layers.0.self_attn.q_proj.bias", &[8], 2_000),
    ("model.layers.0.self_attn.k_proj.weight", &[4, 8], 3_000),
    ("model.layers.0.self_attn.v_proj.weight", &[4, 8], 4_000),
    ("model.layers.0.self_attn.o_proj.weight", &[8, 8], 5_000),
    ("model.layers.0.post_attention_layernorm.weight", &[8], 400),
    ("model.layers.0.mlp.gate_proj.weight", &[12, 8], 6_000),
    ("model.layers.0.mlp.up_proj.weight", &[12, 8], 7_000),
    ("model.layers.0.mlp.down_proj.weight", &[8, 12], 8_000),
    ("model.layers.0.self_attn.rotary_emb.inv_freq", &[2], 9_000),
];

/// The first weight of each row.
fn firsts(file: &ModelFile, name: &str) -> Vec<f32> {
    let matrix = file.matrix(name).unwrap();
    matrix.decode().chunks(matrix.cols()).map(|row| row[0]).collect()
}

#[test]
fn a_llama_gets_its_names_and_its_order() {
    let model = hf::read(&config(""), vec![shard(LLAMA)]).unwrap();
    let mut names: Vec<&str> = model.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "blk.0.attn_k.weight",
            "blk.0.attn_norm.weight",
            "blk.0.attn_output.weight",
            "blk.0.attn_q.bias",
            "blk.0.attn_q.weight",
            "blk.0.attn_v.weight",
            "blk.0.ffn_down.weight",
            "blk.0.ffn_gate.weight",
            "blk.0.ffn_norm.weight",
            "blk.0.ffn_up.weight",
            "output.weight",
            "output_norm.weight",
            "token_embd.weight",
        ]
    );
    // Heads of four rows: rows 0 and 2, then 1 and 3, are a pair that turns together.
    let row = |row: usize| (1_000 + 8 * row) as f32;
    assert_eq!(firsts(&model, "blk.0.attn_q.weight"), [0, 2, 1, 3, 4, 6, 5, 7].map(row));
    let bias = [2_000.0, 2_002.0, 2_001.0, 2_003.0, 2_004.0, 2_006.0, 2_005.0, 2_007.0];
    assert_eq!(model.vector("blk.0.attn_q.bias").unwrap(), bias);
    assert_eq!(firsts(&model, "blk.0.attn_k.weight"), [3_000.0, 3_016.0, 3_008.0, 3_024.0]);
    // Others keep theirs.
    assert_eq!(firsts(&model, "blk.0.attn_v.weight"), [4_000.0, 4_008.0, 4_016.0, 4_024.0]);
    assert_eq!(model.tensor("blk.0.ffn_down.weight").unwrap().dims, [12, 8]);

    let hparams = Hparams::of(&model).unwrap();
    assert_eq!(hparams.architecture, "llama");
    assert_eq!((hparams.layers, hparams.width, hparams.ff, hparams.vocab), (1, 8, 12, 3));
    assert_eq!((hparams.heads, hparams.kv_heads, hparams.head_dim), (2, 1, 4));
    assert_eq!((hparams.rope_base, hparams.norm_eps, hparams.context), (5_000.0, 1e-5, 64));
}

/// The same by the book: split a head in halves, take one row of each in turn.
#[test]
fn rows_interleave_as_the_definition_says() {
    let (heads, head_dim) = (2usize, 4usize);
    let found = hf::read(&config(""), vec![shard(LLAMA)]).unwrap();
    let found = firsts(&found, "blk.0.attn_q.weight");
    for head in 0..heads {
        for pair in 0..head_dim / 2 {
            for half in 0..2 {
                let from = head * head_dim + half * head_dim / 2 + pair;
                let to = head * head_dim + 2 * pair + half;
                assert_eq!(found[to], (1_000 + 8 * from) as f32);
            }
        }
    }
}

#[test]
fn qwens_keep_their_rows() {
    for family in ["qwen2", "qwen3"] {
        let config = config("").replace("\"llama\"", &format!("{family:?}"));
        let model = hf::read(&config, vec![shard(LLAMA)]).unwrap();
        assert_eq!(Hparams::of(&model).unwrap().architecture, family);
        assert_eq!(firsts(&model, "blk.0.attn_k.weight"), [3_000.0, 3_008.0, 3_016.0, 3_024.0]);
    }
}

#[test]
fn gpt2_is_turned_and_tied() {
    let config = r#"{"model_type":"gpt2","n_embd":4,"n_head":2,"n_layer":1,"n_positions":6,
        "n_ctx":6,"n_inner":null,"layer_norm_epsilon":1e-5,"vocab_size":3,
        "activation_function":"gelu_new"}"#;
    for prefix in ["", "transformer."] {
        let name = |rest: &str| format!("{prefix}{rest}");
        let names = [name("wte.weight"), name("wpe.weight"), name("h.0.attn.c_attn.weight")];
        let more = [name("h.0.attn.c_attn.bias"), name("h.0.attn.bias"), name("ln_f.bias")];
        let model = shard(&[
            (&names[0], &[3, 4], 0),
            (&names[1], &[6, 4], 100),
            (&names[2], &[4, 12], 200),
            (&more[0], &[12], 300),
            (&more[1], &[1, 1, 6, 6], 400),
            (&more[2], &[4], 500),
        ]);
        let model = hf::read(config, vec![model]).unwrap();
        assert_eq!(model.tensors.len(), 5);
        let turned = model.matrix("blk.0.attn_qkv.weight").unwrap();
        assert_eq!((turned.rows(), turned.cols()), (12, 4));
        assert_eq!(turned.decode()[..8], [200.0, 212.0, 224.0, 236.0, 201.0, 213.0, 225.0, 237.0]);
        assert_eq!(model.vector("blk.0.attn_qkv.bias").unwrap()[0], 300.0);
        assert_eq!(model.matrix("position_embd.weight").unwrap().rows(), 6);
        assert!(!model.has("output.weight"));
        let hparams = Hparams::of(&model).unwrap();
        assert_eq!((hparams.ff, hparams.heads, hparams.rope_dims), (16, 2, 0));
    }
}

#[test]
fn a_tied_output_is_dropped_and_an_untied_one_is_needed() {
    let tied = hf::read(&config(r#","tie_word_embeddings":true"#), vec![shard(LLAMA)]).unwrap();
    assert!(!tied.has("output.weight"));
    let without: Vec<_> = LLAMA.iter().copied().filter(|t| t.0 != "lm_head.weight").collect();
    let error = hf::read(&config(""), vec![shard(&without)]).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"lm_head.weight\" is missing");
}

#[test]
fn rope_scaling_is_said_in_gguf_or_refused() {
    let read = |rest: &str| hf::read(&config(rest), vec![shard(LLAMA)]);
    let linear = read(r#","rope_scaling":{"type":"linear","factor":2.0}"#).unwrap();
    assert_eq!(linear.metadata.f32("llama.rope.scaling.factor"), Ok(Some(2.0)));
    assert!(read(r#","rope_scaling":null"#).is_ok());
    let newer = read(r#","rope_parameters":{"rope_type":"default","rope_theta":77.0}"#).unwrap();
    assert_eq!(newer.metadata.f32("llama.rope.freq_base"), Ok(Some(77.0)));
    let error = read(r#","rope_scaling":{"rope_type":"dynamic","factor":2.0}"#).unwrap_err();
    assert!(error.to_string().contains("\"rope_scaling.type\" is \"dynamic\""), "{error}");
    let yarn = |rest: &str| {
        let scaling = format!(r#","rope_scaling":{{"rope_type":"yarn","factor":4.0{rest}}}"#);
        Hparams::read(&read(&scaling)?.metadata)
    };
    let plain = yarn("").unwrap();
    let wanted = RopeScaling::Yarn { factor: 4.0, fast: 32.0, slow: 1.0 };
    assert_eq!((plain.original_context, plain.rope_scaling), (plain.context, wanted));
    let told = yarn(r#","original_max_position_embeddings":16,"beta_fast":24.0,"beta_slow":2.0"#);
    let told = told.unwrap();
    let wanted = RopeScaling::Yarn { factor: 4.0, fast: 24.0, slow: 2.0 };
    assert_eq!((told.original_context, told.rope_scaling), (16, wanted));
    for (rest, says) in [
        (r#","attention_factor":0.7"#, "yarn_attn_factor"),
        (r#","mscale":1.0"#, "rope_scaling.mscale"),
        (r#","truncate":false"#, "rope_scaling.truncate"),
    ] {
        let error = yarn(rest).unwrap_err().to_string();
        assert!(error.contains(says), "{rest}: {error}");
    }

    // Wavelengths of 6.3 and 444 tokens: the first is kept, the second stretched by the factor.
    let scaling = r#","rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
        "high_freq_factor":4.0,"original_max_position_embeddings":64}"#;
    let model = read(scaling).unwrap();
    assert_eq!(model.vector("rope_freqs.weight").unwrap(), [1.0, 8.0]);
    // Trained on 1600 tokens, 444 lies between 1600 / 4 and 1600 / 1: blended.
    let model = read(&scaling.replace(":64", ":1600")).unwrap();
    let found = model.vector("rope_freqs.weight").unwrap()[1];
    let wavelength = std::f64::consts::TAU * 5000f64.sqrt();
    let smooth = (1600.0 / wavelength - 1.0) / 3.0;
    let expected = 1.0 / ((1.0 - smooth) / 8.0 + smooth);
    assert!((f64::from(found) - expected).abs() < 1e-6 && (1.0..8.0).contains(&found), "{found}");
}

#[test]
fn types_of_half_the_width_stay_what_they_are() {
    let header = entry("model.embed_tokens.weight", "BF16", &[3, 8], 0, 48);
    let shard = Bytes::from_vec(file(&format!("{{{header}}}"), &[0x40; 48]));
    let model = hf::read(&config(r#","tie_word_embeddings":true"#), vec![shard]).unwrap();
    assert_eq!(model.tensor("token_embd.weight").unwrap().dtype, DType::Bf16);
}

/// What to put in the config, and words of the message.
#[test]
fn what_is_not_converted_is_named() {
    let rows = [
        (r#","mlp_bias":true"#, "\"mlp_bias\" is \"true\", expected false"),
        (r#","partial_rotary_factor":0.5"#, "\"partial_rotary_factor\""),
        (r#","use_sliding_window":true"#, "\"use_sliding_window\""),
        (r#","quantization_config":{"bits":4}"#, "\"quantization_config\""),
        (r#","head_dim":"x""#, "config.json at line"),
        (r#","vocab_size":3"#, "duplicate field"),
        (r#","rope_scaling":{"type":"linear"}"#, "\"rope_scaling.factor\" is missing"),
    ];
    for (rest, says) in rows {
        let error = hf::read(&config(rest), vec![shard(LLAMA)]).unwrap_err().to_string();
        assert!(error.contains(says), "{rest}: {error}");
    }
    let changed = [
        ("\"llama\"", "\"mixtral\"", "\"model_type\" is \"mixtral\", expected llama, mistral"),
        ("\"silu\"", "\"gelu\"", "\"hidden_act\" is \"gelu\", expected silu"),
        ("\"num_attention_heads\":2", "\"num_attention_heads\":0", "\"num_attention_heads\""),
        ("\"num_attention_heads\":2", "\"num_attention_heads\":3", "rows that 3 heads divide"),
        (
            "\"num_attention_heads\":2",
            "\"num_attention_heads\":4294967295",
            "heads divide in halves",
        ),
        ("\"hidden_size\":8,", "", "\"hidden_size\" is missing"),
        ("\"hidden_size\":8", "\"hidden_size\":-8", "expected u32"),
    ];
    for (from, to, says) in changed {
        let config = config("").replace(from, to);
        let error = hf::read(&config, vec![shard(LLAMA)]).unwrap_err().to_string();
        assert!(error.contains(says), "{to}: {error}");
    }
    for name in [
        "model.layers.0.mlp.experts.0.up_proj.weight",
        "model.layers.00.mlp.up_proj.weight",
        "model.layers.+0.mlp.up_proj.weight",
        "model.layers.70000.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj.scale",
        "model.layers.0",
        "model.norm",
        "x",
    ] {
        let error = hf::read(&config(""), vec![shard(&[(name, &[4], 0)])]).unwrap_err();
        assert!(matches!(error, FormatError::UnknownTensor { .. }), "{name}: {error}");
    }
    let counter = entry("model.norm.weight", "I64", &[1], 0, 8);
    let counter = Bytes::from_vec(file(&format!("{{{counter}}}"), &[0; 8]));
    let error = hf::read(&config(""), vec![counter]).unwrap_err().to_string();
    assert!(error.contains("\"model.norm.weight\" is I64, expected F32, F16 or BF16"), "{error}");
    // The same tensor in two shards.
    let error = hf::read(&config(""), vec![shard(LLAMA), shard(&LLAMA[..1])]).unwrap_err();
    assert!(error.to_string().contains("\"token_embd.weight\""), "{error}");
}

#[test]
fn shard_names_are_files_beside_the_index() {
    let index = |name: &str| {
        let name = serde_json::to_string(name).unwrap();
        Index::read(&format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{{"w":{name}}}}}"#))
    };
    for good in ["model.safetensors", "model-00001-of-00002.safetensors"] {
        assert_eq!(index(good).unwrap().shards(), [good]);
    }
    for bad in [
        "../../x.safetensors",
        "/etc/x.safetensors",
        "..\\x.safetensors",
        "sub\\x.safetensors",
        "sub/x.safetensors",
        "C:x.safetensors",
        "..safetensors",
        ".safetensors",
        "a..safetensors",
        "",
        "x",
        "x.bin",
        "x.safetensors\0",
        "x\n.safetensors",
        "\u{202e}x.safetensors",
        "x.safetensors ",
    ] {
        let error = index(bad).expect_err(bad);
        assert!(matches!(error, FormatError::ShardName { .. }), "{bad:?}: {error}");
    }
    let long = format!("{}.safetensors", "x".repeat(255 - 12));
    assert!(index(&long).is_ok());
    assert!(index(&format!("x{long}")).is_err());
    assert!(Index::read("{}").is_err());
    assert!(Index::read(r#"{"weight_map":{"w":1}}"#).is_err());
}

#[test]
fn an_index_that_lies_is_found_out() {
    let parts = [shard(&LLAMA[..6]), shard(&LLAMA[6..])];
    let map = |first: usize, more: &str| {
        let rows: Vec<String> = LLAMA
            .iter()
            .enumerate()
            .map(|(place, tensor)| {
                let file = if place < first { "a.safetensors" } else { "b.safetensors" };
                format!("{:?}:{file:?}", tensor.0)
            })
            .collect();
        Index::read(&format!(r#"{{"weight_map":{{{}{more}}}}}"#, rows.join(","))).unwrap()
    };
    let read = |index: &Index, shards: &[Bytes]| {
        hf::read_indexed(&config(""), index, shards.to_vec()).map_err(|error| error.to_string())
    };
    assert!(read(&map(6, ""), &parts).is_ok());
    let elsewhere = read(&map(5, ""), &parts).unwrap_err();
    assert!(elsewhere.contains("q_proj.bias\" should be in \"b.safetensors\""), "{elsewhere}");
    let absent = read(&map(6, r#","x":"b.safetensors""#), &parts).unwrap_err();
    assert!(absent.contains("\"x\" should be in \"b.safetensors\", found in no shard"), "{absent}");
    let fewer = read(&map(6, ""), &parts[..1]).unwrap_err();
    assert!(fewer.contains("is 1, expected 2 shards"), "{fewer}");
}
