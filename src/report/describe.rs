//! `describe run`: a run's header, settings and steps, and all records of note.

use std::fmt::{self, Write};

use super::events::Told;
use super::text::{fit, pad};
use super::view::{View, cluster, wall};
use crate::analysis::WritesFinding;
use crate::analysis::findings::{Lateness, Tally};
use crate::stats::Seconds;
use crate::timeline::{Component, counted};

/// A run at length, as kubectl describes an object.
pub fn render(view: &View<'_>, columns: usize) -> String {
    let mut out = String::new();
    write(view, &mut out).expect("a string takes all");
    fit(&out, columns)
}

fn field(out: &mut String, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "{}{value}", pad(&format!("{name}:"), 16))
}

fn write(view: &View<'_>, out: &mut String) -> fmt::Result {
    let header = &view.timeline.header;
    let experiment = crate::prediction::experiment(header);
    field(out, "Run", &header.run)?;
    field(out, "Experiment", &header.name)?;
    if let Some(question) = experiment.as_ref().and_then(|experiment| experiment.question.as_ref())
    {
        field(out, "Question", question)?;
    }
    field(out, "Cluster", cluster(&header.cluster))?;
    field(out, "Engine", header.cluster.engine.as_deref().unwrap_or("<none>"))?;
    field(out, "Settings", view.settings())?;
    field(out, "+0", wall(&view.findings.origin.wall))?;
    field(out, "Program", &header.program)?;
    field(out, "Seed", header.seed)?;
    field(out, "Verdict", format!("{} ({})", view.word(), view.verdict.summary))?;
    nodes(view, out)?;
    predictions(view, out)?;
    constants(view, out)?;
    faults(view, out)?;
    super::leaders::describe(view.findings, out)?;
    delivery(view, out)?;
    writes(view, out)?;
    probes(view, out)?;
    assertions(view, out)?;
    warnings(view, out)?;
    records(view, out)
}

fn nodes(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Nodes:")?;
    let nodes = view.nodes();
    for node in nodes.shown {
        let address = node.address.as_deref().unwrap_or("<none>");
        writeln!(out, "  {} {} {address} kubelet {}", node.name, node.role.name(), node.kubelet)?;
    }
    match nodes.left {
        0 => Ok(()),
        left => writeln!(out, "  and {left} more; `-o json` lists all"),
    }
}

fn predictions(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Predicted:")?;
    for compared in view.comparisons() {
        let measured = (compared.measured)
            .map_or("not measured".into(), |measured| format!("{measured:.3} measured"));
        let left = if compared.inside == Some(false) { ", OUTSIDE" } else { "" };
        let predicted = compared.predicted;
        writeln!(
            out,
            "  {} (step {}): {predicted:.1} predicted, {measured}{left}",
            compared.quantity, compared.step
        )?;
    }
    Ok(())
}

fn constants(view: &View<'_>, out: &mut String) -> fmt::Result {
    for step in &view.predictions.steps {
        let Some(prediction) = &step.prediction else {
            writeln!(
                out,
                "  {}: nothing, {}",
                step.fault,
                step.why_not.as_deref().unwrap_or_default()
            )?;
            continue;
        };
        writeln!(
            out,
            "  {} is detected {:.1} after its request, based on",
            step.fault, prediction.detection
        )?;
        for constant in &prediction.constants {
            writeln!(out, "    {} {} ({})", constant.name, constant.value, constant.source)?;
        }
    }
    Ok(())
}

fn faults(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Faults:")?;
    let at = |moment: Option<Seconds>| moment.map_or("<none>".into(), |at| format!("{at:+.3}"));
    for fault in &view.findings.faults {
        writeln!(
            out,
            "  {} of {} (step {})",
            fault.kind,
            Component::on(fault.component, &fault.target),
            fault.step
        )?;
        let confirmed = fault.confirmed.as_ref().map(|seen| seen.at);
        writeln!(
            out,
            "    requested {:+.3}, returned {}, confirmed {}",
            fault.requested,
            at(fault.returned),
            at(confirmed)
        )?;
        writeln!(
            out,
            "    undo requested {}, undone {}",
            at(fault.undo_requested),
            at(fault.undone)
        )?;
        for service in fault.services.iter().filter(|_| fault.knows_hits()) {
            writeln!(
                out,
                "    {}: {} of {} endpoints hit",
                service.service,
                service.hit.len(),
                service.endpoints
            )?;
        }
    }
    Ok(())
}

