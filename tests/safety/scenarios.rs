//! What is done to a run, and how it must end. Each ends when the cluster is whole.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use outage::timeline::FaultKind;

use super::backend::{Backend, LIMIT, On};
use super::disk::{Disk, Goes};
use super::faults::HOLD_SECONDS;
use super::proxy::{Proxy, Way};
use super::random::Random;
use super::whole::Namespaces;
use crate::program::{Output, Started};
use crate::{CLUSTER, lab};

const HOLD: Duration = Duration::from_secs(HOLD_SECONDS);
/// The steady state is waited for first.
const BEGINS_WITHIN: Duration = Duration::from_secs(240);

/// One of its tries.
pub(crate) struct Draw {
    /// From 0.
    pub number: usize,
    /// Of so many.
    pub of: usize,
    /// How many faults take turns.
    pub faults: usize,
    pub fault: &'static str,
    pub random: Random,
    /// What was drawn, for people.
    pub moment: String,
}

/// How long it took from its end until the cluster was whole.
type Whole = Result<Duration, Miss>;

/// Why a draw does not count as whole.
pub(crate) enum Miss {
    /// The run ended in order before it could be hit: how.
    NotReached(String),
    /// What was not whole.
    NotWhole(String),
}

impl From<String> for Miss {
    fn from(why: String) -> Self {
        Self::NotWhole(why)
    }
}

pub(crate) struct Scenario {
    pub name: &'static str,
    /// What is done, for people.
    pub what: &'static str,
    pub on: &'static [On],
    /// One of so many of the kills that were asked for.
    pub one_in: usize,
    pub run: fn(&Backend, &mut Draw) -> Whole,
}

const ANY: &[On] = &[On::Embedded, On::Kind, On::Context];
const REAL: &[On] = &[On::Kind, On::Context];

pub(crate) const SCENARIOS: [Scenario; 13] = [
    Scenario { name: "kill", what: "SIGKILL, then recover", on: ANY, one_in: 1, run: kill },
    Scenario {
        name: "kill-all",
        what: "SIGKILL of run and watchdog: the node undoes it",
        on: REAL,
        one_in: 1,
        run: kill_all,
    },
    Scenario { name: "signal", what: "SIGINT, SIGTERM or SIGHUP", on: ANY, one_in: 2, run: signal },
    Scenario {
        name: "two-runs",
        what: "two runs at the same time",
        on: ANY,
        one_in: 5,
        run: two_runs,
    },
    Scenario {
        name: "run-and-recover",
        what: "recover during a run",
        on: ANY,
        one_in: 5,
        run: run_and_recover,
    },
    Scenario {
        name: "two-recovers",
        what: "SIGKILL, then two recover at the same time",
        on: ANY,
        one_in: 5,
        run: two_recovers,
    },
    Scenario {
        name: "suspended",
        what: "suspended (SIGSTOP) for longer than the fault",
        on: ANY,
        one_in: 5,
        run: suspended,
    },
    Scenario {
        name: "runs-full",
        what: "runs directory full or read-only during the run",
        on: ANY,
        one_in: 5,
        run: runs_lost,
    },
    Scenario {
        name: "state-full",
        what: "state directory full during it, then recover",
        on: ANY,
        one_in: 5,
        run: state_full,
    },
    Scenario {
        name: "state-read-only",
        what: "state directory read-only during it, then recover",
        on: ANY,
        one_in: 5,
        run: state_read_only,
    },
    Scenario {
        name: "engine",
        what: "container engine cut off, frozen or slow",
        on: &[On::Kind],
        one_in: 5,
        run: engine,
    },
    Scenario {
        name: "api",
        what: "API server cut off, frozen or slow",
        on: &[On::Context],
        one_in: 5,
        run: api,
    },
    Scenario {
        name: "cluster-deleted",
        what: "cluster deleted during the run",
        on: &[On::Kind],
        one_in: 20,
        run: cluster_deleted,
    },
];

