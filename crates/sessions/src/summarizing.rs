//! Somebody who answers, and writes a summary before where a request allows it and does not fit. What
//! asks for a summary, and what a summary is of, is [`summary`](crate::summary)'s.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ondine_chat::{Chat, ChatError, Event, Message, Model, Overflow, Prompt, Request, Sink};

use crate::summary::{Measure, Summary};

/// Summaries that are written at one time: each has a thread, which waits for the model.
const WRITING_MAX: usize = 16;

/// Answers as another does, and resolves [`Overflow::Summarize`], which the other need not know.
#[derive(Clone)]
pub struct Summarizing {
    chat: Arc<dyn Chat>,
    writing: Arc<AtomicUsize>,
}

/// Is told of a summary that was just written, before it is used.
pub(crate) type Remember = Box<dyn FnOnce(&Summary) + Send>;

/// A summary that is being written, counted until it goes.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Chat for Summarizing {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        self.start_knowing(request, None, Box::new(|_| {}), sink)
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.chat.count_tokens(request)
    }

    fn models(&self) -> Vec<Model> {
        self.chat.models()
    }

    fn forget(&self, app: &str, session: &str) {
        self.chat.forget(app, session);
    }
}

impl Summarizing {
    /// Over somebody who answers.
    pub fn new(chat: Arc<dyn Chat>) -> Summarizing {
        Summarizing { chat, writing: Arc::default() }
    }

    /// Begins an answer. `known` is a summary of the request's messages that there is from before; it is
    /// used where the messages do not fit, and where it is not enough, another is written.
    pub(crate) fn start_knowing(
        &self,
        mut request: Request,
        known: Option<Summary>,
        remember: Remember,
        sink: Sink,
    ) -> Result<(), ChatError> {
        if request.overflow != Overflow::Summarize {
            return self.chat.start(request, sink);
        }
        // From here on what does not fit is refused by whoever answers.
        request.overflow = Overflow::Error;
        let Prompt::Messages(messages) = &request.prompt else {
            return self.chat.start(request, sink);
        };
        let whole = self.chat.count_tokens(&request)?;
        let context = self.context(&request.model)?;
        let measure = Measure { chat: &*self.chat, request: &request, context };
        // A model that says no number of positions judges for itself.
        if whole <= measure.room() || context == 0 {
            return self.chat.start(request, sink);
        }
        let known = known.filter(|known| known.fits(messages));
        if let Some(known) = &known {
            let turns = known.put_into(messages);
            if measure.count(turns.clone())? <= measure.room() {
                let tokens = known.tokens;
                request.prompt = Prompt::Messages(turns);
                return self.chat.start(request, dropping(tokens, sink));
            }
        }
        let Some(cut) = measure.cut(messages, known.as_ref().map_or(0, |known| known.upto))? else {
            return self.chat.start(request, sink);
        };
        let writing = Writing { chat: self.chat.clone(), request, context, cut, known, remember };
        let place = self.place()?;
        std::thread::Builder::new()
            .name("summary".into())
            .spawn(move || {
                let _place = place;
                writing.work(sink);
            })
            .map_err(|error| ChatError::Internal(format!("no thread for a summary: {error}")))?;
        Ok(())
    }

    /// Positions of a model.
    fn context(&self, name: &str) -> Result<usize, ChatError> {
        let models = self.chat.models();
        let found =
            models.iter().find(|model| model.chats && (name.is_empty() || model.name == name));
        found.map(|model| model.context).ok_or_else(|| ChatError::NoModel {
            name: name.to_owned(),
            known: models.into_iter().map(|model| model.name).collect(),
        })
    }

    fn place(&self) -> Result<Place, ChatError> {
        let place = Place(self.writing.clone());
        if self.writing.fetch_add(1, Ordering::Relaxed) < WRITING_MAX {
            return Ok(place);
        }
        let limit = "summaries that are written at one time".into();
        Err(ChatError::Busy { limit, value: WRITING_MAX as u64, retry_after_s: 5 })
    }
}

/// Adds what a summary stands for to what was left out.
fn dropping(tokens: usize, mut sink: Sink) -> Sink {
    Box::new(move |mut event| {
        if let Event::Finished { usage, .. } = &mut event {
            usage.dropped_tokens += tokens;
        }
        sink(event)
    })
}

/// An answer that has a summary written first.
struct Writing {
    chat: Arc<dyn Chat>,
    request: Request,
    context: usize,
    cut: usize,
    known: Option<Summary>,
    remember: Remember,
}

impl Writing {
    fn work(self, mut sink: Sink) {
        let Writing { chat, mut request, context, cut, known, remember } = self;
        let Prompt::Messages(messages) = &request.prompt else { return };
        let measure = Measure { chat: &*chat, request: &request, context };
        let mut ask = |question| ask(&*chat, question, &mut sink);
        let summary = match measure.summarise(messages, cut, known.as_ref(), &mut ask) {
            Ok(summary) => summary,
            Err(error) => {
                sink(Event::Failed(error));
                return;
            }
        };
        remember(&summary);
        let turns: Vec<Message> = summary.put_into(messages);
        request.prompt = Prompt::Messages(turns);
        begin(&*chat, request, dropping(summary.tokens, sink));
    }
}

