//! Every operation of the disk fails in turn, and the power goes at every moment: what was acknowledged
//! is there, and no file is damaged.

use super::reference::{Judged, Run};
use crate::storage::simulated::{Failing, Lie};

/// Something of everything, in an order that uses what came before.
const EVERYTHING: [usize; 16] = [0, 2, 4, 7, 5, 3, 8, 1, 6, 9, 4, 0, 2, 9, 7, 4];
/// Seeds of runs by chance, unless `ONDINE_POWER_CUTS` says how many.
const SEEDS: u64 = 300;
const STEPS: usize = 30;

fn everything(seed: u64, failing: Failing) -> Result<Run, String> {
    let mut run = Run::new(seed);
    run.fail(failing);
    for number in EVERYTHING {
        run.act(number)?;
    }
    Ok(run)
}

#[test]
fn each_operation_fails_once_or_for_good_and_nothing_acknowledged_is_lost() {
    for seed in 0..4 {
        let operations = everything(seed, Failing::Never).unwrap().disk.operations();
        assert!(operations > 40, "{operations}");
        for number in 0..operations {
            for failing in [Failing::Once(number), Failing::From(number)] {
                for power in [false, true, true, true] {
                    let judged = everything(seed, failing).and_then(|mut run| {
                        run.fail(Failing::Never);
                        if power {
                            run.cut_power()?;
                        } else {
                            run.check()?;
                            run.kill()?;
                        }
                        // And it goes on from there.
                        EVERYTHING.iter().try_for_each(|&number| run.act(number))?;
                        run.check()?;
                        run.cut_power()
                    });
                    judged.unwrap_or_else(|why| panic!("seed {seed}, {failing:?}, {power}: {why}"));
                }
            }
        }
    }
}

fn by_chance(seed: u64, lie: Option<Lie>) -> Judged {
    let mut run = Run::new(seed);
    for _ in 0..STEPS {
        if let Some(lie) = lie {
            run.disk.lie(lie);
        }
        run.step()?;
    }
    run.check()?;
    run.cut_power()
}

#[test]
fn whatever_apps_do_the_archive_is_what_a_plain_map_would_be() {
    let asked = std::env::var("ONDINE_POWER_CUTS").ok();
    let seeds = asked.and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        by_chance(seed, None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn each_kind_of_sync_would_be_missed() {
    for lie in [Lie::Create, Lie::Append, Lie::Cut, Lie::Sync, Lie::Folder] {
        let noticed = (0..3000).find(|&seed| by_chance(seed, Some(lie)).is_err());
        assert!(noticed.is_some(), "nothing is lost without it: {lie:?}");
    }
}
