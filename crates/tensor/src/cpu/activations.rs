//! The right factor of products: activations, rounded as each type of weights asks for it and packed as the kernels read
//! them, once a call. Which weights they meet, and where the results go, it does not know.

use std::ops::Range;

use super::{Cpu, lock};
use crate::kernel::activation::{Scaling, Tile};
use crate::kernel::bf16_product;
use crate::kernel::columns::Columns;
use crate::kernel::float_product::{self, Rounding};
use crate::pool::{Chunks, Parts};
use crate::rows::Rows;

/// What the weights of a product are multiplied by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    Bytes(Scaling),
    Floats(Rounding),
}

/// The right factor of the products of one call, in the forms that they ask for.
#[derive(Default)]
pub(super) struct Activations {
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

impl Activations {
    fn form(&self, scaling: Scaling) -> &Form {
        match scaling {
            Scaling::By32 => &self.by32,
            Scaling::By256 => &self.by256,
        }
    }

    fn float_form(&self, rounding: Rounding) -> &FloatForm {
        match rounding {
            Rounding::None => &self.floats,
            Rounding::Half => &self.halves,
            Rounding::Bf16 => &self.bfloats,
        }
    }

    /// Bytes for products of rows as they lie.
    pub(super) fn columns(&self, scaling: Scaling) -> &Columns {
        &self.form(scaling).columns
    }

    /// Floats for products of rows as they lie: (count, width).
    pub(super) fn floats(&self, rounding: Rounding) -> &[f32] {
        &self.float_form(rounding).rows
    }

    /// Tiles of bytes.
    pub(super) fn tiles(&self, scaling: Scaling) -> &[Tile] {
        &self.form(scaling).tiles
    }

    /// Tiles of floats.
    pub(super) fn float_tiles(&self, rounding: Rounding) -> &[Vec<f32>] {
        &self.float_form(rounding).tiles
    }

    /// Tiles of pairs of bf16.
    pub(super) fn pairs(&self) -> &[Vec<[u16; 2]>] {
        &self.pairs
    }

    /// Packs `x` for rows as they lie (`by_row`) and for interleaved ones (`by_tile`, tiles of at most
    /// `together` columns), in the forms that are wanted. On the caller's thread: it is little.
    pub(super) fn pack_few(
        &mut self,
        cpu: &Cpu,
        x: &Rows,
        together: usize,
        by_row: impl Fn(Factor) -> bool,
        by_tile: impl Fn(Scaling) -> bool,
    ) {
        let (isa, width) = (cpu.isa, x.width());
        let Activations { by32, by256, floats, halves, bfloats, .. } = self;
        for (form, scaling) in [(by32, Scaling::By32), (by256, Scaling::By256)] {
            if by_row(Factor::Bytes(scaling)) {
                form.columns.pack(isa, scaling, x.as_slice(), width, together);
            }
            if by_tile(scaling) {
                let tiles = x.as_slice().chunks(together * width);
                form.tiles.resize_with(form.tiles.len().max(tiles.len()), Tile::default);
                let row = &mut lock(&cpu.scratch[0]).row;
                for (tile, x) in form.tiles.iter_mut().zip(tiles) {
                    tile.pack(isa, scaling, x, width, row);
                }
            }
        }
        for (form, rounding) in
            [(floats, Rounding::None), (halves, Rounding::Half), (bfloats, Rounding::Bf16)]
        {
            if by_row(Factor::Floats(rounding)) {
                form.rows.clear();
                form.rows.extend(x.as_slice().iter().map(|x| rounding.of_float(*x)));
            }
        }
    }

    /// Packs the columns of each tile of `x` in the forms that are wanted, on all threads.
    pub(super) fn pack_tiles(
        &mut self,
        cpu: &Cpu,
        x: &Rows,
        tiles: &[Range<usize>],
        wanted: impl Fn(Factor) -> bool,
    ) {
        let width = x.width();
        let Activations { by32, by256, floats, halves, bfloats, pairs } = self;
        let in_pairs = |rounding| cpu.pairs && rounding == Rounding::Bf16;
        if pairs.len() < tiles.len() && wanted(Factor::Floats(Rounding::Bf16)) && cpu.pairs {
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
        cpu.pool.run(&|thread| {
            let mut scratch = lock(&cpu.scratch[thread]);
            while let Some(range) = chunks.take() {
                let t = range.start;
                let x = &x.as_slice()[tiles[t].start * width..tiles[t].end * width];
                for (_, packed, scaling) in bytes.iter().filter(|(wanted, ..)| *wanted) {
                    // SAFETY: `chunks` gives each tile to one thread, once.
                    let tile = unsafe { packed.part(range.clone()) };
                    tile[0].pack(cpu.isa, *scaling, x, width, &mut scratch.row);
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
    }
}
