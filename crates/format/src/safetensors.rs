//! Reads safetensors: a length, a header of JSON, data. It checks everything and decodes nothing.
//!
//! Names are kept as they are; giving them GGUF's is the work of [`hf`](crate::hf). The data of
//! all tensors must cover the rest of the file, without hole or overlap. A tensor of no weights
//! takes no bytes and may lie wherever another begins or ends.

use crate::cursor::wide;
use crate::error::{FormatError, SafetensorsError};
use crate::json;
use crate::limits;
use crate::order;
use crate::sniff::refuse_pickle;
use ondine_tensor::{Bytes, DType};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A data type of safetensors.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SafeType {
    /// Its name in the header.
    pub name: &'static str,
    /// Bytes of one weight.
    pub bytes: usize,
    /// What it is in the house, where it is converted.
    pub dtype: Option<DType>,
}

const fn row(name: &'static str, bytes: usize, dtype: Option<DType>) -> SafeType {
    SafeType { name, bytes, dtype }
}

/// Every type whose size is known. A file may hold tensors of any of them, as checkpoints carry
/// masks and counters along; those that a model needs must be of the first three.
pub const TYPES: &[SafeType] = &[
    row("F32", 4, Some(DType::F32)),
    row("F16", 2, Some(DType::F16)),
    row("BF16", 2, Some(DType::Bf16)),
    row("BOOL", 1, None),
    row("U8", 1, None),
    row("I8", 1, None),
    row("F8_E5M2", 1, None),
    row("F8_E4M3", 1, None),
    row("F8_E8M0", 1, None),
    row("I16", 2, None),
    row("U16", 2, None),
    row("I32", 4, None),
    row("U32", 4, None),
    row("F64", 8, None),
    row("I64", 8, None),
    row("U64", 8, None),
];

/// A tensor of the file: its data is exactly what its shape asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How its weights are stored.
    pub kind: &'static SafeType,
    /// Its shape, the slowest dimension first.
    pub shape: Vec<usize>,
    /// Its data, a part of the file.
    pub data: Bytes,
}

/// Dimensions that a shape may have: more than any model needs, few enough to keep in place.
const DIMS_MAX: usize = 8;

/// The key of a header that is no tensor.
const NOT_A_TENSOR: &str = "__metadata__";

/// Reads a file. The tensors share its bytes and come in the order of the header.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong.
pub fn read(bytes: &Bytes) -> Result<Vec<Entry>, FormatError> {
    refuse_pickle(bytes)?;
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(SafetensorsError::TooShort { found: bytes.len() }.into());
    };
    let found = u64::from_le_bytes(*length);
    if found > limits::SAFETENSORS_HEADER_BYTES.max {
        let limit = limits::SAFETENSORS_HEADER_BYTES;
        return Err(FormatError::Limit { what: "header length".into(), at: 0, found, limit });
    }
    let split = usize::try_from(found).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = split else {
        return Err(SafetensorsError::HeaderLength { found, left: rest.len() }.into());
    };
    if header.first() != Some(&b'{') {
        return Err(SafetensorsError::HeaderStart { found: header.first().copied() }.into());
    }
    let header = std::str::from_utf8(header).map_err(|error| SafetensorsError::HeaderUtf8 {
        at: error.valid_up_to().saturating_add(8),
    })?;
    let Header(raw) = json::parse("safetensors header", header, limits::SAFETENSORS_HEADER_BYTES)?;
    let count = wide(raw.len());
    if count > limits::TENSORS.max {
        let limit = limits::TENSORS;
        return Err(FormatError::Limit { what: "header".into(), at: 8, found: count, limit });
    }
    let name = |place: usize| raw.get(place).map_or("", |(name, _)| name.as_str());
    order::unique(raw.len(), name)
        .map_err(|place| SafetensorsError::Duplicate { name: name(place).to_owned() })?;

    let data_start = bytes.len().saturating_sub(data.len());
    let mut spans = Vec::with_capacity(raw.len());
    let mut entries = Vec::with_capacity(raw.len());
    for (name, raw) in raw.into_iter().filter(|(name, _)| name != NOT_A_TENSOR) {
        let (kind, shape, begin, end) = check(&name, raw, data.len())?;
        spans.push((begin, end, entries.len()));
        // `check` has found both in the data, which lies in the file.
        let range = data_start.saturating_add(begin)..data_start.saturating_add(end);
        let part = bytes.slice(range).ok_or(SafetensorsError::Trailing { end, len: data.len() })?;
        entries.push(Entry { name, kind, shape, data: part });
    }
    check_cover(&mut spans, &entries, data.len())?;
    Ok(entries)
}

