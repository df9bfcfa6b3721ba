//! What is told of the models in memory, and what may be asked of whoever keeps them.

use ondine_chat::{Chat, ChatError, Evicted, Keep, Keeper, ModelStatus, Plan, Status, Wanted};

use crate::Runtime;
use crate::line::needs;
use crate::loader::Body;
use crate::plan::{self, Busy};

impl Keeper for Runtime {
    fn plan(&self, wanted: &Wanted) -> Result<Plan, ChatError> {
        let name = self.named(&wanted.model, true);
        let line = self.line(&name)?;
        let serving = line.lock().serving.clone();
        // Weights and scratch memory that are there already are nobody's to find room for.
        let (shape, context, weights, scratch, own) = match &serving {
            Some(serving) => {
                let shape = match &serving.body {
                    Body::Engine(engine) => Some(engine.shape().clone()),
                    Body::Embedder(_) => None,
                };
                (shape, serving.about.context, 0, 0, serving.own)
            }
            None => {
                let source = self.residents.source(&line.name)?;
                let (about, fixed) = (source.about(), source.fixed());
                let shape = about.chats.then(|| source.shape().clone());
                (shape, about.context, about.bytes, fixed.saturating_sub(about.bytes), fixed)
            }
        };
        let left = context.saturating_sub(wanted.prompt_tokens);
        let usual = self.residents.limits.answer.min(left);
        let answer = wanted.answer_tokens.unwrap_or(usual);
        let positions = wanted.prompt_tokens.saturating_add(answer);
        let (kv, logits) = match &shape {
            Some(shape) => needs(shape, positions).unwrap_or((u64::MAX, 0)),
            None => (0, 0),
        };
        let scratch = scratch.saturating_add(logits);
        let (free, most) = (self.residents.budget.free(), self.residents.budget.most());
        let needed = weights.saturating_add(kv).saturating_add(scratch);
        let alone = own.saturating_add(kv).saturating_add(logits);
        let reason = if positions > context {
            Some(format!("{positions} positions of prompt and answer; the model has {context}"))
        } else if alone > most {
            Some(format!("it takes {alone} bytes with nothing else in memory; {most} may be used"))
        } else {
            None
        };
        let mut evicted: Vec<Evicted> = Vec::new();
        if reason.is_none() {
            let missing = needed.saturating_sub(free);
            let (goes, _) = plan::goes(missing, &line.name, Busy::Go, &self.residents.held());
            evicted.extend(goes.into_iter().map(|one| one.evicted));
        }
        Ok(Plan {
            fits: reason.is_none(),
            reason,
            weights,
            kv,
            scratch,
            budget: self.residents.budget.total(),
            used: self.residents.budget.used(),
            evicted,
        })
    }

    fn status(&self) -> Status {
        let known = self.models().into_iter().map(|model| {
            let status = ModelStatus { bytes: model.bytes, ..ModelStatus::default() };
            (model.name, status)
        });
        let mut models: std::collections::BTreeMap<String, ModelStatus> = known.collect();
        for line in self.residents.lines() {
            let status = line.status();
            match models.get_mut(&line.name) {
                Some(own) => {
                    let bytes = if status.loaded { status.bytes } else { own.bytes };
                    *own = ModelStatus { bytes, ..status };
                }
                // Its name was taken away; it is told of while there is something to tell.
                None if status.loaded || status.problem.is_some() => {
                    models.insert(line.name.clone(), status);
                }
                None => {}
            }
        }
        for other in &self.others {
            let own = models.entry(other.about.name.clone()).or_default();
            *own = joined(std::mem::take(own), other.status());
        }
        Status {
            models,
            memory_used: self.residents.budget.used(),
            memory: self.residents.budget.total(),
        }
    }

    /// Returns when the model is there.
    fn load(&self, model: &str, keep: Keep) -> Result<(), ChatError> {
        let name = self.named(model, true);
        match self.other(&name) {
            Some(_) => Ok(()),
            None => self.line(&name)?.visit(keep).map(|_| ()),
        }
    }

    fn unload(&self, model: &str) -> Result<(), ChatError> {
        let name = self.named(model, true);
        let line = match self.line(&name) {
            // What is part of the program stays: there is nothing to do.
            Err(ChatError::NoModel { .. }) if self.other(&name).is_some() => return Ok(()),
            line => line?,
        };
        let pinned =
            self.residents.versions().iter().any(|one| one.pinned && one.line.name == name);
        if pinned {
            let what = format!("model {name:?} was given to this service loaded, and stays");
            return Err(ChatError::Conflict(what));
        }
        line.lock().unwanted = true;
        self.residents.bell.ring();
        Ok(())
    }
}

/// The model of a name that answers plain texts, and whoever answers conversations under it.
fn joined(engine: ModelStatus, other: ModelStatus) -> ModelStatus {
    let mut both = other;
    if engine.loaded {
        both.bytes += engine.bytes;
    }
    for (map, more) in [(&mut both.waiting, engine.waiting), (&mut both.running, engine.running)] {
        for (app, count) in more {
            *map.entry(app).or_default() += count;
        }
    }
    both.kept_bytes = engine.kept_bytes;
    both.tokens += engine.tokens;
    both.cached_tokens = engine.cached_tokens;
    both.leaves_in_s = engine.leaves_in_s;
    both.problem = engine.problem;
    both
}
