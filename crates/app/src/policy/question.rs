//! A question to a person, and the answers there are. The question is a value: the process may end
//! while it is open.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tool::Effect;

/// Something that a person has to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Which call; the answer names it.
    pub key: String,
    /// Which agent wants it.
    pub agent: String,
    /// The tool.
    pub tool: String,
    /// Exactly what it would be given.
    pub arguments: Value,
    /// What a call changes.
    pub effect: Effect,
    /// Why a person is asked.
    pub why: Why,
    /// Results of tools, which strangers may have written, stand in the conversation.
    pub tainted: bool,
}

/// Why a person is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Why {
    /// No grant covers the call. Answered by [`Verdict::Allow`], [`Verdict::Edit`], [`Verdict::Deny`].
    NotGranted,
    /// The call was begun, cannot be taken back, and nobody knows whether it was done. Answered by
    /// [`Verdict::Happened`], [`Verdict::Repeat`], [`Verdict::Deny`].
    InDoubt(String),
}

/// What a person says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// Do it.
    Allow,
    /// Do it, with these arguments. The model is told.
    Edit(Value),
    /// Do not do it, and tell the model this. Where it is in doubt, leave it at that.
    Deny(String),
    /// It was done; the model is told this as its result.
    Happened(String),
    /// It was not done: do it, under the same key.
    Repeat,
}

impl Why {
    /// Whether a verdict answers this. A doubt is never answered by "allow": whoever allows everything
    /// must not have anything done twice.
    pub fn takes(&self, verdict: &Verdict) -> bool {
        match self {
            Why::NotGranted => {
                matches!(verdict, Verdict::Allow | Verdict::Edit(_) | Verdict::Deny(_))
            }
            Why::InDoubt(_) => {
                matches!(verdict, Verdict::Happened(_) | Verdict::Repeat | Verdict::Deny(_))
            }
        }
    }
}

impl Question {
    /// For a screen: one line, the arguments whole, every sign in them visible.
    pub fn shown(&self) -> String {
        let (tool, arguments) = (shown(&self.tool), shown(&self.arguments.to_string()));
        let effect = match self.effect {
            Effect::Read => "reads",
            Effect::Write => "writes",
            Effect::Irreversible => "cannot be taken back",
        };
        match &self.why {
            Why::NotGranted => format!("{tool} {arguments} ({effect})"),
            Why::InDoubt(why) => {
                format!("{tool} {arguments} ({effect}; it may have been done: {})", shown(why))
            }
        }
    }
}

/// A text in which nothing hides: signs that have no look of their own, or that change how others are
/// shown, stand as their numbers.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || hides(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Signs without width, and those that turn the direction of what follows.
pub(crate) fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_hides_in_a_question() {
        let question = Question {
            key: "k".into(),
            agent: "a".into(),
            tool: "pay".into(),
            arguments: json!({"to": "al\u{200b}ice\u{202e}", "为": "书"}),
            effect: Effect::Irreversible,
            why: Why::NotGranted,
            tainted: true,
        };
        let shown = question.shown();
        assert!(shown.contains(r#"{"to":"al\u{200b}ice\u{202e}","为":"书"}"#), "{shown}");
        assert!(!Why::InDoubt(String::new()).takes(&Verdict::Allow));
        assert!(!Why::NotGranted.takes(&Verdict::Repeat));
    }
}
