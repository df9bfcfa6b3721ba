//! The numbers that a transformer is built from, read from metadata and checked once.
//!
//! An [`Hparams`] can be divided by and multiplied with: no count is zero, heads divide, nothing
//! is above its limit. A model and the estimate of its memory both start from it, so that neither
//! meets a number that the other would refuse. It knows key names, not what a layer computes.

use crate::error::FormatError;
use crate::limits::{self, Limit};
use crate::metadata::{Array, Metadata, Value};
use crate::model_file::ModelFile;
use crate::texts::Texts;

/// Shape and constants of a model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hparams {
    /// `general.architecture`, the prefix of the other keys.
    pub architecture: String,
    /// Transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Key and value heads of a layer; they divide the query heads.
    pub kv_heads: usize,
    /// Width of a query or key head.
    pub head_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// Width of the feed-forward part.
    pub ff: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Tokens of context that it was trained for.
    pub context: usize,
    /// Dimensions of a head that are rotated: even, at most `head_dim`; 0 where the architecture
    /// learns its positions.
    pub rope_dims: usize,
    /// Base of the rotation frequencies.
    pub rope_base: f32,
    /// Base of the rotation frequencies in the layers with a window, where the file gives another.
    pub rope_base_local: Option<f32>,
    /// How positions are stretched.
    pub rope_scaling: RopeScaling,
    /// What a rotated head is multiplied with, 1 where the file says nothing.
    pub rope_magnitude: f32,
    /// Tokens of context before positions were stretched: `context` where the file says nothing.
    pub original_context: usize,
    /// What keeps a norm from dividing by zero.
    pub norm_eps: f32,
    /// Tokens that a token looks back at, where that is bounded.
    pub sliding_window: Option<usize>,
    /// Which layers have that window, where the file says it.
    pub windowed: Option<Windowed>,
    /// Numbers that parts of the model are multiplied with.
    pub scales: Scales,
    /// The bound that logits are bent to stay within.
    pub logit_cap: Option<f32>,
    /// Experts of a layer, where there are any.
    pub experts: Option<Experts>,
    /// Whether a token sees only those before it; `None` where the file does not say.
    pub causal: Option<bool>,
    /// How the rows of an embedding model become one vector, as GGUF numbers it: 0 not at all,
    /// 1 their mean, 2 the first, 3 the last, 4 a rank; `None` where the file does not say.
    pub pooling: Option<u32>,
}

/// How rotary positions are stretched beyond the context of the first training.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// Positions are divided by the factor.
    Linear {
        /// Above zero.
        factor: f32,
    },
    /// The base is raised, so that slow frequencies are stretched and fast ones hardly.
    Ntk {
        /// Times the context that is wanted: above zero.
        alpha: f32,
    },
    /// Frequencies are divided by the factor where they turn slowly, kept where they turn fast
    /// (Peng et al. 2023).
    Yarn {
        /// Above zero.
        factor: f32,
        /// From so many turns in the original context on, a frequency is kept.
        fast: f32,
        /// Up to so many turns in the original context, it is divided.
        slow: f32,
    },
    /// Each frequency has a divisor in a tensor: one list for contexts up to the original one,
    /// another beyond it.
    Long,
    /// A kind that this crate has no numbers for.
    Other {
        /// Its name in the file.
        kind: String,
        /// Above zero.
        factor: f32,
    },
}

/// Which layers look back no further than the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windowed {
    /// All but the last of so many in a row; all of them where it is 0.
    Period(usize),
    /// Those with `true`: one for each layer.
    Layers(Vec<bool>),
}

impl Windowed {
    /// Whether this layer, counted from 0, has the window.
    pub fn has(&self, layer: usize) -> bool {
        match self {
            Windowed::Period(period) => match layer.checked_rem(*period) {
                None => true,
                Some(place) => place.saturating_add(1) < *period,
            },
            Windowed::Layers(layers) => layers.get(layer).copied().unwrap_or(false),
        }
    }
}

/// Numbers that parts of a model are multiplied with, or divided by: which of the two is the
/// architecture's affair. `None` where the file gives none. All are finite and above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scales {
    /// `embedding_scale`
    pub embedding: Option<f32>,
    /// `residual_scale`
    pub residual: Option<f32>,
    /// `attention.scale`
    pub attention: Option<f32>,
    /// `logit_scale`
    pub logits: Option<f32>,
}

