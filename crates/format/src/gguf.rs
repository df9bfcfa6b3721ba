//! Reads GGUF, version 2 and 3, little endian. It checks everything and decodes nothing: the
//! tensors of the result are parts of the bytes that went in.
//!
//! The file, as drawn in `docs/formats.md`: header, pairs of key and value, descriptions of
//! tensors, padding, data. [`read_header`] reads up to the padding and needs no data, which is
//! what listing a partial download or estimating memory asks for; [`read`] wants all of it.

use crate::cursor::{Cursor, pad, room, wide};
use crate::error::FormatError;
use crate::limits;
use crate::metadata::{ARRAY_NUMBER, Array, Metadata, Value, ValueType, check_name};
use crate::model_file::{ModelFile, Tensor, TensorLayout};
use crate::order;
use crate::sniff::refuse_pickle;
use crate::texts::{NotText, Texts, TextsBuilder};
use ondine_tensor::{Bytes, DType};

/// The first bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written.
pub const VERSION: u32 = 3;
/// Alignment of the data where the file does not say.
pub const DEFAULT_ALIGNMENT: usize = 32;
/// The key that says it.
pub const ALIGNMENT_KEY: &str = "general.alignment";

// The least that each thing takes in a file: what bounds a count by the bytes to come.
const LENGTH_BYTES: usize = 8;
const PAIR_BYTES: usize = LENGTH_BYTES + 1 + 4 + 1;
const TENSOR_BYTES: usize = LENGTH_BYTES + 1 + 4 + 4 + 8;

/// All of a file but its data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// What the file says about itself.
    pub metadata: Metadata,
    /// Its tensors, in the order of their data.
    pub tensors: Vec<TensorLayout>,
    /// To what the data of each is aligned.
    pub alignment: usize,
    /// Where the data begins. No bytes need to be there.
    pub data_start: usize,
    /// Where the data ends, padding included. No bytes need to be there.
    pub data_end: usize,
    /// Where each tensor's data begins.
    starts: Vec<usize>,
    /// Places in `tensors`, ordered by name.
    sorted: Vec<usize>,
}

impl Header {
    /// The tensors, each with the place of its data in the file.
    pub fn placed(&self) -> impl Iterator<Item = (&TensorLayout, usize)> {
        self.tensors.iter().zip(self.starts.iter().copied())
    }
}

/// Reads a whole file. The tensors share its bytes.
///
/// Bytes behind the data are ignored, as other readers do; the padding behind the last tensor must
/// be there, since a file without it was cut.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong.
pub fn read(bytes: Bytes) -> Result<ModelFile, FormatError> {
    let header = read_header(&bytes)?;
    let count = header.metadata.u64(SPLIT_COUNT)?.unwrap_or(1);
    if count > 1 {
        return Err(FormatError::Split {
            key: SPLIT_COUNT,
            found: count,
            expected: "1: give all parts of the model together".to_owned(),
        });
    }
    with_data(header, &bytes)
}

/// The key that counts the parts of a split model, and those that go with it.
const SPLIT_COUNT: &str = "split.count";
const SPLIT_NUMBER: &str = "split.no";
const SPLIT_TENSORS: &str = "split.tensors.count";

/// Reads a model that is split over several files, given in order. The first holds the metadata.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong, parts that do not fit together included.
pub fn read_parts(parts: &[Bytes]) -> Result<ModelFile, FormatError> {
    let expect = |key, found: u64, expected: u64| {
        if found == expected {
            return Ok(());
        }
        Err(FormatError::Split { key, found, expected: expected.to_string() })
    };
    let given = wide(parts.len());
    if given > limits::PARTS.max {
        let what = "parts".to_owned();
        return Err(FormatError::Limit { what, at: 0, found: given, limit: limits::PARTS });
    }
    let mut model: Option<Metadata> = None;
    let mut tensors = Vec::new();
    let mut announced = 0;
    for (number, bytes) in parts.iter().enumerate() {
        let header = read_header(bytes)?;
        expect(SPLIT_COUNT, header.metadata.u64(SPLIT_COUNT)?.unwrap_or(1), given)?;
        expect(SPLIT_NUMBER, header.metadata.u64(SPLIT_NUMBER)?.unwrap_or(0), wide(number))?;
        let counted = header.metadata.u64(SPLIT_TENSORS)?;
        let part = with_data(header, bytes)?;
        tensors.extend(part.tensors.iter().cloned());
        if model.is_none() {
            announced = counted.unwrap_or(wide(part.tensors.len()));
            model = Some(part.metadata);
        }
    }
    let Some(metadata) = model else {
        return Err(FormatError::Split { key: SPLIT_COUNT, found: 0, expected: "1".to_owned() });
    };
    expect(SPLIT_TENSORS, wide(tensors.len()), announced)?;
    ModelFile::new(metadata, tensors)
}

