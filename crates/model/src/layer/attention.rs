//! Causal attention with grouped queries, reading and writing the pages of the cache.

use std::sync::Arc;

use ondine_cache::PAGE;
use ondine_tensor::{Cpu, Rows};

use crate::layer::{Linear, Norm, Rotation};
use crate::run::{Run, Timeline};

/// How a block looks back.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// One for all blocks that turn alike: it keeps a table of angles. `None` where positions were
    /// added to the embedding instead.
    pub(crate) rotation: Option<Arc<Rotation>>,
    /// How many positions a token sees, itself among them; all before it where there is none.
    pub(crate) window: Option<usize>,
    /// What the product of a query and a key is multiplied with.
    pub(crate) scale: f32,
}

impl Sight {
    /// Everything, unturned, with the usual scale.
    pub(crate) fn unturned(head_dim: usize) -> Sight {
        Sight { rotation: None, window: None, scale: usual_scale(head_dim) }
    }
}

/// One over the root of a head's width.
pub(crate) fn usual_scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}

/// Projections, and what a family does to queries and keys before they meet.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    /// (heads * head_dim, width)
    pub(crate) query: Linear,
    /// (kv_heads * head_dim, width)
    pub(crate) key: Linear,
    /// (kv_heads * head_dim, width)
    pub(crate) value: Linear,
    /// (width, heads * head_dim)
    pub(crate) output: Linear,
    /// Norms of queries and of keys: of each head, or of all together where they are as wide.
    pub(crate) head_norms: Option<(Norm, Norm)>,
    pub(crate) sight: Sight,
}

impl Attention {
    /// h = output(attend(h)), and the keys and values of these positions are in the cache.
    pub(crate) fn apply(&self, run: &mut Run<'_>, layer: usize) {
        let Run { cpu, timelines, scratch: s, .. } = run;
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
        if let [timeline] = &mut timelines[..] {
            self.look_back(cpu, timeline, layer, [&mut s.q, &mut s.k, &mut s.v, &mut s.attended]);
        } else {
            for timeline in timelines {
                let (rows, [q, k, v, attended]) = (&timeline.rows, &mut s.own);
                for (all, own) in [(&s.q, &mut *q), (&s.k, &mut *k), (&s.v, &mut *v)] {
                    own.resize(rows.len());
                    let width = all.width();
                    let part = &all.as_slice()[rows.start * width..rows.end * width];
                    own.as_mut_slice().copy_from_slice(part);
                }
                attended.resize(rows.len());
                self.look_back(cpu, timeline, layer, [q, k, v, &mut *attended]);
                let width = attended.width();
                let rows = timeline.rows.start * width..timeline.rows.end * width;
                s.attended.as_mut_slice()[rows].copy_from_slice(attended.as_slice());
            }
        }
        self.output.apply(cpu, &s.attended, &mut s.h);
    }

    /// What the rows of one timeline see of it, from their queries, keys and values.
    fn look_back(
        &self,
        cpu: &Cpu,
        timeline: &mut Timeline<'_>,
        layer: usize,
        [q, k, v, attended]: [&mut Rows; 4],
    ) {
        let Timeline { cache, first, horizon, .. } = timeline;
        let (first, end) = (*first, *first + q.count());
        let Sight { rotation, window, scale } = &self.sight;
        if let Some(rotation) = rotation {
            let rope = rotation.within(*horizon);
            cpu.rope(q, self.heads, rope, first);
            cpu.rope(k, self.kv_heads, rope, first);
        }
        cpu.store_kv(k, v, &mut cache.layer_mut(layer, first, end), first % PAGE);
        cpu.attend(q, &cache.layer(layer, end), first, *scale, *window, attended);
    }
}
