//! `ondine bench`: prompt and decode speed, with the machine's limits measured beside each sample.
//!
//! A shared machine is fast in one minute and slow in the next. A sample therefore carries the
//! read bandwidth and the int8 peak found right after it, and medians are reported with the
//! samples they are of.

use std::time::Instant;

use ondine_cache::{Cache, CacheShape};
use ondine_model::{Model, Scratch, Want};
use ondine_tensor::probe::{ReadProbe, int8_probe};
use ondine_tensor::{Cpu, Rows, argmax};
use serde_json::{Value, json};

use crate::cores;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::memory;
use crate::model;
use crate::output::{self, Answer};
use crate::progress::Progress;

/// Memory for the read probe: more than caches hold.
const READ_BYTES: usize = 128 << 20;
/// Rounds of the int8 probe: some tens of milliseconds.
const INT8_ROUNDS: usize = 20_000;

/// What is measured.
struct Plan {
    prompt: usize,
    decode: usize,
    depth: usize,
    repeat: usize,
}

/// One measured speed and the machine beside it.
struct Sample {
    tokens_per_s: f64,
    read_gb_per_s: f64,
    int8_gmac_per_s: f64,
}

/// Measures a model.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let plan = Plan {
        prompt: arguments.count_or("prompt-tokens", 256),
        decode: arguments.count_or("decode-tokens", 32),
        depth: arguments.count_or("depth", 0),
        repeat: arguments.count_or("repeat", 3),
    };
    let begun = Instant::now();
    let cpu = Cpu::new(arguments.threads(), arguments.isa());
    let model = model::model(arguments, &cpu)?;
    let load_s = begun.elapsed().as_secs_f64();
    let needed = plan.depth + plan.prompt.max(plan.decode + 1);
    let context = model.shape().context;
    if needed > context {
        let message = format!("needs {needed} positions, the model has {context}");
        return Err(Failure::usage(message).hint("lower -p, -n or --depth"));
    }

    let shape = CacheShape { kv: arguments.kv(), ..model.shape().cache() };
    memory::check(shape, needed)?;

    let progress = Progress::new("samples", 2 * plan.repeat as u64);
    let watch = Watch::new();
    let mut bench = Bench::new(&*model, &cpu, shape);
    // One pass that is not counted touches every page of the file and starts the threads, and the
    // weights' move to better pages, else spread over many tokens, is brought to its end. It is
    // as large as any that follows, so the peak of memory is known after it, and the probes,
    // which need memory of their own, do not spoil that figure.
    bench.pass(&plan)?;
    if plan.decode < 2 {
        // Weights are laid out at their second use.
        bench.pass(&plan)?;
    }
    cpu.settled();
    let peak_rss_mib = peak_rss_mib();
    let probes = Probes { cpu: &cpu, read: ReadProbe::new(READ_BYTES) };
    let (mut prompts, mut decodes) = (Vec::new(), Vec::new());
    for round in 0..plan.repeat {
        if plan.prompt > 0 {
            watch.check()?;
            let tokens_per_s = bench.prompt(plan.depth, plan.prompt)?;
            prompts.push(probes.beside(tokens_per_s));
        }
        progress.done(2 * round as u64 + 1);
        if plan.decode > 0 {
            watch.check()?;
            let tokens_per_s = bench.decode(plan.depth, plan.decode)?;
            decodes.push(probes.beside(tokens_per_s));
        }
        progress.done(2 * round as u64 + 2);
    }
    drop(progress);

    let prompt_rate = median(prompts.iter().map(|sample| sample.tokens_per_s));
    let decode_rate = median(decodes.iter().map(|sample| sample.tokens_per_s));
    if arguments.on("json") {
        let speeds = |samples: &[Sample]| -> Vec<f64> {
            samples.iter().map(|sample| sample.tokens_per_s).collect()
        };
        return Answer::new().line(json!({
            "prompt_tokens_per_s": prompt_rate,
            "decode_tokens_per_s": decode_rate,
            "prompt_samples": speeds(&prompts),
            "decode_samples": speeds(&decodes),
            "prompt_probes": limits(&prompts),
            "decode_probes": limits(&decodes),
            "load_s": load_s,
            "peak_rss_mib": peak_rss_mib,
            "prompt_tokens": plan.prompt,
            "decode_tokens": plan.decode,
            "depth": plan.depth,
            "kv": shape.kv.name(),
            "threads": cpu.threads(),
            "core_rates": cores::rates().map(|rates| rates.shares().to_vec()),
            "isa": cpu.isa().to_string(),
        }));
    }
    let mut answer = Answer::new();
    answer.row(format_args!(
        "{} of {} layers, {} threads, {}; {} tokens in {} before each sample",
        output::Shown(&model.shape().architecture),
        shape.layers,
        cpu.threads(),
        cpu.isa(),
        plan.depth,
        shape.kv
    ))?;
    for (name, tokens, rate, samples) in [
        ("prompt", plan.prompt, prompt_rate, &prompts),
        ("decode", plan.decode, decode_rate, &decodes),
    ] {
        let Some(rate) = rate else { continue };
        answer.row(format_args!("{name:<8}{tokens:>6} tokens {rate:>10.1} tokens/s"))?;
        for Sample { tokens_per_s, read_gb_per_s, int8_gmac_per_s } in samples {
            answer.row(format_args!(
                "{:21} {tokens_per_s:>10.1}            beside it: read {read_gb_per_s:.1} GB/s, \
                 int8 {int8_gmac_per_s:.0} GMAC/s",
                ""
            ))?;
        }
    }
    if let Some(rates) = cores::rates() {
        let shares: Vec<String> = rates.shares().iter().map(|rate| format!("{rate:.2}")).collect();
        answer.row(format_args!("cores   {} of the fastest", shares.join(" ")))?;
    }
    answer.row(format_args!("load    {load_s:>20.3} s"))?;
    if let Some(peak) = peak_rss_mib {
        answer.row(format_args!("memory  {peak:>20.1} MiB at the peak"))?;
    }
    answer.done()
}

