//! A session: one timeline of a loaded model. It owns its cache, and nobody else writes to it.
//!
//! ```text
//! tokens   t0 t1 t2 ... tn | tn+1        the timeline
//! cache    evaluated       | not yet
//! logits   of the last token, if all are evaluated and nothing was taken back since
//! ```
//!
//! The cache may lag behind the tokens: a chosen token is evaluated when somebody needs what
//! follows it, so the last token of an answer costs nothing. It never runs ahead of them.

use std::sync::Arc;

use ondine_cache::{Cache, CacheShape, KvType, PAGE};
use ondine_model::{ModelError, Part, Scratch, Want};
use ondine_tensor::Rows;
use ondine_text::vocab::TokenId;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::generate::{GenerateOptions, Generation};

/// What happens when a timeline outgrows its positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// [`Session::sync`] refuses a prompt that does not fit, and a generation ends with
    /// [`FinishReason::Context`](crate::FinishReason::Context).
    #[default]
    Error,
    /// The oldest tokens after the first `keep` are dropped, half of the rest at a time. What
    /// stays has moved to other positions and is evaluated again, so a shift costs as much as a
    /// prompt of its length, and its result is exactly that prompt's.
    ///
    /// The cuts lie at multiples of the same distance, whatever the length of the timeline: a
    /// conversation that grows is cut at the same place from turn to turn, and what follows the
    /// cut is reused.
    Shift {
        /// Tokens at the beginning that are never dropped, such as the system's instructions.
        keep: usize,
    },
}

/// What a session is asked to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// Positions; the model's own number where `None`.
    pub context: Option<usize>,
    /// What happens when they run out.
    pub overflow: Overflow,
    /// What keys and values are stored as. Bytes take half the memory, and less time at great depth;
    /// the logits are then a little other ones.
    pub kv: KvType,
}

/// What [`Session::sync`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Tokens of the prompt that were already evaluated.
    pub reused: usize,
    /// Tokens that were evaluated now.
    pub evaluated: usize,
    /// Tokens that were left out, because the session shifts and the prompt was too long.
    pub dropped: usize,
}

/// What was evaluated of a session: tokens, and the keys and values that came of them. Its pages are
/// shared with the session.
#[derive(Debug)]
pub struct Snapshot {
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// As many positions.
    pub cache: Cache,
}

/// One timeline.
pub struct Session {
    engine: Arc<Engine>,
    cache: Cache,
    tokens: Vec<TokenId>,
    /// One row for the last token, or none.
    logits: Rows,
    /// Where the logits are exact for so many of the greatest alone; none where for all.
    likeliest: Option<usize>,
    scratch: Scratch,
    context: usize,
    overflow: Overflow,
}

impl Session {
    pub(crate) fn new(
        engine: Arc<Engine>,
        options: SessionOptions,
    ) -> Result<Session, EngineError> {
        let shape = engine.shape();
        let context = options.context.unwrap_or(shape.context);
        if context == 0 || context > shape.context {
            return Err(match context {
                0 => EngineError::SessionOptions { context, what: "hold a token".into() },
                _ => ModelError::Context { needed: context, context: shape.context }.into(),
            });
        }
        if let Overflow::Shift { keep } = options.overflow
            && context.saturating_sub(keep) < 2
        {
            let what = format!("keep {keep} and shift the rest by half");
            return Err(EngineError::SessionOptions { context, what });
        }
        Ok(Session {
            cache: Session::blank_cache(&engine, options),
            tokens: Vec::new(),
            logits: Rows::new(0, shape.vocab),
            likeliest: None,
            scratch: Scratch::new(shape),
            context,
            overflow: options.overflow,
            engine,
        })
    }

    /// A session that goes on as the one whose snapshot it is would. Whether the snapshot was taken
    /// of the same model, computed [in the same form](Engine::kv_form), is not seen in it: the caller
    /// knows.
    ///
    /// # Errors
    /// Options that [`Engine::session`] refuses, a snapshot of another shape or with more tokens than
    /// the session has positions, a token outside the vocabulary.
    pub fn resume(
        engine: &Arc<Engine>,
        options: SessionOptions,
        snapshot: Snapshot,
    ) -> Result<Session, EngineError> {
        let mut session = Session::new(Arc::clone(engine), options)?;
        let Snapshot { tokens, cache } = snapshot;
        let (own, other) = (&session.cache, &cache);
        if (own.shape(), own.horizon(), tokens.len())
            != (other.shape(), other.horizon(), cache.len())
        {
            return Err(EngineError::Snapshot);
        }
        session.check(&tokens)?;
        if tokens.len() > session.context {
            return Err(EngineError::Context { needed: tokens.len(), context: session.context });
        }
        (session.tokens, session.cache) = (tokens, cache);
        Ok(session)
    }

