//! Each link of the chain against its definition, and the chain as a whole against counting.

use super::*;

fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(sampling).unwrap()
}

/// Everything off, temperature 1.
fn plain() -> Sampling {
    Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() }
}

/// Logits whose probabilities are `p`.
fn logits(p: &[f32]) -> Vec<f32> {
    p.iter().map(|p| p.ln()).collect()
}

/// Which ids are ever drawn.
fn support(sampling: Sampling, logits: &[f32], history: &[TokenId]) -> Vec<TokenId> {
    let mut sampler = sampler(sampling);
    let mut ids: Vec<_> =
        (0..2000).map(|_| sampler.choose(logits, history, None).unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn greedy_is_the_greatest_and_of_equals_the_lowest_id() {
    let mut greedy = sampler(Sampling { top_k: 1, typical_p: 0.1, ..Sampling::greedy() });
    assert_eq!(greedy.choose(&[1.0, 3.0, 3.0, 2.0], &[], None), Some(1));
    assert_eq!(greedy.choose(&[-1.0, -3.0, f32::NEG_INFINITY], &[], None), Some(0));
    assert_eq!(greedy.choose(&[1.0, 3.0, 3.0, 2.0], &[], Some(&[2, 3])), Some(2));
    assert_eq!(greedy.choose(&[1.0, 3.0], &[], Some(&[])), None);
    assert_eq!(greedy.choose(&[f32::NEG_INFINITY; 4], &[], None), None);
    assert_eq!(greedy.choose(&[-0.0, 0.0], &[], None), Some(0));
}

#[test]
fn each_filter_keeps_what_its_definition_says() {
    let p = logits(&[0.05, 0.4, 0.3, 0.15, 0.1]);
    let rows: &[(&str, Sampling, &[TokenId])] = &[
        ("all off", plain(), &[0, 1, 2, 3, 4]),
        ("top-k", Sampling { top_k: 2, ..plain() }, &[1, 2]),
        ("top-k beyond", Sampling { top_k: 9, ..plain() }, &[0, 1, 2, 3, 4]),
        ("top-p", Sampling { top_p: 0.6, ..plain() }, &[1, 2]),
        ("top-p zero keeps one", Sampling { top_p: 0.0, ..plain() }, &[1]),
        ("min-p", Sampling { min_p: 0.3, ..plain() }, &[1, 2, 3]),
        ("min-p one", Sampling { min_p: 1.0, ..plain() }, &[1]),
        // Entropy 1.39; surprises 3.0, 0.92, 1.2, 1.9, 2.3: nearest are 2, 1, 3.
        ("typical", Sampling { typical_p: 0.2, ..plain() }, &[2]),
        ("typical more", Sampling { typical_p: 0.6, ..plain() }, &[1, 2]),
        ("top-k, then top-p of the rest", Sampling { top_k: 2, top_p: 0.5, ..plain() }, &[1]),
        (
            "bias forbids",
            Sampling { logit_bias: vec![(1, f32::NEG_INFINITY)], ..plain() },
            &[0, 2, 3, 4],
        ),
        ("bias lifts", Sampling { logit_bias: vec![(0, 99.0), (77, 1.0)], ..plain() }, &[0]),
    ];
    for (name, sampling, wanted) in rows {
        assert_eq!(support(sampling.clone(), &p, &[]), *wanted, "{name}");
    }
}

#[test]
fn penalties_lower_recent_tokens() {
    let greedy = |sampling: Sampling, logits: &[f32], history: &[TokenId]| {
        sampler(Sampling { temperature: 0.0, ..sampling }).choose(logits, history, None).unwrap()
    };
    let repeat = Sampling { repeat_penalty: 2.0, ..plain() };
    assert_eq!(greedy(repeat.clone(), &[3.0, 2.0], &[0]), 1, "3 / 2 < 2");
    assert_eq!(greedy(repeat.clone(), &[-1.0, -1.5], &[0]), 1, "-1 * 2 < -1.5");
    let narrow = Sampling { repeat_last_n: 1, ..repeat };
    assert_eq!(greedy(narrow, &[3.0, 2.0], &[0, 1]), 0, "0 is not recent");
    let presence = Sampling { presence_penalty: 0.6, ..plain() };
    assert_eq!(greedy(presence.clone(), &[3.0, 2.0], &[0, 0, 0]), 0, "once, however often");
    let frequency = Sampling { frequency_penalty: 0.6, ..plain() };
    assert_eq!(greedy(frequency.clone(), &[3.0, 2.0], &[0]), 0);
    assert_eq!(greedy(frequency, &[3.0, 2.0], &[0, 0]), 1);
}

#[test]
fn draws_follow_the_probabilities() {
    let p = [0.5f32, 0.25, 0.15, 0.1];
    let n = 20_000;
    for temperature in [0.5f32, 1.0, 2.0] {
        let mut sampler = sampler(Sampling { temperature, seed: 3, ..plain() });
        let mut counts = [0usize; 4];
        for _ in 0..n {
            counts[sampler.choose(&logits(&p), &[], None).unwrap() as usize] += 1;
        }
        let scaled: Vec<f32> = p.iter().map(|p| p.powf(1.0 / temperature)).collect();
        let total: f32 = scaled.iter().sum();
        for (count, wanted) in counts.iter().zip(scaled.iter().map(|p| p / total)) {
            let got = *count as f32 / n as f32;
            // Five standard deviations of a proportion: 1 in 3 million by chance, and the seed is fixed.
            let bound = 5.0 * (wanted * (1.0 - wanted) / n as f32).sqrt();
            assert!((got - wanted).abs() < bound, "{got} for {wanted} at {temperature}");
        }
    }
}

#[test]
fn a_draw_beyond_the_sum_is_the_last_candidate() {
    assert_eq!(pick(&[0.5, 0.4999], 0.99999), 1);
    assert_eq!(pick(&[0.5, 0.5], 0.0), 0);
    assert_eq!(pick(&[0.5, 0.5], 0.5), 1);
    assert_eq!(pick(&[0.0, 1.0], 0.0), 1, "what has no probability is never drawn");
}

#[test]
fn extreme_logits_stay_numbers() {
    let bias = vec![(0, f32::MAX)];
    let mut sampler = sampler(Sampling { logit_bias: bias, temperature: 1e-30, ..plain() });
    for _ in 0..100 {
        assert_eq!(sampler.choose(&[f32::MAX, f32::MIN, 0.0], &[], None), Some(0));
    }
}

#[test]
fn parameters_out_of_range_are_refused_by_name() {
    let rows = [
        ("temperature", Sampling { temperature: -1.0, ..plain() }),
        ("temperature", Sampling { temperature: f32::NAN, ..plain() }),
        ("temperature", Sampling { temperature: f32::INFINITY, ..plain() }),
        ("top_p", Sampling { top_p: 1.5, ..plain() }),
        ("min_p", Sampling { min_p: -0.1, ..plain() }),
        ("typical_p", Sampling { typical_p: f32::NAN, ..plain() }),
        ("repeat_penalty", Sampling { repeat_penalty: 0.0, ..plain() }),
        ("presence_penalty", Sampling { presence_penalty: f32::NAN, ..plain() }),
        ("frequency_penalty", Sampling { frequency_penalty: f32::INFINITY, ..plain() }),
        ("logit_bias", Sampling { logit_bias: vec![(0, f32::NAN)], ..plain() }),
    ];
    for (wanted, sampling) in rows {
        match Sampler::new(sampling) {
            Err(EngineError::Sampling { name, .. }) => assert_eq!(name, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

/// What is passed over early could not have been chosen: against all candidates in one list.
#[test]
fn the_greatest_are_those_of_the_whole_list() {
    let mut rng = Rng::new(5);
    for round in 0..300 {
        let len = 1 + (rng.unit() * 700.0) as usize;
        // Few different values, so that many are equal.
        let steps = [3.0, 50.0, 1e6][round % 3];
        let logits: Vec<f32> = (0..len)
            .map(|_| match (rng.unit() * 40.0) as u32 {
                0 => f32::NEG_INFINITY,
                1 => -0.0,
                _ => ((rng.unit() * steps).round() / steps * 20.0 - 10.0) as f32,
            })
            .collect();
        let history: Vec<TokenId> = (0..20).map(|_| (rng.unit() * len as f64) as TokenId).collect();
        let mut some = |most: usize| (rng.unit() * most as f64) as usize;
        let (top_k, bias) = (1 + some(60), some(len));
        let sampling = Sampling {
            temperature: if round % 5 == 0 { 0.0 } else { 1.0 },
            top_k,
            repeat_penalty: if round % 2 == 0 { 1.5 } else { 1.0 },
            presence_penalty: if round % 4 == 0 { 3.0 } else { 0.0 },
            logit_bias: vec![(bias as TokenId, if round % 7 == 0 { 30.0 } else { -30.0 })],
            seed: round as u64,
            ..Sampling::default()
        };
        let all: Vec<TokenId> = (0..len as TokenId).collect();
        let chosen = |allowed| sampler(sampling.clone()).choose(&logits, &history, allowed);
        // With a list of all ids, all of them are candidates.
        assert_eq!(chosen(None), chosen(Some(&all)), "round {round}: {sampling:?}");
    }
}
