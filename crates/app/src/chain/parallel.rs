//! Several steps at once, on a bounded number of threads.
//!
//! What is told is told branch by branch, in their order: the first live, the others as soon as those
//! before them have ended. So a chain tells the same whatever thread is quicker. All branches run to
//! their end, also where one has no result: what they give is kept, and a resumed chain has it. The
//! error is that of the first branch that has one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::error::{ChainError, StepError};
use super::event::Event;
use super::scope::Scope;
use super::shape::Shape;
use super::step::Step;

/// Steps that can be done at once: tuples of two to four, and vectors.
pub trait Branches: Send + Sync {
    /// What each takes.
    type Input: Send;
    /// What they give, in their order.
    type Output: Send;

    /// Does them at once.
    ///
    /// # Errors
    /// That of the first that has no result.
    fn run(
        &self,
        input: Self::Input,
        path: &str,
        threads: usize,
        scope: &mut Scope<'_>,
    ) -> Result<Self::Output, ChainError>;

    /// How they are built.
    fn shapes(&self) -> Vec<Shape>;
}

/// The same input for several steps at once.
pub struct Parallel<B> {
    name: String,
    branches: B,
    threads: usize,
}

/// The same input for several steps at once, on as many threads as the machine has cores.
pub fn parallel<B: Branches>(name: impl Into<String>, branches: B) -> Parallel<B> {
    Parallel { name: name.into(), branches, threads: cores() }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl<B> Parallel<B> {
    /// So many threads at most.
    pub fn threads(mut self, most: usize) -> Parallel<B> {
        self.threads = most.max(1);
        self
    }
}

impl<B: Branches> Step for Parallel<B> {
    type Input = B::Input;
    type Output = B::Output;

    fn run(&self, input: B::Input, scope: &mut Scope<'_>) -> Result<B::Output, ChainError> {
        let path = scope.next(&self.name);
        self.branches.run(input, &path, self.threads, scope)
    }

    fn shape(&self) -> Shape {
        Shape::Parallel { name: self.name.clone(), branches: self.branches.shapes() }
    }
}

/// The same step for each of several inputs, at once.
pub struct Each<S> {
    name: String,
    step: S,
    threads: usize,
}

/// The same step for each of several inputs, on as many threads as the machine has cores.
pub fn each<S: Step>(name: impl Into<String>, step: S) -> Each<S> {
    Each { name: name.into(), step, threads: cores() }
}

impl<S> Each<S> {
    /// So many threads at most.
    pub fn threads(mut self, most: usize) -> Each<S> {
        self.threads = most.max(1);
        self
    }
}

impl<S: Step> Step for Each<S> {
    type Input = Vec<S::Input>;
    type Output = Vec<S::Output>;

    fn run(&self, inputs: Self::Input, scope: &mut Scope<'_>) -> Result<Self::Output, ChainError> {
        let path = scope.next(&self.name);
        let jobs = inputs.into_iter().map(|input| (&self.step, input)).collect();
        at_once(jobs, &path, self.threads, scope)
    }

    fn shape(&self) -> Shape {
        Shape::Each { name: self.name.clone(), step: Box::new(self.step.shape()) }
    }
}

impl<S: Step> Branches for Vec<S>
where
    S::Input: Clone,
{
    type Input = S::Input;
    type Output = Vec<S::Output>;

    fn run(
        &self,
        input: S::Input,
        path: &str,
        threads: usize,
        scope: &mut Scope<'_>,
    ) -> Result<Vec<S::Output>, ChainError> {
        let jobs = self.iter().map(|step| (step, input.clone())).collect();
        at_once(jobs, path, threads, scope)
    }

    fn shapes(&self) -> Vec<Shape> {
        self.iter().map(Step::shape).collect()
    }
}

/// What a branch does on its thread.
type Job<'a> = Box<dyn FnOnce(&mut Scope<'_>) + Send + 'a>;

/// One result of each, or the error of the first that has none.
fn at_once<S: Step>(
    steps: Vec<(&S, S::Input)>,
    path: &str,
    threads: usize,
    scope: &mut Scope<'_>,
) -> Result<Vec<S::Output>, ChainError> {
    let mut slots: Vec<_> = steps.iter().map(|_| None).collect();
    let jobs = steps.into_iter().zip(&mut slots).map(|((step, input), slot)| {
        Box::new(move |scope: &mut Scope<'_>| *slot = Some(step.run(input, scope))) as Job<'_>
    });
    side_by_side(jobs.collect(), path, threads, scope);
    slots.into_iter().enumerate().map(|(n, slot)| taken(slot, path, n)).collect()
}

macro_rules! tuples {
    ($($(($step:ident $at:tt))+;)+) => {$(
        impl<I: Clone + Send, $($step: Step<Input = I>),+> Branches for ($($step,)+) {
            type Input = I;
            type Output = ($($step::Output,)+);

            fn run(
                &self,
                input: I,
                path: &str,
                threads: usize,
                scope: &mut Scope<'_>,
            ) -> Result<Self::Output, ChainError> {
                let mut slots: ($(Option<Result<$step::Output, ChainError>>,)+) =
                    Default::default();
                let jobs: Vec<Job<'_>> = vec![$({
                    let (step, slot, input) = (&self.$at, &mut slots.$at, input.clone());
                    Box::new(move |scope: &mut Scope<'_>| *slot = Some(step.run(input, scope)))
                }),+];
                side_by_side(jobs, path, threads, scope);
                Ok(($(taken(slots.$at, path, $at)?,)+))
            }

            fn shapes(&self) -> Vec<Shape> {
                vec![$(self.$at.shape()),+]
            }
        }
    )+};
}

tuples! {
    (A 0) (B 1);
    (A 0) (B 1) (C 2);
    (A 0) (B 1) (C 2) (D 3);
}

/// What a job left. Nothing is there where a step of somebody else's making panicked outside its leaf.
fn taken<O>(
    slot: Option<Result<O, ChainError>>,
    path: &str,
    branch: usize,
) -> Result<O, ChainError> {
    slot.unwrap_or_else(|| {
        let error = StepError::Panicked("a branch ended without a word".into());
        Err(ChainError::Step { path: format!("{path}/{branch}"), error })
    })
}

/// Does the jobs on at most so many threads, and tells what they tell in their order.
fn side_by_side(jobs: Vec<Job<'_>>, path: &str, threads: usize, scope: &mut Scope<'_>) {
    let run = scope.run;
    let threads = threads.min(jobs.len());
    let mut told = Vec::with_capacity(jobs.len());
    let mut queue = VecDeque::with_capacity(jobs.len());
    for (branch, job) in jobs.into_iter().enumerate() {
        let (sender, events) = mpsc::channel::<Event>();
        told.push(events);
        queue.push_back((format!("{path}/{branch}"), job, sender));
    }
    let queue = Mutex::new(queue);
    let span = tracing::Span::current();
    let work = || {
        span.in_scope(|| {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((at, job, sender)) = next else { break };
                // Whoever listened may have gone.
                let mut sink = |event| drop(sender.send(event));
                let mut scope = Scope { run, at, begun: 0, sink: &mut sink };
                // Its slot stays empty, which says it.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut scope)));
            }
        });
    };
    thread::scope(|crew| {
        let spawned = (0..threads)
            .filter(|_| {
                thread::Builder::new().name("chain".into()).spawn_scoped(crew, work).is_ok()
            })
            .count();
        if spawned == 0 {
            work();
        }
        for events in told {
            events.into_iter().for_each(&mut *scope.sink);
        }
    });
}
