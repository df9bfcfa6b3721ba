//! Steps made of steps: one after the other, one of two, again, something else instead.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::error::{ChainError, StepError};
use super::event::What;
use super::scope::{Attempt, Scope, said};
use super::shape::Shape;
use super::step::Step;
use crate::tool::Effect;

/// One after the other.
pub struct Then<A, B> {
    first: A,
    second: B,
}

impl<A, B> Then<A, B> {
    pub(super) fn new(first: A, second: B) -> Then<A, B> {
        Then { first, second }
    }
}

impl<A: Step, B: Step<Input = A::Output>> Step for Then<A, B> {
    type Input = A::Input;
    type Output = B::Output;

    fn run(&self, input: A::Input, scope: &mut Scope<'_>) -> Result<B::Output, ChainError> {
        let between = self.first.run(input, scope)?;
        self.second.run(between, scope)
    }

    fn shape(&self) -> Shape {
        Shape::Then(vec![self.first.shape(), self.second.shape()])
    }
}

/// What a step gave, made into another thing.
pub struct Map<A, F, O> {
    step: A,
    function: F,
    gives: std::marker::PhantomData<fn() -> O>,
}

impl<A, F, O> Map<A, F, O> {
    pub(super) fn new(step: A, function: F) -> Map<A, F, O> {
        Map { step, function, gives: std::marker::PhantomData }
    }
}

impl<A: Step, O: Send, F: Fn(A::Output) -> O + Send + Sync> Step for Map<A, F, O> {
    type Input = A::Input;
    type Output = O;

    fn run(&self, input: A::Input, scope: &mut Scope<'_>) -> Result<O, ChainError> {
        let output = self.step.run(input, scope)?;
        catch_unwind(AssertUnwindSafe(|| (self.function)(output))).map_err(|panic| {
            let path = if scope.at.is_empty() { "map".into() } else { format!("{}/map", scope.at) };
            ChainError::Step { path, error: StepError::Panicked(said(&*panic)) }
        })
    }

    fn shape(&self) -> Shape {
        Shape::Then(vec![self.step.shape(), Shape::Map])
    }
}

/// One of two, as a test says.
pub struct Branch<T, A, B> {
    name: String,
    test: T,
    yes: A,
    no: B,
}

/// `yes` where the test holds, else `no`. What the test said is kept.
pub fn branch<A, B, T>(name: impl Into<String>, test: T, yes: A, no: B) -> Branch<T, A, B>
where
    A: Step,
    B: Step<Input = A::Input, Output = A::Output>,
    T: Fn(&A::Input) -> bool + Send + Sync,
{
    Branch { name: name.into(), test, yes, no }
}

impl<A, B, T> Step for Branch<T, A, B>
where
    A: Step,
    B: Step<Input = A::Input, Output = A::Output>,
    T: Fn(&A::Input) -> bool + Send + Sync,
{
    type Input = A::Input;
    type Output = A::Output;

    fn run(&self, input: A::Input, scope: &mut Scope<'_>) -> Result<A::Output, ChainError> {
        let yes = scope.leaf(&self.name, Effect::Read, &(), |live| {
            let yes = (self.test)(&input);
            live.chosen(if yes { "yes" } else { "no" });
            Ok(yes)
        })?;
        if yes { self.yes.run(input, scope) } else { self.no.run(input, scope) }
    }

    fn shape(&self) -> Shape {
        let arms = vec![("yes".into(), self.yes.shape()), ("no".into(), self.no.shape())];
        Shape::Branch { name: self.name.clone(), arms }
    }
}

/// How often, when, and after what a step is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Tries in all, at least one.
    pub times: u32,
    /// Before the second try.
    pub wait: Duration,
    /// What each wait is of the one before: 1 for always the same.
    pub growth: u32,
    /// No wait is longer.
    pub wait_most: Duration,
    /// Which errors are worth another try.
    pub on: fn(&StepError) -> bool,
}

impl Retry {
    /// So many tries in all, a quarter of a second apart, then a half and so on, after any error but one
    /// that says that nobody waits.
    pub fn times(times: u32) -> Retry {
        Retry {
            times,
            wait: Duration::from_millis(250),
            growth: 2,
            wait_most: Duration::from_secs(30),
            on: |error| *error != StepError::Cancelled,
        }
    }

    /// Another wait before the second try.
    pub fn wait(mut self, wait: Duration) -> Retry {
        self.wait = wait;
        self
    }

    /// After these errors alone.
    pub fn on(mut self, on: fn(&StepError) -> bool) -> Retry {
        self.on = on;
        self
    }

    /// The wait before a try, counted from 1.
    fn before(&self, attempt: u32) -> Duration {
        let grown = self.growth.saturating_pow(attempt.saturating_sub(2));
        self.wait.saturating_mul(grown).min(self.wait_most)
    }
}

/// A step that is tried again.
pub struct Retrying<S> {
    step: S,
    how: Retry,
}

impl<S> Retrying<S> {
    pub(super) fn new(step: S, how: Retry) -> Retrying<S> {
        Retrying { step, how }
    }
}

impl<S: Step> Step for Retrying<S>
where
    S::Input: Clone,
{
    type Input = S::Input;
    type Output = S::Output;

    fn run(&self, input: S::Input, scope: &mut Scope<'_>) -> Result<S::Output, ChainError> {
        let path = scope.next("retry");
        let times = self.how.times.max(1);
        for number in 1..times {
            let (own, input) = (format!("{path}/try {number}"), input.clone());
            let known = scope.run.known.failed.contains_key(&own);
            match scope.attempt(own, self.how.on, |scope| self.step.run(input, scope))? {
                Attempt::Done(output) => return Ok(output),
                Attempt::Failed(error) => {
                    let next = number + 1;
                    scope.tell(&path, What::Retried { next, error });
                    // What failed before the program's end has been waited for.
                    if !known {
                        scope.run.clock.wait(self.how.before(next), &scope.run.cancel);
                    }
                }
            }
        }
        scope.within(format!("{path}/try {times}"), |scope| self.step.run(input, scope))
    }

    fn shape(&self) -> Shape {
        Shape::Retry { times: self.how.times.max(1), step: Box::new(self.step.shape()) }
    }
}

/// A step, and another one where it has no result.
pub struct Fallback<A, B> {
    first: A,
    second: B,
}

impl<A, B> Fallback<A, B> {
    pub(super) fn new(first: A, second: B) -> Fallback<A, B> {
        Fallback { first, second }
    }
}

impl<A, B> Step for Fallback<A, B>
where
    A: Step,
    A::Input: Clone,
    B: Step<Input = A::Input, Output = A::Output>,
{
    type Input = A::Input;
    type Output = A::Output;

    fn run(&self, input: A::Input, scope: &mut Scope<'_>) -> Result<A::Output, ChainError> {
        let path = scope.next("fallback");
        let (first, given) = (format!("{path}/first"), input.clone());
        let handles = |error: &StepError| *error != StepError::Cancelled;
        match scope.attempt(first, handles, |scope| self.first.run(given, scope))? {
            Attempt::Done(output) => Ok(output),
            Attempt::Failed(error) => {
                scope.tell(&path, What::FellBack { error });
                scope.within(format!("{path}/second"), |scope| self.second.run(input, scope))
            }
        }
    }

    fn shape(&self) -> Shape {
        let (first, second) = (Box::new(self.first.shape()), Box::new(self.second.shape()));
        Shape::Fallback { first, second }
    }
}
