//! Hugging Face checkpoints: safetensors and `config.json`, given GGUF's names and metadata.
//!
//! What comes out is a [`ModelFile`] like any other, so that nothing above knows where a model was
//! stored. Converting copies only what must change its order: the rows of a llama's query and key
//! weights, and the transposed weights of gpt2. The tokenizer's files are read by [`vocab`], and
//! what says how an embedding model pools by [`pooling`].
//!
//! Paths are the caller's; this module only says which names an index may hold ([`Index`]).

use crate::cursor::{room, wide};
use crate::error::{FormatError, SafetensorsError};
use crate::json;
use crate::limits;
use crate::metadata::Metadata;
use crate::model_file::{ModelFile, Tensor};
use crate::safetensors::{self, Entry};
use ondine_tensor::{Bytes, DType};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

pub mod pooling;
pub mod vocab;

/// A model type of `config.json`, and what its tensors are called.
struct Family {
    model_types: &'static [&'static str],
    architecture: &'static str,
    /// Writes the metadata.
    describe: fn(&Config, &Family, &mut Metadata) -> Result<Described, FormatError>,
    /// A prefix that names may carry or lack.
    prefix: &'static str,
    /// Tensors outside the layers: their name, GGUF's name.
    outside: &'static [(&'static str, &'static str)],
    /// What stands in front of the layer's number.
    layer: &'static str,
    /// Tensors of a layer.
    inside: &'static [(&'static str, &'static str)],
    /// Buffers of a layer that are no weights.
    buffers: &'static [&'static str],
    /// What stands outside the layers and is not converted: buffers, heads of the training. Names
    /// that begin so.
    left: &'static [&'static str],
    /// Whether tokens are foretold: an encoder has no output.
    head: bool,
    /// What `hidden_act` may be.
    activations: &'static [&'static str],
    /// Whether rotation takes neighbours for pairs, where the checkpoint takes halves.
    interleave: bool,
    /// Weights of a layer that are stored input by output.
    transposed: &'static [&'static str],
    /// Whether the embedding serves as the output where `config.json` does not say.
    tied: bool,
}

