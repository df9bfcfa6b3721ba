//! Answers that are values of a type, whole or as they are written, and calls of tools for models whose
//! template has no place for them. The type's schema goes with the request, and bounds its length.

use std::marker::PhantomData;
use std::sync::Arc;

use ondine_chat::{Event, FinishReason, Format, Message, Request, Role, ToolCall};
use serde_json::{Value, json};

use super::{Events, Llm};
use crate::error::Error;
use crate::generable::{Generable, Shape};
use crate::partial::{Draft, Drafting};
use crate::prompt::Prompt;
use crate::tool::Tool;

/// The bytes that are read of a typed answer at least, and how many times its own bound otherwise.
/// Somebody else's decoder may write more blanks than ours, and characters by number.
const BYTES_LEAST: usize = 64 << 10;
const BYTES_TIMES: usize = 8;

impl Llm {
    /// An answer that is a value of a type.
    ///
    /// The model's words are held to the type's schema while they are chosen, and as many tokens are asked
    /// for as the longest value can have: there is no answer that does not fit, and nothing to try again.
    /// Where the model has not so many positions the request is refused before anything is computed, with
    /// both numbers; [`Llm::may_be_cut`] says otherwise. An endpoint of somebody else's may not hold its
    /// model to a schema: what comes from there is checked, and told as an error.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use ondine_app::{Generable, Llm, Reply, ScriptedModel};
    ///
    /// #[derive(Debug, PartialEq, Generable)]
    /// struct City {
    ///     name: String,
    ///     #[guide(range = 0..=50_000_000)]
    ///     people: u32,
    /// }
    ///
    /// # let script = ScriptedModel::new([Reply::text(r#"{"name": "Oslo", "people": 700000}"#)]);
    /// # let llm = Llm::new(Arc::new(script));
    /// let city: City = llm.generate("A city in Norway")?;
    /// assert_eq!(city, City { name: "Oslo".into(), people: 700_000 });
    /// # Ok::<(), ondine_app::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Llm::answer`]; an answer that was cut or does not fit, from those who do not hold to what
    /// they were asked.
    pub fn generate<T: Generable>(&self, prompt: impl Prompt) -> Result<T, Error> {
        self.stream::<T>(prompt)?.finish()
    }

    /// The same as it is written: an iterator of snapshots, in which nothing is ever taken back. Dropping it
    /// ends the answer.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use ondine_app::{Generable, Llm, Reply, ScriptedModel};
    ///
    /// #[derive(Generable)]
    /// struct Story {
    ///     title: String,
    ///     lines: Vec<String>,
    /// }
    ///
    /// # let script = ScriptedModel::new([Reply::text(r#"{"title": "The pond", "lines": ["A frog sat."]}"#)]);
    /// # let llm = Llm::new(Arc::new(script));
    /// let mut story = llm.stream::<Story>("Tell me of a frog.")?;
    /// for snapshot in story.by_ref() {
    ///     println!("{}", snapshot?.title.unwrap_or_default()); // "The ", then "The pond"
    /// }
    /// assert_eq!(story.finish()?.lines, ["A frog sat."]);
    /// # Ok::<(), ondine_app::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Llm::events`]; what goes wrong on the way is the last item.
    pub fn stream<T: Generable>(&self, prompt: impl Prompt) -> Result<Typed<T>, Error> {
        let shape = Shape::of::<T>()?;
        let events = self.events(self.shaped(prompt.messages(), &shape))?;
        Ok(Typed::new(events, shape))
    }

