//! The way of an answer from the model's thread to a connection. The model is never made to wait:
//! pieces that nobody has read yet grow together, up to a limit. Where nobody reads any more, the
//! model is told so at its next event. It knows no API and no HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use ondine_chat::{Answer, ChatError, Event, Sink, Usage};

use crate::bill::Bill;
use crate::ending::Ending;
use crate::meter::{Counters, Meter};
use crate::trouble::{Kind, Trouble};

/// The reading end: events of one request's answers, each with the answer's index.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    open: usize,
    meter: Meter,
    ending: Ending,
}

struct Shared {
    state: Mutex<State>,
    unread_bytes_max: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<(usize, Event)>,
    /// Bytes of the events that nobody has read yet.
    unread: usize,
    /// What was computed for each answer until now.
    computed: BTreeMap<usize, Usage>,
    /// Nobody reads any more.
    gone: bool,
    /// The reader was too slow; what it has not read is lost.
    flooded: bool,
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event, and what was computed until now; `false` where nobody reads.
    fn push(&self, index: usize, event: Event, computed: Usage) -> bool {
        let mut state = self.lock();
        state.computed.insert(index, computed);
        if state.gone || state.flooded {
            return false;
        }
        if matches!(event, Event::Waiting { .. } | Event::Reading { .. }) {
            // No API has words for these: what counts is whether somebody still reads.
            return true;
        }
        state.unread += size(&event);
        if state.unread > self.unread_bytes_max {
            state.flooded = true;
        } else {
            state.append(index, event);
        }
        let open = !state.flooded;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        open
    }
}

impl State {
    /// Puts an event at the end; text is joined to text of the same answer that still waits.
    fn append(&mut self, index: usize, event: Event) {
        match (self.events.back_mut(), event) {
            (
                Some((last, Event::Text { text, logprobs })),
                Event::Text { text: more, logprobs: tokens },
            ) if *last == index => {
                text.push_str(&more);
                logprobs.extend(tokens);
            }
            (_, event) => self.events.push_back((index, event)),
        }
    }
}

/// Roughly how much memory an event holds.
fn size(event: &Event) -> usize {
    let tokens = |logprobs: &[ondine_chat::TokenLogprob]| -> usize {
        let one = |text: &str, bytes: &[u8]| 64 + text.len() + bytes.len();
        let of = |token: &ondine_chat::TokenLogprob| {
            let top: usize = token.top.iter().map(|(text, bytes, _)| one(text, bytes)).sum();
            one(&token.text, &token.bytes) + top
        };
        logprobs.iter().map(of).sum()
    };
    match event {
        Event::Text { text, logprobs } => text.len() + tokens(logprobs),
        Event::Call(call) => 64 + call.name.len() + call.arguments.to_string().len(),
        _ => 64,
    }
}

/// The writing end of one answer. A model that lets go of it without an end has failed.
struct Source {
    shared: Arc<Shared>,
    index: usize,
    over: bool,
    bill: Bill,
    counters: Arc<Counters>,
    /// When its last token came. Timed here: on the other end pieces have grown together.
    token: Option<Instant>,
}

impl Source {
    fn take(&mut self, event: Event) -> bool {
        if self.over {
            return false;
        }
        self.over = matches!(event, Event::Finished { .. } | Event::Failed(_));
        if matches!(event, Event::Text { .. }) {
            let now = Instant::now();
            self.counters.token(now, self.token.replace(now));
        }
        let computed = self.bill.see(&event);
        self.shared.push(self.index, event, computed)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if !self.over {
            self.take(Event::Failed(ChatError::Internal("the answer has no end".into())));
        }
    }
}

