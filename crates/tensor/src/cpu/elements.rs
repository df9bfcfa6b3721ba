//! What is done to each element, or to each row by itself: norms, gates, sums. None of it is split over threads where one
//! token is computed; the arithmetic stands in `kernel/element.rs`.

use super::Cpu;
use crate::kernel::element;
use crate::matrix::Matrix;
use crate::pool::{Chunks, Parts};
use crate::rows::Rows;

/// Below this many floats a second thread costs more than it brings.
const WORTH_SPLITTING: usize = 1 << 14;

impl Cpu {
    /// Writes the rows `ids` of a table as floats: `out` becomes (ids, cols).
    ///
    /// # Panics
    /// Where an id is not a row of the table, or `out` is not `cols` wide.
    pub fn embed(&self, table: &Matrix, ids: &[u32], out: &mut Rows) {
        out.resize(ids.len());
        for (i, &id) in ids.iter().enumerate() {
            table.decode_row(id as usize, out.row_mut(i));
        }
    }

    /// Divides each row by its root mean square and multiplies with `weight`. Where rows are wider
    /// than `weight`, each piece of that width (a head) is normalised by itself.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn rms_norm(&self, x: &Rows, weight: &[f32], eps: f32, out: &mut Rows) {
        assert_eq!((x.count(), x.width()), (out.count(), out.width()), "rms_norm: shapes");
        assert!(x.width().is_multiple_of(weight.len().max(1)), "rms_norm: weight width");
        self.each_row(out, |r, out| {
            let pieces =
                x.row(r).chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len()));
            for (x, out) in pieces {
                element::rms_norm(self.isa, x, weight, eps, out);
            }
        });
    }

    /// Subtracts each row's mean, divides by its deviation, multiplies and adds.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn layer_norm(&self, x: &Rows, weight: &[f32], bias: &[f32], eps: f32, out: &mut Rows) {
        assert_eq!((x.count(), x.width()), (out.count(), out.width()), "layer_norm: shapes");
        assert_eq!((weight.len(), bias.len()), (x.width(), x.width()), "layer_norm: weights");
        self.each_row(out, |r, out| {
            element::layer_norm(self.isa, x.row(r), weight, bias, eps, out);
        });
    }

    /// `gate = silu(gate) * up`.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn swiglu(&self, gate: &mut Rows, up: &Rows) {
        assert_eq!((gate.count(), gate.width()), (up.count(), up.width()), "swiglu: shapes");
        self.each_row(gate, |r, gate| element::swiglu(self.isa, gate, up.row(r)));
    }

    /// Gelu, in its tanh form.
    pub fn gelu(&self, x: &mut Rows) {
        self.each_row(x, |_, x| element::gelu(self.isa, x));
    }

    /// Gelu by its definition, with the error function.
    pub fn gelu_erf(&self, x: &mut Rows) {
        self.each_row(x, |_, x| element::gelu_erf(self.isa, x));
    }

    /// `gate = gelu(gate) * up`, with gelu in its tanh form.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn geglu(&self, gate: &mut Rows, up: &Rows) {
        assert_eq!((gate.count(), gate.width()), (up.count(), up.width()), "geglu: shapes");
        self.each_row(gate, |r, gate| element::geglu(self.isa, gate, up.row(r)));
    }

    /// `x *= factor`.
    pub fn scale(&self, x: &mut Rows, factor: f32) {
        self.each_row(x, |_, x| element::scale(self.isa, x, factor));
    }

    /// `x = most * tanh(x / most)`: bends `x` so that it stays between `-most` and `most`.
    pub fn soft_cap(&self, x: &mut Rows, most: f32) {
        self.each_row(x, |_, x| element::soft_cap(self.isa, x, most));
    }

    /// `x += y`.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn add(&self, x: &mut Rows, y: &Rows) {
        assert_eq!((x.count(), x.width()), (y.count(), y.width()), "add: shapes");
        self.each_row(x, |r, x| element::add(self.isa, x, y.row(r)));
    }

    /// `x += factor * y`.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn add_scaled(&self, x: &mut Rows, y: &Rows, factor: f32) {
        assert_eq!((x.count(), x.width()), (y.count(), y.width()), "add_scaled: shapes");
        self.each_row(x, |r, x| element::add_scaled(self.isa, x, y.row(r), factor));
    }

    /// `x += y / rms(y) * weight`, row by row.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn add_rms_norm(&self, x: &mut Rows, y: &Rows, weight: &[f32], eps: f32) {
        assert_eq!((x.count(), x.width()), (y.count(), y.width()), "add_rms_norm: shapes");
        assert_eq!(weight.len(), x.width(), "add_rms_norm: weight width");
        self.each_row(x, |r, x| element::add_rms_norm(self.isa, x, y.row(r), weight, eps));
    }

    /// Row `rows[i]` of `x` gets `weights[i]` times row `i` of `y` added.
    ///
    /// # Panics
    /// Where the widths or the counts differ, or a row is not there.
    pub fn add_to_rows(&self, x: &mut Rows, rows: &[u32], weights: &[f32], y: &Rows) {
        assert_eq!((rows.len(), weights.len()), (y.count(), y.count()), "add_to_rows: counts");
        assert_eq!(x.width(), y.width(), "add_to_rows: widths");
        for (i, (&row, &weight)) in rows.iter().zip(weights).enumerate() {
            element::add_scaled(self.isa, x.row_mut(row as usize), y.row(i), weight);
        }
    }

    /// Adds `bias` to every row.
    ///
    /// # Panics
    /// Where the widths differ.
    pub fn add_bias(&self, x: &mut Rows, bias: &[f32]) {
        assert_eq!(x.width(), bias.len(), "add_bias: widths");
        self.each_row(x, |_, x| element::add(self.isa, x, bias));
    }

    /// Calls `f` with every row, on all threads where that pays.
    pub(super) fn each_row(&self, x: &mut Rows, f: impl Fn(usize, &mut [f32]) + Sync) {
        let (count, width) = (x.count(), x.width());
        if count == 1 || count * width < WORTH_SPLITTING {
            for r in 0..count {
                f(r, x.row_mut(r));
            }
            return;
        }
        let parts = Parts::new(x.as_mut_slice());
        let chunks = Chunks::new(count, count.div_ceil(self.threads() * 4));
        self.pool.run(&|_| {
            while let Some(range) = chunks.take() {
                for r in range {
                    // SAFETY: `chunks` gives each row to one thread, once.
                    f(r, unsafe { parts.part(r * width..(r + 1) * width) });
                }
            }
        });
    }
}
