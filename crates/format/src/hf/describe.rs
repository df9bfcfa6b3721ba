//! What `config.json` says, as GGUF's metadata, for each family.

use ondine_tensor::{Bytes, DType};

use super::config::{Config, Rope};
use super::families::Family;
use super::{missing, unsupported};
use crate::error::FormatError;
use crate::limits;
use crate::metadata::Metadata;
use crate::model_file::Tensor;

/// Query heads, and those of keys and values.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) query: usize,
    pub(super) key: usize,
}

/// What the metadata says that converting needs.
pub(super) struct Described {
    pub(super) heads: Heads,
    /// Divisors of the rotation's frequencies, where there are any.
    pub(super) freqs: Option<Tensor>,
}

fn heads(query: u32, key: u32) -> Result<Heads, FormatError> {
    let fits = |count: u32| usize::try_from(count).ok();
    match (fits(query), fits(key)) {
        (Some(query), Some(key)) if query > 0 && key > 0 => Ok(Heads { query, key }),
        _ => Err(unsupported("num_attention_heads", &format!("{query}, {key}"), "above zero")),
    }
}

pub(super) fn gpt2_metadata(
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

pub(super) fn bert_metadata(
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

pub(super) fn llama_metadata(
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
