use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::experiment::SourceFile;
use crate::lint::Linted;

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
    diagnostics::render(&problems(&GOOD.replace(from, to)), None, 100)
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
    json_patch: "networking:" => "kubeadmConfigPatchesJSON6902:\n- {group: kubeadm.k8s.io, version: v1beta3, kind: ClusterConfiguration, patch: '[{op: replace, path: /controllerManager/extraArgs/node-monitor-cycle, value: 1s}]'}\nnetworking:";
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
    insta::assert_snapshot!(diagnostics::render(&problems(ARTICLE), None, 100));
}

#[test]
fn what_is_right_has_no_problem() {
    assert_eq!(problems(GOOD).to_string(), "");
}

#[test]
fn the_configs_of_this_repository_have_no_problem() {
    for name in ["article-default", "default", "fast-detection"] {
        let text = std::fs::read_to_string(format!(
            "{}/kind-configs/{name}.yaml",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap();
        assert_eq!(problems(&text).to_string(), "", "{name}");
    }
}

#[test]
fn a_flag_is_seen_node_by_node() {
    let flag = "  kind: JoinConfiguration\n  nodeRegistration:\n    kubeletExtraArgs:\n      node-status-update-frequency: 1s";
    let linted = linted(
        &GOOD.replace("  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s", flag),
    )
    .unwrap();
    let groups: Vec<(usize, Option<Duration>)> = linted
        .kubelets
        .iter()
        .map(|group| (group.nodes.len(), group.tuning.node_status_update_frequency))
        .collect();
    assert_eq!(groups, [(1, Some(Duration::from_secs(10))), (2, Some(Duration::from_secs(1)))]);
    assert_eq!(linted.kubelets[1].nodes, ["good-worker", "good-worker2"]);
    assert_eq!(
        linted.kubelets[1].tuning.node_status_report_frequency,
        Some(Duration::from_secs(300))
    );
}

#[test]
fn the_image_tells_the_version_and_so_the_grace_period() {
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes: [{role: control-plane, image: 'kindest/node:v1.31.9@sha256:0'}]\n";
    let config = linted(text).unwrap().config;
    assert_eq!((config.kubernetes.as_str(), config.kubernetes_is_assumed), ("v1.31.9", false));
    assert_eq!(config.tuning().node_monitor_grace_period, Some(Duration::from_secs(40)));
}

#[test]
fn text_for_people() {
    let Linted { config, kubelets, .. } = linted(GOOD).unwrap();
    let outlook = lint::outlook(&config.tuning(), &config.kubernetes, 1, 1000);
    insta::assert_snapshot!(lint::text::render("kind.yaml", &outlook, &kubelets, 100));
}

proptest! {
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
        diagnostics::render(&problems, Some(*super::super::output::INK), 80);
    }
}
