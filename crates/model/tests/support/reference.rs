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

    /// Expert `i` of those of this name.
    fn expert(&self, name: &str, i: usize, x: &[f64], out: usize) -> Vec<f64> {
        let weight = self.get(&format!("{name}.weight"));
        let weight = &weight[i * out * x.len()..(i + 1) * out * x.len()];
        weight
            .chunks_exact(x.len())
            .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
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

/// Whether the block sees a window.
fn slides(t: &Tiny, layer: usize) -> bool {
    let period = t.period.unwrap_or(match t.architecture {
        "gemma3" => 6,
        "olmo2" => 4,
        _ => 0,
    });
    t.window.is_some() && (period == 0 || !(layer + 1).is_multiple_of(period))
}

/// What pairs of dimensions turn by at a position, and what they are multiplied with.
fn angles(t: &Tiny, layer: usize, factors: Option<&[f64]>, position: usize) -> (Vec<f64>, f64) {
    let (dims, position) = (t.rope_dims, position as f64);
    let local = slides(t, layer) && ["gemma3", "olmo2"].contains(&t.architecture);
    let mut base = f64::from(t.rope_base);
    if local {
        if t.architecture == "gemma3" {
            base = 10_000.0;
        }
        let angle = |i: usize| position * base.powf(-2.0 * i as f64 / dims as f64);
        return ((0..dims / 2).map(angle).collect(), 1.0);
    }
    if let Some(alpha) = t.rope_alpha {
        base *= f64::from(alpha).powf(dims as f64 / (dims as f64 - 2.0));
    }
    let mut magnitude = if t.rope_long { 1.19 } else { 1.0 };
    let mut all = Vec::new();
    for i in 0..dims / 2 {
        let mut angle = position * base.powf(-2.0 * i as f64 / dims as f64);
        if let Some(factors) = factors {
            angle /= factors[i];
        }
        if let Some(factor) = t.rope_linear {
            angle /= f64::from(factor);
        }
        if let Some(factor) = t.rope_yarn {
            let factor = f64::from(factor);
            magnitude = 0.1 * factor.ln() + 1.0;
            // The pair that makes so many turns in the original context.
            let pair = |turns: f64| {
                let context = t.original.unwrap() as f64;
                dims as f64 * (context / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln())
            };
            let low = pair(32.0).floor().max(0.0);
            let high = pair(1.0).ceil().min(dims as f64 - 1.0);
            let ramp = ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            angle = angle / factor * ramp + angle * (1.0 - ramp);
        }
        all.push(angle);
    }
    (all, magnitude)
}

fn rotate(t: &Tiny, angles: &(Vec<f64>, f64), head: &mut [f64]) {
    let dims = t.rope_dims;
    for (i, angle) in angles.0.iter().enumerate() {
        let (a, b) = match t.architecture {
            "llama" | "granite" => (2 * i, 2 * i + 1),
            _ => (i, i + dims / 2),
        };
        let (x, y) = (head[a], head[b]);
        head[a] = (x * angle.cos() - y * angle.sin()) * angles.1;
        head[b] = (x * angle.sin() + y * angle.cos()) * angles.1;
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

fn mlp(t: &Tiny, w: &Weights<'_>, name: &dyn Fn(&str) -> String, h: &[f64]) -> Vec<f64> {
    let open = if t.architecture == "gemma3" { gelu } else { silu };
    let gated = |gate: &[f64], up: &[f64]| -> Vec<f64> {
        gate.iter().zip(up).map(|(gate, up)| open(*gate) * up).collect()
    };
    if let Some((_, used)) = t.experts {
        let mut scores = w.linear(&name("ffn_gate_inp"), h);
        softmax(&mut scores);
        let mut best: Vec<usize> = (0..scores.len()).collect();
        best.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        best.truncate(used);
        let sum: f64 = best.iter().map(|i| scores[*i]).sum();
        let mut out = vec![0.0; t.width];
        for i in best {
            let part = |part: &str, x: &[f64], n| w.expert(&name(part), i, x, n);
            let inner = gated(&part("ffn_gate_exps", h, t.ff), &part("ffn_up_exps", h, t.ff));
            for (out, x) in out.iter_mut().zip(part("ffn_down_exps", &inner, t.width)) {
                *out += scores[i] / sum * x;
            }
        }
        return out;
    }
    let up = w.linear(&name("ffn_up"), h);
    let inner = match t.architecture {
        "gpt2" => up.into_iter().map(gelu).collect(),
        "phi3" => gated(&up[..t.ff], &up[t.ff..]),
        _ => gated(&w.linear(&name("ffn_gate"), h), &up),
    };
    w.linear(&name("ffn_down"), &inner)
}

/// Logits after every token, on a timeline that may grow to the model's whole context.
pub fn logits(t: &Tiny, file: &ModelFile, tokens: &[u32]) -> Vec<Vec<f64>> {
    logits_within(t, file, tokens, t.context)
}

/// Logits after every token, on a timeline of at most `horizon` positions.
pub fn logits_within(t: &Tiny, file: &ModelFile, tokens: &[u32], horizon: usize) -> Vec<Vec<f64>> {
    let w = Weights(file);
    let gpt2 = t.architecture == "gpt2";
    let list = if !t.rope_long {
        "rope_freqs.weight"
    } else if horizon > t.original.unwrap() {
        "rope_factors_long.weight"
    } else {
        "rope_factors_short.weight"
    };
    let factors = file.has(list).then(|| w.get(list));
    let embedding = w.get("token_embd.weight");
    let row = |table: &[f64], i: usize| table[i * t.width..(i + 1) * t.width].to_vec();
    let [embedding_scale, residual_scale, attention_scale, logit_scale] =
        t.scales.map_or([1.0, 1.0, 1.0 / (t.head_dim as f64).sqrt(), 1.0], |s| s.map(f64::from));
    let embedding_scale =
        if t.architecture == "gemma3" { (t.width as f64).sqrt() } else { embedding_scale };
    let (before, after) = t.norms();

    let mut stream: Vec<Vec<f64>> =
        tokens.iter().map(|token| row(&embedding, *token as usize)).collect();
    stream.iter_mut().flatten().for_each(|x| *x *= embedding_scale);
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
        let norm = |there: bool, part: &str, x: &[f64]| {
            if there { w.norm(&name(part), x) } else { x.to_vec() }
        };
        let add = |x: &mut [f64], y: &[f64]| {
            x.iter_mut().zip(y).for_each(|(x, y)| *x += residual_scale * y);
        };
        let (mut keys, mut values): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        for (at, x) in stream.iter_mut().enumerate() {
            let h = norm(before, "attn_norm", x);
            let (mut q, mut k, v) = if gpt2 || t.architecture == "phi3" {
                let all = w.linear(&name("attn_qkv"), &h);
                let (q, kv) = (t.heads * t.head_dim, t.kv_heads * t.head_dim);
                (all[..q].to_vec(), all[q..q + kv].to_vec(), all[q + kv..].to_vec())
            } else {
                (
                    w.linear(&name("attn_q"), &h),
                    w.linear(&name("attn_k"), &h),
                    w.linear(&name("attn_v"), &h),
                )
            };
            if let Some(widths) = t.head_norms() {
                for (part, heads, width) in
                    [("attn_q_norm", &mut q, widths.0), ("attn_k_norm", &mut k, widths.1)]
                {
                    for head in heads.chunks_exact_mut(width) {
                        head.copy_from_slice(&w.norm(&name(part), head));
                    }
                }
            }
            if !gpt2 {
                let angles = angles(t, layer, factors.as_deref(), at);
                q.chunks_exact_mut(t.head_dim).for_each(|head| rotate(t, &angles, head));
                k.chunks_exact_mut(t.head_dim).for_each(|head| rotate(t, &angles, head));
            }
            keys.push(rounded(&k));
            values.push(rounded(&v));

            let seen = match t.window {
                Some(window) if slides(t, layer) => (at + 1).saturating_sub(window)..at + 1,
                _ => 0..at + 1,
            };
            let mut attended = Vec::new();
            for (head, q) in q.chunks_exact(t.head_dim).enumerate() {
                let kv_head = head / (t.heads / t.kv_heads);
                let part = |row: &[f64]| row[kv_head * t.head_dim..][..t.head_dim].to_vec();
                let mut scores: Vec<f64> = keys[seen.clone()]
                    .iter()
                    .map(|key| {
                        let dot: f64 = part(key).iter().zip(q).map(|(k, q)| k * q).sum();
                        dot * attention_scale
                    })
                    .collect();
                softmax(&mut scores);
                for i in 0..t.head_dim {
                    let values = scores.iter().zip(&values[seen.clone()]);
                    attended.push(values.map(|(s, v)| s * part(v)[i]).sum());
                }
            }
            let out = w.linear(&name("attn_output"), &attended);
            add(x, &norm(after, "post_attention_norm", &out));

            let h = norm(before, "ffn_norm", x);
            let out = mlp(t, &w, &name, &h);
            add(x, &norm(after, "post_ffw_norm", &out));
        }
    }

    let head = if t.tied { "token_embd" } else { "output" };
    let bent = |x: f64| match t.logit_cap {
        Some(cap) => f64::from(cap) * (x / f64::from(cap)).tanh(),
        None => x,
    };
    stream
        .iter()
        .map(|x| w.linear(head, &w.norm("output_norm", x)))
        .map(|row| row.into_iter().map(|x| bent(x / logit_scale)).collect())
        .collect()
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
