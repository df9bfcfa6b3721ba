//! The protocol both ways: our client and our server with each other, with the official Python SDK, and
//! with servers that mean harm.

mod both_ways;
mod common;
mod hostile;
mod odd_http;
mod official;
#[allow(dead_code, reason = "the server's tests use more of it")]
#[path = "../../../server/tests/server/python.rs"]
mod python;