fn with_data(header: Header, bytes: &Bytes) -> Result<ModelFile, FormatError> {
    let Header { metadata, tensors: layouts, data_end, starts, sorted, .. } = header;
    let starts_at = starts.iter().copied().min().unwrap_or(data_end);
    let mut tensors = room(layouts.len(), || "the tensors".to_owned())?;
    for (layout, start) in layouts.into_iter().zip(starts) {
        let part = start.checked_add(layout.bytes()).and_then(|end| bytes.slice(start..end));
        let Some(data) = part else {
            return Err(FormatError::Truncated {
                what: format!("data of tensor {:?}", layout.name()),
                at: start,
                needed: wide(layout.bytes()),
                left: bytes.len().saturating_sub(start),
            });
        };
        tensors.push(layout.with(data));
    }
    if !tensors.is_empty() && data_end > bytes.len() {
        return Err(FormatError::Truncated {
            what: "padding behind the last tensor".to_owned(),
            at: bytes.len(),
            needed: wide(data_end.saturating_sub(bytes.len())),
            left: 0,
        });
    }
    // Keys and names have been read; of a large vocabulary they are many pages.
    if let Some(read) = bytes.slice(0..data_end.min(starts_at).min(bytes.len())) {
        read.wont_need();
    }
    Ok(ModelFile::from_sound(metadata, tensors, sorted))
}

impl TensorLayout {
    /// The tensor of this layout over data whose length has been checked against it.
    fn with(self, data: Bytes) -> Tensor {
        let (name, dims, dtype) = self.into_parts();
        Tensor { name, dims, dtype, data }
    }
}

/// Reads everything in front of the data.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong. That the data is there is not asked.
pub fn read_header(bytes: &[u8]) -> Result<Header, FormatError> {
    refuse_pickle(bytes)?;
    let mut cursor = Cursor::new(bytes);
    let magic: [u8; 4] = cursor.array(|| "magic".to_owned())?;
    if magic != MAGIC {
        return Err(FormatError::Magic { found: magic });
    }
    let version = cursor.u32(|| "version".to_owned())?;
    check_version(version)?;
    // The tensors' count is checked against the bytes to come when the pairs have been read.
    let at = cursor.at();
    let tensor_count = cursor.count(limits::TENSORS, TENSOR_BYTES, || "tensor count".to_owned())?;
    let pair_count = cursor.count(limits::KEYS, PAIR_BYTES, || "key count".to_owned())?;
    let metadata = read_metadata(&mut cursor, pair_count)?;
    let alignment = alignment(&metadata)?;
    if tensor_count.saturating_mul(TENSOR_BYTES) > cursor.left() {
        return Err(FormatError::Truncated {
            what: format!("{tensor_count} tensors, counted at byte {at},"),
            at: cursor.at(),
            needed: wide(tensor_count.saturating_mul(TENSOR_BYTES)),
            left: cursor.left(),
        });
    }
    let mut tensors: Vec<TensorLayout> = room(tensor_count, || "the tensors".to_owned())?;
    let mut starts = room(tensor_count, || "the tensors".to_owned())?;
    let mut named_at = room(tensor_count, || "the tensors".to_owned())?;
    let mut end = 0usize;
    for number in 0..tensor_count {
        named_at.push(cursor.at());
        let layout = read_tensor(&mut cursor, number, end)?;
        starts.push(end);
        let next = end.checked_add(layout.bytes()).and_then(|end| pad(end, alignment));
        match next {
            Some(next) => end = next,
            None => return Err(too_large(&layout)),
        }
        tensors.push(layout);
    }
    let name = |place: usize| tensors.get(place).map_or("", TensorLayout::name);
    let sorted = order::unique(tensors.len(), name).map_err(|place| FormatError::Duplicate {
        what: "tensor",
        name: name(place).to_owned(),
        at: named_at.get(place).copied().unwrap_or(0),
    })?;
    let (data_start, data_end) = if tensors.is_empty() {
        (cursor.at(), cursor.at())
    } else {
        let start = pad(cursor.at(), alignment);
        let end = start.and_then(|start| start.checked_add(end));
        match (start, end, tensors.last()) {
            (Some(start), Some(end), _) => (start, end),
            (_, _, Some(last)) => return Err(too_large(last)),
            _ => (cursor.at(), cursor.at()),
        }
    };
    if data_start > bytes.len() {
        return Err(FormatError::Truncated {
            what: "padding in front of the data".to_owned(),
            at: cursor.at(),
            needed: wide(data_start.saturating_sub(cursor.at())),
            left: cursor.left(),
        });
    }
    for start in &mut starts {
        // `data_end` is the largest of these sums, and it fits.
        *start = start.saturating_add(data_start);
    }
    Ok(Header { version, metadata, tensors, alignment, data_start, data_end, starts, sorted })
}

