//! One table of files, good and bad: what each is, and what a reader must say of it.
//!
//! The tests walk it, and those of its files that are small are the seeds of the fuzzer. It builds
//! bytes by hand and knows nothing of the writer that it helps to judge.

#![allow(dead_code, unreachable_pub, reason = "each test takes the part of it that it needs")]

pub mod gguf;
pub mod safetensors;

/// Which reader a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A whole GGUF file.
    Gguf,
    /// Everything in front of the data of a GGUF file.
    GgufHeader,
    /// A safetensors file.
    Safetensors,
}

/// A file and its verdict.
pub struct Case {
    /// The case of the catalogue it belongs to.
    pub id: &'static str,
    pub name: String,
    pub reader: Reader,
    pub bytes: Vec<u8>,
    /// The error's variant, and words that its message must hold; `None` where it reads.
    pub fails: Option<(&'static str, &'static str)>,
}

/// The variant of an error: what its debug form begins with, one level into a wrapped one.
pub fn variant(error: &ondine_format::FormatError) -> String {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    match error {
        ondine_format::FormatError::Safetensors(inner) => word(&format!("{inner:?}")),
        other => word(&format!("{other:?}")),
    }
}

/// Runs one case and says what differs from its verdict.
pub fn judge(case: &Case) -> Result<(), String> {
    let bytes = ondine_tensor::Bytes::from_vec(case.bytes.clone());
    let result = match case.reader {
        Reader::Gguf => ondine_format::gguf::read(bytes).map(drop),
        Reader::GgufHeader => ondine_format::gguf::read_header(&bytes).map(drop),
        Reader::Safetensors => ondine_format::safetensors::read(&bytes).map(drop),
    };
    let label = format!("{} {}", case.id, case.name);
    match (result, case.fails) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some((wanted, _))) => Err(format!("{label}: read, expected {wanted}")),
        (Err(error), None) => Err(format!("{label}: {error}")),
        (Err(error), Some((wanted, says))) => {
            let message = error.to_string();
            if variant(&error) != wanted || !message.contains(says) {
                return Err(format!("{label}: {error:?} ({message}), expected {wanted} ({says})"));
            }
            Ok(())
        }
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = gguf::cases();
    cases.extend(safetensors::cases());
    cases
}

/// The largest file that is a seed for the fuzzer.
pub const SEED_BYTES: usize = 4_096;

/// The fuzzer's seeds: folder, name and bytes.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let small = all().into_iter().filter(|case| case.bytes.len() <= SEED_BYTES);
    small
        .map(|case| {
            let folder = match case.reader {
                Reader::Gguf | Reader::GgufHeader => "gguf",
                Reader::Safetensors => "safetensors",
            };
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let words: String = case.name.to_lowercase().chars().map(plain).collect();
            let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
            (folder, format!("{}-{}", case.id.to_lowercase(), words.join("-")), case.bytes)
        })
        .collect()
}
