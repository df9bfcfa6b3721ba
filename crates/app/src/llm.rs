//! A model that can be asked, wherever it is: for words, whole or as they come; for a value of a type; for
//! a call of a tool; for vectors. Whoever opened it knows where it is.

mod stream;
mod talk;
mod typed;

pub use stream::{Events, Pieces};
pub use talk::Talk;
pub use typed::Typed;

use std::sync::Arc;

use ondine_chat::{
    Answer, Chat, ChatError, Embed, Message, Prompt as Said, Request, Role, Sampling, Sink,
};

use crate::error::Error;
use crate::prompt::Prompt;
use crate::trace;

/// A model that can be asked, and how. Cheap to clone. Everything waits for its end, but for what says
/// that it comes in pieces.
///
/// ```
/// # use std::sync::Arc;
/// use ondine_app::{Llm, Reply, ScriptedModel};
///
/// # let script = ScriptedModel::new([Reply::text("A good day to you."), Reply::text("One two three")]);
/// let llm = Llm::new(Arc::new(script)).system("You are polite.").temperature(0.2);
/// assert_eq!(llm.ask("Good day!")?, "A good day to you.");
/// for piece in llm.pieces("Count!")? {
///     print!("{}", piece?); // who stops here stops the model too
/// }
/// # Ok::<(), ondine_app::Error>(())
/// ```
#[derive(Clone)]
pub struct Llm {
    chat: Arc<dyn Chat>,
    embed: Option<Arc<dyn Embed>>,
    model: String,
    system: Option<String>,
    sampling: Sampling,
    max_tokens: Option<usize>,
    may_be_cut: bool,
}

impl Llm {
    /// The default model of whoever answers.
    pub fn new(chat: Arc<dyn Chat>) -> Llm {
        Llm {
            chat,
            embed: None,
            model: String::new(),
            system: None,
            sampling: Sampling::default(),
            max_tokens: None,
            may_be_cut: false,
        }
    }

    /// Texts become vectors there.
    pub fn embedding_with(mut self, embed: Arc<dyn Embed>) -> Llm {
        self.embed = Some(embed);
        self
    }

    /// Another model of whoever answers.
    pub fn model(mut self, name: impl Into<String>) -> Llm {
        self.model = name.into();
        self
    }

    /// What the system says in conversations in which it says nothing itself.
    pub fn system(mut self, text: impl Into<String>) -> Llm {
        self.system = Some(text.into());
        self
    }

    /// How tokens are chosen in requests that do not say: each part for itself.
    pub fn sampling(mut self, sampling: Sampling) -> Llm {
        self.sampling = sampling;
        self
    }

    /// The same for the temperature alone; 0 takes the likeliest token.
    pub fn temperature(mut self, temperature: f32) -> Llm {
        self.sampling.temperature = Some(temperature);
        self
    }

    /// The same for the seed alone: one seed, one answer.
    pub fn seed(mut self, seed: u64) -> Llm {
        self.sampling.seed = Some(seed);
        self
    }

    /// Tokens of an answer at most, in requests that do not say. Typed answers have their type's bound.
    pub fn max_tokens(mut self, tokens: usize) -> Llm {
        self.max_tokens = Some(tokens);
        self
    }

    /// Lets typed answers begin where the longest of them would not fit into the model's positions. One
    /// that turns out to be too long is [`Error::Cut`] then, instead of being refused beforehand.
    pub fn may_be_cut(mut self) -> Llm {
        self.may_be_cut = true;
        self
    }

