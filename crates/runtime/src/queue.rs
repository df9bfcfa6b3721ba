//! Whose turn it is. Start-time fair queueing by app, after Goyal, Vin and Cheng (SIGCOMM 1996), on
//! what was really served: an app pays for tokens as they are evaluated, and the next to be served is
//! who has paid least. Requests in the background wait while anybody else does, but not for ever.
//!
//! Knows no requests: it holds whatever it is given.

use std::collections::{BTreeMap, VecDeque};

use ondine_chat::ChatError;

use crate::Limits;

/// How long a full queue asks people to stay away, in seconds.
pub(crate) const RETRY_AFTER_S: u64 = 2;

/// The limit of all who wait, in words.
pub(crate) const EVERYBODY: &str = "the number of requests waiting for this model";

/// After so many others were taken before it, a request in the background counts as any other.
const PATIENCE: usize = 64;

/// What waits, by app.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    apps: BTreeMap<String, App<T>>,
    waiting: usize,
    /// What the app that was taken last had paid: who comes new has paid as much, so that nobody
    /// saves up turns by being away.
    now: u64,
}

#[derive(Debug)]
struct App<T> {
    paid: u64,
    foreground: VecDeque<T>,
    background: VecDeque<T>,
    /// How many were taken while its background waited.
    passed: usize,
}

impl<T> Fair<T> {
    pub(crate) fn new() -> Fair<T> {
        Fair { apps: BTreeMap::new(), waiting: 0, now: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// How many of an app wait.
    pub(crate) fn len_of(&self, app: &str) -> usize {
        self.apps.get(app).map_or(0, |a| a.foreground.len() + a.background.len())
    }

    /// Whether one more of an app may wait, or which limit says no and when to come back.
    pub(crate) fn room(&self, app: &str, limits: &Limits) -> Result<(), ChatError> {
        let (limit, value) = if self.len_of(app) >= limits.waiting_of_app {
            (format!("the number of waiting requests of app {app:?}"), limits.waiting_of_app)
        } else if self.len() >= limits.waiting {
            (EVERYBODY.to_owned(), limits.waiting)
        } else {
            return Ok(());
        };
        Err(ChatError::Busy { limit, value: value as u64, retry_after_s: RETRY_AFTER_S })
    }

    /// How many wait, by app.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let waits = self.apps.keys().map(|app| (app.clone(), self.len_of(app)));
        waits.filter(|(_, count)| *count > 0).collect()
    }

    /// Joins the end of the app's queue.
    pub(crate) fn push(&mut self, app: &str, background: bool, item: T) {
        let now = self.now;
        let idle = self.len_of(app) == 0;
        let app = self.apps.entry(app.to_owned()).or_insert_with(|| App {
            paid: now,
            foreground: VecDeque::new(),
            background: VecDeque::new(),
            passed: 0,
        });
        if idle {
            app.paid = app.paid.max(now);
        }
        if background { &mut app.background } else { &mut app.foreground }.push_back(item);
        self.waiting += 1;
    }

    /// The next, and its app.
    pub(crate) fn pop(&mut self) -> Option<(String, T)> {
        let least = |wanted: fn(&App<T>) -> bool| {
            let waiting = self.apps.iter().filter(move |(_, app)| wanted(app));
            waiting.min_by_key(|(_, app)| app.paid).map(|(name, _)| name.clone())
        };
        let patient = |app: &App<T>| {
            !app.foreground.is_empty() || !app.background.is_empty() && app.passed >= PATIENCE
        };
        let name = least(patient).or_else(|| least(|app| !app.background.is_empty()))?;
        let app = self.apps.get_mut(&name)?;
        let impatient = app.passed >= PATIENCE;
        let item = if impatient || app.foreground.is_empty() {
            app.passed = 0;
            app.background.pop_front().or_else(|| app.foreground.pop_front())
        } else {
            app.foreground.pop_front()
        }?;
        self.now = self.now.max(app.paid);
        self.waiting -= 1;
        for app in self.apps.values_mut().filter(|app| !app.background.is_empty()) {
            app.passed += 1;
        }
        Some((name, item))
    }

    /// Those who are the first of their app, in either queue: who has waited longest is among them.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = &T> {
        let queues = self.apps.values().flat_map(|app| [&app.foreground, &app.background]);
        queues.filter_map(VecDeque::front)
    }

    /// Puts back what was taken and could not be served, at the front.
    pub(crate) fn unpop(&mut self, app: &str, background: bool, item: T) {
        self.push(app, background, item);
        let app = self.apps.get_mut(app).expect("it was pushed");
        let queue = if background { &mut app.background } else { &mut app.foreground };
        queue.rotate_right(1);
    }

