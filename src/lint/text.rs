//! An outlook for people.

use super::KubeletGroup;
use super::outlook::{Outlook, Settings};
use crate::model::{Cost, GlitchRisk, Heartbeat};
use crate::report::hang;
use crate::timeline::few;

/// The outlook in lines: settings, heartbeat, detection, cost, risk. `kubelets` are listed apart
/// where they differ.
pub(crate) fn render(
    title: &str,
    outlook: &Outlook,
    kubelets: &[KubeletGroup],
    width: usize,
) -> String {
    let mut out = hang("", title, width);
    let mut row =
        |name: &str, text: String| out.push_str(&hang(&format!("  {name:23} "), &text, width));
    row("kubelet", kubelet(&outlook.settings));
    for group in kubelets.iter().skip(1) {
        row(
            "",
            format!("{}: {}", few(&group.nodes), kubelet(&super::outlook::settings(&group.tuning))),
        );
    }
    row("controller manager", manager(&outlook.settings));
    row("heartbeat", heartbeat(outlook));
    row("detection", detection(outlook));
    row("cost", cost(&outlook.cost, &outlook.default_cost));
    if !outlook.glitches.is_empty() {
        row("NotReady after a glitch", chances(&outlook.glitches));
        row("NotReady by loss", losses(outlook));
    }
    out
}

fn kubelet(settings: &Settings) -> String {
    format!(
        "nodeStatusUpdateFrequency {}, nodeStatusReportFrequency {}, lease {}",
        settings.node_status_update_frequency.to_minutes(),
        settings.node_status_report_frequency.to_minutes(),
        settings.node_lease_duration.to_minutes()
    )
}

fn manager(settings: &Settings) -> String {
    format!(
        "node-monitor-period {}, node-monitor-grace-period {}",
        settings.node_monitor_period.to_minutes(),
        settings.node_monitor_grace_period.to_minutes()
    )
}

fn heartbeat(outlook: &Outlook) -> String {
    let what = match outlook.heartbeat {
        Heartbeat::Lease => "the lease's renewal",
        Heartbeat::Status => "the node's status",
    };
    format!("{what}, every {}", outlook.heartbeat_interval)
}

fn detection(outlook: &Outlook) -> String {
    match (&outlook.detection, &outlook.why_not) {
        (Some(between), _) => {
            let late = outlook.late.as_ref().map_or(String::new(), |late| format!("; {late}"));
            format!("predicted {between:.1} after a node's last sign of life{late}")
        }
        (None, why) => format!("not predicted: {}", why.as_deref().unwrap_or_default()),
    }
}

/// `1s never, 5s 95%`.
pub(crate) fn chances(glitches: &[GlitchRisk]) -> String {
    let chances =
        glitches.iter().map(|risk| format!("{} {}", risk.glitch, chance(risk.probability)));
    chances.collect::<Vec<_>>().join(", ")
}

fn losses(outlook: &Outlook) -> String {
    let chances = outlook
        .losses
        .iter()
        .map(|risk| format!("{}% lost {}", risk.loss * 100.0, chance(risk.probability_per_day)));
    format!(
        "{} (of heartbeats, in a day, any of {} nodes)",
        chances.collect::<Vec<_>>().join(", "),
        outlook.cost.nodes
    )
}

fn cost(cost: &Cost, defaults: &Cost) -> String {
    format!(
        "{} writes a minute ({} a second) to API server and etcd at {} nodes, {} by default",
        thousands(cost.writes_per_minute),
        thousands(cost.writes_per_second),
        cost.nodes,
        thousands(defaults.writes_per_minute)
    )
}

/// `66 000`.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A probability: `never`, `<0.1 %`, `12 %`, `always`.
pub(crate) fn chance(probability: f64) -> String {
    match probability {
        p if p <= 1e-12 => "never".into(),
        p if p < 0.001 => "<0.1%".into(),
        p if p < 0.0995 => format!("{:.1}%", p * 100.0),
        p if p < 0.995 => format!("{:.0}%", p * 100.0),
        p if p < 1.0 - 1e-9 => ">99%".into(),
        _ => "always".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (thousands(66_000.0), thousands(6.0), thousands(1_234_567.0)),
            ("66 000".into(), "6".into(), "1 234 567".into())
        );
        let chances: Vec<String> =
            [0.0, 0.0001, 0.052, 0.5, 0.999, 1.0].into_iter().map(chance).collect();
        assert_eq!(chances, ["never", "<0.1%", "5.2%", "50%", ">99%", "always"]);
    }
}
