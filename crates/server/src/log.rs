//! Lines about what happened, as JSON, one object a line. They say who asked what kind of thing
//! and what it cost; what was asked and answered is in none of them, nor any name a client made
//! up. It writes to whatever the program gives it.

use serde_json::{Map, Value};

/// Takes lines.
pub trait Log: Send + Sync {
    /// One JSON object, without a line break. It must not block for long.
    fn line(&self, line: &str);
}

/// Forgets them.
#[derive(Debug, Default)]
pub struct NoLog;

impl Log for NoLog {
    fn line(&self, _: &str) {}
}

/// Writes an object with the time in front.
pub(crate) fn write(log: &dyn Log, event: &str, fields: &[(&str, Value)]) {
    let mut object = Map::new();
    object.insert("time_s".into(), now_s().into());
    object.insert("event".into(), event.into());
    for (name, value) in fields {
        object.insert((*name).into(), value.clone());
    }
    log.line(&Value::Object(object).to_string());
}

/// Seconds since 1970.
pub(crate) fn now_s() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| (since.as_secs_f64() * 1000.0).round() / 1000.0)
}
