//! What the server counts: requests, tokens, waiting. Prometheus reads it as text. Every label is
//! from a fixed set or a name that the owner gave to an application, never a client's own text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ondine_chat::{Event, FinishReason, Usage};
use serde_json::{Value, json};

use crate::log::{self, Log};
use crate::trouble::Trouble;
use crate::window::{Timed, Window};

/// Upper bounds of the waiting-time histogram, in seconds.
const BUCKETS_S: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// All numbers since the start.
pub(crate) struct Counters {
    numbers: Mutex<Numbers>,
    begun: Instant,
    /// Of the last minute. Beside the other numbers, because it is touched at every token.
    window: Mutex<Window>,
    log: Arc<dyn Log>,
}

#[derive(Default)]
struct Numbers {
    requests: BTreeMap<(&'static str, u16), u64>,
    tokens: BTreeMap<(String, &'static str), u64>,
    first: [u64; BUCKETS_S.len()],
    first_count: u64,
    first_sum_s: f64,
    running: u64,
    queued: u64,
    left: u64,
    finished: u64,
    failed: u64,
    next_id: u64,
}

impl Counters {
    pub(crate) fn new(log: Arc<dyn Log>) -> Counters {
        let begun = Instant::now();
        let window = Mutex::new(Window::new(begun));
        Counters { numbers: Mutex::new(Numbers::default()), begun, window, log }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token came, so long after the one before it in its answer.
    pub(crate) fn token(&self, now: Instant, before: Option<Instant>) {
        let mut window = self.window();
        window.token(now);
        if let Some(before) = before {
            let seconds = now.saturating_duration_since(before).as_secs_f64();
            window.time(now, Timed::BetweenTokens, seconds);
        }
    }

    /// Numbers for whoever watches: times and pace are of the last minute, the others since the
    /// beginning.
    pub(crate) fn shown(&self, now: Instant) -> Value {
        let window = self.window();
        let times = |what| {
            let at = |share| window.quantile_s(now, what, share);
            json!({ "p50": at(0.5), "p99": at(0.99) })
        };
        let mut shown = json!({
            "uptime_s": now.saturating_duration_since(self.begun).as_secs(),
            "latency": {
                "queue_s": times(Timed::Queue),
                "first_token_s": times(Timed::FirstToken),
                "between_tokens_s": times(Timed::BetweenTokens),
            },
            "tokens_per_s": window.tokens_per_s(now),
        });
        drop(window);
        let numbers = self.lock();
        shown["requests"] = json!({
            "running": numbers.running,
            "waiting": numbers.queued,
            "finished": numbers.finished,
            "failed": numbers.failed,
        });
        shown
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        // Numbers are whole after each statement.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new request, to join its lines in the log.
    pub(crate) fn id(&self) -> u64 {
        let mut numbers = self.lock();
        numbers.next_id += 1;
        numbers.next_id
    }

    /// A request has its status. A stream goes on after that.
    pub(crate) fn answered(&self, request: &Answered<'_>) {
        let Answered { id, api, route, app, status, error, took_s } = *request;
        *self.lock().requests.entry((api, status)).or_default() += 1;
        let mut fields = vec![
            ("id", id.into()),
            ("api", api.into()),
            ("route", route.into()),
            ("status", status.into()),
            ("took_s", took_s.into()),
        ];
        fields.extend(app.map(|app| ("app", app.into())));
        fields.extend(error.map(|error| ("error", error.into())));
        log::write(&*self.log, "request", &fields);
    }

    /// Tokens that were read without an answer: texts that became vectors.
    pub(crate) fn read(&self, app: &str, tokens: usize) {
        *self.lock().tokens.entry((app.to_owned(), "in")).or_default() += tokens as u64;
    }

    /// The page that Prometheus reads.
    pub(crate) fn page(&self) -> String {
        let numbers = self.lock();
        let mut page = String::new();
        let head = |page: &mut String, name: &str, kind: &str, help: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut page, "ondine_requests_total", "counter", "Requests by API and status.");
        for ((api, status), count) in &numbers.requests {
            let _ = writeln!(
                page,
                "ondine_requests_total{{api=\"{api}\",status=\"{status}\"}} {count}"
            );
        }
        head(&mut page, "ondine_tokens_total", "counter", "Tokens by application and direction.");
        for ((app, direction), count) in &numbers.tokens {
            let app = label(app);
            let _ = writeln!(
                page,
                "ondine_tokens_total{{app=\"{app}\",direction=\"{direction}\"}} {count}"
            );
        }
        let name = "ondine_first_token_seconds";
        head(&mut page, name, "histogram", "From the request to its first token or call.");
        for (bound, count) in BUCKETS_S.iter().zip(numbers.first) {
            let _ = writeln!(page, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let (sum, count) = (numbers.first_sum_s, numbers.first_count);
        let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(page, "{name}_sum {sum}\n{name}_count {count}");
        head(&mut page, "ondine_running", "gauge", "Requests that are being answered.");
        let _ = writeln!(page, "ondine_running {}", numbers.running);
        head(&mut page, "ondine_queued", "gauge", "Requests whose turn has not come.");
        let _ = writeln!(page, "ondine_queued {}", numbers.queued);
        head(&mut page, "ondine_left_total", "counter", "Answers whose reader went away.");
        let _ = writeln!(page, "ondine_left_total {}", numbers.left);
        page
    }
}

/// A label's value as Prometheus reads it.
pub(crate) fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A request that has its status.
pub(crate) struct Answered<'a> {
    pub(crate) id: u64,
    pub(crate) api: &'static str,
    /// The route's pattern, not the path: a path may hold anything.
    pub(crate) route: &'a str,
    pub(crate) app: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) error: Option<&'static str>,
    pub(crate) took_s: f64,
}

/// Watches the answers to one request.
pub(crate) struct Meter {
    counters: Arc<Counters>,
    id: u64,
    app: String,
    since: Instant,
    started: bool,
    first_s: Option<f64>,
    usage: Usage,
    /// How it ended; where it has not, the reader went away.
    ended: Option<&'static str>,
    failed: bool,
    waiting: usize,
}

impl Meter {
    /// A request with so many answers waits for its turn.
    pub(crate) fn new(counters: Arc<Counters>, id: u64, app: String, answers: usize) -> Meter {
        counters.lock().queued += 1;
        Meter {
            counters,
            id,
            app,
            since: Instant::now(),
            started: false,
            first_s: None,
            usage: Usage::default(),
            ended: None,
            failed: false,
            waiting: answers,
        }
    }

    /// Where its numbers go.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Meter {
        Meter::new(Arc::new(Counters::new(Arc::new(log::NoLog))), 1, "test".into(), 1)
    }

    /// An event went by.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => self.start(),
            Event::Text { .. } | Event::Call(_) if self.first_s.is_none() => {
                let first_s = self.since.elapsed().as_secs_f64();
                self.first_s = Some(first_s);
                let mut numbers = self.counters.lock();
                for (bound, count) in BUCKETS_S.iter().zip(&mut numbers.first) {
                    *count += u64::from(first_s <= *bound);
                }
                numbers.first_count += 1;
                numbers.first_sum_s += first_s;
                drop(numbers);
                self.counters.window().time(Instant::now(), Timed::FirstToken, first_s);
            }
            Event::Finished { reason, usage } => {
                self.usage.prompt_tokens += usage.prompt_tokens;
                self.usage.cached_tokens += usage.cached_tokens;
                self.usage.completion_tokens += usage.completion_tokens;
                self.usage.dropped_tokens += usage.dropped_tokens;
                self.usage.timing = usage.timing;
                let mut numbers = self.counters.lock();
                let mut add = |direction, tokens: usize| {
                    *numbers.tokens.entry((self.app.clone(), direction)).or_default() +=
                        tokens as u64;
                };
                add("in", usage.prompt_tokens);
                add("out", usage.completion_tokens);
                self.waiting = self.waiting.saturating_sub(1);
                if self.waiting == 0 {
                    self.ended = Some(reason_name(*reason));
                }
            }
            Event::Failed(error) => self.fail(&error.clone().into()),
            _ => {}
        }
    }

