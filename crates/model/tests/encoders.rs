//! Encoders against the slow pass, and what is refused.

use ondine_cache::{Cache, CacheShape, KvType};
use ondine_model::{ModelError, Pooling, load, load_encoder, plan};
use ondine_tensor::{Cpu, Isa};

#[path = "support/bert.rs"]
mod bert;
#[path = "support/tiny.rs"]
mod tiny;
use bert::TinyBert;
use tiny::{Tiny, reference};

/// As for decoders: 1e-6 is usual, 1e-4 where a key is rounded to different sides.
const BOUND: f64 = 1e-3;

fn variants() -> Vec<(&'static str, TinyBert)> {
    let new = TinyBert::new;
    vec![
        ("bert", new()),
        ("no segments", TinyBert { segments: 0, ..new() }),
        ("one segment", TinyBert { segments: 1, ..new() }),
        ("one head", TinyBert { heads: 1, ..new() }),
        ("heads of 4", TinyBert { heads: 8, ..new() }),
        ("heads of 12", TinyBert { heads: 3, width: 36, ff: 20, ..new() }),
        ("deep and thin", TinyBert { layers: 8, width: 16, ff: 24, heads: 2, ..new() }),
    ]
}

#[test]
fn every_shape_agrees_with_the_slow_pass() {
    let mut failures = Vec::new();
    let computers: Vec<Cpu> =
        Isa::available().flat_map(|isa| [1, 2].map(|threads| Cpu::new(threads, isa))).collect();
    for (name, tiny) in variants() {
        let file = tiny.file();
        let encoder = load_encoder(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for length in [1, 2, 16, 37, tiny.context] {
            let tokens = tiny::text(length as u64, length, tiny.vocab);
            let wanted = bert::rows(&tiny, &file, &tokens);
            for cpu in &computers {
                let got = encoder.encode(cpu, &tokens).unwrap();
                assert_eq!((got.count(), got.width()), (length, tiny.width), "{name}");
                for (at, wanted) in wanted.iter().enumerate() {
                    let far = reference::difference(got.row(at), wanted);
                    if far >= BOUND {
                        let (isa, threads) = (cpu.isa(), cpu.threads());
                        failures
                            .push(format!("{name}, {at} of {length}, {isa}, {threads}: {far:e}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "further from the slow pass than {BOUND:e}:\n{failures:#?}");
}

#[test]
fn the_same_text_gives_the_same_bits_whatever_the_threads() {
    let encoder = load_encoder(&TinyBert::new().file()).unwrap();
    let tokens = tiny::text(3, 50, 40);
    let bits = |threads| -> Vec<u32> {
        let cpu = Cpu::new(threads, Isa::best());
        let rows = encoder.encode(&cpu, &tokens).unwrap();
        rows.as_slice().iter().map(|x| x.to_bits()).collect()
    };
    let first = bits(1);
    assert!([1, 2, 3].into_iter().all(|threads| bits(threads) == first));
}

#[test]
fn tokens_and_positions_out_of_range_are_refused() {
    let encoder = load_encoder(&TinyBert::new().file()).unwrap();
    let cpu = Cpu::new(1, Isa::best());
    let error = encoder.encode(&cpu, &[1, 40]).unwrap_err();
    assert_eq!(error.to_string(), "token 40 is not in the vocabulary of 40");
    let error = encoder.encode(&cpu, &[0; 65]).unwrap_err();
    assert_eq!(error.to_string(), "65 positions are needed, the model has 64");
    assert_eq!(encoder.encode(&cpu, &[]).unwrap().count(), 0);
}

#[test]
fn each_kind_of_model_is_refused_where_the_other_is_wanted() {
    let bert = TinyBert::new().file();
    let error = load(&bert).err().unwrap();
    assert!(matches!(&error, ModelError::Encoder { architecture } if architecture == "bert"));
    assert!(error.to_string().contains("continues none"), "{error}");
    let llama = Tiny::llama().file();
    let error = load_encoder(&llama).err().unwrap();
    assert!(matches!(&error, ModelError::Decoder { architecture } if architecture == "llama"));
    // A file of either kind that says it is of the other.
    let mut tiny = Tiny::llama();
    tiny.more.push(("llama.attention.causal".into(), false.into()));
    let error = load(&tiny.file()).err().unwrap().to_string();
    assert_eq!(error, "llama model with attention in both directions is not supported");
    let file = TinyBert::new().file();
    let mut metadata = file.metadata.clone();
    metadata.set("bert.attention.causal", true).unwrap();
    let file = tiny::read(tiny::write(&metadata, &TinyBert::new().tensors()));
    let error = load_encoder(&file).err().unwrap().to_string();
    assert_eq!(error, "bert model with attention in one direction is not supported");
}

#[test]
fn pooling_is_the_files() {
    let rows = [
        (None, Ok(None)),
        (Some(0u32), Ok(None)),
        (Some(1), Ok(Some(Pooling::Mean))),
        (Some(2), Ok(Some(Pooling::Cls))),
        (Some(3), Ok(Some(Pooling::Last))),
        (Some(4), Err("bert model with pooling of type 4 is not supported")),
    ];
    for (number, wanted) in rows {
        let more = number.map(|n| ("bert.pooling_type".to_string(), n.into()));
        let tiny = TinyBert { more: more.into_iter().collect(), ..TinyBert::new() };
        let got = load_encoder(&tiny.file()).map(|encoder| encoder.pooling());
        assert_eq!(got.map_err(|e| e.to_string()), wanted.map_err(String::from), "{number:?}");
    }
}

#[test]
fn a_missing_a_misshapen_and_an_unknown_tensor_are_named() {
    let tiny = TinyBert::new();
    let refused = |tensors: &[(String, Vec<usize>, Vec<f32>)]| {
        load_encoder(&tiny::read(tiny::write(&tiny.metadata(), tensors))).err()
    };
    for (i, (name, dims, data)) in tiny.tensors().into_iter().enumerate() {
        let mut tensors = tiny.tensors();
        tensors.remove(i);
        // What a model without segments adds is nothing; more rows of segments are allowed.
        let segments = name == "token_types.weight";
        match refused(&tensors) {
            None => assert!(segments, "{name}"),
            Some(error) => assert!(error.to_string().contains(&name), "{name}: {error}"),
        }
        let mut wide = dims.clone();
        wide[0] += 1;
        let more = wide.iter().product::<usize>() - data.len();
        tensors.insert(i, (name.clone(), wide, [data, vec![0.0; more]].concat()));
        let text = refused(&tensors).expect("a refusal").to_string();
        assert!(text.contains(&name), "{name}: {text}");
    }
    let mut tensors = tiny.tensors();
    tensors.push(("cls.weight".into(), vec![32, 32], vec![0.0; 1024]));
    let text = refused(&tensors).expect("a refusal").to_string();
    assert!(text.contains("cls.weight"), "{text}");
}

#[test]
fn the_plan_of_an_encoder_counts_one_layer_of_keys_and_no_logits() {
    let tiny = TinyBert::new();
    let file = tiny.file();
    let made = plan(&file, 33, KvType::F16).unwrap();
    let mut cache = Cache::new(CacheShape { layers: 1, kv_heads: 4, head_dim: 8, kv: KvType::F16 });
    cache.reserve(33).unwrap();
    assert_eq!(made.kv_bytes, cache.bytes());
    assert_eq!(made.scratch_bytes, 4 * 33 * (2 * (32 + 48) + 2 * 32 + 3 * 32));
    assert!(matches!(plan(&file, 65, KvType::F16), Err(ModelError::Context { needed: 65, .. })));
}
