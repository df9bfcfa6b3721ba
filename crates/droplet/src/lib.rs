//! The embedded model: a request in English or Chinese becomes a call of a device function.
