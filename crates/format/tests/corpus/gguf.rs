//! GGUF files built byte by byte, and the table of them.

use super::{Case, Reader};

pub const U8: u32 = 0;
pub const I8: u32 = 1;
pub const U16: u32 = 2;
pub const I16: u32 = 3;
pub const U32: u32 = 4;
pub const I32: u32 = 5;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const STRING: u32 = 8;
pub const ARRAY: u32 = 9;
pub const U64: u32 = 10;
pub const I64: u32 = 11;
pub const F64: u32 = 12;

/// Numbers of tensor types.
pub mod ggml {
    pub const F32: u32 = 0;
    pub const F16: u32 = 1;
    pub const Q4_0: u32 = 2;
    pub const Q8_0: u32 = 8;
    pub const Q6_K: u32 = 14;
    pub const I8: u32 = 24;
    pub const I64: u32 = 27;
    pub const BF16: u32 = 30;
    /// The number of types there are: the first that is none.
    pub const COUNT: u32 = 42;
}

/// Bytes of a GGUF file, appended piece by piece.
#[derive(Clone, Default)]
pub struct Build(pub Vec<u8>);

impl Build {
    /// A header of version 3.
    pub fn new(tensors: u64, keys: u64) -> Build {
        Build::versioned(3, tensors, keys)
    }

