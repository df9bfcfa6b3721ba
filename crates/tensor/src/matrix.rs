//! Weights: a matrix of one storage type over read-only bytes.
//!
//! A [`Matrix`] that exists is sound: its type can be computed with, its rows are whole blocks and
//! its bytes are exactly as many as the shape asks for. Kernels rely on that and check no more.
//! Its rows lie as in the file, or interleaved (see `layout`); which, only kernels ask. A matrix
//! with a `Place` moves from the one to the other while others read it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::bytes::{Blank, Bytes};
use crate::dtype::DType;
use crate::{layout, quant};

/// `rows × cols` weights (ggml writes the dimensions as `[cols, rows]`).
#[derive(Clone, Debug)]
pub struct Matrix {
    dtype: DType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    /// As the file has them.
    data: Bytes,
    /// Where they are interleaved, or will be; none where they stay as they lie.
    place: Option<Arc<Place>>,
}

/// Where the rows of a matrix are interleaved, or will be. Clones of a matrix share it.
pub(crate) struct Place {
    /// Rows of a group.
    lanes: usize,
    /// The memory to go to, until somebody goes there.
    blank: Mutex<Option<Blank>>,
    /// The interleaved rows, once they are.
    laid: OnceLock<Bytes>,
    /// Whether somebody multiplied with the rows before.
    used: AtomicBool,
    /// What there is beside rows whose upper and lower bits lie apart; none where they lie together.
    halves: Option<Halves>,
}

/// What there is beside rows of Q8_0 whose upper and lower bits lie apart.
#[derive(Default)]
pub(crate) struct Halves {
    /// (groups, blocks): see [`layout::halves::spans`]; none where nothing is bounded.
    spans: OnceLock<Option<Vec<u8>>>,
    /// How many times more the coarse reading is left out, since it excluded too little.
    rest: AtomicU32,
}

impl Halves {
    /// The spans, where there are any.
    pub(crate) fn spans(&self) -> Option<&[u8]> {
        self.spans.get()?.as_deref()
    }

    /// They are known now.
    pub(crate) fn spanned(&self, spans: Option<Vec<u8>>) {
        // Who lays the rows out does it once.
        let _ = self.spans.set(spans);
    }

    /// Whether the coarse reading is left out this time.
    pub(crate) fn rests(&self) -> bool {
        // Nothing but time hangs on the count: what comes out is the same either way.
        let left = self.rest.load(Ordering::Relaxed);
        self.rest.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// It is left out so many times.
    pub(crate) fn rest(&self, times: u32) {
        self.rest.store(times, Ordering::Relaxed);
    }
}

impl Place {
    /// The memory to fill, to whoever asks first; it is to come back through [`Place::laid`].
    pub(crate) fn take(&self) -> Option<Blank> {
        self.blank.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What there is beside the rows, where their bits lie apart.
    pub(crate) fn halves(&self) -> Option<&Halves> {
        self.halves.as_ref()
    }

    /// From now on the rows lie here, interleaved.
    pub(crate) fn laid(&self, rows: Bytes) {
        // Only who took the blank has anything to give, so there is none before.
        let _ = self.laid.set(rows);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({} lanes, {:?})", self.lanes, self.laid.get())
    }
}

/// Why bytes are not a matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The type is known but nothing here computes with it.
    #[error("tensor type {0} cannot be computed with")]
    Unsupported(DType),
    /// A row does not consist of whole blocks.
    #[error("rows of {cols} weights are not whole blocks of {dtype}, which hold {block}")]
    PartialBlock {
        /// The storage type.
        dtype: DType,
        /// The row's width.
        cols: usize,
        /// Weights in a block.
        block: usize,
    },
    /// The shape asks for another number of bytes.
    #[error("{rows} x {cols} weights of {dtype} take {wanted} bytes, found {found}")]
    Size {
        /// The storage type.
        dtype: DType,
        /// Number of rows.
        rows: usize,
        /// Width of a row.
        cols: usize,
        /// What the shape asks for.
        wanted: u128,
        /// What there is.
        found: usize,
    },
}

impl Matrix {
    /// Checks the shape against the bytes, once and for all.
    ///
    /// # Errors
    /// [`MatrixError`] where the type has no kernels, a row is not whole blocks, or the bytes are
    /// not exactly those of the shape.
    pub fn new(dtype: DType, rows: usize, cols: usize, data: Bytes) -> Result<Matrix, MatrixError> {
        if !dtype.computes() {
            return Err(MatrixError::Unsupported(dtype));
        }
        let Some(row_bytes) = dtype.row_bytes(cols) else {
            return Err(MatrixError::PartialBlock { dtype, cols, block: dtype.block() });
        };
        let wanted = row_bytes as u128 * rows as u128;
        if wanted != data.len() as u128 {
            return Err(MatrixError::Size { dtype, rows, cols, wanted, found: data.len() });
        }
        Ok(Matrix { dtype, rows, cols, row_bytes, data, place: None })
    }

    /// Packs floats as 32-bit weights.
    ///
    /// # Panics
    /// Where they are not whole rows of `cols`.
    pub fn from_f32(data: &[f32], cols: usize) -> Matrix {
        let bytes = Bytes::from_vec(bytemuck::cast_slice(data).to_vec());
        Matrix::new(DType::F32, data.len() / cols, cols, bytes).expect("whole rows")
    }

    /// The storage type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of rows: the width of what the matrix produces.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Width of a row: the width of what the matrix takes.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The stored bytes.
    pub fn bytes(&self) -> &Bytes {
        self.lying().1
    }

