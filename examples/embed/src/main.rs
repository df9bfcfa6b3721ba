//! Sentences become vectors, and the product of two says how alike they are:
//!
//! ```text
//! cargo run --release -p embed -- minilm.gguf "a cat" "a dog" "a train"
//! ```

use ondine::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (model, texts) = words.split_first().ok_or("usage: embed MODEL.gguf TEXT…")?;
    let vectors = Llm::open(model)?.vectors(texts)?;
    for (text, vector) in texts.iter().zip(&vectors) {
        println!("{:.3} {text}", vector.iter().zip(&vectors[0]).map(|(a, b)| a * b).sum::<f32>());
    }
    Ok(())
}
