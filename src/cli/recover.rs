//! `recover`: undoes what a run that died has left behind.

use super::args::Recover;
use super::env::Env;
use super::failure::{self, Failure};
use super::{block_on, exit, print};
use crate::cluster::Kind;
use crate::docker::{Docker, Endpoint};
use crate::engine::ledger::Ledger;
use crate::engine::recover::{self, Tools};
use crate::engine::state_dir::StateDir;
use crate::engine::trouble::Trouble;

/// Undoes, or lists, what is owed to every cluster.
pub fn recover(args: &Recover, env: &Env) -> Result<u8, Failure> {
    let mut codes = Vec::new();
    for cluster in StateDir::clusters(&env.state_dir) {
        let state = StateDir::open(&env.state_dir, &cluster)?;
        let ledger = Ledger::open(&state.ledger())?;
        if ledger.owed().is_empty() {
            continue;
        }
        if args.dry_run {
            list(&cluster, &ledger);
            codes.push(exit::PASS);
        } else {
            codes.push(one(&state, args.docker_host.as_deref(), env)?);
        }
    }
    if codes.is_empty() {
        print("nothing to undo");
    }
    Ok(exit::gravest(codes))
}

fn list(cluster: &str, ledger: &Ledger) {
    print(&format!("cluster {cluster}:"));
    for entry in ledger.owed().iter().rev() {
        print(&format!("  {} (run {}, {})", entry.obligation.describe(), entry.run, entry.at.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
}

/// Undoes all that is owed to one cluster. A run that is going on undoes for itself: its lock refuses us.
fn one(state: &StateDir, docker_host: Option<&str>, env: &Env) -> Result<u8, Failure> {
    let _lock = state.lock()?;
    let mut ledger = Ledger::open(&state.ledger())?;
    block_on(async {
        let tools = tools(docker_host, env).await?;
        let not_undone = recover::all(&mut ledger, &tools, &mut |entry, result| match result {
            Ok(()) => print(&format!("done: {}", entry.obligation.describe())),
            Err(trouble) => eprintln!("not undone: {}\n{}", entry.obligation.describe(), failure::text_of(trouble)),
        })
        .await;
        Ok(if not_undone.is_empty() { exit::PASS } else { exit::NOT_UNDONE })
    })
}

/// The tools that undoing needs, found as a run finds them.
pub async fn tools(docker_host: Option<&str>, env: &Env) -> Result<Tools, Trouble> {
    let endpoint = Endpoint::resolve(docker_host, &env.engine).map_err(Trouble::refused_by)?;
    let docker = Docker::connect(&endpoint).await.map_err(Trouble::refused_by)?;
    let kind = Kind::find(&env.path, Some(endpoint.docker_host().to_owned()));
    let kind = kind.map_err(Trouble::refused_by);
    Ok(Tools { docker, kind, cluster: None })
}
