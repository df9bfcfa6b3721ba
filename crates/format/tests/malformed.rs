//! The table of files, walked; every prefix of a valid file; the fuzzer's seeds.

mod corpus;

use corpus::{judge, variant};
use ondine_format::gguf;
use ondine_tensor::Bytes;

/// Runs all cases and reports every one that fails.
#[test]
fn every_case_has_its_verdict() {
    let cases = corpus::all();
    let wrong: Vec<String> = cases.iter().filter_map(|case| judge(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} cases", cases.len());
}

#[test]
fn the_33_kinds_are_all_there() {
    let cases = corpus::all();
    let of = |fails: bool| {
        let first = cases.iter().filter(|case| case.id == "FF-01" && case.fails.is_some() == fails);
        first.count()
    };
    // 7 that read and 26 that do not; three more rows of ours read.
    assert_eq!((of(false), of(true)), (7 + 3, 26));
}

#[test]
fn names_are_unique() {
    let mut seeds: Vec<_> = corpus::seeds().into_iter().map(|(dir, name, _)| (dir, name)).collect();
    let count = seeds.len();
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), count);
}

/// FF-02: a file that was cut anywhere is not read, and is told to be too short.
#[test]
fn every_prefix_is_truncated() {
    let whole = corpus::gguf::valid();
    for length in 0..whole.len() {
        let bytes = Bytes::from_vec(whole[..length].to_vec());
        let error = gguf::read(bytes).expect_err("a prefix was read");
        assert_eq!(variant(&error), "Truncated", "prefix of {length}: {error}");
    }
    println!("{} prefixes", whole.len());
}

/// Every prefix of a safetensors file fails too; of what kind depends on where it was cut.
#[test]
fn every_safetensors_prefix_fails() {
    let whole = corpus::safetensors::valid();
    for length in 0..whole.len() {
        let bytes = Bytes::from_vec(whole[..length].to_vec());
        assert!(ondine_format::safetensors::read(&bytes).is_err(), "prefix of {length}");
    }
}

/// The seeds in the repository are the small files of the table. Set `ONDINE_BLESS=1` to write
/// them anew.
#[test]
fn seeds_are_current() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds"));
    let seeds = corpus::seeds();
    if std::env::var_os("ONDINE_BLESS").is_some() {
        let _ = std::fs::remove_dir_all(root);
        for (folder, name, bytes) in &seeds {
            std::fs::create_dir_all(root.join(folder)).unwrap();
            std::fs::write(root.join(folder).join(name), bytes).unwrap();
        }
    }
    for (folder, name, bytes) in &seeds {
        let path = root.join(folder).join(name);
        let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(found == *bytes, "{path:?} is stale: run with ONDINE_BLESS=1");
    }
    let files = |folder: &str| std::fs::read_dir(root.join(folder)).unwrap().count();
    assert_eq!(files("gguf") + files("safetensors"), seeds.len(), "files that no case names");
}
