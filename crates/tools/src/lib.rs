//! Ready tools for agents. Each is one file; what it may touch stands at its top.
//!
//! A tool is not told who calls it, and believes nothing about its arguments. What it may do is bounded by
//! names: bytes, steps, seconds. `ondine_app::perform` holds it to the rest.
//!
//! | function or type | tools | what they touch |
//! |---|---|---|
//! | [`calculator()`] | `calculator` | the date |
//! | [`clock()`] | `clock` | the clock, the table of time zones |
//! | [`Files`] | `files_list`, `files_read`, `files_search`, `files_write` | one folder |
//! | [`Notes`] | `note_add`, `note_list`, `note_find`, `note_delete` | one file |
//! | [`Fetch`] | `web_fetch` | the public web |
//! | [`search()`], [`web_search`] | `search`, `web_search` | an index; one endpoint |
//! | [`code_runner`] | `run_wasm` | nothing |
//! | [`device_tools`] | droplet's functions, `clipboard_read`, `clipboard_write` | what the [`Device`] does; [`desktop_tools`] are those that a desktop has a hand for |
//!
//! ```
//! use ondine_app::{Bounds, Context, chat::ToolCall, perform};
//!
//! let call = ToolCall {
//!     id: "1".into(),
//!     name: "calculator".into(),
//!     arguments: serde_json::json!({"expression": "5 km in m"}),
//! };
//! let seen = perform(&ondine_tools::calculator(), &call, &Context::default(), Bounds::default());
//! assert_eq!(seen.text, r#"{"result":"5000 m","exact":true}"#);
//! ```

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
pub use device::{Desktop, Device, desktop_tools, device_tools};
pub use fetch::{Fetch, Resolve};
pub use files::{FileLimits, Files};
pub use notes::Notes;
pub use search::{search, web_search};
