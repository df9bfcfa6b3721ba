//! The server as clients meet it: over real sockets, with a scripted model behind it.

mod apis;
mod clients;
mod common;
mod ending;
mod guest;
mod http;
mod memory;
mod mutated;
mod openapi;
mod page;
mod pulls;
mod python;
mod quota;
mod raw;
mod tls;