/// A model, what computes it, and the memory that samples share.
struct Bench<'a> {
    model: &'a dyn Model,
    cpu: &'a Cpu,
    cache: Cache,
    scratch: Scratch,
    logits: Rows,
}

impl<'a> Bench<'a> {
    fn new(model: &'a dyn Model, cpu: &'a Cpu, kept: CacheShape) -> Bench<'a> {
        let shape = model.shape();
        let (cache, scratch) = (Cache::new(kept), Scratch::new(shape));
        Bench { model, cpu, cache, scratch, logits: Rows::new(0, shape.vocab) }
    }

    fn evaluate(&mut self, tokens: &[u32], want: Want) -> Result<(), Failure> {
        let Bench { model, cpu, cache, scratch, logits } = self;
        Ok(model.evaluate(cpu, tokens, cache, want, scratch, logits)?)
    }

    /// Leaves exactly `depth` tokens in the cache.
    fn begin(&mut self, depth: usize) -> Result<(), Failure> {
        self.cache.truncate(depth);
        let missing = depth - self.cache.len();
        let tokens = self.tokens(missing);
        self.evaluate(&tokens, Want::None)
    }

    /// Tokens that differ and repeat: any text costs the same.
    fn tokens(&self, count: usize) -> Vec<u32> {
        let vocab = self.model.shape().vocab as u64;
        (0..count as u64).map(|i| (i.wrapping_mul(7919) % vocab) as u32).collect()
    }

    /// A prompt and a token after it, unmeasured.
    fn pass(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.begin(plan.depth)?;
        let tokens = self.tokens(plan.prompt.max(1));
        self.evaluate(&tokens, Want::Last)?;
        self.begin(plan.depth)?;
        self.evaluate(&[1], Want::Last)
    }

    fn prompt(&mut self, depth: usize, count: usize) -> Result<f64, Failure> {
        self.begin(depth)?;
        let tokens = self.tokens(count);
        let begun = Instant::now();
        self.evaluate(&tokens, Want::Last)?;
        Ok(rate(count as f64, begun))
    }

    fn decode(&mut self, depth: usize, count: usize) -> Result<f64, Failure> {
        self.begin(depth)?;
        self.evaluate(&[1], Want::Last)?;
        let begun = Instant::now();
        for _ in 0..count {
            let next = argmax(self.logits.row(0)).unwrap_or(0) as u32;
            self.evaluate(&[next], Want::Last)?;
        }
        Ok(rate(count as f64, begun))
    }
}

/// The machine's limits at this moment.
struct Probes<'a> {
    cpu: &'a Cpu,
    read: ReadProbe,
}

impl Probes<'_> {
    /// A sample with the machine measured beside it.
    fn beside(&self, tokens_per_s: f64) -> Sample {
        let begun = Instant::now();
        let bytes = self.read.run(self.cpu);
        let read_gb_per_s = rate(bytes as f64 / 1e9, begun);
        let begun = Instant::now();
        let products = int8_probe(self.cpu, INT8_ROUNDS);
        let int8_gmac_per_s = rate(products as f64 / 1e9, begun);
        Sample { tokens_per_s, read_gb_per_s, int8_gmac_per_s }
    }
}

/// So many in the time since.
fn rate(count: f64, since: Instant) -> f64 {
    count / since.elapsed().as_secs_f64()
}

/// The middle of the values; of an even number of them, the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

fn limits(samples: &[Sample]) -> Vec<Value> {
    let row = |sample: &Sample| {
        json!({
            "read_gb_per_s": sample.read_gb_per_s,
            "int8_gmac_per_s": sample.int8_gmac_per_s,
        })
    };
    samples.iter().map(row).collect()
}

/// The most memory the process has held, where the system says so.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0].into_iter()), Some(3.0));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_known_on_linux() {
        assert!(peak_rss_mib().is_some_and(|mib| mib > 0.1));
    }
}