    /// The answer to a question, a conversation, or a template with its slots filled.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask(&self, prompt: impl Prompt) -> Result<String, Error> {
        Ok(self.answer(Request::new("", prompt.messages()))?.text)
    }

    /// The same, each piece told as it comes.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask_to(
        &self,
        prompt: impl Prompt,
        mut piece: impl FnMut(&str),
    ) -> Result<String, Error> {
        let mut events = self.events(Request::new("", prompt.messages()))?;
        events.each_piece(&mut piece)?;
        Ok(events.finish()?.text)
    }

    /// The same as an iterator of pieces. Dropping it ends the answer.
    ///
    /// # Errors
    /// Those of [`Chat::start`]; what goes wrong on the way is the last item.
    pub fn pieces(&self, prompt: impl Prompt) -> Result<Pieces, Error> {
        Ok(Pieces::new(self.events(Request::new("", prompt.messages()))?))
    }

    /// The answer to a request, whole. What the request does not say is as this model was told.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn answer(&self, request: Request) -> Result<Answer, Error> {
        let request = self.ready(request);
        let span = trace::chat(&request);
        trace::prompt(&span, &*self.chat, &request);
        let answer = span.in_scope(|| self.chat.ask(request));
        let answer = answer.inspect_err(|error| trace::failed(&span, error))?;
        trace::answered(&span, &answer);
        Ok(answer)
    }

    /// The same as an iterator of what happens. Dropping it ends the answer, and with that what it costs.
    ///
    /// # Errors
    /// Those of [`Chat::start`]; what goes wrong on the way is the last item.
    pub fn events(&self, request: Request) -> Result<Events, Error> {
        Events::start(&*self.chat, self.ready(request))
    }

    /// A conversation with it, kept in memory.
    pub fn talk(&self) -> Talk {
        Talk::new(self.clone())
    }

    /// Begins to answer, as [`Chat::start`] does, what is asked as this model was told. An agent asks so:
    /// it must be able to stop listening.
    pub(crate) fn begin(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        self.chat.start(self.ready(request), sink)
    }

    /// A vector of length 1 for each text.
    ///
    /// # Errors
    /// Those of [`Embed::embed`]; nobody here turns texts into vectors.
    pub fn vectors(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        let none = || ChatError::Unsupported("this model gives no vectors".into());
        let embed = self.embed.as_ref().ok_or_else(none)?;
        let span = trace::embeddings(&self.model, texts.len());
        let embedded = span.in_scope(|| embed.embed(&self.model, texts));
        let embedded = embedded.inspect_err(|error| trace::failed(&span, error))?;
        trace::embedded(&span, &embedded);
        Ok(embedded.vectors)
    }

    /// Tokens of a request's prompt, without running it.
    ///
    /// # Errors
    /// Those of [`Chat::count_tokens`].
    pub fn count(&self, request: &Request) -> Result<usize, Error> {
        Ok(self.chat.count_tokens(&self.ready(request.clone()))?)
    }

    /// Tokens of what would be said, without saying it.
    ///
    /// # Errors
    /// Those of [`Chat::count_tokens`].
    pub fn tokens(&self, prompt: impl Prompt) -> Result<usize, Error> {
        self.count(&Request::new("", prompt.messages()))
    }

    /// Whoever answers, for what these verbs do not say.
    pub fn chat(&self) -> &Arc<dyn Chat> {
        &self.chat
    }

    /// The request with what this model was told, where it says nothing itself.
    pub(crate) fn ready(&self, mut request: Request) -> Request {
        if request.model.is_empty() {
            request.model.clone_from(&self.model);
        }
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        let (own, asked) = (&self.sampling, &mut request.sampling);
        asked.temperature = asked.temperature.or(own.temperature);
        asked.top_k = asked.top_k.or(own.top_k);
        asked.top_p = asked.top_p.or(own.top_p);
        asked.min_p = asked.min_p.or(own.min_p);
        asked.repeat_penalty = asked.repeat_penalty.or(own.repeat_penalty);
        asked.presence_penalty = asked.presence_penalty.or(own.presence_penalty);
        asked.frequency_penalty = asked.frequency_penalty.or(own.frequency_penalty);
        asked.seed = asked.seed.or(own.seed);
        if asked.logit_bias.is_empty() {
            asked.logit_bias.clone_from(&own.logit_bias);
        }
        if let (Some(system), Said::Messages(messages)) = (&self.system, &mut request.prompt)
            && !messages.iter().any(|message| message.role == Role::System)
        {
            messages.insert(0, Message::system(system.as_str()));
        }
        request
    }
}