    /// Has the model call one of these tools, whatever its template knows of tools: the tools are told of in
    /// words, and the answer is held to a call of one of them, as [`Llm::generate`] holds it to a type.
    /// Models whose template has a place for tools are better asked with [`Request::tools`].
    ///
    /// # Errors
    /// Those of [`Llm::generate`]; there are no tools.
    pub fn choose(&self, prompt: impl Prompt, tools: &[Arc<dyn Tool>]) -> Result<ToolCall, Error> {
        let specs: Vec<_> = tools.iter().map(|tool| tool.spec()).collect();
        let calls = specs.iter().map(|spec| {
            json!({
                "type": "object",
                "properties": {"name": {"const": spec.name}, "arguments": spec.parameters},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        });
        let shape = Shape::new(match specs.len() {
            0 => return Err(ondine_chat::ChatError::invalid("tools", "there are no tools").into()),
            _ => json!({"anyOf": calls.collect::<Vec<_>>()}),
        });
        let mut told = String::from("You can call these functions:\n");
        for spec in &specs {
            let words = json!({
                "name": spec.name, "description": spec.description, "parameters": spec.parameters,
            });
            told += &format!("{words}\n");
        }
        told += r#"Answer with one call and nothing else: {"name": ..., "arguments": {...}}"#;
        let mut request = self.ready(Request::new("", prompt.messages()));
        let mut messages = match request.prompt {
            ondine_chat::Prompt::Messages(messages) => messages,
            ondine_chat::Prompt::Text(text) => vec![Message::user(text)],
        };
        match messages.first_mut().filter(|first| first.role == Role::System) {
            Some(first) => first.text = format!("{}\n\n{told}", first.text),
            None => messages.insert(0, Message::system(told)),
        }
        request = self.shaped(messages, &shape);
        let answer = self.answer(request)?;
        let call = whole(&answer.text, answer.reason, answer.usage.completion_tokens)?;
        shape.check(&call)?;
        let name = call["name"].as_str().unwrap_or_default().to_owned();
        Ok(ToolCall { id: "call_0".into(), name, arguments: call["arguments"].clone() })
    }

    /// A request whose answer has a shape, and room for the longest of it.
    fn shaped(&self, messages: Vec<Message>, shape: &Shape) -> Request {
        let mut request = Request::new("", messages);
        request.format = Format::Schema(shape.constraint());
        // One more for the token that ends it.
        request.max_tokens = match self.may_be_cut {
            true => None,
            false => shape.most_bytes().map(|bytes| bytes + 1),
        };
        request
    }
}

/// The JSON of an answer.
fn whole(text: &str, reason: FinishReason, tokens: usize) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| match reason {
        FinishReason::Length => Error::Cut { tokens },
        _ => Error::NoJson { reason: error.to_string(), text: text.chars().take(200).collect() },
    })
}

