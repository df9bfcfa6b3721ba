//! How many threads compute where nobody says: one for each core that is not a slow one.
//!
//! A phone has cores of three kinds and a laptop of two. A slow core in a team makes the fast ones wait
//! at the end of each region, so those that are less than half as fast as the fastest are left out. The
//! system does not say how fast a core multiplies: it is measured once, for a few milliseconds, and kept
//! in
//!
//! ```text
//! ONDINE_HOME/cores.json      {"machine": "…", "cores": [0, 1, …], "rates": [1.0, 0.98, …]}
//! ```
//!
//! until the machine or the cores that this process may use are other ones. Threads are not tied to
//! cores: systems that have slow ones put busy threads on fast ones by themselves.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ondine_tensor::probe::int8_alone;
use ondine_tensor::{Isa, cores};
use serde_json::{Value, json};

use crate::{own, store};

/// The file, inside the home folder.
const FILE: &str = "cores.json";
/// Bytes of it at most; what is longer was not written here.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// A core is slow below this share of the fastest one's rate.
const SLOW: f64 = 0.5;
/// Visits that each core gets, in turns. The best of many short ones counts: another program that has
/// the core for a while must not make it a slow one.
const VISITS: usize = 15;
/// How long a visit is: shorter than what the system gives a program at a time.
const VISIT: Duration = Duration::from_micros(250);
/// Rounds of the probe between looks at the clock.
const ROUNDS: usize = 20;

/// What was measured: the cores' numbers, and rates of which the largest is 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    cores: Vec<usize>,
    rates: Vec<f64>,
}

impl Rates {
    /// Of each core that may be used, in the system's order, the share of the fastest one's rate.
    pub(crate) fn shares(&self) -> &[f64] {
        &self.rates
    }

    /// How many of the cores are not slow.
    fn fast(&self) -> usize {
        self.rates.iter().filter(|rate| **rate >= SLOW).count()
    }

    fn measured(cores: &[usize]) -> Option<Rates> {
        let mut rates = vec![0.0_f64; cores.len()];
        for _ in 0..VISITS {
            for (&core, best) in cores.iter().zip(&mut rates) {
                *best = best.max(cores::on(core, visit)?);
            }
        }
        let fastest = rates.iter().copied().fold(0.0, f64::max);
        rates.iter_mut().for_each(|rate| *rate /= fastest);
        Some(Rates { cores: cores.to_vec(), rates })
    }

    fn read(path: &Path, machine: &str, cores: &[usize]) -> Option<Rates> {
        if fs::metadata(path).ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        let file: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        let numbers: Option<Vec<u64>> =
            file["cores"].as_array()?.iter().map(Value::as_u64).collect();
        let rates: Option<Vec<f64>> = file["rates"].as_array()?.iter().map(Value::as_f64).collect();
        let (numbers, rates) = (numbers?, rates?);
        let same = numbers.iter().map(|n| *n as usize).eq(cores.iter().copied());
        let sound =
            rates.len() == cores.len() && rates.iter().all(|rate| (0.0..=1.0).contains(rate));
        let ours = file["machine"] == machine && same && sound && rates.contains(&1.0);
        ours.then(|| Rates { cores: cores.to_vec(), rates })
    }

    fn write(&self, path: &Path, machine: &str) -> std::io::Result<()> {
        let file = json!({ "machine": machine, "cores": self.cores, "rates": self.rates });
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let written = fs::write(&beside, format!("{file:#}\n"));
        written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
    }
}

/// Multiplies for a while, and gives multiplications a second.
fn visit() -> f64 {
    let (begun, mut done) = (Instant::now(), 0);
    loop {
        done += int8_alone(Isa::best(), ROUNDS);
        let took = begun.elapsed();
        if took >= VISIT {
            return done as f64 / took.as_secs_f64();
        }
    }
}

/// Threads that compute where nobody says how many: no more than the control group's share of
/// processors, and none for a slow core.
pub(crate) fn threads() -> usize {
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    if most == 1 {
        return 1;
    }
    rates().map_or(most, |rates| rates.fast().clamp(1, most))
}

/// The rates of this machine's cores, from the file or measured now; `None` where the system cannot put a
/// thread on a core, or where there is no place to keep them: to measure at each start would be felt.
pub(crate) fn rates() -> Option<Rates> {
    let (cores, machine) = (cores::allowed(), machine());
    if cores.len() < 2 {
        return None;
    }
    let home = store::home().ok()?;
    let path = home.join(FILE);
    if let Some(known) = Rates::read(&path, &machine, &cores) {
        return Some(known);
    }
    own::own_folder(&home).ok()?;
    let rates = Rates::measured(&cores)?;
    rates.write(&path, &machine).ok()?;
    Some(rates)
}

/// What tells this machine from another that has the same home folder.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = ["model name", "Hardware", "CPU part"].into_iter().find_map(field);
    format!("{} {}", std::env::consts::ARCH, model.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(rates: &[f64]) -> Rates {
        Rates { cores: (0..rates.len()).collect(), rates: rates.to_vec() }
    }

    #[test]
    fn slow_cores_are_left_out() {
        // A phone: one prime core, three large, four small.
        let phone = [1.0, 0.82, 0.8, 0.81, 0.22, 0.21, 0.22, 0.2];
        assert_eq!(rates(&phone).fast(), 4);
        // A laptop's efficient cores that are not far behind help.
        assert_eq!(rates(&[1.0, 1.0, 0.62, 0.61]).fast(), 4);
        assert_eq!(rates(&[1.0, 0.97]).fast(), 2);
    }

    #[test]
    fn what_was_measured_is_found_again_and_nonsense_is_not_believed() {
        let folder = std::env::temp_dir().join(format!("ondine-cores-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(FILE);
        assert_eq!(Rates::read(&path, "m", &[0, 1]), None, "not measured yet");
        let known = rates(&[1.0, 0.25]);
        known.write(&path, "m").unwrap();
        assert_eq!(Rates::read(&path, "m", &[0, 1]), Some(known));
        assert_eq!(Rates::read(&path, "another", &[0, 1]), None, "another machine");
        assert_eq!(Rates::read(&path, "m", &[0, 2]), None, "other cores");
        assert_eq!(Rates::read(&path, "m", &[0]), None);
        for bad in [
            "",
            "{}",
            r#"{"machine":"m","cores":[0,1],"rates":[0.5,0.5]}"#,
            r#"{"machine":"m","cores":[0,1],"rates":[1.0,-1.0]}"#,
            r#"{"machine":"m","cores":[0,1],"rates":[1.0]}"#,
            r#"{"machine":"m","cores":[0,-1],"rates":[1.0,1.0]}"#,
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(Rates::read(&path, "m", &[0, 1]), None, "{bad}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_is_measured() {
        let measured = Rates::measured(&cores::allowed()).unwrap();
        assert!(measured.rates.contains(&1.0), "{measured:?}");
        assert!(measured.rates.iter().all(|rate| *rate > 0.0 && *rate <= 1.0), "{measured:?}");
    }
}
