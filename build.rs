//! Lists the experiments, the studies, the files that they name, and the kind configs for
//! `src/experiment/builtin.rs`: a file that is added is built in, without a line anywhere. And says
//! what this build is made of and for, for `kubectl outage version`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const FOLDERS: [&str; 4] =
    ["experiments", "experiments/studies", "experiments/workloads", "kind-configs"];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write")]
fn main() -> io::Result<()> {
    let mut list = String::from("&[\n");
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        let mut paths: Vec<_> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        paths.sort();
        let files = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml"));
        for path in files.map(|path| path.display()) {
            writeln!(
                list,
                r#"("{path}", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/{path}"))),"#
            )
            .expect("a string takes all text");
        }
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("built_in.rs"), list)?;
    println!("cargo::rustc-env=OUTAGE_TARGET={}", env::var("TARGET").expect("cargo sets it"));
    // Only of a release: every commit would have a developer's build start over.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"])
    {
        println!("cargo::rustc-env=OUTAGE_COMMIT={commit}");
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
        println!("cargo::rerun-if-changed={}", log.unwrap_or_else(|| ".git".into()));
    }
    Ok(())
}

/// What Git says of this checkout; `None` without Git, or of a source archive.
fn git(arguments: &[&str]) -> Option<String> {
    let own = Path::new(".git").exists();
    let output = own.then(|| Command::new("git").args(arguments).output().ok()).flatten()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}