/// When a run is hit. Where each fault has its turn at least twice, twice in the middle of it, and
/// otherwise at any moment of a run; where there are fewer, both take turns.
fn in_fault(draw: &Draw) -> bool {
    let (round, enough) = (draw.number / draw.faults, draw.of >= 2 * draw.faults);
    if enough { round < 2 } else { (round + draw.number).is_multiple_of(2) }
}

/// Starts a run, and waits for the drawn moment of it.
fn started(backend: &Backend, draw: &mut Draw, more: &[&str]) -> Result<Started, Miss> {
    let mut run = backend.start(draw.fault, more);
    let (after, longest) = match in_fault(draw) {
        // Its undo begins after the hold.
        true => (" confirmed", HOLD * 2 / 3),
        false if draw.number.is_multiple_of(2) => (" requested", HOLD * 2),
        false => ("", Duration::from_secs(4)),
    };
    let delay = draw.random.up_to(longest);
    let since = if after.is_empty() { "its start" } else { after.trim() };
    draw.moment = format!("{delay:?} after {since}");
    reach(&mut run, after, delay)?;
    Ok(run)
}

/// Starts a run, and waits until some time after its fault is confirmed.
fn in_the_middle(backend: &Backend, draw: &mut Draw, more: &[&str]) -> Result<Started, Miss> {
    let mut run = backend.start(draw.fault, more);
    confirmed(&mut run, draw)?;
    Ok(run)
}

fn confirmed(run: &mut Started, draw: &mut Draw) -> Result<(), Miss> {
    let delay = draw.random.up_to(HOLD * 2 / 3);
    draw.moment += &format!("{delay:?} after confirmed");
    reach(run, " confirmed", delay)
}

/// Waits until some time after a run says something. One that was refused, or was over before, is
/// not reached; one that could not undo its fault, or waits for too long, is a failure.
fn reach(run: &mut Started, says: &str, delay: Duration) -> Result<(), Miss> {
    let said = run.said_within(says, BEGINS_WITHIN);
    if said.is_ok() {
        sleep(delay);
    }
    match (said, run.ended()) {
        (_, Some(code @ (0 | 3 | 4))) => {
            Err(Miss::NotReached(format!("the run ended before, with {code}:\n{}", run.said())))
        }
        (said, _) => Ok(said?),
    }
}

/// Its exit code must be one of these.
fn expect(output: &Output, codes: &[i32]) -> Result<(), String> {
    match codes.contains(&output.code) {
        true => Ok(()),
        false => Err(format!(
            "exits {} instead of {codes:?}: {}{}",
            output.code, output.stdout, output.stderr
        )),
    }
}

fn whole_since(backend: &Backend, began: Instant) -> Whole {
    backend.wait_until_whole()?;
    Ok(began.elapsed())
}

fn kill(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = started(backend, draw, &[])?;
    run.signal("KILL");
    run.finish();
    let began = Instant::now();
    backend.recover()?;
    whole_since(backend, began)
}

/// A fault that nothing in its node undoes lasts until `recover`: that is tried, too.
fn kill_all(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = in_the_middle(backend, draw, &["--undo-timer-margin", "1s"])?;
    run.signal("KILL");
    let watchdogs = backend.processes(" watchdog ");
    let ids = watchdogs.iter().map(|(id, _)| id.to_string());
    run.finish();
    // One may have ended by itself.
    let mut command = std::process::Command::new("kill");
    let _ = command.arg("-KILL").args(ids).output();
    let began = Instant::now();
    let left = backend.program(&["recover", "--dry-run"], |_| {}).finish();
    expect(&left, &[0])?;
    let healed = match heals_in_node(draw.fault) {
        // Where its timer was not set anew, it waits for as long as the calls may take at worst.
        true => backend.wait_for_cluster(Namespaces::Any, LIMIT).map(|()| Some(began.elapsed()))?,
        false => None,
    };
    backend.recover()?;
    let whole = whole_since(backend, began)?;
    Ok(healed.unwrap_or(whole))
}