fn too_large(layout: &TensorLayout) -> FormatError {
    FormatError::TensorSize {
        name: layout.name().to_owned(),
        dims: layout.dims().iter().copied().map(wide).collect(),
        dtype: layout.dtype(),
    }
}

fn check_version(found: u32) -> Result<(), FormatError> {
    let hint = match found {
        2 | 3 => return Ok(()),
        0 | 1 => "older than any reader: convert the model again",
        _ if found & 0xffff == 0 => "big endian: convert the model to little endian",
        _ => "newer than this program",
    };
    Err(FormatError::Version { found, hint })
}

/// To what the data of tensors is aligned.
pub(crate) fn alignment(metadata: &Metadata) -> Result<usize, FormatError> {
    let found = match metadata.get(ALIGNMENT_KEY) {
        None => return Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(found)) => *found,
        Some(other) => {
            return Err(FormatError::KeyType {
                key: ALIGNMENT_KEY.to_owned(),
                found: other.describe(),
                expected: "u32",
            });
        }
    };
    match usize::try_from(found) {
        Ok(fits) if found.is_power_of_two() && u64::from(found) <= limits::ALIGNMENT.max => {
            Ok(fits)
        }
        _ => Err(FormatError::Alignment { found }),
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, count: usize) -> Result<Metadata, FormatError> {
    let mut pairs = room(count, || "the metadata".to_owned())?;
    let mut keys_at = room(count, || "the metadata".to_owned())?;
    for number in 0..count {
        let at = cursor.at();
        let key = cursor.string(limits::KEY_BYTES, || format!("key {number}"))?;
        check_name("key", at, key, limits::KEY_BYTES)?;
        let value = read_value(cursor, key)?;
        pairs.push((key.to_owned(), value));
        keys_at.push(at);
    }
    Metadata::from_pairs(pairs, |place| keys_at.get(place).copied().unwrap_or(0))
}

fn read_value(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, FormatError> {
    let at = cursor.at();
    let number = cursor.u32(|| format!("type of key {key:?}"))?;
    if number == ARRAY_NUMBER {
        return Ok(Value::Array(read_array(cursor, key)?));
    }
    let Some(kind) = ValueType::from_number(number) else {
        return Err(FormatError::ValueType {
            key: key.to_owned(),
            at,
            found: number,
            expected: "a type from 0 to 12",
        });
    };
    let what = || format!("value of key {key:?}");
    Ok(match kind {
        ValueType::U8 => Value::U8(u8::from_le_bytes(cursor.array(what)?)),
        ValueType::I8 => Value::I8(i8::from_le_bytes(cursor.array(what)?)),
        ValueType::U16 => Value::U16(u16::from_le_bytes(cursor.array(what)?)),
        ValueType::I16 => Value::I16(i16::from_le_bytes(cursor.array(what)?)),
        ValueType::U32 => Value::U32(u32::from_le_bytes(cursor.array(what)?)),
        ValueType::I32 => Value::I32(i32::from_le_bytes(cursor.array(what)?)),
        ValueType::F32 => Value::F32(f32::from_le_bytes(cursor.array(what)?)),
        ValueType::U64 => Value::U64(u64::from_le_bytes(cursor.array(what)?)),
        ValueType::I64 => Value::I64(i64::from_le_bytes(cursor.array(what)?)),
        ValueType::F64 => Value::F64(f64::from_le_bytes(cursor.array(what)?)),
        ValueType::Bool => {
            let at = cursor.at();
            let [byte] = cursor.array(what)?;
            Value::Bool(truth(key, at, byte)?)
        }
        ValueType::String => Value::String(cursor.string(limits::STRING_BYTES, what)?.to_owned()),
    })
}

fn truth(key: &str, at: usize, byte: u8) -> Result<bool, FormatError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(FormatError::Bool { key: key.to_owned(), at, found }),
    }
}

fn read_array(cursor: &mut Cursor<'_>, key: &str) -> Result<Array, FormatError> {
    let at = cursor.at();
    let number = cursor.u32(|| format!("element type of key {key:?}"))?;
    let Some(kind) = ValueType::from_number(number) else {
        let expected = "an element type from 0 to 12 that is no array";
        return Err(FormatError::ValueType { key: key.to_owned(), at, found: number, expected });
    };
    Ok(match kind {
        ValueType::U8 => Array::U8(elements(cursor, key, u8::from_le_bytes)?),
        ValueType::I8 => Array::I8(elements(cursor, key, i8::from_le_bytes)?),
        ValueType::U16 => Array::U16(elements(cursor, key, u16::from_le_bytes)?),
        ValueType::I16 => Array::I16(elements(cursor, key, i16::from_le_bytes)?),
        ValueType::U32 => Array::U32(elements(cursor, key, u32::from_le_bytes)?),
        ValueType::I32 => Array::I32(elements(cursor, key, i32::from_le_bytes)?),
        ValueType::F32 => Array::F32(elements(cursor, key, f32::from_le_bytes)?),
        ValueType::U64 => Array::U64(elements(cursor, key, u64::from_le_bytes)?),
        ValueType::I64 => Array::I64(elements(cursor, key, i64::from_le_bytes)?),
        ValueType::F64 => Array::F64(elements(cursor, key, f64::from_le_bytes)?),
        ValueType::Bool => {
            let bytes = elements(cursor, key, |[byte]: [u8; 1]| byte)?;
            let start = cursor.at().saturating_sub(bytes.len());
            let truths = bytes
                .iter()
                .enumerate()
                .map(|(place, byte)| truth(key, start.saturating_add(place), *byte));
            Array::Bool(truths.collect::<Result<_, _>>()?)
        }
        ValueType::String => Array::String(strings(cursor, key)?),
    })
}

