//! Every block format against the values of ggml itself, kept in `formats.txt` beside this file.
//!
//! The formats' own tests compare two readings of one understanding of the layout; this one would
//! fail if the understanding were wrong.

use ondine_tensor::{Bytes, DType, Matrix, quantize};

const FIXTURE: &str = include_str!("formats.txt");

/// The fixture's lines that start with `kind`, as their other fields.
fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    FIXTURE
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(move |fields| fields[0] == kind)
        .map(|fields| fields[1..].to_vec())
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> String {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn decoded(dtype: DType, data: Vec<u8>) -> Vec<f32> {
    let cols = data.len() / dtype.block_bytes() * dtype.block();
    Matrix::new(dtype, 1, cols, Bytes::from_vec(data)).unwrap().decode()
}

#[test]
fn every_format_that_computes_decodes_as_ggml_does() {
    let mut seen = Vec::new();
    for fields in lines("decode") {
        let [name, hex, checksum, first @ ..] = &fields[..] else { panic!("{fields:?}") };
        let dtype = DType::from_name(name).unwrap();
        let floats = decoded(dtype, bytes(hex));
        let expected: Vec<f32> = first.iter().map(|x| x.parse().unwrap()).collect();
        assert_eq!(floats[..expected.len()], expected, "{name}");
        // Adding zero makes -0 into 0.
        assert_eq!(fnv(floats.iter().flat_map(|x| (x + 0.0).to_le_bytes())), *checksum, "{name}");
        seen.push(dtype);
    }
    let untested: Vec<_> = DType::all().filter(|t| t.computes() && !seen.contains(t)).collect();
    assert!(untested.is_empty(), "no expected values for {untested:?}");
}

#[test]
fn every_type_that_is_written_encodes_as_ggml_does() {
    let mut state = 1u64;
    let floats: Vec<f32> = (0..4096)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 - 8388608.0) / 1048576.0
        })
        .collect();
    for fields in lines("encode") {
        let [name, hex, checksum] = fields[..] else { panic!("{fields:?}") };
        let encoded = quantize(DType::from_name(name).unwrap(), &floats, 1024).unwrap();
        let first = bytes(hex);
        assert_eq!(encoded[..first.len()], first, "{name}");
        assert_eq!(fnv(encoded), checksum, "{name}");
    }
}

#[test]
fn scales_that_are_not_numbers_spoil_weights_and_nothing_else() {
    for dtype in DType::all().filter(|t| t.computes()) {
        // All ones: every half is NaN. 0x7c in every byte: large halves; 0x7c00: infinities.
        for pattern in [[0xff, 0xff], [0x7c, 0x7c], [0x00, 0x7c]] {
            let data = pattern.into_iter().cycle().take(4 * dtype.block_bytes()).collect();
            assert_eq!(decoded(dtype, data).len(), 4 * dtype.block(), "{dtype}");
        }
    }
}

#[test]
fn what_is_written_is_read_back_within_half_a_step() {
    let floats: Vec<f32> = (0..256).map(|i| ((i * 37 % 256) as f32 - 128.0) / 64.0).collect();
    // Of the largest magnitude, 2: a step is 1/127 or 1/8 of it. Half a step is the rounding, and
    // the scale's own rounding to 11 bits adds a little; Q4_0 clips one end by a whole step.
    let check = |dtype, bound: f32| {
        let data = quantize(dtype, &floats, 256).unwrap();
        for (read, written) in decoded(dtype, data).iter().zip(&floats) {
            assert!((read - written).abs() <= bound, "{dtype}: {written} is read as {read}");
        }
    };
    check(DType::F32, 0.0);
    check(DType::F16, 0.0);
    check(DType::Bf16, 0.0);
    check(DType::Q8_0, 2.0 / 127.0 * 0.5 * 1.1);
    check(DType::Q4_0, 2.0 / 8.0 * 1.01);
    assert_eq!(quantize(DType::Q6K, &floats, 256), None);
}
