//! What is written reads back, and what was written here is written again to the same bytes.

mod corpus;

use ondine_format::{FormatError, GgufWriter, Metadata, TensorLayout, Value, WriteError};
use ondine_format::{gguf, limits, write};
use ondine_tensor::{Bytes, DType};

fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let file = gguf::read(Bytes::from_vec(bytes.to_vec())).unwrap();
    let mut out = Vec::new();
    write::rewrite(&file, &mut out).unwrap();
    out
}

#[test]
fn writing_what_was_written_changes_no_byte() {
    for case in corpus::gguf::cases().iter().filter(|case| case.fails.is_none()) {
        if case.reader == corpus::Reader::Gguf {
            let once = rewritten(&case.bytes);
            assert!(rewritten(&once) == once, "{}", case.name);
        }
    }
}

/// The same metadata, order and data; only the version and bytes that belong to nothing differ.
#[test]
fn another_writers_file_comes_out_the_same() {
    let whole = corpus::gguf::valid();
    assert!(rewritten(&whole) == whole);
    let mut older = whole.clone();
    older[4] = 2;
    assert!(rewritten(&older) == whole);
    let longer = [whole.clone(), b"something behind the data".to_vec()].concat();
    assert!(rewritten(&longer) == whole);

    let story = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260k.gguf");
    match std::fs::read(story) {
        Ok(bytes) => assert!(rewritten(&bytes) == bytes, "the story model changed"),
        Err(error) => println!("skipped {story}: {error}"),
    }
}

/// FF-11: what would copy other memory into a new file is refused before there is an output.
#[test]
fn a_bad_file_is_refused_before_anything_is_written() {
    #[derive(Debug)]
    struct Never;
    impl std::io::Write for Never {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("written")
        }
        fn flush(&mut self) -> std::io::Result<()> {
            panic!("flushed")
        }
    }
    for case in corpus::gguf::cases().into_iter().filter(|case| case.fails.is_some()) {
        let file = gguf::read(Bytes::from_vec(case.bytes));
        assert!(file.is_err(), "{}: there is nothing to hand to a writer", case.name);
    }
    // And what did not come from a file is checked by the writer.
    let metadata = Metadata::new();
    let layout = |name: &str| TensorLayout::new(name, vec![2], DType::F32).unwrap();
    let twice = vec![layout("a"), layout("a")];
    let error = GgufWriter::new(Never, &metadata, twice).unwrap_err();
    assert!(matches!(error, WriteError::Format(FormatError::Duplicate { .. })), "{error}");
    let mut metadata = Metadata::new();
    metadata.insert("general.alignment", 48u32).unwrap();
    let error = GgufWriter::new(Never, &metadata, vec![]).unwrap_err();
    assert!(matches!(error, WriteError::Format(FormatError::Alignment { found: 48 })), "{error}");
    let huge = vec![layout("a"), TensorLayout::new("b", vec![1 << 60, 3], DType::F32).unwrap()];
    let more = [huge.clone(), vec![TensorLayout::new("c", vec![1 << 61], DType::F32).unwrap()]];
    let error = GgufWriter::new(Never, &Metadata::new(), more.concat()).unwrap_err();
    assert!(matches!(error, WriteError::Format(FormatError::TensorSize { .. })), "{error}");
}

#[test]
fn every_byte_written_comes_from_the_input() {
    // Data of one value only: any other byte behind the header would be somebody's memory.
    let mut metadata = Metadata::new();
    metadata.insert("general.alignment", 256u32).unwrap();
    let layouts = ["a", "b"].map(|name| TensorLayout::new(name, vec![5], DType::F16).unwrap());
    let mut writer = GgufWriter::new(Vec::new(), &metadata, layouts.to_vec()).unwrap();
    writer.tensor(&[0xee; 10]).unwrap();
    writer.tensor(&[0xee; 10]).unwrap();
    let bytes = writer.finish().unwrap();
    let header = gguf::read_header(&bytes).unwrap();
    let mut expected = vec![0; 512];
    expected[..10].fill(0xee);
    expected[256..266].fill(0xee);
    assert_eq!(bytes[header.data_start..], expected);
    assert_eq!(header.placed().map(|(_, at)| at).collect::<Vec<_>>(), [256, 512]);
}

#[test]
fn a_stream_must_keep_its_word() {
    let layout = || vec![TensorLayout::new("a", vec![2], DType::F32).unwrap()];
    let writer = || GgufWriter::new(Vec::new(), &Metadata::new(), layout()).unwrap();
    let error = writer().tensor(&[0; 7]).unwrap_err();
    assert!(error.to_string().contains("7 bytes of data, expected 8"), "{error}");
    assert!(matches!(writer().finish(), Err(WriteError::TooFew { found: 0, expected: 1 })));
    let mut full = writer();
    full.tensor(&[0; 8]).unwrap();
    assert!(matches!(full.tensor(&[0; 8]), Err(WriteError::TooMany { found: 2, expected: 1 })));
    full.finish().unwrap();
}

