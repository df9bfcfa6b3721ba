//! Activations times weights, split over threads. Rows go one by one as they lie where columns are few, sixteen at a time
//! in panels where they are many, and as they are where they were interleaved. Each output element is computed whole, by
//! one thread. How a type's blocks are multiplied stands in `kernel`; where weights lie, in `place.rs`.

use std::ops::Range;

use super::activations::{Activations, Factor};
use super::{Cpu, Scratch, lock};
use crate::isa::Isa;
use crate::kernel::activation::{Scaling, Tile};
use crate::kernel::bf16_product::PairPanel;
use crate::kernel::float_product::{self, FloatPanel, Rounding};
use crate::kernel::{halves, interleaved, opened, panel, rows};
use crate::matrix::Matrix;
use crate::pool::{Chunks, Parts, Shares};
use crate::rows::Rows;

/// Up to this many rows of activations (columns, to the kernels) quantised weights are read row by
/// row; beyond, in panels.
pub(super) const FEW: usize = 8;
/// The same where float weights are in the call.
const FEW_FOR_FLOATS: usize = 4;

/// Weight rows that go to a thread together: whole groups of interleaved ones on every set.
const BLOCK: usize = 16;
/// Such blocks between two looks at whether another thread needs help.
const PIECE: usize = 2;

/// Beyond so many tiles of columns, weights whose bits are dear to take apart are opened first.
const TILES: usize = 3;

