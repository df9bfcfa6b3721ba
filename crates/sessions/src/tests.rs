//! The crate as a whole: over a simulated disk that fails and loses its power, and over the real one.

mod behaviour;
mod power;
mod reference;
