//! What the tests share: a reader of the metadata of GGUF files, just enough to get a vocabulary.
//! Trusts its files; the real reader is another crate's.

#![allow(dead_code)] // each test uses a part of it

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ondine_text::vocab::VocabSpec;

/// A metadata value, numbers widened.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
}

/// The folder of vocabularies beside the repository, or `None` after saying why tests skip.
pub(crate) fn vocab_folder() -> Option<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/vocab"));
    if folder.is_dir() {
        return Some(folder.to_owned());
    }
    eprintln!("skipped: there is no folder {}", folder.display());
    None
}

/// The vocabulary in a gzipped GGUF file.
pub(crate) fn read_spec(path: &Path) -> VocabSpec {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("the file was listed");
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("a whole gzip file");
    spec(&metadata(&bytes))
}

/// The metadata of a GGUF file.
pub(crate) fn metadata(bytes: &[u8]) -> HashMap<String, Value> {
    let mut reader = Reader { bytes };
    assert_eq!(reader.take::<4>(), *b"GGUF");
    reader.u32();
    reader.u64();
    let count = reader.u64();
    (0..count)
        .map(|_| {
            let key = reader.string();
            let kind = reader.u32();
            (key, reader.value(kind))
        })
        .collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.bytes.split_first_chunk().expect("more bytes");
        self.bytes = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn string(&mut self) -> String {
        let length = self.u64() as usize;
        let (head, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        String::from_utf8(head.to_vec()).expect("UTF-8")
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.take()).into()),
            1 => Value::Signed(i8::from_le_bytes(self.take()).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.take()).into()),
            3 => Value::Signed(i16::from_le_bytes(self.take()).into()),
            4 => Value::Unsigned(self.u32().into()),
            5 => Value::Signed(i32::from_le_bytes(self.take()).into()),
            6 => Value::Float(f32::from_le_bytes(self.take()).into()),
            7 => Value::Bool(self.take::<1>()[0] != 0),
            8 => Value::Text(self.string()),
            9 => {
                let kind = self.u32();
                let count = self.u64();
                Value::List((0..count).map(|_| self.value(kind)).collect())
            }
            10 => Value::Unsigned(self.u64()),
            11 => Value::Signed(i64::from_le_bytes(self.take())),
            12 => Value::Float(f64::from_le_bytes(self.take())),
            other => panic!("value type {other}"),
        }
    }
}

/// The vocabulary that the metadata describes.
pub(crate) fn spec(metadata: &HashMap<String, Value>) -> VocabSpec {
    let get = |key: &str| metadata.get(&format!("tokenizer.ggml.{key}"));
    let text = |key: &str| match get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let list = |key: &str| match get(key) {
        Some(Value::List(list)) => Some(list.clone()),
        _ => None,
    };
    let texts = |key: &str| -> Vec<String> {
        let as_text = |value| match value {
            Value::Text(text) => text,
            other => panic!("{key} holds {other:?}"),
        };
        list(key).unwrap_or_default().into_iter().map(as_text).collect()
    };
    let id = |key: &str| match get(&format!("{key}_token_id")) {
        Some(Value::Unsigned(id)) => Some(*id as u32),
        _ => None,
    };
    let flag = |key: &str| match get(key) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    VocabSpec {
        model: text("model").expect("a model of tokenizer"),
        pre: text("pre"),
        tokens: texts("tokens"),
        scores: list("scores").map(|scores| {
            let score = |value| match value {
                Value::Float(score) => score as f32,
                other => panic!("score {other:?}"),
            };
            scores.into_iter().map(score).collect()
        }),
        kinds: list("token_type").map(|kinds| {
            let kind = |value| match value {
                Value::Signed(kind) => kind as u32,
                other => panic!("kind {other:?}"),
            };
            kinds.into_iter().map(kind).collect()
        }),
        merges: texts("merges"),
        bos: id("bos").or(id("cls")),
        eos: id("eos"),
        eot: id("eot"),
        unk: id("unknown"),
        // The key is misspelt in the format.
        sep: id("seperator"),
        pad: id("padding"),
        mask: id("mask"),
        fim_prefix: id("fim_pre"),
        fim_suffix: id("fim_suf"),
        fim_middle: id("fim_mid"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        add_space_prefix: flag("add_space_prefix"),
        remove_extra_whitespaces: flag("remove_extra_whitespaces"),
    }
}
