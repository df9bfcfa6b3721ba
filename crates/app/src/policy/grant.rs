//! What a user allows beforehand: a tool, arguments it may be given, and how often. Compares values as
//! they are: nothing is trimmed, folded or normalised, so that what looks alike is not alike.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool that may be called without asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    tool: String,
    only: Vec<(String, Constraint)>,
    /// The arguments, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exactly: Option<Value>,
    /// How many calls are left of it; as many as there are where `None`.
    left: Option<u32>,
    /// Ends as soon as what strangers wrote stands in the conversation.
    clean: bool,
}

/// What an argument has to be. An argument that is absent, or of another type, is none of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Constraint {
    /// One of these values.
    OneOf(Vec<Value>),
    /// A text that begins so. For paths and addresses see [`Constraint::Within`].
    StartsWith(String),
    /// A relative path inside this folder, with `/` between its parts and no `..` among them.
    Within(String),
    /// A number, at most so much and at least 0.
    AtMost(f64),
}

impl Grant {
    /// This tool, with any arguments, any number of times.
    pub fn tool(name: impl Into<String>) -> Grant {
        Grant { tool: name.into(), only: Vec::new(), exactly: None, left: None, clean: false }
    }

    /// Where this argument is so. Said more than once, all must hold.
    pub fn only(mut self, argument: impl Into<String>, is: Constraint) -> Grant {
        self.only.push((argument.into(), is));
        self
    }

    /// With these arguments and no others.
    pub fn exactly(mut self, arguments: Value) -> Grant {
        self.exactly = Some(arguments);
        self
    }

    /// So many times at most.
    pub fn times(mut self, times: u32) -> Grant {
        self.left = Some(times);
        self
    }

    /// Until a tool's result, which strangers may have written, stands in the conversation.
    pub fn while_clean(mut self) -> Grant {
        self.clean = true;
        self
    }

    pub(super) fn covers(&self, tool: &str, arguments: &Value, tainted: bool) -> bool {
        self.tool == tool
            && self.left != Some(0)
            && !(self.clean && tainted)
            && self.exactly.as_ref().is_none_or(|exactly| exactly == arguments)
            && self.only.iter().all(|(name, is)| arguments.get(name).is_some_and(|v| is.holds(v)))
    }

    pub(super) fn spend(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
    }
}

impl Constraint {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Constraint::OneOf(values), value) => values.contains(value),
            (Constraint::StartsWith(start), Value::String(text)) => text.starts_with(start),
            (Constraint::Within(folder), Value::String(path)) => within(folder, path),
            (Constraint::AtMost(most), Value::Number(number)) => {
                number.as_f64().is_some_and(|number| (0.0..=*most).contains(&number))
            }
            _ => false,
        }
    }
}

/// Whether a path leads into a folder whatever the system makes of odd signs in it: anything that could
/// be read in two ways is outside.
fn within(folder: &str, path: &str) -> bool {
    let plain = |path: &str| {
        path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !path.contains(|c: char| c.is_control() || matches!(c, '\\' | ':' | '~' | '$' | '%'))
    };
    let inside = path.strip_prefix(folder.trim_end_matches('/')).and_then(|p| p.strip_prefix('/'));
    plain(path) && inside.is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grant_covers_what_it_says_and_nothing_that_looks_like_it() {
        let pay = Grant::tool("pay")
            .only("to", Constraint::OneOf(vec![json!("alice")]))
            .only("amount", Constraint::AtMost(10.0));
        let rows = [
            ("pay", json!({"to": "alice", "amount": 10}), true),
            ("pay", json!({"amount": 0.5, "to": "alice"}), true),
            ("pay", json!({"to": "alice", "amount": 10.01}), false),
            ("pay", json!({"to": "alice", "amount": -1}), false),
            ("pay", json!({"to": "alice", "amount": "10"}), false),
            ("pay", json!({"to": "alice"}), false),
            ("pay", json!({"to": "alice\u{200b}", "amount": 1}), false),
            ("pay", json!({"to": "Alice", "amount": 1}), false),
            ("pay", json!({"to": ["alice"], "amount": 1}), false),
            ("pay ", json!({"to": "alice", "amount": 1}), false),
            ("рay", json!({"to": "alice", "amount": 1}), false),
            ("pay", json!("alice"), false),
        ];
        for (tool, arguments, covered) in rows {
            assert_eq!(pay.covers(tool, &arguments, true), covered, "{tool} {arguments}");
        }
        assert!(!pay.clone().times(0).covers("pay", &json!({"to": "alice", "amount": 1}), false));
        let clean = Grant::tool("pay").while_clean();
        assert!(clean.covers("pay", &json!({}), false) && !clean.covers("pay", &json!({}), true));
        let exact = Grant::tool("pay").exactly(json!({"to": "bob"}));
        assert!(exact.covers("pay", &json!({"to": "bob"}), true));
        assert!(!exact.covers("pay", &json!({"to": "bob", "also": 1}), true));
    }

    #[test]
    fn no_path_leads_out_of_a_folder() {
        let rows = [
            ("drafts/a.md", true),
            ("drafts/sub/a.md", true),
            ("drafts", false),
            ("drafts/", false),
            ("draftsman/a.md", false),
            ("drafts/../secrets", false),
            ("drafts/./a", false),
            ("drafts//a", false),
            ("/drafts/a", false),
            ("drafts\\..\\a", false),
            ("drafts/a\0", false),
            ("drafts/%2e%2e/a", false),
            ("C:drafts/a", false),
        ];
        for (path, inside) in rows {
            assert_eq!(within("drafts", path), inside, "{path:?}");
            assert_eq!(within("drafts/", path), inside, "{path:?}");
        }
    }
}