    /// There will be no answer.
    pub(crate) fn fail(&mut self, trouble: &Trouble) {
        self.ended = Some(trouble.kind.name());
        self.failed = true;
    }

    fn start(&mut self) {
        if !self.started {
            self.started = true;
            let mut numbers = self.counters.lock();
            numbers.queued -= 1;
            numbers.running += 1;
            drop(numbers);
            let waited_s = self.since.elapsed().as_secs_f64();
            self.counters.window().time(Instant::now(), Timed::Queue, waited_s);
        }
    }
}

fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::StopText => "stop_text",
        FinishReason::Length => "length",
        FinishReason::Calls => "calls",
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        {
            let mut numbers = self.counters.lock();
            if self.started {
                numbers.running -= 1;
            } else {
                numbers.queued -= 1;
            }
            numbers.left += u64::from(self.ended.is_none());
            numbers.failed += u64::from(self.failed);
            numbers.finished += u64::from(self.ended.is_some() && !self.failed);
        }
        let fields = [
            ("id", self.id.into()),
            ("app", self.app.as_str().into()),
            ("end", self.ended.unwrap_or("reader_left").into()),
            ("prompt_tokens", self.usage.prompt_tokens.into()),
            ("cached_tokens", self.usage.cached_tokens.into()),
            ("completion_tokens", self.usage.completion_tokens.into()),
            ("dropped_tokens", self.usage.dropped_tokens.into()),
            ("queue_s", self.usage.timing.queue_s.into()),
            ("prefill_s", self.usage.timing.prefill_s.into()),
            ("decode_s", self.usage.timing.decode_s.into()),
            ("first_token_s", self.first_s.into()),
            ("took_s", self.since.elapsed().as_secs_f64().into()),
        ];
        log::write(&*self.counters.log, "answer", &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_from_queue_to_end() {
        let counters = Arc::new(Counters::new(Arc::new(log::NoLog)));
        let says = |line: &str| counters.page().lines().any(|own| own == line);
        let mut meter = Meter::new(counters.clone(), 1, "a\"b".into(), 1);
        assert!(says("ondine_queued 1") && says("ondine_running 0"));
        meter.see(&Event::Started { prompt_tokens: 5, cached_tokens: 0 });
        assert!(says("ondine_queued 0") && says("ondine_running 1"));
        meter.see(&Event::Text { text: "x".into(), logprobs: Vec::new() });
        let usage = Usage { prompt_tokens: 5, completion_tokens: 1, ..Usage::default() };
        meter.see(&Event::Finished { reason: FinishReason::Stop, usage });
        drop(meter);
        for line in [
            "ondine_running 0",
            "ondine_left_total 0",
            "ondine_tokens_total{app=\"a\\\"b\",direction=\"in\"} 5",
            "ondine_tokens_total{app=\"a\\\"b\",direction=\"out\"} 1",
            "ondine_first_token_seconds_bucket{le=\"60\"} 1",
            "ondine_first_token_seconds_count 1",
        ] {
            assert!(says(line), "{line}\n{}", counters.page());
        }
        drop(Meter::new(counters.clone(), 2, "a".into(), 1));
        assert!(says("ondine_left_total 1") && says("ondine_queued 0"));
    }
}