fn signal(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = started(backend, draw, &[])?;
    let signal = draw.random.one_of(&["INT", "TERM", "HUP"]);
    draw.moment = format!("SIG{signal} {}", draw.moment);
    run.signal(signal);
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    // A run may have ended before. One that has just been started ends as programs do by default.
    let has_ended = output.stdout.contains("INCONCLUSIVE") || output.stdout.contains("MEASURED");
    match output.code {
        130 => {}
        0 | 3 if has_ended && !output.stderr.contains("SIG") => {}
        -1 if output.stderr.is_empty() && output.stdout.is_empty() => {}
        _ => expect(&output, &[130])?,
    }
    whole_since(backend, began)
}

/// Embedded clusters are each run's own; on another the second run is refused.
fn two_runs(backend: &Backend, draw: &mut Draw) -> Whole {
    let first = started(backend, draw, &[])?;
    let other = draw.random.one_of(&super::faults::FAULTS[..8]);
    let second = backend.start(other, &[]);
    let codes: &[i32] = if backend.on == On::Embedded { &[0, 3] } else { &[0, 3, 4] };
    let second = second.finish_within(LIMIT)?;
    let first = first.finish_within(LIMIT)?;
    let began = Instant::now();
    expect(&second, codes)?;
    expect(&first, &[0, 3])?;
    whole_since(backend, began)
}

fn run_and_recover(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = started(backend, draw, &[])?;
    let recover = backend.program(&["recover"], |_| {}).finish_within(LIMIT)?;
    let run = run.finish_within(LIMIT)?;
    let began = Instant::now();
    // It is refused while the run has something to undo, and finds nothing before and after.
    expect(&recover, &[0, 4])?;
    expect(&run, &[0, 3])?;
    whole_since(backend, began)
}

fn two_recovers(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = started(backend, draw, &[])?;
    run.signal("KILL");
    run.finish();
    let began = Instant::now();
    let both = [(); 2].map(|()| backend.program(&["recover"], |_| {}));
    let [one, other] = both.map(|recover| recover.finish_within(LIMIT));
    let (one, other) = (one?, other?);
    expect(&one, &[0, 4])?;
    expect(&other, &[0, 4])?;
    if one.code + other.code == 8 {
        return Err(Miss::NotWhole("both are refused".into()));
    }
    backend.recover()?;
    whole_since(backend, began)
}

fn suspended(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = in_the_middle(backend, draw, &["--undo-timer-margin", "1s"])?;
    // Nothing but the run undoes a fault of the embedded cluster.
    let longest = if backend.on == On::Embedded { 8 } else { 45 };
    let long = draw.random.between(HOLD + Duration::from_secs(1), Duration::from_secs(longest));
    draw.moment += &format!(", for {long:?}");
    run.signal("STOP");
    sleep(long);
    run.signal("CONT");
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    expect(&output, &[0, 3])?;
    whole_since(backend, began)
}

fn disk(backend: &Backend, draw: &Draw) -> Result<Disk, String> {
    Disk::new(backend.home().path(), &format!("disk-{}", draw.number))
}

/// A timeline that cannot be written blocks no undo.
fn runs_lost(backend: &Backend, draw: &mut Draw) -> Whole {
    let disk = disk(backend, draw)?;
    let how = draw.random.one_of(&[Goes::Full, Goes::ReadOnly]);
    draw.moment = if how == Goes::Full { "full " } else { "read-only " }.to_owned();
    let runs = disk.path().to_string_lossy().into_owned();
    let run = in_the_middle(backend, draw, &["--runs-dir", &runs])?;
    disk.goes(how)?;
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    expect(&output, &[3])?;
    whole_since(backend, began)
}

fn state_full(backend: &Backend, draw: &mut Draw) -> Whole {
    state_lost(backend, draw, Goes::Full)
}

fn state_read_only(backend: &Backend, draw: &mut Draw) -> Whole {
    state_lost(backend, draw, Goes::ReadOnly)
}

