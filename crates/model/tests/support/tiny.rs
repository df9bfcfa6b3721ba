//! Tiny random models in memory, and the slow forward pass that judges the fast one.
//!
//! A model is written with the format's own writer and read back, so that a test goes the whole
//! way that a file goes. The engine's tests use these too.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use ondine_format::{GgufWriter, Metadata, ModelFile, TensorLayout, Value, gguf};
use ondine_tensor::{Bytes, DType};

pub mod reference;

/// A small shape. Start from one of the families' and change what the test is about.
#[derive(Clone, Debug)]
pub struct Tiny {
    pub architecture: &'static str,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub ff: usize,
    pub vocab: usize,
    pub context: usize,
    pub rope_dims: usize,
    pub rope_base: f32,
    pub rope_linear: Option<f32>,
    pub rope_yarn: Option<f32>,
    pub rope_alpha: Option<f32>,
    pub rope_factors: bool,
    /// Divisors for contexts up to the original one, and others beyond it.
    pub rope_long: bool,
    /// The context before positions were stretched.
    pub original: Option<usize>,
    pub window: Option<usize>,
    /// All blocks but the last of so many have the window.
    pub period: Option<usize>,
    /// How many there are, and how many work on a token.
    pub experts: Option<(usize, usize)>,
    /// Embedding, residual, attention, logits.
    pub scales: Option<[f32; 4]>,
    pub logit_cap: Option<f32>,
    pub tied: bool,
    /// Biases that the family may have and need not.
    pub biases: bool,
    pub seed: u64,
    /// More metadata.
    pub more: Vec<(String, Value)>,
    /// A token whose embedding is NaN.
    pub nan_token: Option<usize>,
}

impl Tiny {
    pub fn llama() -> Tiny {
        Tiny {
            architecture: "llama",
            layers: 2,
            width: 32,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            ff: 48,
            vocab: 40,
            context: 96,
            rope_dims: 8,
            rope_base: 10_000.0,
            rope_linear: None,
            rope_yarn: None,
            rope_alpha: None,
            rope_factors: false,
            rope_long: false,
            original: None,
            window: None,
            period: None,
            experts: None,
            scales: None,
            logit_cap: None,
            tied: false,
            biases: false,
            seed: 1,
            more: Vec::new(),
            nan_token: None,
        }
    }

    pub fn qwen2() -> Tiny {
        Tiny { architecture: "qwen2", tied: true, rope_base: 1e6, ..Tiny::llama() }
    }

    /// Heads wider than `width / heads`, as the smaller ones of the family have.
    pub fn qwen3() -> Tiny {
        Tiny { architecture: "qwen3", head_dim: 16, rope_dims: 16, ..Tiny::qwen2() }
    }

    pub fn gpt2() -> Tiny {
        Tiny { architecture: "gpt2", kv_heads: 4, rope_dims: 0, tied: true, ..Tiny::llama() }
    }

    pub fn mixtral() -> Tiny {
        Tiny { experts: Some((4, 2)), ..Tiny::llama() }
    }

    pub fn qwen3moe() -> Tiny {
        let experts = Some((8, 3));
        Tiny { architecture: "qwen3moe", experts, ff: 24, tied: false, ..Tiny::qwen3() }
    }

    /// Six blocks: five that see a window, one that sees everything.
    pub fn gemma3() -> Tiny {
        let (layers, window) = (6, Some(12));
        Tiny { architecture: "gemma3", layers, window, width: 24, ..Tiny::qwen3() }
    }

    pub fn phi3() -> Tiny {
        Tiny { architecture: "phi3", ..Tiny::llama() }
    }

    /// With windows this is olmo3.
    pub fn olmo2() -> Tiny {
        Tiny { architecture: "olmo2", layers: 4, ..Tiny::llama() }
    }

    pub fn granite() -> Tiny {
        let scales = Some([6.0, 0.4, 0.2, 4.0]);
        Tiny { architecture: "granite", scales, tied: true, ..Tiny::llama() }
    }

    pub fn families() -> [Tiny; 10] {
        [
            Tiny::llama(),
            Tiny::mixtral(),
            Tiny::qwen2(),
            Tiny::qwen3(),
            Tiny::qwen3moe(),
            Tiny::gemma3(),
            Tiny::phi3(),
            Tiny::olmo2(),
            Tiny::granite(),
            Tiny::gpt2(),
        ]
    }

    /// Whether norms stand before the parts of a block, and whether behind them.
    pub fn norms(&self) -> (bool, bool) {
        match self.architecture {
            "olmo2" => (false, true),
            "gemma3" => (true, true),
            _ => (true, false),
        }
    }

    /// Widths of the norms of queries and of keys, where the family has them.
    pub fn head_norms(&self) -> Option<(usize, usize)> {
        match self.architecture {
            "qwen3" | "qwen3moe" | "gemma3" => Some((self.head_dim, self.head_dim)),
            "olmo2" => Some((self.heads * self.head_dim, self.kv_heads * self.head_dim)),
            _ => None,
        }
    }