impl std::fmt::Debug for Llm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Llm").field("model", &self.model).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Reply, ScriptedModel};
    use ondine_chat::{Event, Script};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_a_request_does_not_say_is_as_the_model_was_told() {
        let script = Arc::new(Script::new(["yes"]));
        let llm = Llm::new(script.clone())
            .model("small")
            .system("be brief")
            .temperature(0.5)
            .seed(7)
            .max_tokens(9);
        llm.ask("well?").unwrap();
        let own = Request {
            max_tokens: Some(3),
            sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
            ..Request::new("large", [Message::system("be long"), Message::user("well?")])
        };
        llm.answer(own).unwrap();
        llm.answer(Request::text("", "once upon")).unwrap();
        let asked = script.asked();
        let said = [Message::system("be brief"), Message::user("well?")];
        assert_eq!(asked[0].prompt, Said::Messages(said.to_vec()));
        assert_eq!((asked[0].model.as_str(), asked[0].max_tokens), ("small", Some(9)));
        assert_eq!((asked[0].sampling.temperature, asked[0].sampling.seed), (Some(0.5), Some(7)));
        assert_eq!((asked[1].model.as_str(), asked[1].max_tokens), ("large", Some(3)));
        assert_eq!((asked[1].sampling.temperature, asked[1].sampling.seed), (Some(0.0), Some(7)));
        let Said::Messages(said) = &asked[1].prompt else { panic!("a conversation") };
        assert_eq!(said[0], Message::system("be long"));
        assert_eq!(asked[2].prompt, Said::Text("once upon".into()));
    }

    #[test]
    fn pieces_are_told_as_they_come() {
        let llm = Llm::new(Arc::new(Script::new(["Good ", "", "day."])));
        let mut told = Vec::new();
        let whole = llm.ask_to("hi", |piece| told.push(piece.to_owned())).unwrap();
        assert_eq!((told, whole.as_str()), (vec!["Good ".to_owned(), "day.".into()], "Good day."));
        let pieces: Result<Vec<String>, Error> = llm.pieces("hi").unwrap().collect();
        assert_eq!(pieces.unwrap(), ["Good ", "day."]);
        let events = llm.events(Request::new("", [Message::user("hi")])).unwrap();
        let events: Result<Vec<Event>, Error> = events.collect();
        assert!(matches!(events.unwrap().last(), Some(Event::Finished { .. })));
    }

    /// Says words for ever, until nobody listens.
    struct Endless(Arc<AtomicUsize>);

    impl Chat for Endless {
        fn start(&self, _: Request, mut sink: ondine_chat::Sink) -> Result<(), ChatError> {
            let said = self.0.clone();
            std::thread::spawn(move || {
                while sink(Event::Text { text: "la ".into(), logprobs: Vec::new() }) {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                said.store(usize::MAX, Ordering::SeqCst);
            });
            Ok(())
        }

        fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
            Ok(1)
        }

        fn models(&self) -> Vec<ondine_chat::Model> {
            Vec::new()
        }
    }

    #[test]
    fn who_stops_listening_stops_the_model() {
        let ended = Arc::new(AtomicUsize::new(0));
        let llm = Llm::new(Arc::new(Endless(ended.clone())));
        let mut pieces = llm.pieces("sing").unwrap();
        assert_eq!(pieces.next().unwrap().unwrap(), "la ");
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        drop(pieces);
        let begun = std::time::Instant::now();
        while ended.load(Ordering::SeqCst) == 0 {
            assert!(begun.elapsed().as_secs() < 20, "it still sings");
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_error_on_the_way_is_the_last_item() {
        struct Torn;
        impl Chat for Torn {
            fn start(&self, _: Request, mut sink: ondine_chat::Sink) -> Result<(), ChatError> {
                sink(Event::Text { text: "Go".into(), logprobs: Vec::new() });
                sink(Event::Failed(ChatError::ShuttingDown));
                Ok(())
            }
            fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
                Ok(1)
            }
            fn models(&self) -> Vec<ondine_chat::Model> {
                Vec::new()
            }
        }
        let llm = Llm::new(Arc::new(Torn));
        let mut pieces = llm.pieces("x").unwrap();
        assert_eq!(pieces.next().unwrap().unwrap(), "Go");
        let error = pieces.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::Chat(ChatError::ShuttingDown)), "{error}");
        assert!(pieces.next().is_none());
        assert!(llm.ask_to("x", |_| {}).is_err());
    }

    #[test]
    fn tokens_are_counted_with_what_the_model_was_told() {
        let llm = Llm::new(Arc::new(ScriptedModel::new([Reply::text("x")]))).system("one two");
        assert_eq!(llm.tokens("three four five").unwrap(), 5);
    }
}