fn delivery(view: &View<'_>, out: &mut String) -> fmt::Result {
    let Some(delivery) = &view.findings.delivery else { return Ok(()) };
    let Lateness { p50, p99, max } = delivery.late;
    let updates = delivery.updates;
    writeln!(out, "Watches:")?;
    writeln!(
        out,
        "  {updates} renewals of the test Lease delivered within {p50} (p50), {p99} (p99), {max} (max)"
    )
}

/// What was counted in the quiet time before the first fault.
fn writes(view: &View<'_>, out: &mut String) -> fmt::Result {
    let Some(writes) = &view.findings.writes else { return Ok(()) };
    let WritesFinding { seconds, node_status, node_leases, own, .. } = writes;
    writeln!(out, "Writes before the first fault:")?;
    if writes.api_servers > 0 {
        let servers = counted(writes.api_servers as usize, "API server");
        let (total, other) = (writes.total(), writes.other());
        writeln!(
            out,
            "  {total} write requests to {servers} in {seconds:.1}: {node_status} of node status, {node_leases} of node leases, {own} of the \
             test Lease, {other} others"
        )?;
    }
    if let Some(etcd) = &writes.etcd {
        writeln!(out, "  {} puts and deletes of etcd in {:.1}", etcd.count, etcd.seconds)?;
    }
    writes.unread.iter().try_for_each(|why| writeln!(out, "  not read: {why}"))
}

fn probes(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Probes:")?;
    for probe in &view.findings.probes {
        let late = probe.lateness;
        let Tally { ok, failed, blind } = probe.total;
        writeln!(out, "  {}", view.probe_line(probe))?;
        writeln!(
            out,
            "    {ok} ok, {failed} failed, {blind} not made; late by {} (p50), {} (p99), {} (max)",
            late.p50, late.p99, late.max
        )?;
        if let Some(paths) = super::paths::line(probe) {
            writeln!(out, "    {paths}")?;
        }
        for line in super::latency::describe(view.findings, probe) {
            writeln!(out, "    {line}")?;
        }
        for window in &probe.windows {
            let (start, end) = (window.start, window.end);
            writeln!(
                out,
                "    errors {}{}, {} of {} failed",
                window.length,
                window.bursts_text(),
                window.failed,
                window.attempts
            )?;
            writeln!(
                out,
                "      began {:+.3} to {:+.3} ({})",
                start.when.earliest,
                start.when.latest,
                start.proof.words()
            )?;
            writeln!(
                out,
                "      ended {:+.3} to {:+.3} ({})",
                end.when.earliest,
                end.when.latest,
                end.proof.words()
            )?;
            if let Some(parts) = super::causes::parts(window) {
                writeln!(out, "      because of {parts}")?;
            }
            if let Some(gap) = window.longest_gap {
                writeln!(
                    out,
                    "      longest gap {} successes, {:+.3} to {:+.3}",
                    gap.successes, gap.from, gap.to
                )?;
            }
        }
    }
    Ok(())
}

fn assertions(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Assertions:")?;
    for assertion in &view.verdict.assertions {
        let why = assertion.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        writeln!(out, "  {} {}{why}", pad(assertion.outcome.word(), 12), assertion.result_text())?;
    }
    Ok(())
}

fn warnings(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Warnings:")?;
    view.warnings().iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn records(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "Events:")?;
    for Told { at, text } in view.events() {
        writeln!(out, "  {:>10}  {text}", format!("{at:+.3}"))?;
    }
    Ok(())
}
