//! The server as clients meet it: over real sockets, with a scripted model behind it.

mod apis;
mod clients;
mod common;
mod http;
mod mutated;
mod page;
