//! `completion`: a shell's completions.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::{Cli, Completion, CompletionFor};
use super::{exit, failure::Failure, print};

/// kubectl calls a program of this name for what may follow `kubectl outage` (`complete.rs`).
const FOR_KUBECTL: &str = "\
#!/bin/sh
# Completion of `kubectl outage`. On your PATH, and executable, as kubectl_complete-outage:
#   kubectl outage completion kubectl >DIRECTORY/kubectl_complete-outage
exec kubectl-outage __complete -- \"$@\"
";

pub(super) fn completion(args: &Completion) -> Result<u8, Failure> {
    let shell = match args.shell {
        CompletionFor::Bash => Shell::Bash,
        CompletionFor::Elvish => Shell::Elvish,
        CompletionFor::Fish => Shell::Fish,
        CompletionFor::Powershell => Shell::PowerShell,
        CompletionFor::Zsh => Shell::Zsh,
        CompletionFor::Kubectl => {
            print(FOR_KUBECTL);
            return Ok(exit::PASS);
        }
    };
    let (mut script, mut command) = (Vec::new(), Cli::command().bin_name("kubectl-outage"));
    clap_complete::generate(shell, &mut command, "kubectl-outage", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(exit::PASS)
}
