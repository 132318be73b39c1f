//! `tune`: which settings of failure detection to take. Changes nothing but what `--verify` makes.

use serde::Serialize;

use super::args::{Tune, TuneForm};
use super::cluster::default_config;
use super::env::Env;
use super::verify::{self, Verified};
use super::{block_on, exit, failure::Failure, init, live, load, print};
use crate::kind_config::KindConfig;
use crate::report::json;
use crate::timeline::{NodeRole, Tolerations, Tuning};
use crate::tune::{self, Goals, Start, Tuned};

/// How many nodes there are where nobody says.
const NODES: u32 = 1000;
/// How many API servers there are where nobody says: a cluster that is worth it has several.
const API_SERVERS: u32 = 3;

pub(super) fn tune(args: &Tune, env: &Env) -> Result<u8, Failure> {
    args.save.as_deref().map_or(Ok(()), init::refuse_unsavable)?;
    let config =
        args.kind_config.as_deref().map(|path| load::kind_config(path, &args.kubernetes, env));
    let config = config.transpose()?;
    let (start, nodes) = start(args, config.as_ref(), env)?;
    let tuned = tune::tune(&start, &goals(args, nodes));
    let config = config.unwrap_or_else(default_config);
    let file = tuned_config(&tuned, &config, env)?;
    if args.output == TuneForm::Text {
        print(&tune::text::render(&tuned, env.width));
    }
    match (&args.save, &file) {
        (Some(path), Some(text)) => init::save(path, text)?,
        (Some(path), None) => {
            complain!("no settings are recommended, so {} was not written", path.display())
        }
        (None, _) => {}
    }
    let times = args.verify.filter(|_| tuned.recommendation.is_some());
    let verified =
        times.map(|times| verify::verify(times, &tuned, &config, args, env)).transpose()?;
    let chosen = Chosen { tuned: &tuned, verified: verified.as_ref() };
    let measured = |width| chosen.verified.map(|verified| verify::render(verified, width));
    match args.output {
        TuneForm::Text => measured(env.width).iter().for_each(|text| print(text)),
        TuneForm::Json => print(&json::pretty(&chosen)),
        TuneForm::Yaml => print(&json::yaml(&chosen)),
        TuneForm::Markdown => {
            print(&tune::markdown::render(&tuned));
            measured(env.width).iter().for_each(|text| print(&format!("\n```\n{text}```")));
        }
        TuneForm::Kind => {
            let nothing = || tune::text::render(&tuned, env.stderr.width);
            match file {
                Some(text) => print(&text),
                None => complain!("{}", nothing()),
            }
            measured(env.stderr.width).iter().for_each(|text| complain!("{text}"));
        }
    }
    Ok(match &verified {
        Some(verified) => verified.code,
        None if tuned.recommendation.is_some() => exit::PASS,
        None => exit::FAIL,
    })
}

/// What was found, and what was measured of it.
#[derive(Serialize)]
struct Chosen<'a> {
    #[serde(flatten)]
    tuned: &'a Tuned,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<&'a Verified>,
}

fn goals(args: &Tune, nodes: Option<u32>) -> Goals {
    Goals {
        detect_within: args.detect_within,
        false_positives: args.false_positives,
        loss: args.loss,
        ride_out: args.ride_out,
        reschedule_within: args.reschedule_within,
        nodes: args.nodes.or(nodes).unwrap_or(NODES),
    }
}

/// The present settings, and of a running cluster the number of its nodes.
fn start(
    args: &Tune,
    config: Option<&KindConfig>,
    env: &Env,
) -> Result<(Start, Option<u32>), Failure> {
    if let Some(context) = &args.context {
        let facts = live::facts(Some(context), args.kubeconfig.as_deref(), env);
        let (facts, warnings) = block_on(facts)?;
        warnings.iter().for_each(|warning| complain!("warning: {warning}"));
        let planes = facts.nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).count();
        let start = Start {
            name: format!("the running cluster of context {}", facts.name),
            kubernetes: facts.kubernetes,
            tuning: facts.tuning,
            tolerations: facts.tolerations,
            // A provider's are not among the nodes.
            api_servers: if planes == 0 { API_SERVERS } else { planes as u32 },
        };
        return Ok((start, Some(facts.nodes.len().max(1) as u32)));
    }
    let start = match config {
        Some(config) => Start {
            name: config.path().to_owned(),
            kubernetes: config.kubernetes.clone(),
            tuning: config.tuning(),
            tolerations: config.default_tolerations,
            api_servers: config.count(NodeRole::ControlPlane) as u32,
        },
        None => Start {
            name: "the defaults of Kubernetes".into(),
            kubernetes: args.kubernetes.clone(),
            tuning: Tuning::defaults(&args.kubernetes),
            tolerations: Tolerations::default(),
            api_servers: API_SERVERS,
        },
    };
    Ok((start, None))
}

/// The kind config with the recommended settings, as a file.
fn tuned_config(tuned: &Tuned, config: &KindConfig, env: &Env) -> Result<Option<String>, Failure> {
    let Some(found) = &tuned.recommendation else { return Ok(None) };
    let config = config.with_settings(&found.choice.tuning, found.toleration.changed());
    let config = config.map_err(|problems| load::unusable(&problems, env))?;
    let detection = &found.choice.detection;
    Ok(Some(format!(
        "# Settings recommended by `kubectl outage tune` for {}.\n# Predicted, not measured: \
         detection within {:.1} (p50 {:.1}), {} heartbeat writes a second at {} nodes.\n{}",
        tune::text::goals(tuned),
        detection.max.ceil(1),
        detection.p50,
        found.choice.writes_per_second.round(),
        tuned.goals.nodes,
        config.text()
    )))
}
