//! The forward pass as the papers write it: 64-bit, one position after the other, everything
//! recomputed for every position, weights read from the file's bytes with no help from the crates
//! under test. The judge of every family.
//!
//! One thing it shares with the fast one by design: keys and values are kept in 16 bits.

use half::f16;
use ondine_format::ModelFile;

use super::Tiny;

struct Weights<'a>(&'a ModelFile);

impl Weights<'_> {
    fn get(&self, name: &str) -> Vec<f64> {
        let bytes = &self.0.tensor(name).unwrap_or_else(|e| panic!("{e}")).data;
        bytes
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect()
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.get(&format!("{name}.weight"));
        let bias = format!("{name}.bias");
        let bias = self.0.has(&bias).then(|| self.get(&bias));
        weight
            .chunks_exact(x.len())
            .enumerate()
            .map(|(i, row)| {
                let dot: f64 = row.iter().zip(x).map(|(w, x)| w * x).sum();
                dot + bias.as_ref().map_or(0.0, |bias| bias[i])
            })
            .collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.get(&format!("{name}.weight"));
        let n = x.len() as f64;
        let bias = format!("{name}.bias");
        if self.0.has(&bias) {
            let bias = self.get(&bias);
            let mean = x.iter().sum::<f64>() / n;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            (0..x.len()).map(|i| (x[i] - mean) * scale * weight[i] + bias[i]).collect()
        } else {
            let scale = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / n + 1e-5).sqrt();
            (0..x.len()).map(|i| x[i] * scale * weight[i]).collect()
        }
    }
}

fn rotate(t: &Tiny, factors: Option<&[f64]>, head: &mut [f64], position: usize) {
    let dims = t.rope_dims;
    for i in 0..dims / 2 {
        let mut frequency = f64::from(t.rope_base).powf(-2.0 * i as f64 / dims as f64);
        if let Some(factors) = factors {
            frequency /= factors[i];
        }
        let angle = position as f64 / f64::from(t.rope_linear.unwrap_or(1.0)) * frequency;
        let (a, b) = match t.architecture {
            "llama" => (2 * i, 2 * i + 1),
            _ => (i, i + dims / 2),
        };
        let (x, y) = (head[a], head[b]);
        head[a] = x * angle.cos() - y * angle.sin();
        head[b] = x * angle.sin() + y * angle.cos();
    }
}

fn softmax(scores: &mut [f64]) {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|s| *s = (*s - greatest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|s| *s /= sum);
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

fn rounded(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| f16::from_f32(*x as f32).to_f64()).collect()
}

/// Logits after every token.
pub fn logits(t: &Tiny, file: &ModelFile, tokens: &[u32]) -> Vec<Vec<f64>> {
    let w = Weights(file);
    let gpt2 = t.architecture == "gpt2";
    let factors = file.has("rope_freqs.weight").then(|| w.get("rope_freqs.weight"));
    let embedding = w.get("token_embd.weight");
    let row = |table: &[f64], i: usize| table[i * t.width..(i + 1) * t.width].to_vec();

    let mut stream: Vec<Vec<f64>> =
        tokens.iter().map(|token| row(&embedding, *token as usize)).collect();
    if gpt2 {
        let positions = w.get("position_embd.weight");
        for (at, x) in stream.iter_mut().enumerate() {
            for (x, p) in x.iter_mut().zip(row(&positions, at)) {
                *x += p;
            }
        }
    }

    for layer in 0..t.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (mut keys, mut values): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        for (at, x) in stream.iter_mut().enumerate() {
            let h = w.norm(&name("attn_norm"), x);
            let (mut q, mut k, v) = if gpt2 {
                let all = w.linear(&name("attn_qkv"), &h);
                let d = t.width;
                (all[..d].to_vec(), all[d..2 * d].to_vec(), all[2 * d..].to_vec())
            } else {
                (
                    w.linear(&name("attn_q"), &h),
                    w.linear(&name("attn_k"), &h),
                    w.linear(&name("attn_v"), &h),
                )
            };
            for (part, heads) in [("attn_q_norm", &mut q), ("attn_k_norm", &mut k)] {
                for head in heads.chunks_exact_mut(t.head_dim) {
                    if t.architecture == "qwen3" {
                        head.copy_from_slice(&w.norm(&name(part), head));
                    }
                    if !gpt2 {
                        rotate(t, factors.as_deref(), head, at);
                    }
                }
            }
            keys.push(rounded(&k));
            values.push(rounded(&v));

            let mut attended = Vec::new();
            for (head, q) in q.chunks_exact(t.head_dim).enumerate() {
                let kv_head = head / (t.heads / t.kv_heads);
                let part = |row: &[f64]| row[kv_head * t.head_dim..][..t.head_dim].to_vec();
                let mut scores: Vec<f64> = keys
                    .iter()
                    .map(|key| {
                        let dot: f64 = part(key).iter().zip(q).map(|(k, q)| k * q).sum();
                        dot / (t.head_dim as f64).sqrt()
                    })
                    .collect();
                softmax(&mut scores);
                for i in 0..t.head_dim {
                    attended.push(scores.iter().zip(&values).map(|(s, v)| s * part(v)[i]).sum());
                }
            }
            for (x, y) in x.iter_mut().zip(w.linear(&name("attn_output"), &attended)) {
                *x += y;
            }

            let h = w.norm(&name("ffn_norm"), x);
            let up = w.linear(&name("ffn_up"), &h);
            let inner: Vec<f64> = if gpt2 {
                up.into_iter().map(gelu).collect()
            } else {
                let gate = w.linear(&name("ffn_gate"), &h);
                gate.into_iter().zip(up).map(|(gate, up)| silu(gate) * up).collect()
            };
            for (x, y) in x.iter_mut().zip(w.linear(&name("ffn_down"), &inner)) {
                *x += y;
            }
        }
    }

    let head = if t.tied { "token_embd" } else { "output" };
    stream.iter().map(|x| w.linear(head, &w.norm("output_norm", x))).collect()
}

/// Greatest difference between two rows of logits, as a part of the wanted row's spread.
pub fn difference(got: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    let greatest = wanted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = wanted.iter().copied().fold(f64::INFINITY, f64::min);
    let apart = got.iter().zip(wanted).map(|(g, w)| (f64::from(*g) - w).abs());
    // A NaN must not pass for a small difference.
    apart.fold(0.0, |a, b| if b.is_nan() { f64::INFINITY } else { a.max(b) }) / (greatest - least)
}
