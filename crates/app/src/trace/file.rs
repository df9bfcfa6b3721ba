//! A listener that writes each span, when it ends, as one line of OTLP/JSON. It is small: it knows one
//! file, no network and no batches.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{self, Interest, Subscriber};
use tracing::{Dispatch, Event, Level, Metadata};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{TraceError, WORDS, otlp};

/// Bytes of one attribute's text. What is longer is cut, and says so.
const ATTRIBUTE_BYTES_MAX: usize = 1 << 20;
/// Notes that a span keeps; more are counted.
const EVENTS_MAX: usize = 128;

thread_local! {
    /// The spans that this thread is in, innermost last, with the listener that each is of.
    static INSIDE: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A file of spans. Cheap to clone; all clones write to the same one.
#[derive(Clone)]
pub struct TraceFile(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Which listener this is, among those of this process.
    number: u64,
    /// What ids are made of.
    seed: u64,
    /// Where time starts: spans are timed by a clock that does not jump.
    began: (Instant, u64),
    words: bool,
    state: Mutex<State>,
}

struct State {
    file: File,
    open: HashMap<u64, Open>,
    next: u64,
    /// What the disk said first. Nothing is written after it.
    problem: Option<io::Error>,
}

/// A span that has not ended.
struct Open {
    name: String,
    trace: u128,
    parent: Option<u64>,
    started_ns: u64,
    /// How many hold it.
    holders: usize,
    fields: Vec<(&'static str, Value)>,
    events: Vec<Value>,
    events_left_out: usize,
}

impl TraceFile {
    /// A new file; what was there before is gone.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<TraceFile, TraceError> {
        static LISTENERS: AtomicU64 = AtomicU64::new(1);
        let path = path.as_ref().to_path_buf();
        let file = File::create(&path)
            .map_err(|source| TraceError::File { path: path.clone(), source })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = (Instant::now(), u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let state = State { file, open: HashMap::new(), next: 1, problem: None };
        Ok(TraceFile(Arc::new(Inner {
            path,
            number: LISTENERS.fetch_add(1, Ordering::Relaxed),
            seed: RandomState::new().build_hasher().finish(),
            began,
            words: false,
            state: Mutex::new(state),
        })))
    }

    /// Words go in too: what was asked and answered, prompts, tokens. They may be private.
    pub fn with_words(self) -> TraceFile {
        let TraceFile(inner) = self;
        match Arc::try_unwrap(inner) {
            Ok(inner) => TraceFile(Arc::new(Inner { words: true, ..inner })),
            // Somebody listens already; what was promised to them stays.
            Err(inner) => TraceFile(inner),
        }
    }

    /// Listens to what this thread does in a task, and gives what came of it. Threads that the task
    /// starts are heard where they are handed the listener, as those of this crate are.
    pub fn listen<T>(&self, task: impl FnOnce() -> T) -> T {
        subscriber::with_default(self.clone(), task)
    }

    /// Listens to the whole program from now on.
    ///
    /// # Errors
    /// Somebody listens already.
    pub fn install(&self) -> Result<(), TraceError> {
        tracing::dispatcher::set_global_default(Dispatch::new(self.clone()))
            .map_err(|_| TraceError::Taken)
    }

    /// Whether all that ended is in the file.
    ///
    /// # Errors
    /// What the disk said when something could not be written.
    pub fn flushed(&self) -> Result<(), TraceError> {
        let mut state = self.0.lock();
        match state.problem.take() {
            Some(source) => Err(TraceError::File { path: self.0.path.clone(), source }),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        let (instant, unix_ns) = self.began;
        let since = u64::try_from(instant.elapsed().as_nanos()).unwrap_or(u64::MAX);
        unix_ns.saturating_add(since)
    }

    /// A number that no other span of any file is likely to have.
    fn name_of(&self, what: &str, number: u64) -> u128 {
        let text = format!("{what} {} {} {number}", self.number, self.began.1);
        xxh3_128_with_seed(text.as_bytes(), self.seed)
    }

    fn span_id(&self, number: u64) -> String {
        format!("{:016x}", (self.name_of("span", number) as u64).max(1))
    }

    /// The innermost span of this file that this thread is in.
    fn inside(&self) -> Option<u64> {
        INSIDE.with_borrow(|inside| {
            inside.iter().rev().find(|(number, _)| *number == self.number).map(|(_, id)| *id)
        })
    }

    fn write(&self, state: &mut State, id: u64, span: Open) {
        let fields = span.fields.iter();
        let attributes: Vec<Value> = fields
            .clone()
            .filter(|(key, _)| !key.starts_with("otel."))
            .map(|(key, value)| otlp::attribute(key, value))
            .collect();
        let field = |name: &str| fields.clone().find(|(key, _)| *key == name).map(|(_, v)| v);
        let name = field("otel.name").and_then(Value::as_str).unwrap_or(&span.name);
        let kind = match field("otel.kind").and_then(Value::as_str) {
            Some("client") => 3,
            _ => 1,
        };
        let mut line = json!({
            "traceId": format!("{:032x}", span.trace.max(1)),
            "spanId": self.span_id(id),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": span.started_ns.to_string(),
            "endTimeUnixNano": self.now_ns().to_string(),
            "attributes": attributes,
        });
        if let Some(parent) = span.parent {
            line["parentSpanId"] = self.span_id(parent).into();
        }
        if !span.events.is_empty() {
            line["events"] = span.events.into();
        }
        if span.events_left_out > 0 {
            line["droppedEventsCount"] = span.events_left_out.into();
        }
        if let Some(error) = field("error.type").and_then(Value::as_str) {
            line["status"] = json!({ "code": 2, "message": error });
        }
        let mut text = otlp::document(line).to_string();
        text.push('\n');
        // One write a line: a program that is killed leaves whole spans behind, but for the last.
        if state.problem.is_none()
            && let Err(error) = state.file.write_all(text.as_bytes())
        {
            state.problem = Some(error);
        }
    }
}

/// Fields of a span or of a note, in the order in which they came; a later value takes the place of an
/// earlier one.
struct Fields<'a>(&'a mut Vec<(&'static str, Value)>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut end = value.len().min(ATTRIBUTE_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let cut = value.len() - end;
        let text = match cut {
            0 => value.to_owned(),
            _ => format!("{}[… {cut} bytes left out]", &value[..end]),
        };
        self.set(field, text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Subscriber for TraceFile {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Words are asked for by a listener, not by the place: another one may not want them.
        if metadata.target() == WORDS { Interest::sometimes() } else { Interest::always() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.target() == WORDS {
            return self.0.words;
        }
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let inner = &self.0;
        let parent = match span.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if span.is_contextual() => inner.inside(),
            None => None,
        };
        let started_ns = inner.now_ns();
        let mut fields = Vec::new();
        span.record(&mut Fields(&mut fields));
        let mut state = inner.lock();
        let id = state.next;
        state.next += 1;
        // A parent that ended is none that is known any more.
        let parent = parent.filter(|parent| state.open.contains_key(parent));
        let trace = parent
            .and_then(|parent| state.open.get(&parent))
            .map_or_else(|| inner.name_of("trace", id), |parent| parent.trace);
        let name = span.metadata().name().to_owned();
        let open = Open {
            name,
            trace,
            parent,
            started_ns,
            holders: 1,
            fields,
            events: Vec::new(),
            events_left_out: 0,
        };
        state.open.insert(id, open);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(span) = self.0.lock().open.get_mut(&id.into_u64()) {
            values.record(&mut Fields(&mut span.fields));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let inside = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None => self.0.inside(),
        };
        let mut fields = Vec::new();
        event.record(&mut Fields(&mut fields));
        let time = self.0.now_ns().to_string();
        let mut state = self.0.lock();
        let Some(span) = inside.and_then(|id| state.open.get_mut(&id)) else { return };
        if span.events.len() == EVENTS_MAX {
            span.events_left_out += 1;
            return;
        }
        let message = fields.iter().find(|(key, _)| *key == "message");
        let name = message.and_then(|(_, value)| value.as_str()).unwrap_or("event").to_owned();
        let others = fields.iter().filter(|(key, _)| *key != "message");
        let attributes: Vec<Value> =
            others.map(|(key, value)| otlp::attribute(key, value)).collect();
        span.events.push(json!({ "timeUnixNano": time, "name": name, "attributes": attributes }));
    }

    fn enter(&self, id: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push((self.0.number, id.into_u64())));
    }

    fn exit(&self, id: &Id) {
        INSIDE.with_borrow_mut(|inside| {
            let this = (self.0.number, id.into_u64());
            if let Some(at) = inside.iter().rposition(|other| *other == this) {
                inside.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.0.lock().open.get_mut(&id.into_u64()) {
            span.holders += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let number = id.into_u64();
        let mut state = self.0.lock();
        let Some(span) = state.open.get_mut(&number) else { return false };
        span.holders -= 1;
        if span.holders > 0 {
            return false;
        }
        if let Some(span) = state.open.remove(&number) {
            self.0.write(&mut state, number, span);
        }
        true
    }
}