/// The faults are undone; what cannot be removed from the ledger is for `recover`.
fn state_lost(backend: &Backend, draw: &mut Draw, how: Goes) -> Whole {
    let disk = disk(backend, draw)?;
    let state = disk.path().as_os_str().to_owned();
    let runs = backend.home().runs().to_string_lossy().into_owned();
    let mut run = backend.start_with(draw.fault, &["--runs-dir", &runs], |command| {
        command.env("XDG_STATE_HOME", &state);
    });
    confirmed(&mut run, draw)?;
    disk.goes(how)?;
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    expect(&output, &[0, 3, 5])?;
    disk.works_again(how)?;
    let recover = backend.program(&["recover"], |command| {
        command.env("XDG_STATE_HOME", &state);
    });
    expect(&recover.finish_within(LIMIT)?, &[0])?;
    whole_since(backend, began)
}

/// The engine that the tests themselves use is another way to the same containers.
fn engine(backend: &Backend, draw: &mut Draw) -> Whole {
    let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
    let at = folder.path().join("engine.sock");
    let proxy = Proxy::before_engine(&at, Path::new("/var/run/docker.sock"));
    let host = format!("unix://{}", at.display());
    behind(backend, draw, &proxy, &|command| _ = command.env("DOCKER_HOST", &host))
}

fn api(backend: &Backend, draw: &mut Draw) -> Whole {
    let kubeconfig = backend.kubeconfig();
    let server = kubeconfig.split("server: https://").nth(1).and_then(|rest| rest.lines().next());
    let server = server.ok_or("the kubeconfig names no server".to_owned())?.trim();
    let (proxy, port) = Proxy::before_api(server);
    let through = kubeconfig.replace(server, &format!("127.0.0.1:{port}"));
    let file = backend.home().file(&format!("through-{port}.kubeconfig"), &through);
    behind(backend, draw, &proxy, &|command| _ = command.env("KUBECONFIG", &file))
}

/// A run whose way to the cluster is disturbed while it injects, holds or undoes its fault: it ends,
/// what it says of its fault is so, and what it could not undo is in the ledger.
fn behind(
    backend: &Backend,
    draw: &mut Draw,
    proxy: &Proxy,
    through: &dyn Fn(&mut Command),
) -> Whole {
    let way = [Way::Cut, Way::Frozen, Way::Slow][draw.number % 3];
    let (phase, says, delay) = [
        ("inject", " requested", draw.random.up_to(Duration::from_secs(1))),
        ("hold", " confirmed", draw.random.up_to(HOLD / 2)),
        ("undo", " confirmed", HOLD + draw.random.up_to(Duration::from_secs(1))),
    ][draw.number / 3 % 3];
    let long = draw.random.between(Duration::from_secs(2), Duration::from_secs(40));
    draw.moment = format!("{way:?} for {long:?} in its {phase}");
    let mut run =
        backend.start_with(draw.fault, &["--undo-timer-margin", "1s"], |command| through(command));
    reach(&mut run, says, delay)?;
    proxy.becomes(way);
    sleep(long);
    proxy.becomes(Way::Open);
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    expect(&output, &[0, 3, 4, 5])?;
    if output.code == 0 {
        let report = backend.report();
        let fault = &report["findings"]["faults"][0];
        if !fault["confirmed"]["at"].is_number() || !fault["undone"].is_number() {
            return Err(Miss::NotWhole(format!("exits 0, and its fault was {fault:#}")));
        }
    }
    backend.recover_with(|command| through(command))?;
    whole_since(backend, began)
}

/// Nothing is left to undo then; the next run makes the cluster again.
fn cluster_deleted(backend: &Backend, draw: &mut Draw) -> Whole {
    let run = started(backend, draw, &[])?;
    lab::delete(CLUSTER);
    let began = Instant::now();
    let output = run.finish_within(LIMIT)?;
    expect(&output, &[0, 3, 4])?;
    backend.recover()?;
    let took = began.elapsed();
    expect(&backend.start(draw.fault, &[]).finish_within(LIMIT)?, &[0, 3])?;
    backend.wait_until_whole()?;
    Ok(took)
}

/// Whether a timer in the node undoes a fault.
fn heals_in_node(fault: &str) -> bool {
    let kind = FaultKind::named(super::faults::kind(fault)).expect("a kind of fault");
    kind.traits().is_inside_node()
}