    /// How many rows are interleaved with each other; 1 where each lies by itself.
    pub fn lanes(&self) -> usize {
        self.lying().0
    }

    /// How many rows are interleaved or will be, where the matrix has a place.
    pub(crate) fn place_lanes(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.lanes)
    }

    /// How the rows lie at this moment: how many are interleaved, and the bytes. Who asks for the
    /// two one after the other may find the rows moved in between.
    pub(crate) fn lying(&self) -> (usize, &Bytes) {
        match self.place.as_deref().and_then(|place| Some((place.lanes, place.laid.get()?))) {
            Some(laid) => laid,
            None => (1, &self.data),
        }
    }

    /// The same weights, which will be interleaved in `blank`, `lanes` rows each.
    ///
    /// With `apart`, which Q8_0 alone has, upper and lower bits lie apart.
    pub(crate) fn placed(&self, lanes: usize, blank: Blank, apart: bool) -> Matrix {
        assert!(!apart || self.dtype == DType::Q8_0, "a type with halves");
        assert_eq!(blank.len(), self.data.len(), "the same bytes in another order");
        assert!(self.rows.is_multiple_of(lanes), "whole groups");
        let place = Place {
            lanes,
            blank: Mutex::new(Some(blank)),
            laid: OnceLock::new(),
            used: AtomicBool::new(false),
            halves: apart.then(Halves::default),
        };
        Matrix { place: Some(Arc::new(place)), ..self.clone() }
    }

    /// The place that rows have and do not lie in yet, and the rows.
    pub(crate) fn waits(&self) -> Option<(&Place, &Bytes)> {
        let place = self.place.as_deref().filter(|place| place.laid.get().is_none())?;
        Some((place, &self.data))
    }

    /// What there is beside rows that lie with their upper and lower bits apart; none where they lie
    /// otherwise, or do not yet.
    pub(crate) fn halves(&self) -> Option<&Halves> {
        self.place.as_deref().filter(|place| place.laid.get().is_some())?.halves()
    }

    /// Notes that somebody multiplies with the rows; whether somebody did before.
    pub(crate) fn use_again(&self) -> bool {
        // Nothing hangs on the order: who is told wrong in a race lays rows out later.
        self.place.as_deref().is_some_and(|place| place.used.swap(true, Ordering::Relaxed))
    }

    /// Rows `range` as a matrix of their own, without a copy; `None` where they begin or end
    /// inside a group, or are not there. The part of a matrix that is still to be interleaved stays
    /// as it lies.
    pub fn part(&self, range: Range<usize>) -> Option<Matrix> {
        let (lanes, data) = self.lying();
        let whole = range.start.is_multiple_of(lanes) && range.end.is_multiple_of(lanes);
        let bytes =
            range.start.checked_mul(self.row_bytes)?..range.end.checked_mul(self.row_bytes)?;
        let data = data.slice(bytes).filter(|_| whole)?;
        let place = (lanes > 1).then(|| {
            Arc::new(Place {
                lanes,
                blank: Mutex::new(None),
                laid: OnceLock::from(data.clone()),
                used: AtomicBool::new(true),
                // Parts are never screened: they have no spans.
                halves: self.halves().map(|_| Halves::default()),
            })
        });
        Some(Matrix { rows: range.len(), data, place, ..self.clone() })
    }

    /// Writes row `i` as floats.
    ///
    /// # Panics
    /// Where there is no such row or `out` is not `cols` wide.
    pub fn decode_row(&self, i: usize, out: &mut [f32]) {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        assert_eq!(out.len(), self.cols, "a row is {} wide", self.cols);
        let (lanes, data) = self.lying();
        if lanes == 1 {
            let row = &data.as_slice()[i * self.row_bytes..(i + 1) * self.row_bytes];
            return quant::decode(self.dtype, row, out);
        }
        let group = lanes * self.row_bytes;
        let group = &data.as_slice()[i / lanes * group..][..group];
        let mut row = vec![0; self.row_bytes];
        match self.halves() {
            Some(_) => layout::halves::row_of_group(lanes, group, i % lanes, &mut row),
            None => layout::row_of_group(self.dtype, lanes, group, i % lanes, &mut row),
        }
        quant::decode(self.dtype, &row, out);
    }

    /// All weights as floats, row by row.
    pub fn decode(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        for (i, row) in out.chunks_exact_mut(self.cols.max(1)).enumerate() {
            self.decode_row(i, row);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_that_exists_is_sound() {
        let bytes = |n| Bytes::from_vec(vec![0; n]);
        assert!(Matrix::new(DType::Q4_0, 2, 64, bytes(72)).is_ok());
        assert_eq!(
            Matrix::new(DType::Iq2Xxs, 1, 256, bytes(66)).unwrap_err(),
            MatrixError::Unsupported(DType::Iq2Xxs)
        );
        assert!(matches!(
            Matrix::new(DType::Q4_0, 2, 33, bytes(72)),
            Err(MatrixError::PartialBlock { .. })
        ));
        assert!(matches!(
            Matrix::new(DType::Q4_0, 2, 64, bytes(71)),
            Err(MatrixError::Size { .. })
        ));
        assert!(matches!(
            Matrix::new(DType::F32, usize::MAX, usize::MAX / 4, bytes(4)),
            Err(MatrixError::Size { .. })
        ));
    }

    #[test]
    fn floats_come_back() {
        let m = Matrix::from_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        assert_eq!((m.rows(), m.cols()), (2, 3));
        let mut row = [0.0; 3];
        m.decode_row(1, &mut row);
        assert_eq!(row, [4.0, 5.0, 6.0]);
    }
}
