//! What a person types: one file a command; diagnostics, progress, exit codes.

// The one place that reads the environment and ends the process.
#![allow(clippy::disallowed_methods)]

/// Says something on standard error. One that can't be written is no reason to panic: there is something to undo.
macro_rules! complain {
    ($($text:tt)*) => { $crate::cli::complained(format_args!($($text)*)) };
}

mod agent;
mod args;
mod cluster;
mod completion;
mod describe;
pub mod diagnostics;
mod dry_run;
mod env;
mod exit;
mod expected_cluster;
mod failure;
mod form;
mod get;
mod judge;
mod lint;
mod live;
mod load;
mod predict;
mod progress;
mod recover;
mod repeat;
mod report;
mod run;
mod schema;
mod suite;
mod validate;
mod watchdog;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use env::Env;
use failure::Failure;

/// The program: reads what was typed, does it, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::PASS });
        }
    };
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.report()),
    }
}

/// What runs in a node, or says the same everywhere, has no state and so needs no place for it.
fn dispatch(Cli { global, command }: Cli) -> Result<u8, Failure> {
    let env = || Env::read(&global);
    match command {
        Command::Run(args) => run::run(&args, &env()?),
        Command::Validate(args) => validate::validate(&args, &env()?),
        Command::Lint(args) => lint::lint(&args, &env()?),
        Command::Predict(args) => predict::predict(&args, &env()?),
        Command::Get(args) => get::get(&args, &env()?),
        Command::Describe(args) => describe::describe(&args, &env()?),
        Command::Report(args) => report::report(&args, &env()?),
        Command::Recover(args) => recover::recover(&args, &env()?),
        Command::Cluster(args) => cluster::cluster(&args, &env()?),
        Command::Schema(args) => schema::schema(&args),
        Command::Completion(args) => completion::completion(&args),
        Command::Agent(args) => agent::agent(&args),
        Command::Watchdog(args) => watchdog::watchdog(&args),
    }
}

/// See `complain!`.
fn complained(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints to standard output. A reader that has gone (`| head`) is not an error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    printed(write!(out, "{text}{ended}").and_then(|()| out.flush()));
}

/// Ends the program when its output could not be written: whoever reads a report must not take a cut one for a pass.
fn printed(result: std::io::Result<()>) {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain!("error: cannot write the output: {error}");
            std::process::exit(exit::INCONCLUSIVE.into());
        }
        _ => {}
    }
}

/// Runs async work on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives a runtime its descriptors")
        .block_on(work)
}
