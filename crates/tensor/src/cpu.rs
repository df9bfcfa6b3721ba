//! The processor as the rest of the house sees it: fewer than twenty fused operations.
//!
//! A [`Cpu`] owns the threads and chooses the instruction set, once. It decides how an operation
//! is split; what is computed stands in `kernel`. Every operation gives the same result on the
//! same instruction set whatever the number of threads: an output element is computed whole, by one
//! thread, in one order, or (in attention) in pieces that are always the same and merged in order.
//!
//! Attention stands in `cpu/attention.rs`, rotary positions in `cpu/rope.rs`, and how the likeliest
//! tokens are found without reading all of an output head in `cpu/likeliest.rs`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use half::f16;

use crate::bytes::{Arena, Settling};
use crate::dtype::DType;
use crate::isa::Isa;
use crate::kernel::activation::{Quantised, Scaling, Tile};
use crate::kernel::attend;
use crate::kernel::bf16_product::{self, PairPanel};
use crate::kernel::columns::Columns;
use crate::kernel::float_product::{self, FloatPanel, Rounding};
use crate::kernel::interleaved::{self, Opened};
use crate::kernel::{element, halves, panel, rows};
use crate::layout;
use crate::matrix::Matrix;
use crate::pool::{Chunks, Parts, Pool, Shares};
use crate::rows::Rows;

mod attention;
mod likeliest;
mod rope;

pub use attention::{KvPages, KvPagesMut, PAGE};
pub use likeliest::SCREEN_FROM;
pub use rope::{Rope, RopeStyle};

use attention::Partial;

/// Up to this many rows of activations (columns, to the kernels) quantised weights are read row by
/// row; beyond, in panels.
const FEW: usize = 8;
/// The same where float weights are in the call.
const FEW_FOR_FLOATS: usize = 4;

/// Weight rows that go to a thread together: whole groups of interleaved ones on every set.
const BLOCK: usize = 16;
/// Such blocks between two looks at whether another thread needs help.
const PIECE: usize = 2;

/// Beyond so many tiles of columns, weights whose bits are dear to take apart are opened first.
const TILES: usize = 3;

/// Bytes that a thread interleaves before it lets their pages go: some pages, no large part of a
/// file.
const HANDFUL: usize = 1 << 20;

/// After how many calls of [`Cpu::tend`] all memory has moved to better pages: evaluations of a
/// model, which while decoding are tokens.
const SHARES: usize = 512;

/// Below this many floats a second thread costs more than it brings.
const WORTH_SPLITTING: usize = 1 << 14;

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

/// Memory on its way to better pages, in huge ones: how many there were, how many have been
/// moved, and how often that was tended.
#[derive(Default)]
struct Settles {
    queue: VecDeque<Settling>,
    total: usize,
    moved: usize,
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

/// One thread's buffers, kept so that a token costs no allocation.
#[derive(Default)]
struct Scratch {
    out: Vec<f32>,
    panels: Vec<Panels>,
    row: Quantised,
    attention: attend::Work,
    rounded: Vec<f16>,
    rounded_bytes: Vec<i8>,
}

#[derive(Default)]
struct Panels {
    bytes: panel::Panel,
    opened: Opened,
    floats: FloatPanel,
    pairs: PairPanel,
}

/// The right factor of the products of one call, in the forms that they ask for.
#[derive(Default)]
struct Activations {
    by32: Form,
    by256: Form,
    floats: FloatForm,
    halves: FloatForm,
    bfloats: FloatForm,
    /// Tiles of bf16 pairs, instead of those of `bfloats`, where the machine multiplies them.
    pairs: Vec<Vec<[u16; 2]>>,
}

/// Activations as bytes: by row, and packed for the panels.
#[derive(Default)]
struct Form {
    columns: Columns,
    tiles: Vec<Tile>,
}

/// Activations as floats, rounded to the weights' type.
#[derive(Default)]
struct FloatForm {
    rows: Vec<f32>,
    tiles: Vec<Vec<f32>>,
}

/// What the weights of a product are multiplied by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Factor {
    Bytes(Scaling),
    Floats(Rounding),
}

impl Activations {
    fn form(&self, scaling: Scaling) -> &Form {
        match scaling {
            Scaling::By32 => &self.by32,
            Scaling::By256 => &self.by256,
        }
    }

