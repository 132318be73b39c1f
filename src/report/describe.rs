//! `describe run`: a run's header, settings and steps, and all records of note.

use std::fmt::{self, Write};

use super::events::Told;
use super::text::{fit, one_line, pad};
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

/// A line: a text of the cluster's does not break it.
fn put(out: &mut String, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(out, "{}", one_line(&text.to_string()))
}

fn field(out: &mut String, name: &str, value: impl fmt::Display) -> fmt::Result {
    put(out, format_args!("{}{value}", pad(&format!("{name}:"), 16)))
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
    put(out, format_args!("Nodes:"))?;
    let nodes = view.nodes();
    for node in nodes.shown {
        let address = node.address.as_deref().unwrap_or("<none>");
        put(
            out,
            format_args!("  {} {} {address} kubelet {}", node.name, node.role.name(), node.kubelet),
        )?;
    }
    match nodes.left {
        0 => Ok(()),
        left => put(out, format_args!("  and {left} more; `-o json` lists all")),
    }
}

fn predictions(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Predicted:"))?;
    for compared in view.comparisons() {
        let measured = (compared.measured)
            .map_or("not measured".into(), |measured| format!("{measured:.3} measured"));
        let left = if compared.inside == Some(false) { ", OUTSIDE" } else { "" };
        let predicted = compared.predicted;
        put(
            out,
            format_args!(
                "  {} (step {}): {predicted:.1} predicted, {measured}{left}",
                compared.quantity, compared.step
            ),
        )?;
    }
    Ok(())
}

fn constants(view: &View<'_>, out: &mut String) -> fmt::Result {
    for step in &view.predictions.steps {
        let Some(prediction) = &step.prediction else {
            put(
                out,
                format_args!(
                    "  {}: nothing, {}",
                    step.fault,
                    step.why_not.as_deref().unwrap_or_default()
                ),
            )?;
            continue;
        };
        put(
            out,
            format_args!(
                "  {} is detected {:.1} after its request, based on",
                step.fault, prediction.detection
            ),
        )?;
        for constant in &prediction.constants {
            put(
                out,
                format_args!("    {} {} ({})", constant.name, constant.value, constant.source),
            )?;
        }
    }
    Ok(())
}

fn faults(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Faults:"))?;
    let at = |moment: Option<Seconds>| moment.map_or("<none>".into(), |at| format!("{at:+.3}"));
    for fault in &view.findings.faults {
        put(
            out,
            format_args!(
                "  {} of {} (step {})",
                fault.kind,
                Component::on(fault.component, &fault.target),
                fault.step
            ),
        )?;
        let confirmed = fault.confirmed.as_ref().map(|seen| seen.at);
        put(
            out,
            format_args!(
                "    requested {:+.3}, returned {}, confirmed {}",
                fault.requested,
                at(fault.returned),
                at(confirmed)
            ),
        )?;
        put(
            out,
            format_args!(
                "    undo requested {}, undone {}",
                at(fault.undo_requested),
                at(fault.undone)
            ),
        )?;
        for service in fault.services.iter().filter(|_| fault.knows_hits()) {
            put(
                out,
                format_args!(
                    "    {}: {} of {} endpoints hit",
                    service.service,
                    service.hit.len(),
                    service.endpoints
                ),
            )?;
        }
    }
    Ok(())
}

fn delivery(view: &View<'_>, out: &mut String) -> fmt::Result {
    let Some(delivery) = &view.findings.delivery else { return Ok(()) };
    let Lateness { p50, p99, max } = delivery.late;
    let updates = delivery.updates;
    put(out, format_args!("Watches:"))?;
    put(
        out,
        format_args!(
            "  {updates} renewals of the test Lease delivered within {p50} (p50), {p99} (p99), {max} (max)"
        ),
    )
}

/// What was counted in the quiet time before the first fault.
fn writes(view: &View<'_>, out: &mut String) -> fmt::Result {
    let Some(writes) = &view.findings.writes else { return Ok(()) };
    let WritesFinding { seconds, node_status, node_leases, own, .. } = writes;
    put(out, format_args!("Writes before the first fault:"))?;
    if writes.api_servers > 0 {
        let servers = counted(writes.api_servers as usize, "API server");
        let (total, other) = (writes.total(), writes.other());
        put(
            out,
            format_args!(
                "  {total} write requests to {servers} in {seconds:.1}: {node_status} of node status, {node_leases} of node leases, {own} of the \
             test Lease, {other} others"
            ),
        )?;
    }
    if let Some(etcd) = &writes.etcd {
        put(out, format_args!("  {} puts and deletes of etcd in {:.1}", etcd.count, etcd.seconds))?;
    }
    writes.unread.iter().try_for_each(|why| put(out, format_args!("  not read: {why}")))
}

fn probes(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Probes:"))?;
    for probe in &view.findings.probes {
        let late = probe.lateness;
        let Tally { ok, failed, blind } = probe.total;
        put(out, format_args!("  {}", view.probe_line(probe)))?;
        put(
            out,
            format_args!(
                "    {ok} ok, {failed} failed, {blind} not made; late by {} (p50), {} (p99), {} (max)",
                late.p50, late.p99, late.max
            ),
        )?;
        if let Some(paths) = super::paths::line(probe) {
            put(out, format_args!("    {paths}"))?;
        }
        for line in super::latency::describe(view.findings, probe) {
            put(out, format_args!("    {line}"))?;
        }
        for window in &probe.windows {
            let (start, end) = (window.start, window.end);
            put(
                out,
                format_args!(
                    "    errors {}{}, {} of {} failed",
                    window.length,
                    window.bursts_text(),
                    window.failed,
                    window.attempts
                ),
            )?;
            put(
                out,
                format_args!(
                    "      began {:+.3} to {:+.3} ({})",
                    start.when.earliest,
                    start.when.latest,
                    start.proof.words()
                ),
            )?;
            put(
                out,
                format_args!(
                    "      ended {:+.3} to {:+.3} ({})",
                    end.when.earliest,
                    end.when.latest,
                    end.proof.words()
                ),
            )?;
            if let Some(parts) = super::causes::parts(window) {
                put(out, format_args!("      because of {parts}"))?;
            }
            if let Some(gap) = window.longest_gap {
                put(
                    out,
                    format_args!(
                        "      longest gap {} successes, {:+.3} to {:+.3}",
                        gap.successes, gap.from, gap.to
                    ),
                )?;
            }
        }
    }
    Ok(())
}

fn assertions(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Assertions:"))?;
    for assertion in &view.verdict.assertions {
        let why = assertion.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        put(
            out,
            format_args!(
                "  {} {}{why}",
                pad(assertion.outcome.word(), 12),
                assertion.result_text()
            ),
        )?;
    }
    Ok(())
}

fn warnings(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Warnings:"))?;
    view.warnings().iter().try_for_each(|line| put(out, format_args!("  {line}")))
}

fn records(view: &View<'_>, out: &mut String) -> fmt::Result {
    put(out, format_args!("Events:"))?;
    for Told { at, text } in view.events() {
        put(out, format_args!("  {:>10}  {text}", format!("{at:+.3}")))?;
    }
    Ok(())
}