#[test]
fn metadata_keeps_order_and_refuses_what_no_reader_takes() {
    let mut metadata = Metadata::new();
    metadata.insert("z", 1u32).unwrap();
    metadata.insert("a", vec!["x".to_owned(), String::new()]).unwrap();
    metadata.set("z", true).unwrap();
    metadata.set("m", -1i64).unwrap();
    let keys: Vec<&str> = metadata.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["z", "a", "m"]);
    assert_eq!(metadata.get("z"), Some(&Value::Bool(true)));
    assert!(metadata.insert("a", 1u8).is_err());
    assert!(metadata.insert("", 1u8).is_err());
    assert!(metadata.insert("a\0", 1u8).is_err());
    let longest = "k".repeat(limits::KEY_BYTES.max as usize);
    assert!(metadata.insert(format!("{longest}k"), 1u8).is_err());
    assert!(metadata.insert(longest, 1u8).is_ok());
}

#[test]
fn getters_name_key_and_types() {
    let mut metadata = Metadata::new();
    metadata.insert("wide", 7u64).unwrap();
    metadata.insert("less", -1i32).unwrap();
    metadata.insert("list", vec![1i32, -1]).unwrap();
    metadata.insert("real", 1.5f32).unwrap();
    assert_eq!(metadata.u32("wide"), Ok(Some(7)));
    assert_eq!(metadata.u32("absent"), Ok(None));
    assert_eq!(metadata.f32("real"), Ok(Some(1.5)));
    let says = |error: FormatError| error.to_string();
    let wrong = [
        (
            says(metadata.u32("less").unwrap_err()),
            "key \"less\" is i32 -1, expected an integer that fits u32",
        ),
        (
            says(metadata.u32("real").unwrap_err()),
            "key \"real\" is f32, expected an integer that fits u32",
        ),
        (says(metadata.string("wide").unwrap_err()), "key \"wide\" is u64 7, expected string"),
        (
            says(metadata.u32s("list").unwrap_err()),
            "key \"list\" is array of 2 i32, expected array of u32 or of non-negative i32",
        ),
        (
            says(metadata.f32s("list").unwrap_err()),
            "key \"list\" is array of 2 i32, expected array of f32",
        ),
        (
            says(metadata.strings("wide").unwrap_err()),
            "key \"wide\" is u64 7, expected array of string",
        ),
        (says(metadata.bool("wide").unwrap_err()), "key \"wide\" is u64 7, expected bool"),
    ];
    for (found, expected) in wrong {
        assert_eq!(found, expected);
    }
}

/// FF-06, FF-12: what reads as a file but is nothing to compute with is refused where it is used.
#[test]
fn tensors_are_refused_by_name_where_they_are_used() {
    let file = gguf::read(Bytes::from_vec(corpus::gguf::valid())).unwrap();
    assert_eq!(file.matrix("token_embd.weight").unwrap().rows(), 3);
    assert_eq!(file.vector("output_norm.weight").unwrap().len(), 32);
    let says = |error: FormatError| error.to_string();
    assert_eq!(says(file.matrix("no").unwrap_err()), "tensor \"no\" is missing");
    let shape = says(file.matrix("output_norm.weight").unwrap_err());
    assert_eq!(
        shape,
        "tensor \"output_norm.weight\" has dimensions [32], expected two dimensions, neither of \
         them zero"
    );
    assert!(file.vector("token_embd.weight").is_err());
    let build = corpus::gguf::Build::new(3, 0)
        .tensor("empty", &[4, 0], 0, 0)
        .tensor("strange", &[256, 1], 16, 0)
        .tensor("none", &[0], 0, 96);
    let file = gguf::read(Bytes::from_vec(build.pad(32).zeros(96).0)).unwrap();
    assert!(file.matrix("empty").is_err());
    assert!(file.vector("none").is_err());
    let says = says(file.matrix("strange").unwrap_err());
    assert_eq!(says, "tensor \"strange\": tensor type IQ2_XXS cannot be computed with");
}

#[test]
fn parts_of_a_split_model_fit_together_or_are_refused() {
    use corpus::gguf::{Build, U16};
    let part = |number: u16, count: u16, total: u32, name: &str| {
        let build = Build::new(1, 3)
            .key("split.no", U16, &number.to_le_bytes())
            .key("split.count", U16, &count.to_le_bytes())
            .key_u32("split.tensors.count", total)
            .tensor(name, &[8], 0, 0);
        Bytes::from_vec(build.pad(32).zeros(32).0)
    };
    let good = [part(0, 2, 2, "a"), part(1, 2, 2, "b")];
    let file = gguf::read_parts(&good).unwrap();
    assert_eq!(file.tensors.len(), 2);
    assert!(file.has("b"));
    let bad: [(&[Bytes], &str); 6] = [
        (&good[..1], "\"split.count\" is 2, expected 1"),
        (&[good[1].clone(), good[0].clone()], "\"split.no\" is 1, expected 0"),
        (&[part(0, 3, 2, "a"), part(1, 3, 2, "b")], "\"split.count\" is 3, expected 2"),
        (&[part(0, 2, 3, "a"), part(1, 2, 3, "b")], "\"split.tensors.count\" is 2, expected 3"),
        (&[part(0, 2, 2, "a"), part(1, 2, 2, "a")], "tensor \"a\""),
        (&[], "\"split.count\" is 0"),
    ];
    for (parts, says) in bad {
        let error = gguf::read_parts(parts).unwrap_err().to_string();
        assert!(error.contains(says), "{error}, expected {says}");
    }
}