    /// The tiles for a product with quantised weights.
    fn tiles(&self, product: &Product<'_>) -> &[Tile] {
        match product.factor() {
            Factor::Bytes(scaling) => &self.form(scaling).tiles,
            Factor::Floats(_) => &[],
        }
    }

    fn floats(&self, rounding: Rounding) -> &FloatForm {
        match rounding {
            Rounding::None => &self.floats,
            Rounding::Half => &self.halves,
            Rounding::Bf16 => &self.bfloats,
        }
    }
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

    /// The same weights, with a piece of `arena` to lie in as the kernels here read them fastest:
    /// interleaved. They go there when they are multiplied with a second time, and the pages of a
    /// file that they came from are let go then; who asks for one answer and is gone does not pay
    /// for what only many would be worth. The products' bits are the same before and after. `None`
    /// where the type has no kernel for it, rows are not whole groups, or the arena is full.
    pub fn place(&self, weights: &Matrix, arena: &mut Arena) -> Option<Matrix> {
        self.place_as(weights, arena, false)
    }

    /// [`Cpu::place`], with upper and lower bits apart where that is wanted and the type has them.
    fn place_as(&self, weights: &Matrix, arena: &mut Arena, apart: bool) -> Option<Matrix> {
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
    fn lay_out(&self, weights: &Matrix) {
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

    fn by_rows(&self, x: &Rows, products: &[Product<'_>], activations: &mut Activations) {
        let wanted = |factor| products.iter().any(|p| p.factor() == factor);
        let (width, together) = (x.width(), rows::most_columns(self.isa));
        let Activations { by32, by256, floats, halves, bfloats, .. } = activations;
        for (form, scaling) in [(by32, Scaling::By32), (by256, Scaling::By256)] {
            let some = |interleaved: bool| {
                let mut mine = products.iter().filter(|p| p.factor() == Factor::Bytes(scaling));
                mine.any(|p| (p.lanes > 1) == interleaved)
            };
            if some(false) {
                form.columns.pack(self.isa, scaling, x.as_slice(), width, together);
            }
            if some(true) {
                let tiles = x.as_slice().chunks(together * width);
                form.tiles.resize_with(form.tiles.len().max(tiles.len()), Tile::default);
                let row = &mut lock(&self.scratch[0]).row;
                for (tile, x) in form.tiles.iter_mut().zip(tiles) {
                    tile.pack(self.isa, scaling, x, width, row);
                }
            }
        }
        for (form, rounding) in
            [(floats, Rounding::None), (halves, Rounding::Half), (bfloats, Rounding::Bf16)]
        {
            if wanted(Factor::Floats(rounding)) {
                form.rows.clear();
                form.rows.extend(x.as_slice().iter().map(|x| rounding.of_float(*x)));
            }
        }
        let activations = &*activations;
        let total: usize = products.iter().map(Product::blocks).sum();
        let n = x.count();
        let shares = Shares::new(total, self.threads(), PIECE);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            while let Some(range) = shares.take(thread) {
                for (product, rows) in split(products, range) {
                    let w = product.w;
                    let bytes = product.bytes_of(&rows);
                    let out = &mut scratch.out;
                    let (isa, dtype, row_bytes) = (self.isa, w.dtype(), w.row_bytes());
                    if product.lanes > 1 {
                        let tiles = activations.tiles(product);
                        for (first, x) in (0..n).step_by(together).zip(tiles) {
                            product.put_tile(
                                isa,
                                rows.clone(),
                                first..n.min(first + together),
                                x,
                                out,
                            );
                        }
                        continue;
                    }
                    out.resize(rows.len() * n, 0.0);
                    match product.factor() {
                        Factor::Bytes(scaling) => {
                            let x = &activations.form(scaling).columns;
                            rows::rows(isa, dtype, bytes, row_bytes, x, out);
                        }
                        Factor::Floats(rounding) => {
                            let x = &activations.floats(rounding).rows;
                            float_product::rows(isa, dtype, bytes, row_bytes, x, n, out);
                        }
                    }
                    for col in 0..n {
                        let at = col * product.width + rows.start;
                        // SAFETY: `shares` gives each range of rows to one thread, once.
                        let y = unsafe { product.y.part(at..at + rows.len()) };
                        for (y, out) in y.iter_mut().zip(out.chunks_exact(n)) {
                            *y = out[col];
                        }
                    }
                }
            }
        });
    }

    fn by_panels(&self, x: &Rows, products: &[Product<'_>], activations: &mut Activations) {
        let width = x.width();
        let mut tiles: Vec<Range<usize>> = Vec::new();
        while let Some(left) =
            Some(x.count() - tiles.last().map_or(0, |t| t.end)).filter(|&n| n > 0)
        {
            let first = x.count() - left;
            tiles.push(first..first + panel::tile_cols(self.isa, left));
        }
        let wanted = |factor| products.iter().any(|p| p.factor() == factor);
        let Activations { by32, by256, floats, halves, bfloats, pairs } = activations;
        let in_pairs = |rounding| self.pairs && rounding == Rounding::Bf16;
        if pairs.len() < tiles.len() && wanted(Factor::Floats(Rounding::Bf16)) && self.pairs {
            pairs.resize_with(tiles.len(), Vec::default);
        }
        let pairs = Parts::new(pairs);
        let bytes = [(by32, Scaling::By32), (by256, Scaling::By256)].map(|(form, scaling)| {
            let wanted = wanted(Factor::Bytes(scaling));
            if wanted && form.tiles.len() < tiles.len() {
                form.tiles.resize_with(tiles.len(), Tile::default);
            }
            (wanted, Parts::new(&mut form.tiles), scaling)
        });
        let floats =
            [(floats, Rounding::None), (halves, Rounding::Half), (bfloats, Rounding::Bf16)].map(
                |(form, rounding)| {
                    let wanted = wanted(Factor::Floats(rounding));
                    if wanted && form.tiles.len() < tiles.len() {
                        form.tiles.resize_with(tiles.len(), Vec::default);
                    }
                    (wanted, Parts::new(&mut form.tiles), rounding)
                },
            );
        let chunks = Chunks::new(tiles.len(), 1);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            while let Some(range) = chunks.take() {
                let t = range.start;
                let x = &x.as_slice()[tiles[t].start * width..tiles[t].end * width];
                for (_, packed, scaling) in bytes.iter().filter(|(wanted, ..)| *wanted) {
                    // SAFETY: `chunks` gives each tile to one thread, once.
                    let tile = unsafe { packed.part(range.clone()) };
                    tile[0].pack(self.isa, *scaling, x, width, &mut scratch.row);
                }
                for (_, packed, rounding) in floats.iter().filter(|(wanted, ..)| *wanted) {
                    if in_pairs(*rounding) {
                        // SAFETY: as above.
                        let tile = unsafe { pairs.part(range.clone()) };
                        bf16_product::pack_pairs(x, width, &mut tile[0]);
                        continue;
                    }
                    // SAFETY: as above.
                    let tile = unsafe { packed.part(range.clone()) };
                    float_product::pack_columns(x, width, *rounding, &mut tile[0]);
                }
            }
        });
        let activations = &*activations;

        // A unit is a few panels of rows: small enough that they stay in the second-level cache
        // while all tiles pass by, large enough that a tile is read from memory seldom.
        let lanes = panel::lanes(self.isa);
        let total: usize = products.iter().map(|p| p.w.rows()).sum();
        let panels = (total / (lanes * self.threads() * 8)).clamp(1, 4);
        let units: Vec<(&Product<'_>, Range<usize>)> = products
            .iter()
            .flat_map(|p| {
                let size = panels * lanes;
                (0..p.w.rows())
                    .step_by(size)
                    .map(move |first| (p, first..p.w.rows().min(first + size)))
            })
            .collect();
        let chunks = Chunks::new(units.len(), 1);
        self.pool.run(&|thread| {
            let mut scratch = lock(&self.scratch[thread]);
            let Scratch { out, panels, .. } = &mut *scratch;
            while let Some(range) = chunks.take() {
                let (product, rows) = &units[range.start];
                let w = product.w;
                let groups = rows.len().div_ceil(lanes);
                if panels.len() < groups {
                    panels.resize_with(groups, Panels::default);
                }
                let group =
                    |g: usize| rows.start + g * lanes..rows.end.min(rows.start + (g + 1) * lanes);
                let opens = product.lanes > 1
                    && interleaved::opens(self.isa, w.dtype())
                    && tiles.len() > TILES;
                if product.lanes > 1 && !opens {
                    for (tile, x) in tiles.iter().zip(activations.tiles(product)) {
                        product.put_tile(self.isa, rows.clone(), tile.clone(), x, out);
                    }
                    continue;
                }
                for (g, panel) in panels.iter_mut().enumerate().take(groups) {
                    let rows = group(g);
                    let bytes = product.bytes_of(&rows);
                    match product.factor() {
                        Factor::Bytes(_) if opens => {
                            panel.opened.open(self.isa, w.dtype(), bytes, width);
                        }
                        Factor::Bytes(_) => {
                            panel.bytes.unpack(self.isa, w.dtype(), bytes, w.row_bytes(), width);
                        }
                        Factor::Floats(rounding) if in_pairs(rounding) => {
                            panel.pairs.unpack(self.isa, bytes, w.row_bytes(), lanes);
                        }
                        Factor::Floats(_) => {
                            panel.floats.unpack(w.dtype(), bytes, w.row_bytes(), width, lanes);
                        }
                    }
                }
                for (t, tile) in tiles.iter().enumerate() {
                    out.resize(tile.len() * lanes, 0.0);
                    for (g, panel) in panels.iter().enumerate().take(groups) {
                        match product.factor() {
                            Factor::Bytes(scaling) if opens => {
                                let x = &activations.form(scaling).tiles[t];
                                panel.opened.times(self.isa, w.dtype(), x, out);
                            }
                            Factor::Bytes(scaling) => {
                                let x = &activations.form(scaling).tiles[t];
                                panel.bytes.times(self.isa, w.dtype(), x, out);
                            }
                            Factor::Floats(rounding) if in_pairs(rounding) => {
                                panel.pairs.times(self.isa, &activations.pairs[t], tile.len(), out);
                            }
                            Factor::Floats(rounding) => {
                                let x = &activations.floats(rounding).tiles[t];
                                panel.floats.times(self.isa, x, tile.len(), out);
                            }
                        }
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
        });
    }

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
    fn each_row(&self, x: &mut Rows, f: impl Fn(usize, &mut [f32]) + Sync) {
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

struct Product<'a> {
    w: &'a Matrix,
    /// How its rows lie: see [`Matrix::lying`].
    lanes: usize,
    bytes: &'a [u8],
    y: Parts<'a, f32>,
    width: usize,
}

impl<'a> Product<'a> {
    /// The weights' rows `rows`.
    fn bytes_of(&self, rows: &Range<usize>) -> &'a [u8] {
        &self.bytes[rows.start * self.w.row_bytes()..rows.end * self.w.row_bytes()]
    }

    /// Multiplies interleaved rows with a tile's columns, and puts the results into their places;
    /// `out` is scratch memory.
    fn put_tile(
        &self,
        isa: Isa,
        rows: Range<usize>,
        columns: Range<usize>,
        x: &Tile,
        out: &mut Vec<f32>,
    ) {
        let (w, lanes, count) = (self.w, self.lanes, columns.len());
        let bytes = self.bytes_of(&rows);
        out.resize(rows.len() * count, 0.0);
        match w.halves() {
            Some(_) => halves::times(isa, bytes, w.row_bytes(), x, out),
            None => interleaved::times(isa, w.dtype(), bytes, w.row_bytes(), x, out),
        }
        for (out, first) in out.chunks_exact(lanes * count).zip(rows.step_by(lanes)) {
            for (column, out) in columns.clone().zip(out.chunks_exact(lanes)) {
                let at = column * self.width + first;
                // SAFETY: each row of a product goes to one thread, once.
                unsafe { self.y.part(at..at + lanes) }.copy_from_slice(out);
            }
        }
    }

    /// How many blocks of rows there are; the last may have fewer rows.
    fn blocks(&self) -> usize {
        self.w.rows().div_ceil(BLOCK)
    }

    /// What activations become for these weights.
    fn factor(&self) -> Factor {
        crate::quant::with_format!(
            self.w.dtype(),
            F => const { Factor::Bytes(Scaling::of::<F>()) },
            else Factor::Floats(Rounding::of(self.w.dtype()))
        )
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
