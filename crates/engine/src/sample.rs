//! From logits to a token: one chain, in one order.
//!
//! ```text
//! bias → penalties → top-k → typical → top-p → min-p → temperature → draw
//! ```
//!
//! The order is the common default of other engines, so that settings carry over. At temperature
//! zero there is no draw and no filter: the token with the greatest logit after bias and
//! penalties, and of equal ones the lowest id. A grammar's mask comes before all of it.

use std::cmp::Ordering;

use ondine_text::vocab::TokenId;

use crate::error::EngineError;
use crate::rng::Rng;

/// How a token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits before the draw; 0 chooses the greatest logit.
    pub temperature: f32,
    /// Keeps the `k` greatest; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most probable that together reach this; 1 keeps all.
    pub top_p: f32,
    /// Keeps those at least this many times as probable as the most probable; 0 keeps all.
    pub min_p: f32,
    /// Keeps those of the most typical surprise that together reach this; 1 keeps all.
    pub typical_p: f32,
    /// Divides the positive and multiplies the negative logits of recent tokens; 1 does nothing.
    pub repeat_penalty: f32,
    /// How many tokens are recent.
    pub repeat_last_n: usize,
    /// Taken from the logit of every recent token.
    pub presence_penalty: f32,
    /// Taken from the logit of a recent token for every time it is there.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens; minus infinity forbids one.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Where the draws begin. The same weights, prompt, seed and threads give the same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    /// Mild defaults: temperature 0.8, the 40 greatest, 0.95 of the mass, at least 0.05 of the best.
    fn default() -> Sampling {
        Sampling {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl Sampling {
    /// The greatest logit, always.
    pub fn greedy() -> Sampling {
        Sampling { temperature: 0.0, ..Sampling::default() }
    }

    fn check(&self) -> Result<(), EngineError> {
        const FRACTION: &str = "a number from 0 to 1";
        const FINITE: &str = "a finite number";
        let fraction = |x: f32| (0.0..=1.0).contains(&x);
        let rows = [
            ("temperature", self.temperature, self.temperature >= 0.0, "a number not below 0"),
            ("top_p", self.top_p, fraction(self.top_p), FRACTION),
            ("min_p", self.min_p, fraction(self.min_p), FRACTION),
            ("typical_p", self.typical_p, fraction(self.typical_p), FRACTION),
            ("repeat_penalty", self.repeat_penalty, self.repeat_penalty > 0.0, "a number above 0"),
            ("presence_penalty", self.presence_penalty, true, FINITE),
            ("frequency_penalty", self.frequency_penalty, true, FINITE),
        ];
        for (name, value, holds, wanted) in rows {
            if !holds || !value.is_finite() {
                return Err(EngineError::Sampling { name, found: value.to_string(), wanted });
            }
        }
        match self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY) {
            None => Ok(()),
            Some((id, bias)) => Err(EngineError::Sampling {
                name: "logit_bias",
                found: format!("{bias} for token {id}"),
                wanted: "a finite number or minus infinity",
            }),
        }
    }

    fn penalises(&self) -> bool {
        self.repeat_last_n > 0
            && (self.repeat_penalty != 1.0
                || self.presence_penalty != 0.0
                || self.frequency_penalty != 0.0)
    }
}

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    id: TokenId,
    logit: f32,
}

/// Greatest first, of equal ones the lowest id: a total order, so no result hangs on how a sort
/// treats equals.
fn greatest_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// So many are looked for while the logits are read; for more, all are candidates first.
const FEW: usize = 256;

/// The `count` greatest logits, in any order, and perhaps some more.
fn greatest(logits: &[f32], count: usize, found: &mut Vec<Candidate>) {
    const PIECE: usize = 16;
    // The least that is known to be among the greatest so far: what is below it is passed over, a piece at
    // a time.
    let mut least = f32::NEG_INFINITY;
    for (piece, first) in logits.chunks(PIECE).zip((0..).step_by(PIECE)) {
        if !piece.iter().fold(false, |any, logit| any | (*logit >= least)) {
            continue;
        }
        for (logit, id) in piece.iter().zip(first..) {
            if *logit >= least {
                // Adding zero turns minus zero into zero, so that the two are equal in the total order.
                found.push(Candidate { id, logit: *logit + 0.0 });
            }
        }
        if found.len() >= 2 * count + PIECE {
            found.select_nth_unstable_by(count - 1, greatest_first);
            found.truncate(count);
            least = found[count - 1].logit;
        }
    }
}

