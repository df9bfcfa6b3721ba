//! A conversation in memory. What outgrows the model's positions is the model's to refuse; a conversation
//! that remembers more than that is `Memory`'s.

use ondine_chat::{Message, Request};

use super::Llm;
use crate::error::Error;
use crate::generable::Generable;

/// A conversation with a model, kept in memory: what was said stays known until it is dropped.
///
/// ```
/// # use std::sync::Arc;
/// use ondine_app::{Llm, Reply, ScriptedModel};
///
/// # let script = ScriptedModel::new([Reply::text("Noted."), Reply::text("Under the pot.")]);
/// # let llm = Llm::new(Arc::new(script));
/// let mut talk = llm.talk();
/// talk.say("The key is under the pot.")?;
/// assert_eq!(talk.say("Where is the key?")?, "Under the pot.");
/// assert_eq!(talk.messages().len(), 4);
/// # Ok::<(), ondine_app::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Talk {
    llm: Llm,
    messages: Vec<Message>,
}

impl Talk {
    pub(super) fn new(llm: Llm) -> Talk {
        Talk { llm, messages: Vec::new() }
    }

    /// Goes on from messages that were kept elsewhere.
    pub fn from(mut self, messages: impl IntoIterator<Item = Message>) -> Talk {
        self.messages.extend(messages);
        self
    }

    /// Says something, and gives the answer. Where there is none, nothing was said.
    ///
    /// # Errors
    /// Those of [`Llm::ask`].
    pub fn say(&mut self, text: impl Into<String>) -> Result<String, Error> {
        self.say_to(text, |_| {})
    }

    /// The same, each piece told as it comes.
    ///
    /// # Errors
    /// Those of [`Llm::ask`].
    pub fn say_to(
        &mut self,
        text: impl Into<String>,
        mut piece: impl FnMut(&str),
    ) -> Result<String, Error> {
        let said = Message::user(text);
        let whole = self.messages.iter().cloned().chain([said.clone()]);
        let mut events = self.llm.events(Request::new("", whole))?;
        events.each_piece(&mut piece)?;
        let answer = events.finish()?;
        self.messages.extend([said, answer.message()]);
        Ok(answer.text)
    }

    /// Says something that is answered with a value of a type.
    ///
    /// # Errors
    /// Those of [`Llm::generate`].
    pub fn generate<T: Generable>(&mut self, text: impl Into<String>) -> Result<T, Error> {
        let said = Message::user(text);
        let whole: Vec<Message> = self.messages.iter().cloned().chain([said.clone()]).collect();
        let (value, text) = self.llm.stream::<T>(whole)?.told()?;
        self.messages.extend([said, Message::assistant(text)]);
        Ok(value)
    }

    /// What was said.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Reply, ScriptedModel};
    use ondine_chat::{ChatError, Prompt as Said};
    use std::sync::Arc;

    #[test]
    fn what_was_said_is_known_and_what_failed_was_not_said() {
        let mut nth = 0;
        let script = Arc::new(ScriptedModel::by(move |_| {
            nth += 1;
            match nth {
                2 => Err(ChatError::ShuttingDown),
                3 => Ok(Reply::text("[1, 2]")),
                _ => Ok(Reply::text("yes")),
            }
        }));
        let mut talk = Llm::new(script.clone()).talk().from([Message::system("s")]);
        assert_eq!(talk.say("one").unwrap(), "yes");
        assert!(talk.say("two").is_err());
        assert_eq!(talk.messages().len(), 3);
        assert_eq!(talk.generate::<Vec<u8>>("numbers").unwrap(), [1, 2]);
        talk.say("three").unwrap();
        let Said::Messages(last) = &script.asked()[3].prompt else { panic!("a conversation") };
        let texts: Vec<&str> = last.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["s", "one", "yes", "numbers", "[1, 2]", "three"]);
    }
}
