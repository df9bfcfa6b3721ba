//! Every family against the slow forward pass: whole prompts, prompts in pieces, one by one.

use ondine_cache::Cache;
use ondine_model::{BATCH, Model, Want, load, load_for};
use ondine_tensor::{Cpu, DType, Isa, Rows};

#[path = "support/tiny.rs"]
mod tiny;
use tiny::Tiny;
use tiny::reference;

/// The promise for 32-bit weights, as a part of the logits' spread. Against a judge that rounds keys
/// and values to 16 bits alike, 1e-6 is usual; a key that the two round to different sides makes
/// it 1e-4. A wrong rotation or a norm left out makes it 1e-1.
const BOUND: f64 = 1e-3;

fn yarn(tiny: Tiny) -> Tiny {
    Tiny { rope_yarn: Some(4.0), original: Some(24), ..tiny }
}

fn longrope(tiny: Tiny, original: usize) -> Tiny {
    Tiny { rope_long: true, original: Some(original), ..tiny }
}

fn windows(tiny: Tiny, window: usize, period: usize) -> Tiny {
    Tiny { window: Some(window), period: Some(period), ..tiny }
}

fn variants() -> Vec<(&'static str, Tiny)> {
    let llama = Tiny::llama;
    vec![
        ("llama", llama()),
        ("llama, tied", Tiny { tied: true, ..llama() }),
        ("llama, every head its own keys", Tiny { kv_heads: 4, ..llama() }),
        ("llama, one head of keys", Tiny { kv_heads: 1, ..llama() }),
        ("llama, deep and thin", Tiny { layers: 12, width: 16, ff: 24, tied: true, ..llama() }),
        ("llama, heads of 12", Tiny { head_dim: 12, rope_dims: 12, ..llama() }),
        ("llama, half a head rotates", Tiny { head_dim: 16, rope_dims: 8, ..llama() }),
        ("llama, biases", Tiny { biases: true, ..llama() }),
        ("llama 3's frequency factors", Tiny { rope_factors: true, rope_base: 5e5, ..llama() }),
        ("llama, positions stretched", Tiny { rope_linear: Some(4.0), ..llama() }),
        ("qwen2", Tiny::qwen2()),
        ("qwen2, untied", Tiny { tied: false, ..Tiny::qwen2() }),
        ("qwen2, half a head rotates", Tiny { head_dim: 16, rope_dims: 8, ..Tiny::qwen2() }),
        ("qwen3", Tiny::qwen3()),
        ("qwen3, heads of width / heads", Tiny { head_dim: 8, rope_dims: 8, ..Tiny::qwen3() }),
        ("llama, positions by a raised base", Tiny { rope_alpha: Some(4.0), ..llama() }),
        ("llama, yarn", yarn(llama())),
        ("llama, yarn beside frequency factors", Tiny { rope_factors: true, ..yarn(llama()) }),
        ("llama, a window in every block", Tiny { window: Some(7), ..llama() }),
        ("llama, a window of one", Tiny { window: Some(1), ..llama() }),
        ("llama, a window in every other block", windows(llama(), 20, 2)),
        ("llama, one head of keys, a window", Tiny { window: Some(18), kv_heads: 1, ..llama() }),
        ("llama, a window as wide as the context", Tiny { window: Some(96), ..llama() }),
        ("llama, experts", Tiny::mixtral()),
        ("llama, one expert of many", Tiny { experts: Some((9, 1)), ..Tiny::mixtral() }),
        ("llama, all experts", Tiny { experts: Some((3, 3)), ..Tiny::mixtral() }),
        ("qwen2, yarn", yarn(Tiny::qwen2())),
        ("qwen3moe", Tiny::qwen3moe()),
        ("qwen3moe, tied", Tiny { tied: true, ..Tiny::qwen3moe() }),
        ("gemma3", Tiny::gemma3()),
        ("gemma3, positions stretched", Tiny { rope_linear: Some(8.0), ..Tiny::gemma3() }),
        ("gemma3, no windows", Tiny { window: None, ..Tiny::gemma3() }),
        ("gemma3, every third block", windows(Tiny::gemma3(), 5, 3)),
        ("gemma3, bounded logits", Tiny { logit_cap: Some(3.0), ..Tiny::gemma3() }),
        ("phi3", Tiny::phi3()),
        ("phi3, tied, every head its own keys", Tiny { kv_heads: 4, tied: true, ..Tiny::phi3() }),
        ("phi3, a window", Tiny { window: Some(9), ..Tiny::phi3() }),
        ("phi3, part of a head rotates", Tiny { head_dim: 16, rope_dims: 12, ..Tiny::phi3() }),
        ("phi3, a long context", longrope(Tiny::phi3(), 32)),
        ("phi3, a short context", longrope(Tiny::phi3(), 96)),
        ("olmo2", Tiny::olmo2()),
        ("olmo2, every head its own keys", Tiny { kv_heads: 4, ..Tiny::olmo2() }),
        ("olmo3: windows, yarn", Tiny { window: Some(10), ..yarn(Tiny::olmo2()) }),
        ("granite", Tiny::granite()),
        ("granite, nothing scaled", Tiny { scales: None, ..Tiny::granite() }),
        ("gpt2", Tiny::gpt2()),
        ("gpt2, untied", Tiny { tied: false, ..Tiny::gpt2() }),
    ]
}

