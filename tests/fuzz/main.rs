//! Gives every reader changed files, and sees that none panics, takes more than a second or more
//! than 256 MiB: `cargo test --test fuzz -- [--inputs N] [--seed S] [--only NUMBER] [TARGET...]`.
//!
//! Each target runs in a process of its own. What fails is printed with its seed and number.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment and arguments

mod inputs;

use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outage::cli::fuzz::{TARGETS, Target};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

const MEMORY_BYTES: u64 = 256 << 20;
const LIMIT: Duration = Duration::from_secs(1);
/// A process ends after so many panics.
const MOST_PANICS: usize = 20;
/// The target that a process is for.
const CHILD: &str = "OUTAGE_FUZZ_TARGET";
/// Where it writes the number of the input that it reads, in case that it is killed.
const NUMBER_FILE: &str = "OUTAGE_FUZZ_NUMBER";

/// The input that is being read, and the processor's time when that began.
static NUMBER: AtomicU64 = AtomicU64::new(u64::MAX);
static BEGUN_NS: AtomicU64 = AtomicU64::new(0);

struct Args {
    inputs: u64,
    seed: u64,
    only: Option<u64>,
    targets: Vec<String>,
}

fn args() -> Result<Args, String> {
    let mut args = Args { inputs: 1000, seed: 1, only: None, targets: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{word} needs a number"))
        };
        match word.as_str() {
            "--inputs" => args.inputs = number()?,
            "--seed" => args.seed = number()?,
            "--only" => args.only = Some(number()?),
            name if TARGETS.iter().any(|target| target.name == name) => args.targets.push(word),
            _ => {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                return Err(format!("{word}: not a target ({})", names.join(", ")));
            }
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    if let Ok(name) = std::env::var(CHILD) {
        let target = TARGETS.iter().find(|target| target.name == name).expect("a target's name");
        return read_all(target, &args);
    }
    let chosen = |target: &&Target| {
        args.targets.is_empty() || args.targets.iter().any(|name| name == target.name)
    };
    let mut failed = false;
    for target in TARGETS.iter().filter(chosen) {
        let current = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(std::env::args_os().skip(1)).env(CHILD, target.name);
        child.env(NUMBER_FILE, current.path());
        let status = child.status().unwrap();
        failed |= !status.success();
        if status.code().is_none() {
            let bytes = std::fs::read(current.path()).unwrap();
            let number = bytes.try_into().map_or(0, u64::from_le_bytes);
            println!(
                "{}: input {number} of seed {} ended it: {status} (more than 256 MiB, or the stack)",
                target.name, args.seed
            );
        }
    }
    ExitCode::from(u8::from(failed))
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The time of one input is the processor's: other processes do not make a reader slow.
fn watch(name: &'static str, seed: u64) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let (number, begun) = (NUMBER.load(Ordering::SeqCst), BEGUN_NS.load(Ordering::SeqCst));
            let taken = Duration::from_nanos(cpu_ns().saturating_sub(begun));
            if number != u64::MAX && taken > 10 * LIMIT && NUMBER.load(Ordering::SeqCst) == number {
                println!("{name}: input {number} of seed {seed} still runs after {taken:?}");
                std::process::exit(1);
            }
        }
    });
    // Its own memory does not count.
    std::thread::sleep(Duration::from_millis(50));
}

fn limit_memory() {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let most = Some(pages * 4096 + MEMORY_BYTES);
    setrlimit(Resource::As, Rlimit { current: most, maximum: most }).unwrap();
}

fn read_all(target: &'static Target, args: &Args) -> ExitCode {
    let seeds = inputs::seeds(target);
    let folder = tempfile::tempdir().unwrap();
    let current = std::fs::File::create(std::env::var_os(NUMBER_FILE).unwrap()).unwrap();
    watch(target.name, args.seed);
    limit_memory();
    let numbers = args.only.map_or(0..args.inputs, |only| only..only + 1);
    let (began, count) = (Instant::now(), numbers.end - numbers.start);
    let (mut slowest, mut slow, mut panics) = ((0, 0), 0, 0);
    for number in numbers {
        let input = inputs::input(&seeds, &mut inputs::Random::new(args.seed, number));
        if args.only.is_some() {
            let path = std::env::temp_dir().join(format!("fuzz-{}-{number}", target.name));
            std::fs::write(&path, &input).unwrap();
            println!("{}: input {number} is {}", target.name, path.display());
        }
        current.write_all_at(&number.to_le_bytes(), 0).unwrap();
        let begun = cpu_ns();
        BEGUN_NS.store(begun, Ordering::SeqCst);
        NUMBER.store(number, Ordering::SeqCst);
        let read = || (target.read)(&input, folder.path() as &Path);
        let is_sound = catch_unwind(AssertUnwindSafe(read)).is_ok();
        let taken = cpu_ns() - begun;
        slowest = slowest.max((taken, number));
        if taken > LIMIT.as_nanos() as u64 {
            slow += 1;
            println!("{}: input {number} of seed {} took {taken} ns", target.name, args.seed);
        }
        if !is_sound {
            panics += 1;
            println!("{}: input {number} of seed {} panics", target.name, args.seed);
            if panics == MOST_PANICS {
                break;
            }
        }
    }
    let (millis, number) = (slowest.0 as f64 / 1e6, slowest.1);
    println!(
        "{}: {count} inputs in {:.0?}, {panics} panics, {slow} slow; the slowest is {number}: {millis:.1} ms",
        target.name,
        began.elapsed()
    );
    ExitCode::from(u8::from(panics + slow > 0))
}
