//! Texts to vectors: marks, pooling, lengths, and what is refused.

use ondine_engine::{EmbedOptions, Embedder, EngineError, EngineOptions, Overlong};
use ondine_format::Value;
use ondine_model::{ModelError, Pooling};

#[path = "../../model/tests/support/bert.rs"]
mod bert;
#[path = "../../model/tests/support/tiny.rs"]
mod tiny;
use bert::TinyBert;
use tiny::{Tiny, reference};

const CLS: u32 = 1;
const SEP: u32 = 2;

/// An encoder that knows the marks and the letters a to z, alone and inside a word.
fn reading() -> TinyBert {
    let mut tokens: Vec<String> = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"].map(String::from).to_vec();
    tokens.extend(('a'..='z').map(|c| format!("▁{c}")));
    tokens.extend(('a'..='z').map(String::from));
    let mut kinds = vec![1i32; tokens.len()];
    kinds[..4].fill(3);
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let mut tiny = TinyBert { vocab: tokens.len(), context: 24, ..TinyBert::new() };
    let more: Vec<(String, Value)> = vec![
        (key("model"), "bert".into()),
        (key("tokens"), tokens.into()),
        (key("token_type"), kinds.into()),
        (key("bos_token_id"), CLS.into()),
        (key("seperator_token_id"), SEP.into()),
        (key("unknown_token_id"), 3u32.into()),
    ];
    tiny.more.extend(more);
    tiny
}

fn embedder(tiny: &TinyBert) -> Embedder {
    Embedder::load(&tiny.file(), EngineOptions::default()).unwrap()
}

fn plain(pooling: Pooling) -> EmbedOptions {
    EmbedOptions { pooling: Some(pooling), normalise: false, ..EmbedOptions::default() }
}

#[test]
fn a_text_stands_between_its_marks() {
    let embedder = embedder(&reading());
    let tokens = |text| embedder.encode_text(text, Overlong::Refuse).unwrap();
    assert_eq!(tokens("b ca"), [CLS, 5, 6, 30, SEP]);
    assert_eq!(tokens(""), [CLS, SEP]);
    // What a text spells is text: its brackets are unknown here, and no mark.
    assert_eq!(tokens("[sep]"), [CLS, 3, 4 + 18, 30 + 4, 30 + 15, 3, SEP]);
}

#[test]
fn each_pooling_takes_its_rows() {
    let tiny = reading();
    let file = tiny.file();
    let embedder = embedder(&tiny);
    let tokens = embedder.encode_text("hello there", Overlong::Refuse).unwrap();
    let rows = bert::rows(&tiny, &file, &tokens);
    let mean: Vec<f64> = (0..tiny.width)
        .map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64)
        .collect();
    let wanted =
        [(Pooling::Mean, &mean), (Pooling::Cls, &rows[0]), (Pooling::Last, &rows[rows.len() - 1])];
    for (pooling, wanted) in wanted {
        let got = embedder.embed("hello there", plain(pooling)).unwrap();
        assert_eq!(got.tokens, tokens.len());
        let far = reference::difference(&got.vector, wanted);
        assert!(far < 1e-3, "{pooling:?}: {far:e}");
        // The same, at length 1.
        let unit = EmbedOptions { normalise: true, ..plain(pooling) };
        let unit = embedder.embed("hello there", unit).unwrap().vector;
        let length = wanted.iter().map(|x| x * x).sum::<f64>().sqrt();
        let wanted: Vec<f64> = wanted.iter().map(|x| x / length).collect();
        assert!(reference::difference(&unit, &wanted) < 1e-3, "{pooling:?}");
        let length: f64 = unit.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-6, "{length}");
    }
    // The file says 1, the mean, and vectors have length 1 where nobody says otherwise.
    let default = embedder.embed("hello there", EmbedOptions::default()).unwrap();
    let unit = EmbedOptions { normalise: true, ..plain(Pooling::Mean) };
    assert_eq!(default, embedder.embed("hello there", unit).unwrap());
}

#[test]
fn a_long_text_is_refused_with_both_numbers_or_cut_where_asked() {
    let embedder = embedder(&reading());
    let (fits, long) = ("a ".repeat(22), "a ".repeat(23));
    assert_eq!(embedder.encode_text(&fits, Overlong::Refuse).unwrap().len(), 24);
    let error = embedder.embed(&long, EmbedOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::TooLong { tokens: 25, context: 24 }), "{error}");
    let cut = embedder.encode_text(&long, Overlong::Cut).unwrap();
    assert_eq!(cut, embedder.encode_text(&fits, Overlong::Refuse).unwrap());
    let options = EmbedOptions { overlong: Overlong::Cut, ..EmbedOptions::default() };
    assert_eq!(embedder.embed(&long, options).unwrap(), embedder.embed(&fits, options).unwrap());
}

#[test]
fn what_cannot_be_is_refused() {
    let options = EmbedOptions::default();
    let silent = TinyBert { more: Vec::new(), ..TinyBert::new() };
    let embedder = embedder(&silent);
    assert!(matches!(embedder.embed_tokens(&[1], options), Err(EngineError::NoPooling)));
    let options = plain(Pooling::Mean);
    assert!(matches!(embedder.embed_tokens(&[], options), Err(EngineError::EmptyPrompt)));
    let error = embedder.embed_tokens(&[40], options).unwrap_err();
    assert!(matches!(error, EngineError::Model(ModelError::Token { id: 40, .. })), "{error}");
    assert!(matches!(embedder.embed("a", options), Err(EngineError::NoTokenizer { .. })));
    for (lowercase, reads) in [(true, true), (false, false)] {
        let mut cased = reading();
        cased.more.push(("tokenizer.ggml.normalizer.lowercase".into(), lowercase.into()));
        let found = Embedder::load(&cased.file(), EngineOptions::default()).unwrap();
        assert_eq!(found.embed("a", options).is_ok(), reads, "{lowercase}");
    }
    let error = Embedder::load(&Tiny::llama().file(), EngineOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::Model(ModelError::Decoder { .. })), "{error}");
    // Damaged weights make an error and no vector.
    let tiny = TinyBert::new();
    let mut tensors = tiny.tensors();
    tensors[0].2[5] = f32::NAN;
    let file = tiny::read(tiny::write(&tiny.metadata(), &tensors));
    let embedder = Embedder::load(&file, EngineOptions::default()).unwrap();
    assert!(embedder.embed_tokens(&[1, 2], options).is_ok());
    assert!(matches!(embedder.embed_tokens(&[1, 0], options), Err(EngineError::NoVector)));
}
