//! The server as clients meet it: over real sockets, with a scripted model behind it.

mod apis;
mod clients;
mod common;
mod ending;
mod http;
mod mutated;
mod pulls;
mod openapi;
mod quota;
mod tls;
