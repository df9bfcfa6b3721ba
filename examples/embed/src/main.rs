//! Sentences become vectors, and the product of two says how alike they are:
//!
//! ```text
//! cargo run --release -p embed -- minilm.gguf "a cat" "a dog" "a train"
//! ```

use ondine::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let llm = Llm::open(&words.next().ok_or("usage: embed MODEL.gguf TEXT…")?)?;
    let texts: Vec<String> = words.collect();
    let vectors = llm.vectors(&texts)?;
    for (text, vector) in texts.iter().zip(&vectors) {
        let alike: f32 = vector.iter().zip(&vectors[0]).map(|(a, b)| a * b).sum();
        println!("{alike:.3} {text}");
    }
    Ok(())
}
