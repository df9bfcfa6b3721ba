//! Who may have what done: grants that a user gave beforehand, and questions to the user for all else.
//!
//! A policy sees a tool's name, its effect and the arguments of one call. It never sees what a model or
//! a tool's result says, so that no text can talk it into anything: what a call may do was decided by
//! the user's grants before the text was there, or is decided by the user now. It knows no model.

mod grant;
mod question;

pub use grant::{Constraint, Grant};
pub(crate) use question::hides;
pub use question::{Question, Verdict, Why};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tool::{Effect, ToolSpec};

/// What may be done without asking. Nothing but reading, where nothing else is said.
///
/// ```
/// use ondine_app::{Constraint, Grant, Policy};
///
/// let policy = Policy::default()
///     .grant(Grant::tool("note_add").times(3))
///     .grant(Grant::tool("file_write").only("path", Constraint::Within("drafts".into())))
///     .ask_before("web_fetch")
///     .refuse("shell");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    grants: Vec<Grant>,
    ask: Vec<String>,
    refused: Vec<String>,
}

/// What a policy says of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It may be done: it reads, or a grant covers it.
    Allowed,
    /// A person has to be asked.
    Ask,
    /// It is not done, whoever is asked.
    Refused,
}

impl Policy {
    /// Has this done without asking.
    pub fn grant(mut self, grant: Grant) -> Policy {
        self.grants.push(grant);
        self
    }

    /// Asks before this tool is called, though it may only read: something that sends what it is given
    /// to others, for one.
    pub fn ask_before(mut self, tool: impl Into<String>) -> Policy {
        self.ask.push(tool.into());
        self
    }

    /// Never has this tool called.
    pub fn refuse(mut self, tool: impl Into<String>) -> Policy {
        self.refused.push(tool.into());
        self
    }

    /// What becomes of a call. A grant that covers it is one call poorer afterwards. `tainted` says that
    /// what strangers wrote stands in the conversation; `doubted`, that the same call may have been done
    /// already: no grant covers that.
    pub(crate) fn judge(
        &mut self,
        spec: &ToolSpec,
        arguments: &Value,
        tainted: bool,
        doubted: bool,
    ) -> Judgement {
        if self.refused.contains(&spec.name) {
            return Judgement::Refused;
        }
        if spec.effect == Effect::Read && !self.ask.contains(&spec.name) {
            return Judgement::Allowed;
        }
        if doubted {
            return Judgement::Ask;
        }
        let covers = |grant: &&mut Grant| grant.covers(&spec.name, arguments, tainted);
        match self.grants.iter_mut().find(covers) {
            Some(grant) => {
                grant.spend();
                Judgement::Allowed
            }
            None => Judgement::Ask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn spec(effect: Effect) -> ToolSpec {
        ToolSpec {
            name: "t".into(),
            description: String::new(),
            parameters: json!({"type": "object"}),
            effect,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn nothing_but_reading_goes_without_a_grant() {
        let mut none = Policy::default();
        let judge = |policy: &mut Policy, effect| {
            policy.judge(&spec(effect), &json!({"a": 1}), false, false)
        };
        assert_eq!(judge(&mut none, Effect::Read), Judgement::Allowed);
        assert_eq!(judge(&mut none, Effect::Write), Judgement::Ask);
        assert_eq!(judge(&mut none, Effect::Irreversible), Judgement::Ask);
        let mut twice = Policy::default().grant(Grant::tool("t").times(2));
        let judged = [(); 3].map(|()| judge(&mut twice, Effect::Irreversible));
        assert_eq!(judged, [Judgement::Allowed, Judgement::Allowed, Judgement::Ask]);
        let mut asked = Policy::default().ask_before("t");
        assert_eq!(judge(&mut asked, Effect::Read), Judgement::Ask);
        let mut never = Policy::default().grant(Grant::tool("t")).refuse("t");
        assert_eq!(judge(&mut never, Effect::Read), Judgement::Refused);
    }

    #[test]
    fn a_call_that_may_be_done_already_is_covered_by_no_grant() {
        let mut all = Policy::default().grant(Grant::tool("t"));
        let judged = all.judge(&spec(Effect::Irreversible), &json!({}), false, true);
        assert_eq!(judged, Judgement::Ask);
    }
}
