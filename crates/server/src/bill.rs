//! What an answer costs its application: counted where it is computed, so that an answer whose reader
//! went away is paid for too. It knows no quota: whoever keeps the doors is told what was spent.

use std::sync::Arc;

use ondine_chat::{Event, Usage};

use crate::meter::Counters;
use crate::{App, Doors};

/// An application that may have something computed. Whatever computes for one needs it, so that
/// nothing is computed for those whose quota is used up, and nothing goes uncounted.
pub(crate) struct Admitted {
    app: App,
    doors: Arc<dyn Doors>,
    pub(crate) counters: Arc<Counters>,
}

impl Admitted {
    /// The word of whoever has asked the doors.
    pub(crate) fn new(app: App, doors: Arc<dyn Doors>, counters: Arc<Counters>) -> Admitted {
        Admitted { app, doors, counters }
    }

    /// Its application's name.
    pub(crate) fn name(&self) -> &str {
        &self.app.name
    }

    /// Tokens that were computed for it.
    pub(crate) fn pay(&self, computed: &Usage) {
        let Usage { prompt_tokens, cached_tokens, completion_tokens, .. } = *computed;
        self.counters.computed(&self.app.name, computed);
        // What was there from before has cost nothing.
        let tokens = prompt_tokens.saturating_sub(cached_tokens) + completion_tokens;
        self.doors.spent(&self.app, tokens as u64);
    }
}

/// One answer's bill, which is paid once: at the answer's end, or where it is let go.
pub(crate) struct Bill {
    admitted: Arc<Admitted>,
    /// What the model has said of the prompt.
    prompt_tokens: usize,
    computed: Usage,
    paid: bool,
}

impl Bill {
    pub(crate) fn new(admitted: Arc<Admitted>) -> Bill {
        Bill { admitted, prompt_tokens: 0, computed: Usage::default(), paid: false }
    }

    /// An event of the answer; gives what has been computed until now.
    pub(crate) fn see(&mut self, event: &Event) -> Usage {
        let computed = &mut self.computed;
        match event {
            Event::Started { prompt_tokens, cached_tokens } => {
                self.prompt_tokens = *prompt_tokens;
                computed.cached_tokens = *cached_tokens;
                computed.prompt_tokens = *cached_tokens;
            }
            Event::Reading { done } => {
                computed.prompt_tokens = (*done).clamp(computed.prompt_tokens, self.prompt_tokens);
            }
            // A model says a piece of text with each token, if only an empty one.
            Event::Text { logprobs, .. } => {
                computed.prompt_tokens = self.prompt_tokens;
                computed.completion_tokens += logprobs.len().max(1);
            }
            Event::Finished { usage, .. } => {
                self.computed = *usage;
                self.pay();
            }
            Event::Failed(_) => self.pay(),
            _ => {}
        }
        self.computed
    }

    fn pay(&mut self) {
        if !std::mem::replace(&mut self.paid, true) {
            self.admitted.pay(&self.computed);
        }
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.pay();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoLog, Refusal};
    use ondine_chat::{ChatError, FinishReason};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Purse(AtomicU64);

    impl Doors for Purse {
        fn who(&self, _: Option<&str>) -> Result<App, Refusal> {
            Err(Refusal::Unknown)
        }
        fn spent(&self, app: &App, tokens: u64) {
            assert_eq!(app.name, "a");
            self.0.fetch_add(tokens, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_computed_is_paid_once_however_it_ends() {
        let text = |logprobs| Event::Text { text: "x".into(), logprobs };
        let started = Event::Started { prompt_tokens: 100, cached_tokens: 40 };
        let usage = Usage { prompt_tokens: 100, cached_tokens: 40, ..Usage::default() };
        let usage = Usage { completion_tokens: 7, ..usage };
        let finished = Event::Finished { reason: FinishReason::Stop, usage };
        let failed = Event::Failed(ChatError::ShuttingDown);
        let rows = [
            (vec![], 0),
            (vec![failed.clone()], 0),
            (vec![started.clone()], 0),
            (vec![started.clone(), Event::Reading { done: 64 }], 24),
            (vec![started.clone(), Event::Reading { done: usize::MAX }], 60),
            (vec![started.clone(), Event::Reading { done: 64 }, text(vec![])], 61),
            (vec![started.clone(), text(vec![]), text(vec![]), failed], 62),
            (vec![started.clone(), text(vec![]), finished.clone()], 67),
            (vec![started, finished.clone(), finished], 67),
        ];
        for (events, expected) in rows {
            let purse = Arc::new(Purse::default());
            let app = App { name: "a".into(), background: false };
            let counters = Arc::new(Counters::new(Arc::new(NoLog)));
            let admitted = Arc::new(Admitted::new(app, purse.clone(), counters.clone()));
            let mut bill = Bill::new(admitted);
            for event in &events {
                bill.see(event);
            }
            drop(bill);
            assert_eq!(purse.0.load(Ordering::SeqCst), expected, "{events:?}");
        }
    }
}
