//! Each limit holds at its number and refuses one more. Those that a short file can reach have a
//! row in the table of files; here are the ones that take a long file, and the model's.

mod corpus;

use corpus::gguf::{ARRAY, Build, STRING, U8, ggml};
use corpus::variant;
use ondine_format::hf::Index;
use ondine_format::limits::*;
use ondine_format::{FormatError, Hparams, Metadata, TensorLayout, gguf, hf};
use ondine_tensor::{Bytes, DType};

fn read(build: Build) -> Result<(), FormatError> {
    gguf::read(Bytes::from_vec(build.0)).map(drop)
}

/// `at` must do, `above` must break `limit`.
fn check(limit: Limit, at: Result<(), FormatError>, above: Result<(), FormatError>) {
    assert_eq!(at, Ok(()), "{}", limit.name);
    match above.expect_err(limit.name) {
        FormatError::Limit { found, limit: broken, .. } => {
            assert_eq!((found, broken), (limit.max + 1, limit));
        }
        FormatError::Hparam { expected, .. } => {
            assert_eq!(expected, format!("1 to {} {}", limit.max, limit.name));
        }
        other => panic!("{}: {other}", limit.name),
    }
}

#[test]
fn of_a_gguf_file() {
    let text = |length: u64| {
        let length = length as usize;
        Build::new(0, 1).text("k").u32(STRING).text(vec![b'x'; length])
    };
    check(STRING_BYTES, read(text(STRING_BYTES.max)), read(text(STRING_BYTES.max + 1)));
    let array = |length: u64| {
        Build::new(0, 1).text("k").u32(ARRAY).u32(U8).u64(length).zeros(length as usize)
    };
    check(ARRAY_ELEMENTS, read(array(ARRAY_ELEMENTS.max)), read(array(ARRAY_ELEMENTS.max + 1)));
    let tensors = |count: u64| {
        let build = (0..count).fold(Build::new(count, 0), |build, place| {
            build.tensor(format!("{place}"), &[0], ggml::F32, 0)
        });
        build.pad(32)
    };
    check(TENSORS, read(tensors(TENSORS.max)), read(tensors(TENSORS.max + 1)));
    let key = |length: u64| read(Build::new(0, 1).key("k".repeat(length as usize), U8, &[1]));
    check(KEY_BYTES, key(KEY_BYTES.max), key(KEY_BYTES.max + 1));
    let layout = |name: u64, dims: u64| {
        TensorLayout::new("n".repeat(name as usize), vec![1; dims as usize], DType::F32).map(drop)
    };
    check(NAME_BYTES, layout(NAME_BYTES.max, 1), layout(NAME_BYTES.max + 1, 1));
    check(DIMS, layout(1, DIMS.max), layout(1, DIMS.max + 1));
    let elements = |count: u64| TensorLayout::new("w", vec![count as usize], DType::I8).map(drop);
    assert_eq!(elements(ELEMENTS.max), Ok(()));
    assert_eq!(variant(&elements(ELEMENTS.max + 1).unwrap_err()), "TensorSize");
}

#[test]
fn of_metadata_made_here() {
    let mut metadata = Metadata::new();
    for place in 0..KEYS.max {
        metadata.insert(format!("{place:05}"), 1u8).unwrap();
    }
    check(KEYS, Ok(()), metadata.insert("one more", 1u8));
}

#[test]
fn of_split_models() {
    let parts = |count: u64| {
        let parts: Vec<Bytes> = (0..count as u32)
            .map(|number| {
                let build = Build::new(0, 3)
                    .key_u32("split.no", number)
                    .key_u32("split.count", count as u32)
                    .key_u32("split.tensors.count", 0);
                Bytes::from_vec(build.0)
            })
            .collect();
        gguf::read_parts(&parts).map(drop)
    };
    check(PARTS, parts(PARTS.max), parts(PARTS.max + 1));
    let index = |count: u64| {
        let map: Vec<String> =
            (0..count).map(|place| format!(r#""{place}":"{place}.safetensors""#)).collect();
        Index::read(&format!(r#"{{"weight_map":{{{}}}}}"#, map.join(","))).map(drop)
    };
    check(PARTS, index(PARTS.max), index(PARTS.max + 1));
}

#[test]
fn of_json() {
    let index = |length: u64| {
        let json = r#"{"weight_map":{}}"#;
        Index::read(&format!("{json}{}", " ".repeat(length as usize - json.len()))).map(drop)
    };
    check(JSON_BYTES, index(JSON_BYTES.max), index(JSON_BYTES.max + 1));
    let depth = |levels: u64| {
        let inner = "[".repeat(levels as usize - 1) + &"]".repeat(levels as usize - 1);
        Index::read(&format!(r#"{{"weight_map":{{}},"x":{inner}}}"#)).map(drop)
    };
    check(JSON_DEPTH, depth(JSON_DEPTH.max), depth(JSON_DEPTH.max + 1));
    // A bracket in a string is none, and neither is one behind an escaped quote.
    let text =
        r#"{"weight_map":{},"x":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}"#;
    assert!(Index::read(text).is_ok());
    assert!(hf::read(&"[".repeat(100_000), vec![]).is_err());
}

#[test]
fn of_a_model() {
    let model = |key: &str, value: u64| {
        let mut metadata = Metadata::new();
        metadata.insert("general.architecture", "x").unwrap();
        for (key, value) in [
            ("x.block_count", 1),
            ("x.embedding_length", 4_096),
            ("x.attention.head_count", 1),
            ("x.feed_forward_length", 1),
            ("x.context_length", 1),
            ("x.vocab_size", 1),
        ] {
            metadata.insert(key, value as u64).unwrap();
        }
        metadata.insert("x.attention.layer_norm_rms_epsilon", 1e-5f32).unwrap();
        metadata.set(key, value).unwrap();
        if key.ends_with("embedding_length") {
            metadata.set("x.attention.head_count", 256u32).unwrap();
        }
        if key.ends_with("head_count") {
            metadata.set("x.attention.key_length", 4u32).unwrap();
        }
        if key.ends_with("expert_count") {
            metadata.set("x.expert_used_count", 1u32).unwrap();
        }
        Hparams::read(&metadata).map(drop)
    };
    for (key, limit) in [
        ("x.block_count", LAYERS),
        ("x.embedding_length", WIDTH),
        ("x.attention.head_count", HEADS),
        ("x.attention.key_length", HEAD_DIM),
        ("x.feed_forward_length", FF),
        ("x.context_length", CONTEXT),
        ("x.vocab_size", VOCAB),
        ("x.expert_count", EXPERTS),
    ] {
        check(limit, model(key, limit.max), model(key, limit.max + 1));
    }
    // The width of a head that no key gives.
    assert!(model("x.embedding_length", WIDTH.max).is_ok());
    assert!(model("x.block_count", 1).is_ok());
}
