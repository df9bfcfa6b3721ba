//! Writes GGUF version 3: the same metadata and tensors always give the same bytes.
//!
//! [`GgufWriter`] streams: the descriptions go out first, then each tensor's data as it is ready,
//! so that converting a model needs memory for one tensor at a time. Everything is checked before
//! the first byte is written. What it writes, [`gguf::read`](crate::gguf::read) reads back.

use crate::cursor::{pad, wide};
use crate::error::{FormatError, WriteError};
use crate::gguf::{MAGIC, VERSION, alignment};
use crate::limits::{self, Limit};
use crate::metadata::{ARRAY_NUMBER, Array, Metadata, Value};
use crate::model_file::{ModelFile, Tensor, TensorLayout};
use crate::order;
use std::io::Write;

/// A GGUF file on its way out, tensor by tensor.
#[derive(Debug)]
pub struct GgufWriter<W> {
    out: W,
    tensors: Vec<TensorLayout>,
    /// How many tensors have been written.
    written: usize,
    alignment: usize,
}

impl<W: Write> GgufWriter<W> {
    /// Checks metadata and tensors and writes everything in front of the data.
    ///
    /// # Errors
    /// Where they break a limit, a name is there twice or `general.alignment` is not usable, and
    /// nothing has been written then; or where the output fails.
    pub fn new(
        mut out: W,
        metadata: &Metadata,
        tensors: Vec<TensorLayout>,
    ) -> Result<GgufWriter<W>, WriteError> {
        let alignment = alignment(metadata)?;
        let header = encode_header(metadata, &tensors, alignment)?;
        out.write_all(&header)?;
        Ok(GgufWriter { out, tensors, written: 0, alignment })
    }

    /// Writes the data of the next tensor, in the order in which they were announced.
    ///
    /// # Errors
    /// Where its length is not that of its layout, all tensors are written already, or the output
    /// fails.
    pub fn tensor(&mut self, data: &[u8]) -> Result<(), WriteError> {
        let place = self.written.saturating_add(1);
        let Some(layout) = self.tensors.get(self.written) else {
            return Err(WriteError::TooMany { found: place, expected: self.tensors.len() });
        };
        if data.len() != layout.bytes() {
            return Err(WriteError::Format(FormatError::DataLength {
                name: layout.name().to_owned(),
                found: data.len(),
                expected: layout.bytes(),
            }));
        }
        self.out.write_all(data)?;
        let padding = pad(data.len(), self.alignment).map_or(0, |end| end.abs_diff(data.len()));
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), wide(padding)), &mut self.out)?;
        self.written = place;
        Ok(())
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// Where tensors are missing or the output fails.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.written < self.tensors.len() {
            return Err(WriteError::TooFew { found: self.written, expected: self.tensors.len() });
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a whole file from tensors in memory.
///
/// # Errors
/// As [`GgufWriter`].
pub fn write(
    out: &mut impl Write,
    metadata: &Metadata,
    tensors: &[Tensor],
) -> Result<(), WriteError> {
    let layouts = tensors.iter().map(Tensor::layout).collect::<Result<_, _>>()?;
    for tensor in tensors {
        let expected = tensor.layout()?.bytes();
        if tensor.data.len() != expected {
            let (name, found) = (tensor.name.clone(), tensor.data.len());
            return Err(FormatError::DataLength { name, found, expected }.into());
        }
    }
    let mut writer = GgufWriter::new(out, metadata, layouts)?;
    for tensor in tensors {
        writer.tensor(&tensor.data)?;
    }
    writer.finish()?;
    Ok(())
}

/// Writes a file that has been read. Since a [`ModelFile`] cannot hold an offset or a length that
/// its bytes do not justify, every byte that goes out is written here or comes from the file's
/// own tensors.
///
/// # Errors
/// As [`GgufWriter`].
pub fn rewrite(file: &ModelFile, out: &mut impl Write) -> Result<(), WriteError> {
    write(out, &file.metadata, &file.tensors)
}

fn encode_header(
    metadata: &Metadata,
    tensors: &[TensorLayout],
    alignment: usize,
) -> Result<Vec<u8>, FormatError> {
    let name = |place: usize| tensors.get(place).map_or("", TensorLayout::name);
    order::unique(tensors.len(), name).map_err(|place| FormatError::Duplicate {
        what: "tensor",
        name: name(place).to_owned(),
        at: 0,
    })?;
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    count(&mut out, tensors.len(), limits::TENSORS, || "tensor count".to_owned())?;
    count(&mut out, metadata.len(), limits::KEYS, || "key count".to_owned())?;
    for (key, value) in metadata.iter() {
        text(&mut out, key, limits::KEY_BYTES, || "key".to_owned())?;
        encode_value(&mut out, key, value)?;
    }
    let mut end = 0usize;
    for layout in tensors {
        text(&mut out, layout.name(), limits::NAME_BYTES, || "tensor name".to_owned())?;
        let dims = layout.dims();
        out.extend(u32::try_from(dims.len()).unwrap_or(u32::MAX).to_le_bytes());
        for dim in dims {
            out.extend(wide(*dim).to_le_bytes());
        }
        out.extend(layout.dtype().ggml().to_le_bytes());
        out.extend(wide(end).to_le_bytes());
        let next = end.checked_add(layout.bytes()).and_then(|end| pad(end, alignment));
        end = next.ok_or_else(|| FormatError::TensorSize {
            name: layout.name().to_owned(),
            dims: dims.iter().copied().map(wide).collect(),
            dtype: layout.dtype(),
        })?;
    }
    // A file without tensors has no data to align.
    if !tensors.is_empty() {
        let padded = pad(out.len(), alignment).unwrap_or(out.len());
        out.resize(padded, 0);
    }
    Ok(out)
}

fn count(
    out: &mut Vec<u8>,
    count: usize,
    limit: Limit,
    what: impl FnOnce() -> String,
) -> Result<(), FormatError> {
    let found = wide(count);
    if found > limit.max {
        return Err(FormatError::Limit { what: what(), at: out.len(), found, limit });
    }
    out.extend(found.to_le_bytes());
    Ok(())
}

fn text(
    out: &mut Vec<u8>,
    text: &str,
    limit: Limit,
    what: impl FnOnce() -> String,
) -> Result<(), FormatError> {
    count(out, text.len(), limit, what)?;
    out.extend(text.as_bytes());
    Ok(())
}

fn encode_value(out: &mut Vec<u8>, key: &str, value: &Value) -> Result<(), FormatError> {
    let number = value.scalar_type().map_or(ARRAY_NUMBER, |kind| kind.number());
    out.extend(number.to_le_bytes());
    match value {
        Value::U8(v) => out.extend(v.to_le_bytes()),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::String(v) => {
            text(out, v, limits::STRING_BYTES, || format!("value of key {key:?}"))?;
        }
        Value::Array(array) => encode_array(out, key, array)?,
    }
    Ok(())
}

fn encode_array(out: &mut Vec<u8>, key: &str, array: &Array) -> Result<(), FormatError> {
    let what = || format!("array of key {key:?}");
    out.extend(array.element_type().number().to_le_bytes());
    count(out, array.len(), limits::ARRAY_ELEMENTS, what)?;
    match array {
        Array::U8(all) => out.extend(all),
        Array::I8(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U16(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I16(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U32(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I32(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F32(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U64(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I64(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F64(all) => all.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::Bool(all) => out.extend(all.iter().map(|v| u8::from(*v))),
        Array::String(all) => {
            for element in all.iter() {
                text(out, element, limits::STRING_BYTES, what)?;
            }
        }
    }
    Ok(())
}
