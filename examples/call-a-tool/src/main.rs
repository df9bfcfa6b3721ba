//! A model chooses a tool, the tool is called, and what came of it is printed:
//!
//! ```text
//! cargo run --release -p call-a-tool -- model.gguf "What is six times seven?"
//! ```

use ondine::app::Bounds;
use ondine::prelude::*;

/// Multiplies two numbers.
#[tool(effect = read)]
fn multiply(a: i32, b: i32) -> i64 {
    i64::from(a) * i64::from(b)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, text) = (std::env::args().nth(1), std::env::args().nth(2));
    let llm = Llm::open(&model.unwrap_or("droplet".into()))?;
    let tools = tools![multiply];
    let call = llm.choose(text.unwrap_or("What is six times seven?".into()), &tools)?;
    println!("{}({})", call.name, call.arguments);
    println!("{}", perform(&tools[0], &call, &Context::default(), Bounds::default()).text);
    Ok(())
}
