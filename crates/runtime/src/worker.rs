//! The thread of a version of a model. It owns everything that changes: who runs, what is kept. What
//! waits is on its [`Desk`], until another version answers: it then ends with those who run.
//!
//! ```text
//! for ever
//!     take from the queue while there are places and bytes
//!     evaluate together: one token of everybody who speaks, and of the prompts a piece
//!     everybody whose prompt is read takes a token and tells it
//! ```
//!
//! A prompt goes in pieces so small that nobody's words stop for long: as many tokens as are evaluated
//! in [`STEP_S`], by the pace of the steps before.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ondine_chat::{ChatError, Event, FinishReason, Sink, Timing, TokenLogprob, Usage};
use ondine_engine::{
    Engine, FinishReason as Ended, Session, SessionOptions, Share, Speech, Step, evaluate_together,
};
use ondine_model::{BATCH, Scratch};

use crate::kept::{Disk, Fetched, Keeping};
use crate::line::{Arrival, Desk, Serving, State, bytes_for};
use crate::porter::Porter;
use crate::turn::Reading;

/// How long a step may take while somebody speaks, in seconds: half of what a listener is promised.
const STEP_S: f64 = 0.07;

/// Tokens of a prompt that a step takes at least.
const PIECE_MIN: usize = 16;

/// How often those who wait are asked whether they still do.
const ASK: Duration = Duration::from_millis(150);

/// How long a worker waits for bytes that another model may give back.
const WAIT_FOR_BYTES: Duration = Duration::from_millis(20);

/// How long nobody must be served before what is kept is written to the disk.
const IDLE: Duration = Duration::from_millis(500);

/// A request that is being answered.
struct Running {
    app: String,
    /// The kept conversation that it continues.
    id: Option<String>,
    session: Session,
    speech: Speech,
    reading: Reading,
    sink: Sink,
    logprobs: Option<usize>,
    /// Bytes that it was promised.
    bytes: u64,
    usage: Usage,
    /// When it began to run, and when its prompt was read.
    began: Instant,
    spoke: Option<Instant>,
    number: u64,
}

/// Takes requests and answers them until the line is closed or another version answers, and those who
/// run are done.
pub(crate) fn work(engine: &Arc<Engine>, serving: &Serving, desk: &Desk) {
    let porter = Porter::default();
    std::thread::scope(|scope| {
        // However this ends, the porter ends with it.
        let closing = porter.closing();
        let folder = desk.folder.as_deref();
        let carrying = folder.and_then(|folder| {
            let carry = || porter.carry(folder, || desk.wake());
            std::thread::Builder::new().name("porter".into()).spawn_scoped(scope, carry).ok()
        });
        let disk = folder.filter(|_| carrying.is_some());
        let disk = disk.map(|folder| Disk::new(folder, &porter, engine, &desk.fingerprint));
        let mut worker = Worker {
            engine,
            serving,
            desk,
            running: Vec::new(),
            fetching: Vec::new(),
            kept: Keeping::new(engine, &desk.budget, disk),
            scratch: Scratch::new(engine.shape()),
            token_s: 0.0,
            admitted: crate::turn::chance(),
            asked: Instant::now(),
            served: Instant::now(),
        };
        while worker.admit() {
            worker.step();
        }
        worker.kept.leave();
        drop(closing);
        // What it was still writing is free when it ends.
        let _ = carrying.map(|thread| thread.join());
        worker.kept.news();
    });
}

/// A request whose keys and values come from the disk.
struct Fetching {
    arrival: Arrival,
    /// Bytes that it was promised.
    bytes: u64,
    job: u64,
}

struct Worker<'a> {
    engine: &'a Arc<Engine>,
    serving: &'a Serving,
    desk: &'a Desk,
    running: Vec<Running>,
    fetching: Vec<Fetching>,
    kept: Keeping<'a>,
    scratch: Scratch,
    /// Seconds that a token of a prompt takes, of late; 0 before the first.
    token_s: f64,
    /// A number for each request, from a beginning by chance: a call's name must not come twice, also not
    /// in a conversation that began before this process.
    admitted: u64,
    /// When those who wait were asked last.
    asked: Instant,
    /// When the last step ended.
    served: Instant,
}

