//! Asks a model and prints what it says, as it says it. The first word may be a model:
//!
//! ```text
//! cargo run --release -p ask -- model.gguf "Why is the sky blue?"
//! cargo run --release -p ask -- ondine "…"                  # the daemon, with ONDINE_TOKEN
//! cargo run --release -p ask -- https://host/v1 "…"         # an endpoint, with its key in ONDINE_TOKEN
//! ```

use ondine::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, text) = (std::env::args().nth(1), std::env::args().nth(2));
    let llm = Llm::open(&model.unwrap_or("droplet".into()))?.max_tokens(64);
    llm.ask_to(text.unwrap_or("fn main() {".into()), |piece| print!("{piece}"))?;
    println!();
    Ok(())
}