const LLAMA_OUTSIDE: &[(&str, &str)] =
    &[("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

const LLAMA_INSIDE: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

const LLAMA: Family = Family {
    model_types: &["llama", "mistral"],
    architecture: "llama",
    describe: llama_metadata,
    prefix: "",
    outside: LLAMA_OUTSIDE,
    layer: "model.layers.",
    inside: LLAMA_INSIDE,
    buffers: &["self_attn.rotary_emb.inv_freq"],
    left: &[],
    head: true,
    activations: &["silu", "swish"],
    interleave: true,
    transposed: &[],
    tied: false,
};

const FAMILIES: &[Family] = &[
    LLAMA,
    Family { model_types: &["qwen2"], architecture: "qwen2", interleave: false, ..LLAMA },
    Family { model_types: &["qwen3"], architecture: "qwen3", interleave: false, ..LLAMA },
    Family {
        model_types: &["gpt2"],
        architecture: "gpt2",
        describe: gpt2_metadata,
        prefix: "transformer.",
        outside: &[
            ("wte", "token_embd"),
            ("wpe", "position_embd"),
            ("ln_f", "output_norm"),
            ("lm_head", "output"),
        ],
        layer: "h.",
        inside: &[
            ("ln_1", "attn_norm"),
            ("attn.c_attn", "attn_qkv"),
            ("attn.c_proj", "attn_output"),
            ("ln_2", "ffn_norm"),
            ("mlp.c_fc", "ffn_up"),
            ("mlp.c_proj", "ffn_down"),
        ],
        buffers: &["attn.bias", "attn.masked_bias"],
        interleave: false,
        transposed: &["attn_qkv", "attn_output", "ffn_up", "ffn_down"],
        tied: true,
        ..LLAMA
    },
    Family {
        model_types: &["bert"],
        architecture: "bert",
        describe: bert_metadata,
        prefix: "bert.",
        outside: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("embeddings.LayerNorm", "token_embd_norm"),
        ],
        layer: "encoder.layer.",
        inside: &[
            ("attention.self.query", "attn_q"),
            ("attention.self.key", "attn_k"),
            ("attention.self.value", "attn_v"),
            ("attention.output.dense", "attn_output"),
            ("attention.output.LayerNorm", "attn_output_norm"),
            ("intermediate.dense", "ffn_up"),
            ("output.dense", "ffn_down"),
            ("output.LayerNorm", "layer_output_norm"),
        ],
        buffers: &[],
        // The pooler and the heads served the training; a text's vector is made of the rows.
        left: &[
            "embeddings.position_ids",
            "pooler.dense.",
            "cls.predictions.",
            "cls.seq_relationship.",
        ],
        head: false,
        activations: &["gelu"],
        interleave: false,
        transposed: &[],
        tied: true,
    },
];

/// The keys of `config.json` that change what a model computes. Others are skipped unread.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    vocab_size: Option<u32>,
    tie_word_embeddings: Option<bool>,
    // Those of llama and its kin.
    hidden_size: Option<u32>,
    intermediate_size: Option<u32>,
    num_hidden_layers: Option<u32>,
    num_attention_heads: Option<u32>,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    max_position_embeddings: Option<u32>,
    rms_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    rope_parameters: Option<Rope>,
    partial_rotary_factor: Option<f32>,
    sliding_window: Option<u32>,
    use_sliding_window: Option<bool>,
    mlp_bias: Option<bool>,
    // Those of bert.
    layer_norm_eps: Option<f32>,
    type_vocab_size: Option<u32>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    // Those of gpt2.
    n_layer: Option<u32>,
    n_head: Option<u32>,
    n_embd: Option<u32>,
    n_positions: Option<u32>,
    n_inner: Option<u32>,
    layer_norm_epsilon: Option<f32>,
    activation_function: Option<String>,
    scale_attn_by_inverse_layer_idx: Option<bool>,
    // Weights that are not plain numbers.
    quantization_config: Option<IgnoredAny>,
}

/// `rope_scaling`, or `rope_parameters` as newer files call it.
#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<u32>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    attention_factor: Option<f32>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
    truncate: Option<bool>,
}

/// Reads a checkpoint of one or several safetensors files.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong or is not converted.
pub fn read(config_json: &str, shards: Vec<Bytes>) -> Result<ModelFile, FormatError> {
    let mut entries = Vec::new();
    check_parts(shards.len())?;
    for shard in &shards {
        entries.extend(safetensors::read(shard)?);
    }
    convert(config_json, entries)
}

/// Reads a checkpoint whose shards were found by an index, in the order of [`Index::shards`].
///
/// # Errors
/// As [`read`], and where a shard does not hold the tensors that the index says.
pub fn read_indexed(
    config_json: &str,
    index: &Index,
    shards: Vec<Bytes>,
) -> Result<ModelFile, FormatError> {
    if shards.len() != index.shards.len() {
        return Err(FormatError::Split {
            key: "weight_map",
            found: wide(shards.len()),
            expected: format!("{} shards", index.shards.len()),
        });
    }
    let mut entries = Vec::new();
    for (file, shard) in index.shards.iter().zip(&shards) {
        for entry in safetensors::read(shard)? {
            match index.map.get(&entry.name) {
                Some(expected) if expected == file => entries.push(entry),
                expected => {
                    return Err(FormatError::Shard {
                        tensor: entry.name,
                        found: format!("{file:?}"),
                        expected: expected.cloned().unwrap_or_default(),
                    });
                }
            }
        }
    }
    // Names are unique in a shard and stand for one shard in the map: as many, the same.
    if entries.len() != index.map.len() {
        let there: std::collections::BTreeSet<&str> =
            entries.iter().map(|entry| entry.name.as_str()).collect();
        let absent = index.map.iter().find(|(name, _)| !there.contains(name.as_str()));
        if let Some((tensor, file)) = absent {
            return Err(FormatError::Shard {
                tensor: tensor.clone(),
                found: "no shard".to_owned(),
                expected: file.clone(),
            });
        }
    }
    convert(config_json, entries)
}

