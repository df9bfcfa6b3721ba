//! Safetensors files built by hand, and the table of them.

use super::{Case, Reader};

/// A file of a header and data, the length put in front.
pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// One tensor's description.
pub fn entry(name: &str, dtype: &str, shape: &[u64], begin: usize, end: usize) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
}

fn one(rest: &str, data: usize) -> Vec<u8> {
    file(&format!(r#"{{"w":{{{rest}}}}}"#), &vec![0; data])
}

fn two(a: (usize, usize), b: (usize, usize), data: usize) -> Vec<u8> {
    let a = entry("a", "U8", &[(a.1 - a.0) as u64], a.0, a.1);
    let b = entry("b", "U8", &[(b.1 - b.0) as u64], b.0, b.1);
    file(&format!("{{{a},{b}}}"), &vec![0; data])
}

pub fn valid() -> Vec<u8> {
    let a = entry("a", "F32", &[2, 2], 4, 20);
    let b = entry("b", "BF16", &[2], 0, 4);
    file(&format!(r#"{{"__metadata__":{{"format":"pt"}},{a},{b}}}  "#), &[7; 20])
}

/// Every case. The last two columns are the error's variant and words of its message.
#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    let depth = |levels: usize| file(&format!(r#"{{"w":{}"#, "[".repeat(levels)), &[]);
    let entries = |count: usize| file(&format!("{{{}}}", (0..count).map(|i| entry(&i.to_string(), "F32", &[0], 0, 0)).collect::<Vec<_>>().join(",")), &[]);
    let length = |length: u64| [&length.to_le_bytes()[..], b"{}      "].concat();
    let reads: &[(&str, Vec<u8>)] = &[
        ("valid", valid()),
        ("no tensors", file("{}", &[])),
        ("only metadata", file(r#"{"__metadata__":{}}"#, &[])),
        ("tensor of no weights beside another", two((0, 8), (8, 8), 8)),
        ("tensor of no weights at the start of another", two((0, 0), (0, 8), 8)),
        ("scalar", one(r#""dtype":"F32","shape":[],"data_offsets":[0,4]"#, 4)),
        ("eight dimensions", one(r#""dtype":"U8","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,1]"#, 1)),
        ("a type that is only carried along", one(r#""dtype":"I64","shape":[1],"data_offsets":[0,8]"#, 8)),
        ("tensors at the limit", entries(65_536)),
    ];
    let fails: &[(&str, Vec<u8>, &'static str, &'static str)] = &[
        ("no bytes", vec![], "TooShort", "has 0 bytes"),
        ("seven bytes", vec![0; 7], "TooShort", "has 7 bytes, expected at least 8"),
        ("header length 0", length(0), "HeaderStart", "expected an opening brace"),
        ("header length 2^64-1", length(u64::MAX), "Limit", "header length at byte 0"),
        ("header length above the limit", length(100_000_001), "Limit", "100000001 bytes in a safetensors header"),
        ("header length at the limit", length(100_000_000), "HeaderLength", "100000000 bytes at byte 8, but only 8"),
        ("header length one more than the file", length(9), "HeaderLength", "only 8 are left"),
        ("no brace", file(" {}", &[]), "HeaderStart", "begins with Some(20)"),
        ("array", file("[]", &[]), "HeaderStart", "opening brace"),
        ("not UTF-8", [&3u64.to_le_bytes()[..], b"{\xff}"].concat(), "HeaderUtf8", "at byte 9"),
        ("brace that does not close", file("{", &[]), "Json", "safetensors header at line 1"),
        ("text behind the header", file("{}x", &[]), "Json", "column 3"),
        ("depth 64", depth(63), "Json", "line 1"),
        ("depth 65", depth(64), "Limit", "65 levels of JSON, the limit is 64"),
        ("depth 100000", depth(100_000), "Limit", "levels of JSON"),
        ("duplicate name", file(&format!("{{{},{}}}", entry("w", "U8", &[1], 0, 1), entry("w", "U8", &[1], 1, 2)), &[0; 2]), "Duplicate", "\"w\" is there twice"),
        ("duplicate metadata", file(r#"{"__metadata__":{},"__metadata__":{}}"#, &[]), "Duplicate", "__metadata__"),
        ("duplicate field", one(r#""dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]"#, 1), "Json", "duplicate field"),
        ("no shape", one(r#""dtype":"U8","data_offsets":[0,1]"#, 1), "Json", "missing field"),
        ("tensor that is a number", file(r#"{"w":1}"#, &[]), "Json", "invalid type"),
        ("offsets backwards", one(r#""dtype":"U8","shape":[4],"data_offsets":[8,4]"#, 8), "Offsets", "\"w\" has data offsets [8, 4]"),
        ("offset minus one", one(r#""dtype":"U8","shape":[5],"data_offsets":[-1,4]"#, 8), "Offsets", "[-1, 4]"),
        ("offset 2^64-1", one(r#""dtype":"U8","shape":[5],"data_offsets":[18446744073709551615,4]"#, 8), "Offsets", "[9223372036854775807, 4]"),
        ("offset of a fraction", one(r#""dtype":"U8","shape":[5],"data_offsets":[0.0,5]"#, 5), "Json", "column 49"),
        ("three offsets", one(r#""dtype":"U8","shape":[1],"data_offsets":[0,1,1]"#, 1), "Json", ""),
        ("end behind the file", one(r#""dtype":"U8","shape":[5],"data_offsets":[0,5]"#, 4), "Offsets", "within 4 bytes"),
        ("shape of more than its offsets", one(r#""dtype":"F32","shape":[1000,1000],"data_offsets":[0,4]"#, 4), "ShapeMismatch", "takes 4000000 bytes, its offsets give 4"),
        ("shape of less than its offsets", one(r#""dtype":"F32","shape":[1],"data_offsets":[0,8]"#, 8), "ShapeMismatch", "takes 4 bytes"),
        ("shape that wraps", one(r#""dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]"#, 0), "ShapeSize", "\"w\""),
        ("shape of minus one", one(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#, 4), "Json", "invalid value"),
        ("nine dimensions", one(r#""dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]"#, 1), "Json", "at most 8 whole numbers"),
        ("unknown type", one(r#""dtype":"Q4","shape":[4],"data_offsets":[0,4]"#, 4), "UnknownType", "unknown data type \"Q4\""),
        ("overlap", two((0, 8), (4, 12), 12), "Overlap", "\"b\" begins at data byte 4"),
        ("the same bytes twice", two((0, 8), (0, 8), 8), "Overlap", "\"b\" begins at data byte 0"),
        ("hole", two((0, 4), (8, 12), 12), "Hole", "data bytes 4 to 8 before tensor \"b\""),
        ("hole at the start", one(r#""dtype":"U8","shape":[4],"data_offsets":[4,8]"#, 8), "Hole", "data bytes 0 to 4"),
        ("trailing bytes", two((0, 4), (4, 8), 9), "Trailing", "ends at data byte 8, but the file has 9"),
        ("trailing bytes without tensors", file("{}", &[0]), "Trailing", "1 bytes"),
        ("too many tensors", entries(65_537), "Limit", "65537 tensors"),
        ("terminal escapes in a name", file(&format!("{{{}}}", entry("\\u001b[2J\u{202e}", "Q4", &[1], 0, 1)), &[0]), "UnknownType", "\"\\u{1b}[2J\\u{202e}\""),
    ];
    let pickles: &[(&str, Vec<u8>)] = &[
        ("pickle", b"\x80\x02}q\x00(X\x01\x00\x00\x00a".to_vec()),
        ("archive of a pickle", b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00archive/data.pkl\x80\x02".to_vec()),
    ];
    let case = |id, name: &str, bytes: &[u8], fails| Case { id, name: name.to_owned(), reader: Reader::Safetensors, bytes: bytes.to_vec(), fails };
    let mut all: Vec<Case> = reads.iter().map(|(name, bytes)| case("FF-19", name, bytes, None)).collect();
    all.extend(fails.iter().map(|(name, bytes, variant, says)| case("FF-19", name, bytes, Some((*variant, *says)))));
    all.extend(pickles.iter().map(|(name, bytes)| case("FF-21", name, bytes, Some(("Pickle", "pickle")))));
    all
}
