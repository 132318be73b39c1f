use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cluster::KindConfig;
use crate::experiment::SourceFile;
use crate::lint::Linted;
use crate::timeline::Tuning;

const GOOD: &str = include_str!("../../lint/testdata/good.yaml");
const ARTICLE: &str = include_str!("../../lint/testdata/article-indentation.yaml");
const NOW: &str = "v1.34.0";

fn linted(text: &str) -> Result<Linted, Diagnostics> {
    lint::lint(&Arc::new(SourceFile { name: "kind.yaml".into(), text: text.into() }), NOW)
}

fn problems(text: &str) -> Diagnostics {
    linted(text).map_or_else(|problems| problems, |linted| linted.problems)
}

fn drawn(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} is there once");
    diagnostics::render(&problems(&GOOD.replace(from, to)), false, 100)
}

macro_rules! mistakes {
    ($($name:ident: $from:expr => $to:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(drawn($from, $to));
        })*
    };
}

mistakes! {
    misspelt_kind_of_patch: "kind: KubeletConfiguration" => "kind: KubletConfiguration";
    patch_without_kind: "  kind: KubeletConfiguration\n" => "";
    patch_of_another_kubeadm: "  kind: ClusterConfiguration\n" => "  kind: ClusterConfiguration\n  apiVersion: kubeadm.k8s.io/v1beta4\n";
    patches_that_are_no_list: "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n- |" => "kubeadmConfigPatches: |";
    patch_that_is_a_mapping: "- |\n  kind: KubeletConfiguration" => "- kind: KubeletConfiguration";
    patches_below_networking: "  ipFamily: ipv4" => "  ipFamily: ipv4\n  kubeadmConfigPatches: []";
    patches_misspelt: "kubeadmConfigPatches:" => "kubeadmConfigPatch:";
    setting_misspelt: "nodeStatusUpdateFrequency: 1s" => "nodeStatusUpdateFrequencySeconds: 1s";
    setting_of_a_newer_kubelet: "nodeStatusUpdateFrequency: 1s" => "nodeStatusUpdateFrequency: 1s\n  zzzUnheardOf: 1";
    setting_outside_of_its_patch: "name: good\n" => "name: good\nnodeStatusUpdateFrequency: 1s\n";
    flags_beside_extra_args: "      node-monitor-period: 1s\n      node-monitor-grace-period: 4s" => "    node-monitor-period: 1s\n    node-monitor-grace-period: 4s";
    extra_args_beside_their_component: "    extraArgs:\n" => "  extraArgs:\n";
    text_of_a_patch_not_indented: "- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n- |\n  kind: ClusterConfiguration\n  controllerManager:\n" => "- |\nkind: ClusterConfiguration\ncontrollerManager:\n";
    flag_misspelt: "node-monitor-grace-period: 4s" => "node-monitor-graceperiod: 4s";
    flag_of_another_component: "  controllerManager:" => "  scheduler:";
    flags_as_a_list: "      node-monitor-period: 1s\n      node-monitor-grace-period: 4s" => "      - name: node-monitor-grace-period\n        value: 4s";
    flag_that_is_a_number: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: 4s\n      concurrent-service-syncs: 4";
    grace_of_nothing: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: 0s";
    grace_without_unit: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: \"4\"";
    grace_negative: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: -4s";
    grace_of_years: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: 40000h";
    grace_of_a_nanosecond: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: 4ns";
    grace_that_is_none: "node-monitor-grace-period: 4s" => "node-monitor-grace-period: soon";
    lease_with_a_unit: "nodeStatusUpdateFrequency: 1s" => "nodeLeaseDurationSeconds: 40s";
    period_above_grace: "node-monitor-period: 1s" => "node-monitor-period: 10s";
    grace_below_the_heartbeat: "nodeStatusUpdateFrequency: 1s" => "nodeStatusReportFrequency: 5m";
    grace_below_two_heartbeats: "nodeStatusUpdateFrequency: 1s" => "nodeStatusUpdateFrequency: 3s";
    several_api_servers: "- role: control-plane\n" => "- role: control-plane\n- role: control-plane\n- role: control-plane\n";
    kubelet_flag: "  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s" => "  kind: JoinConfiguration\n  nodeRegistration:\n    kubeletExtraArgs:\n      node-status-update-frequency: 1s";
    patch_on_a_worker: "- role: control-plane\n- role: worker\n" => "- role: control-plane\n- role: worker\n  kubeadmConfigPatches:\n  - |\n    kind: ClusterConfiguration\n    controllerManager: {}\n";
    join_on_the_first_control_plane: "- role: control-plane\n" => "- role: control-plane\n  kubeadmConfigPatches:\n  - |\n    kind: JoinConfiguration\n";
    json_patch: "networking:" => "kubeadmConfigPatchesJSON6902:\n- {group: kubeadm.k8s.io, version: v1beta3, kind: ClusterConfiguration, patch: '[{op: add, path: /controllerManager/extraArgs/node-monitor-period, value: 1s}]'}\nnetworking:";
    yaml_broken_in_a_patch: "  controllerManager:" => "  controllerManager: [";
    key_twice_in_a_patch: "      node-monitor-period: 1s\n" => "      node-monitor-period: 1s\n      node-monitor-period: 2s\n";
    other_kind: "kind: Cluster\n" => "kind: Pod\n";
    other_version: "v1alpha4" => "v1alpha3";
    without_a_name: "name: good\n" => "";
    name_that_is_none: "name: good" => "name: Good_One";
    role_that_is_none: "- role: control-plane" => "- role: controlplane";
    two_versions: "- role: worker\n- role: worker" => "- {role: worker, image: 'kindest/node:v1.31.0'}\n- {role: worker, image: 'kindest/node:v1.34.4'}";
    two_documents: "kubeadmConfigPatches:" => "---\nkubeadmConfigPatches:";
    tab: "  ipFamily" => "\tipFamily";
}