fn check_parts(count: usize) -> Result<(), FormatError> {
    let (found, limit) = (wide(count), limits::PARTS);
    if found > limit.max {
        return Err(FormatError::Limit { what: "shards".to_owned(), at: 0, found, limit });
    }
    Ok(())
}

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Clone, Debug)]
pub struct Index {
    shards: Vec<String>,
    map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index. Every shard is the plain name of a file beside it: no folder, no drive, no
    /// way up.
    ///
    /// # Errors
    /// Where the JSON cannot be read, or a name is more than that.
    pub fn read(index_json: &str) -> Result<Index, FormatError> {
        #[derive(Deserialize)]
        struct Raw {
            weight_map: BTreeMap<String, String>,
        }
        let raw: Raw = json::parse("shard index", index_json, limits::JSON_BYTES)?;
        let mut shards: Vec<String> = raw.weight_map.values().cloned().collect();
        shards.sort_unstable();
        shards.dedup();
        check_parts(shards.len())?;
        for name in &shards {
            check_file_name(name)?;
        }
        Ok(Index { shards, map: raw.weight_map })
    }

    /// The names of the shards, sorted: files in the folder of the index.
    pub fn shards(&self) -> &[String] {
        &self.shards
    }
}

fn check_file_name(name: &str) -> Result<(), FormatError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let problem = if name.contains(['/', '\\', ':']) {
        "is a path"
    } else if name.contains("..") || name.starts_with('.') {
        "begins with a dot or holds two in a row"
    } else if name.is_empty() || name.len() > 255 || !name.chars().all(plain) {
        "holds something else than letters, digits, dots and dashes, or is too long"
    } else if !name.ends_with(".safetensors") {
        "does not end in .safetensors"
    } else {
        return Ok(());
    };
    Err(FormatError::ShardName { name: name.to_owned(), problem })
}

fn convert(config_json: &str, entries: Vec<Entry>) -> Result<ModelFile, FormatError> {
    let config: Config = json::parse("config.json", config_json, limits::JSON_BYTES)?;
    let is = |family: &&Family| family.model_types.contains(&config.model_type.as_str());
    let Some(family) = FAMILIES.iter().find(is) else {
        let known: Vec<&str> =
            FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        return Err(unsupported("model_type", &config.model_type, &known.join(", ")));
    };
    refuse_variants(&config, family)?;
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", family.architecture)?;
    let Described { heads, freqs } = (family.describe)(&config, family, &mut metadata)?;
    let mut tensors = Vec::with_capacity(entries.len().saturating_add(1));
    tensors.extend(freqs);
    if let Some(size) = config.vocab_size {
        metadata.insert(format!("{}.vocab_size", family.architecture), size)?;
    }
    let tied = !family.head || config.tie_word_embeddings.unwrap_or(family.tied);
    for entry in entries {
        let Some(name) = rename(family, &config.model_type, &entry.name)? else { continue };
        // A tied output is the embedding again.
        if tied && name == OUTPUT {
            continue;
        }
        tensors.push(tensor(family, heads, name, entry)?);
    }
    if !tied && !tensors.iter().any(|tensor| tensor.name == OUTPUT) {
        return Err(FormatError::MissingTensor { name: "lm_head.weight".to_owned() });
    }
    ModelFile::new(metadata, tensors)
}

const OUTPUT: &str = "output.weight";

/// Query heads, and those of keys and values.
#[derive(Clone, Copy)]
struct Heads {
    query: usize,
    key: usize,
}

/// What the metadata says that converting needs.
struct Described {
    heads: Heads,
    /// Divisors of the rotation's frequencies, where there are any.
    freqs: Option<Tensor>,
}

fn unsupported(key: &str, found: &str, expected: &str) -> FormatError {
    FormatError::Config {
        key: key.to_owned(),
        found: format!("{found:?}"),
        expected: expected.to_owned(),
    }
}

