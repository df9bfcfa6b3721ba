//! How long something took, counted as Prometheus counts it. It knows no clock.

use std::fmt::Write as _;

/// Upper bounds of the buckets, in seconds.
const BUCKETS_S: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Times since the start, by how long they were.
#[derive(Default)]
pub(crate) struct Histogram {
    /// How many were no longer than each bound.
    within: [u64; BUCKETS_S.len()],
    count: u64,
    sum_s: f64,
}

impl Histogram {
    /// One more.
    pub(crate) fn add(&mut self, took_s: f64) {
        for (bound, count) in BUCKETS_S.iter().zip(&mut self.within) {
            *count += u64::from(took_s <= *bound);
        }
        self.count += 1;
        self.sum_s += took_s;
    }

    /// The lines of a metric.
    pub(crate) fn write(&self, page: &mut String, name: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (bound, count) in BUCKETS_S.iter().zip(self.within) {
            let _ = writeln!(page, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let Histogram { count, sum_s, .. } = self;
        let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(page, "{name}_sum {sum_s}\n{name}_count {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_is_no_longer() {
        let mut histogram = Histogram::default();
        for took_s in [0.0, 0.01, 0.011, 60.0, 61.0] {
            histogram.add(took_s);
        }
        let mut page = String::new();
        histogram.write(&mut page, "x_seconds", "How long x took.");
        let expected = [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.01\"} 2",
            "x_seconds_bucket{le=\"0.025\"} 3",
            "x_seconds_bucket{le=\"60\"} 4",
            "x_seconds_bucket{le=\"+Inf\"} 5",
            "x_seconds_count 5",
        ];
        for line in expected {
            assert!(page.lines().any(|own| own == line), "{line}\n{page}");
        }
    }
}
