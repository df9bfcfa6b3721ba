//! `config.json`: the keys that change what a model computes, and which values of them are refused.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::families::Family;
use super::unsupported;
use crate::error::FormatError;

/// The keys of `config.json` that change what a model computes. Others are skipped unread.
#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) model_type: String,
    pub(super) vocab_size: Option<u32>,
    pub(super) tie_word_embeddings: Option<bool>,
    // Those of llama and its kin.
    pub(super) hidden_size: Option<u32>,
    pub(super) intermediate_size: Option<u32>,
    pub(super) num_hidden_layers: Option<u32>,
    pub(super) num_attention_heads: Option<u32>,
    pub(super) num_key_value_heads: Option<u32>,
    pub(super) head_dim: Option<u32>,
    pub(super) max_position_embeddings: Option<u32>,
    pub(super) rms_norm_eps: Option<f32>,
    pub(super) hidden_act: Option<String>,
    pub(super) rope_theta: Option<f32>,
    pub(super) rope_scaling: Option<Rope>,
    pub(super) rope_parameters: Option<Rope>,
    pub(super) partial_rotary_factor: Option<f32>,
    pub(super) sliding_window: Option<u32>,
    pub(super) use_sliding_window: Option<bool>,
    pub(super) mlp_bias: Option<bool>,
    // Those of bert.
    pub(super) layer_norm_eps: Option<f32>,
    pub(super) type_vocab_size: Option<u32>,
    pub(super) position_embedding_type: Option<String>,
    pub(super) is_decoder: Option<bool>,
    // Those of gpt2.
    pub(super) n_layer: Option<u32>,
    pub(super) n_head: Option<u32>,
    pub(super) n_embd: Option<u32>,
    pub(super) n_positions: Option<u32>,
    pub(super) n_inner: Option<u32>,
    pub(super) layer_norm_epsilon: Option<f32>,
    pub(super) activation_function: Option<String>,
    pub(super) scale_attn_by_inverse_layer_idx: Option<bool>,
    // Weights that are not plain numbers.
    pub(super) quantization_config: Option<IgnoredAny>,
}

/// `rope_scaling`, or `rope_parameters` as newer files call it.
#[derive(Deserialize)]
pub(super) struct Rope {
    #[serde(alias = "type")]
    pub(super) rope_type: Option<String>,
    pub(super) rope_theta: Option<f32>,
    pub(super) factor: Option<f32>,
    pub(super) low_freq_factor: Option<f32>,
    pub(super) high_freq_factor: Option<f32>,
    pub(super) original_max_position_embeddings: Option<u32>,
    pub(super) beta_fast: Option<f32>,
    pub(super) beta_slow: Option<f32>,
    pub(super) attention_factor: Option<f32>,
    pub(super) mscale: Option<f32>,
    pub(super) mscale_all_dim: Option<f32>,
    pub(super) truncate: Option<bool>,
}

/// What would be computed differently and is not converted: refused by name.
pub(super) fn refuse_variants(config: &Config, family: &Family) -> Result<(), FormatError> {
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
