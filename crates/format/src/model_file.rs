//! A checked model file: metadata, and tensors with names over the file's bytes.
//!
//! What is proved once is carried by type: a [`TensorLayout`] has a size that exists, a
//! [`ModelFile`] has tensors of unique names whose bytes are exactly those of their shape. No
//! reader below this line, no writer and no estimator checks an offset again. Nothing here knows
//! which file format the bytes came from.

use crate::cursor::wide;
use crate::error::FormatError;
use crate::limits;
use crate::metadata::{Metadata, check_name};
use crate::order;
use ondine_tensor::{Bytes, DType, Matrix};
use std::ops::Deref;

/// Name, type and dimensions of a tensor: a size that fits and rows of whole blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorLayout {
    name: String,
    dims: Vec<usize>,
    dtype: DType,
    bytes: usize,
}

impl TensorLayout {
    /// Checks a tensor's description. `dims` are in ggml's order, the width of a row first; none
    /// at all means one single weight.
    ///
    /// # Errors
    /// Where the name is empty, too long or holds a zero byte, there are too many dimensions, a
    /// row is not whole blocks, or the size cannot be represented.
    pub fn new(
        name: impl Into<String>,
        dims: Vec<usize>,
        dtype: DType,
    ) -> Result<TensorLayout, FormatError> {
        let name = name.into();
        check_name("tensor name", 0, &name, limits::NAME_BYTES)?;
        let count = wide(dims.len());
        if count > limits::DIMS.max {
            return Err(FormatError::Limit {
                what: format!("tensor {name:?}"),
                at: 0,
                found: count,
                limit: limits::DIMS,
            });
        }
        let size = |name| FormatError::TensorSize {
            name,
            dims: dims.iter().copied().map(wide).collect(),
            dtype,
        };
        let mut elements = 1u64;
        for &dim in &dims {
            elements = match elements.checked_mul(wide(dim)) {
                Some(product) if product <= limits::ELEMENTS.max => product,
                _ => return Err(size(name)),
            };
        }
        let width = dims.first().copied().unwrap_or(1);
        if !width.is_multiple_of(dtype.block()) {
            return Err(FormatError::PartialBlock { name, width, dtype });
        }
        let rows = dims.iter().skip(1).try_fold(1usize, |rows, dim| rows.checked_mul(*dim));
        let bytes = rows.and_then(|rows| dtype.row_bytes(width)?.checked_mul(rows));
        match bytes {
            Some(bytes) => Ok(TensorLayout { name, dims, dtype, bytes }),
            None => Err(size(name)),
        }
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions in ggml's order, the width of a row first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// How its weights are stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes of its data, without padding.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Name, dimensions and type, for good.
    pub(crate) fn into_parts(self) -> (String, Vec<usize>, DType) {
        (self.name, self.dims, self.dtype)
    }
}

/// A tensor of a file. One that is reached through a [`ModelFile`] is sound: its data is exactly
/// what its dimensions ask for.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its dimensions in ggml's order, the width of a row first.
    pub dims: Vec<usize>,
    /// How its weights are stored.
    pub dtype: DType,
    /// Its data, a part of the file.
    pub data: Bytes,
}

impl Tensor {
    /// Name, type and dimensions, checked.
    ///
    /// # Errors
    /// As [`TensorLayout::new`].
    pub fn layout(&self) -> Result<TensorLayout, FormatError> {
        TensorLayout::new(self.name.clone(), self.dims.clone(), self.dtype)
    }

    /// Number of weights.
    pub fn elements(&self) -> usize {
        self.dims.iter().fold(1, |product: usize, dim| product.saturating_mul(*dim))
    }
}

/// The tensors of a file, in its order, of unique names. Reads as a slice.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    list: Vec<Tensor>,
    /// Places in `list`, ordered by name.
    sorted: Vec<usize>,
}

impl Tensors {
    /// The tensor of this name.
    pub fn named(&self, name: &str) -> Option<&Tensor> {
        let found = |place: usize| self.list.get(place).map_or("", |tensor| tensor.name.as_str());
        let slot = order::find(&self.sorted, found, name);
        self.list.get(*self.sorted.get(slot.ok()?)?)
    }
}

impl Deref for Tensors {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.list
    }
}

impl<'a> IntoIterator for &'a Tensors {
    type Item = &'a Tensor;
    type IntoIter = std::slice::Iter<'a, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// A model file that has been read and found sound.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelFile {
    /// What it says about itself.
    pub metadata: Metadata,
    /// Its weights.
    pub tensors: Tensors,
}

