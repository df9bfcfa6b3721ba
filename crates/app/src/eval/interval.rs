//! How sure a figure is. Everything is computed the same way every time: chance starts from a fixed seed.

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;
/// The normal distribution's 97.5 % point: intervals are of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// What a figure may be, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The interval of a share of `n` (Wilson 1927): sound for few cases and for shares near 0 and 1, where
/// the usual ± is not.
pub fn wilson(passed: usize, n: usize) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (n as f64, passed as f64 / n as f64);
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The interval of a mean by the percentile bootstrap (Efron 1979), 2,000 resamples from a fixed seed.
pub fn bootstrap(values: &[f64]) -> Interval {
    if values.is_empty() {
        return Interval { low: 0.0, high: 1.0 };
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let n = values.len();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..n).map(|_| values[random.below(n)]).sum::<f64>() / n as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Interval { low: at(0.025), high: at(0.975) }
}

/// How likely it is that two that are equally good differ as often one way as here, or more: the sign
/// test, two-sided. Ties do not count.
pub fn sign_test(better: usize, worse: usize) -> f64 {
    let n = better + worse;
    let least = better.min(worse);
    // Sum of the binomial distribution's tail, in logarithms: n may be large.
    let (mut log_choose, mut tail) = (0.0_f64, 0.0_f64);
    for k in 0..=least {
        if k > 0 {
            log_choose += ((n - k + 1) as f64).ln() - (k as f64).ln();
        }
        tail += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * tail).min(1.0)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0..n; how far it is from even is below any figure here.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of other programs: Wilson's of R's `binom::binom.wilson`, the sign test's of
    /// `binom.test`.
    #[test]
    fn the_figures_are_those_of_the_textbooks() {
        let rows = [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)];
        for (passed, n, low, high) in rows {
            let interval = wilson(passed, n);
            assert!((interval.low - low).abs() < 5e-5, "{passed}/{n}: {interval:?}");
            assert!((interval.high - high).abs() < 5e-5, "{passed}/{n}: {interval:?}");
        }
        for (better, worse, p) in
            [(9, 1, 0.021_484_375), (5, 5, 1.0), (0, 0, 1.0), (10, 0, 0.001_953_125)]
        {
            assert!((sign_test(better, worse) - p).abs() < 1e-9, "{better} {worse}");
        }
        assert!(sign_test(40_000, 60_000) < 1e-100);
    }

    #[test]
    fn a_bootstrap_is_near_the_theory_and_the_same_every_time() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 5) / 4.0).collect();
        let interval = bootstrap(&values);
        assert_eq!(interval, bootstrap(&values));
        // The mean is 0.5; the standard error of 400 values of this spread is 0.0177.
        assert!((interval.low - (0.5 - Z * 0.0177)).abs() < 0.005, "{interval:?}");
        assert!((interval.high - (0.5 + Z * 0.0177)).abs() < 0.005, "{interval:?}");
        assert_eq!(bootstrap(&[1.0]), Interval { low: 1.0, high: 1.0 });
    }

    /// What an interval of 95 % promises: of 1,000 experiments, about 950 hold the truth.
    #[test]
    fn the_intervals_hold_the_truth_as_often_as_they_say() {
        let mut random = Random(7);
        for share in [0.5, 0.9] {
            let held = (0..1000).filter(|_| {
                let passed = (0..40)
                    .filter(|_| (random.next() >> 11) as f64 / ((1_u64 << 53) as f64) < share)
                    .count();
                let interval = wilson(passed, 40);
                interval.low <= share && share <= interval.high
            });
            let held = held.count();
            assert!((920..=980).contains(&held), "{share}: {held} of 1,000");
        }
    }
}
