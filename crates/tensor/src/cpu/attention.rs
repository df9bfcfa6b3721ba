//! Attention over pages of keys and values: what is a unit of work, and who gets it.
//!
//! What a piece computes stands in `kernel/attend.rs`.

use std::ops::Range;

use super::{Cpu, Scratch, lock};
use crate::kernel::attend::{self, MAX_COLS, Span, Weight, Work, bytes, floats, halves};
use crate::kv::{KvLine, KvType};
use crate::pool::{Chunks, Parts};
use crate::rows::Rows;

/// Tokens in a page of keys and values.
pub const PAGE: usize = attend::PAGE;

/// Keys and values of one layer, in pages of [`PAGE`] tokens from position 0 on.
///
/// How a page lies inside is the kernels' affair. Keys and values are [`KvType::lines`] long.
pub struct KvPages<'a> {
    /// What they are stored as.
    pub kv: KvType,
    /// Pages of keys.
    pub keys: Vec<&'a [KvLine]>,
    /// Pages of values.
    pub values: Vec<&'a [KvLine]>,
    /// Tokens in a page: [`PAGE`].
    pub page_tokens: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Dimensions of a head.
    pub head_dim: usize,
}

/// Pages to write new tokens into; the first holds the first new position.
pub struct KvPagesMut<'a> {
    /// What they are stored as.
    pub kv: KvType,
    /// Pages of keys.
    pub keys: Vec<&'a mut [KvLine]>,
    /// Pages of values.
    pub values: Vec<&'a mut [KvLine]>,
    /// Tokens in a page: [`PAGE`].
    pub page_tokens: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Dimensions of a head.
    pub head_dim: usize,
}

/// What attention to the pieces of a few heads gave: [`MAX_COLS`] columns a unit, of which the first count.
#[derive(Default)]
pub(super) struct Partial {
    sums: Vec<f32>,
    weights: Vec<[Weight; MAX_COLS]>,
}

/// Columns of one key/value head that attend together, and the pages they see.
struct View {
    head: usize,
    columns: Range<usize>,
    pages: Range<usize>,
}

impl View {
    fn pieces(&self) -> Range<usize> {
        self.pages.start / attend::PIECE..self.pages.end.div_ceil(attend::PIECE)
    }
}

impl Cpu {
    /// Rounds keys and values of new tokens into their pages, row 0 at `first_position`.
    ///
    /// `pages.keys[0]` is the page that holds `first_position`.
    ///
    /// # Panics
    /// Where the pages are too few or have another shape.
    pub fn store_kv(&self, k: &Rows, v: &Rows, pages: &mut KvPagesMut<'_>, first_position: usize) {
        let (heads, dim) = (pages.kv_heads, pages.head_dim);
        assert_eq!((k.width(), v.width()), (heads * dim, heads * dim), "store_kv: widths");
        assert_eq!(k.count(), v.count(), "store_kv: counts");
        let mut scratch = lock(&self.scratch[0]);
        let Scratch { rounded, rounded_bytes, .. } = &mut *scratch;
        for r in 0..k.count() {
            let slot = first_position % PAGE + r;
            let (page, slot) = (slot / PAGE, slot % PAGE);
            let (keys, values) = (&mut *pages.keys[page], &mut *pages.values[page]);
            for h in 0..heads {
                let head = h * dim..(h + 1) * dim;
                let rows = (&k.row(r)[head.clone()], &v.row(r)[head]);
                let page = (&mut *keys, &mut *values);
                match pages.kv {
                    KvType::F32 => floats::store(rows, page, h, slot),
                    KvType::F16 => halves::store(self.isa, rows, page, h, slot, rounded),
                    KvType::Int8 => bytes::store(self.isa, rows, page, h, slot, rounded_bytes),
                }
            }
        }
    }