/// The model's words for a question. Whoever waits for the answer is asked meanwhile whether they
/// still do.
fn ask(chat: &dyn Chat, question: Request, sink: &mut Sink) -> Result<String, ChatError> {
    let (sender, events) = mpsc::channel();
    chat.start(question, Box::new(move |event| sender.send(event).is_ok()))?;
    let mut said = String::new();
    for event in events {
        match event {
            Event::Text { text, .. } => said += &text,
            Event::Finished { .. } => return Ok(said),
            Event::Failed(error) => return Err(error),
            _ => {}
        }
        if !sink(Event::Waiting { before: 0 }) {
            return Err(ChatError::Conflict("nobody waits for the answer any more".into()));
        }
    }
    Err(ChatError::Internal("the summary has no end".into()))
}

/// Begins an answer whose errors can only be told to its sink.
fn begin(chat: &dyn Chat, request: Request, sink: Sink) {
    let shared = Arc::new(Mutex::new(sink));
    let tell = |sink: &Mutex<Sink>, event| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        (*sink)(event)
    };
    let theirs = shared.clone();
    if let Err(error) = chat.start(request, Box::new(move |event| tell(&theirs, event))) {
        tell(&shared, Event::Failed(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_chat::{Answer, Script};

    /// A model with few positions, in which a word is a token.
    struct Small(Script, usize);

    impl Chat for Small {
        fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
            let prompt_tokens = self.0.count_tokens(&request)?;
            let (wanted, context) = (request.max_tokens.unwrap_or(1), self.1);
            if prompt_tokens + wanted > context {
                return Err(ChatError::Context { prompt_tokens, wanted, context });
            }
            self.0.start(request, sink)
        }
        fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
            self.0.count_tokens(request)
        }
        fn models(&self) -> Vec<Model> {
            let models = self.0.models().into_iter();
            models.map(|model| Model { context: self.1, ..model }).collect()
        }
    }

    fn small() -> Arc<Small> {
        Arc::new(Small(Script::new(["said "]), 100))
    }

    fn request(words: usize, overflow: Overflow) -> Request {
        let mut request = Request::new(
            "script",
            [
                Message::user("early ".repeat(words)),
                Message::assistant("yes"),
                Message::user("what was it"),
            ],
        );
        request.max_tokens = Some(20);
        request.overflow = overflow;
        request
    }

    fn ask(chat: &Summarizing, request: Request) -> Result<Answer, ChatError> {
        chat.ask(request)
    }

    #[test]
    fn what_does_not_fit_is_summarised_and_its_tokens_are_told() {
        let model = small();
        let chat = Summarizing::new(model.clone());
        let answer = ask(&chat, request(200, Overflow::Summarize)).unwrap();
        assert_eq!(answer.text, "said ");
        assert_eq!(answer.usage.dropped_tokens, 201, "the first exchange");
        let asked = model.0.asked();
        assert!(asked.len() > 3, "pieces and the answer: {}", asked.len());
        let Prompt::Messages(turns) = &asked.last().unwrap().prompt else { panic!("no turns") };
        assert_eq!(
            turns[0].text,
            "Summary of the earlier conversation, which is not shown any more:\nsaid"
        );
        assert_eq!(turns[1..], [Message::user("what was it")]);
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        for (words, overflow, good) in [
            (10, Overflow::Summarize, true),
            (200, Overflow::Error, false),
            (10, Overflow::Anchored, true),
            (10, Overflow::Stop, true),
        ] {
            let model = small();
            let asked = request(words, overflow);
            let answer = ask(&Summarizing::new(model.clone()), asked.clone());
            assert_eq!(answer.is_ok(), good, "{overflow:?}");
            let passed = model.0.asked();
            if let [passed] = &passed[..] {
                assert_eq!(passed.prompt, asked.prompt, "{overflow:?}");
            } else {
                assert!(!good && passed.is_empty(), "{overflow:?}");
            }
        }
    }

    #[test]
    fn a_summary_that_is_known_is_used_and_none_is_written() {
        let model = small();
        let known = Summary { upto: 2, text: "known".into(), tokens: 99 };
        let chat = Summarizing::new(model.clone());
        let never: Remember = Box::new(|_| panic!("nothing is written"));
        let answer = Answer::collect(|sink| {
            chat.start_knowing(request(200, Overflow::Summarize), Some(known), never, sink)
        });
        assert_eq!(answer.unwrap().usage.dropped_tokens, 99);
        assert_eq!(model.0.asked().len(), 1);
    }

    #[test]
    fn a_turn_that_is_too_long_by_itself_is_refused_at_once() {
        let chat = Summarizing::new(small());
        let mut asked = request(1, Overflow::Summarize);
        asked.prompt = Prompt::Messages(vec![Message::user("word ".repeat(200))]);
        assert!(matches!(ask(&chat, asked), Err(ChatError::Context { .. })));
        let mut unknown = request(200, Overflow::Summarize);
        unknown.model = "nobody".into();
        assert!(matches!(ask(&chat, unknown), Err(ChatError::NoModel { .. })));
    }

    #[test]
    fn who_has_gone_away_ends_the_summary() {
        let model = small();
        let chat = Summarizing::new(model.clone());
        let (sender, told) = mpsc::channel();
        let sink: Sink = Box::new(move |event| {
            let _ = sender.send(event);
            false
        });
        chat.start(request(200, Overflow::Summarize), sink).unwrap();
        let told: Vec<Event> = told.iter().collect();
        assert!(matches!(&told[..], [Event::Waiting { .. }, Event::Failed(_)]), "{told:?}");
        assert_eq!(model.0.asked().len(), 1, "one piece was begun, and nothing after it");
    }
}
