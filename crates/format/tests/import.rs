//! What makes a folder a whole file: bert's names, WordPiece vocabularies, pooling, weights in
//! another type; and what is refused.

mod corpus;

use corpus::safetensors::{entry, file};
use corpus::variant;
use ondine_format::hf::pooling::{self, Modules};
use ondine_format::hf::vocab::{self, Files};
use ondine_format::limits::TOKENIZER_JSON_BYTES;
use ondine_format::{FormatError, Hparams, ModelFile, Tensor, gguf, hf, recode, write};
use ondine_tensor::{Bytes, DType, quantize};

/// Weights that count up, so that no two tensors look alike.
fn shard(tensors: &[(String, Vec<u64>)]) -> Bytes {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (place, (name, shape)) in tensors.iter().enumerate() {
        let begin = data.len();
        for at in 0..shape.iter().product::<u64>() {
            data.extend(((1000 * place) as f32 + at as f32).to_le_bytes());
        }
        header.push(entry(name, "F32", shape, begin, data.len()));
    }
    Bytes::from_vec(file(&format!("{{{}}}", header.join(",")), &data))
}

fn config(rest: &str) -> String {
    format!(
        r#"{{"model_type":"bert","hidden_size":8,"intermediate_size":12,"num_hidden_layers":1,
            "num_attention_heads":2,"max_position_embeddings":6,"layer_norm_eps":1e-12,
            "vocab_size":9,"type_vocab_size":2,"hidden_act":"gelu"{rest}}}"#
    )
}

/// A bert of one layer; `prefix` as some checkpoints have it.
fn names(prefix: &str, norm: [&str; 2]) -> Vec<(String, Vec<u64>)> {
    let mut all: Vec<(String, Vec<u64>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![9, 8]),
        ("embeddings.position_embeddings.weight".into(), vec![6, 8]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, 8]),
        ("embeddings.position_ids".into(), vec![1, 6]),
        ("pooler.dense.weight".into(), vec![8, 8]),
        ("pooler.dense.bias".into(), vec![8]),
    ];
    for (part, rows, cols) in [
        ("attention.self.query", 8, 8),
        ("attention.self.key", 8, 8),
        ("attention.self.value", 8, 8),
        ("attention.output.dense", 8, 8),
        ("intermediate.dense", 12, 8),
        ("output.dense", 8, 12),
    ] {
        all.push((format!("encoder.layer.0.{part}.weight"), vec![rows, cols]));
        all.push((format!("encoder.layer.0.{part}.bias"), vec![rows]));
    }
    for at in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        all.extend(norm.map(|part| (format!("{at}.LayerNorm.{part}"), vec![8])));
    }
    all.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
}

fn bert() -> ModelFile {
    hf::read(&config(""), vec![shard(&names("", ["weight", "bias"]))]).unwrap()
}

#[test]
fn a_bert_gets_its_names() {
    let mut first = None;
    for (prefix, norm) in
        [("", ["weight", "bias"]), ("bert.", ["weight", "bias"]), ("bert.", ["gamma", "beta"])]
    {
        let model = hf::read(&config(""), vec![shard(&names(prefix, norm))]).unwrap();
        let mut list: Vec<String> = model.tensors.iter().map(|t| t.name.clone()).collect();
        list.sort();
        // Nothing of the pooler, no buffer, no output.
        assert_eq!(list.len(), 3 + 12 + 6, "{list:?}");
        let first = first.get_or_insert_with(|| list.clone());
        assert_eq!(&list, first);
        for name in
            ["token_types.weight", "blk.0.attn_output_norm.bias", "blk.0.layer_output_norm.weight"]
        {
            assert!(list.iter().any(|found| found == name), "{name}: {list:?}");
        }
        assert_eq!(model.tensor("blk.0.ffn_down.weight").unwrap().dims, [12, 8]);
        let hparams = Hparams::of(&model).unwrap();
        assert_eq!((hparams.layers, hparams.width, hparams.heads, hparams.ff), (1, 8, 2, 12));
        assert_eq!((hparams.context, hparams.vocab, hparams.rope_dims), (6, 9, 0));
        assert_eq!((hparams.causal, hparams.pooling, hparams.norm_eps), (Some(false), None, 1e-12));
    }
}