impl Feed {
    /// A feed of a server that may end before the answers do.
    pub(crate) fn new(unread_bytes_max: usize, meter: Meter, ending: Ending) -> Feed {
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), unread_bytes_max });
        Feed { shared, open: 0, meter, ending }
    }

    /// A sink for the next answer; its index is how many there were before.
    pub(crate) fn sink(&mut self) -> Sink {
        let mut source = Source {
            shared: self.shared.clone(),
            index: self.open,
            over: false,
            bill: Bill::new(self.meter.admitted().clone()),
            counters: self.meter.admitted().counters.clone(),
            token: None,
        };
        self.open += 1;
        Box::new(move |event| source.take(event))
    }

    /// The answers did not begin.
    pub(crate) fn fail(&mut self, trouble: &Trouble) {
        self.meter.fail(trouble);
    }

    /// The next event and whose it is; `None` when every answer has ended.
    pub(crate) async fn next(&mut self) -> Option<(usize, Event)> {
        if self.open == 0 {
            return None;
        }
        let shared = self.shared.clone();
        let come = std::future::poll_fn(move |context| {
            let mut state = shared.lock();
            if state.flooded {
                // What lies there is given up: an answer with a hole in it is not an answer.
                state.events.clear();
                let error = ChatError::Busy {
                    limit: "bytes of an answer that nobody reads".into(),
                    value: shared.unread_bytes_max as u64,
                    retry_after_s: 1,
                };
                return Poll::Ready((0, Event::Failed(error)));
            }
            match state.events.pop_front() {
                Some((index, event)) => {
                    state.unread = state.unread.saturating_sub(size(&event));
                    Poll::Ready((index, event))
                }
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        let (index, event) = tokio::select! {
            biased;
            come = come => come,
            () = self.ending.over() => (0, Event::Failed(ChatError::ShuttingDown)),
        };
        self.meter.see(&event);
        match &event {
            Event::Finished { .. } => self.open -= 1,
            // One failure ends all answers to a request: they share a stream and a status.
            Event::Failed(_) => self.open = 0,
            _ => {}
        }
        Some((index, event))
    }

    /// All answers, whole.
    pub(crate) async fn answers(mut self) -> Result<Vec<Answer>, Trouble> {
        let empty = || (String::new(), Vec::new(), Vec::new());
        let mut parts: Vec<_> = (0..self.open).map(|_| empty()).collect();
        let mut answers: Vec<Option<Answer>> = vec![None; self.open];
        while let Some((index, event)) = self.next().await {
            match event {
                Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
                Event::Text { text, logprobs } => {
                    parts[index].0.push_str(&text);
                    parts[index].2.extend(logprobs);
                }
                Event::Call(call) => parts[index].1.push(call),
                Event::Finished { reason, usage } => {
                    let (text, calls, logprobs) = std::mem::replace(&mut parts[index], empty());
                    answers[index] = Some(Answer { text, calls, logprobs, reason, usage });
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        let whole: Option<Vec<Answer>> = answers.into_iter().collect();
        whole.ok_or_else(|| Trouble::new(Kind::Internal, "an answer has no end"))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.gone = true;
        state.events.clear();
        for computed in state.computed.values() {
            self.meter.computed(computed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending;
    use ondine_chat::FinishReason;

    fn text(text: &str) -> Event {
        Event::Text { text: text.into(), logprobs: Vec::new() }
    }

    fn end() -> Event {
        Event::Finished { reason: FinishReason::Stop, usage: Usage::default() }
    }

    fn feed(bytes: usize) -> Feed {
        Feed::new(bytes, Meter::for_tests(), ending::pair().1)
    }

    fn all(mut feed: Feed) -> Vec<(usize, Event)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let mut events = Vec::new();
            while let Some(event) = feed.next().await {
                events.push(event);
            }
            events
        })
    }

    #[test]
    fn unread_pieces_of_one_answer_grow_together() {
        let mut feed = feed(1000);
        let (mut a, mut b) = (feed.sink(), feed.sink());
        assert!(a(text("x")) && a(text("y")) && b(text("z")) && a(text("w")));
        assert!(a(end()));
        assert!(!a(text("late")), "after its end a sink takes nothing");
        b(end());
        let expected =
            vec![(0, text("xy")), (1, text("z")), (0, text("w")), (0, end()), (1, end())];
        assert_eq!(all(feed), expected);
    }

    #[test]
    fn who_does_not_read_ends_the_answer_at_the_next_event() {
        let mut feed = feed(1000);
        let mut sink = feed.sink();
        assert!(sink(text("x")));
        drop(feed);
        assert!(!sink(text("y")));
    }

    #[test]
    fn a_slow_reader_holds_a_bounded_number_of_bytes() {
        let mut feed = feed(10);
        let mut sink = feed.sink();
        assert!(sink(text("12345")));
        assert!(sink(text("12345")));
        assert!(!sink(text("1")), "the eleventh");
        let events = all(feed);
        assert!(
            matches!(&events[..], [(0, Event::Failed(ChatError::Busy { value: 10, .. }))]),
            "{events:?}"
        );
    }

    #[test]
    fn a_model_that_lets_go_has_failed() {
        let mut feed = feed(1000);
        let mut sink = feed.sink();
        sink(text("x"));
        drop(sink);
        let events = all(feed);
        assert!(matches!(&events[..], [_, (0, Event::Failed(ChatError::Internal(_)))]));
    }

    #[test]
    fn when_the_grace_is_over_what_came_is_read_and_the_rest_is_told() {
        let (ender, ending) = ending::pair();
        let mut feed = Feed::new(1000, Meter::for_tests(), ending);
        let mut sink = feed.sink();
        sink(text("x"));
        ender.drain();
        sink(text("y"));
        ender.over();
        let events = all(feed);
        let over = Event::Failed(ChatError::ShuttingDown);
        assert_eq!(events, [(0, text("xy")), (0, over)]);
        assert!(!sink(text("z")), "nobody reads");
    }
}
