//! What a person types: one file a command; diagnostics, progress, exit codes.

// The one place that reads the environment and ends the process.
#![allow(clippy::disallowed_methods)]

#[macro_use]
mod output;

mod agent;
mod args;
mod artifacts;
mod cluster;
mod command;
mod compare;
mod complete;
mod completion;
mod describe;
pub mod diagnostics;
mod dry_run;
mod env;
mod events;
mod execution;
mod exit;
mod expected_cluster;
mod explain;
mod failure;
mod form;
#[doc(hidden)]
pub mod fuzz;
mod generator;
mod get;
mod init;
mod judge;
mod lint;
mod live;
mod load;
mod named;
mod outputs;
mod pinned;
mod predict;
mod preflight;
mod progress;
mod queues;
mod rbac;
mod recover;
mod report;
mod report_file;
mod run;
mod schema;
mod series;
mod shard;
mod study;
mod suite;
mod time_spent;
mod tune;
mod validate;
mod verify;
mod version;
mod watch_lanes;
mod watchdog;

use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use env::Env;
use failure::Failure;
use output::print;

/// The program: reads what was typed, does it, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            print_usage(&error);
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::PASS });
        }
    };
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.report()),
    }
}

/// Help, or what is wrong with what was typed.
fn print_usage(error: &clap::Error) {
    use std::io::IsTerminal;
    let terminal = if error.use_stderr() {
        std::io::stderr().is_terminal()
    } else {
        std::io::stdout().is_terminal()
    };
    let text = error.render();
    let text = match env::ink(args::Colour::Auto, terminal) {
        Some(ink) => ink.mark(&text.ansi().to_string()),
        None => text.to_string(),
    };
    match error.use_stderr() {
        true => output::complain_lines(&text),
        false => output::print(&text),
    }
}

/// What runs in a node, or says the same everywhere, has no state and so needs no place for it.
fn dispatch(Cli { global, command }: Cli) -> Result<u8, Failure> {
    let env = || Env::read(&global);
    match command {
        Command::Run(args) => run::run(&args, &env()?),
        Command::Study(args) => study::study(&args, &env()?),
        Command::Init(args) => init::init(&args, &env()?),
        Command::Validate(args) => validate::validate(&args, &env()?),
        Command::Preflight(args) => preflight::preflight(&args, &env()?),
        Command::Rbac(args) => rbac::rbac(&args, &env()?),
        Command::Lint(args) => lint::lint(&args, &env()?),
        Command::Predict(args) => predict::predict(&args, &env()?),
        Command::Tune(args) => tune::tune(&args, &env()?),
        Command::Get(args) => get::get(&args, &env()?),
        Command::Describe(args) => describe::describe(&args, &env()?),
        Command::Report(args) => report::report(&args, &env()?),
        Command::Compare(args) => compare::compare(&args, &env()?),
        Command::Recover(args) => recover::recover(&args, &env()?),
        Command::Cluster(args) => cluster::cluster(&args, &env()?),
        Command::Explain(args) => explain::explain(&args, &env()?),
        Command::Schema(args) => schema::schema(&args),
        Command::Completion(args) => completion::completion(&args),
        Command::Version(args) => version::version(&args, &env()?),
        Command::Complete(args) => complete::complete(&args, &env()?),
        Command::Agent(args) => agent::agent(&args),
        Command::Watchdog(args) => watchdog::watchdog(&args),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut result = None;
    drive(Box::pin(async { result = Some(work.await) }));
    result.expect("it was driven to its end")
}

/// Not generic: a runtime's loop is compiled anew for each kind of future.
fn drive(work: Pin<Box<dyn Future<Output = ()> + '_>>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives a runtime its descriptors")
        .block_on(work)
}
