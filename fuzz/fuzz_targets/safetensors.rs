//! Any bytes as a safetensors file, and as the weights of a checkpoint: no panic, and the tensors
//! that read cover the data exactly.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ondine_format::{hf, safetensors};
use ondine_tensor::Bytes;

const CONFIGS: [&str; 2] = [
    r#"{"model_type":"llama","hidden_size":4,"intermediate_size":4,"num_hidden_layers":1,
        "num_attention_heads":2,"max_position_embeddings":8,"rms_norm_eps":1e-5,
        "tie_word_embeddings":true}"#,
    r#"{"model_type":"gpt2","n_embd":4,"n_head":2,"n_layer":1,"n_positions":8}"#,
];

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::from_vec(data.to_vec());
    let Ok(entries) = safetensors::read(&bytes) else { return };
    let total: usize = entries.iter().map(|entry| entry.data.len()).sum();
    let header = u64::from_le_bytes(*data.first_chunk().unwrap()) as usize;
    assert_eq!(total, data.len() - 8 - header);
    for config in CONFIGS {
        let _ = hf::read(config, vec![bytes.clone()]);
    }
});