impl Worker<'_> {
    /// Takes from the queue what there is room for, waiting where nothing runs; whether to go on.
    fn admit(&mut self) -> bool {
        loop {
            self.hear();
            let mut state = self.desk.lock();
            let ends = state.closed || !state.is_serving(self.desk.number);
            let admitted = self.running.len() + self.fetching.len();
            if ends && admitted == 0 {
                return false;
            }
            let doing = state.doing.entry(self.desk.number).or_default();
            let shed = std::mem::take(&mut doing.shed);
            if shed > 0 && !ends {
                drop(state);
                self.kept.shed(shed);
                continue;
            }
            let room = !ends && admitted < self.desk.limits.running;
            let next = if room { state.next(self.desk.number) } else { None };
            let Some(waiting) = next else {
                if room && let Some(doing) = state.doing.get_mut(&self.desk.number) {
                    // Whoever lacked bytes has gone away: nobody need make room for him.
                    doing.lacks = None;
                }
                if !self.running.is_empty() {
                    return true;
                }
                self.rest(state);
                continue;
            };
            drop(state);
            let Some(arrival) = self.desk.receive(waiting, self.serving) else { continue };
            if let Err(arrival) = self.begin(arrival) {
                self.desk.put_back(*arrival);
                if !self.running.is_empty() {
                    return true;
                }
                let busy = !self.fetching.is_empty();
                self.desk.lock().doing.entry(self.desk.number).or_default().busy = busy;
                self.ask();
                std::thread::sleep(WAIT_FOR_BYTES);
            }
        }
    }

    /// Waits until there is something to do. Where nobody came for a moment, what is kept is written.
    fn rest(&mut self, mut state: MutexGuard<'_, State>) {
        let doing = state.doing.entry(self.desk.number).or_default();
        doing.kept = self.kept.bytes();
        if self.kept.has_news() || !doing.forgotten.is_empty() {
            return;
        }
        if self.fetching.is_empty() {
            self.desk.rest(&mut state);
        }
        let changed = &self.desk.line.changed;
        if self.fetching.is_empty() && self.kept.waits_for_its_name() {
            drop(changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner));
            return;
        }
        if !self.fetching.is_empty() || !self.kept.has_unwritten() {
            drop(changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            return;
        }
        let left = IDLE.saturating_sub(self.served.elapsed());
        if left.is_zero() {
            drop(state);
            return self.kept.write_one();
        }
        drop(changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner));
    }

    /// Hears what the disk did, and what is to be forgotten.
    fn hear(&mut self) {
        for Fetched { job, session } in self.kept.news() {
            let place = self.fetching.iter().position(|fetching| fetching.job == job);
            if let Some(Fetching { arrival, bytes, .. }) = place.map(|at| self.fetching.remove(at))
            {
                self.start(arrival, bytes, session);
            }
        }
        let doing = &mut self.desk.lock().doing;
        let forgotten =
            doing.get_mut(&self.desk.number).map(|own| std::mem::take(&mut own.forgotten));
        for (app, id) in forgotten.unwrap_or_default() {
            self.kept.forget(&app, &id);
        }
    }

    /// Begins to answer, or gives the request back where there are no bytes for it now.
    fn begin(&mut self, arrival: Arrival) -> Result<(), Box<Arrival>> {
        let bytes = bytes_for(self.engine, &arrival.turn);
        if !self.kept.take(bytes) {
            // What is being written will do, or nothing of its own does.
            if self.kept.owed() == 0 {
                self.desk.lacks(bytes);
            }
            return Err(Box::new(arrival));
        }
        self.desk.lacks(0);
        match self.kept.fetch(&arrival.app, &arrival.turn.tokens, self.token_s) {
            Some(job) => self.fetching.push(Fetching { arrival, bytes, job }),
            None => self.start(arrival, bytes, None),
        }
        Ok(())
    }

    /// Answers from now on, with what came from the disk or is in memory.
    fn start(&mut self, mut arrival: Arrival, bytes: u64, restored: Option<Session>) {
        let turn = &arrival.turn;
        let prepared = (|| {
            let known = restored.or_else(|| self.kept.fork(&arrival.app, &turn.tokens));
            let mut session = match known {
                Some(session) => session,
                None => self.engine.session(SessionOptions::default())?,
            };
            let reused = session.prepare(&turn.tokens)?;
            Ok((session, reused, Speech::new(turn.options())?))
        })();
        let (session, cached_tokens, speech) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let error: ondine_engine::EngineError = error;
                self.desk.budget.give(bytes);
                (arrival.sink)(Event::Failed(ChatError::Internal(error.to_string())));
                return;
            }
        };
        let prompt_tokens = turn.tokens.len();
        if !(arrival.sink)(Event::Started { prompt_tokens, cached_tokens }) {
            self.desk.budget.give(bytes);
            return;
        }
        let began = Instant::now();
        let timing = Timing { queue_s: (began - arrival.came).as_secs_f64(), ..Timing::default() };
        self.admitted = self.admitted.wrapping_add(1);
        self.running.push(Running {
            session,
            speech,
            reading: turn.reading(),
            logprobs: turn.logprobs,
            bytes,
            usage: Usage {
                prompt_tokens,
                cached_tokens,
                completion_tokens: 0,
                dropped_tokens: turn.dropped,
                timing,
            },
            began,
            spoke: None,
            number: self.admitted,
            app: arrival.app,
            id: arrival.request.session.clone(),
            sink: arrival.sink,
        });
        self.desk.lock().cached_tokens += cached_tokens as u64;
    }

    /// How many tokens of each who runs are evaluated in this step: everybody who speaks has one, and
    /// the rest is for the prompts, first come first served.
    fn plan(&self) -> Vec<usize> {
        let speaking = self.running.iter().filter(|one| one.spoke.is_some()).count();
        let mut left = BATCH - speaking.min(BATCH);
        if speaking > 0 && self.token_s > 0.0 {
            left = left.min(((STEP_S / self.token_s) as usize).max(PIECE_MIN));
        }
        let share = |one: &Running| {
            if one.spoke.is_some() {
                return one.session.pending().min(1);
            }
            let tokens = one.session.pending().min(left);
            left -= tokens;
            tokens
        };
        self.running.iter().map(share).collect()
    }

    /// Evaluates once for all, and lets everybody who can say a token.
    fn step(&mut self) {
        let plan = self.plan();
        let tokens: usize = plan.iter().sum();
        let mut shares: Vec<Share<'_>> = (self.running.iter_mut())
            .zip(&plan)
            .map(|(one, &tokens)| Share {
                likeliest: one.speech.likeliest(),
                session: &mut one.session,
                tokens,
                result: Ok(()),
            })
            .collect();
        let begun = Instant::now();
        evaluate_together(self.engine, &mut self.scratch, &mut shares);
        let results: Vec<_> = shares.into_iter().map(|share| share.result).collect();
        let prompts = tokens.saturating_sub(plan.iter().filter(|n| **n == 1).count());
        if prompts >= PIECE_MIN {
            let now = begun.elapsed().as_secs_f64() / tokens as f64;
            self.token_s = if self.token_s == 0.0 { now } else { 0.7 * self.token_s + 0.3 * now };
        }

        let served = self.running.iter().zip(&plan);
        let served: Vec<(String, u64)> =
            served.map(|(one, &tokens)| (one.app.clone(), tokens as u64)).collect();
        let mut went_on = Vec::with_capacity(self.running.len());
        for (mut one, result) in std::mem::take(&mut self.running).into_iter().zip(results) {
            let goes_on = match result {
                Err(error) => {
                    (one.sink)(Event::Failed(ChatError::Internal(error.to_string())));
                    false
                }
                // Nothing to say yet; but who has gone away is not read to.
                Ok(()) if one.session.pending() > 0 => {
                    let done = one.session.tokens().len() - one.session.pending();
                    (one.sink)(Event::Reading { done })
                }
                Ok(()) => one.speak(self.engine),
            };
            if goes_on {
                went_on.push(one);
            } else {
                self.end(one);
            }
        }
        self.running = went_on;

        let mut state = self.desk.lock();
        for (app, tokens) in served {
            state.queue.pay(&app, tokens);
        }
        let mut by_app = BTreeMap::new();
        for one in &self.running {
            *by_app.entry(one.app.clone()).or_default() += 1;
        }
        let own = state.doing.entry(self.desk.number).or_default();
        (own.running, own.kept) = (by_app, self.kept.bytes());
        let served: Vec<String> = state.apps_served();
        state.queue.tidy(|app| served.iter().any(|one| one == app));
        state.tokens += tokens as u64;
        drop(state);
        self.served = Instant::now();
        self.ask();
    }

    /// Now and then, lets go of those in the queue who have gone away.
    fn ask(&mut self) {
        if self.asked.elapsed() >= ASK {
            self.asked = Instant::now();
            self.desk.line.ask();
        }
    }

    /// Its bytes are free again, but for those of a past that is kept while nobody wants them.
    fn end(&mut self, mut one: Running) {
        one.session.forget_logits();
        self.kept.keep(&one.app, one.id, one.session, one.bytes);
    }
}