/// One tensor by itself: its type, its shape and its place in the data.
fn check(
    name: &str,
    raw: RawEntry,
    len: usize,
) -> Result<(&'static SafeType, Vec<usize>, usize, usize), SafetensorsError> {
    let name = || name.to_owned();
    let Some(kind) = TYPES.iter().find(|kind| kind.name == raw.dtype) else {
        return Err(SafetensorsError::UnknownType { name: name(), found: raw.dtype });
    };
    let [begin, end] = raw.data_offsets;
    let (begin, end) = match (usize::try_from(begin), usize::try_from(end)) {
        (Ok(begin), Ok(end)) if begin <= end && end <= len => (begin, end),
        _ => {
            let cut = |offset: i128| match i64::try_from(offset) {
                Ok(fits) => fits,
                Err(_) if offset < 0 => i64::MIN,
                Err(_) => i64::MAX,
            };
            let found = [cut(begin), cut(end)];
            return Err(SafetensorsError::Offsets { name: name(), found, len });
        }
    };
    let shape: Option<Vec<usize>> =
        raw.shape.0.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let size = shape
        .as_ref()
        .and_then(|shape| shape.iter().try_fold(kind.bytes, |size, dim| size.checked_mul(*dim)));
    let (Some(shape), Some(expected)) = (shape, size) else {
        return Err(SafetensorsError::ShapeSize { name: name(), shape: raw.shape.0 });
    };
    let found = end.saturating_sub(begin);
    if found != expected {
        let shape = raw.shape.0;
        return Err(SafetensorsError::ShapeMismatch { name: name(), shape, expected, found });
    }
    Ok((kind, shape, begin, end))
}

/// All tensors together: in the order of their data, each begins where the one before it ends.
fn check_cover(
    spans: &mut [(usize, usize, usize)],
    entries: &[Entry],
    len: usize,
) -> Result<(), SafetensorsError> {
    spans.sort_unstable();
    let mut covered = 0usize;
    for &(begin, end, place) in spans.iter() {
        let name = || entries.get(place).map(|entry| entry.name.clone()).unwrap_or_default();
        if begin < covered {
            return Err(SafetensorsError::Overlap { name: name(), found: begin, end: covered });
        }
        if begin > covered {
            return Err(SafetensorsError::Hole { name: name(), start: covered, end: begin });
        }
        covered = end;
    }
    if covered != len {
        return Err(SafetensorsError::Trailing { end: covered, len });
    }
    Ok(())
}

/// The header as written: pairs in their order, so that a name that is there twice is seen twice.
struct Header(Vec<(String, RawEntry)>);

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Shape,
    /// Wide enough to see a negative number as what it is.
    data_offsets: [i128; 2],
}

/// A shape that stops being read when it is too long.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Header, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let entry = if name == NOT_A_TENSOR {
                        map.next_value::<IgnoredAny>()?;
                        RawEntry {
                            dtype: String::new(),
                            shape: Shape(vec![]),
                            data_offsets: [0; 2],
                        }
                    } else {
                        map.next_value::<RawEntry>()?
                    };
                    pairs.push((name, entry));
                }
                Ok(Header(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Shape, D::Error> {
        struct Dims;
        impl<'de> Visitor<'de> for Dims {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {DIMS_MAX} whole numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut dims = Vec::new();
                while let Some(dim) = seq.next_element::<u64>()? {
                    if dims.len() == DIMS_MAX {
                        return Err(A::Error::invalid_length(DIMS_MAX.saturating_add(1), &self));
                    }
                    dims.push(dim);
                }
                Ok(Shape(dims))
            }
        }
        from.deserialize_seq(Dims)
    }
}
