//! Where weights lie: how they come from the file's pages to where kernels read them fastest, and from there to better
//! pages. What is multiplied with them, and whether, it does not know.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Cpu, lock};
use crate::bytes::{Arena, Settling};
use crate::dtype::DType;
use crate::kernel::panel;
use crate::layout;
use crate::matrix::Matrix;
use crate::pool::{Chunks, Parts};

/// Bytes that a thread interleaves before it lets their pages go: some pages, no large part of a
/// file.
const HANDFUL: usize = 1 << 20;

/// After how many calls of [`Cpu::tend`] all memory has moved to better pages: evaluations of a
/// model, which while decoding are tokens.
pub(super) const SHARES: usize = 512;

/// Memory on its way to better pages, in huge ones: how many there were, how many have been
/// moved, and how often that was tended.
#[derive(Default)]
pub(super) struct Settles {
    pub(super) queue: VecDeque<Settling>,
    pub(super) total: usize,
    pub(super) moved: usize,
    tended: usize,
}

impl Settles {
    /// Moves pages until so many have been moved since the queue was empty.
    fn until(&mut self, moved: usize) {
        while let Some(first) = self.queue.front_mut().filter(|_| self.moved < moved) {
            let left = first.left();
            if !first.step() {
                self.queue.clear();
            } else if first.left() == 0 {
                self.moved += left;
                self.queue.pop_front();
            } else {
                self.moved += 1;
            }
        }
        if self.queue.is_empty() {
            *self = Settles::default();
        }
    }
}

impl Cpu {
    /// The same weights, with a piece of `arena` to lie in as the kernels here read them fastest:
    /// interleaved. They go there when they are multiplied with a second time, and the pages of a
    /// file that they came from are let go then; who asks for one answer and is gone does not pay
    /// for what only many would be worth. The products' bits are the same before and after. `None`
    /// where the type has no kernel for it, rows are not whole groups, or the arena is full.
    pub fn place(&self, weights: &Matrix, arena: &mut Arena) -> Option<Matrix> {
        self.place_as(weights, arena, false)
    }

    /// [`Cpu::place`], with upper and lower bits apart where that is wanted and the type has them.
    pub(super) fn place_as(
        &self,
        weights: &Matrix,
        arena: &mut Arena,
        apart: bool,
    ) -> Option<Matrix> {
        let lanes = panel::lanes(self.isa);
        let fits = weights.lanes() == 1
            && weights.rows().is_multiple_of(lanes)
            && !weights.bytes().is_empty();
        if !fits || !layout::interleaves(weights.dtype()) {
            return None;
        }
        let apart = apart && weights.dtype() == DType::Q8_0;
        Some(weights.placed(lanes, arena.take(weights.bytes().len())?, apart))
    }

    /// [`Cpu::place`], and the weights go there at once.
    pub fn interleave(&self, weights: &Matrix, arena: &mut Arena) -> Option<Matrix> {
        let placed = self.place(weights, arena)?;
        self.lay_out(&placed);
        Some(placed)
    }

    /// Interleaves weights that have a place and do not lie in it yet.
    pub(super) fn lay_out(&self, weights: &Matrix) {
        let Some((place, rows)) = weights.waits() else { return };
        let Some(mut blank) = place.take() else { return };
        let (lanes, pages, settling) = (panel::lanes(self.isa), blank.pages(), blank.settling());
        let out = Parts::new(blank.as_mut_slice());
        let group = lanes * weights.row_bytes();
        let groups = Chunks::new(weights.rows() / lanes, HANDFUL.div_ceil(group.max(1)));
        let blocks = place.halves().map_or(0, |_| weights.cols() / DType::Q8_0.block());
        let mut spans = vec![0; weights.rows() / lanes * blocks];
        let (parts, bounded) = (Parts::new(&mut spans), AtomicBool::new(true));
        self.pool.run(&|_| {
            while let Some(range) = groups.take() {
                let bytes = range.start * group..range.end * group;
                pages.populate(&bytes);
                // SAFETY: `groups` gives each group to one thread, once.
                let out = unsafe { out.part(bytes.clone()) };
                let rows = rows.slice(bytes).expect("groups of the matrix");
                if blocks > 0 {
                    layout::halves::split(lanes, weights.row_bytes(), &rows, out);
                    // SAFETY: as above.
                    let spans = unsafe { parts.part(range.start * blocks..range.end * blocks) };
                    if !layout::halves::spans(lanes, weights.row_bytes(), &rows, spans) {
                        bounded.store(false, Ordering::Relaxed);
                    }
                } else {
                    layout::interleave(weights.dtype(), lanes, weights.row_bytes(), &rows, out);
                }
                rows.wont_need();
            }
        });
        if let Some(halves) = place.halves() {
            halves.spanned(bounded.into_inner().then_some(spans));
        }
        place.laid(blank.filled());
        // Pages at the borders of two pieces came back while the second was read.
        rows.wont_need();
        let mut settles = lock(&self.settles);
        settles.total += settling.left();
        settles.queue.push_back(settling);
    }

    /// To be called now and then between other work: moves a share of the weights that were laid
    /// out to huge pages, while they are used. What is read from one end to the other for every
    /// token is read faster from those (by a fifth to a half where it was measured), but fresh ones
    /// cost some systems several times what small ones do, so they are fetched one by one, and none
    /// for who asks for one answer and is gone.
    pub fn tend(&self) {
        let mut settles = lock(&self.settles);
        settles.tended += 1;
        let due = settles.total * settles.tended.min(SHARES) / SHARES;
        settles.until(due);
    }

    /// Ends what [`Cpu::tend`] does a share of: for those who measure.
    pub fn settled(&self) {
        lock(&self.settles).until(usize::MAX);
    }
}