impl Cpu {
    /// Multiplies `x` (count, cols) with several matrices in one parallel region: each output
    /// becomes (count, rows of its matrix). `x` is quantised once for all of them.
    ///
    /// # Panics
    /// Where a matrix's `cols` is not `x`'s width, or an output has another shape.
    pub fn matmul(&self, x: &Rows, products: &mut [(&Matrix, &mut Rows)]) {
        for (w, y) in products.iter() {
            assert_eq!(w.cols(), x.width(), "matmul: weights and activations differ in width");
            assert_eq!((y.count(), y.width()), (x.count(), w.rows()), "matmul: output shape");
            let lanes = w.place_lanes().unwrap_or_else(|| panel::lanes(self.isa));
            assert_eq!(lanes, panel::lanes(self.isa), "matmul: rows placed for another machine");
        }
        if x.count() == 0 || x.width() == 0 {
            return;
        }
        let mut activations = lock(&self.activations);
        for (w, _) in products.iter() {
            if w.use_again() {
                self.lay_out(w);
            }
        }
        let outputs: Vec<Product<'_>> = products
            .iter_mut()
            .map(|(w, y)| {
                let ((lanes, bytes), width) = (w.lying(), y.width());
                Product { w, lanes, bytes, width, y: Parts::new(y.as_mut_slice()) }
            })
            .collect();
        let floats = outputs.iter().any(|p| matches!(p.factor(), Factor::Floats(_)));
        if x.count() > if floats { FEW_FOR_FLOATS } else { FEW } {
            return self.by_panels(x, &outputs, &mut activations);
        }
        // Rows that will be interleaved give the bits now that they will give then: the panels', which
        // are also the same for one row and for many.
        let waits = |p: &Product<'_>| p.lanes == 1 && (self.steady || p.w.waits().is_some());
        let (waiting, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(waits);
        if !others.is_empty() {
            self.by_rows(x, &others, &mut activations);
        }
        if !waiting.is_empty() {
            self.by_panels(x, &waiting, &mut activations);
        }
    }

    /// Few columns: each weight is read once, from front to back.
    fn by_rows(&self, x: &Rows, products: &[Product<'_>], activations: &mut Activations) {
        let together = rows::most_columns(self.isa);
        let any = |factor, interleaved: bool| {
            products.iter().any(|p| p.factor() == factor && (p.lanes > 1) == interleaved)
        };
        let by_tile = |scaling| any(Factor::Bytes(scaling), true);
        activations.pack_few(self, x, together, |factor| any(factor, false), by_tile);
        let activations = &*activations;
        let total: usize = products.iter().map(Product::blocks).sum();
        let n = x.count();
        let shares = Shares::new(total, self.threads(), PIECE);
        self.pool.run(&|thread| {
            let out = &mut lock(&self.scratch[thread]).out;
            while let Some(range) = shares.take(thread) {
                for (product, rows) in split(products, range) {
                    if product.lanes > 1 {
                        let starts = (0..n).step_by(together);
                        for (first, x) in starts.zip(product.tiles(activations)) {
                            let columns = first..n.min(first + together);
                            product.put_tile(self.isa, rows.clone(), columns, x, out);
                        }
                    } else {
                        product.put_rows(self.isa, rows, n, activations, out);
                    }
                }
            }
        });
    }

    /// Many columns: a few panels of rows are unpacked, and all tiles of columns pass by.
    fn by_panels(&self, x: &Rows, products: &[Product<'_>], activations: &mut Activations) {
        let tiles = self.tiles(x.count());
        let wanted = |factor| products.iter().any(|p| p.factor() == factor);
        activations.pack_tiles(self, x, &tiles, wanted);
        let activations = &*activations;

        // A unit is a few panels of rows: small enough that they stay in the second-level cache
        // while all tiles pass by, large enough that a tile is read from memory seldom.
        let lanes = panel::lanes(self.isa);
        let total: usize = products.iter().map(|p| p.w.rows()).sum();
        let size = (total / (lanes * self.threads() * 8)).clamp(1, 4) * lanes;
        let units: Vec<(&Product<'_>, Range<usize>)> = products
            .iter()
            .flat_map(|p| {
                let rows = p.w.rows();
                (0..rows).step_by(size).map(move |first| (p, first..rows.min(first + size)))
            })
            .collect();
        let chunks = Chunks::new(units.len(), 1);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            while let Some(range) = chunks.take() {
                let (product, rows) = &units[range.start];
                self.unit(product, rows, &tiles, activations, &mut scratch);
            }
        });
    }

    /// So many columns as tiles of what the kernels take at once.
    fn tiles(&self, count: usize) -> Vec<Range<usize>> {
        let mut tiles: Vec<Range<usize>> = Vec::new();
        let mut first = 0;
        while first < count {
            let end = first + panel::tile_cols(self.isa, count - first);
            tiles.push(first..end);
            first = end;
        }
        tiles
    }

    /// All columns of some rows of a product.
    fn unit(
        &self,
        product: &Product<'_>,
        rows: &Range<usize>,
        tiles: &[Range<usize>],
        activations: &Activations,
        scratch: &mut Scratch,
    ) {
        let (isa, lanes, w) = (self.isa, panel::lanes(self.isa), product.w);
        let Scratch { out, opened, panels, .. } = scratch;
        let form = match product.way(self, tiles.len()) {
            Way::Panels(form) => form,
            Way::AsTheyLie => {
                for (tile, x) in tiles.iter().zip(product.tiles(activations)) {
                    product.put_tile(isa, rows.clone(), tile.clone(), x, out);
                }
                return;
            }
            Way::Opened => {
                opened.open(isa, w.dtype(), product.bytes_of(rows), w.row_bytes(), w.cols());
                for (tile, x) in tiles.iter().zip(product.tiles(activations)) {
                    out.resize(rows.len() * tile.len(), 0.0);
                    opened.times(isa, w.dtype(), x, out);
                    product.put(rows.clone(), tile.clone(), out);
                }
                return;
            }
        };
        let groups = rows.len().div_ceil(lanes);
        if panels.len() < groups {
            panels.resize_with(groups, Panel::default);
        }
        let group = |g: usize| rows.start + g * lanes..rows.end.min(rows.start + (g + 1) * lanes);
        for (g, panel) in panels.iter_mut().enumerate().take(groups) {
            panel.unpack(isa, form, w, product.bytes_of(&group(g)), lanes);
        }
        for (t, tile) in tiles.iter().enumerate() {
            out.resize(tile.len() * lanes, 0.0);
            for (g, panel) in panels.iter().enumerate().take(groups) {
                panel.times(isa, form, w, activations, t, tile.len(), out);
                let rows = group(g);
                for (col, out) in tile.clone().zip(out.chunks_exact(lanes)) {
                    let at = col * product.width + rows.start;
                    // SAFETY: each unit of rows goes to one thread, once, and units of a
                    // product do not overlap.
                    let y = unsafe { product.y.part(at..at + rows.len()) };
                    y.copy_from_slice(&out[..rows.len()]);
                }
            }
        }
    }
}

/// How the rows of a unit meet many columns.
enum Way {
    /// Interleaved rows, straight from their lines.
    AsTheyLie,
    /// Interleaved rows whose bits are dear to take apart, once taken apart.
    Opened,
    /// Rows of the file, in panels.
    Panels(Form),
}

/// What a panel's weights are unpacked into.
#[derive(Clone, Copy)]
enum Form {
    Bytes(Scaling),
    /// Pairs of bf16.
    Pairs,
    Floats(Rounding),
}

/// Unpacked weights of as many rows as a vector has lanes.
#[derive(Default)]
pub(super) struct Panel {
    bytes: panel::Panel,
    floats: FloatPanel,
    pairs: PairPanel,
}

impl Panel {
    fn unpack(&mut self, isa: Isa, form: Form, w: &Matrix, bytes: &[u8], lanes: usize) {
        let (dtype, row_bytes, width) = (w.dtype(), w.row_bytes(), w.cols());
        match form {
            Form::Bytes(_) => self.bytes.unpack(isa, dtype, bytes, row_bytes, width),
            Form::Pairs => self.pairs.unpack(isa, bytes, row_bytes, lanes),
            Form::Floats(_) => self.floats.unpack(dtype, bytes, row_bytes, width, lanes),
        }
    }

    /// Multiplies with the columns of tile `t`, of which there are `count`: `out` becomes (count, lanes).
    #[expect(clippy::too_many_arguments, reason = "one call, one place")]
    fn times(
        &self,
        isa: Isa,
        form: Form,
        w: &Matrix,
        x: &Activations,
        t: usize,
        count: usize,
        out: &mut [f32],
    ) {
        match form {
            Form::Bytes(by) => self.bytes.times(isa, w.dtype(), &x.tiles(by)[t], out),
            Form::Pairs => self.pairs.times(isa, &x.pairs()[t], count, out),
            Form::Floats(by) => self.floats.times(isa, &x.float_tiles(by)[t], count, out),
        }
    }
}

/// One matrix of a call, and where its results go.
pub(super) struct Product<'a> {
    pub(super) w: &'a Matrix,
    /// How its rows lie: see [`Matrix::lying`].
    pub(super) lanes: usize,
    pub(super) bytes: &'a [u8],
    pub(super) y: Parts<'a, f32>,
    pub(super) width: usize,
}

impl<'a> Product<'a> {
    /// What activations become for these weights.
    pub(super) fn factor(&self) -> Factor {
        crate::quant::with_format!(
            self.w.dtype(),
            F => const { Factor::Bytes(Scaling::of::<F>()) },
            else Factor::Floats(Rounding::of(self.w.dtype()))
        )
    }

