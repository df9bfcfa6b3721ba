//! A call of a function: what a program runs and a person reads. Knows no tokens.

use std::fmt;

use serde_json::{Map, Value};

use crate::functions::{CLOUD, Function, NONE};

/// A function with its arguments, in the order of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What to do.
    pub function: &'static Function,
    /// With what: text by parameter.
    pub arguments: Map<String, Value>,
}

impl Call {
    /// Whether the device can do it itself.
    pub fn is_local(&self) -> bool {
        self.function.name != CLOUD && self.function.name != NONE
    }
}

/// `alarm_set(time: "half past six", date: "tomorrow")`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.function.name)?;
        if self.arguments.is_empty() && !self.is_local() {
            return Ok(());
        }
        f.write_str("(")?;
        for (at, (name, value)) in self.arguments.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{name}: {value}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_reads_like_a_call() {
        let call = |name: &str, arguments: &[(&str, &str)]| {
            let arguments = arguments.iter().map(|(k, v)| (k.to_string(), Value::from(*v)));
            let function = Function::named(name).unwrap();
            Call { function, arguments: arguments.collect() }.to_string()
        };
        assert_eq!(
            call("alarm_set", &[("time", "half past six"), ("date", "tomorrow")]),
            "alarm_set(time: \"half past six\", date: \"tomorrow\")"
        );
        assert_eq!(
            call("note_create", &[("text", "say \"hi\"")]),
            r#"note_create(text: "say \"hi\"")"#
        );
        assert_eq!(call("radio_play", &[]), "radio_play()");
        assert_eq!(call("cloud", &[]), "cloud");
    }
}
