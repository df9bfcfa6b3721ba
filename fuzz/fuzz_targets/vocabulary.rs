//! Any bytes as a GGUF file, and what it says of its vocabulary as a tokenizer: no panic, and a text
//! becomes tokens of the vocabulary. The seeds are those of `gguf`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ondine_format::gguf;
use ondine_text::tokenizer::Special;

const TEXT: &str = "hello, he said: 12 ab\n\n  hell\u{0301} \u{6c34}\u{1f4a7}<|fim_middle|>";

fuzz_target!(|data: &[u8]| {
    let Ok(header) = gguf::read_header(data) else { return };
    let Ok(tokenizer) = ondine_engine::tokenizer(&header.metadata) else { return };
    for special in [Special::Parse, Special::AsText] {
        let tokens = tokenizer.encode(TEXT, special);
        assert!(tokens.iter().all(|&id| (id as usize) < tokenizer.len()));
        let _ = tokenizer.decode(&tokens);
    }
    for id in 0..tokenizer.len() as u32 {
        let piece = tokenizer.piece(id).expect("a token has a text");
        assert!(piece.is_empty() || tokenizer.id_of(piece) == Some(id));
    }
});
