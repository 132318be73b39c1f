//! `cargo test --test safety -- --on embedded --kills 100 --seed 7` prints how often a cluster was
//! whole after its run was killed, interrupted, suspended or had lost its disk.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment and arguments
#![allow(dead_code)] // what it shares with the integration tests

#[path = "../integration/lab.rs"]
mod lab;
#[path = "../integration/model.rs"]
mod model;
#[path = "../integration/program.rs"]
mod program;
#[path = "mod.rs"]
mod safety;

use std::process::ExitCode;

use safety::{On, Plan, SCENARIOS};

/// The kind cluster that it makes, and keeps for the next time.
pub(crate) const CLUSTER: &str = "outage-safety";

const USAGE: &str = "usage: cargo test --test safety -- [--on embedded|kind|context] [--kills N] [--seed N] [--jobs N] [--only SCENARIO [--draw N]]";

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(why) => {
            let names = SCENARIOS.map(|scenario| scenario.name).join(", ");
            eprintln!("error: {why}\n\n{USAGE}\nscenarios: {names}");
            return ExitCode::from(2);
        }
    };
    let (rows, cannot) = plan.carry_out();
    println!("\non {}, seed {}\n\n{}", plan.on.name(), plan.seed, safety::table(&rows));
    cannot.iter().for_each(|why| println!("not injected here: {why}"));
    println!("not tested: steps of the clock (they would change the clock of the whole machine)");
    let (not_reached, failures) = plan.misses(&rows);
    not_reached.iter().chain(&failures).for_each(|miss| println!("\n{miss}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan =
        Plan { on: On::Embedded, seed: 1, kills: 20, jobs: 0, only: Vec::new(), draw: None };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{flag} {value} is not a number"));
        match flag.as_str() {
            "--on" => {
                let on = On::ALL.iter().find(|(name, _)| *name == value);
                plan.on = on.ok_or_else(|| format!("--on {value} is not known"))?.1;
            }
            "--kills" => plan.kills = number()?,
            "--seed" => plan.seed = number()? as u64,
            "--jobs" => plan.jobs = number()?,
            "--only" => plan.only.push(value),
            "--draw" => plan.draw = Some(number()?),
            _ => return Err(format!("{flag} is not a flag")),
        }
    }
    let known = |only: &String| SCENARIOS.iter().any(|scenario| scenario.name == only);
    if let Some(only) = plan.only.iter().find(|only| !known(only)) {
        return Err(format!("--only {only} is not a scenario"));
    }
    // A kind cluster is shared by all draws; embedded ones mostly wait.
    let jobs = if plan.on == On::Embedded { 4 } else { 1 };
    plan.jobs = if plan.jobs == 0 { jobs } else { plan.jobs };
    Ok(plan)
}
