//! Answers of any model that always fit a JSON Schema, with the engine as a library.
//!
//! ```text
//! cargo run --release -p json-answers -- model.gguf "Lily is six years old."
//! ```

use std::error::Error;
use std::fs::File;

use ondine_engine::{
    Engine, EngineOptions, FinishReason, GenerateOptions, Sampling, SessionOptions,
};
use ondine_format::gguf;
use ondine_tensor::Bytes;
use ondine_text::grammar::GrammarSpec;

/// What an answer must be.
const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "name": { "type": "string", "maxLength": 20 },
        "age": { "type": "integer", "minimum": 0, "maximum": 120 }
    },
    "required": ["name", "age"],
    "additionalProperties": false
}"#;

/// A model may love line breaks, which the schema allows between its parts, for ever.
const TOKENS_MAX: usize = 256;

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
        max_tokens: Some(TOKENS_MAX),
        grammar: Some(grammar.matcher()),
        ..GenerateOptions::default()
    };
    let mut answer = String::new();
    let mut generation = session.generate(options)?;
    for step in generation.by_ref() {
        answer.push_str(&step?.text);
    }
    // What there is fits the schema so far; only an answer that ended by itself is a whole one.
    match generation.finish() {
        Some(FinishReason::Complete | FinishReason::EndOfTurn) => Ok(answer),
        reason => Err(format!("the answer was cut ({reason:?}): {answer:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_answer_is_json_and_a_cut_one_an_error() {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260k.gguf");
        if !std::path::Path::new(model).exists() {
            eprintln!("skipped: there is no {model}");
            return;
        }
        match extract(model, "Lily is six years old.") {
            Ok(answer) => {
                let person: serde_json::Value = serde_json::from_str(&answer).expect(&answer);
                assert!(person["name"].is_string() && person["age"].is_u64(), "{answer}");
            }
            Err(error) => assert!(error.to_string().starts_with("the answer was cut"), "{error}"),
        }
    }
}
