//! A tensor of a checkpoint as GGUF has it: dimensions from the fastest, heads' rows and transposed weights in its order.
//! All others are passed on as they lie.

use ondine_tensor::Bytes;

use super::describe::Heads;
use super::families::Family;
use crate::cursor::room;
use crate::error::{FormatError, SafetensorsError};
use crate::model_file::Tensor;
use crate::safetensors::Entry;

/// Gives a tensor GGUF's name, order and shape.
pub(super) fn tensor(
    family: &Family,
    heads: Heads,
    name: String,
    entry: Entry,
) -> Result<Tensor, FormatError> {
    let Some(dtype) = entry.kind.dtype else {
        let found = entry.kind.name;
        return Err(SafetensorsError::UnsupportedType { name: entry.name, found }.into());
    };
    // What a layer's tensor is called behind its number, such as `attn_q`.
    let part = name.rsplit('.').nth(1).unwrap_or_default();
    let weight = name.ends_with(".weight");
    let rotated = match part {
        "attn_q" if family.interleave => Some(heads.query),
        "attn_k" if family.interleave => Some(heads.key),
        _ => None,
    };
    let mut shape = entry.shape;
    let data = if let Some(heads) = rotated {
        let data = interleave(&entry.data, &shape, heads);
        changed(data, &name, &shape, || format!("rows that {heads} heads divide in halves"))?
    } else if weight && family.transposed.contains(&part) {
        let data = transpose(&entry.data, &shape, entry.kind.bytes);
        let data = changed(data, &name, &shape, || "two dimensions".to_owned())?;
        shape.reverse();
        data
    } else {
        entry.data
    };
    // ggml counts dimensions from the fastest.
    shape.reverse();
    Ok(Tensor { name, dims: shape, dtype, data })
}

fn changed(
    data: Option<Result<Vec<u8>, FormatError>>,
    name: &str,
    shape: &[usize],
    expected: impl FnOnce() -> String,
) -> Result<Bytes, FormatError> {
    match data {
        Some(data) => Ok(Bytes::from_vec(data?)),
        None => Err(FormatError::TensorShape {
            name: name.to_owned(),
            found: shape.to_vec(),
            expected: expected(),
        }),
    }
}

/// Reorders the rows of each head from two halves to neighbours: row `j` of the first half, row
/// `j` of the second, and so on. `None` where the heads do not divide the rows so.
fn interleave(data: &[u8], shape: &[usize], heads: usize) -> Option<Result<Vec<u8>, FormatError>> {
    let rows = *shape.first()?;
    let halves = heads.checked_mul(2)?;
    if rows == 0 || data.is_empty() || !rows.is_multiple_of(halves) {
        return None;
    }
    let row_bytes = data.len().checked_div(rows)?;
    let half_bytes = data.len().checked_div(halves)?;
    let mut out = match room(data.len(), || "reordered rows".to_owned()) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    for head in data.chunks_exact(half_bytes.checked_mul(2)?) {
        let (first, second) = head.split_at_checked(half_bytes)?;
        for (a, b) in first.chunks_exact(row_bytes).zip(second.chunks_exact(row_bytes)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    Some(Ok(out))
}

/// Turns rows into columns. `None` where it is no matrix.
fn transpose(data: &[u8], shape: &[usize], bytes: usize) -> Option<Result<Vec<u8>, FormatError>> {
    let &[_, cols] = shape else { return None };
    if data.is_empty() {
        return None;
    }
    let mut out = match room(data.len(), || "a transposed matrix".to_owned()) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    let row_bytes = cols.checked_mul(bytes)?;
    for col in 0..cols {
        for row in data.chunks_exact(row_bytes) {
            out.extend_from_slice(row.chunks_exact(bytes).nth(col)?);
        }
    }
    Some(Ok(out))
}
