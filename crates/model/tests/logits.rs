//! Every family against the slow forward pass: whole prompts, prompts in pieces, one by one.

use ondine_cache::Cache;
use ondine_model::{BATCH, Model, Want, load};
use ondine_tensor::{Cpu, Isa, Rows};

#[path = "support/tiny.rs"]
mod tiny;
use tiny::Tiny;
use tiny::reference;

/// The promise for 32-bit weights, as a part of the logits' spread. Against a judge that rounds keys
/// and values to 16 bits alike, 1e-6 is usual; a key that the two round to different sides makes
/// it 1e-4. A wrong rotation or a norm left out makes it 1e-1.
const BOUND: f64 = 1e-3;

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