fn all_logits(model: &dyn Model, cpu: &Cpu, pieces: &[&[u32]]) -> Vec<Vec<f32>> {
    let mut cache = Cache::new(model.shape().cache());
    let mut rows = Vec::new();
    for piece in pieces {
        let logits = model.forward(cpu, piece, &mut cache, Want::All).unwrap();
        rows.extend((0..logits.count()).map(|row| logits.row(row).to_vec()));
    }
    rows
}

/// The worst difference over all positions, with where it stands.
fn worst(got: &[Vec<f32>], wanted: &[Vec<f64>]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    got.iter().zip(wanted).map(|(g, w)| reference::difference(g, w)).fold(0.0, f64::max)
}

#[test]
fn every_family_agrees_with_the_slow_pass() {
    let mut failures = Vec::new();
    let computers: Vec<Cpu> =
        Isa::available().flat_map(|isa| [1, 2].map(|threads| Cpu::new(threads, isa))).collect();
    for (name, tiny) in variants() {
        let file = tiny.file();
        let model = load(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Past the border of two pages of the cache.
        let tokens = tiny::text(7, 37, tiny.vocab);
        let wanted = reference::logits(&tiny, &file, &tokens);
        let (a, b) = tokens.split_at(5);
        let (b, c) = b.split_at(1);
        let cuts: [(&str, Vec<&[u32]>); 3] = [
            ("whole", vec![&tokens]),
            ("pieces", vec![a, b, c]),
            ("one by one", tokens.chunks(1).collect()),
        ];
        for cpu in &computers {
            for (cut, pieces) in &cuts {
                let far = worst(&all_logits(&*model, cpu, pieces), &wanted);
                if far >= BOUND {
                    let (isa, threads) = (cpu.isa(), cpu.threads());
                    failures.push(format!("{name}, {cut}, {isa}, {threads} threads: {far:e}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "further from the slow pass than {BOUND:e}:\n{failures:#?}");
}

#[test]
fn weights_that_are_laid_out_anew_are_the_same_weights() {
    let mut changed = 0;
    for tiny in Tiny::families() {
        for (dtype, tied) in [(DType::Q8_0, true), (DType::Q4_0, false)] {
            // Some matrices have rows in whole groups on every set, some on none.
            let tiny = Tiny { vocab: 48, ff: 64, tied, ..tiny.clone() };
            let file = tiny.quantised(dtype);
            let tokens = tiny::text(13, 30, tiny.vocab);
            for isa in Isa::available() {
                let cpu = Cpu::new(2, isa);
                let lean = load(&file).unwrap();
                let fast = load_for(&file, &cpu).unwrap();
                for cuts in
                    [vec![&tokens[..]], tokens.chunks(1).collect(), tokens.chunks(7).collect()]
                {
                    let lean = all_logits(&*lean, &cpu, &cuts);
                    let fast = all_logits(&*fast, &cpu, &cuts);
                    changed += usize::from(fast != lean);
                    let lean: Vec<Vec<f64>> = lean
                        .into_iter()
                        .map(|row| row.into_iter().map(f64::from).collect())
                        .collect();
                    let far = worst(&fast, &lean);
                    // Sums in another order tip the rounding of activations to bytes here and there, and the choice of
                    // experts after it. Other weights would be as far as the spread.
                    assert!(far < 50.0 * BOUND, "{} {dtype} {isa}: {far:e}", tiny.architecture);
                }
            }
        }
    }
    assert!(changed > 0, "the same to the last bit everywhere: nothing was laid out");
}

#[test]
fn only_wanted_rows_are_given() {
    let cpu = Cpu::new(1, Isa::best());
    let model = load(&Tiny::llama().file()).unwrap();
    let tokens = tiny::text(3, 20, 40);
    let run = |want| {
        let mut cache = Cache::new(model.shape().cache());
        let logits = model.forward(&cpu, &tokens, &mut cache, want).unwrap();
        assert_eq!((cache.len(), logits.width()), (20, 40));
        logits
    };
    assert_eq!(run(Want::None).count(), 0);
    let (last, all): (Rows, Rows) = (run(Want::Last), run(Want::All));
    assert_eq!((last.count(), all.count()), (1, 20));
    let far = last.row(0).iter().zip(all.row(19)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far < 1e-4, "the last of all and the last alone differ by {far}");
}

#[test]
fn a_prompt_longer_than_a_batch_goes_through_in_pieces() {
    let cpu = Cpu::new(2, Isa::best());
    let tiny = Tiny { layers: 1, context: 2 * BATCH, ..Tiny::llama() };
    let file = tiny.file();
    let model = load(&file).unwrap();
    let tokens = tiny::text(5, BATCH + 60, tiny.vocab);
    let wanted = reference::logits(&tiny, &file, &tokens);
    let got = all_logits(&*model, &cpu, &[&tokens]);
    let far = worst(&got, &wanted);
    assert!(far < BOUND, "{far:e}");
    let mut cache = Cache::new(model.shape().cache());
    let last = model.forward(&cpu, &tokens, &mut cache, Want::Last).unwrap();
    assert_eq!(last.count(), 1);
    assert!(reference::difference(last.row(0), wanted.last().unwrap()) < BOUND);
}

#[test]
fn a_timeline_that_stays_short_turns_by_the_short_list() {
    let cpu = Cpu::new(1, Isa::best());
    let tiny = longrope(Tiny::phi3(), 40);
    let file = tiny.file();
    let model = load(&file).unwrap();
    let tokens = tiny::text(9, 40, tiny.vocab);
    let mut rows = Vec::new();
    for horizon in [40, 41, usize::MAX] {
        let mut cache = Cache::with_horizon(model.shape().cache(), horizon);
        let logits = model.forward(&cpu, &tokens, &mut cache, Want::Last).unwrap();
        let wanted = reference::logits_within(&tiny, &file, &tokens, horizon);
        let far = reference::difference(logits.row(0), wanted.last().unwrap());
        assert!(far < BOUND, "{horizon}: {far:e}");
        rows.push(logits.into_vec());
    }
    assert_ne!(rows[0], rows[1]);
    assert_eq!(rows[1], rows[2]);
}

#[test]
fn the_same_run_gives_the_same_bits() {
    for tiny in Tiny::families() {
        let model = load(&tiny.file()).unwrap();
        let tokens = tiny::text(11, 33, tiny.vocab);
        for threads in [1, 2, 3] {
            let cpu = Cpu::new(threads, Isa::best());
            let bits = |_| {
                let rows =
                    all_logits(&*model, &cpu, &[&tokens[..20], &tokens[20..21], &tokens[21..]]);
                rows.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let first = bits(0);
            assert!((1..5).all(|i| bits(i) == first), "{} {threads}", tiny.architecture);
        }
    }
}