    pub fn metadata(&self) -> Metadata {
        let mut m = Metadata::new();
        let mut put = |key: &str, value: Value| m.insert(key, value).unwrap();
        put("general.architecture", self.architecture.into());
        let counts = [
            ("block_count", self.layers),
            ("embedding_length", self.width),
            ("feed_forward_length", self.ff),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("context_length", self.context),
            ("vocab_size", self.vocab),
        ];
        let key = |name: &str| format!("{}.{name}", self.architecture);
        for (name, count) in counts {
            put(&key(name), (count as u32).into());
        }
        if self.architecture == "gpt2" {
            put(&key("attention.layer_norm_epsilon"), 1e-5f32.into());
        } else {
            put(&key("attention.layer_norm_rms_epsilon"), 1e-5f32.into());
            put(&key("attention.key_length"), (self.head_dim as u32).into());
            put(&key("attention.value_length"), (self.head_dim as u32).into());
            put(&key("rope.dimension_count"), (self.rope_dims as u32).into());
            put(&key("rope.freq_base"), self.rope_base.into());
        }
        if let Some(factor) = self.rope_linear {
            put(&key("rope.scaling.type"), "linear".into());
            put(&key("rope.scaling.factor"), factor.into());
        }
        if let Some(factor) = self.rope_yarn {
            put(&key("rope.scaling.type"), "yarn".into());
            put(&key("rope.scaling.factor"), factor.into());
        }
        if let Some(alpha) = self.rope_alpha {
            put(&key("rope.scaling.alpha"), alpha.into());
        }
        if let Some(original) = self.original {
            put(&key("rope.scaling.original_context_length"), (original as u32).into());
        }
        if self.rope_long {
            put(&key("rope.scaling.attn_factor"), 1.19f32.into());
        }
        if let Some(window) = self.window {
            put(&key("attention.sliding_window"), (window as u32).into());
        }
        if let Some(period) = self.period {
            put(&key("attention.sliding_window_pattern"), (period as u32).into());
        }
        if let Some((count, used)) = self.experts {
            put(&key("expert_count"), (count as u32).into());
            put(&key("expert_used_count"), (used as u32).into());
        }
        for (name, scale) in ["embedding_scale", "residual_scale", "attention.scale", "logit_scale"]
            .into_iter()
            .zip(self.scales.into_iter().flatten())
        {
            put(&key(name), scale.into());
        }
        if let Some(cap) = self.logit_cap {
            put(&key("final_logit_softcapping"), cap.into());
        }
        for (name, value) in &self.more {
            put(name, value.clone());
        }
        m
    }

