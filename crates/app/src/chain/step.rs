//! The trait of a step, and how two become one.

use super::combine::{Fallback, Map, Retry, Retrying, Then};
use super::error::ChainError;
use super::scope::Scope;
use super::shape::Shape;

/// Takes a value and gives another. What a step does beyond its parts goes through
/// [`Scope::leaf`], which keeps it.
pub trait Step: Send + Sync {
    /// What it takes.
    type Input: Send;
    /// What it gives.
    type Output: Send;

    /// Does it.
    ///
    /// # Errors
    /// No result, or nobody waits for one, or it cannot be kept.
    fn run(&self, input: Self::Input, scope: &mut Scope<'_>) -> Result<Self::Output, ChainError>;

    /// How it is built. The same every time: a journal of another shape is refused.
    fn shape(&self) -> Shape;

    /// This one, then another with what it gave.
    fn then<B: Step<Input = Self::Output>>(self, next: B) -> Then<Self, B>
    where
        Self: Sized,
    {
        Then::new(self, next)
    }

    /// What it gave, as a function makes another thing of it. The function is not a step: it is not told
    /// and not kept, and runs again when the chain is resumed or replayed. It must change nothing, and
    /// give the same for the same.
    fn map<O, F: Fn(Self::Output) -> O + Send + Sync>(self, function: F) -> Map<Self, F, O>
    where
        Self: Sized,
        O: Send,
    {
        Map::new(self, function)
    }

    /// Again, where it has no result.
    fn retry(self, how: Retry) -> Retrying<Self>
    where
        Self: Sized,
        Self::Input: Clone,
    {
        Retrying::new(self, how)
    }

    /// Another one instead, where it has no result.
    fn fallback<B>(self, other: B) -> Fallback<Self, B>
    where
        Self: Sized,
        Self::Input: Clone,
        B: Step<Input = Self::Input, Output = Self::Output>,
    {
        Fallback::new(self, other)
    }

    /// The same without its type, so that it goes into a vector.
    fn boxed<'a>(self) -> Boxed<'a, Self::Input, Self::Output>
    where
        Self: Sized + 'a,
    {
        Box::new(self)
    }
}

/// A step without its type.
pub type Boxed<'a, I, O> = Box<dyn Step<Input = I, Output = O> + 'a>;

impl<S: Step + ?Sized> Step for Box<S> {
    type Input = S::Input;
    type Output = S::Output;

    fn run(&self, input: S::Input, scope: &mut Scope<'_>) -> Result<S::Output, ChainError> {
        (**self).run(input, scope)
    }

    fn shape(&self) -> Shape {
        (**self).shape()
    }
}
