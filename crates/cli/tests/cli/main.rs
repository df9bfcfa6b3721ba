//! The real binary, asked the way people and programs ask it: arguments, pipes, signals, a
//! terminal.

mod answers;
mod clients;
mod doors;
mod droplet;
mod embed;
mod evals;
mod hostile;
mod install;
mod mcp;
mod measures;
#[allow(dead_code, reason = "the tests of the store use more of it")]
#[path = "../../../store/tests/store/publisher.rs"]
mod publisher;
#[path = "../../../server/tests/server/python.rs"]
mod python;
mod rag;
#[path = "../../../server/tests/server/common.rs"]
mod served;
#[allow(dead_code, reason = "the tests of the store use more of it")]
#[path = "../../../store/tests/store/server.rs"]
mod server;
mod service;
mod sessions;
mod shelf;
mod store;
mod support;
mod terminal;
mod text;
mod updates;
mod usage;