/// The chain with its state: where the draws are, and memory kept from token to token.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    rng: Rng,
    candidates: Vec<Candidate>,
    weights: Vec<f64>,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Result<Sampler, EngineError> {
        sampling.check()?;
        let rng = Rng::new(sampling.seed);
        Ok(Sampler { sampling, rng, candidates: Vec::new(), weights: Vec::new() })
    }

    /// Chooses one of the `allowed` (all, where `None`). The logits are numbers, none of them
    /// plus infinity. `None` where nothing is left to choose from.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        history: &[TokenId],
        allowed: Option<&[TokenId]>,
    ) -> Option<TokenId> {
        self.gather(logits, history, allowed);
        if self.candidates.is_empty() {
            return None;
        }
        if self.sampling.temperature == 0.0 {
            return self.candidates.iter().min_by(|a, b| greatest_first(a, b)).map(|best| best.id);
        }
        self.keep_top_k();
        self.keep_typical();
        self.keep_top_p();
        self.keep_min_p();
        Some(self.draw())
    }

    /// The candidates, biased and penalised; those of minus infinity are out.
    fn gather(&mut self, logits: &[f32], history: &[TokenId], allowed: Option<&[TokenId]>) {
        let Sampling { repeat_last_n, repeat_penalty, .. } = self.sampling;
        // Adding zero turns minus zero into zero, so that the two are equal in the total order too.
        let candidate =
            |id: TokenId| Some(Candidate { id, logit: *logits.get(id as usize)? + 0.0 });
        self.candidates.clear();
        match (allowed, self.wanted()) {
            (Some(ids), _) => self.candidates.extend(ids.iter().filter_map(|id| candidate(*id))),
            (None, None) => self.candidates.extend((0..logits.len() as u32).filter_map(candidate)),
            (None, Some(wanted)) => {
                // Whatever is biased or penalised may come in or go out; beside these no other than the
                // greatest can be among those that are kept.
                let mut moved: Vec<TokenId> =
                    self.sampling.logit_bias.iter().map(|(id, _)| *id).collect();
                if self.sampling.penalises() {
                    moved.extend(&history[history.len().saturating_sub(repeat_last_n)..]);
                }
                greatest(logits, wanted + moved.len(), &mut self.candidates);
                self.candidates.extend(moved.into_iter().filter_map(candidate));
                self.candidates.sort_unstable_by_key(|candidate| candidate.id);
                self.candidates.dedup_by_key(|candidate| candidate.id);
            }
        }
        // Ids ascend in both cases, so a token is found by search.
        let find = |candidates: &mut [Candidate], id: TokenId| {
            candidates.binary_search_by_key(&id, |candidate| candidate.id).ok()
        };
        for (id, bias) in &self.sampling.logit_bias {
            if let Some(at) = find(&mut self.candidates, *id) {
                self.candidates[at].logit += bias;
            }
        }
        if self.sampling.penalises() {
            let mut recent = history[history.len().saturating_sub(repeat_last_n)..].to_vec();
            recent.sort_unstable();
            for same in recent.chunk_by(|a, b| a == b) {
                let Some(at) = find(&mut self.candidates, same[0]) else { continue };
                let logit = &mut self.candidates[at].logit;
                *logit =
                    if *logit > 0.0 { *logit / repeat_penalty } else { *logit * repeat_penalty };
                *logit -= self.sampling.presence_penalty
                    + self.sampling.frequency_penalty * same.len() as f32;
            }
        }
        self.candidates.retain_mut(|candidate| {
            // A large bias on a large logit must stay a number.
            candidate.logit = candidate.logit.min(f32::MAX);
            candidate.logit > f32::NEG_INFINITY
        });
    }

    /// How many of the greatest logits decide the choice, whatever came before.
    pub(crate) fn likeliest(&self) -> Option<usize> {
        let moves = self.sampling.penalises() || !self.sampling.logit_bias.is_empty();
        if moves { None } else { self.wanted() }
    }

    /// How many of the greatest can be chosen at all, where that is few.
    fn wanted(&self) -> Option<usize> {
        match self.sampling {
            Sampling { temperature: 0.0, .. } => Some(1),
            Sampling { top_k, .. } => (1..=FEW).contains(&top_k).then_some(top_k),
        }
    }

    /// The `k` greatest, greatest first.
    fn keep_top_k(&mut self) {
        let k = self.sampling.top_k;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, greatest_first);
            self.candidates.truncate(k);
        }
        self.candidates.sort_unstable_by(greatest_first);
    }

    /// Those whose surprise is nearest to the expected one, until they reach `typical_p`.
    fn keep_typical(&mut self) {
        if self.sampling.typical_p >= 1.0 {
            return;
        }
        self.weigh(1.0);
        let surprise = |p: f64| -p.max(f64::MIN_POSITIVE).ln();
        let expected: f64 = self.weights.iter().map(|p| p * surprise(*p)).sum();
        let mut typical: Vec<(f64, f64, Candidate)> = (self.weights.iter().zip(&self.candidates))
            .map(|(p, candidate)| ((surprise(*p) - expected).abs(), *p, *candidate))
            .collect();
        typical.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(greatest_first(&a.2, &b.2)));
        let kept = reaching(typical.iter().map(|row| row.1), self.sampling.typical_p);
        self.candidates.clear();
        self.candidates.extend(typical[..kept].iter().map(|row| row.2));
        self.candidates.sort_unstable_by(greatest_first);
    }

    /// The most probable, until they reach `top_p`.
    fn keep_top_p(&mut self) {
        if self.sampling.top_p >= 1.0 {
            return;
        }
        self.weigh(1.0);
        let kept = reaching(self.weights.iter().copied(), self.sampling.top_p);
        self.candidates.truncate(kept);
    }

    /// Those at least `min_p` times as probable as the first.
    fn keep_min_p(&mut self) {
        if self.sampling.min_p <= 0.0 {
            return;
        }
        let least = self.candidates[0].logit + self.sampling.min_p.ln();
        // The first always stays: rounding must not take it from its own threshold.
        let kept = self.candidates.partition_point(|candidate| candidate.logit >= least).max(1);
        self.candidates.truncate(kept);
    }

    /// One of the candidates, by its probability at the temperature.
    fn draw(&mut self) -> TokenId {
        self.weigh(self.sampling.temperature);
        self.candidates[pick(&self.weights, self.rng.unit())].id
    }

    /// Probabilities of the candidates at a temperature. They stand greatest first.
    fn weigh(&mut self, temperature: f32) {
        let greatest = f64::from(self.candidates[0].logit);
        let temperature = f64::from(temperature);
        self.weights.clear();
        self.weights.extend(
            (self.candidates.iter())
                .map(|candidate| ((f64::from(candidate.logit) - greatest) / temperature).exp()),
        );
        let total: f64 = self.weights.iter().sum();
        for weight in &mut self.weights {
            *weight /= total;
        }
    }
}

/// The place where the running sum of `weights` passes `draw`.
fn pick(weights: &[f64], draw: f64) -> usize {
    let mut sum = 0.0;
    let passes = weights.iter().position(|weight| {
        sum += weight;
        draw < sum
    });
    // Where the weights fall short of 1 by rounding and the draw lands in the gap, it is the last
    // candidate's, not the first one's.
    passes.unwrap_or(weights.len() - 1)
}

/// How many of the first it takes until they reach `mass`; at least one, all where they never do.
fn reaching(weights: impl Iterator<Item = f64>, mass: f32) -> usize {
    let mut sum = 0.0;
    let mut count = 0;
    for weight in weights {
        sum += weight;
        count += 1;
        if sum >= f64::from(mass) {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests;