impl Running {
    /// Takes a token and tells it; whether the answer goes on.
    fn speak(&mut self, engine: &Engine) -> bool {
        let now = Instant::now();
        if self.spoke.is_none() {
            self.usage.timing.prefill_s = (now - self.began).as_secs_f64();
        }
        let spoke = *self.spoke.get_or_insert(now);
        let likeliest = match self.logprobs {
            Some(count) if count > 0 => {
                self.session.logits().map(|logits| top(logits, count)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let step = match self.speech.next(&mut self.session) {
            Some(Ok(step)) => step,
            Some(Err(error)) => {
                (self.sink)(Event::Failed(ChatError::Internal(error.to_string())));
                return false;
            }
            // It was to say nothing: no tokens were allowed.
            None => return self.finish(self.speech.finish().unwrap_or(Ended::Length)),
        };
        self.usage.timing.decode_s = (now - spoke).as_secs_f64();
        let mut logprobs = Vec::new();
        if step.finish != Some(Ended::EndOfTurn) {
            self.usage.completion_tokens += 1;
            if self.logprobs.is_some() {
                logprobs.push(told(engine, &step, &likeliest));
            }
        }
        let text = self.reading.push(step.text);
        if !(self.sink)(Event::Text { text, logprobs }) {
            return false;
        }
        match step.finish {
            Some(reason) => self.finish(reason),
            None => true,
        }
    }

    /// Tells the calls and the end; the answer does not go on.
    fn finish(&mut self, ended: Ended) -> bool {
        let number = self.number;
        let reading = std::mem::replace(&mut self.reading, Reading::none());
        let (text, calls) = reading.finish(|i| format!("call_{number:016x}_{i}"));
        if !text.is_empty() {
            (self.sink)(Event::Text { text, logprobs: Vec::new() });
        }
        let reason = match ended {
            _ if !calls.is_empty() => FinishReason::Calls,
            Ended::Stop => FinishReason::StopText,
            Ended::EndOfTurn | Ended::Complete => FinishReason::Stop,
            Ended::Length | Ended::Context => FinishReason::Length,
        };
        for call in calls {
            (self.sink)(call);
        }
        (self.sink)(Event::Finished { reason, usage: self.usage });
        false
    }
}

/// The likeliest tokens and the logarithms of their probabilities, likeliest first.
fn top(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|x| (x - most).exp()).sum();
    let whole = most + sum.ln();
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let count = count.min(ids.len());
    let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]);
    if count < ids.len() {
        ids.select_nth_unstable_by(count, by_logit);
        ids.truncate(count);
    }
    ids.sort_by(by_logit);
    ids.into_iter().map(|id| (id, logits[id as usize] - whole)).collect()
}

fn told(engine: &Engine, step: &Step, likeliest: &[(u32, f32)]) -> TokenLogprob {
    let spell = |id: u32| {
        let tokenizer = engine.tokenizer().ok();
        let bytes = tokenizer.and_then(|t| t.bytes(id)).unwrap_or_default().to_vec();
        (String::from_utf8_lossy(&bytes).into_owned(), bytes)
    };
    let (text, bytes) = spell(step.token);
    let top = likeliest.iter().map(|&(id, logprob)| {
        let (text, bytes) = spell(id);
        (text, bytes, logprob)
    });
    let logprob = step.odds.map_or(f32::NEG_INFINITY, |odds| odds.logprob);
    TokenLogprob { text, bytes, logprob, top: top.collect() }
}
