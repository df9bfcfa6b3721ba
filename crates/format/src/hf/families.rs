//! The model types that are read: what GGUF calls each and its tensors. A type is a row here; what its `config.json` means
//! stands in `describe.rs`.

use super::config::Config;
use super::describe::{Described, bert_metadata, gpt2_metadata, llama_metadata};
use crate::error::FormatError;
use crate::metadata::Metadata;

/// A model type of `config.json`, and what its tensors are called.
pub(super) struct Family {
    pub(super) model_types: &'static [&'static str],
    pub(super) architecture: &'static str,
    /// Writes the metadata.
    pub(super) describe: fn(&Config, &Family, &mut Metadata) -> Result<Described, FormatError>,
    /// A prefix that names may carry or lack.
    pub(super) prefix: &'static str,
    /// Tensors outside the layers: their name, GGUF's name.
    pub(super) outside: &'static [(&'static str, &'static str)],
    /// What stands in front of the layer's number.
    pub(super) layer: &'static str,
    /// Tensors of a layer.
    pub(super) inside: &'static [(&'static str, &'static str)],
    /// Buffers of a layer that are no weights.
    pub(super) buffers: &'static [&'static str],
    /// What stands outside the layers and is not converted: buffers, heads of the training. Names
    /// that begin so.
    pub(super) left: &'static [&'static str],
    /// Whether tokens are foretold: an encoder has no output.
    pub(super) head: bool,
    /// What `hidden_act` may be.
    pub(super) activations: &'static [&'static str],
    /// Whether rotation takes neighbours for pairs, where the checkpoint takes halves.
    pub(super) interleave: bool,
    /// Weights of a layer that are stored input by output.
    pub(super) transposed: &'static [&'static str],
    /// Whether the embedding serves as the output where `config.json` does not say.
    pub(super) tied: bool,
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

pub(super) const FAMILIES: &[Family] = &[
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

/// GGUF's name of a tensor, or `None` for a buffer that is no weight.
pub(super) fn rename(
    family: &Family,
    model_type: &str,
    name: &str,
) -> Result<Option<String>, FormatError> {
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