#[test]
fn what_would_compute_something_else_is_refused_by_its_key() {
    let rows = [
        (config("").replace("\"gelu\"", "\"gelu_new\""), "hidden_act"),
        (config("").replace("\"gelu\"", "\"relu\""), "hidden_act"),
        (config(r#","position_embedding_type":"relative_key""#), "position_embedding_type"),
        (config(r#","is_decoder":true"#), "is_decoder"),
        (config("").replace(r#""layer_norm_eps":1e-12,"#, ""), "layer_norm_eps"),
        (config("").replace(r#""type_vocab_size":2,"#, ""), "type_vocab_size"),
    ];
    for (config, key) in rows {
        let error = hf::read(&config, vec![shard(&names("", ["weight", "bias"]))]).unwrap_err();
        assert_eq!(variant(&error), "Config", "{key}: {error}");
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
    let mut more = names("", ["weight", "bias"]);
    more.push(("classifier.weight".into(), vec![2, 8]));
    let error = hf::read(&config(""), vec![shard(&more)]).unwrap_err();
    assert!(error.to_string().contains("classifier.weight"), "{error}");
}

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n\u{2028}\n";

fn json(change: impl Fn(String) -> String) -> String {
    change(
        r###"{"added_tokens":[{"id":0,"content":"[PAD]","special":true},
            {"id":1,"content":"[UNK]","special":true},{"id":2,"content":"[CLS]","special":true},
            {"id":3,"content":"[SEP]","special":true}],
            "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
            "strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
            "post_processor":{"type":"TemplateProcessing","single":[
            {"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
            {"SpecialToken":{"id":"[SEP]","type_id":0}}]},
            "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
            "max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,
            "a":4,"##b":5,"\u2028":6}}}"###
            .to_string(),
    )
}

#[test]
fn a_vocabulary_is_spelled_as_gguf_has_it_whichever_file_it_comes_from() {
    let json = json(|text| text);
    let windows = VOCAB.replace('\n', "\r\n");
    let rows = [
        Files { vocab_txt: Some(VOCAB), ..Files::default() },
        Files { vocab_txt: Some(&windows), ..Files::default() },
        Files { tokenizer_json: Some(&json), ..Files::default() },
        // What says everything is preferred.
        Files { tokenizer_json: Some(&json), vocab_txt: Some("x"), tokenizer_config: Some("[") },
        Files {
            vocab_txt: Some(VOCAB),
            tokenizer_config: Some(r#"{"do_lower_case":true,"strip_accents":null}"#),
            ..Files::default()
        },
    ];
    for files in rows {
        let mut model = bert();
        vocab::describe(files, &mut model).unwrap();
        let m = &model.metadata;
        let tokens = m.strings("tokenizer.ggml.tokens").unwrap().unwrap();
        let wanted =
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁a", "b", "▁\u{2028}", "[PAD7]", "[PAD8]"];
        assert_eq!(tokens.iter().collect::<Vec<_>>(), wanted);
        let kinds = m.i32s("tokenizer.ggml.token_type").unwrap().unwrap();
        assert_eq!(kinds, [3, 3, 3, 3, 1, 1, 1, 5, 5]);
        assert_eq!(m.string("tokenizer.ggml.model").unwrap(), Some("bert"));
        assert_eq!(m.bool("tokenizer.ggml.normalizer.lowercase").unwrap(), Some(true));
        for (key, id) in
            [("bos", 2), ("cls", 2), ("eos", 3), ("seperator", 3), ("unknown", 1), ("padding", 0)]
        {
            assert_eq!(
                m.u32(&format!("tokenizer.ggml.{key}_token_id")).unwrap(),
                Some(id),
                "{key}"
            );
        }
        assert_eq!(m.u32("tokenizer.ggml.mask_token_id").unwrap(), None);
        assert_eq!(Hparams::of(&model).unwrap().vocab, 9);
    }
}

#[test]
fn a_tokenizer_that_is_not_converted_is_refused_by_name() {
    let swap = |from: &'static str, to: &'static str| {
        json(move |text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    };
    let rows = [
        (r#"{"model":{"type":"BPE","vocab":{},"merges":[]}}"#.to_string(), "BPE"),
        (r#"{"model":{"type":"Unigram","vocab":[["a",0.1]]}}"#.to_string(), "Unigram"),
        (r#"{"model":{"vocab":{}}}"#.to_string(), "model.type"),
        ("{".to_string(), "tokenizer.json at line 1"),
        (swap(r#""lowercase":true"#, r#""lowercase":false"#), "normalizer.lowercase"),
        (swap(r#""strip_accents":null"#, r#""strip_accents":false"#), "strip_accents"),
        (swap(r#""clean_text":true"#, r#""clean_text":false"#), "clean_text"),
        (swap("\"BertNormalizer\"", "\"Sequence\""), "normalizer.type"),
        (swap("\"BertPreTokenizer\"", "\"Whitespace\""), "pre_tokenizer.type"),
        (swap("\"TemplateProcessing\"", "\"RobertaProcessing\""), "post_processor.type"),
        (swap(r#"{"SpecialToken":{"id":"[SEP]","type_id":0}}"#, "{\"Sequence\":{}}"), "single"),
        (swap(r#""unk_token":"[UNK]""#, r#""unk_token":"<unk>""#), "unk_token"),
        (swap("\"##\"", "\"@@\""), "continuing_subword_prefix"),
        (swap(r#""a":4"#, r#""a":5"#), "5 for"),
        (swap(r#""a":4"#, r#""a":9"#), "below the 9 rows"),
        (swap(r#""a":4"#, r#""a":4294967296"#), "tokenizer.json at line"),
        (json(|text| text.replace("[SEP]", "[END]")), "post_processor"),
    ];
    for (text, words) in rows {
        let files = Files { tokenizer_json: Some(&text), ..Files::default() };
        let error = vocab::describe(files, &mut bert()).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let lines =
        |vocab_txt, tokenizer_config| Files { tokenizer_json: None, vocab_txt, tokenizer_config };
    let rows = [
        (lines(None, None), "tokenizer.json"),
        (lines(Some(VOCAB), Some(r#"{"do_lower_case":false}"#)), "do_lower_case"),
        (lines(Some(VOCAB), Some(r#"{"tokenize_chinese_chars":false}"#)), "chinese"),
        (lines(Some("[PAD]\n[UNK]\n[CLS]\n"), None), "[SEP]"),
        (lines(Some("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"), None), "below the 9 rows"),
        (lines(Some(""), None), "[CLS]"),
    ];
    for (files, words) in rows {
        let error = vocab::describe(files, &mut bert()).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let long = " ".repeat(TOKENIZER_JSON_BYTES.max as usize + 1);
    let files = Files { tokenizer_json: Some(&long), ..Files::default() };
    let error = vocab::describe(files, &mut bert()).unwrap_err();
    assert!(matches!(error, FormatError::Limit { limit: TOKENIZER_JSON_BYTES, .. }), "{error}");
    let files = Files { tokenizer_json: Some(&long[1..]), ..Files::default() };
    assert_eq!(variant(&vocab::describe(files, &mut bert()).unwrap_err()), "Json");
}

#[test]
fn modules_name_the_pooling_and_nothing_else() {
    let module = |kind: &str, path: &str| {
        format!(r#"{{"idx":0,"name":"0","path":{path:?},"type":"sentence_transformers.{kind}"}}"#)
    };
    let list = |modules: &[String]| Modules::read(&format!("[{}]", modules.join(",")));
    let [body, norm] =
        [module("models.Transformer", ""), module("models.Normalize", "2_Normalize")];
    let pool = module("models.Pooling", "1_Pooling");
    let read = list(&[body.clone(), pool.clone(), norm.clone()]).unwrap();
    assert_eq!(read.pooling(), Some("1_Pooling"));
    assert_eq!(list(&[body.clone(), norm]).unwrap().pooling(), None);
    let rows = [
        (vec![body.clone(), module("models.Dense", "2_Dense")], "Dense"),
        (vec![pool.clone(), pool.clone()], "one Pooling"),
        (vec![module("models.Pooling", "../up")], "../up"),
        (vec![module("models.Pooling", "/etc")], "/etc"),
        (vec![module("models.Pooling", "")], "path"),
        (vec!["3".to_string()], "modules.json at line 1"),
    ];
    for (modules, words) in rows {
        let error = list(&modules).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }

    let rows = [
        (r#"{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":false}"#, Ok(1)),
        (r#"{"pooling_mode_cls_token":true}"#, Ok(2)),
        (r#"{"pooling_mode_lasttoken":true,"word_embedding_dimension":4}"#, Ok(3)),
        (r#"{"pooling_mode":"mean"}"#, Ok(1)),
        (r#"{"pooling_mode":["cls"]}"#, Ok(2)),
        (r#"{"pooling_mode_max_tokens":true}"#, Err("\"max\"")),
        (r#"{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true}"#, Err("mean, cls")),
        (r#"{"pooling_mode":["mean","max"]}"#, Err("mean, max")),
        (r#"{}"#, Err("pooling_mode")),
        (r#"[1"#, Err("line 1")),
    ];
    for (text, wanted) in rows {
        match (pooling::number(text), wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{text}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

fn tensor(name: &str, dims: &[usize], dtype: DType, floats: &[f32]) -> Tensor {
    let data = Bytes::from_vec(quantize(dtype, floats, dims[0]).unwrap());
    Tensor { name: name.into(), dims: dims.to_vec(), dtype, data }
}

#[test]
fn weights_change_their_type_where_they_can() {
    let floats: Vec<f32> = (0..128).map(|i| (i as f32 * 0.37).sin()).collect();
    let rows = [
        // name, dims, own type, wanted type, what it becomes
        ("w.weight", [64, 2], DType::F32, Some(DType::Q8_0), DType::Q8_0),
        ("w.weight", [64, 2], DType::F16, Some(DType::Q4_0), DType::Q4_0),
        ("w.weight", [64, 2], DType::Bf16, Some(DType::F16), DType::F16),
        ("w.weight", [64, 2], DType::F16, Some(DType::F32), DType::F32),
        ("w.weight", [64, 2], DType::Bf16, None, DType::Bf16),
        ("w.weight", [8, 16], DType::F16, Some(DType::Q8_0), DType::F16),
        ("position_embd.weight", [64, 2], DType::F16, Some(DType::Q8_0), DType::F32),
        ("token_types.weight", [64, 2], DType::F16, None, DType::F32),
    ];
    for (name, dims, own, wanted, becomes) in rows {
        let tensor = tensor(name, &dims, own, &floats);
        let layout = recode::layout(&tensor, wanted).unwrap();
        assert_eq!(layout.dtype(), becomes, "{name} {own} {wanted:?}");
        let data = recode::data(&tensor, &layout).unwrap();
        assert_eq!(data.len(), layout.bytes());
        // The same by the way of floats.
        let mut decoded = vec![0.0; 128];
        ondine_tensor::quant::decode(own, &tensor.data, &mut decoded);
        assert_eq!(data.to_vec(), quantize(becomes, &decoded, dims[0]).unwrap(), "{name} {own}");
    }
    let vector = tensor("b.bias", &[128], DType::Bf16, &floats);
    assert_eq!(recode::layout(&vector, Some(DType::Q8_0)).unwrap().dtype(), DType::F32);
    assert_eq!(recode::layout(&vector, None).unwrap().dtype(), DType::F32);
}

#[test]
fn a_number_that_the_new_type_cannot_hold_is_an_error() {
    for bad in [70_000.0, f32::NAN, f32::NEG_INFINITY] {
        let mut floats = vec![0.5; 64];
        floats[40] = bad;
        let tensor = tensor("w.weight", &[32, 2], DType::F32, &floats);
        for to in recode::TYPES.iter().filter(|to| **to != DType::F32) {
            let layout = recode::layout(&tensor, Some(*to)).unwrap();
            let found = recode::data(&tensor, &layout);
            if *to == DType::Bf16 {
                assert!(found.is_ok());
            } else {
                let text = found.unwrap_err().to_string();
                assert!(text.contains("w.weight") && text.contains(to.name()), "{text}");
            }
        }
    }
}

#[test]
fn what_was_imported_is_read_back() {
    let mut model = bert();
    let files = Files { vocab_txt: Some(VOCAB), ..Files::default() };
    vocab::describe(files, &mut model).unwrap();
    let tensors: Vec<Tensor> = (model.tensors.iter())
        .map(|tensor| {
            let layout = recode::layout(tensor, Some(DType::F16)).unwrap();
            let data = Bytes::from_vec(recode::data(tensor, &layout).unwrap().into_owned());
            Tensor { dtype: layout.dtype(), data, ..tensor.clone() }
        })
        .collect();
    let mut bytes = Vec::new();
    write::write(&mut bytes, &model.metadata, &tensors).unwrap();
    let back = gguf::read(Bytes::from_vec(bytes)).unwrap();
    assert_eq!(Hparams::of(&back).unwrap(), Hparams::of(&model).unwrap());
    assert_eq!(back.tensors.len(), model.tensors.len());
    assert_eq!(back.tensor("blk.0.ffn_up.weight").unwrap().dtype, DType::F16);
}
