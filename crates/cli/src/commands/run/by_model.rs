//! Answers by a model of the user's: through its chat template, or as a continuation of text.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Zoned;
use ondine_engine::{Engine, EngineError};
use ondine_text::Prompt;
use ondine_text::vocab::TokenId;
use serde_json::{Value, json};

use super::Answerer;
use crate::chat::Partner;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::model;
use crate::output::Answer;
use crate::sampling::{self, Wishes};
use crate::speaker::{Speaker, Spoken};

/// How a prompt becomes tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Through the model's chat template.
    Chat,
    /// As text that is continued.
    Text,
    /// As text that is continued and may spell special tokens.
    Raw,
}

/// Talks through a model.
pub(super) struct Talker {
    engine: Arc<Engine>,
    speaker: Speaker,
    manner: Manner,
    /// What the model was told first, and what was said since.
    messages: Vec<Value>,
    /// How many messages stand before the first question.
    preface: usize,
}

impl Talker {
    /// Loads the model.
    pub(super) fn open(arguments: &Arguments<'_>, path: &Path) -> Result<Talker, Failure> {
        let grammar = sampling::grammar(arguments)?;
        let begun = Instant::now();
        let opened = model::open(path)?;
        let engine = opened.engine(opened.options(arguments))?;
        let load_s = begun.elapsed().as_secs_f64();
        let has_template = opened.file.metadata.get("tokenizer.chat_template").is_some();
        let manner = if arguments.on("raw") {
            Manner::Raw
        } else if has_template {
            // A template that was refused is an error, not a reason to go without.
            engine.template().map_err(|error| Failure::from(error).at(path.display()))?;
            Manner::Chat
        } else {
            Manner::Text
        };
        let system = arguments.text("system");
        if system.is_some() && manner != Manner::Chat {
            return Err(Failure::usage("--system: there is no chat template to put it in"));
        }
        let messages: Vec<Value> =
            system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
        let mut wishes = Wishes::read(arguments);
        if let Some((path, spec)) = &grammar {
            let compiled = engine.grammar(spec).map_err(|error| match error {
                EngineError::Grammar(_) => Failure::from(error).at(path.display()),
                other => Failure::from(other),
            })?;
            wishes.constrain(Some(compiled));
        }
        let speaker = Speaker::new(&engine, arguments, wishes, load_s)?;
        Ok(Talker { engine, speaker, manner, preface: messages.len(), messages })
    }

    /// The tokens of everything up to now.
    fn tokens(&self, line: &str) -> Result<Vec<TokenId>, Failure> {
        let engine = &self.engine;
        Ok(match self.manner {
            Manner::Chat => {
                let prompt = engine.chat_prompt(
                    &json!({ "messages": self.messages }),
                    Some(Zoned::now().datetime()),
                )?;
                engine.encode_prompt(&prompt)?
            }
            Manner::Text => engine.encode_text(line)?,
            Manner::Raw => {
                engine.encode_prompt(&Prompt { text: line.to_string(), quoted: Vec::new() })?
            }
        })
    }

    /// One turn: the question joins the conversation, and so does the answer.
    fn turn(
        &mut self,
        line: &str,
        piece: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<Spoken, Failure> {
        self.messages.push(json!({ "role": "user", "content": line }));
        let spoken = self.tokens(line).and_then(|tokens| self.speaker.answer(&tokens, piece));
        match &spoken {
            Ok(spoken) => {
                self.messages.push(json!({ "role": "assistant", "content": spoken.text }));
            }
            // What was not answered was not said.
            Err(_) => drop(self.messages.pop()),
        }
        spoken
    }
}

impl Answerer for Talker {
    fn print(&mut self, prompt: &str) -> Result<(), Failure> {
        let mut answer = Answer::new();
        let spoken = self.turn(prompt, |text| answer.piece(text))?;
        answer.line("")?;
        spoken.tell_cut();
        if spoken.interrupted { Err(Failure::interrupt()) } else { Ok(()) }
    }

    fn json(&mut self, prompt: &str) -> Result<Value, Failure> {
        let spoken = self.turn(prompt, |_| Ok(()))?;
        spoken.tell_cut();
        if spoken.interrupted { Err(Failure::interrupt()) } else { Ok(spoken.json()) }
    }
}

impl Partner for Talker {
    fn manners(&self) -> Option<&'static str> {
        let alone = "this model has no chat template: each line is continued by itself";
        (self.manner == Manner::Text).then_some(alone)
    }

    fn answer(&mut self, line: &str) -> Result<(), Failure> {
        self.print(line)
    }

    fn forget(&mut self) {
        self.messages.truncate(self.preface);
    }
}