fn missing(key: &str) -> FormatError {
    FormatError::Config {
        key: key.to_owned(),
        found: "missing".to_owned(),
        expected: "a number".to_owned(),
    }
}

/// What would be computed differently and is not converted: refused by name.
fn refuse_variants(config: &Config, family: &Family) -> Result<(), FormatError> {
    if config.quantization_config.is_some() {
        return Err(unsupported("quantization_config", "present", "none: plain weights"));
    }
    let other = |act: &&str| !family.activations.contains(act);
    if let Some(act) = config.hidden_act.as_deref().filter(other) {
        let expected = family.activations.first().copied().unwrap_or_default();
        return Err(unsupported("hidden_act", act, expected));
    }
    if let Some(kind) = config.position_embedding_type.as_deref().filter(|kind| *kind != "absolute")
    {
        return Err(unsupported("position_embedding_type", kind, "absolute"));
    }
    if !family.head && config.is_decoder == Some(true) {
        return Err(unsupported("is_decoder", "true", "false"));
    }
    let gelu = |act: &&str| !matches!(*act, "gelu_new" | "gelu_pytorch_tanh");
    if let Some(act) = config.activation_function.as_deref().filter(gelu) {
        return Err(unsupported("activation_function", act, "gelu_new"));
    }
    if let Some(part) = config.partial_rotary_factor.filter(|part| *part != 1.0) {
        return Err(unsupported("partial_rotary_factor", &part.to_string(), "1"));
    }
    if config.use_sliding_window == Some(true) {
        return Err(unsupported("use_sliding_window", "true", "false"));
    }
    for (key, flag) in [
        ("mlp_bias", config.mlp_bias),
        ("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx),
    ] {
        if flag == Some(true) {
            return Err(unsupported(key, "true", "false"));
        }
    }
    Ok(())
}

fn heads(query: u32, key: u32) -> Result<Heads, FormatError> {
    let fits = |count: u32| usize::try_from(count).ok();
    match (fits(query), fits(key)) {
        (Some(query), Some(key)) if query > 0 && key > 0 => Ok(Heads { query, key }),
        _ => Err(unsupported("num_attention_heads", &format!("{query}, {key}"), "above zero")),
    }
}

fn gpt2_metadata(
    config: &Config,
    _: &Family,
    metadata: &mut Metadata,
) -> Result<Described, FormatError> {
    let width = config.n_embd.ok_or_else(|| missing("n_embd"))?;
    let count = config.n_head.ok_or_else(|| missing("n_head"))?;
    let ff = config.n_inner.unwrap_or(width.saturating_mul(4));
    let rows = [
        ("block_count", config.n_layer.ok_or_else(|| missing("n_layer"))?),
        ("context_length", config.n_positions.ok_or_else(|| missing("n_positions"))?),
        ("embedding_length", width),
        ("feed_forward_length", ff),
        ("attention.head_count", count),
    ];
    for (key, value) in rows {
        metadata.insert(format!("gpt2.{key}"), value)?;
    }
    let eps = config.layer_norm_epsilon.unwrap_or(1e-5);
    metadata.insert("gpt2.attention.layer_norm_epsilon", eps)?;
    Ok(Described { heads: heads(count, count)?, freqs: None })
}

fn bert_metadata(
    config: &Config,
    _: &Family,
    metadata: &mut Metadata,
) -> Result<Described, FormatError> {
    let need = |name: &str, value: Option<u32>| value.ok_or_else(|| missing(name));
    let count = need("num_attention_heads", config.num_attention_heads)?;
    let rows = [
        ("block_count", need("num_hidden_layers", config.num_hidden_layers)?),
        ("context_length", need("max_position_embeddings", config.max_position_embeddings)?),
        ("embedding_length", need("hidden_size", config.hidden_size)?),
        ("feed_forward_length", need("intermediate_size", config.intermediate_size)?),
        ("attention.head_count", count),
    ];
    for (name, value) in rows {
        metadata.insert(format!("bert.{name}"), value)?;
    }
    let eps = config.layer_norm_eps.ok_or_else(|| missing("layer_norm_eps"))?;
    metadata.insert("bert.attention.layer_norm_epsilon", eps)?;
    metadata.insert("bert.attention.causal", false)?;
    let segments = need("type_vocab_size", config.type_vocab_size)?;
    metadata.insert("tokenizer.ggml.token_type_count", segments)?;
    Ok(Described { heads: heads(count, count)?, freqs: None })
}

fn llama_metadata(
    config: &Config,
    family: &Family,
    metadata: &mut Metadata,
) -> Result<Described, FormatError> {
    let key = |name: &str| format!("{}.{name}", family.architecture);
    let need = |name: &str, value: Option<u32>| value.ok_or_else(|| missing(name));
    let width = need("hidden_size", config.hidden_size)?;
    let count = need("num_attention_heads", config.num_attention_heads)?;
    let kv_count = config.num_key_value_heads.unwrap_or(count);
    let rows = [
        ("block_count", need("num_hidden_layers", config.num_hidden_layers)?),
        ("context_length", need("max_position_embeddings", config.max_position_embeddings)?),
        ("embedding_length", width),
        ("feed_forward_length", need("intermediate_size", config.intermediate_size)?),
        ("attention.head_count", count),
        ("attention.head_count_kv", kv_count),
    ];
    for (name, value) in rows {
        metadata.insert(key(name), value)?;
    }
    let eps = config.rms_norm_eps.ok_or_else(|| missing("rms_norm_eps"))?;
    metadata.insert(key("attention.layer_norm_rms_epsilon"), eps)?;
    if let Some(head_dim) = config.head_dim {
        metadata.insert(key("attention.key_length"), head_dim)?;
        metadata.insert(key("attention.value_length"), head_dim)?;
    }
    if config.model_type == "mistral"
        && let Some(window) = config.sliding_window
    {
        metadata.insert(key("attention.sliding_window"), window)?;
    }
    let heads = heads(count, kv_count)?;
    let head_dim =
        config.head_dim.or(width.checked_div(count)).ok_or_else(|| missing("head_dim"))?;
    metadata.insert(key("rope.dimension_count"), head_dim)?;
    let freqs = rope_metadata(config, &key, head_dim, metadata)?;
    Ok(Described { heads, freqs })
}

/// Base and scaling of the rotation; llama 3 stretches each frequency on its own, which GGUF
/// stores as a tensor of divisors.
fn rope_metadata(
    config: &Config,
    key: &impl Fn(&str) -> String,
    head_dim: u32,
    metadata: &mut Metadata,
) -> Result<Option<Tensor>, FormatError> {
    let rope = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
    let base = rope.and_then(|rope| rope.rope_theta).or(config.rope_theta).unwrap_or(10_000.0);
    metadata.insert(key("rope.freq_base"), base)?;
    let Some(rope) = rope else { return Ok(None) };
    let kind = rope.rope_type.as_deref().unwrap_or("default");
    let factor = || rope.factor.ok_or_else(|| missing("rope_scaling.factor"));
    match kind {
        "default" => Ok(None),
        "linear" => {
            metadata.insert(key("rope.scaling.type"), kind)?;
            metadata.insert(key("rope.scaling.factor"), factor()?)?;
            Ok(None)
        }
        "yarn" => {
            metadata.insert(key("rope.scaling.type"), kind)?;
            metadata.insert(key("rope.scaling.factor"), factor()?)?;
            yarn_metadata(rope, key, metadata)?;
            Ok(None)
        }
        "llama3" => llama3_freqs(rope, base, factor()?, head_dim).map(Some),
        other => Err(unsupported("rope_scaling.type", other, "default, linear, yarn or llama3")),
    }
}

/// What yarn may be told beside its factor. Whether the attention factor is the one that is
/// computed anyway, the reader of the metadata judges.
fn yarn_metadata(
    rope: &Rope,
    key: &impl Fn(&str) -> String,
    metadata: &mut Metadata,
) -> Result<(), FormatError> {
    for (name, value) in [("mscale", rope.mscale), ("mscale_all_dim", rope.mscale_all_dim)] {
        if let Some(value) = value {
            return Err(unsupported(&format!("rope_scaling.{name}"), &value.to_string(), "none"));
        }
    }
    if rope.truncate == Some(false) {
        return Err(unsupported("rope_scaling.truncate", "false", "true"));
    }
    if let Some(original) = rope.original_max_position_embeddings {
        metadata.insert(key("rope.scaling.original_context_length"), original)?;
    }
    for (name, value) in [
        ("yarn_beta_fast", rope.beta_fast),
        ("yarn_beta_slow", rope.beta_slow),
        ("yarn_attn_factor", rope.attention_factor),
    ] {
        if let Some(value) = value {
            metadata.insert(key(&format!("rope.scaling.{name}")), value)?;
        }
    }
    Ok(())
}

fn llama3_freqs(rope: &Rope, base: f32, factor: f32, head_dim: u32) -> Result<Tensor, FormatError> {
    let need = |name: &str, value: Option<f32>| match value {
        Some(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(missing(name)),
    };
    let low = need("rope_scaling.low_freq_factor", rope.low_freq_factor)?;
    let high = need("rope_scaling.high_freq_factor", rope.high_freq_factor)?;
    let trained = rope
        .original_max_position_embeddings
        .ok_or_else(|| missing("rope_scaling.original_max_position_embeddings"))?;
    if high <= low {
        let found = format!("{high} and {low}");
        return Err(unsupported("rope_scaling.high_freq_factor", &found, "above the low one"));
    }
    if u64::from(head_dim) > limits::HEAD_DIM.max {
        return Err(unsupported("head_dim", &head_dim.to_string(), "at most 4096"));
    }
    let [low, high, factor, base] = [low, high, factor, base].map(f64::from);
    let trained = f64::from(trained);
    let mut data = Vec::new();
    let mut count = 0usize;
    for place in (0..head_dim).step_by(2) {
        let frequency = base.powf(-f64::from(place) / f64::from(head_dim));
        let wavelength = std::f64::consts::TAU / frequency;
        // Short waves stay, long ones are stretched, those between are blended.
        let divisor = if wavelength < trained / high {
            1.0
        } else if wavelength > trained / low {
            factor
        } else {
            let smooth = (trained / wavelength - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        data.extend(narrow(divisor).to_le_bytes());
        count = count.saturating_add(1);
    }
    Ok(Tensor {
        name: "rope_freqs.weight".to_owned(),
        dims: vec![count],
        dtype: DType::F32,
        data: Bytes::from_vec(data),
    })
}

#[expect(clippy::as_conversions, reason = "narrowing a float rounds, and nothing else converts")]
fn narrow(number: f64) -> f32 {
    number as f32
}

/// GGUF's name of a tensor, or `None` for a buffer that is no weight.
fn rename(family: &Family, model_type: &str, name: &str) -> Result<Option<String>, FormatError> {
    let unknown =
        || FormatError::UnknownTensor { name: name.to_owned(), model_type: model_type.to_owned() };
    let short = name.strip_prefix(family.prefix).unwrap_or(name);
    let (number, rest) = match short.strip_prefix(family.layer) {
        Some(rest) => rest.split_once('.').map(|(number, rest)| (Some(number), rest)),
        None => Some((None, short)),
    }
    .ok_or_else(unknown)?;
    if number.is_some() && family.buffers.contains(&rest) {
        return Ok(None);
    }
    if number.is_none() && family.left.iter().any(|left| rest.starts_with(left)) {
        return Ok(None);
    }
    let (stem, suffix) = rest.rsplit_once('.').ok_or_else(unknown)?;
    let suffix = match suffix {
        "weight" | "bias" => suffix,
        // What the oldest checkpoints of bert call the two vectors of a norm.
        "gamma" if stem.ends_with("LayerNorm") => "weight",
        "beta" if stem.ends_with("LayerNorm") => "bias",
        _ => return Err(unknown()),
    };
    let table = if number.is_some() { family.inside } else { family.outside };
    let (_, to) = table.iter().find(|(from, _)| *from == stem).ok_or_else(unknown)?;
    Ok(Some(match number {
        None => format!("{to}.{suffix}"),
        Some(number) => {
            // Written as a number is, so that two names cannot become one.
            let layer: u16 = number.parse().map_err(|_| unknown())?;
            if layer.to_string() != number {
                return Err(unknown());
            }
            format!("blk.{layer}.{to}.{suffix}")
        }
    }))
}

fn tensor(
    family: &Family,
    heads: Heads,
    name: String,
    entry: Entry,
) -> Result<Tensor, FormatError> {
    let Some(dtype) = entry.kind.dtype else {
        let found = entry.kind.name;
        return Err(SafetensorsError::UnsupportedType { name: entry.name, found }.into());
    };
    // What a layer's tensor is called behind its number, such as `attn_q`.
    let part = name.rsplit('.').nth(1).unwrap_or_default();
    let weight = name.ends_with(".weight");
    let rotated = match part {
        "attn_q" if family.interleave => Some(heads.query),
        "attn_k" if family.interleave => Some(heads.key),
        _ => None,
    };
    let mut shape = entry.shape;
    let data = if let Some(heads) = rotated {
        let data = interleave(&entry.data, &shape, heads);
        changed(data, &name, &shape, || format!("rows that {heads} heads divide in halves"))?
    } else if weight && family.transposed.contains(&part) {
        let data = transpose(&entry.data, &shape, entry.kind.bytes);
        let data = changed(data, &name, &shape, || "two dimensions".to_owned())?;
        shape.reverse();
        data
    } else {
        entry.data
    };
    // ggml counts dimensions from the fastest.
    shape.reverse();
    Ok(Tensor { name, dims: shape, dtype, data })
}

fn changed(
    data: Option<Result<Vec<u8>, FormatError>>,
    name: &str,
    shape: &[usize],
    expected: impl FnOnce() -> String,
) -> Result<Bytes, FormatError> {
    match data {
        Some(data) => Ok(Bytes::from_vec(data?)),
        None => Err(FormatError::TensorShape {
            name: name.to_owned(),
            found: shape.to_vec(),
            expected: expected(),
        }),
    }
}

/// Reorders the rows of each head from two halves to neighbours: row `j` of the first half, row
/// `j` of the second, and so on. `None` where the heads do not divide the rows so.
fn interleave(data: &[u8], shape: &[usize], heads: usize) -> Option<Result<Vec<u8>, FormatError>> {
    let rows = *shape.first()?;
    let halves = heads.checked_mul(2)?;
    if rows == 0 || data.is_empty() || !rows.is_multiple_of(halves) {
        return None;
    }
    let row_bytes = data.len().checked_div(rows)?;
    let half_bytes = data.len().checked_div(halves)?;
    let mut out = match room(data.len(), || "reordered rows".to_owned()) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    for head in data.chunks_exact(half_bytes.checked_mul(2)?) {
        let (first, second) = head.split_at_checked(half_bytes)?;
        for (a, b) in first.chunks_exact(row_bytes).zip(second.chunks_exact(row_bytes)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    Some(Ok(out))
}

/// Turns rows into columns. `None` where it is no matrix.
fn transpose(data: &[u8], shape: &[usize], bytes: usize) -> Option<Result<Vec<u8>, FormatError>> {
    let &[_, cols] = shape else { return None };
    if data.is_empty() {
        return None;
    }
    let mut out = match room(data.len(), || "a transposed matrix".to_owned()) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    let row_bytes = cols.checked_mul(bytes)?;
    for col in 0..cols {
        for row in data.chunks_exact(row_bytes) {
            out.extend_from_slice(row.chunks_exact(bytes).nth(col)?);
        }
    }
    Some(Ok(out))
}
