//! What a desktop keeps: what is due and when, events, lists. Times are seconds since 1970.

use std::collections::BTreeMap;

use jiff::civil::Weekday;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

/// What is said when it is time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// When it was to be, in seconds since 1970.
    pub at_s: i64,
    /// What was to be said; empty where nothing was.
    pub text: String,
}

/// Kinds of what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An alarm.
    Alarm,
    /// A countdown.
    Timer,
    /// A reminder.
    Reminder,
}

/// How an alarm comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Repeat {
    Daily,
    Weekdays,
    Weekly,
}

impl Repeat {
    pub(super) fn of(text: &str) -> Option<Repeat> {
        match text.trim().to_lowercase().as_str() {
            "daily" | "every day" | "each day" | "every morning" | "every evening" | "每天"
            | "每日" | "天天" => Some(Repeat::Daily),
            "weekdays" | "every weekday" | "on weekdays" | "工作日" | "每个工作日" => {
                Some(Repeat::Weekdays)
            }
            "weekly" | "every week" | "每周" | "每星期" => Some(Repeat::Weekly),
            _ => None,
        }
    }

    /// The next time after `from`, at the same hour of the day.
    pub(super) fn next(self, from: &Zoned) -> Option<Zoned> {
        let days = match self {
            Repeat::Weekly => 7,
            Repeat::Daily => 1,
            Repeat::Weekdays => match from.weekday() {
                Weekday::Friday => 3,
                Weekday::Saturday => 2,
                _ => 1,
            },
        };
        from.checked_add(days.days()).ok()
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Due {
    #[serde(flatten)]
    pub(super) notice: Notice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) repeat: Option<Repeat>,
    /// The call that set it: the same call sets it once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) key: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) event: String,
    /// `2026-11-22`
    pub(super) date: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) key: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Book {
    pub(super) last: u64,
    pub(super) due: Vec<Due>,
    pub(super) events: Vec<Event>,
    pub(super) lists: BTreeMap<String, Vec<String>>,
}

impl Book {
    pub(super) fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes out what is due by now; what repeats stays, for its next time in the future.
    pub(super) fn take(&mut self, now: &Zoned) -> Vec<Notice> {
        let now_s = now.timestamp().as_second();
        let mut taken = Vec::new();
        for due in std::mem::take(&mut self.due) {
            if due.notice.at_s > now_s {
                self.due.push(due);
                continue;
            }
            taken.push(due.notice.clone());
            let start = Timestamp::from_second(due.notice.at_s).ok();
            let mut next = start.map(|start| start.to_zoned(now.time_zone().clone()));
            if let Some(repeat) = due.repeat {
                // A device that was off for weeks says it once.
                while next.as_ref().is_some_and(|next| next <= now) {
                    next = next.and_then(|next| repeat.next(&next));
                }
                if let Some(next) = next {
                    let at_s = next.timestamp().as_second();
                    self.due.push(Due { notice: Notice { at_s, ..due.notice }, ..due });
                }
            }
        }
        taken.sort_by_key(|notice| notice.at_s);
        taken
    }
}
