//! A folder's tokenizer as GGUF's keys: WordPiece, from `tokenizer.json` or `vocab.txt`.
//!
//! GGUF keeps the words and says nothing of how a text is cleaned before it is cut: every reader
//! does what the uncased vocabularies of bert were made with. So a folder that asks for anything
//! else is refused by name. Other kinds of tokenizers are not converted yet.

use crate::error::FormatError;
use crate::json;
use crate::limits;
use crate::model_file::ModelFile;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The texts of the files that describe a tokenizer, those that are there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// `tokenizer.json`; it says everything by itself.
    pub tokenizer_json: Option<&'a str>,
    /// `vocab.txt`: a token a line. Read where there is no `tokenizer.json`.
    pub vocab_txt: Option<&'a str>,
    /// `tokenizer_config.json`: how the text is cleaned before the words of `vocab.txt`.
    pub tokenizer_config: Option<&'a str>,
}

/// What a token is for, numbered as in `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// Stands before a token that begins a word.
const SPACE: char = '\u{2581}';
/// Stands before a token inside a word, in Hugging Face's files.
const INSIDE: &str = "##";

/// The marks of bert: text, key, whether there must be one.
const MARKS: &[(&str, &[&str], bool)] = &[
    ("[CLS]", &["bos_token_id", "cls_token_id"], true),
    ("[SEP]", &["eos_token_id", "seperator_token_id"], true),
    ("[UNK]", &["unknown_token_id"], true),
    ("[PAD]", &["padding_token_id"], false),
    ("[MASK]", &["mask_token_id"], false),
];

/// Tokens by number: text and what it is for.
type Tokens = BTreeMap<u32, (String, i32)>;

/// Adds the tokenizer to a file that has none, or leaves the file as it is. There are as many tokens afterwards as the
/// embedding has rows.
///
/// # Errors
/// Where no file is there or one cannot be read, the tokenizer is of a kind that is not converted,
/// it lacks a mark, or it has more tokens than the embedding has rows.
pub fn describe(files: Files<'_>, file: &mut ModelFile) -> Result<(), FormatError> {
    let rows = file.tensor(crate::hparams::EMBEDDING)?.dims.get(1).copied().unwrap_or(0);
    let tokens = match files {
        Files { tokenizer_json: Some(text), .. } => from_json(text)?,
        Files { vocab_txt: Some(text), tokenizer_config, .. } => {
            from_lines(text, tokenizer_config, rows)?
        }
        _ => return Err(wrong("tokenizer", "tokenizer.json", "missing", "one, or a vocab.txt")),
    };
    let beyond = |id: &u32| usize::try_from(*id).map_or(true, |id| id >= rows);
    if let Some(id) = tokens.keys().copied().find(beyond) {
        let expected = format!("below the {rows} rows of the embedding");
        return Err(wrong("tokenizer", "id", &id.to_string(), &expected));
    }

    let mut texts = Vec::with_capacity(rows);
    let mut kinds = Vec::with_capacity(rows);
    for id in 0..rows {
        let token = u32::try_from(id).ok().and_then(|id| tokens.get(&id));
        let (text, kind) = match token {
            Some((text, kind)) => (spelled(text, *kind), *kind),
            // Rows that no token has: embeddings are often made a little larger than needed.
            None => (format!("[PAD{id}]"), UNUSED),
        };
        texts.push(text);
        kinds.push(kind);
    }
    let mut ids = Vec::new();
    for (mark, keys, needed) in MARKS {
        match tokens.iter().find(|(_, (text, _))| text == mark) {
            Some((id, _)) => ids.extend(keys.iter().map(|key| (*key, *id))),
            None if *needed => return Err(wrong("tokenizer", mark, "missing", "a token")),
            None => {}
        }
    }

    let metadata = &mut file.metadata;
    metadata.insert("tokenizer.ggml.model", "bert")?;
    metadata.insert("tokenizer.ggml.pre", "default")?;
    metadata.insert("tokenizer.ggml.normalizer.lowercase", true)?;
    metadata.insert("tokenizer.ggml.tokens", texts)?;
    metadata.insert("tokenizer.ggml.token_type", kinds)?;
    for (key, id) in ids {
        metadata.insert(format!("tokenizer.ggml.{key}"), id)?;
    }
    Ok(())
}

/// GGUF's spelling: what begins a word is marked, not what is inside one.
fn spelled(text: &str, kind: i32) -> String {
    match text.strip_prefix(INSIDE) {
        _ if kind != NORMAL => text.to_owned(),
        Some(rest) => rest.to_owned(),
        None => format!("{SPACE}{text}"),
    }
}