    /// What was evaluated. Costs no copy of keys and values.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { tokens: self.tokens[..self.cache.len()].to_vec(), cache: self.cache.fork() }
    }

    /// An empty cache of the kind that a snapshot for a session of these options needs.
    pub fn blank_cache(engine: &Engine, options: SessionOptions) -> Cache {
        let shape = engine.shape();
        let context = options.context.unwrap_or(shape.context);
        Cache::with_horizon(CacheShape { kv: options.kv, ..shape.cache() }, context)
    }

    /// Keys and values of what was evaluated.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The loaded model.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The timeline: the prompt and what was generated, all of it evaluated but perhaps the end.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Positions the session has.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes of keys and values, those shared with a fork among them.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Lets go of the last token's logits, which take as much memory as the vocabulary is long. Whoever
    /// asks for them again has that token evaluated again.
    pub fn forget_logits(&mut self) {
        self.logits = Rows::new(0, self.engine.shape().vocab);
    }

    /// Makes the timeline equal to `prompt`, which is always the whole one: what the two have in
    /// common is kept, the rest is evaluated. Afterwards [`Session::logits`] are those of the
    /// prompt's last token.
    ///
    /// # Errors
    /// An empty prompt, a token outside the vocabulary, or more tokens than the session has
    /// positions (unless it shifts); the session is then as it was. No memory, or logits that are
    /// not numbers; the session then holds the common part.
    pub fn sync(&mut self, prompt: &[TokenId]) -> Result<Synced, EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        self.check(prompt)?;
        let dropped = self.dropped(prompt.len())?;
        let cut;
        let target = if dropped == 0 {
            prompt
        } else {
            cut = self.cut(prompt, dropped);
            &cut
        };
        let evaluated = &self.tokens[..self.cache.len()];
        let reused = evaluated.iter().zip(target).take_while(|(a, b)| a == b).count();
        self.rewind(reused);
        self.tokens.extend_from_slice(&target[reused..]);
        // The logits may be gone though every token is known; then the last one is not reused.
        let evaluated = self.settle(Want::Last)?;
        Ok(Synced { reused: target.len() - evaluated, evaluated, dropped })
    }

    /// Adds tokens to the timeline, to be evaluated when what follows them is needed.
    ///
    /// # Errors
    /// A token outside the vocabulary, or no positions left (unless the session shifts); the
    /// session is then as it was.
    pub fn extend(&mut self, tokens: &[TokenId]) -> Result<(), EngineError> {
        self.check(tokens)?;
        let dropped = self.dropped(self.tokens.len().saturating_add(tokens.len()))?;
        self.tokens.extend_from_slice(tokens);
        if dropped > 0 {
            self.tokens = self.cut(&self.tokens, dropped);
            let Overflow::Shift { keep } = self.overflow else { unreachable!("nothing dropped") };
            self.cache.truncate(keep);
            self.logits.resize(0);
        }
        Ok(())
    }

    /// Goes back to the first `len` tokens. A `len` beyond the end changes nothing.
    pub fn rewind(&mut self, len: usize) {
        if len < self.tokens.len() {
            self.tokens.truncate(len);
            self.cache.truncate(len);
            self.logits.resize(0);
        }
    }

    /// A second session with the same past. Keys and values are shared until the two part.
    pub fn fork(&self) -> Session {
        Session {
            engine: Arc::clone(&self.engine),
            cache: self.cache.fork(),
            tokens: self.tokens.clone(),
            logits: self.logits.clone(),
            likeliest: self.likeliest,
            scratch: Scratch::new(self.engine.shape()),
            context: self.context,
            overflow: self.overflow,
        }
    }

    /// One number for each token of the vocabulary: what follows the last token. Evaluates what
    /// is not evaluated yet.
    ///
    /// # Errors
    /// An empty timeline, no memory, or logits that are not numbers.
    pub fn logits(&mut self) -> Result<&[f32], EngineError> {
        self.settle(Want::Last)?;
        Ok(self.logits.row(0))
    }

    /// The next tokens, one at a time, for as long as the caller asks.
    ///
    /// # Errors
    /// Sampling parameters out of range, or an empty timeline.
    pub fn generate(&mut self, options: GenerateOptions) -> Result<Generation<'_>, EngineError> {
        if self.tokens.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        Generation::new(self, options)
    }

    /// The timeline beside its logits: penalties look at the one, the choice at the other. Only so many
    /// of the greatest matter where `likeliest` says so; others may be minus infinity then.
    pub(crate) fn history_and(
        &mut self,
        likeliest: Option<usize>,
    ) -> Result<(&[TokenId], &[f32]), EngineError> {
        self.settle(likeliest.map_or(Want::Last, Want::Likeliest))?;
        Ok((&self.tokens, self.logits.row(0)))
    }

    /// Logits of every one of `tokens`, evaluated after the present timeline, handed on in order
    /// as (place among `tokens`, logits). The timeline then ends with them.
    pub(crate) fn evaluate_each(
        &mut self,
        tokens: &[TokenId],
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        // Rows of logits are as wide as the vocabulary: 64 of them are 37 MiB at 152 thousand.
        const ROWS: usize = 64;
        self.extend(tokens)?;
        let start = self.tokens.len() - tokens.len();
        if self.cache.len() < start {
            self.evaluate(start, Want::None)?;
        }
        for from in (start..self.tokens.len()).step_by(ROWS) {
            let to = self.tokens.len().min(from + ROWS);
            self.evaluate(to, Want::All)?;
            for row in 0..to - from {
                each(from - start + row, self.logits.row(row));
            }
        }
        self.logits.resize(0);
        Ok(())
    }

    /// Whether every position is taken and none will be freed.
    pub(crate) fn is_full(&self) -> bool {
        self.overflow == Overflow::Error && self.tokens.len() >= self.context
    }

    /// Brings the cache up to the tokens and the logits up to the last one, as far as they are wanted.
    /// Gives the number of tokens that were evaluated for it.
    fn settle(&mut self, want: Want) -> Result<usize, EngineError> {
        if self.tokens.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if self.cache.len() == self.tokens.len() {
            if self.logits.count() == 1 && self.suffices(want) {
                return Ok(0);
            }
            self.cache.truncate(self.tokens.len() - 1);
        }
        let count = self.tokens.len() - self.cache.len();
        self.evaluate(self.tokens.len(), want)?;
        Ok(count)
    }

    /// Whether the logits that there are say what is wanted.
    fn suffices(&self, want: Want) -> bool {
        match (self.likeliest, want) {
            (None, _) => true,
            (Some(exact), Want::Likeliest(wanted)) => wanted <= exact,
            (Some(_), _) => false,
        }
    }

    /// Evaluates the tokens up to `to` that are not evaluated yet. Where that fails, they are
    /// not part of the timeline any more: nobody may build on what could not be evaluated.
    fn evaluate(&mut self, to: usize, want: Want) -> Result<(), EngineError> {
        let from = self.cache.len();
        self.likeliest = likeliest(want);
        let Session { engine, cache, tokens, logits, scratch, .. } = self;
        let result = engine
            .model()
            .evaluate(engine.cpu(), &tokens[from..to], cache, want, scratch, logits)
            .map_err(EngineError::from)
            .and_then(|()| match (0..logits.count()).find(|row| !are_numbers(logits.row(*row))) {
                None => Ok(()),
                Some(row) => {
                    let position = to - logits.count() + row;
                    Err(EngineError::Numerical { position })
                }
            });
        if result.is_err() {
            self.tokens.truncate(from);
            self.give_up();
        }
        result
    }

    /// What is left of the timeline when evaluating went wrong: the tokens that were evaluated
    /// before.
    fn give_up(&mut self) {
        self.tokens.truncate(self.cache.len());
        // Kernels walk whole pages and give what lies behind the end no weight; but no weight times
        // NaN is NaN. So no page that was written to stays: what it held of the tokens that do stay
        // is evaluated again.
        self.cache.truncate(self.tokens.len() / PAGE * PAGE);
        self.logits.resize(0);
    }

    /// Tokens that are not evaluated yet.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.cache.len()
    }

    /// Makes the timeline equal to `prompt` as [`Session::sync`] does, but evaluates nothing: that is
    /// left to [`evaluate_together`], a piece at a time. Gives how many tokens are reused, which
    /// leaves at least one to evaluate.
    ///
    /// # Errors
    /// Those of [`Session::sync`] that do not come from evaluating.
    pub fn prepare(&mut self, prompt: &[TokenId]) -> Result<usize, EngineError> {
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        self.check(prompt)?;
        if prompt.len() > self.context {
            return Err(EngineError::Context { needed: prompt.len(), context: self.context });
        }
        let evaluated = &self.tokens[..self.cache.len()];
        let same = evaluated.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let reused = same.min(prompt.len() - 1);
        self.rewind(reused);
        self.tokens.extend_from_slice(&prompt[reused..]);
        Ok(reused)
    }

    fn check(&self, tokens: &[TokenId]) -> Result<(), EngineError> {
        let vocab = self.engine.shape().vocab;
        match tokens.iter().find(|id| **id as usize >= vocab) {
            None => Ok(()),
            Some(&id) => Err(ModelError::Token { id, vocab }.into()),
        }
    }

    /// How many tokens a timeline of `len` must drop: the least multiple of half of what may be
    /// dropped after which the rest fits.
    fn dropped(&self, len: usize) -> Result<usize, EngineError> {
        let context = self.context;
        match self.overflow {
            _ if len <= context => Ok(0),
            Overflow::Error => Err(EngineError::Context { needed: len, context }),
            Overflow::Shift { keep } => {
                let half = (context - keep) / 2;
                Ok((len - context).div_ceil(half) * half)
            }
        }
    }

    /// The tokens without the `dropped` oldest after those to keep.
    fn cut(&self, tokens: &[TokenId], dropped: usize) -> Vec<TokenId> {
        let keep = match self.overflow {
            Overflow::Shift { keep } => keep,
            Overflow::Error => 0,
        };
        [&tokens[..keep], &tokens[keep + dropped..]].concat()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("tokens", &self.tokens.len())
            .field("evaluated", &self.cache.len())
            .field("context", &self.context)
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

/// How many of the greatest logits are exact, where not all are.
fn likeliest(want: Want) -> Option<usize> {
    match want {
        Want::Likeliest(count) => Some(count),
        _ => None,
    }
}

/// A session's share of a step: see [`evaluate_together`].
pub struct Share<'a> {
    /// Whose pending tokens are evaluated.
    pub session: &'a mut Session,
    /// How many of them at most.
    pub tokens: usize,
    /// How many of the greatest logits matter, where others do not: [`Speech::likeliest`](crate::Speech::likeliest).
    pub likeliest: Option<usize>,
    /// What came of it.
    pub result: Result<(), EngineError>,
}