    pub fn versioned(version: u32, tensors: u64, keys: u64) -> Build {
        Build::default().raw(b"GGUF").u32(version).u64(tensors).u64(keys)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Build {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u32(self, number: u32) -> Build {
        self.raw(&number.to_le_bytes())
    }

    pub fn u64(self, number: u64) -> Build {
        self.raw(&number.to_le_bytes())
    }

    pub fn text(self, text: impl AsRef<[u8]>) -> Build {
        let text = text.as_ref();
        self.u64(text.len() as u64).raw(text)
    }

    /// A key with a value of any type, given as its bytes.
    pub fn key(self, key: impl AsRef<[u8]>, kind: u32, value: &[u8]) -> Build {
        self.text(key).u32(kind).raw(value)
    }

    pub fn key_u32(self, key: &str, value: u32) -> Build {
        self.key(key, U32, &value.to_le_bytes())
    }

    pub fn key_text(self, key: &str, value: &str) -> Build {
        self.text(key).u32(STRING).text(value)
    }

    /// A key with an array of anything, given as its bytes.
    pub fn array(self, key: &str, kind: u32, count: u64, elements: &[u8]) -> Build {
        self.text(key).u32(ARRAY).u32(kind).u64(count).raw(elements)
    }

    pub fn tensor(self, name: impl AsRef<[u8]>, dims: &[u64], kind: u32, offset: u64) -> Build {
        let head = self.text(name).u32(dims.len() as u32);
        dims.iter().fold(head, |build, dim| build.u64(*dim)).u32(kind).u64(offset)
    }

    /// Zeros up to a multiple of `to`.
    pub fn pad(mut self, to: usize) -> Build {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    pub fn zeros(mut self, count: usize) -> Build {
        self.0.resize(self.0.len() + count, 0);
        self
    }
}

/// A file with a value of every type and tensors of several, about four thousand bytes.
pub fn valid() -> Vec<u8> {
    let text = |words: &[&str]| words.iter().fold(Build::default(), |b, w| b.text(w)).0;
    let head = Build::new(6, 25)
        .key_text("general.architecture", "llama")
        .key_text("general.name", "a \u{1b}[31mred\u{1b}[0m \u{202e}name")
        .key_u32("llama.block_count", 2)
        .key_u32("llama.embedding_length", 32)
        .key_u32("llama.attention.head_count", 4)
        .key_u32("llama.attention.head_count_kv", 2)
        .key_u32("llama.feed_forward_length", 64)
        .key("llama.context_length", U64, &512u64.to_le_bytes())
        .key("llama.attention.layer_norm_rms_epsilon", F32, &1e-5f32.to_le_bytes())
        .array("tokenizer.ggml.tokens", STRING, 3, &text(&["<unk>", "", "\u{6c34}\u{1f4a7}"]))
        .array("tokenizer.ggml.scores", F32, 3, &[0; 12])
        .array("tokenizer.ggml.token_type", I32, 3, &[2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0])
        .key_u32("tokenizer.ggml.bos_token_id", 1)
        .key("x.u8", U8, &[255])
        .key("x.i8", I8, &[0x80])
        .key("x.u16", U16, &[1, 2])
        .key("x.i16", I16, &[0xff, 0xff])
        .key("x.i32", I32, &[0xfe, 0xff, 0xff, 0xff])
        .key("x.true", BOOL, &[1])
        .key("x.i64", I64, &[0xff; 8])
        .key("x.f64", F64, &(-0.5f64).to_le_bytes())
        .array("x.bools", BOOL, 2, &[0, 1])
        .array("x.empty", U64, 0, &[])
        .array("x.u16s", U16, 2, &[1, 0, 2, 0])
        .key_text("x.text", "")
        .tensor("token_embd.weight", &[32, 3], ggml::F32, 0)
        .tensor("output_norm.weight", &[32], ggml::F16, 384)
        .tensor("blk.0.a", &[32, 3], ggml::Q8_0, 448)
        .tensor("blk.0.b", &[256, 1], ggml::Q6_K, 576)
        .tensor("blk.0.c", &[7, 2, 3], ggml::BF16, 800)
        .tensor("blk.1.a", &[32, 96], ggml::Q4_0, 896);
    let mut bytes = head.pad(32).0;
    // Each tensor's bytes by themselves, zeros up to the next.
    for size in [384, 64, 102, 210, 84, 1728] {
        bytes.extend((0..size).map(|place| (place * 7 % 251) as u8));
        bytes.resize(bytes.len().next_multiple_of(32), 0);
    }
    bytes
}

/// Strings one after another, as an array has them.
fn texts<T: AsRef<[u8]>>(words: impl IntoIterator<Item = T>) -> Vec<u8> {
    words.into_iter().fold(Build::default(), |build, word| build.text(word)).0
}

/// A model with experts: tensors of three dimensions, one matrix above the other.
pub fn experts() -> Vec<u8> {
    Build::new(3, 11)
        .key_text("general.architecture", "qwen3moe")
        .key_u32("qwen3moe.block_count", 1)
        .key_u32("qwen3moe.embedding_length", 32)
        .key_u32("qwen3moe.attention.head_count", 2)
        .key_u32("qwen3moe.feed_forward_length", 32)
        .key_u32("qwen3moe.expert_feed_forward_length", 32)
        .key_u32("qwen3moe.expert_count", 3)
        .key_u32("qwen3moe.expert_used_count", 2)
        .key_u32("qwen3moe.context_length", 8)
        .key_u32("qwen3moe.vocab_size", 2)
        .key("qwen3moe.attention.layer_norm_rms_epsilon", F32, &1e-6f32.to_le_bytes())
        .tensor("token_embd.weight", &[32, 2], ggml::Q8_0, 0)
        .tensor("blk.0.ffn_gate_inp.weight", &[32, 3], ggml::F16, 96)
        .tensor("blk.0.ffn_up_exps.weight", &[32, 2, 3], ggml::Q4_0, 288)
        .pad(32)
        .zeros(288 + 128)
        .0
}

/// A byte-level vocabulary with merges and marks of a gap, and how the gap is asked for.
pub fn merges() -> Vec<u8> {
    let itself = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = '\u{100}'..;
    let letter = |byte: u8| if itself(byte) { char::from(byte) } else { others.next().unwrap() };
    let letters: Vec<String> = (0..=255).map(letter).map(String::from).collect();
    let more = ["he", "ll", "hell", "Ġhe", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
    let tokens = texts(letters.iter().map(String::as_str).chain(more));
    Build::new(0, 10)
        .key_text("tokenizer.ggml.model", "gpt2")
        .key_text("tokenizer.ggml.pre", "gpt-2")
        .array("tokenizer.ggml.tokens", STRING, 263, &tokens)
        .array("tokenizer.ggml.merges", STRING, 4, &texts(["h e", "l l", "he ll", "Ġ he"]))
        .key_u32("tokenizer.ggml.fim_pre_token_id", 260)
        .key_u32("tokenizer.ggml.fim_suf_token_id", 261)
        .key_text("ondine.fim.order", "spm")
        .key_u32("ondine.fim.prefix_tokens", 8)
        .key_u32("ondine.fim.suffix_tokens", 4)
        .key_text("ondine.fim.stop", "\n")
        .0
}

/// A vocabulary of characters whose merges know texts that are no tokens.
pub fn raw_merges() -> Vec<u8> {
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let more = ["▁", "a", "b", "ab", "▁ab", "\n\n"].map(String::from);
    Build::new(0, 3)
        .key_text("tokenizer.ggml.model", "gemma4")
        .array("tokenizer.ggml.tokens", STRING, 262, &texts(bytes.chain(more)))
        .array("tokenizer.ggml.merges", STRING, 4, &texts(["a b", "▁ ab", "  b", "a  "]))
        .0
}

/// An array of these strings.
fn array_of<T: AsRef<[u8]>>(words: &[T]) -> Build {
    Build::default().array("k", STRING, words.len() as u64, &texts(words))
}

/// A header with one pair whose bytes are given.
fn pair(pair: Build) -> Vec<u8> {
    Build::new(0, 1).raw(&pair.0).0
}

/// One tensor of ten kilobytes at most, whose description is given, with data.
fn tensor(dims: &[u64], kind: u32, offset: u64, data: usize) -> Vec<u8> {
    Build::new(1, 0).tensor("w", dims, kind, offset).pad(32).zeros(data).0
}

fn aligned(kind: u32, value: &[u8]) -> Vec<u8> {
    Build::new(1, 1)
        .key("general.alignment", kind, value)
        .tensor("w", &[3], ggml::F32, 0)
        .pad(32)
        .zeros(32)
        .0
}

/// Two tensors, the second at a given offset; the first takes 32 bytes.
fn two(offset: u64, data: usize) -> Vec<u8> {
    Build::new(2, 0)
        .tensor("a", &[8], ggml::F32, 0)
        .tensor("b", &[8], ggml::F32, offset)
        .pad(32)
        .zeros(data)
        .0
}

/// Tensors without their data, as a header reader sees them.
fn header(tensors: &[(&str, &[u64], u32, u64)], align: usize) -> Vec<u8> {
    let build = tensors
        .iter()
        .fold(Build::new(tensors.len() as u64, 0), |build, t| build.tensor(t.0, t.1, t.2, t.3));
    build.pad(align).0
}

/// Case of the catalogue, name, reader, bytes, error, words of its message.
type Fails = (&'static str, &'static str, Reader, Vec<u8>, &'static str, &'static str);

/// Every case. The last two columns are the error's variant and words of its message.
#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    let long_name = "n".repeat(64);
    let key = |length: usize| pair(Build::default().key("k".repeat(length), U8, &[1]));
    let keys = |count: u64| (0..count).fold(Build::new(0, count), |b, i| b.key(format!("{i:x}"), U8, &[0])).0;
    let nested = |levels: usize| pair((0..levels).fold(Build::default().text("k").u32(ARRAY), |b, _| b.u32(ARRAY).u64(1)).u32(U8).u64(0));
    let big = 1u64 << 63;
    let reads: &[(&str, &str, Reader, Vec<u8>)] = &[
        // The kinds of llama.cpp's own test that read.
        ("FF-01", "header empty", Reader::Gguf, Build::new(0, 0).0),
        ("FF-01", "header empty, padded", Reader::Gguf, Build::new(0, 0).pad(32).0),
        ("FF-01", "keys success", Reader::Gguf, pair(Build::default().key_u32("my_key", 7))),
        ("FF-01", "tensors zero dimension", Reader::GgufHeader, header(&[("a", &[4, 0], ggml::F32, 0)], 32)),
        ("FF-01", "tensors success", Reader::GgufHeader, header(&[("a", &[3], ggml::F32, 0), ("b", &[32, 2], ggml::Q8_0, 32)], 32)),
        ("FF-01", "tensors custom alignment", Reader::GgufHeader, Build::new(1, 1).key_u32("general.alignment", 1).tensor("a", &[3], ggml::F32, 0).0),
        ("FF-01", "data success", Reader::Gguf, valid()),
        ("FF-01", "data custom alignment", Reader::Gguf, Build::new(2, 1).key_u32("general.alignment", 1).tensor("a", &[3], ggml::I8, 0).tensor("b", &[1], ggml::F32, 3).zeros(7).0),
        ("FF-01", "version 2", Reader::Gguf, { let mut b = valid(); b[4] = 2; b }),
        ("FF-01", "bytes behind the data", Reader::Gguf, [valid(), vec![9; 5]].concat()),
        ("FF-04", "key at the limit", Reader::Gguf, key(65_536)),
        ("FF-05", "no dimensions, one weight", Reader::Gguf, tensor(&[], ggml::F32, 0, 32)),
        ("FF-05", "four dimensions", Reader::Gguf, tensor(&[2, 1, 2, 1], ggml::F32, 0, 32)),
        ("FF-05", "three dimensions of experts", Reader::Gguf, experts()),
        ("FF-06", "zero rows", Reader::Gguf, tensor(&[4, 0], ggml::F32, 0, 0)),
        ("FF-06", "zero width", Reader::Gguf, tensor(&[0, 4], ggml::Q8_0, 0, 0)),
        ("FF-09", "alignment 1", Reader::Gguf, Build::new(1, 1).key_u32("general.alignment", 1).tensor("w", &[3], ggml::F32, 0).zeros(12).0),
        ("FF-09", "alignment 4096", Reader::Gguf, Build::new(1, 1).key_u32("general.alignment", 4096).tensor("w", &[3], ggml::F32, 0).pad(4096).zeros(4096).0),
        ("FF-13", "terminal escapes in a value", Reader::Gguf, pair(Build::default().key_text("general.name", "\u{1b}[2J\u{202e}"))),
        ("FF-13", "zero byte in a value", Reader::Gguf, pair(Build::default().key_text("x", "a\0b"))),
        ("FF-13", "a vocabulary with merges and marks of a gap", Reader::Gguf, merges()),
        ("FF-13", "a vocabulary of characters with merges", Reader::Gguf, raw_merges()),
        ("FF-13", "name at the limit", Reader::Gguf, Build::new(1, 0).tensor(&long_name[..63], &[8], ggml::F32, 0).pad(32).zeros(32).0),
        ("FF-14", "keys at the limit", Reader::Gguf, keys(65_536)),
    ];
    let fails: &[Fails] = &[
        ("FF-01", "header bad magic", Reader::Gguf, Build::default().raw(b"FUGG").u32(3).u64(0).u64(0).0, "Magic", "expected \"GGUF\""),
        ("FF-01", "header version 0", Reader::Gguf, Build::versioned(0, 0, 0).0, "Version", "0"),
        ("FF-01", "header version 1", Reader::Gguf, Build::versioned(1, 0, 0).0, "Version", "convert the model again"),
        ("FF-01", "header version 4", Reader::Gguf, Build::versioned(4, 0, 0).0, "Version", "newer"),
        ("FF-01", "header bad key count", Reader::Gguf, Build::new(0, u64::MAX).0, "Limit", "key count at byte 16"),
        ("FF-01", "header bad tensor count", Reader::Gguf, Build::new(u64::MAX, 0).0, "Limit", "tensor count at byte 8"),
        ("FF-01", "keys bad key size", Reader::Gguf, pair(Build::default().u64(u64::MAX).raw(b"my_key_01234")), "Limit", "key 0 at byte 24"),
        ("FF-01", "keys empty key", Reader::Gguf, pair(Build::default().key("", U8, &[1, 0])), "Name", "key at byte 24 is empty"),
        ("FF-01", "keys bad type", Reader::Gguf, pair(Build::default().key("my_key", 13, &[1])), "ValueType", "\"my_key\" at byte 38 has value type 13"),
        ("FF-01", "keys duplicate key", Reader::Gguf, Build::new(0, 3).key("k", U8, &[1]).key("j", U8, &[1]).key("k", U8, &[2]).0, "Duplicate", "key \"k\" at byte 52"),
        ("FF-01", "keys bad alignment", Reader::Gguf, pair(Build::default().key_u32("general.alignment", 13)), "Alignment", "13"),
        ("FF-01", "keys alignment of wrong type", Reader::Gguf, pair(Build::default().key("general.alignment", I32, &32i32.to_le_bytes())), "KeyType", "i32, expected u32"),
        ("FF-01", "tensors bad name size", Reader::GgufHeader, header(&[(&long_name, &[8], ggml::F32, 0)], 32), "Limit", "name of tensor 0 at byte 24: 64"),
        ("FF-01", "tensors bad dimension count", Reader::GgufHeader, header(&[("a", &[1; 5], ggml::F32, 0)], 32), "Limit", "tensor \"a\""),
        ("FF-01", "tensors bad shape", Reader::GgufHeader, header(&[("a", &[u64::MAX], ggml::F32, 0)], 32), "TensorSize", "tensor \"a\""),
        ("FF-01", "tensors too many weights", Reader::GgufHeader, header(&[("a", &[4 * 0x7fff_ffff, 4 * 0x7fff_ffff], ggml::F32, 0)], 32), "TensorSize", "tensor \"a\""),
        ("FF-01", "tensors too many bytes", Reader::GgufHeader, header(&[("a", &[1_533_900_000, 1_533_900_000], ggml::I64, 0)], 32), "TensorSize", "tensor \"a\""),
        ("FF-01", "tensors bad type", Reader::GgufHeader, header(&[("a", &[8], ggml::COUNT, 0)], 32), "TensorType", "tensor \"a\" at byte 45 has type 42"),
        ("FF-01", "tensors bad offset", Reader::GgufHeader, header(&[("a", &[8], ggml::F32, u64::MAX)], 32), "Offset", "expected 0"),
        ("FF-01", "tensors duplicate name", Reader::GgufHeader, header(&[("a", &[8], ggml::F32, 0), ("a", &[8], ggml::F32, 32)], 32), "Duplicate", "tensor \"a\" at byte 57"),
        ("FF-01", "tensors bad alignment", Reader::GgufHeader, aligned(U32, &13u32.to_le_bytes()), "Alignment", "13"),
        ("FF-01", "tensors inconsistent alignment", Reader::GgufHeader, header(&[("a", &[3], ggml::F32, 0), ("b", &[3], ggml::F32, 12)], 1), "Offset", "offset 12, expected 32"),
        ("FF-01", "data not enough", Reader::Gguf, { let mut b = valid(); b.pop(); b }, "Truncated", "tensor"),
        ("FF-01", "data bad alignment", Reader::Gguf, aligned(U32, &13u32.to_le_bytes()), "Alignment", "13"),
        ("FF-01", "data inconsistent alignment", Reader::Gguf, two(8, 64), "Offset", "offset 8, expected 32"),
        ("FF-01", "data memory size overflow", Reader::Gguf, Build::new(2, 0).tensor("a", &[0x7fff_ffff_ffff_ffc0], ggml::I8, 0).tensor("b", &[0x7fff_ffff_ffff_ffc0], ggml::I8, 0x7fff_ffff_ffff_ffc0).pad(32).zeros(32).0, "Truncated", "data of tensor \"a\""),

        ("FF-02", "no bytes", Reader::Gguf, vec![], "Truncated", "magic at byte 0"),
        ("FF-02", "only the magic", Reader::Gguf, b"GGUF".to_vec(), "Truncated", "version at byte 4"),
        ("FF-02", "half of the file", Reader::Gguf, { let mut b = valid(); b.truncate(b.len() / 2); b }, "Truncated", ""),
        ("FF-02", "without the last padding", Reader::Gguf, tensor(&[3], ggml::F32, 0, 12), "Truncated", "padding behind the last tensor"),
        ("FF-02", "without the padding in front of the data", Reader::Gguf, Build::new(1, 0).tensor("w", &[0], ggml::F32, 0).0, "Truncated", "padding in front of the data"),

        ("FF-03", "tensor count 2^63", Reader::Gguf, Build::new(big, 0).0, "Limit", "tensor count"),
        ("FF-03", "tensor count above the limit", Reader::Gguf, Build::new(65_537, 0).0, "Limit", "65537"),
        ("FF-03", "tensor count at the limit", Reader::Gguf, Build::new(65_536, 0).0, "Truncated", "tensor count"),
        ("FF-03", "tensor count more than the file holds", Reader::Gguf, Build::new(5, 0).zeros(99).0, "Truncated", "tensor count"),
        ("FF-03", "tensor count that the keys leave no room for", Reader::Gguf, Build::new(2, 1).key_text("k", &"x".repeat(60)).tensor("w", &[], ggml::F32, 0).0, "Truncated", "2 tensors, counted at byte 8"),
        ("FF-03", "tensor count times size wraps", Reader::Gguf, Build::new(u64::MAX / 16 + 1, 0).0, "Limit", "tensor count"),
        ("FF-03", "key count 2^63", Reader::Gguf, Build::new(0, big).0, "Limit", "key count"),
        ("FF-03", "key count above the limit", Reader::Gguf, Build::new(0, 65_537).0, "Limit", "65537"),
        ("FF-03", "key count at the limit", Reader::Gguf, Build::new(0, 65_536).0, "Truncated", "key count"),

        ("FF-04", "key length 2^63", Reader::Gguf, pair(Build::default().u64(big).zeros(8)), "Limit", "key 0"),
        ("FF-04", "key length above the limit", Reader::Gguf, key(65_537), "Limit", "65537 bytes in a key"),
        ("FF-04", "key length one more than the file", Reader::Gguf, pair(Build::default().u64(9).raw(b"12345678")), "Truncated", "key 0"),
        ("FF-04", "string length 2^64-1", Reader::Gguf, pair(Build::default().text("k").u32(STRING).u64(u64::MAX)), "Limit", "value of key \"k\""),
        ("FF-04", "string length 2^63", Reader::Gguf, pair(Build::default().text("k").u32(STRING).u64(big)), "Limit", "value of key \"k\""),
        ("FF-04", "string of 1 GiB in 160 bytes", Reader::Gguf, pair(Build::default().text("k").u32(STRING).u64(1 << 30).zeros(115)), "Limit", "16777216"),
        ("FF-04", "string of 16 MiB in 160 bytes", Reader::Gguf, pair(Build::default().text("k").u32(STRING).u64(1 << 24).zeros(115)), "Truncated", "115 are left"),
        ("FF-04", "string length one more than the file", Reader::Gguf, pair(Build::default().text("k").u32(STRING).u64(5).raw(b"1234")), "Truncated", "needs 5 bytes, but only 4"),
        ("FF-04", "array length 2^64-1", Reader::Gguf, pair(Build::default().array("k", U8, u64::MAX, &[])), "Limit", "array of key \"k\""),
        ("FF-04", "array length 2^63", Reader::Gguf, pair(Build::default().array("k", U8, big, &[])), "Limit", "array of key \"k\""),
        ("FF-04", "array length times width wraps", Reader::Gguf, pair(Build::default().array("k", U64, 1 << 61, &[])), "Limit", "array of key \"k\""),
        ("FF-04", "array length at the limit", Reader::Gguf, pair(Build::default().array("k", F64, 1 << 24, &[0; 64])), "Truncated", "array of key \"k\""),
        ("FF-04", "array length one more than the file", Reader::Gguf, pair(Build::default().array("k", U16, 3, &[0; 5])), "Truncated", "needs 6 bytes, but only 5"),
        ("FF-04", "array of strings that the file cannot hold", Reader::Gguf, pair(Build::default().array("k", STRING, 1 << 20, &[0; 64])), "Truncated", "array of key \"k\""),
        ("FF-04", "array with a string too long", Reader::Gguf, pair(Build::default().array("k", STRING, 2, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])), "Truncated", "element 1 of key \"k\""),
        ("FF-04", "tensor name length 2^64-1", Reader::Gguf, Build::new(1, 0).u64(u64::MAX).zeros(40).0, "Limit", "name of tensor 0"),

        ("FF-05", "5 dimensions", Reader::Gguf, tensor(&[1; 5], ggml::F32, 0, 32), "Limit", "5 tensor dimensions"),
        ("FF-05", "9 dimensions", Reader::Gguf, tensor(&[1; 9], ggml::F32, 0, 32), "Limit", "9 tensor dimensions"),
        ("FF-05", "2^32-1 dimensions", Reader::Gguf, Build::new(1, 0).text("w").u32(u32::MAX).zeros(64).0, "Limit", "4294967295 tensor dimensions"),
        ("FF-05", "no dimensions of a blocked type", Reader::Gguf, tensor(&[], ggml::Q8_0, 0, 64), "PartialBlock", "rows of 1"),

        ("FF-06", "2^40 x 2^40", Reader::Gguf, tensor(&[1 << 40, 1 << 40], ggml::F32, 0, 32), "TensorSize", "[1099511627776, 1099511627776]"),
        ("FF-06", "2^33 x 2^33", Reader::Gguf, tensor(&[1 << 33, 1 << 33], ggml::F32, 0, 32), "TensorSize", "tensor \"w\""),
        ("FF-06", "2^62", Reader::Gguf, tensor(&[1 << 62], ggml::F32, 0, 32), "TensorSize", "tensor \"w\""),
        ("FF-06", "minus one", Reader::Gguf, tensor(&[u64::MAX, 2], ggml::F32, 0, 32), "TensorSize", "tensor \"w\""),
        ("FF-06", "zero times too much", Reader::Gguf, tensor(&[1 << 40, 1 << 40, 0], ggml::F32, 0, 0), "TensorSize", "tensor \"w\""),
        ("FF-06", "2^32+1", Reader::Gguf, tensor(&[(1 << 32) + 1], ggml::F32, 0, 32), "Truncated", "data of tensor \"w\""),
        ("FF-06", "Q8_0 of 2^42+1 rows", Reader::Gguf, tensor(&[32, (1 << 42) + 1], ggml::Q8_0, 0, 64), "Truncated", "data of tensor \"w\""),

        ("FF-07", "two of 2^63-64 bytes", Reader::Gguf, Build::new(2, 0).tensor("a", &[0x7fff_ffff_ffff_ffc0], ggml::I8, 0).tensor("b", &[0x7fff_ffff_ffff_ffc0], ggml::I8, 0x7fff_ffff_ffff_ffc0).pad(32).zeros(32).0, "Truncated", "data of tensor \"a\""),
        ("FF-08", "padding wraps to zero", Reader::Gguf, tensor(&[0x3fff_ffff_ffff_ffff], ggml::F32, 0, 0), "TensorSize", "tensor \"w\""),

        ("FF-09", "alignment 0", Reader::Gguf, pair(Build::default().key_u32("general.alignment", 0)), "Alignment", "is 0"),
        ("FF-09", "alignment 8192", Reader::Gguf, aligned(U32, &8192u32.to_le_bytes()), "Alignment", "8192"),
        ("FF-09", "alignment 2^31", Reader::Gguf, aligned(U32, &(1u32 << 31).to_le_bytes()), "Alignment", "2147483648"),
        ("FF-09", "alignment as i32", Reader::Gguf, aligned(I32, &32u32.to_le_bytes()), "KeyType", "general.alignment"),
        ("FF-09", "alignment as u64", Reader::Gguf, aligned(U64, &32u64.to_le_bytes()), "KeyType", "general.alignment"),
        ("FF-09", "alignment as a string", Reader::Gguf, pair(Build::default().key_text("general.alignment", "32")), "KeyType", "string, expected u32"),

        ("FF-10", "overlap", Reader::Gguf, two(0, 64), "Offset", "offset 0, expected 32"),
        ("FF-10", "gap", Reader::Gguf, two(64, 128), "Offset", "offset 64, expected 32"),
        ("FF-10", "backwards", Reader::Gguf, Build::new(2, 0).tensor("a", &[8], ggml::F32, 32).tensor("b", &[8], ggml::F32, 0).pad(32).zeros(64).0, "Offset", "offset 32, expected 0"),
        ("FF-10", "unaligned", Reader::Gguf, two(33, 128), "Offset", "offset 33, expected 32"),
        ("FF-10", "one byte behind the end", Reader::Gguf, tensor(&[8], ggml::F32, 0, 31), "Truncated", "data of tensor \"w\""),
        ("FF-10", "offset 2^64-1", Reader::Gguf, two(u64::MAX, 64), "Offset", "18446744073709551615"),

        ("FF-12", "type of the count", Reader::Gguf, tensor(&[32], ggml::COUNT, 0, 64), "TensorType", "42"),
        ("FF-12", "type minus one", Reader::Gguf, tensor(&[32], u32::MAX, 0, 64), "TensorType", "4294967295"),
        ("FF-12", "retired type 4", Reader::Gguf, tensor(&[32], 4, 0, 64), "TensorType", "type 4"),
        ("FF-12", "retired type 31", Reader::Gguf, tensor(&[32], 31, 0, 64), "TensorType", "type 31"),
        ("FF-12", "retired type 36", Reader::Gguf, tensor(&[32], 36, 0, 64), "TensorType", "type 36"),
        ("FF-12", "row of a block and a half", Reader::Gguf, tensor(&[48], ggml::Q8_0, 0, 64), "PartialBlock", "rows of 48 weights, expected a multiple of the 32"),

        ("FF-13", "duplicate key", Reader::Gguf, Build::new(0, 2).key("k", U8, &[1]).key("k", U8, &[1]).0, "Duplicate", "key \"k\" at byte 38"),
        ("FF-13", "duplicate alignment", Reader::Gguf, Build::new(0, 2).key_u32("general.alignment", 32).key_u32("general.alignment", 64).0, "Duplicate", "general.alignment"),
        ("FF-13", "empty key", Reader::Gguf, pair(Build::default().key("", U8, &[1, 0])), "Name", "is empty"),
        ("FF-13", "key that is not UTF-8", Reader::Gguf, pair(Build::default().key([b'k', 0xff], U8, &[1])), "Utf8", "key 0 at byte 33"),
        ("FF-13", "key with a zero byte", Reader::Gguf, pair(Build::default().key("a\0b", U8, &[1])), "Name", "zero byte"),
        ("FF-13", "value that is not UTF-8", Reader::Gguf, pair(Build::default().text("k").u32(STRING).text([0xc0, 0x80])), "Utf8", "value of key \"k\""),
        ("FF-13", "element that is not UTF-8", Reader::Gguf, pair(array_of(&[&b"ab"[..], b"c\xff"])), "Utf8", "element 1 of key \"k\" at byte 68"),
        ("FF-13", "character cut in two by elements", Reader::Gguf, pair(array_of(&[&b"a\xe6"[..], b"\xb0\xb4"])), "Utf8", "element 0 of key \"k\" at byte 58"),
        ("FF-13", "element that is not UTF-8 before one that is cut", Reader::Gguf, pair(Build(array_of(&[&b"\xff"[..], b"a"]).0[..43].to_vec())), "Utf8", "element 0 of key \"k\" at byte 57"),
        ("FF-13", "key with terminal escapes", Reader::Gguf, pair(Build::default().key("\u{1b}[2J\u{202e}", 99, &[1])), "ValueType", "\"\\u{1b}[2J\\u{202e}\""),
        ("FF-13", "empty tensor name", Reader::Gguf, Build::new(1, 0).tensor("", &[8], ggml::F32, 0).pad(32).zeros(32).0, "Name", "tensor name at byte 24 is empty"),
        ("FF-13", "tensor name with a zero byte", Reader::Gguf, Build::new(1, 0).tensor("a\0", &[8], ggml::F32, 0).pad(32).zeros(32).0, "Name", "zero byte"),
        ("FF-13", "tensor name that is not UTF-8", Reader::Gguf, Build::new(1, 0).tensor([0xff], &[8], ggml::F32, 0).pad(32).zeros(32).0, "Utf8", "name of tensor 0"),
        ("FF-13", "tensor name above the limit", Reader::Gguf, Build::new(1, 0).tensor(&long_name, &[8], ggml::F32, 0).pad(32).zeros(32).0, "Limit", "64 bytes in a tensor name"),
        ("FF-13", "bool of 2", Reader::Gguf, pair(Build::default().key("k", BOOL, &[2])), "Bool", "\"k\" at byte 37 holds 2"),
        ("FF-13", "bool of 255 in an array", Reader::Gguf, pair(Build::default().array("k", BOOL, 3, &[0, 1, 255])), "Bool", "\"k\" at byte 51 holds 255"),

        ("FF-14", "200000 keys", Reader::Gguf, keys(200_000), "Limit", "200000 metadata keys"),
        ("FF-14", "array of an array", Reader::Gguf, nested(1), "ValueType", "no array"),
        ("FF-14", "arrays nested 10000 times", Reader::Gguf, nested(10_000), "ValueType", "no array"),
        ("FF-14", "array of type 13", Reader::Gguf, pair(Build::default().array("k", 13, 1, &[0; 8])), "ValueType", "13"),

        ("FF-18", "big endian", Reader::Gguf, Build::default().raw(b"GGUF").raw(&3u32.to_be_bytes()).zeros(16).0, "Version", "big endian"),
        ("FF-18", "big endian version 2", Reader::Gguf, Build::default().raw(b"GGUF").raw(&2u32.to_be_bytes()).zeros(16).0, "Version", "big endian"),
        ("FF-18", "version 1 with a long string", Reader::Gguf, Build::versioned(1, 0, 1).u32(u32::MAX).0, "Version", "older"),
        ("FF-18", "version 2^32-1", Reader::Gguf, Build::versioned(u32::MAX, 0, 0).0, "Version", "newer"),

        ("FF-20", "a part of a split model", Reader::Gguf, pair(Build::default().key("split.count", U16, &[3, 0])), "Split", "\"split.count\" is 3"),
        ("FF-21", "pickle", Reader::Gguf, b"\x80\x02}q\x00(X\x01\x00\x00\x00a".to_vec(), "Pickle", "pickle"),
        ("FF-21", "pickle protocol 5", Reader::Gguf, b"\x80\x05\x95\x10\x00\x00\x00\x00\x00\x00\x00".to_vec(), "Pickle", "pickle"),
        ("FF-21", "archive of a pickle", Reader::Gguf, b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00archive/data.pkl\x80\x02".to_vec(), "Pickle", "data.pkl"),
        ("FF-21", "archive of something else", Reader::Gguf, b"PK\x03\x04 something else entirely".to_vec(), "Magic", ""),
    ];
    let reads = reads.iter().map(|(id, name, reader, bytes)| Case {
        id, name: (*name).to_owned(), reader: *reader, bytes: bytes.clone(), fails: None,
    });
    let fails = fails.iter().map(|(id, name, reader, bytes, variant, says)| Case {
        id, name: (*name).to_owned(), reader: *reader, bytes: bytes.clone(), fails: Some((variant, says)),
    });
    reads.chain(fails).collect()
}