fn from_lines(text: &str, config: Option<&str>, rows: usize) -> Result<Tokens, FormatError> {
    const CONFIG: &str = "tokenizer_config.json";
    #[derive(Deserialize)]
    struct Config {
        do_lower_case: Option<bool>,
        strip_accents: Option<bool>,
        tokenize_chinese_chars: Option<bool>,
    }
    if let Some(config) = config {
        let config: Config = json::parse(CONFIG, config, limits::JSON_BYTES)?;
        for (key, flag) in [
            ("do_lower_case", config.do_lower_case),
            ("strip_accents", config.strip_accents),
            ("tokenize_chinese_chars", config.tokenize_chinese_chars),
        ] {
            if flag == Some(false) {
                return Err(wrong(CONFIG, key, "false", "true: GGUF has no word for it"));
            }
        }
    }
    // Only line breaks end a token: some vocabularies hold other white space. One more than there
    // are rows is enough to be refused.
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n').take(rows.saturating_add(1));
    let lines = lines.map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned());
    let tokens = lines.map(|text| {
        let kind = if MARKS.iter().any(|(mark, ..)| *mark == text) { CONTROL } else { NORMAL };
        (text, kind)
    });
    Ok((0u32..).zip(tokens).collect())
}

const JSON: &str = "tokenizer.json";

fn from_json(text: &str) -> Result<Tokens, FormatError> {
    #[derive(Deserialize)]
    struct Kind {
        model: Typed,
        normalizer: Option<Normalizer>,
        pre_tokenizer: Option<Typed>,
        post_processor: Option<Post>,
    }
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    #[derive(Deserialize)]
    struct Normalizer {
        #[serde(rename = "type")]
        kind: Option<String>,
        clean_text: Option<bool>,
        handle_chinese_chars: Option<bool>,
        strip_accents: Option<bool>,
        lowercase: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Post {
        #[serde(rename = "type")]
        kind: Option<String>,
        #[serde(default)]
        single: Vec<Piece>,
    }
    #[derive(Deserialize)]
    enum Piece {
        SpecialToken { id: String },
        Sequence {},
    }
    #[derive(Deserialize)]
    struct Words {
        model: Model,
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: BTreeMap<String, u32>,
        unk_token: Option<String>,
        continuing_subword_prefix: Option<String>,
    }
    #[derive(Deserialize)]
    struct Added {
        id: u32,
        content: String,
        #[serde(default)]
        special: bool,
    }

    // The kind first: the words of other kinds have another shape.
    let head: Kind = json::parse(JSON, text, limits::TOKENIZER_JSON_BYTES)?;
    let expect = |key: &str, found: Option<&str>, expected: &str| match found {
        Some(found) if found == expected => Ok(()),
        found => Err(wrong(JSON, key, found.unwrap_or("missing"), expected)),
    };
    expect("model.type", head.model.kind.as_deref(), "WordPiece")?;
    let normalizer = head.normalizer.as_ref();
    let kind = normalizer.and_then(|normalizer| normalizer.kind.as_deref());
    expect("normalizer.type", kind, "BertNormalizer")?;
    for (key, flag) in [
        ("normalizer.clean_text", normalizer.and_then(|n| n.clean_text)),
        ("normalizer.handle_chinese_chars", normalizer.and_then(|n| n.handle_chinese_chars)),
        ("normalizer.strip_accents", normalizer.and_then(|n| n.strip_accents)),
        ("normalizer.lowercase", normalizer.and_then(|n| n.lowercase)),
    ] {
        if flag == Some(false) {
            return Err(wrong(JSON, key, "false", "true: GGUF has no word for it"));
        }
    }
    let kind = head.pre_tokenizer.as_ref().and_then(|pre| pre.kind.as_deref());
    expect("pre_tokenizer.type", kind, "BertPreTokenizer")?;
    let post = head.post_processor.as_ref();
    match post.and_then(|post| post.kind.as_deref()) {
        Some("BertProcessing") => {}
        Some("TemplateProcessing") => {
            let marks = |post: &Post| {
                matches!(post.single.as_slice(), [
                    Piece::SpecialToken { id: first },
                    Piece::Sequence {},
                    Piece::SpecialToken { id: last },
                ] if first == "[CLS]" && last == "[SEP]")
            };
            if !post.is_some_and(marks) {
                let expected = "the text between [CLS] and [SEP]";
                return Err(wrong(JSON, "post_processor.single", "something else", expected));
            }
        }
        found => {
            let expected = "BertProcessing or TemplateProcessing";
            return Err(wrong(JSON, "post_processor.type", found.unwrap_or("missing"), expected));
        }
    }

    let words: Words = json::parse(JSON, text, limits::JSON_BYTES)?;
    expect("model.unk_token", words.model.unk_token.as_deref(), "[UNK]")?;
    let prefix = words.model.continuing_subword_prefix.as_deref();
    expect("model.continuing_subword_prefix", prefix, INSIDE)?;
    let mut tokens = Tokens::new();
    for (text, id) in words.model.vocab {
        if let Some((other, _)) = tokens.insert(id, (text.clone(), NORMAL)) {
            let found = format!("{id} for {other:?} and {text:?}");
            return Err(wrong(JSON, "model.vocab", &found, "one token a number"));
        }
    }
    for Added { id, content, special } in words.added_tokens {
        tokens.insert(id, (content, if special { CONTROL } else { USER_DEFINED }));
    }
    Ok(tokens)
}

fn wrong(file: &'static str, key: &str, found: &str, expected: &str) -> FormatError {
    FormatError::Folder {
        file,
        key: key.to_owned(),
        found: format!("{found:?}"),
        expected: expected.to_owned(),
    }
}