/// A value of a type while a model writes it. Each item is all that is known of it so far.
pub struct Typed<T: Generable> {
    events: Events,
    shape: Shape,
    drafting: Drafting,
    text: String,
    ended: Option<(FinishReason, usize)>,
    last: Option<T::Partial>,
    is_over: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Generable> Typed<T> {
    fn new(events: Events, shape: Shape) -> Typed<T> {
        let most = shape.most_bytes().unwrap_or(0).saturating_mul(BYTES_TIMES).max(BYTES_LEAST);
        Typed {
            events,
            drafting: Drafting::new(most),
            shape,
            text: String::new(),
            ended: None,
            last: None,
            is_over: false,
            of: PhantomData,
        }
    }

    /// Waits for the end, and gives the value.
    ///
    /// # Errors
    /// What goes wrong on the way, and those of [`Llm::generate`].
    pub fn finish(self) -> Result<T, Error> {
        Ok(self.told()?.0)
    }

    /// The value, and its text.
    pub(super) fn told(mut self) -> Result<(T, String), Error> {
        for snapshot in self.by_ref() {
            snapshot?;
        }
        if let Some(error) = self.events.failed() {
            return Err(error.clone().into());
        }
        let (reason, tokens) = self.ended.unwrap_or((FinishReason::Length, 0));
        let value = whole(&self.text, reason, tokens)?;
        self.shape.check(&value)?;
        Ok((T::read(&value)?, self.text))
    }

    /// Takes an event; gives whether there may be more to see.
    fn take(&mut self, event: Event) -> Result<bool, Error> {
        match event {
            Event::Text { text, .. } if !text.is_empty() => {
                self.drafting.push(&text)?;
                self.text.push_str(&text);
                Ok(true)
            }
            Event::Finished { reason, usage } => {
                self.ended = Some((reason, usage.completion_tokens));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn snapshot(&self) -> Option<T::Partial> {
        let draft: Draft = self.drafting.draft()?;
        T::glimpse(&draft)
    }
}

impl<T: Generable> Iterator for Typed<T> {
    type Item = Result<T::Partial, Error>;

    fn next(&mut self) -> Option<Result<T::Partial, Error>> {
        while !self.is_over {
            let taken = match self.events.next() {
                Some(event) => event.and_then(|event| self.take(event)),
                None => {
                    self.is_over = true;
                    break;
                }
            };
            match taken {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
            let snapshot = self.snapshot();
            if snapshot.is_some() && snapshot != self.last {
                self.last.clone_from(&snapshot);
                return snapshot.map(Ok);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Reply, ScriptedModel};
    use ondine_chat::{ChatError, Script};

    #[derive(Debug, PartialEq, Generable)]
    struct Person {
        name: String,
        #[guide(range = 0..=120)]
        age: u8,
        #[guide(count = ..=2)]
        likes: Vec<String>,
    }
    use crate::Generable;

    fn person() -> Person {
        Person { name: "Ada".into(), age: 36, likes: vec!["sums".into()] }
    }

    const ADA: &str = r#"{"name": "Ada", "age": 36, "likes": ["sums"]}"#;

    #[test]
    fn a_typed_answer_is_asked_for_with_its_schema_and_its_bound() {
        let script = Arc::new(Script::new([ADA]));
        let llm = Llm::new(script.clone()).max_tokens(3);
        assert_eq!(llm.generate::<Person>("who?").unwrap(), person());
        llm.clone().may_be_cut().generate::<Person>("who?").unwrap();
        let asked = script.asked();
        let shape = Shape::of::<Person>().unwrap();
        assert_eq!(asked[0].format, Format::Schema(shape.constraint()));
        assert_eq!(asked[0].max_tokens, shape.most_bytes().map(|bytes| bytes + 1));
        assert_eq!(asked[1].max_tokens, Some(3));
    }

    #[test]
    fn an_error_on_the_way_is_told_to_whoever_waits_for_the_end() {
        let script = Arc::new(ScriptedModel::by(|_| Err(ChatError::ShuttingDown)));
        assert!(Llm::new(script).stream::<Person>("who?").is_err());
        let llm = Llm::new(Arc::new(Script::new(["{\"name\": \"A", "}{"])));
        let mut stream = llm.stream::<Person>("who?").unwrap();
        let seen: Vec<_> = stream.by_ref().collect();
        assert!(seen.iter().all(Result::is_ok), "a text may hold brackets");
        assert!(stream.finish().is_err());
        let endless = "[".repeat(100);
        let llm = Llm::new(Arc::new(Script::new([endless.as_str()])));
        let mut stream = llm.stream::<Person>("who?").unwrap();
        assert!(matches!(stream.next(), Some(Err(Error::Draft(_)))) && stream.next().is_none());
    }

    #[test]
    fn an_answer_that_was_cut_is_told_as_such() {
        // Words are tokens to it: three of seven.
        let script = Arc::new(ScriptedModel::new([Reply::text(ADA)]));
        let llm = Llm::new(script).max_tokens(3).may_be_cut();
        let error = llm.generate::<Person>("who?").unwrap_err();
        assert!(matches!(error, Error::Cut { tokens: 3 }), "{error}");
    }

    #[test]
    fn snapshots_only_grow() {
        let pieces = ADA.split_inclusive(|c: char| !c.is_alphanumeric());
        let llm = Llm::new(Arc::new(Script::new(pieces)));
        let mut stream = llm.stream::<Person>("who?").unwrap();
        let seen: Vec<PersonPartial> = stream.by_ref().map(Result::unwrap).collect();
        assert_eq!(stream.finish().unwrap(), person());
        let first = PersonPartial::default();
        assert_eq!((seen.first(), seen[1].name.as_deref()), (Some(&first), Some("")));
        let last = seen.last().unwrap();
        assert_eq!(last.likes.as_deref(), Some(&["sums".to_owned()][..]));
        for (before, after) in seen.iter().zip(&seen[1..]) {
            assert!(before != after, "the same twice");
            let names = (before.name.clone().unwrap_or_default(), after.name.clone());
            assert!(names.1.unwrap_or_default().starts_with(&names.0));
            assert!(before.age.is_none() || before.age == after.age);
        }
    }

    #[test]
    fn what_does_not_fit_says_where() {
        let wrong = |text: &str| {
            let llm = Llm::new(Arc::new(ScriptedModel::new([Reply::text(text)])));
            llm.generate::<Person>("who?").unwrap_err().to_string()
        };
        let rows = [
            ("Ada", "byte 0 of the answer: expected a value"),
            (r#"{"name": 1, "age": 3, "likes": []}"#, "name: expected a text, found 1"),
            (r#"{"name": "", "age": 121, "likes": []}"#, "age: expected at most 120, found 121"),
            (r#"{"name": "", "age": 1, "likes": [1]}"#, "likes[0]: expected a text, found 1"),
            (r#"{"name": "", "age": 1}"#, "\"likes\" is missing"),
            ("[]", "expected an object, found a list"),
        ];
        for (text, wanted) in rows {
            assert_eq!(wrong(text), wanted, "{text}");
        }
        assert!(wrong(r#"{"name": "A"#).contains("no JSON"), "{}", wrong(r#"{"name": "A"#));
    }

    #[test]
    fn a_call_is_chosen_among_the_tools() {
        /// Adds.
        #[crate::tool(effect = read)]
        fn add(a: i32, b: i32) -> i32 {
            a + b
        }
        assert_eq!(add(1, 2), 3);
        let call = r#"{"name": "add", "arguments": {"a": 1, "b": 2}}"#;
        let script = Arc::new(Script::new([call]));
        let llm = Llm::new(script.clone()).system("Be good.");
        let called = llm.choose("1 + 2?", &crate::tools![add]).unwrap();
        assert_eq!((called.name.as_str(), called.arguments), ("add", json!({"a": 1, "b": 2})));
        let ondine_chat::Prompt::Messages(said) = &script.asked()[0].prompt else { panic!() };
        assert!(
            said[0].text.starts_with("Be good.\n\nYou can call") && said[0].text.contains("Adds.")
        );
        let none = llm.choose("1 + 2?", &[]).unwrap_err();
        assert!(matches!(none, Error::Chat(ChatError::Invalid { part: "tools", .. })), "{none}");
    }
}
