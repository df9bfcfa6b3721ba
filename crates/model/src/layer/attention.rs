//! Causal attention with grouped queries, reading and writing the pages of the cache.

use std::sync::Arc;

use ondine_cache::PAGE;
use ondine_tensor::Rope;

use crate::layer::{Linear, Norm};
use crate::run::Run;

/// Projections, and what a family does to queries and keys before they meet.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// (heads * head_dim, width)
    pub(crate) query: Linear,
    /// (kv_heads * head_dim, width)
    pub(crate) key: Linear,
    /// (kv_heads * head_dim, width)
    pub(crate) value: Linear,
    /// (width, heads * head_dim)
    pub(crate) output: Linear,
    /// Norms of each head of queries and of keys.
    pub(crate) head_norms: Option<(Norm, Norm)>,
    /// One for all blocks: it keeps a table of angles. `None` where positions were added to the embedding instead.
    pub(crate) rope: Option<Arc<Rope>>,
}

impl Attention {
    /// h = output(attend(h)), and the keys and values of these positions are in the cache.
    pub(crate) fn apply(&self, run: &mut Run<'_>, layer: usize) {
        let Run { cpu, cache, scratch: s, first } = run;
        let (first, end) = (*first, *first + s.h.count());

        Linear::apply_all(
            cpu,
            &s.h,
            [(&self.query, &mut s.q), (&self.key, &mut s.k), (&self.value, &mut s.v)],
        );
        if let Some((query, key)) = &self.head_norms {
            query.apply(cpu, &s.q, &mut s.attended);
            std::mem::swap(&mut s.q, &mut s.attended);
            key.apply(cpu, &s.k, &mut s.k_spare);
            std::mem::swap(&mut s.k, &mut s.k_spare);
        }
        if let Some(rope) = &self.rope {
            cpu.rope(&mut s.q, self.heads, rope, first);
            cpu.rope(&mut s.k, self.kv_heads, rope, first);
        }

        cpu.store_kv(&s.k, &s.v, &mut cache.layer_mut(layer, first, end), first % PAGE);
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        cpu.attend(&s.q, &cache.layer(layer, end), first, scale, None, &mut s.attended);
        self.output.apply(cpu, &s.attended, &mut s.h);
    }
}
