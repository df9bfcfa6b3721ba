//! Conversations that are kept: what an app was told is there survives the end of the process and of
//! the power.
//!
//! An [`Archive`] implements [`ondine_chat::Sessions`] over whoever answers and a folder. Each session is
//! a log that is only added to; what is said, and what is answered, is on the disk before anybody is told
//! of it. Nothing of a conversation stays in memory between two requests.
//!
//! ```text
//!  say ──→ the log: what is new ──→ whoever answers ──→ text, as it comes ──→ sink
//!             synced                     (its thread)
//!                                            │ the end
//!                                            ▼
//!                                     writer (a thread) ──→ the log: the answer ──→ sink: finished
//!                                                               synced
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `log` | a log as bytes, and which of them can be believed |
//! | `record` | what its records say |
//! | `session` | one session: its log, what is known of it, who is answered in it |
//! | `app` | the sessions of one app, and their folder |
//! | `answer` | an answer that is kept before its end is told |
//! | `summary`, `summarizing` | a summary in the place of turns that do not fit |
//! | `storage` | the file system, behind a trait |
//!
//! The crate knows no model, no tokens, no network and no wire format.
//!
//! ```
//! use std::sync::Arc;
//! use ondine_chat::{Answer, Message, NewSession, Request, Script, Sessions};
//! use ondine_sessions::{Archive, Limits};
//!
//! let folder = std::env::temp_dir().join(format!("ondine-sessions-doc-{}", std::process::id()));
//! let model = Arc::new(Script::new(["Good ", "morning."]));
//! let archive = Archive::open(&folder, model, Limits::default())?;
//! let (session, _) = archive.create("notes", NewSession::default())?;
//! let mut request = Request::new("", [Message::user("hello")]);
//! request.app = "notes".into();
//! let answer = Answer::collect(|sink| archive.say(&session.id, request, sink))?;
//! assert_eq!(answer.text, "Good morning.");
//! let (_, said) = archive.read("notes", &session.id)?;
//! assert_eq!(said, [Message::user("hello"), Message::assistant("Good morning.")]);
//! # drop(archive);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod app;
mod archive;
mod checksum;
mod error;
mod layout;
mod limits;
mod log;
mod record;
mod session;
mod storage;
mod summarizing;
mod summary;
#[cfg(test)]
mod tests;

pub use archive::Archive;
pub use error::SessionsError;
pub use limits::Limits;
pub use summarizing::Summarizing;
