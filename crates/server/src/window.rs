//! How long things took within the last minute: a histogram for each second of it, so that it takes the
//! same memory however much happens. Knows nothing of what it counts.

use std::time::Instant;

/// Seconds that are remembered.
const SECONDS: u64 = 60;

/// The shortest time that is told from none, in seconds.
const SHORTEST_S: f64 = 1e-4;

/// How much longer the times of a bucket are than those of the one before: what is told of a time is
/// off by half of that at most.
const GROWTH: f64 = 1.1;

/// Up to seven minutes.
const BUCKETS: usize = 160;

/// Times of one kind.
#[derive(Clone)]
struct Times([u32; BUCKETS]);

impl Times {
    const NONE: Times = Times([0; BUCKETS]);

    fn add(&mut self, seconds: f64) {
        let place = (seconds / SHORTEST_S).max(1.0).log(GROWTH) as usize;
        self.0[place.min(BUCKETS - 1)] += 1;
    }
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    /// From a request to its turn.
    Queue,
    /// From a request to its first token.
    FirstToken,
    /// From a token to the next.
    BetweenTokens,
}

struct Second {
    /// Which one, since the beginning.
    number: u64,
    times: [Times; 3],
    tokens: u64,
}

/// The last minute.
pub(crate) struct Window {
    begun: Instant,
    seconds: Vec<Second>,
}

impl Window {
    pub(crate) fn new(begun: Instant) -> Window {
        let second = |_| Second { number: 0, times: [Times::NONE; 3], tokens: 0 };
        Window { begun, seconds: (0..SECONDS).map(second).collect() }
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs()
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let number = self.number(now);
        let second = &mut self.seconds[(number % SECONDS) as usize];
        if second.number != number {
            *second = Second { number, times: [Times::NONE; 3], tokens: 0 };
        }
        second
    }

    pub(crate) fn time(&mut self, now: Instant, what: Timed, seconds: f64) {
        self.second(now).times[what as usize].add(seconds);
    }

    pub(crate) fn token(&mut self, now: Instant) {
        self.second(now).tokens += 1;
    }

    fn last(&self, now: Instant) -> impl Iterator<Item = &Second> {
        let number = self.number(now);
        self.seconds.iter().filter(move |second| second.number + SECONDS > number)
    }

    /// Tokens a second, of the last minute or of as much of it as there was.
    pub(crate) fn tokens_per_s(&self, now: Instant) -> f64 {
        let tokens: u64 = self.last(now).map(|second| second.tokens).sum();
        let since_s = now.saturating_duration_since(self.begun).as_secs_f64();
        tokens as f64 / since_s.clamp(1.0, SECONDS as f64)
    }

    /// The time, in seconds, that a `share` of all took at most; `None` where there was none.
    pub(crate) fn quantile_s(&self, now: Instant, what: Timed, share: f64) -> Option<f64> {
        let mut sum = [0u64; BUCKETS];
        for second in self.last(now) {
            for (sum, count) in sum.iter_mut().zip(second.times[what as usize].0) {
                *sum += u64::from(count);
            }
        }
        let all: u64 = sum.iter().sum();
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut before = 0;
        let place = sum.iter().position(|count| {
            before += count;
            before >= wanted
        })?;
        Some(SHORTEST_S * GROWTH.powf(place as f64 + 0.5))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn quantiles_are_near_and_a_minute_later_all_is_forgotten() {
        let begun = Instant::now();
        let mut window = Window::new(begun);
        let at = |seconds| begun + Duration::from_secs_f64(seconds);
        assert_eq!(window.quantile_s(at(0.0), Timed::Queue, 0.5), None);
        for i in 1..=1000 {
            window.time(at(f64::from(i) / 100.0), Timed::Queue, f64::from(i) / 1000.0);
            window.token(at(f64::from(i) / 100.0));
        }
        for (share, expected) in [(0.5, 0.5), (0.99, 0.99), (0.001, 0.001)] {
            let found = window.quantile_s(at(11.0), Timed::Queue, share).unwrap();
            assert!((found / expected - 1.0).abs() < 0.1, "{share}: {found}");
        }
        assert_eq!(window.quantile_s(at(11.0), Timed::FirstToken, 0.5), None);
        assert!((window.tokens_per_s(at(20.0)) - 50.0).abs() < 1e-9);
        // Half of it is older than a minute.
        assert!((window.tokens_per_s(at(65.0)) - 500.0 / 60.0).abs() < 2.0);
        let found = window.quantile_s(at(65.0), Timed::Queue, 0.001).unwrap();
        assert!(found > 0.45, "{found}");
        assert_eq!(window.quantile_s(at(80.0), Timed::Queue, 0.5), None);
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            window.time(at(90.0), Timed::FirstToken, odd);
        }
        assert!(window.quantile_s(at(90.0), Timed::FirstToken, 0.1).is_some_and(|s| s < 2e-4));
    }
}
