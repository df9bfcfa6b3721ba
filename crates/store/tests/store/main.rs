//! The store against servers of loopback, well-behaved and not. Nothing outside is asked.

mod hostile;
mod keeping;
mod publisher;
mod releases;
mod resuming;
mod server;
mod sharing;
mod sources;
mod support;
mod updating;
