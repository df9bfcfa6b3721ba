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
    pub rope_factors: bool,
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
            rope_factors: false,
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

    pub fn families() -> [Tiny; 4] {
        [Tiny::llama(), Tiny::qwen2(), Tiny::qwen3(), Tiny::gpt2()]
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
        for (name, value) in &self.more {
            put(name, value.clone());
        }
        m
    }

    /// Every tensor: name, dimensions in ggml's order, weights.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut random = Random(self.seed);
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        let mut matrix = |random: &mut Random, name: &str, rows: usize, cols: usize, size: f32| {
            let data = (0..rows * cols).map(|_| random.normal() * size).collect();
            tensors.push((format!("{name}.weight"), vec![cols, rows], data));
        };
        let (d, ff, vocab) = (self.width, self.ff, self.vocab);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let fan_in = |width: usize| 1.5 / (width as f32).sqrt();
        matrix(&mut random, "token_embd", vocab, d, 1.0);
        if !self.tied {
            matrix(&mut random, "output", vocab, d, fan_in(d));
        }
        let gpt2 = self.architecture == "gpt2";
        if gpt2 {
            matrix(&mut random, "position_embd", self.context, d, 0.5);
        }
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            if gpt2 {
                matrix(&mut random, &name("attn_qkv"), 3 * d, d, fan_in(d));
            } else {
                matrix(&mut random, &name("attn_q"), q, d, fan_in(d));
                matrix(&mut random, &name("attn_k"), kv, d, fan_in(d));
                matrix(&mut random, &name("attn_v"), kv, d, fan_in(d));
                matrix(&mut random, &name("ffn_gate"), ff, d, fan_in(d));
            }
            matrix(&mut random, &name("attn_output"), d, q, fan_in(q));
            matrix(&mut random, &name("ffn_up"), ff, d, fan_in(d));
            matrix(&mut random, &name("ffn_down"), d, ff, fan_in(ff));
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
            norm(format!("blk.{layer}.attn_norm"), d);
            norm(format!("blk.{layer}.ffn_norm"), d);
            if self.architecture == "qwen3" {
                norm(format!("blk.{layer}.attn_q_norm"), self.head_dim);
                norm(format!("blk.{layer}.attn_k_norm"), self.head_dim);
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
