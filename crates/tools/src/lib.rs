//! Ready tools for agents. Each is one file; what it may touch stands at its top.

mod arguments;
mod calculator;
mod clock;
mod code;
pub mod device;
mod fetch;
mod files;
mod kept;
mod notes;
mod search;
mod when;

#[cfg(test)]
mod testing;

pub use calculator::{Fault, Worth, calculate, calculator, calculator_at};
pub use clock::{clock, clock_of};
pub use code::{CodeLimits, code_runner};
pub use device::{Desktop, Device, device_tools};
pub use fetch::{Fetch, Resolve};
pub use files::{FileLimits, Files};
pub use notes::Notes;
pub use search::{search, web_search};
