//! Random numbers from a seed and a counter: draw `n` of a seed is a pure function of the two.
//!
//! A generation owns its counter, so what else runs beside it changes nothing. The function is
//! SplitMix64 (Steele, Lea and Flood, 2014): a counter in large odd steps, scrambled.

/// The draws of one generation.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    counter: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rng {
    /// The draws of `seed`. The seed is scrambled once before it becomes the counter's start, so
    /// that seeds a step apart do not give the same draws one place shifted.
    pub(crate) fn new(seed: u64) -> Rng {
        Rng { counter: scramble(seed.wrapping_add(STEP)) }
    }

    /// The next draw, in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.counter = self.counter.wrapping_add(STEP);
        // The upper 53 bits: as many as the fraction of an f64 has.
        (scramble(self.counter) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrambler_is_splitmix64() {
        // The published sequence for seed 1234567.
        let mut counter = 1_234_567u64;
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for wanted in published {
            counter = counter.wrapping_add(STEP);
            assert_eq!(scramble(counter), wanted);
        }
    }

    #[test]
    fn draws_repeat_by_seed_and_differ_between_seeds() {
        let draws = |seed| {
            let mut rng = Rng::new(seed);
            (0..1000).map(|_| rng.unit()).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        for (a, b) in [(0, 1), (7, 8), (0, STEP), (1, u64::MAX)] {
            assert_ne!(draws(a)[0], draws(b)[0]);
            assert_ne!(draws(a)[1], draws(b)[0]);
        }
        let all = draws(42);
        assert!(all.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = all.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "mean of 1000 draws is {mean}");
    }
}