    /// Causal attention: row `r` of `q` (count, heads × head_dim) stands at
    /// `first_position + r` and sees that token and all before it, or the last `window` of them
    /// where one is given; pages that no row of a tile sees are not read. Query heads share
    /// key/value heads in equal groups. `out` has `q`'s shape.
    ///
    /// # Panics
    /// Where shapes differ, heads are not whole groups, the pages end too early, or the window is
    /// zero.
    pub fn attend(
        &self,
        q: &Rows,
        kv: &KvPages<'_>,
        first_position: usize,
        scale: f32,
        window: Option<usize>,
        out: &mut Rows,
    ) {
        let window = window.unwrap_or(usize::MAX);
        assert!(window > 0, "attend: a token sees itself");
        let sees = |row: usize| {
            let end = first_position + row + 1;
            end.saturating_sub(window)..end
        };
        self.attend_seeing(q, kv, sees, scale, out);
    }

    /// Attention in both directions: every row of `q` sees all `q.count()` tokens. Otherwise as
    /// [`Cpu::attend`].
    ///
    /// # Panics
    /// As [`Cpu::attend`].
    pub fn attend_all(&self, q: &Rows, kv: &KvPages<'_>, scale: f32, out: &mut Rows) {
        self.attend_seeing(q, kv, |_| 0..q.count(), scale, out);
    }

