//! The real binary, asked the way people and programs ask it: arguments, pipes, signals, a
//! terminal.

mod answers;
mod droplet;
mod embed;
mod hostile;
mod install;
mod measures;
#[allow(dead_code, reason = "the tests of the store use more of it")]
#[path = "../../../store/tests/store/server.rs"]
mod server;
mod service;
mod store;
mod support;
mod terminal;
mod text;
mod usage;
