//! A role: a model with instructions, a name, and nothing that it remembers but what it is told.

use ondine_chat::{Format, Message, Overflow, Request};

use crate::error::Error;
use crate::llm::Llm;
use crate::trace;

/// Tokens of a piece of work. A small model that repeats itself would go on for as long as it may.
const TOKENS_MAX: usize = 2048;

/// Somebody in a company.
#[derive(Clone)]
pub struct Role {
    name: String,
    instructions: String,
    llm: Llm,
}

impl Role {
    /// A model with instructions.
    pub fn new(name: impl Into<String>, instructions: impl Into<String>, llm: Llm) -> Role {
        Role { name: name.into(), instructions: instructions.into(), llm }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does a piece of work.
    ///
    /// # Errors
    /// The model cannot be asked.
    pub fn work(&self, asked: &str) -> Result<String, Error> {
        self.work_as(asked, Format::Text)
    }

    /// Does a piece of work whose words keep to a format.
    ///
    /// # Errors
    /// The model cannot be asked.
    pub fn work_as(&self, asked: &str, format: Format) -> Result<String, Error> {
        let span = trace::agent(&self.name, &self.name);
        let system = format!("You are the {} of a small company. {}", self.name, self.instructions);
        let messages = [Message::system(system), Message::user(asked)];
        let request = Request {
            format,
            max_tokens: Some(TOKENS_MAX),
            // A model with fewer positions does with what is left.
            overflow: Overflow::Stop,
            ..Request::new("", messages)
        };
        span.in_scope(|| Ok(self.llm.answer(request)?.text))
    }
}

/// The code of an answer: the longest fenced block, or all of it where there is none. A block that is not
/// closed goes to the end.
pub fn code_block(text: &str) -> String {
    let mut longest: Option<String> = None;
    let mut open: Option<String> = None;
    let mut keep = |block: String| {
        if longest.as_ref().is_none_or(|longest| block.len() > longest.len()) {
            longest = Some(block);
        }
    };
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        match (&mut open, fence) {
            (Some(_), true) => keep(open.take().unwrap_or_default()),
            (Some(block), false) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, true) => open = Some(String::new()),
            (None, false) => {}
        }
    }
    if let Some(block) = open {
        keep(block);
    }
    longest.unwrap_or_else(|| text.to_owned())
}
