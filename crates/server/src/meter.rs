//! What the server counts: requests, tokens, waiting. Prometheus reads it as text. Every label is
//! from a fixed set or a name that the owner gave to an application, never a client's own text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ondine_chat::{Event, FinishReason, Usage};
use serde_json::{Value, json};

use crate::bill::Admitted;
use crate::histogram::Histogram;
use crate::log::{self, Log};
use crate::trouble::Trouble;
use crate::window::{Timed, Window};

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
    /// Requests without an answer, by application and reason.
    refused: BTreeMap<(String, &'static str), u64>,
    /// From a request to its first token.
    first: Histogram,
    /// From a request to its turn.
    queue: Histogram,
    /// From its turn to the end of its prompt.
    prefill: Histogram,
    /// From there to its end.
    decode: Histogram,
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
        {
            let mut numbers = self.lock();
            *numbers.requests.entry((api, status)).or_default() += 1;
            if let (Some(app), Some(error)) = (app, error) {
                *numbers.refused.entry((app.to_owned(), error)).or_default() += 1;
            }
        }
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

    /// Tokens were computed for an application.
    pub(crate) fn computed(&self, app: &str, usage: &Usage) {
        let mut numbers = self.lock();
        let mut add = |direction, tokens: usize| {
            *numbers.tokens.entry((app.to_owned(), direction)).or_default() += tokens as u64;
        };
        add("in", usage.prompt_tokens);
        add("cached", usage.cached_tokens);
        add("out", usage.completion_tokens);
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
        let help = "Tokens by application and direction; those cached are among those in.";
        head(&mut page, "ondine_tokens_total", "counter", help);
        for ((app, direction), count) in &numbers.tokens {
            let app = label(app);
            let _ = writeln!(
                page,
                "ondine_tokens_total{{app=\"{app}\",direction=\"{direction}\"}} {count}"
            );
        }
        let help = "Requests without an answer, by application and reason.";
        head(&mut page, "ondine_refused_total", "counter", help);
        for ((app, error), count) in &numbers.refused {
            let app = label(app);
            let _ =
                writeln!(page, "ondine_refused_total{{app=\"{app}\",error=\"{error}\"}} {count}");
        }
        let help = "From the request to its first token or call.";
        numbers.first.write(&mut page, "ondine_first_token_seconds", help);
        let help = "From the request to its turn.";
        numbers.queue.write(&mut page, "ondine_queue_seconds", help);
        let help = "From a request's turn to the end of its prompt.";
        numbers.prefill.write(&mut page, "ondine_prefill_seconds", help);
        let help = "From the end of a request's prompt to the end of its answer.";
        numbers.decode.write(&mut page, "ondine_decode_seconds", help);
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
    admitted: Arc<Admitted>,
    id: u64,
    since: Instant,
    started: bool,
    first_s: Option<f64>,
    /// What was computed, and how long the last answer took.
    usage: Usage,
    /// How it ended; where it has not, the reader went away.
    ended: Option<&'static str>,
    failed: bool,
    waiting: usize,
}

impl Meter {
    /// A request with so many answers waits for its turn.
    pub(crate) fn new(admitted: Arc<Admitted>, id: u64, answers: usize) -> Meter {
        admitted.counters.lock().queued += 1;
        Meter {
            admitted,
            id,
            since: Instant::now(),
            started: false,
            first_s: None,
            usage: Usage::default(),
            ended: None,
            failed: false,
            waiting: answers,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Meter {
        let app = crate::App { name: "test".into(), background: false };
        let counters = Arc::new(Counters::new(Arc::new(log::NoLog)));
        let doors = Arc::new(crate::Tokens::new());
        Meter::new(Arc::new(Admitted::new(app, doors, counters)), 1, 1)
    }

    /// Whose request it is.
    pub(crate) fn admitted(&self) -> &Arc<Admitted> {
        &self.admitted
    }

    /// An event went by.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => self.start(),
            Event::Text { .. } | Event::Call(_) if self.first_s.is_none() => {
                let first_s = self.since.elapsed().as_secs_f64();
                self.first_s = Some(first_s);
                self.admitted.counters.lock().first.add(first_s);
                let mut window = self.admitted.counters.window();
                window.time(Instant::now(), Timed::FirstToken, first_s);
            }
            Event::Finished { reason, usage } => {
                self.usage.timing = usage.timing;
                let mut numbers = self.admitted.counters.lock();
                numbers.queue.add(usage.timing.queue_s);
                numbers.prefill.add(usage.timing.prefill_s);
                numbers.decode.add(usage.timing.decode_s);
                drop(numbers);
                self.waiting = self.waiting.saturating_sub(1);
                if self.waiting == 0 {
                    self.ended = Some(reason_name(*reason));
                }
            }
            Event::Failed(error) => self.fail(&error.clone().into()),
            _ => {}
        }
    }

    /// What was computed for one of the answers, once nobody reads any more.
    pub(crate) fn computed(&mut self, usage: &Usage) {
        self.usage.prompt_tokens += usage.prompt_tokens;
        self.usage.cached_tokens += usage.cached_tokens;
        self.usage.completion_tokens += usage.completion_tokens;
        self.usage.dropped_tokens += usage.dropped_tokens;
    }

    /// There will be no answer.
    pub(crate) fn fail(&mut self, trouble: &Trouble) {
        self.ended = Some(trouble.kind.name());
        self.failed = true;
    }

    fn start(&mut self) {
        if !self.started {
            self.started = true;
            let mut numbers = self.admitted.counters.lock();
            numbers.queued -= 1;
            numbers.running += 1;
            drop(numbers);
            let waited_s = self.since.elapsed().as_secs_f64();
            let mut window = self.admitted.counters.window();
            window.time(Instant::now(), Timed::Queue, waited_s);
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
            let mut numbers = self.admitted.counters.lock();
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
            ("app", self.admitted.name().into()),
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
        log::write(&*self.admitted.counters.log, "answer", &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_from_queue_to_end() {
        let counters = Arc::new(Counters::new(Arc::new(log::NoLog)));
        let app = crate::App { name: "a\"b".into(), background: false };
        let doors = Arc::new(crate::Tokens::new());
        let admitted = Arc::new(Admitted::new(app, doors, counters.clone()));
        let says = |line: &str| counters.page().lines().any(|own| own == line);
        let mut meter = Meter::new(admitted.clone(), 1, 1);
        assert!(says("ondine_queued 1") && says("ondine_running 0"));
        meter.see(&Event::Started { prompt_tokens: 5, cached_tokens: 2 });
        assert!(says("ondine_queued 0") && says("ondine_running 1"));
        meter.see(&Event::Text { text: "x".into(), logprobs: Vec::new() });
        let timing = ondine_chat::Timing { queue_s: 0.02, prefill_s: 0.2, decode_s: 2.0 };
        let usage = Usage {
            prompt_tokens: 5,
            cached_tokens: 2,
            completion_tokens: 1,
            timing,
            ..Usage::default()
        };
        meter.see(&Event::Finished { reason: FinishReason::Stop, usage });
        admitted.pay(&usage);
        drop(meter);
        for line in [
            "ondine_running 0",
            "ondine_left_total 0",
            "ondine_tokens_total{app=\"a\\\"b\",direction=\"in\"} 5",
            "ondine_tokens_total{app=\"a\\\"b\",direction=\"cached\"} 2",
            "ondine_tokens_total{app=\"a\\\"b\",direction=\"out\"} 1",
            "ondine_first_token_seconds_bucket{le=\"60\"} 1",
            "ondine_first_token_seconds_count 1",
            "ondine_queue_seconds_bucket{le=\"0.025\"} 1",
            "ondine_prefill_seconds_sum 0.2",
            "ondine_decode_seconds_sum 2",
        ] {
            assert!(says(line), "{line}\n{}", counters.page());
        }
        drop(Meter::new(admitted, 2, 1));
        assert!(says("ondine_left_total 1") && says("ondine_queued 0"));
    }
}
