//! Rotary positions: the table of angles, and the turning.

use std::sync::{PoisonError, RwLock};

use super::Cpu;
use crate::kernel::element;
use crate::rows::Rows;

/// How a head's dimensions are paired for rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Neighbours: (0, 1), (2, 3) ... (the llama family's files).
    Interleaved,
    /// Half the turned dimensions apart: (0, n/2), (1, n/2 + 1) ... (qwen, gpt-neox).
    Halves,
}

/// Rotary positions: the angle of pair `i` at position `p` is
/// `p * base^(-2i / dims) / factor[i] * (scale + kept[i] * (1 - scale))` (Su et al. 2021; factors
/// as in Llama 3; pairs that keep their speed, and a magnitude that a turned head is multiplied
/// with, as in YaRN, Peng et al. 2023).
///
/// The power is reached by multiplying in single precision from pair to pair, as ggml does: at
/// position 500 the rounding is worth up to a ten-thousandth of a radian, enough to tip the
/// rounding of activations further on, and files are judged by how they answer there.
pub struct Rope {
    style: RopeStyle,
    dims: usize,
    /// What an angle is multiplied with from one pair to the next.
    ratio: f32,
    scale: f32,
    magnitude: f32,
    /// One divisor for each pair.
    factors: Vec<f32>,
    /// How far each pair is spared the scale: 0 not at all, 1 wholly.
    kept: Vec<f32>,
    /// (positions, dims / 2) cosines and sines, made as far as they were needed.
    table: RwLock<Vec<[f32; 2]>>,
}

impl Rope {
    /// `dims` is how many of a head's dimensions are turned (even); `factors` divide the angles,
    /// one for each pair.
    ///
    /// # Panics
    /// Where `dims` is odd or the factors are not `dims / 2`.
    pub fn new(
        style: RopeStyle,
        dims: usize,
        base: f32,
        factors: Option<&[f32]>,
        scale: f32,
    ) -> Rope {
        assert!(dims.is_multiple_of(2), "rope turns pairs, not {dims} dimensions");
        assert!(factors.is_none_or(|f| f.len() == dims / 2), "rope: one factor a pair");
        let ratio = base.powf(-2.0 / dims as f32);
        let factors = factors.map_or_else(|| vec![1.0; dims / 2], <[f32]>::to_vec);
        let (magnitude, kept) = (1.0, vec![0.0; dims / 2]);
        Rope { style, dims, ratio, scale, magnitude, factors, kept, table: RwLock::default() }
    }

    /// Spares pair `i` the scale by the part `kept[i]`, from 0 (not at all, as without this) to 1.
    ///
    /// # Panics
    /// Where there is not one for each pair.
    pub fn keeping(self, kept: Vec<f32>) -> Rope {
        assert_eq!(kept.len(), self.dims / 2, "rope: one part a pair");
        Rope { kept, ..self }
    }

    /// Multiplies what is turned with `magnitude`, 1 without this.
    pub fn magnified(self, magnitude: f32) -> Rope {
        Rope { magnitude, ..self }
    }

    /// Makes the table reach `positions`, in steps so that decoding seldom waits for it.
    fn reach(&self, positions: usize) {
        let half = self.dims / 2;
        let have = self.table.read().unwrap_or_else(PoisonError::into_inner).len() / half;
        if have >= positions {
            return;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for position in table.len() / half..positions.next_multiple_of(64) {
            let mut angle = position as f32;
            for (factor, kept) in self.factors.iter().zip(&self.kept) {
                let turn = angle / factor;
                let turn = self.scale * turn * (1.0 - kept) + turn * kept;
                let (sin, cos) = f64::from(turn).sin_cos();
                table.push([cos as f32 * self.magnitude, sin as f32 * self.magnitude]);
                angle *= self.ratio;
            }
        }
    }
}

impl std::fmt::Debug for Rope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rope({:?}, {} dimensions)", self.style, self.dims)
    }
}

impl Cpu {
    /// Turns the heads of each row by the angles of its position, row 0 at `first_position`.
    ///
    /// # Panics
    /// Where a row is not whole heads, or a head is narrower than what is turned.
    pub fn rope(&self, x: &mut Rows, heads: usize, rope: &Rope, first_position: usize) {
        let head_dim = x.width().checked_div(heads).unwrap_or(0);
        assert_eq!(head_dim * heads, x.width(), "rope: a row is not {heads} heads");
        assert!(rope.dims <= head_dim, "rope: {} of {head_dim} dimensions", rope.dims);
        if x.count() == 0 || rope.dims == 0 {
            return;
        }
        rope.reach(first_position + x.count());
        let table = rope.table.read().unwrap_or_else(PoisonError::into_inner);
        let half = rope.dims / 2;
        self.each_row(x, |r, row| {
            let at = (first_position + r) * half;
            let angles = &table[at..at + half];
            for head in row.chunks_exact_mut(head_dim) {
                match rope.style {
                    RopeStyle::Interleaved => {
                        element::rope_interleaved(&mut head[..rope.dims], angles);
                    }
                    RopeStyle::Halves => element::rope_halves(&mut head[..rope.dims], angles),
                }
            }
        });
    }
}
