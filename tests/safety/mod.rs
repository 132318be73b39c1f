//! Safety, in numbers: runs that are killed, interrupted, suspended, or lose their disk, container
//! engine or API server, at moments
//! that are drawn, and whether the cluster is whole afterwards.

mod backend;
mod disk;
mod faults;
mod proxy;
mod random;
mod scenarios;
mod whole;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend::Backend;
pub(crate) use backend::On;
use random::Random;
pub(crate) use scenarios::SCENARIOS;
use scenarios::{Draw, Miss, Scenario};

/// What of all draws is made.
pub(crate) struct Plan {
    pub on: On,
    pub seed: u64,
    /// How often runs are killed; the other scenarios are drawn in proportion.
    pub kills: usize,
    /// So many runs at a time, each on a cluster of its own.
    pub jobs: usize,
    /// Only these scenarios, unless there are none; and only this draw of each.
    pub only: Vec<String>,
    pub draw: Option<usize>,
}

/// What came of a scenario.
pub(crate) struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub tried: usize,
    /// How long each took until the cluster was whole.
    pub whole: Vec<Duration>,
    /// The draws whose run ended in order before it could be hit, and how.
    pub not_reached: Vec<(usize, String)>,
    /// The draws after which the cluster was not whole, and what was not.
    pub failures: Vec<(usize, String)>,
    /// How long all of it took.
    pub took: Duration,
}

impl Plan {
    /// Makes the draws, and says what each was; the rows, and which faults the backend cannot inject.
    pub(crate) fn carry_out(&self) -> (Vec<Row>, Vec<String>) {
        let mut backends: Vec<Backend> = (0..self.jobs).map(|_| Backend::new(self.on)).collect();
        let (faults, cannot) = backends[0].faults();
        assert!(!faults.is_empty(), "no fault can be injected: {cannot:#?}");
        let chosen = SCENARIOS.iter().filter(|scenario| {
            scenario.on.contains(&self.on)
                && (self.only.is_empty() || self.only.iter().any(|only| only == scenario.name))
        });
        let rows = chosen.map(|scenario| self.row(scenario, &mut backends, &faults)).collect();
        (rows, cannot)
    }

    fn row(&self, scenario: &Scenario, backends: &mut [Backend], faults: &[&'static str]) -> Row {
        let (began, of) = (Instant::now(), self.kills.div_ceil(scenario.one_in));
        let draws: Vec<usize> =
            (0..of).filter(|n| self.draw.is_none_or(|draw| draw == *n)).collect();
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for backend in backends.iter_mut() {
                scope.spawn(|| {
                    while let Some(&number) = draws.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.draw(scenario, backend, faults, number, of);
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        results.push((number, result));
                    }
                });
            }
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut whole, mut not_reached, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for (number, result) in results {
            match result {
                Ok(took) => whole.push(took),
                Err(Miss::NotReached(why)) => not_reached.push((number, why)),
                Err(Miss::NotWhole(why)) => failures.push((number, why)),
            }
        }
        let Scenario { name, what, .. } = *scenario;
        let (tried, took) = (draws.len(), began.elapsed());
        Row { name, what, tried, whole, not_reached, failures, took }
    }

    fn draw(
        &self,
        scenario: &Scenario,
        backend: &mut Backend,
        faults: &[&'static str],
        number: usize,
        of: usize,
    ) -> Result<Duration, Miss> {
        let mut draw = Draw {
            number,
            of,
            faults: faults.len(),
            fault: faults[number % faults.len()],
            random: Random::new(self.seed, scenario.name, number),
            moment: String::new(),
        };
        let run = AssertUnwindSafe(|| (scenario.run)(backend, &mut draw));
        let result = catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(Miss::NotWhole(text.unwrap_or_else(|| "a check failed: see above".into())))
        });
        let fault = draw.fault.split(", effect").next().unwrap_or_default();
        let what = format!("{} {number}: {fault}, {}", scenario.name, draw.moment);
        let result = result.map_err(|miss| match miss {
            Miss::NotReached(why) => match backend.wait_until_whole() {
                Ok(()) => Miss::NotReached(format!("{what}: {why}")),
                Err(left) => Miss::NotWhole(format!("{what}: {left}; {why}")),
            },
            Miss::NotWhole(why) => Miss::NotWhole(format!("{what}: {why}")),
        });
        match &result {
            Ok(took) => eprintln!("{what}: whole after {:.1}s", took.as_secs_f64()),
            Err(Miss::NotReached(why)) => eprintln!("not reached: {why}"),
            Err(Miss::NotWhole(why)) => {
                eprintln!("NOT WHOLE: {why}");
                // The next draw begins on a cluster that is whole.
                if backend.recover().and_then(|_| backend.wait_until_whole()).is_err() {
                    if self.on != On::Embedded {
                        crate::lab::delete(crate::CLUSTER);
                    }
                    *backend = Backend::new(self.on);
                }
            }
        }
        result
    }
}

impl Plan {
    /// The draws that were not reached, and those after which a cluster was not whole, with how each
    /// is made again.
    pub(crate) fn misses(&self, rows: &[Row]) -> (Vec<String>, Vec<String>) {
        let all = |label, of: fn(&Row) -> &[(usize, String)]| {
            rows.iter().flat_map(|row| self.again(label, row.name, of(row))).collect()
        };
        (all("not reached", |row| &row.not_reached), all("not whole", |row| &row.failures))
    }

    fn again(&self, label: &str, name: &str, misses: &[(usize, String)]) -> Vec<String> {
        let Self { on, seed, kills, .. } = self;
        let again = |(number, why): &(usize, String)| {
            format!(
                "{label}: {why}\nagain: cargo test --test safety -- --on {} --kills {kills} --seed {seed} --only {name} --draw {number}",
                on.name()
            )
        };
        misses.iter().map(again).collect()
    }
}

/// The table of what came of all scenarios.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:<50} {:>5} {:>8} {:>12}  {:>13}  {:>7}",
        "scenario", "draws", "restored", "not reached", "within", "took"
    )];
    for row in rows {
        let longest = row
            .whole
            .iter()
            .max()
            .map_or(String::new(), |max| format!("{:.1}s", max.as_secs_f64()));
        lines.push(format!(
            "{:<50} {:>5} {:>8} {:>12}  {:>13}  {:>6}s",
            row.what,
            row.tried,
            row.whole.len(),
            row.not_reached.len(),
            longest,
            row.took.as_secs()
        ));
    }
    lines.join("\n")
}

/// Each kind of fault that the program knows is in the list.
pub(crate) fn assert_every_fault_is_drawn() {
    let drawn: BTreeSet<&str> = faults::FAULTS.into_iter().map(faults::kind).collect();
    let known: Vec<&str> = outage::timeline::FaultKind::ALL.map(|kind| kind.name()).to_vec();
    assert_eq!(drawn, known.into_iter().collect());
}