/// Experts of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many work on a token.
    pub used: usize,
    /// Width of the feed-forward part of one.
    pub ff: usize,
}

/// Architectures whose positions are learned or absent: nothing is rotated.
const WITHOUT_ROPE: &[&str] = &["bert", "bloom", "gpt2", "mpt", "starcoder"];

/// The base that a file means when it names none.
const DEFAULT_ROPE_BASE: f32 = 10_000.0;

impl Hparams {
    /// Reads the numbers from metadata alone. The vocabulary's size is the number of tokens, or
    /// else the key `vocab_size`.
    ///
    /// # Errors
    /// [`FormatError`] naming the key, what it holds and what it must be.
    pub fn read(metadata: &Metadata) -> Result<Hparams, FormatError> {
        Hparams::with_rows(metadata, None)
    }

    /// Reads the numbers of a file, and checks that its embedding has their shape. Where neither
    /// tokens nor a key give the vocabulary's size, the embedding's rows do.
    ///
    /// # Errors
    /// As [`Hparams::read`], and where `token_embd.weight` has another shape.
    pub fn of(file: &ModelFile) -> Result<Hparams, FormatError> {
        let Some(embedding) = file.tensors.named(EMBEDDING) else {
            return Hparams::read(&file.metadata);
        };
        let rows = embedding.dims.get(1).copied();
        let hparams = Hparams::with_rows(&file.metadata, rows)?;
        if embedding.dims != [hparams.width, hparams.vocab] {
            return Err(FormatError::TensorShape {
                name: EMBEDDING.to_owned(),
                found: embedding.dims.clone(),
                expected: format!("[{}, {}]", hparams.width, hparams.vocab),
            });
        }
        Ok(hparams)
    }

    fn with_rows(metadata: &Metadata, rows: Option<usize>) -> Result<Hparams, FormatError> {
        let architecture = metadata.string("general.architecture")?.ok_or_else(|| {
            FormatError::MissingKey { key: "general.architecture".into(), expected: "string" }
        })?;
        let keys = Keys { metadata, architecture };
        let layers = keys.needed("block_count", limits::LAYERS, None)?;
        let width = keys.needed("embedding_length", limits::WIDTH, None)?;
        let heads = keys.needed("attention.head_count", limits::HEADS, Some(layers))?;
        let kv_heads =
            keys.count("attention.head_count_kv", limits::HEADS, Some(layers))?.unwrap_or(heads);
        if heads.checked_rem(kv_heads) != Some(0) {
            let expected = format!("a number that divides the {heads} query heads");
            return Err(keys.wrong("attention.head_count_kv", kv_heads, expected));
        }
        let head_dim = match keys.count("attention.key_length", limits::HEAD_DIM, None)? {
            Some(head_dim) => head_dim,
            None => match (width.checked_rem(heads), width.checked_div(heads)) {
                (Some(0), Some(quotient)) => quotient,
                _ => {
                    let expected = format!("a number that divides the width {width}");
                    return Err(keys.wrong("attention.head_count", heads, expected));
                }
            },
        };
        if limits::HEAD_DIM.max < crate::cursor::wide(head_dim) {
            let expected = format!("heads at most {} wide", limits::HEAD_DIM.max);
            return Err(keys.wrong("attention.head_count", heads, expected));
        }
        let value_dim =
            keys.count("attention.value_length", limits::HEAD_DIM, None)?.unwrap_or(head_dim);
        let ff = keys.needed("feed_forward_length", limits::FF, Some(layers))?;
        let context = keys.needed("context_length", limits::CONTEXT, None)?;
        Ok(Hparams {
            architecture: architecture.to_owned(),
            layers,
            width,
            heads,
            kv_heads,
            head_dim,
            value_dim,
            ff,
            vocab: vocab(&keys, rows)?,
            context,
            rope_dims: rope_dims(&keys, head_dim)?,
            rope_base: keys.positive("rope.freq_base")?.unwrap_or(DEFAULT_ROPE_BASE),
            rope_base_local: keys.positive("rope.freq_base_swa")?,
            rope_scaling: rope_scaling(&keys)?,
            rope_magnitude: keys.positive("rope.scaling.attn_factor")?.unwrap_or(1.0),
            original_context: keys
                .count("rope.scaling.original_context_length", limits::CONTEXT, None)?
                .unwrap_or(context),
            norm_eps: norm_eps(&keys)?,
            sliding_window: sliding_window(&keys)?,
            windowed: windowed(&keys, layers)?,
            scales: Scales {
                embedding: keys.factor("embedding_scale")?,
                residual: keys.factor("residual_scale")?,
                attention: keys.factor("attention.scale")?,
                logits: keys.factor("logit_scale")?,
            },
            logit_cap: keys.factor("final_logit_softcapping")?,
            experts: experts(&keys, layers, ff)?,
            causal: metadata.bool(&keys.name("attention.causal"))?,
            pooling: metadata.u32(&keys.name("pooling_type"))?,
        })
    }
}