impl ModelFile {
    /// Checks that the tensors have unique names and the data that their dimensions ask for.
    ///
    /// # Errors
    /// Where they do not, and where a name, a shape or their number breaks a limit.
    pub fn new(metadata: Metadata, tensors: Vec<Tensor>) -> Result<ModelFile, FormatError> {
        let found = wide(tensors.len());
        if found > limits::TENSORS.max {
            return Err(FormatError::Limit {
                what: "tensor count".to_owned(),
                at: 0,
                found,
                limit: limits::TENSORS,
            });
        }
        for tensor in &tensors {
            let expected = tensor.layout()?.bytes();
            if tensor.data.len() != expected {
                return Err(FormatError::DataLength {
                    name: tensor.name.clone(),
                    found: tensor.data.len(),
                    expected,
                });
            }
        }
        let name = |place: usize| tensors.get(place).map_or("", |tensor| tensor.name.as_str());
        match order::unique(tensors.len(), name) {
            Ok(sorted) => Ok(ModelFile::from_sound(metadata, tensors, sorted)),
            Err(place) => {
                let name = name(place).to_owned();
                Err(FormatError::Duplicate { what: "tensor", name, at: 0 })
            }
        }
    }

    /// Takes over tensors whose data is known to fit, and their places ordered by unique names.
    pub(crate) fn from_sound(
        metadata: Metadata,
        list: Vec<Tensor>,
        sorted: Vec<usize>,
    ) -> ModelFile {
        ModelFile { metadata, tensors: Tensors { list, sorted } }
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.named(name).is_some()
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, FormatError> {
        self.tensors.named(name).ok_or_else(|| FormatError::MissingTensor { name: name.to_owned() })
    }

    /// The matrix of this name: two dimensions, neither of them zero, of a type that can be
    /// computed with.
    ///
    /// # Errors
    /// Where there is none, or it is another thing.
    pub fn matrix(&self, name: &str) -> Result<Matrix, FormatError> {
        let tensor = self.tensor(name)?;
        match tensor.dims.as_slice() {
            &[cols, rows] if cols > 0 && rows > 0 => over(tensor, rows, cols),
            _ => Err(shape(tensor, "two dimensions, neither of them zero")),
        }
    }

    /// The matrices of this name, one above the other: three dimensions, none of them zero, of a
    /// type that can be computed with, and no more than there may be experts.
    ///
    /// # Errors
    /// Where there is none, or it is another thing.
    pub fn matrices(&self, name: &str) -> Result<Vec<Matrix>, FormatError> {
        const EXPECTED: &str = "three dimensions, none of them zero, the last at most 1024";
        let tensor = self.tensor(name)?;
        let &[cols, rows, count] = tensor.dims.as_slice() else {
            return Err(shape(tensor, EXPECTED));
        };
        if cols == 0 || rows == 0 || wide(count) > limits::EXPERTS.max {
            return Err(shape(tensor, EXPECTED));
        }
        let len = tensor.data.len().checked_div(count).ok_or_else(|| shape(tensor, EXPECTED))?;
        (0..count)
            .map(|i| {
                let from = i.saturating_mul(len);
                let part = tensor.data.slice(from..from.saturating_add(len));
                let part = part.ok_or_else(|| shape(tensor, "as many bytes as its shape asks"))?;
                Matrix::new(tensor.dtype, rows, cols, part)
                    .map_err(|source| FormatError::Matrix { name: tensor.name.clone(), source })
            })
            .collect()
    }

    /// The vector of this name as floats: one dimension, not zero.
    ///
    /// # Errors
    /// Where there is none, or it is another thing.
    pub fn vector(&self, name: &str) -> Result<Vec<f32>, FormatError> {
        let tensor = self.tensor(name)?;
        match tensor.dims.as_slice() {
            &[width] if width > 0 => Ok(over(tensor, 1, width)?.decode()),
            _ => Err(shape(tensor, "one dimension that is not zero")),
        }
    }
}

fn over(tensor: &Tensor, rows: usize, cols: usize) -> Result<Matrix, FormatError> {
    Matrix::new(tensor.dtype, rows, cols, tensor.data.clone())
        .map_err(|source| FormatError::Matrix { name: tensor.name.clone(), source })
}

fn shape(tensor: &Tensor, expected: &str) -> FormatError {
    FormatError::TensorShape {
        name: tensor.name.clone(),
        found: tensor.dims.clone(),
        expected: expected.to_owned(),
    }
}
