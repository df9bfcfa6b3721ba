//! The slow, obvious reader, as judge of the other one.
//!
//! It counts in 128 bits, so that nothing wraps, and looks at one byte after the other; it has the
//! rules of `docs/formats.md` and nothing else in common with the reader that it judges. Both must
//! accept the same files and find the same in them: real ones, the table, and mutations of both.

mod corpus;

use ondine_format::gguf;
use ondine_tensor::{Bytes, DType};
use std::io::Read as _;

#[derive(Debug, PartialEq)]
struct Naive {
    /// Keys with type and value in words.
    keys: Vec<(String, String)>,
    tensors: Vec<NaiveTensor>,
}

#[derive(Debug, PartialEq)]
struct NaiveTensor {
    name: String,
    dims: Vec<u128>,
    kind: u32,
    data: Vec<u8>,
}

struct Tape<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Tape<'_> {
    /// A little-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Option<u128> {
        let mut number = 0u128;
        for place in 0..width {
            number += u128::from(*self.bytes.get(self.at)?) << (8 * place);
            self.at += 1;
        }
        Some(number)
    }

    fn text(&mut self, limit: u128) -> Option<String> {
        let length = self.number(8)?;
        if length > limit || length > (self.bytes.len() - self.at) as u128 {
            return None;
        }
        let text = &self.bytes[self.at..self.at + length as usize];
        self.at += length as usize;
        String::from_utf8(text.to_vec()).ok()
    }

    fn value(&mut self, kind: u128) -> Option<String> {
        Some(match kind {
            0 => format!("u8 {}", self.number(1)?),
            1 => format!("i8 {}", self.number(1)? as u8 as i8),
            2 => format!("u16 {}", self.number(2)?),
            3 => format!("i16 {}", self.number(2)? as u16 as i16),
            4 => format!("u32 {}", self.number(4)?),
            5 => format!("i32 {}", self.number(4)? as u32 as i32),
            6 => format!("f32 {:08x}", self.number(4)?),
            7 => match self.number(1)? {
                0 => "bool false".to_owned(),
                1 => "bool true".to_owned(),
                _ => return None,
            },
            8 => format!("string {}", self.text(16 << 20)?),
            10 => format!("u64 {}", self.number(8)?),
            11 => format!("i64 {}", self.number(8)? as u64 as i64),
            12 => format!("f64 {:016x}", self.number(8)?),
            _ => return None,
        })
    }
}

fn naive(bytes: &[u8]) -> Option<Naive> {
    let mut tape = Tape { bytes, at: 0 };
    if bytes.get(..4)? != b"GGUF" {
        return None;
    }
    tape.at = 4;
    if !matches!(tape.number(4)?, 2 | 3) {
        return None;
    }
    let tensor_count = tape.number(8)?;
    let key_count = tape.number(8)?;
    if tensor_count > 65_536 || key_count > 65_536 {
        return None;
    }
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut align = 32;
    for _ in 0..key_count {
        let key = tape.text(65_536)?;
        if key.is_empty() || key.contains('\0') {
            return None;
        }
        let kind = tape.number(4)?;
        let value = if kind == 9 {
            let element = tape.number(4)?;
            let count = tape.number(8)?;
            if count > 16 << 20 || element > 12 || element == 9 {
                return None;
            }
            let mut elements = Vec::new();
            for _ in 0..count {
                elements.push(tape.value(element)?);
            }
            format!("array of {element}: {elements:?}")
        } else {
            tape.value(kind)?
        };
        if key == "general.alignment" {
            align = value.strip_prefix("u32 ")?.parse::<u128>().unwrap();
            if ![1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].contains(&align) {
                return None;
            }
        }
        if key == "split.count" {
            let (kind, count) = value.split_once(' ').unwrap();
            let whole = matches!(kind, "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64");
            if !whole || !(0..=1).contains(&count.parse::<i128>().unwrap()) {
                return None;
            }
        }
        keys.push((key, value));
    }
    let mut names: Vec<&String> = keys.iter().map(|(key, _)| key).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mut described = Vec::new();
    let mut end = 0u128;
    for _ in 0..tensor_count {
        let name = tape.text(63)?;
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        let dim_count = tape.number(4)?;
        if dim_count > 4 {
            return None;
        }
        let dims: Vec<u128> = (0..dim_count).map(|_| tape.number(8)).collect::<Option<Vec<_>>>()?;
        let kind = tape.number(4)? as u32;
        let dtype = DType::from_ggml(kind)?;
        let offset = tape.number(8)?;
        let mut elements = 1u128;
        for dim in &dims {
            elements *= dim;
            if elements >= 1 << 63 {
                return None;
            }
        }
        let width = dims.first().copied().unwrap_or(1);
        if width % dtype.block() as u128 != 0 || offset != end {
            return None;
        }
        let size = elements / dtype.block() as u128 * dtype.block_bytes() as u128;
        described.push((name, dims, kind, size, offset));
        end = (end + size).div_ceil(align) * align;
    }
    let mut names: Vec<&String> = described.iter().map(|tensor| &tensor.0).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let start = (tape.at as u128).div_ceil(align) * align;
    if tensor_count > 0 && start + end > bytes.len() as u128 {
        return None;
    }
    let tensors = described.into_iter().map(|(name, dims, kind, size, offset)| {
        let from = (start + offset) as usize;
        NaiveTensor { name, dims, kind, data: bytes[from..from + size as usize].to_vec() }
    });
    Some(Naive { tensors: tensors.collect(), keys })
}