    /// Every tensor: name, dimensions in ggml's order, weights.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut random = Random(self.seed);
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        let mut block = |random: &mut Random, name: &str, dims: &[usize], size: f32| {
            let data = (0..dims.iter().product()).map(|_| random.normal() * size).collect();
            tensors.push((format!("{name}.weight"), dims.to_vec(), data));
        };
        let (d, ff, vocab) = (self.width, self.ff, self.vocab);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let fan_in = |width: usize| 1.5 / (width as f32).sqrt();
        let mut matrix = |random: &mut Random, name: &str, rows: usize, cols: usize, size: f32| {
            block(random, name, &[cols, rows], size);
        };
        matrix(&mut random, "token_embd", vocab, d, 1.0);
        if !self.tied {
            matrix(&mut random, "output", vocab, d, fan_in(d));
        }
        let (gpt2, phi3) = (self.architecture == "gpt2", self.architecture == "phi3");
        if gpt2 {
            matrix(&mut random, "position_embd", self.context, d, 0.5);
        }
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            if gpt2 || phi3 {
                matrix(&mut random, &name("attn_qkv"), q + 2 * kv, d, fan_in(d));
            } else {
                matrix(&mut random, &name("attn_q"), q, d, fan_in(d));
                matrix(&mut random, &name("attn_k"), kv, d, fan_in(d));
                matrix(&mut random, &name("attn_v"), kv, d, fan_in(d));
                if self.experts.is_none() {
                    matrix(&mut random, &name("ffn_gate"), ff, d, fan_in(d));
                }
            }
            matrix(&mut random, &name("attn_output"), d, q, fan_in(q));
            if self.experts.is_none() {
                let ups = if phi3 { 2 * ff } else { ff };
                matrix(&mut random, &name("ffn_up"), ups, d, fan_in(d));
                matrix(&mut random, &name("ffn_down"), d, ff, fan_in(ff));
            }
        }
        if let Some((count, _)) = self.experts {
            for layer in 0..self.layers {
                let name = |part: &str| format!("blk.{layer}.ffn_{part}");
                block(&mut random, &name("gate_inp"), &[d, count], fan_in(d));
                block(&mut random, &name("gate_exps"), &[d, ff, count], fan_in(d));
                block(&mut random, &name("up_exps"), &[d, ff, count], fan_in(d));
                block(&mut random, &name("down_exps"), &[ff, d, count], fan_in(ff));
            }
        }
        let mut vector = |name: String, len: usize, around: f32| {
            let data = (0..len).map(|_| around + random.normal() * 0.2).collect();
            tensors.push((name, vec![len], data));
        };
        let mut norm = |name: String, len: usize| {
            vector(format!("{name}.weight"), len, 1.0);
            if gpt2 {
                vector(format!("{name}.bias"), len, 0.0);
            }
        };
        norm("output_norm".into(), d);
        for layer in 0..self.layers {
            let (before, after) = self.norms();
            if before {
                norm(format!("blk.{layer}.attn_norm"), d);
                norm(format!("blk.{layer}.ffn_norm"), d);
            }
            if after {
                norm(format!("blk.{layer}.post_attention_norm"), d);
                norm(format!("blk.{layer}.post_ffw_norm"), d);
            }
            if let Some((query, key)) = self.head_norms() {
                norm(format!("blk.{layer}.attn_q_norm"), query);
                norm(format!("blk.{layer}.attn_k_norm"), key);
            }
        }
        let qkv = [("attn_q", q), ("attn_k", kv), ("attn_v", kv)];
        let rest = [("attn_output", d), ("ffn_up", ff), ("ffn_down", d)];
        let biased: Vec<(&str, usize)> = match self.architecture {
            "gpt2" => [&[("attn_qkv", 3 * d)][..], &rest].concat(),
            "qwen2" => qkv.to_vec(),
            _ if self.biases => [&qkv[..], &rest, &[("ffn_gate", ff)]].concat(),
            _ => Vec::new(),
        };
        for layer in 0..self.layers {
            for (part, len) in &biased {
                vector(format!("blk.{layer}.{part}.bias"), *len, 0.0);
            }
        }
        if self.rope_long {
            for (name, more) in [("short", 0.1), ("long", 0.9)] {
                let list = (0..self.rope_dims / 2).map(|i| 1.0 + i as f32 * more).collect();
                let name = format!("rope_factors_{name}.weight");
                tensors.push((name, vec![self.rope_dims / 2], list));
            }
        }
        if self.rope_factors {
            let factors = (0..self.rope_dims / 2).map(|i| 1.0 + i as f32 * 0.7).collect();
            tensors.push(("rope_freqs.weight".into(), vec![self.rope_dims / 2], factors));
        }
        if let Some(token) = self.nan_token {
            tensors[0].2[token * d] = f32::NAN;
        }
        tensors
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        write(&self.metadata(), &self.tensors())
    }

    /// The file, written and read back.
    pub fn file(&self) -> ModelFile {
        read(self.bytes())
    }

    /// The file with its matrices stored as `dtype`, where their rows are whole blocks.
    pub fn quantised(&self, dtype: DType) -> ModelFile {
        let tensors = self.tensors();
        let kind = |dims: &[usize]| {
            if dims.len() > 1 && dtype.row_bytes(dims[0]).is_some() { dtype } else { DType::F32 }
        };
        let layouts = (tensors.iter())
            .map(|(name, dims, _)| TensorLayout::new(name, dims.clone(), kind(dims)).unwrap())
            .collect();
        let mut writer = GgufWriter::new(Vec::new(), &self.metadata(), layouts).unwrap();
        for (_, dims, data) in &tensors {
            writer.tensor(&ondine_tensor::quantize(kind(dims), data, dims[0]).unwrap()).unwrap();
        }
        read(writer.finish().unwrap())
    }
}

pub fn write(metadata: &Metadata, tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let layouts = tensors
        .iter()
        .map(|(name, dims, _)| TensorLayout::new(name, dims.clone(), DType::F32).unwrap())
        .collect();
    let mut writer = GgufWriter::new(Vec::new(), metadata, layouts).unwrap();
    for (_, _, data) in tensors {
        let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        writer.tensor(&bytes).unwrap();
    }
    writer.finish().unwrap()
}

pub fn read(bytes: Vec<u8>) -> ModelFile {
    gguf::read(Bytes::from_vec(bytes)).unwrap()
}

/// Enough randomness for weights: a 64-bit linear congruence, its upper half used.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    /// Four dice in place of the bell curve.
    pub fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.below(20_001) as f32 / 10_000.0 - 1.0).sum::<f32>() * 0.866
    }
}

/// Tokens that look like nothing in particular.
pub fn text(seed: u64, tokens: usize, vocab: usize) -> Vec<u32> {
    let mut random = Random(seed);
    (0..tokens).map(|_| random.below(vocab) as u32).collect()
}
