//! `completion`: a shell's completions.

use clap::CommandFactory;

use super::args::{Cli, Completion};
use super::{exit, failure::Failure, print};

pub(super) fn completion(args: &Completion) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command().bin_name("kubectl-outage"),
        "kubectl-outage",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script));
    Ok(exit::PASS)
}