/// Texts, each with its length before it. That they are texts is asked of all of them at once,
/// which takes half the time that it takes one by one.
fn strings(cursor: &mut Cursor<'_>, key: &str) -> Result<Texts, FormatError> {
    let what = || format!("array of key {key:?}");
    let count = cursor.count(limits::ARRAY_ELEMENTS, LENGTH_BYTES, what)?;
    let memory = |bytes| FormatError::Memory { what: what(), bytes };
    let room = TextsBuilder::with_room(count);
    let mut out = room.ok_or_else(|| memory(count.saturating_mul(size_of::<usize>())))?;
    let start = cursor.at();
    let element = |place: usize| format!("element {place} of key {key:?}");
    let mut read = || {
        for place in 0..count {
            let length = cursor.count(limits::STRING_BYTES, 1, || element(place))?;
            let bytes = cursor.take(length, || element(place))?;
            if !out.push(bytes) {
                return Err(memory(length));
            }
        }
        Ok(())
    };
    let read = read();
    // Of two faults the one that stands first in the file is told.
    let texts = out.finish().map_err(|NotText { place, at }| {
        let lengths = place.saturating_add(1).saturating_mul(LENGTH_BYTES);
        let at = start.saturating_add(lengths).saturating_add(at);
        FormatError::Utf8 { what: element(place), at }
    })?;
    read.map(|()| texts)
}

/// Elements of a fixed width.
fn elements<const N: usize, T>(
    cursor: &mut Cursor<'_>,
    key: &str,
    decode: fn([u8; N]) -> T,
) -> Result<Vec<T>, FormatError> {
    let what = || format!("array of key {key:?}");
    let count = cursor.count(limits::ARRAY_ELEMENTS, N, what)?;
    let mut out = room(count, what)?;
    let (chunks, _) = cursor.take(count.saturating_mul(N), what)?.as_chunks::<N>();
    out.extend(chunks.iter().map(|chunk| decode(*chunk)));
    Ok(out)
}

fn read_tensor(
    cursor: &mut Cursor<'_>,
    number: usize,
    expected: usize,
) -> Result<TensorLayout, FormatError> {
    let at = cursor.at();
    let name = cursor.string(limits::NAME_BYTES, || format!("name of tensor {number}"))?;
    check_name("tensor name", at, name, limits::NAME_BYTES)?;
    let what = || format!("dimensions of tensor {name:?}");
    let at = cursor.at();
    let count = cursor.u32(what)?;
    if u64::from(count) > limits::DIMS.max {
        let found = u64::from(count);
        return Err(FormatError::Limit { what: what(), at, found, limit: limits::DIMS });
    }
    let mut wide_dims = [0u64; 4];
    let mut used = 0usize;
    for (slot, _) in wide_dims.iter_mut().zip(0..count) {
        *slot = cursor.u64(what)?;
        used = used.saturating_add(1);
    }
    let wide_dims = wide_dims.get(..used).unwrap_or_default();
    let at = cursor.at();
    let type_number = cursor.u32(|| format!("type of tensor {name:?}"))?;
    let Some(dtype) = DType::from_ggml(type_number) else {
        return Err(FormatError::TensorType { name: name.to_owned(), at, found: type_number });
    };
    let dims: Result<Vec<usize>, _> = wide_dims.iter().map(|dim| usize::try_from(*dim)).collect();
    let Ok(dims) = dims else {
        let (name, dims) = (name.to_owned(), wide_dims.to_vec());
        return Err(FormatError::TensorSize { name, dims, dtype });
    };
    let layout = TensorLayout::new(name, dims, dtype)?;
    let at = cursor.at();
    let found = cursor.u64(|| format!("offset of tensor {name:?}"))?;
    if found != wide(expected) {
        return Err(FormatError::Offset {
            name: name.to_owned(),
            at,
            found,
            expected: wide(expected),
        });
    }
    Ok(layout)
}
