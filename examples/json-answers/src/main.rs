//! Answers of any model that always fit a JSON Schema, with the engine as a library.
//!
//! ```text
//! cargo run --release -p json-answers -- model.gguf "Lily is six years old."
//! ```

use std::error::Error;
use std::fs::File;

use ondine_engine::{Engine, EngineOptions, GenerateOptions, Sampling, SessionOptions};
use ondine_format::gguf;
use ondine_tensor::Bytes;
use ondine_text::grammar::GrammarSpec;

/// What an answer must be. Space between its parts is fixed too: a model that loves line breaks
/// would otherwise write them for ever and still be within the schema.
const SCHEMA: &str = r#"{
    "x-guidance": { "whitespace_flexible": false },
    "type": "object",
    "properties": {
        "name": { "type": "string", "maxLength": 20 },
        "age": { "type": "integer", "minimum": 0, "maximum": 120 }
    },
    "required": ["name", "age"],
    "additionalProperties": false
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: json-answers MODEL.gguf TEXT".into());
    };
    println!("{}", extract(&model, &text)?);
    Ok(())
}

/// Asks a model for the person in a text.
fn extract(model: &str, text: &str) -> Result<String, Box<dyn Error>> {
    let file = gguf::read(Bytes::map(&File::open(model)?)?)?;
    let engine = Engine::load(&file, EngineOptions::default())?;
    let grammar = engine.grammar(&GrammarSpec::JsonSchema(SCHEMA.to_string()))?;

    let mut session = engine.session(SessionOptions::default())?;
    session.sync(&engine.encode_text(&format!("{text}\nThe person as JSON: "))?)?;
    let options = GenerateOptions {
        sampling: Sampling::greedy(),
        grammar: Some(grammar.matcher()),
        ..GenerateOptions::default()
    };
    let mut answer = String::new();
    for step in session.generate(options)? {
        answer.push_str(&step?.text);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_a_teller_of_tales_answers_in_json() {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260k.gguf");
        if !std::path::Path::new(model).exists() {
            eprintln!("skipped: there is no {model}");
            return;
        }
        let answer = extract(model, "Lily is six years old.").unwrap();
        let person: serde_json::Value = serde_json::from_str(&answer).expect(&answer);
        assert!(person["name"].is_string() && person["age"].is_u64(), "{answer}");
    }
}