/// What the reader under test finds, in the judge's words.
fn fast(bytes: &[u8]) -> Option<Naive> {
    use ondine_format::{Array, Value};
    fn words(value: &Value) -> String {
        fn list<T: Clone + Into<Value>>(elements: &[T]) -> String {
            let all: Vec<String> = elements.iter().map(|v| words(&v.clone().into())).collect();
            format!("{all:?}")
        }
        match value {
            Value::U8(v) => format!("u8 {v}"),
            Value::I8(v) => format!("i8 {v}"),
            Value::U16(v) => format!("u16 {v}"),
            Value::I16(v) => format!("i16 {v}"),
            Value::U32(v) => format!("u32 {v}"),
            Value::I32(v) => format!("i32 {v}"),
            Value::F32(v) => format!("f32 {:08x}", v.to_bits()),
            Value::Bool(v) => format!("bool {v}"),
            Value::String(v) => format!("string {v}"),
            Value::U64(v) => format!("u64 {v}"),
            Value::I64(v) => format!("i64 {v}"),
            Value::F64(v) => format!("f64 {:016x}", v.to_bits()),
            Value::Array(array) => {
                let elements = match array {
                    Array::U8(v) => list(v),
                    Array::I8(v) => list(v),
                    Array::U16(v) => list(v),
                    Array::I16(v) => list(v),
                    Array::U32(v) => list(v),
                    Array::I32(v) => list(v),
                    Array::F32(v) => list(v),
                    Array::Bool(v) => list(v),
                    Array::String(v) => list(&v.iter().map(str::to_owned).collect::<Vec<_>>()),
                    Array::U64(v) => list(v),
                    Array::I64(v) => list(v),
                    Array::F64(v) => list(v),
                };
                format!("array of {}: {elements}", array.element_type().number())
            }
        }
    }
    let file = gguf::read(Bytes::from_vec(bytes.to_vec())).ok()?;
    Some(Naive {
        keys: file.metadata.iter().map(|(key, value)| (key.to_owned(), words(value))).collect(),
        tensors: file
            .tensors
            .iter()
            .map(|tensor| NaiveTensor {
                name: tensor.name.clone(),
                dims: tensor.dims.iter().map(|dim| *dim as u128).collect(),
                kind: tensor.dtype.ggml(),
                data: tensor.data.to_vec(),
            })
            .collect(),
    })
}

fn agree(label: &str, bytes: &[u8]) -> bool {
    let (judge, found) = (naive(bytes), fast(bytes));
    if judge != found {
        let both = format!("judge {judge:?}\nfound {found:?}");
        panic!("{label}: {}", both.chars().take(4_000).collect::<String>());
    }
    judge.is_some()
}

#[test]
fn the_table_is_judged_the_same() {
    for case in corpus::gguf::cases() {
        agree(&case.name, &case.bytes);
    }
}

#[test]
fn real_files_are_judged_the_same() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let story = format!("{data}/stories260k.gguf");
    match std::fs::read(&story) {
        Ok(bytes) => assert!(agree(&story, &bytes)),
        Err(error) => println!("skipped {story}: {error}"),
    }
    let Ok(folder) = std::fs::read_dir(format!("{data}/vocab")) else {
        return println!("skipped {data}/vocab: not there");
    };
    for path in folder.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|ext| ext == "gz") {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(&path).unwrap();
            flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
            assert!(agree(&path.display().to_string(), &bytes), "{path:?} does not read");
            println!("{} bytes, {}", bytes.len(), path.file_name().unwrap().display());
        }
    }
}

/// Small numbers in a row; always the same ones.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn mutations_are_judged_the_same() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let seeds: Vec<Vec<u8>> = corpus::gguf::cases()
        .into_iter()
        .map(|case| case.bytes)
        .filter(|bytes| !bytes.is_empty() && bytes.len() <= corpus::SEED_BYTES)
        .collect();
    let numbers = [0u64, 1, 2, 13, 31, 32, 33, 64, 4096, 65_536, 65_537, 1 << 32, 1 << 62, 1 << 63];
    let (mut read, mut refused) = (0, 0);
    for round in 0..30_000 {
        // Half of them from the one file that has everything in it.
        let seed = if round % 2 == 0 { 0 } else { dice.below(seeds.len()) };
        let mut bytes = match seed {
            0 => corpus::gguf::valid(),
            other => seeds[other].clone(),
        };
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            match dice.below(6) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes[at] = dice.below(256) as u8,
                2 => bytes[at] = [0, 1, 13, 42, 255][dice.below(5)],
                3 => bytes.truncate(at.max(1)),
                4 => bytes.insert(at, dice.below(256) as u8),
                _ => {
                    let number = numbers[dice.below(numbers.len())];
                    let number = number.wrapping_sub(dice.below(2) as u64).to_le_bytes();
                    let end = bytes.len().min(at + [4, 8][dice.below(2)]);
                    let width = end - at;
                    bytes[at..end].copy_from_slice(&number[..width]);
                }
            }
        }
        match agree(&format!("round {round}"), &bytes) {
            true => read += 1,
            false => refused += 1,
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 1_000 && refused > 1_000);
}
