//! `ondine embed`: texts to vectors, one line a text.

use std::io::{self, IsTerminal};

use ondine_engine::{EmbedOptions, Embedding, Overlong};
use ondine_model::Pooling;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::output::Answer;
use crate::progress::Progress;
use crate::{input, model};

/// The words that `--pooling` takes: the names of [`Pooling::ALL`], which a test compares.
pub(crate) const POOLINGS: &[&str] = &["mean", "cls", "last"];

/// Prints vectors.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let texts = Texts::read(arguments)?;
    let overlong = if arguments.on("truncate") { Overlong::Cut } else { Overlong::Refuse };
    let options = EmbedOptions {
        pooling: arguments.text("pooling").and_then(|name| Pooling::from_name(&name)),
        normalise: !arguments.on("no-normalize"),
        overlong,
    };
    let opened = model::open(arguments.path_needed("model")?)?;
    let embedder = opened.embedder(opened.options(arguments))?;
    let mut answer = Answer::new();
    // Where vectors run over the screen, they are progress enough.
    let progress =
        (!io::stdout().is_terminal()).then(|| Progress::new("texts", texts.all.len() as u64));
    let watch = Watch::new();
    for (index, text) in texts.all.iter().enumerate() {
        watch.check()?;
        let embedding = embedder.embed(text, options).map_err(|error| {
            Failure::from(error).at(format_args!("{} {}", texts.place, index + 1))
        })?;
        if arguments.on("json") {
            answer.row(as_json(index, &embedding))?;
        } else {
            answer.row(numbers(&embedding.vector, " "))?;
        }
        if let Some(progress) = &progress {
            progress.done(index as u64 + 1);
        }
    }
    answer.done()
}

/// What is to be embedded, and what one of them is called where it fails.
struct Texts {
    all: Vec<String>,
    place: String,
}

impl Texts {
    fn read(arguments: &Arguments<'_>) -> Result<Texts, Failure> {
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        let all = arguments.texts("texts");
        match (all.is_empty(), arguments.path("file")) {
            (false, Some(_)) => Err(Failure::usage("there are texts and --file: give one of them")),
            (false, None) => Ok(Texts { all, place: "text".to_string() }),
            (true, Some(path)) => {
                let place = format!("{}, line", path.display());
                Ok(Texts { all: lines(input::text(path)?), place })
            }
            (true, None) => {
                let text = input::piped("there are no texts: give some, --file or a pipe")?;
                Ok(Texts { all: lines(text), place: "standard input, line".to_string() })
            }
        }
    }
}

fn as_json(index: usize, Embedding { vector, tokens }: &Embedding) -> String {
    let vector = numbers(vector, ", ");
    format!("{{\"index\": {index}, \"tokens\": {tokens}, \"embedding\": [{vector}]}}")
}

/// Finite numbers, each as short as it can be read back.
fn numbers(vector: &[f32], between: &str) -> String {
    vector.iter().map(f32::to_string).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pooling_can_be_typed() {
        let names: Vec<&str> = Pooling::ALL.iter().map(|row| row.2).collect();
        assert_eq!(names, POOLINGS);
    }

    #[test]
    fn an_object_is_json_and_numbers_come_back() {
        let vector = vec![0.1, -1.5e-8, 16_777_216.0];
        let text = as_json(3, &Embedding { vector: vector.clone(), tokens: 7 });
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((read["index"].as_u64(), read["tokens"].as_u64()), (Some(3), Some(7)));
        let read: Vec<f32> = serde_json::from_value(read["embedding"].clone()).unwrap();
        assert_eq!(read, vector);
    }
}
