//! An answer that is a value of a type, printed while it is written:
//!
//! ```text
//! cargo run --release -p typed -- model.gguf "pancakes"
//! ```

use ondine::prelude::*;

/// What is asked: the fields fill the slots.
#[derive(Prompt)]
#[prompt(system = "You write recipes as JSON.", user = "A recipe for {dish}, for {people}.")]
struct Ask {
    dish: String,
    people: u8,
}

/// What is answered.
#[derive(Debug, Generable)]
struct Recipe {
    /// What it is called.
    #[guide(length = 1..=16)]
    title: String,
    #[guide(range = 1..=240)]
    minutes: u16,
    taste: Taste,
    /// One sentence each.
    #[guide(count = 1..=2, length = 1..=24)]
    steps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Generable)]
enum Taste {
    Sweet,
    Salty,
    Hot,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, dish) = (std::env::args().nth(1), std::env::args().nth(2));
    let ask = Ask { dish: dish.unwrap_or("pancakes".into()), people: 2 };
    let llm = Llm::open(&model.unwrap_or("droplet".into()))?.temperature(1.0).seed(1);
    let mut recipe = llm.stream::<Recipe>(ask)?;
    for snapshot in recipe.by_ref() {
        let snapshot = snapshot?;
        let steps = snapshot.steps.unwrap_or_default().len();
        eprintln!("{} … {steps} steps", snapshot.title.unwrap_or_default());
    }
    let Recipe { title, minutes, taste, steps } = recipe.finish()?;
    println!("{title:?}, {minutes} minutes, {taste:?}");
    steps.iter().for_each(|step| println!("- {step:?}"));
    Ok(())
}
