//! The likeliest tokens, without reading all of the output head.
//!
//! Greedy and top-k decoding ask for the few greatest logits. A head of Q8_0 lies with its upper and
//! lower four bits apart; the upper ones alone say of each group of rows between what and what its
//! greatest logit lies (`kernel/halves.rs` has the bound and its proof), and only groups that can still
//! hold one of the few are then read in full. What is chosen is what the full product would have
//! chosen, always: a group is left out only where it provably holds none of the `count` greatest.

use super::activations::Factor;
use super::matmul::Product;
use super::{Cpu, lock};
use crate::bytes::Arena;
use crate::kernel::activation::{Scaling, Tile};
use crate::kernel::halves;
use crate::matrix::Matrix;
use crate::pool::{Parts, Shares};
use crate::rows::Rows;

/// From so many bytes on an output head is read coarsely first: a smaller one stays in a cache, and
/// there the coarse reading costs as many multiplications as it saves bytes.
pub const SCREEN_FROM: usize = 8 << 20;

/// Where more than this share of the groups is read again, reading them coarsely first has cost more
/// than it saved; then it is left out for a while, and tried again.
const WORTH: f32 = 0.375;
/// For how many products.
const WHILE: u32 = 63;

/// Groups that a thread takes at once.
const PIECE: usize = 16;

impl Cpu {
    /// [`Cpu::place`] for an output head: [`Cpu::likeliest`] then reads less than all of it, where its
    /// type allows.
    pub fn place_head(&self, head: &Matrix, arena: &mut Arena) -> Option<Matrix> {
        self.place_as(head, arena, head.bytes().len() >= self.screen_from)
    }

    /// The products of one row `x` with the rows of `head`, as [`Cpu::matmul`] gives them, bit by bit,
    /// of at least all those that can be among the `count` greatest; in place of the others stands minus
    /// infinity. Where nothing can be left out, all are given.
    ///
    /// # Panics
    /// Where `x` is not one row, or the shapes differ.
    pub fn likeliest(&self, x: &Rows, head: &Matrix, count: usize, logits: &mut Rows) {
        assert_eq!((x.count(), logits.count()), (1, 1), "likeliest: one row");
        let all = |logits: &mut Rows| self.matmul(x, &mut [(head, logits)]);
        let Some((halves, spans)) = head.halves().and_then(|h| Some((h, h.spans()?))) else {
            return all(logits);
        };
        let (lanes, bytes) = head.lying();
        let groups = head.rows() / lanes;
        if count == 0 || groups < 4 * count || x.width() == 0 || halves.rests() {
            return all(logits);
        }
        assert_eq!((x.width(), logits.width()), (head.cols(), head.rows()), "likeliest: shapes");

        let (mut tile, mut terms) = (Tile::default(), Vec::new());
        tile.pack(
            self.isa,
            Scaling::By32,
            x.as_slice(),
            x.width(),
            &mut lock(&self.scratch[0]).row,
        );
        halves::terms(&tile, &mut terms);
        let (group, blocks) = (lanes * head.row_bytes(), spans.len() / groups);
        let mut bounds = vec![[0.0; 2]; groups];
        let parts = Parts::new(&mut bounds);
        let shares = Shares::new(groups, self.threads(), PIECE);
        self.pool.run(&|thread| {
            while let Some(range) = shares.take(thread) {
                let weights = &bytes[range.start * group..range.end * group];
                let spans = &spans[range.start * blocks..range.end * blocks];
                // SAFETY: `shares` gives each group to one thread, once.
                let out = unsafe { parts.part(range) };
                halves::screen(self.isa, weights, head.row_bytes(), (&tile, &terms), spans, out);
            }
        });

        // So many groups hold a logit at least this great, so no smaller one is among the greatest.
        let mut least: Vec<f32> = bounds.iter().map(|[least, _]| *least).collect();
        let (_, least, _) = least.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        let least = *least;
        let left: Vec<usize> = (0..groups).filter(|&g| bounds[g][1] >= least).collect();
        if left.len() as f32 > WORTH * groups as f32 {
            halves.rest(WHILE);
        }

        logits.as_mut_slice().fill(f32::NEG_INFINITY);
        let (width, y) = (logits.width(), Parts::new(logits.as_mut_slice()));
        let product = Product { w: head, lanes, bytes, y, width };
        debug_assert!(
            product.factor() == Factor::Bytes(Scaling::By32),
            "what the tile was made for"
        );
        let shares = Shares::new(left.len(), self.threads(), 1);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            while let Some(range) = shares.take(thread) {
                for &g in &left[range] {
                    let rows = g * lanes..(g + 1) * lanes;
                    product.put_tile(self.isa, rows, 0..1, &tile, &mut scratch.out);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
