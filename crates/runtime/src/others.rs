//! Those who answer and are no engine of this runtime: they get a queue that is as fair, the same
//! bounds, and a thread on which they answer one request at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ondine_chat::{Chat, ChatError, Event, Model, ModelStatus, Rendered, Request, Sink, Timing};

use crate::Limits;
use crate::budget::Account;
use crate::queue::Fair;

/// How often those who wait are asked whether they still do.
const ASK: Duration = Duration::from_millis(150);

/// Somebody else who answers.
pub(crate) struct Other {
    pub(crate) about: Model,
    shared: Arc<Shared>,
    limits: Limits,
    thread: Option<JoinHandle<()>>,
    _account: Account,
}

struct Shared {
    chat: Arc<dyn Chat>,
    state: Mutex<State>,
    came: Condvar,
    tokens: AtomicU64,
}

struct State {
    queue: Fair<Asked>,
    /// The app that is being answered.
    running: Option<String>,
    closed: bool,
}

struct Asked {
    request: Request,
    sink: Sink,
    came: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until it is closed.
    fn work(&self) {
        let mut asked = Instant::now();
        loop {
            let mut state = self.lock();
            state.running = None;
            if state.closed {
                return;
            }
            if asked.elapsed() >= ASK {
                asked = Instant::now();
                state.queue.retain(|before, one| (one.sink)(Event::Waiting { before }));
            }
            let Some((app, next)) = state.queue.pop() else {
                drop(self.came.wait(state).unwrap_or_else(PoisonError::into_inner));
                continue;
            };
            state.running = Some(app.clone());
            drop(state);
            let tokens = self.answer(next);
            let mut state = self.lock();
            state.queue.pay(&app, tokens);
            state.queue.tidy(|_| false);
        }
    }

    /// Answers one; gives how many tokens that were.
    fn answer(&self, asked: Asked) -> u64 {
        let Asked { request, sink, came } = asked;
        let (queue_s, began) = (came.elapsed().as_secs_f64(), Instant::now());
        let mut read_s = None;
        let spent = Arc::new(AtomicU64::new(0));
        // Shared, so that who is refused now can be told.
        let sink = Arc::new(Mutex::new(sink));
        let (tokens, listener) = (Arc::clone(&spent), Arc::clone(&sink));
        let watched = move |mut event| {
            let now_s = began.elapsed().as_secs_f64();
            if !matches!(event, Event::Started { .. }) {
                // What comes first after the beginning comes when the prompt is read.
                read_s.get_or_insert(now_s);
            }
            if let Event::Finished { usage, .. } = &mut event {
                let prefill_s = read_s.unwrap_or(now_s);
                usage.timing = Timing { queue_s, prefill_s, decode_s: now_s - prefill_s };
                let all = usage.prompt_tokens + usage.completion_tokens;
                tokens.store(all as u64, Ordering::Relaxed);
            }
            listener.lock().unwrap_or_else(PoisonError::into_inner)(event)
        };
        if let Err(error) = self.chat.start(request, Box::new(watched)) {
            sink.lock().unwrap_or_else(PoisonError::into_inner)(Event::Failed(error));
        }
        let tokens = spent.load(Ordering::Relaxed);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        tokens
    }
}

impl Other {
    pub(crate) fn new(
        about: Model,
        chat: Arc<dyn Chat>,
        limits: Limits,
        account: Account,
    ) -> Result<Other, ChatError> {
        let state = State { queue: Fair::new(), running: None, closed: false };
        let shared = Arc::new(Shared {
            chat,
            state: Mutex::new(state),
            came: Condvar::new(),
            tokens: AtomicU64::new(0),
        });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("model {}", about.name))
            .spawn(move || its.work())
            .map_err(|error| ChatError::Internal(format!("no thread for a model: {error}")))?;
        Ok(Other { about, shared, limits, thread: Some(thread), _account: account })
    }

    /// Puts a request down, if there is room and its prompt can be read.
    pub(crate) fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        self.shared.chat.count_tokens(&request)?;
        let mut state = self.shared.lock();
        if state.closed {
            return Err(ChatError::ShuttingDown);
        }
        state.queue.room(&request.app, &self.limits)?;
        let (app, background) = (request.app.clone(), request.background);
        state.queue.push(&app, background, Asked { request, sink, came: Instant::now() });
        drop(state);
        self.shared.came.notify_one();
        Ok(())
    }

    pub(crate) fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.shared.chat.count_tokens(request)
    }

    pub(crate) fn rendered(&self, request: &Request) -> Result<Rendered, ChatError> {
        self.shared.chat.rendered(request)
    }

    pub(crate) fn status(&self) -> ModelStatus {
        let state = self.shared.lock();
        ModelStatus {
            loaded: true,
            bytes: self.about.bytes,
            sha256: self.about.sha256.clone(),
            waiting: state.queue.counts(),
            running: state.running.iter().map(|app| (app.clone(), 1)).collect(),
            tokens: self.shared.tokens.load(Ordering::Relaxed),
            ..ModelStatus::default()
        }
    }

    /// Takes no more requests, tells those who wait, and lets the one that runs end.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let told: Vec<Asked> = state.queue.drain().collect();
        drop(state);
        self.shared.came.notify_one();
        for mut one in told {
            (one.sink)(Event::Failed(ChatError::ShuttingDown));
        }
    }

    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Where it broke down, its request's sink is gone with it.
            let _ = thread.join();
        }
    }
}
