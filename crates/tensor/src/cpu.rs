//! The processor as the rest of the house sees it: fewer than twenty fused operations.
//!
//! A [`Cpu`] owns the threads and chooses the instruction set, once. It decides how an operation
//! is split; what is computed stands in `kernel`. Every operation gives the same result on the
//! same instruction set whatever the number of threads: an output element is computed whole, by one
//! thread, in one order, or (in attention) in pieces that are always the same and merged in order.
//!
//! | operations | file |
//! |---|---|
//! | products with weights, and what activations become for them | `cpu/matmul.rs`, `cpu/activations.rs` |
//! | where weights lie | `cpu/place.rs` |
//! | attention | `cpu/attention.rs` |
//! | rotary positions | `cpu/rope.rs` |
//! | norms, gates, sums | `cpu/elements.rs` |
//! | the likeliest tokens, without reading all of an output head | `cpu/likeliest.rs` |

use std::sync::{Mutex, MutexGuard, PoisonError};

use half::f16;

use crate::isa::Isa;
use crate::kernel::activation::Quantised;
use crate::kernel::opened::Opened;
use crate::kernel::{attend, bf16_product};
use crate::pool::Pool;

mod activations;
mod attention;
mod elements;
mod likeliest;
mod matmul;
mod place;
mod rope;

pub use attention::{KvPages, KvPagesMut, PAGE};
pub use likeliest::SCREEN_FROM;
pub use rope::{Rope, RopeStyle};

use activations::Activations;
use attention::Partial;
use matmul::Panel;
use place::Settles;

/// What computes: some threads and an instruction set.
pub struct Cpu {
    isa: Isa,
    /// Whether it multiplies pairs of bf16.
    pairs: bool,
    /// See [`Cpu::steady`].
    steady: bool,
    /// See [`Cpu::screen_from`].
    screen_from: usize,
    pool: Pool,
    scratch: Vec<Mutex<Scratch>>,
    activations: Mutex<Activations>,
    partial: Mutex<Partial>,
    /// What is on its way to better pages; see [`Cpu::tend`].
    settles: Mutex<Settles>,
}

/// One thread's buffers, kept so that a token costs no allocation.
#[derive(Default)]
struct Scratch {
    out: Vec<f32>,
    panels: Vec<Panel>,
    opened: Opened,
    row: Quantised,
    attention: attend::Work,
    rounded: Vec<f16>,
    rounded_bytes: Vec<i8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a kernel is a bug that reaches the caller by itself; buffers hold no invariant.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cpu {
    /// Starts `threads - 1` threads beside the caller's.
    ///
    /// # Panics
    /// Where this machine does not run `isa`: [`Isa`]'s parser and [`Isa::available`] give none
    /// of those.
    pub fn new(threads: usize, isa: Isa) -> Cpu {
        assert!(isa.is_available(), "this machine does not run {isa}");
        let pool = Pool::new(threads);
        let scratch = (0..pool.threads()).map(|_| Mutex::default()).collect();
        let pairs = bf16_product::is_available(isa);
        Cpu {
            isa,
            pairs,
            steady: false,
            screen_from: SCREEN_FROM,
            pool,
            scratch,
            activations: Mutex::default(),
            partial: Mutex::default(),
            settles: Mutex::default(),
        }
    }

    /// The same, but a row of a product has the same bits whatever other rows stand beside it: for
    /// whoever computes for several at once. Interleaved weights give that anyway; others are never
    /// taken row by row then, which costs them speed where rows are few.
    pub fn steady(mut self) -> Cpu {
        self.steady = true;
        self
    }

    /// Output heads of at least so many bytes are laid out to be read coarsely first; [`SCREEN_FROM`]
    /// where nothing is said.
    pub fn screen_from(mut self, bytes: usize) -> Cpu {
        self.screen_from = bytes;
        self
    }

    /// How many threads compute, the caller's among them.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The threads, for those who measure.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }
}

/// Logarithm of the sum of e^x, with the largest taken out first; minus infinity of nothing.
pub fn log_sum_exp(x: &[f32]) -> f32 {
    if x.is_empty() { f32::NEG_INFINITY } else { attend::log_sum_exp(Isa::best(), x) }
}

/// Turns scores into probabilities, in place.
pub fn softmax(x: &mut [f32]) {
    attend::softmax(Isa::best(), x);
}

/// The place of the largest value, the first of equals; `None` where a value is not a number or
/// there is none.
pub fn argmax(x: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, value) in x.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|b| *value > x[b]) {
            best = Some(i);
        }
    }
    best
}

#[cfg(test)]
mod tests;