    /// Keeps what `keep` says, which is told how many of the same app are before.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize, &mut T) -> bool) {
        let mut gone = 0;
        for app in self.apps.values_mut() {
            let mut before = 0;
            for queue in [&mut app.foreground, &mut app.background] {
                let whole = queue.len();
                queue.retain_mut(|item| {
                    let kept = keep(before, item);
                    before += usize::from(kept);
                    kept
                });
                gone += whole - queue.len();
            }
        }
        self.waiting -= gone;
    }

    /// An app was served so many tokens.
    pub(crate) fn pay(&mut self, app: &str, tokens: u64) {
        if let Some(app) = self.apps.get_mut(app) {
            app.paid += tokens;
        }
    }

    /// Forgets apps that wait for nothing, are not `busy`, and are not behind: they would begin from
    /// the same place.
    pub(crate) fn tidy(&mut self, busy: impl Fn(&str) -> bool) {
        let now = self.now;
        self.apps.retain(|name, app| {
            !app.foreground.is_empty() || !app.background.is_empty() || app.paid > now || busy(name)
        });
    }

    /// Everything that waits.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.waiting = 0;
        let apps = std::mem::take(&mut self.apps);
        apps.into_values().flat_map(|app| app.foreground.into_iter().chain(app.background))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_apps_are_served_alike_whatever_they_ask() {
        let mut queue = Fair::new();
        // One asks often and little, the other seldom and much.
        for i in 0..300 {
            queue.push("small", false, 10 + i % 3);
        }
        for _ in 0..30 {
            queue.push("large", false, 100);
        }
        let mut served = BTreeMap::new();
        for _ in 0..150 {
            let (app, tokens) = queue.pop().unwrap();
            queue.pay(&app, tokens);
            *served.entry(app).or_insert(0u64) += tokens;
        }
        let (small, large) = (served["small"] as f64, served["large"] as f64);
        assert!((small / large - 1.0).abs() < 0.1, "{served:?}");
    }

    #[test]
    fn nobody_saves_up_turns() {
        let mut queue = Fair::new();
        for i in 0..100 {
            queue.push("steady", false, i);
            let (app, _) = queue.pop().unwrap();
            queue.pay(&app, 10);
        }
        for i in 0..20 {
            queue.push("steady", false, i);
            queue.push("new", false, i);
        }
        let first: Vec<String> = (0..10)
            .map(|_| {
                let (app, _) = queue.pop().unwrap();
                queue.pay(&app, 10);
                app
            })
            .collect();
        let new = first.iter().filter(|app| *app == "new").count();
        assert!((4..=6).contains(&new), "{first:?}");
    }

    #[test]
    fn the_background_waits_but_not_for_ever() {
        let mut queue = Fair::new();
        queue.push("b", true, -1);
        for i in 0..100 {
            queue.push("a", false, i);
        }
        let order: Vec<i32> = (0..101)
            .map(|_| {
                let (app, item) = queue.pop().unwrap();
                queue.pay(&app, 1);
                item
            })
            .collect();
        let at = order.iter().position(|item| *item == -1).unwrap();
        assert!((PATIENCE..=PATIENCE + 1).contains(&at), "{at}");
        assert!(queue.pop().is_none() && queue.len() == 0);
    }

    #[test]
    fn who_goes_is_gone_and_the_others_move_up() {
        let mut queue = Fair::new();
        for i in 0..6 {
            queue.push(if i % 2 == 0 { "a" } else { "b" }, i == 4, i);
        }
        let mut seen = Vec::new();
        queue.retain(|before, item| {
            seen.push((*item, before));
            *item != 2 && *item != 1
        });
        seen.sort();
        assert_eq!(seen, [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1), (5, 1)]);
        assert_eq!((queue.len(), queue.len_of("a"), queue.len_of("b")), (4, 2, 2));
    }

    #[test]
    fn what_is_put_back_is_next() {
        let mut queue = Fair::new();
        queue.push("a", false, 1);
        queue.push("a", false, 2);
        let (app, item) = queue.pop().unwrap();
        queue.unpop(&app, false, item);
        assert_eq!((queue.len(), queue.len_of("a")), (2, 2));
        assert_eq!(queue.pop().unwrap().1, 1);
        assert_eq!(queue.counts(), [("a".to_owned(), 1)].into());
        queue.tidy(|_| false);
        assert_eq!(queue.drain().collect::<Vec<_>>(), [2]);
    }
}
