//! Tiny random encoders in memory, and the slow pass that judges the fast one: 64-bit, one row
//! after the other, as the paper writes it. Keys and values are kept in 16 bits on both sides.
//! The engine's tests use these too.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use half::f16;
use ondine_format::{Metadata, ModelFile, Value};

use super::tiny::{self, Random};

/// A small shape; change what the test is about.
#[derive(Clone, Debug)]
pub struct TinyBert {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub ff: usize,
    pub vocab: usize,
    pub context: usize,
    /// Rows of the segments' table; 0 leaves the table out.
    pub segments: usize,
    pub seed: u64,
    /// More metadata.
    pub more: Vec<(String, Value)>,
}

impl TinyBert {
    pub fn new() -> TinyBert {
        TinyBert {
            layers: 2,
            width: 32,
            heads: 4,
            ff: 48,
            vocab: 40,
            context: 64,
            segments: 2,
            seed: 1,
            more: vec![("bert.pooling_type".into(), 1u32.into())],
        }
    }

    pub fn metadata(&self) -> Metadata {
        let mut m = Metadata::new();
        m.insert("general.architecture", "bert").unwrap();
        let counts = [
            ("block_count", self.layers),
            ("embedding_length", self.width),
            ("feed_forward_length", self.ff),
            ("attention.head_count", self.heads),
            ("context_length", self.context),
            ("vocab_size", self.vocab),
        ];
        for (name, count) in counts {
            m.insert(format!("bert.{name}"), count as u32).unwrap();
        }
        m.insert("bert.attention.layer_norm_epsilon", 1e-12f32).unwrap();
        m.insert("bert.attention.causal", false).unwrap();
        for (name, value) in &self.more {
            m.insert(name.clone(), value.clone()).unwrap();
        }
        m
    }

    /// Every tensor: name, dimensions in ggml's order, weights.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut random = Random(self.seed);
        let mut tensors = Vec::new();
        let mut add = |name: String, dims: Vec<usize>, around: f32, size: f32| {
            let count = dims.iter().product();
            let data = (0..count).map(|_| around + random.normal() * size).collect();
            tensors.push((name, dims, data));
        };
        let (d, ff) = (self.width, self.ff);
        add("token_embd.weight".into(), vec![d, self.vocab], 0.0, 1.0);
        add("position_embd.weight".into(), vec![d, self.context], 0.0, 0.5);
        if self.segments > 0 {
            add("token_types.weight".into(), vec![d, self.segments], 0.0, 0.5);
        }
        let mut norms = vec!["token_embd_norm".to_string()];
        for layer in 0..self.layers {
            for (part, rows, cols) in [
                ("attn_q", d, d),
                ("attn_k", d, d),
                ("attn_v", d, d),
                ("attn_output", d, d),
                ("ffn_up", ff, d),
                ("ffn_down", d, ff),
            ] {
                let name = format!("blk.{layer}.{part}");
                add(format!("{name}.weight"), vec![cols, rows], 0.0, 1.5 / (cols as f32).sqrt());
                add(format!("{name}.bias"), vec![rows], 0.0, 0.2);
            }
            norms.push(format!("blk.{layer}.attn_output_norm"));
            norms.push(format!("blk.{layer}.layer_output_norm"));
        }
        for norm in norms {
            add(format!("{norm}.weight"), vec![d], 1.0, 0.2);
            add(format!("{norm}.bias"), vec![d], 0.0, 0.2);
        }
        tensors
    }

    /// The file, written and read back.
    pub fn file(&self) -> ModelFile {
        tiny::read(tiny::write(&self.metadata(), &self.tensors()))
    }
}

/// The rows of a text, slowly.
pub fn rows(t: &TinyBert, file: &ModelFile, tokens: &[u32]) -> Vec<Vec<f64>> {
    let get = |name: &str| -> Vec<f64> {
        let bytes = &file.tensor(name).unwrap_or_else(|e| panic!("{e}")).data;
        let float = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
        bytes.chunks_exact(4).map(float).collect()
    };
    let linear = |name: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (get(&format!("{name}.weight")), get(&format!("{name}.bias")));
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        weight.chunks_exact(x.len()).zip(bias).map(|(row, b)| dot(row) + b).collect()
    };
    let norm = |name: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (get(&format!("{name}.weight")), get(&format!("{name}.bias")));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let scale = 1.0 / (variance + 1e-12).sqrt();
        (0..x.len()).map(|i| (x[i] - mean) * scale * weight[i] + bias[i]).collect()
    };
    let sum = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
    let rounded = |x: Vec<f64>| -> Vec<f64> {
        x.into_iter().map(|x| f16::from_f32(x as f32).to_f64()).collect()
    };

    let (words, places) = (get("token_embd.weight"), get("position_embd.weight"));
    let segments = (t.segments > 0).then(|| get("token_types.weight"));
    let of = |table: &[f64], i: usize| table[i * t.width..(i + 1) * t.width].to_vec();
    let mut stream: Vec<Vec<f64>> = (tokens.iter().enumerate())
        .map(|(at, &token)| {
            let mut x = sum(&of(&words, token as usize), &of(&places, at));
            if let Some(segments) = &segments {
                x = sum(&x, &of(segments, 0));
            }
            norm("token_embd_norm", &x)
        })
        .collect();

    let dim = t.width / t.heads;
    for layer in 0..t.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let each = |part: &str| -> Vec<Vec<f64>> {
            stream.iter().map(|x| linear(&name(part), x)).collect()
        };
        let queries = each("attn_q");
        let keys: Vec<Vec<f64>> = each("attn_k").into_iter().map(rounded).collect();
        let values: Vec<Vec<f64>> = each("attn_v").into_iter().map(rounded).collect();
        stream = (stream.iter().zip(&queries))
            .map(|(x, query)| {
                let mut attended = Vec::new();
                for head in 0..t.heads {
                    let part = head * dim..(head + 1) * dim;
                    let score = |key: &Vec<f64>| {
                        let pairs = key[part.clone()].iter().zip(&query[part.clone()]);
                        (pairs.map(|(k, q)| k * q).sum::<f64>() / (dim as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = keys.iter().map(score).collect();
                    let total: f64 = scores.iter().sum();
                    attended.extend(part.map(|i| {
                        let each = scores.iter().zip(&values).map(|(s, v)| s / total * v[i]);
                        each.sum::<f64>()
                    }));
                }
                let x = sum(x, &linear(&name("attn_output"), &attended));
                let x = norm(&name("attn_output_norm"), &x);
                let inner: Vec<f64> = linear(&name("ffn_up"), &x).into_iter().map(gelu).collect();
                let x = sum(&x, &linear(&name("ffn_down"), &inner));
                norm(&name("layer_output_norm"), &x)
            })
            .collect();
    }
    stream
}

/// `x Φ(x)`; the error function by its series, `2/√π Σ (-1)^n x^(2n+1) / (n! (2n+1))`, which is
/// good for the small numbers of these models.
fn gelu(x: f64) -> f64 {
    let t = x / std::f64::consts::SQRT_2;
    assert!(t.abs() < 5.0, "the series does not reach {x}");
    let (mut power, mut sum) = (t, 0.0);
    for n in 0..120 {
        sum += power / (2 * n + 1) as f64;
        power *= -t * t / (n + 1) as f64;
    }
    x * 0.5 * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
}
