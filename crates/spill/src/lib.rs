//! Keys and values on disk: what was evaluated once, kept while memory is wanted for something else and
//! while the process is away.
//!
//! A [`Folder`] holds files, each a timeline with the tokens it came of. [`Folder::put`] writes one,
//! [`Folder::find`] says how much of a prompt is known, [`Folder::read`] brings it back. It is a cache:
//! whatever goes wrong costs time and nothing else, so nothing is forced to the disk, and a file that is
//! not exactly what was written is removed and never used.
//!
//! Files are found by a [`Key`]: the app, the model and the form of its numbers. No app's files are seen
//! with another's key. The crate does not know models, sessions that go on, and what a token says.
//!
//! | module | what it holds |
//! |---|---|
//! | `key` | whose a timeline is, as digests |
//! | `file` | the layout of a file: written, read, checked |
//! | `folder` | which files there are; the budget, and who goes first |

mod error;
mod file;
mod folder;
mod key;

pub use error::SpillError;
pub use file::TOKENS_MAX;
pub use folder::{Counts, FILES_MAX, Folder, Found, Limits, common, replaces};
pub use key::Key;
