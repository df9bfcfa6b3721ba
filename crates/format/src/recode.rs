//! Tensors in another type: which ones change, and their bytes. Knows no model: a matrix is
//! converted, everything else stays floats of 32 bits.

use crate::error::FormatError;
use crate::model_file::{Tensor, TensorLayout};
use ondine_tensor::{DType, MatrixError, quant};
use std::borrow::Cow;

/// The types that tensors can be written in.
pub const TYPES: &[DType] = &[DType::F32, DType::F16, DType::Bf16, DType::Q8_0, DType::Q4_0];

/// Matrices that are added and not multiplied with: they are small, and other readers of GGUF want
/// them in 32 bits.
const TABLES: &[&str] = &["position_embd.weight", "token_types.weight"];

/// The largest number that a half holds; quantised blocks have a half for their scale.
const HALF_MAX: f32 = 65_504.0;

/// A tensor's description after conversion to `wanted`, or as it is where that is `None`.
///
/// Vectors and tables become F32 in any case. A matrix whose rows are not whole blocks of the
/// wanted type keeps its own.
///
/// # Errors
/// As [`TensorLayout::new`].
pub fn layout(tensor: &Tensor, wanted: Option<DType>) -> Result<TensorLayout, FormatError> {
    let (name, dims) = (tensor.name.clone(), tensor.dims.clone());
    let width = dims.first().copied().unwrap_or(1);
    let dtype = match wanted {
        _ if dims.len() < 2 || TABLES.contains(&name.as_str()) => DType::F32,
        Some(wanted) if wanted.row_bytes(width).is_some() => wanted,
        _ => tensor.dtype,
    };
    TensorLayout::new(name, dims, dtype)
}

/// A tensor's bytes in the type of `layout`, which is this tensor's.
///
/// # Errors
/// A type that is not decoded or not written here, a number too large for the new type, or no
/// memory for the tensor as floats.
pub fn data<'a>(tensor: &'a Tensor, layout: &TensorLayout) -> Result<Cow<'a, [u8]>, FormatError> {
    let to = layout.dtype();
    if tensor.dtype == to || tensor.data.is_empty() {
        return Ok(Cow::Borrowed(&tensor.data));
    }
    let unsupported = |dtype| FormatError::Matrix {
        name: tensor.name.clone(),
        source: MatrixError::Unsupported(dtype),
    };
    if !tensor.dtype.computes() {
        return Err(unsupported(tensor.dtype));
    }
    let count = tensor.elements();
    let mut floats: Vec<f32> = Vec::new();
    let bytes = count.saturating_mul(size_of::<f32>());
    let what = || format!("tensor {:?} as floats", tensor.name);
    floats.try_reserve_exact(count).map_err(|_| FormatError::Memory { what: what(), bytes })?;
    floats.resize(count, 0.0);
    quant::decode(tensor.dtype, &tensor.data, &mut floats);
    if matches!(to, DType::F16 | DType::Q8_0 | DType::Q4_0)
        && let Some(&found) = floats.iter().find(|x| !x.is_finite() || x.abs() > HALF_MAX)
    {
        return Err(FormatError::Range { name: tensor.name.clone(), found, dtype: to });
    }
    let width = tensor.dims.first().copied().unwrap_or(1);
    match quant::quantize(to, &floats, width) {
        Some(data) => Ok(Cow::Owned(data)),
        None => Err(unsupported(to)),
    }
}