/// The token embedding: one row a token.
pub const EMBEDDING: &str = "token_embd.weight";

/// Metadata seen from one architecture.
struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn wrong(&self, key: &str, found: impl ToString, expected: impl Into<String>) -> FormatError {
        FormatError::Hparam {
            key: self.name(key),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    fn missing(&self, key: &str, expected: &'static str) -> FormatError {
        FormatError::MissingKey { key: self.name(key), expected }
    }

    /// A number from 1 to its limit. Where `layers` is given it may be an array with the same
    /// number for every layer.
    fn count(
        &self,
        key: &str,
        limit: Limit,
        layers: Option<usize>,
    ) -> Result<Option<usize>, FormatError> {
        let name = self.name(key);
        let found = match (self.metadata.get(&name), layers) {
            (Some(Value::Array(Array::U32(_) | Array::I32(_))), Some(layers)) => {
                let all = self.metadata.u32s(&name)?.unwrap_or_default();
                match all.split_first() {
                    Some((first, rest))
                        if all.len() == layers && rest.iter().all(|other| other == first) =>
                    {
                        Some(u64::from(*first))
                    }
                    _ => {
                        let found = format!("an array of {}", all.len());
                        let expected = format!("the same number for each of {layers} layers");
                        return Err(self.wrong(key, found, expected));
                    }
                }
            }
            _ => self.metadata.u64(&name)?,
        };
        match found {
            None => Ok(None),
            Some(number) if number >= 1 && number <= limit.max => {
                usize::try_from(number).map(Some).map_err(|_| self.wrong(key, number, "less"))
            }
            Some(number) => {
                Err(self.wrong(key, number, format!("1 to {} {}", limit.max, limit.name)))
            }
        }
    }

    fn needed(&self, key: &str, limit: Limit, layers: Option<usize>) -> Result<usize, FormatError> {
        self.count(key, limit, layers)?.ok_or_else(|| self.missing(key, "an integer"))
    }

    /// A finite number above zero.
    fn positive(&self, key: &str) -> Result<Option<f32>, FormatError> {
        match self.metadata.f32(&self.name(key))? {
            Some(number) if !(number.is_finite() && number > 0.0) => {
                Err(self.wrong(key, number, "a finite number above zero"))
            }
            other => Ok(other),
        }
    }

    /// A finite number above zero, or a zero that says that there is none.
    fn factor(&self, key: &str) -> Result<Option<f32>, FormatError> {
        match self.metadata.f32(&self.name(key))? {
            Some(0.0) => Ok(None),
            _ => self.positive(key),
        }
    }

    /// Refuses a number that nothing here computes with, unless it is one that changes nothing.
    fn only(
        &self,
        key: &str,
        same: impl Fn(f32) -> bool,
        expected: &str,
    ) -> Result<(), FormatError> {
        match self.metadata.f32(&self.name(key))? {
            Some(number) if !same(number) => Err(self.wrong(key, number, expected)),
            _ => Ok(()),
        }
    }
}

fn rope_dims(keys: &Keys<'_>, head_dim: usize) -> Result<usize, FormatError> {
    const KEY: &str = "rope.dimension_count";
    // In a granite, this key is the switch of the rotation.
    let unrotated_granite = keys.architecture == "granite"
        && keys.metadata.bool(&keys.name("rope.scaling.finetuned"))? == Some(false);
    let rotated = !WITHOUT_ROPE.contains(&keys.architecture) && !unrotated_granite;
    let dims = match keys.count(KEY, limits::HEAD_DIM, None)? {
        Some(dims) => dims,
        None if rotated => head_dim,
        None => 0,
    };
    if dims > head_dim || !dims.is_multiple_of(2) {
        return Err(keys.wrong(KEY, dims, format!("an even number, at most {head_dim}")));
    }
    Ok(if rotated { dims } else { 0 })
}

fn rope_scaling(keys: &Keys<'_>) -> Result<RopeScaling, FormatError> {
    let factor = match keys.positive("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        // What linear scaling was called before it had a type.
        None => keys.positive("rope.scale_linear")?,
    };
    let kind = keys.metadata.string(&keys.name("rope.scaling.type"))?;
    if let Some(alpha) = keys.factor("rope.scaling.alpha")? {
        if matches!(kind, None | Some("none")) && factor.is_none_or(|factor| factor == 1.0) {
            return Ok(RopeScaling::Ntk { alpha });
        }
        let expected = "no other scaling beside it";
        return Err(keys.wrong("rope.scaling.alpha", alpha, expected));
    }
    Ok(match (kind, factor) {
        (Some("none"), _) | (None, None) => RopeScaling::None,
        (Some("yarn"), factor) => yarn(keys, factor.unwrap_or(1.0))?,
        (Some("longrope"), None | Some(1.0)) => RopeScaling::Long,
        (Some("longrope"), Some(factor)) => {
            return Err(keys.wrong("rope.scaling.factor", factor, "1 beside lists of divisors"));
        }
        (Some("linear") | None, factor) => match factor.unwrap_or(1.0) {
            1.0 => RopeScaling::None,
            factor => RopeScaling::Linear { factor },
        },
        (Some(kind), factor) => {
            RopeScaling::Other { kind: kind.to_owned(), factor: factor.unwrap_or(1.0) }
        }
    })
}

/// The numbers of yarn. Its magnitude follows from the factor here, and its mixing is the paper's:
/// files that ask for another are refused.
fn yarn(keys: &Keys<'_>, factor: f32) -> Result<RopeScaling, FormatError> {
    let magnitude = 1.0 + 0.1 * factor.max(1.0).ln();
    // Writers put a negative number, or 1, where nothing was chosen.
    keys.only("rope.scaling.yarn_ext_factor", |n| n < 0.0 || n == 1.0, "1")?;
    keys.only(
        "rope.scaling.yarn_attn_factor",
        |n| n == 1.0 || (n - magnitude).abs() < 1e-3,
        &format!("1 or {magnitude}"),
    )?;
    keys.only("rope.scaling.yarn_log_multiplier", |n| n == 0.0, "0")?;
    Ok(RopeScaling::Yarn {
        factor,
        fast: keys.positive("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
        slow: keys.positive("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
    })
}

fn norm_eps(keys: &Keys<'_>) -> Result<f32, FormatError> {
    for key in ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"] {
        match keys.positive(key)? {
            Some(eps) if eps <= 1.0 => return Ok(eps),
            Some(eps) => return Err(keys.wrong(key, eps, "at most 1")),
            None => {}
        }
    }
    Err(keys.missing("attention.layer_norm_rms_epsilon", "f32"))
}

fn sliding_window(keys: &Keys<'_>) -> Result<Option<usize>, FormatError> {
    // Zero is how some writers say that there is none.
    match keys.metadata.u64(&keys.name("attention.sliding_window"))? {
        Some(0) => Ok(None),
        _ => keys.count("attention.sliding_window", limits::CONTEXT, None),
    }
}

fn windowed(keys: &Keys<'_>, layers: usize) -> Result<Option<Windowed>, FormatError> {
    const KEY: &str = "attention.sliding_window_pattern";
    let name = keys.name(KEY);
    match keys.metadata.get(&name) {
        None => Ok(None),
        Some(Value::Array(Array::Bool(each))) if each.len() == layers => {
            Ok(Some(Windowed::Layers(each.clone())))
        }
        Some(Value::Array(array)) => {
            let found = format!("an array of {} {}", array.len(), array.element_type().name());
            Err(keys.wrong(KEY, found, format!("a bool for each of {layers} layers")))
        }
        Some(_) => match keys.metadata.u64(&name)? {
            Some(0) => Ok(Some(Windowed::Period(0))),
            _ => Ok(keys.count(KEY, limits::LAYERS, None)?.map(Windowed::Period)),
        },
    }
}

fn experts(keys: &Keys<'_>, layers: usize, ff: usize) -> Result<Option<Experts>, FormatError> {
    if let None | Some(0) = keys.metadata.u64(&keys.name("expert_count"))? {
        return match keys.metadata.u64(&keys.name("expert_used_count"))? {
            None | Some(0) => Ok(None),
            Some(used) => Err(keys.wrong("expert_used_count", used, "0, as there are no experts")),
        };
    }
    let count = keys.needed("expert_count", limits::EXPERTS, None)?;
    let used = keys.needed("expert_used_count", limits::EXPERTS, None)?;
    if used > count {
        let expected = format!("at most the {count} experts there are");
        return Err(keys.wrong("expert_used_count", used, expected));
    }
    // Other ways to choose and to weigh experts are other models.
    for (key, most) in [("expert_group_count", 1), ("expert_gating_func", 1)] {
        match keys.metadata.u64(&keys.name(key))? {
            Some(number) if number > most => return Err(keys.wrong(key, number, "0 or 1")),
            _ => {}
        }
    }
    keys.only("expert_weights_scale", |scale| scale == 0.0 || scale == 1.0, "1")?;
    let ff = keys.count("expert_feed_forward_length", limits::FF, Some(layers))?.unwrap_or(ff);
    Ok(Some(Experts { count, used, ff }))
}

/// Keys of single tokens: each must be one of the vocabulary's. The spelling is GGUF's.
const TOKEN_IDS: &[&str] = &[
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.seperator_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.cls_token_id",
    "tokenizer.ggml.mask_token_id",
    "tokenizer.ggml.prefix_token_id",
    "tokenizer.ggml.suffix_token_id",
    "tokenizer.ggml.middle_token_id",
    "tokenizer.ggml.fim_pre_token_id",
    "tokenizer.ggml.fim_suf_token_id",
    "tokenizer.ggml.fim_mid_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// The vocabulary's size, with every list and every id of the tokenizer checked against it.
fn vocab(keys: &Keys<'_>, rows: Option<usize>) -> Result<usize, FormatError> {
    let metadata = keys.metadata;
    let wrong = |key: &str, found: String, expected: String| {
        Err(FormatError::Hparam { key: key.to_owned(), found, expected })
    };
    let tokens = metadata.strings("tokenizer.ggml.tokens")?.map(Texts::len);
    let declared = keys.count("vocab_size", limits::VOCAB, None)?;
    let Some(size) = tokens.or(declared).or(rows) else {
        return Err(FormatError::MissingKey {
            key: "tokenizer.ggml.tokens".to_owned(),
            expected: "array of string",
        });
    };
    if size == 0 {
        let expected = "at least one token".to_owned();
        return wrong("tokenizer.ggml.tokens", "an empty array".to_owned(), expected);
    }
    if let (Some(tokens), Some(rows)) = (tokens, rows)
        && tokens != rows
    {
        let expected = format!("{rows}, as many as the embedding has rows");
        return wrong("tokenizer.ggml.tokens", format!("an array of {tokens}"), expected);
    }
    let scores = metadata.f32s("tokenizer.ggml.scores")?.map(<[f32]>::len);
    let kinds = metadata.u32s("tokenizer.ggml.token_type")?;
    let lists =
        [("tokenizer.ggml.scores", scores), ("tokenizer.ggml.token_type", kinds.map(|k| k.len()))];
    for (key, length) in lists {
        match length {
            Some(length) if length != size => {
                let expected = format!("{size}, one for each token");
                return wrong(key, format!("an array of {length}"), expected);
            }
            _ => {}
        }
    }
    metadata.strings("tokenizer.ggml.merges")?;
    for key in TOKEN_IDS {
        match metadata.u64(key)? {
            Some(id) if id >= crate::cursor::wide(size) => {
                return wrong(key, id.to_string(), format!("below the vocabulary's size {size}"));
            }
            _ => {}
        }
    }
    Ok(size)
}
