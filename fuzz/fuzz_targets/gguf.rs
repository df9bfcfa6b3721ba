//! Any bytes as a GGUF file: no panic, and what reads is written back to the same bytes.
//!
//! What reads is also looked at from all sides: its numbers, its matrices, a second reading.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ondine_format::{Hparams, gguf, write};
use ondine_tensor::Bytes;

/// Bytes of a tensor up to which it is decoded: rows longer than the file cannot exist, but a
/// block type may decode to many times its bytes.
const DECODED_BYTES: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let header = gguf::read_header(data);
    let Ok(file) = gguf::read(Bytes::from_vec(data.to_vec())) else { return };
    let header = header.expect("a file that reads has a header that reads");
    assert!(header.data_end <= data.len());
    assert_eq!(header.tensors.len(), file.tensors.len());
    let _ = Hparams::of(&file);
    for tensor in &file.tensors {
        assert!(file.has(&tensor.name));
        if tensor.data.len() <= DECODED_BYTES {
            if let Ok(matrix) = file.matrix(&tensor.name) {
                assert_eq!(matrix.decode().len(), tensor.elements());
            }
            if let Ok(parts) = file.matrices(&tensor.name) {
                let decoded: usize = parts.iter().map(|part| part.decode().len()).sum();
                assert_eq!(decoded, tensor.elements());
            }
            let _ = file.vector(&tensor.name);
        }
    }
    let mut once = Vec::new();
    write::rewrite(&file, &mut once).expect("what reads can be written");
    let again = gguf::read(Bytes::from_vec(once.clone())).expect("what is written can be read");
    let mut twice = Vec::new();
    write::rewrite(&again, &mut twice).expect("what reads can be written");
    assert!(once == twice, "what is written reads to the same");
});