    /// Attention where row `r` sees the tokens `sees(r)`; for later rows both ends come no earlier.
    fn attend_seeing(
        &self,
        q: &Rows,
        kv: &KvPages<'_>,
        sees: impl Fn(usize) -> Range<usize> + Sync,
        scale: f32,
        out: &mut Rows,
    ) {
        let dim = kv.head_dim;
        assert_eq!((q.count(), q.width()), (out.count(), out.width()), "attend: shapes");
        let heads = q.width().checked_div(dim).unwrap_or(0);
        assert_eq!(heads * dim, q.width(), "attend: queries are not heads of {dim}");
        assert!(kv.kv_heads > 0 && heads.is_multiple_of(kv.kv_heads), "attend: groups");
        assert_eq!(kv.page_tokens, PAGE, "attend: page size");
        let tokens = q.count().checked_sub(1).map_or(0, |last| sees(last).end);
        assert!(
            kv.keys.len() >= tokens.div_ceil(PAGE) && kv.values.len() >= kv.keys.len(),
            "attend: {tokens} tokens in {} pages",
            kv.keys.len()
        );
        let group = heads / kv.kv_heads;
        // Columns of one key/value head: its query heads at every position, position-major.
        let columns = group * q.count();
        let share = (columns * kv.kv_heads).div_ceil(self.threads() * 2).max(1);
        let mut views: Vec<View> = Vec::new();
        for head in 0..kv.kv_heads {
            let mut first = 0;
            while first < columns {
                let n = attend::tile_cols(self.isa, (columns - first).min(share));
                // Columns go by position, so the first begins first and the last ends last.
                let (start, end) = (sees(first / group).start, sees((first + n - 1) / group).end);
                let pages = start / PAGE..end.div_ceil(PAGE);
                views.push(View { head, columns: first..first + n, pages });
                first += n;
            }
        }
        let place = |view: &View, j: usize| {
            let column = view.columns.start + j;
            (column / group, view.head * group + column % group)
        };
        // One piece of a view, into `out` and `weights`.
        let attend = |view: &View,
                      piece: usize,
                      work: &mut Work,
                      out: &mut [f32],
                      weights: &mut [Weight]| {
            let n = view.columns.len();
            let from = view.pages.start.max(piece * attend::PIECE);
            let to = view.pages.end.min((piece + 1) * attend::PIECE);
            let mut seen = [const { 0..0 }; MAX_COLS];
            let mut queries = [&[][..]; MAX_COLS];
            for (j, (seen, query)) in seen.iter_mut().zip(&mut queries).enumerate().take(n) {
                let (row, head) = place(view, j);
                let tokens = sees(row);
                let inside = |token: usize| token.clamp(from * PAGE, to * PAGE) - from * PAGE;
                *seen = inside(tokens.start)..inside(tokens.end);
                *query = &q.row(row)[head * dim..(head + 1) * dim];
            }
            let (keys, values) = (&kv.keys[from..to], &kv.values[from..to]);
            let span = Span { kv: kv.kv, keys, values, head: view.head, head_dim: dim, scale };
            let (queries, seen) = (&queries[..n], &seen[..n]);
            attend::attend(self.isa, queries, &span, seen, work, out, weights);
        };
        let parts = Parts::new(out.as_mut_slice());
        let put = |view: &View, j: usize, sums: &mut [f32], weight: Weight| {
            attend::finish(sums, weight);
            let (row, head) = place(view, j);
            let at = row * q.width() + head * dim;
            // SAFETY: a column is in one view, a view is put by one thread, once, and columns
            // differ in row or head.
            unsafe { parts.part(at..at + dim) }.copy_from_slice(sums);
        };

        let units: Vec<(usize, usize)> = (views.iter().enumerate())
            .flat_map(|(i, view)| view.pieces().map(move |piece| (i, piece)))
            .collect();
        // Later columns see more tokens: the long units go first.
        if views.len() >= self.threads() * 2 || units.len() == views.len() {
            let chunks = Chunks::new(views.len(), 1);
            self.pool.run(&|thread| {
                let mut scratch = lock(&self.scratch[thread]);
                let Scratch { out, attention, .. } = &mut *scratch;
                while let Some(range) = chunks.take() {
                    let view = &views[views.len() - 1 - range.start];
                    let n = view.columns.len();
                    out.resize(2 * n * dim, 0.0);
                    let (sums, next) = out.split_at_mut(n * dim);
                    let (mut weights, mut of_next) =
                        ([Weight::NONE; MAX_COLS], [Weight::NONE; MAX_COLS]);
                    for piece in view.pieces() {
                        if piece == view.pieces().start {
                            attend(view, piece, attention, sums, &mut weights);
                            continue;
                        }
                        attend(view, piece, attention, next, &mut of_next);
                        let columns = sums.chunks_exact_mut(dim).zip(next.chunks_exact(dim));
                        for ((sums, next), (w, of_next)) in
                            columns.zip(weights.iter_mut().zip(of_next))
                        {
                            attend::merge(sums, w, next, of_next);
                        }
                    }
                    for (j, sums) in sums.chunks_exact_mut(dim).enumerate() {
                        put(view, j, sums, weights[j]);
                    }
                }
            });
            return;
        }
        // Few heads and many tokens: threads share the pieces of a head.
        let mut partial = lock(&self.partial);
        let Partial { sums, weights } = &mut *partial;
        let stride = MAX_COLS * dim;
        sums.resize(units.len() * stride, 0.0);
        weights.resize(units.len(), [Weight::NONE; MAX_COLS]);
        let (all_sums, all_weights) = (Parts::new(sums), Parts::new(weights));
        let chunks = Chunks::new(units.len(), 1);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            while let Some(range) = chunks.take() {
                let at = range.start;
                let (view, piece) = (&views[units[at].0], units[at].1);
                // SAFETY: `chunks` gives each unit to one thread, once.
                let (sums, weights) = unsafe {
                    (all_sums.part(at * stride..(at + 1) * stride), all_weights.part(at..at + 1))
                };
                let n = view.columns.len();
                attend(view, piece, &mut scratch.attention, &mut sums[..n * dim], &mut weights[0]);
            }
        });
        let mut at = 0;
        for view in &views {
            let pieces = view.pieces().len();
            let (first, later) = sums[at * stride..(at + pieces) * stride].split_at_mut(stride);
            let (weight, of_later) = weights[at..at + pieces].split_at_mut(1);
            for (j, sums) in first.chunks_exact_mut(dim).enumerate().take(view.columns.len()) {
                let weight = &mut weight[0][j];
                for (later, of_later) in later.chunks_exact(stride).zip(&*of_later) {
                    attend::merge(sums, weight, &later[j * dim..(j + 1) * dim], of_later[j]);
                }
                put(view, j, sums, *weight);
            }
            at += pieces;
        }
    }
}

#[cfg(test)]
mod tests;