/// Evaluates pending tokens of several sessions of one engine in one batch, so that its weights are
/// read once for all. A session none of whose tokens are pending afterwards has its logits. One that
/// fails is as [`Session::logits`] leaves it, and the others are as if it had not been there.
///
/// The shares together may have [`BATCH`](ondine_model::BATCH) tokens.
///
/// # Panics
/// Where they have more, or the sessions are not all of `engine`.
pub fn evaluate_together(engine: &Engine, scratch: &mut Scratch, shares: &mut [Share<'_>]) {
    let ours = |share: &Share<'_>| std::ptr::eq(&*share.session.engine, engine);
    assert!(shares.iter().all(ours), "sessions of one engine");
    let mut logits = Rows::new(0, engine.shape().vocab);
    loop {
        let mut going: Vec<&mut Share<'_>> = (shares.iter_mut())
            .filter(|share| share.result.is_ok() && share.tokens.min(share.session.pending()) > 0)
            .collect();
        if going.is_empty() {
            return;
        }
        let mut parts: Vec<Part<'_>> = going
            .iter_mut()
            .map(|share| {
                let pending = share.session.pending();
                let count = share.tokens.min(pending);
                let want = match share.likeliest {
                    _ if count < pending => Want::None,
                    Some(few) => Want::Likeliest(few),
                    None => Want::Last,
                };
                share.session.likeliest = likeliest(want);
                let Session { cache, tokens, .. } = &mut *share.session;
                let from = cache.len();
                Part { cache, tokens: &tokens[from..from + count], want }
            })
            .collect();
        let result =
            engine.model().evaluate_together(engine.cpu(), &mut parts, scratch, &mut logits);
        if let Err((failed, error)) = result {
            // Nothing was evaluated: once more, without the one who cannot be.
            going[failed].session.give_up();
            going[failed].result = Err(error.into());
            continue;
        }
        let mut row = 0;
        for share in going {
            let session = &mut *share.session;
            if session.pending() > 0 {
                session.logits.resize(0);
                continue;
            }
            let own = logits.row(row);
            row += 1;
            if are_numbers(own) {
                session.logits.resize(1);
                session.logits.row_mut(0).copy_from_slice(own);
            } else {
                let position = session.tokens.len() - 1;
                session.tokens.truncate(position);
                session.give_up();
                share.result = Err(EngineError::Numerical { position });
            }
        }
        return;
    }
}

/// Whether one can choose by these logits: no NaN, no plus infinity, and not all minus infinity.
fn are_numbers(logits: &[f32]) -> bool {
    // A piece at a time without a way out in between: vectors have none.
    let pieces = |x: &[f32]| {
        x.iter().fold((true, false), |(below, above), x| {
            (below & (*x < f32::INFINITY), above | (*x > f32::NEG_INFINITY))
        })
    };
    let (mut below, mut above) = (true, false);
    for piece in logits.chunks(256) {
        let (all, any) = pieces(piece);
        (below, above) = (below & all, above | any);
    }
    below && above
}
