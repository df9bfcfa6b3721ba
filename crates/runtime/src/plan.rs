//! What has to leave memory so that something else fits. Decides; changes nothing.
//!
//! The order: keys and values that are kept for later requests, the model's own first, because that
//! needs nobody else, then those of the model that was used longest ago; then idle models, in the same
//! order, those that were to stay always behind the others; last, and only after what they are doing
//! is done, models that have had their turn. A busy model is never taken away from whoever it answers.

use std::time::{Duration, Instant};

use ondine_chat::{Evicted, Eviction};

/// A version of a model that is in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) model: String,
    pub(crate) number: u64,
    /// Weights, and memory of the computation.
    pub(crate) fixed: u64,
    /// Keys and values that are kept for later requests.
    pub(crate) kept: u64,
    /// Keys and values of requests that are being answered.
    pub(crate) running: u64,
    /// Somebody is being answered by it.
    pub(crate) busy: bool,
    /// Somebody waits for it.
    pub(crate) wanted: bool,
    /// It takes no more requests, and goes when it is idle.
    pub(crate) leaving: bool,
    /// It cannot be loaded again, so it does not go.
    pub(crate) pinned: bool,
    /// It was to stay until room is needed.
    pub(crate) always: bool,
    pub(crate) used: Instant,
    /// When its turn began.
    pub(crate) since: Instant,
    /// How long its turn is at least.
    pub(crate) turn: Duration,
}

/// Which models may go that are busy or wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Busy {
    /// None.
    Stay,
    /// Those whose turn is over by then.
    Over(Instant),
    /// Any: it is asked what could be at all.
    Go,
}

/// One thing that goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goes {
    pub(crate) number: u64,
    pub(crate) evicted: Evicted,
    /// Nobody is answered by it and nobody waits for it.
    pub(crate) idle: bool,
}

/// What goes so that `missing` bytes become free for `model`, in order, and how many bytes are missing
/// even then.
pub(crate) fn goes(mut missing: u64, model: &str, turns: Busy, held: &[Held]) -> (Vec<Goes>, u64) {
    let mut order: Vec<&Held> = held.iter().collect();
    order.sort_by_key(|one| one.used);
    let mut all = Vec::new();
    let idle = |one: &Held| !one.busy && !one.wanted;
    let mut go = |one: &Held, what, bytes: u64, missing: &mut u64| {
        if *missing > 0 && bytes > 0 {
            let evicted = Evicted { what, model: one.model.clone(), bytes };
            all.push(Goes { number: one.number, evicted, idle: idle(one) });
            *missing = missing.saturating_sub(bytes);
        }
    };
    // What leaves already needs no decision.
    for one in order.iter().filter(|one| one.leaving) {
        missing = missing.saturating_sub(one.fixed + one.kept + one.running);
    }
    let staying: Vec<&Held> = order.into_iter().filter(|one| !one.leaving).collect();
    let (own, others): (Vec<&Held>, Vec<&Held>) =
        staying.iter().partition(|one| one.model == model);
    for one in own.iter().chain(&others) {
        go(one, Eviction::Kv, one.kept.min(missing), &mut missing);
    }
    let movable: Vec<&Held> = others.into_iter().filter(|one| !one.pinned).collect();
    for always in [false, true] {
        for one in movable.iter().filter(|one| idle(one) && one.always == always) {
            go(one, Eviction::Model, one.fixed, &mut missing);
        }
    }
    let mut rest: Vec<&Held> = movable.into_iter().filter(|one| !idle(one)).collect();
    rest.sort_by_key(|one| one.since);
    for one in rest {
        let may = match turns {
            Busy::Stay => false,
            Busy::Over(now) => now.saturating_duration_since(one.since) >= one.turn,
            Busy::Go => true,
        };
        if may {
            go(one, Eviction::Model, one.fixed + one.running, &mut missing);
        }
    }
    (all, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(begun: Instant, model: &str, used: u64) -> Held {
        Held {
            model: model.into(),
            number: used,
            fixed: 100,
            kept: 0,
            running: 0,
            busy: false,
            wanted: false,
            leaving: false,
            pinned: false,
            always: false,
            used: begun + Duration::from_secs(used),
            since: begun + Duration::from_secs(used),
            turn: Duration::from_secs(10),
        }
    }

    #[test]
    fn what_is_needed_least_goes_first() {
        let begun = Instant::now();
        let of = |model, used| held(begun, model, used);
        let all = [
            Held { kept: 30, ..of("new", 9) },
            Held { kept: 20, ..of("old", 1) },
            Held { always: true, ..of("always", 0) },
            Held { busy: true, running: 40, ..of("busy", 2) },
            Held { pinned: true, kept: 5, ..of("pinned", 3) },
            Held { kept: 10, ..of("own", 4) },
        ];
        type Gone<'a> = (&'a str, Eviction, u64);
        let rows: &[(u64, &[Gone<'_>], u64)] = &[
            (0, &[], 0),
            (5, &[("own", Eviction::Kv, 5)], 0),
            (12, &[("own", Eviction::Kv, 10), ("old", Eviction::Kv, 2)], 0),
            (
                66,
                &[
                    ("own", Eviction::Kv, 10),
                    ("old", Eviction::Kv, 20),
                    ("pinned", Eviction::Kv, 5),
                    ("new", Eviction::Kv, 30),
                    ("old", Eviction::Model, 100),
                ],
                0,
            ),
            (
                600,
                &[
                    ("own", Eviction::Kv, 10),
                    ("old", Eviction::Kv, 20),
                    ("pinned", Eviction::Kv, 5),
                    ("new", Eviction::Kv, 30),
                    ("old", Eviction::Model, 100),
                    ("new", Eviction::Model, 100),
                    ("always", Eviction::Model, 100),
                    ("busy", Eviction::Model, 140),
                ],
                95,
            ),
        ];
        for (missing, expected, still) in rows {
            let (all, left) = goes(*missing, "own", Busy::Go, &all);
            let short: Vec<_> = (all.iter())
                .map(|one| (one.evicted.model.as_str(), one.evicted.what, one.evicted.bytes))
                .collect();
            assert_eq!((short.as_slice(), left), (*expected, *still), "{missing}");
            assert!(all.iter().all(|one| one.idle == (one.evicted.model != "busy")), "{all:?}");
        }
    }

    #[test]
    fn a_turn_is_over_when_it_is_and_who_leaves_is_counted() {
        let begun = Instant::now();
        let busy = Held { busy: true, ..held(begun, "busy", 2) };
        let at = |seconds| Busy::Over(begun + Duration::from_secs(seconds));
        assert_eq!(goes(50, "x", at(11), std::slice::from_ref(&busy)), (Vec::new(), 50));
        assert_eq!(goes(50, "x", at(12), std::slice::from_ref(&busy)).0.len(), 1);
        assert_eq!(goes(50, "x", Busy::Stay, std::slice::from_ref(&busy)), (Vec::new(), 50));
        let leaving = Held { leaving: true, ..busy };
        assert_eq!(goes(50, "x", at(12), &[leaving]), (Vec::new(), 0));
    }
}