    /// How its rows meet so many tiles of columns.
    fn way(&self, cpu: &Cpu, tiles: usize) -> Way {
        if self.lanes > 1 {
            let opens = tiles > TILES && opened::opens(cpu.isa, self.w.dtype());
            return if opens { Way::Opened } else { Way::AsTheyLie };
        }
        Way::Panels(match self.factor() {
            Factor::Bytes(scaling) => Form::Bytes(scaling),
            Factor::Floats(Rounding::Bf16) if cpu.pairs => Form::Pairs,
            Factor::Floats(rounding) => Form::Floats(rounding),
        })
    }

    /// The tiles of columns for quantised weights.
    fn tiles<'x>(&self, activations: &'x Activations) -> &'x [Tile] {
        match self.factor() {
            Factor::Bytes(scaling) => activations.tiles(scaling),
            Factor::Floats(_) => &[],
        }
    }

    /// The weights' rows `rows`.
    fn bytes_of(&self, rows: &Range<usize>) -> &'a [u8] {
        &self.bytes[rows.start * self.w.row_bytes()..rows.end * self.w.row_bytes()]
    }

    /// Multiplies rows as they lie with all `n` columns, and puts the results into their places;
    /// `out` is scratch memory.
    fn put_rows(
        &self,
        isa: Isa,
        rows: Range<usize>,
        n: usize,
        activations: &Activations,
        out: &mut Vec<f32>,
    ) {
        let (bytes, dtype, row_bytes) = (self.bytes_of(&rows), self.w.dtype(), self.w.row_bytes());
        out.resize(rows.len() * n, 0.0);
        match self.factor() {
            Factor::Bytes(scaling) => {
                rows::rows(isa, dtype, bytes, row_bytes, activations.columns(scaling), out);
            }
            Factor::Floats(rounding) => {
                let x = activations.floats(rounding);
                float_product::rows(isa, dtype, bytes, row_bytes, x, n, out);
            }
        }
        for col in 0..n {
            let at = col * self.width + rows.start;
            // SAFETY: each row of a product goes to one thread, once.
            let y = unsafe { self.y.part(at..at + rows.len()) };
            for (y, out) in y.iter_mut().zip(out.chunks_exact(n)) {
                *y = out[col];
            }
        }
    }

    /// Multiplies interleaved rows with a tile's columns, and puts the results into their places;
    /// `out` is scratch memory.
    pub(super) fn put_tile(
        &self,
        isa: Isa,
        rows: Range<usize>,
        columns: Range<usize>,
        x: &Tile,
        out: &mut Vec<f32>,
    ) {
        let w = self.w;
        let bytes = self.bytes_of(&rows);
        out.resize(rows.len() * columns.len(), 0.0);
        match w.halves() {
            Some(_) => halves::times(isa, bytes, w.row_bytes(), x, out),
            None => interleaved::times(isa, w.dtype(), bytes, w.row_bytes(), x, out),
        }
        self.put(rows, columns, out);
    }

    /// Puts results of groups of interleaved rows, (groups, columns, LANES), into their places.
    fn put(&self, rows: Range<usize>, columns: Range<usize>, results: &[f32]) {
        let lanes = self.lanes;
        let groups = results.chunks_exact(lanes * columns.len());
        for (results, first) in groups.zip(rows.step_by(lanes)) {
            for (column, results) in columns.clone().zip(results.chunks_exact(lanes)) {
                let at = column * self.width + first;
                // SAFETY: each row of a product goes to one thread, once.
                unsafe { self.y.part(at..at + lanes) }.copy_from_slice(results);
            }
        }
    }

    /// How many blocks of rows there are; the last may have fewer rows.
    fn blocks(&self) -> usize {
        self.w.rows().div_ceil(BLOCK)
    }
}

/// The rows of `range` (over all products' blocks of rows, one after another) by product.
fn split<'a, 'p>(
    products: &'p [Product<'a>],
    range: Range<usize>,
) -> impl Iterator<Item = (&'p Product<'a>, Range<usize>)> {
    let mut before = 0;
    products.iter().filter_map(move |p| {
        let first = before;
        before += p.blocks();
        let (start, end) = (range.start.max(first), range.end.min(before));
        (start < end).then(|| (p, (start - first) * BLOCK..p.w.rows().min((end - first) * BLOCK)))
    })
}