#[test]
fn the_article_s_copy_without_its_indentation() {
    insta::assert_snapshot!(diagnostics::render(&problems(ARTICLE), false, 100));
}

#[test]
fn what_is_right_has_no_problem() {
    assert_eq!(problems(GOOD).to_string(), "");
}

#[test]
fn the_configs_of_this_repository_have_no_problem_and_mean_what_run_takes_them_to_mean() {
    for name in ["article-default", "default", "fast-detection"] {
        let text = std::fs::read_to_string(format!(
            "{}/kind-configs/{name}.yaml",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap();
        let linted = linted(&text).unwrap();
        assert_eq!(linted.problems.to_string(), "", "{name}");
        assert_eq!(linted.asked.tuning, KindConfig::parse(&text).unwrap().expected(NOW), "{name}");
    }
}

#[test]
fn a_flag_is_seen_node_by_node() {
    let flag = "  kind: JoinConfiguration\n  nodeRegistration:\n    kubeletExtraArgs:\n      node-status-update-frequency: 1s";
    let asked = linted(
        &GOOD.replace("  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s", flag),
    )
    .unwrap()
    .asked;
    let groups: Vec<(usize, Option<Duration>)> = asked
        .kubelets
        .iter()
        .map(|group| (group.nodes.len(), group.tuning.node_status_update_frequency))
        .collect();
    assert_eq!(groups, [(1, Some(Duration::from_secs(10))), (2, Some(Duration::from_secs(1)))]);
    assert_eq!(asked.kubelets[1].nodes, ["good-worker", "good-worker2"]);
    assert_eq!(
        asked.kubelets[1].tuning.node_status_report_frequency,
        Some(Duration::from_secs(300))
    );
}

#[test]
fn a_flag_on_all_nodes_means_here_what_run_takes_it_to_mean() {
    let flag = |kind| {
        format!(
            "  kind: {kind}\n  nodeRegistration: {{kubeletExtraArgs: {{node-status-update-frequency: 1s}}}}"
        )
    };
    let both = format!("{}\n- |\n{}", flag("InitConfiguration"), flag("JoinConfiguration"));
    let text = GOOD.replace("  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s", &both);
    let run = KindConfig::parse(&text).unwrap().expected(NOW);
    assert_eq!(run.node_status_update_frequency, Some(Duration::from_secs(1)));
    assert_eq!(run.node_status_report_frequency, Some(Duration::from_secs(300)));
    assert_eq!(linted(&text).unwrap().asked.tuning, run);
}

#[test]
fn the_image_tells_the_version_and_so_the_grace_period() {
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes: [{role: control-plane, image: 'kindest/node:v1.31.9@sha256:0'}]\n";
    let asked = linted(text).unwrap().asked;
    assert_eq!((asked.kubernetes.as_str(), asked.kubernetes_is_assumed), ("v1.31.9", false));
    assert_eq!(asked.tuning.node_monitor_grace_period, Some(Duration::from_secs(40)));
}

#[test]
fn text_for_people() {
    let asked = linted(GOOD).unwrap().asked;
    let outlook = lint::outlook(&asked.tuning, &asked.kubernetes, asked.api_servers, 1000);
    insta::assert_snapshot!(lint::text::render("kind.yaml", &outlook, &asked.kubelets));
}

/// A setting in a generated config: at the top level, on a node, in either form, as a kubelet's flag, or nowhere.
fn config() -> impl Strategy<Value = String> {
    let chosen = || proptest::option::of((0usize..3, 1u64..400));
    let setting = |name: &'static str| {
        chosen().prop_map(move |it| it.map(|(level, s)| (level, format!("{name}: {s}s"))))
    };
    let kubelet = (setting("nodeStatusUpdateFrequency"), setting("nodeStatusReportFrequency"));
    let manager = (setting("node-monitor-period"), setting("node-monitor-grace-period"));
    let flag = || (setting("node-status-update-frequency"), any::<bool>());
    let rest = (1usize..4, any::<bool>(), any::<bool>());
    (kubelet, manager, [flag(), flag(), flag()], rest).prop_map(
        |((update, report), (period, grace), flags, (planes, joined, json))| {
            let mut levels = [Vec::new(), Vec::new(), Vec::new()];
            for (level, line) in [update, report].into_iter().flatten() {
                levels[level].push(format!("kind: KubeletConfiguration\n{line}\n"));
            }
            for (level, line) in [period, grace].into_iter().flatten() {
                levels[level].push(format!(
                    "kind: ClusterConfiguration\ncontrollerManager:\n  extraArgs:\n    {line}\n"
                ));
            }
            for (level, line, join) in flags
                .into_iter()
                .filter_map(|(flag, join)| flag.map(|(level, line)| (level, line, join)))
            {
                let kind = if join { "JoinConfiguration" } else { "InitConfiguration" };
                levels[level].push(format!(
                    "kind: {kind}\nnodeRegistration:\n  kubeletExtraArgs:\n    {line}\n"
                ));
            }
            assemble(&levels, planes, joined) + if json { JSON_PATCH } else { "" }
        },
    )
}

/// Neither reads it.
const JSON_PATCH: &str = "kubeadmConfigPatchesJSON6902:\n- {group: kubeadm.k8s.io, version: v1beta3, kind: ClusterConfiguration, \
    patch: '[{op: add, path: /controllerManager/extraArgs/node-monitor-period, value: 1s}]'}\n";

/// `levels`: patches of the cluster, of the first control plane, of a worker. `joined`: all of a level in one text.
fn assemble(levels: &[Vec<String>; 3], planes: usize, joined: bool) -> String {
    let patches = |texts: &[String], indent: usize| {
        let texts = if joined { vec![texts.join("---\n")] } else { texts.to_vec() };
        let pad = " ".repeat(indent);
        let one = |text: &String| {
            text.lines().fold(format!("{pad}- |\n"), |all, line| format!("{all}{pad}   {line}\n"))
        };
        match texts.concat().is_empty() {
            true => String::new(),
            false => texts
                .iter()
                .fold(format!("{pad}kubeadmConfigPatches:\n"), |all, text| all + &one(text)),
        }
    };
    let [cluster, first, worker] = levels;
    let mut text =
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes:\n".to_owned();
    text += &format!(
        "- role: worker\n{}- role: control-plane\n{}",
        patches(worker, 2),
        patches(first, 2)
    );
    text += &"- role: control-plane\n".repeat(planes - 1);
    text + &patches(cluster, 0)
}

fn is_whole(tuning: &Tuning) -> bool {
    let all = [
        tuning.node_status_update_frequency,
        tuning.node_status_report_frequency,
        tuning.node_lease_duration,
        tuning.node_monitor_period,
        tuning.node_monitor_grace_period,
    ];
    all.iter().all(Option::is_some)
}

proptest! {
    /// What `run` expects of a cluster made from a config, and what is told of it here, are the same.
    #[test]
    fn effective_settings_are_those_of_run(text in config()) {
        let linted = linted(&text).unwrap();
        prop_assert!(is_whole(&linted.asked.tuning));
        prop_assert_eq!(linted.asked.tuning, KindConfig::parse(&text).unwrap().expected(NOW), "{}", text);
    }

    #[test]
    fn no_mutation_panics_and_every_place_is_in_the_file(
        at in 0usize..600, length in 0usize..12, with in "[-:{}\\[\\]&*!|>'\"#, \\n\\ta-z0-9é]{0,4}",
    ) {
        let border = |at: usize| (0..=at.min(GOOD.len())).rev().find(|&i| GOOD.is_char_boundary(i)).unwrap_or(0);
        let (start, end) = (border(at), border(at + length));
        let text = format!("{}{with}{}", &GOOD[..start], &GOOD[end..]);
        let problems = problems(&text);
        for place in problems.iter().filter_map(|problem| problem.at.as_ref()) {
            prop_assert!(text.get(place.span.start..place.span.end).is_some());
        }
        diagnostics::render(&problems, true, 80);
    }
}
