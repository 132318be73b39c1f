//! The reader against what kind 0.30 to 0.33 does.

use std::time::Duration;

use proptest::prelude::*;

use super::testing::{config, reading};
use super::*;

const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\n";
const THREE: &str = "nodes: [{role: control-plane}, {role: worker}, {role: worker}]\n";

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Of a config of three nodes with this in addition.
fn with(more: &str) -> Reading {
    reading(&format!("{HEAD}{THREE}{more}"))
}

/// All problems, one a line.
fn problems(text: &str) -> String {
    reading(text).problems.to_string()
}

/// A patch in the list of patches of the cluster, or of a node.
fn json_patch(version: &str, kind: &str, operations: &str) -> String {
    let group =
        if kind == "KubeletConfiguration" { "kubelet.config.k8s.io" } else { "kubeadm.k8s.io" };
    format!(
        "kubeadmConfigPatchesJSON6902:\n- group: {group}\n  version: {version}\n  kind: {kind}\n  patch: |\n    {operations}\n"
    )
}

#[test]
fn nodes_are_named_as_kind_names_them() {
    let config = config(&format!(
        "{HEAD}nodes: [{{role: worker}}, {{role: control-plane}}, {{role: worker}}, {{}}, {{role: control-plane}}]\n"
    ));
    let names: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        ["a-worker", "a-control-plane", "a-worker2", "a-control-plane2", "a-control-plane3"]
    );
    assert_eq!(config.load_balancer().as_deref(), Some("a-external-load-balancer"));
}

#[test]
fn a_file_without_nodes_is_one_control_plane_without_taint() {
    let config = config(HEAD);
    assert_eq!((config.nodes.len(), config.nodes[0].name.as_str()), (1, "a-control-plane"));
    assert!(!config.nodes[0].tainted);
    assert_eq!(config.load_balancer(), None);
    assert!(config.kubernetes_is_assumed);
}

#[test]
fn a_name_may_look_like_a_number() {
    let text = HEAD.replace("name: a", "name: 2024");
    assert_eq!(config(&text).nodes[0].name, "2024-control-plane");
}

#[test]
fn a_config_without_a_name_is_kinds_own() {
    let config = config("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n");
    assert_eq!((config.name.as_str(), config.is_named), ("kind", false));
    let long = problems(&HEAD.replace("name: a", &format!("name: {}", "a".repeat(48))));
    assert!(long.contains("with more than 47 characters"), "{long}");
}

#[test]
fn the_image_tells_the_version_of_its_node() {
    let image =
        |tag: &str| format!("{HEAD}nodes: [{{role: control-plane, image: 'kindest/node{tag}'}}]\n");
    for (tag, version, is_assumed, grace) in [
        (":v1.31.0@sha256:abc", "v1.31.0", false, 40),
        (":v1.31.9", "v1.31.9", false, 40),
        ("@sha256:abc", DEFAULT_KUBERNETES, true, 50),
        (":latest", DEFAULT_KUBERNETES, true, 50),
    ] {
        let config = config(&image(tag));
        assert_eq!(
            (config.kubernetes.as_str(), config.kubernetes_is_assumed),
            (version, is_assumed)
        );
        assert_eq!(config.tuning().node_monitor_grace_period, seconds(grace), "{tag}");
    }
    let exactly = config(&image(":v1.31.0")).for_kubernetes(Kubernetes::Exactly("v1.34.4"));
    assert_eq!(exactly.tuning().node_monitor_grace_period, seconds(50));
}

#[test]
fn merge_keys_and_anchors_make_nodes() {
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: anchored\nnodes:\n- role: control-plane\n- &worker\n  role: worker\n  \
        extraMounts: &mounts\n  - {hostPath: /tmp/shared, containerPath: /shared}\n- *worker\n- <<: *worker\n  labels: {zone: b}\n\
        kubeadmConfigPatches:\n- &tuning |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 2s\n";
    assert_eq!(problems(text), "");
    let config = config(text);
    assert_eq!((config.count(NodeRole::ControlPlane), config.count(NodeRole::Worker)), (1, 3));
    assert_eq!(config.nodes[3].labels["zone"], "b");
    assert_eq!(config.tuning().node_status_update_frequency, seconds(2));
}

#[test]
fn a_dash_too_many_makes_a_second_control_plane() {
    let text = format!(
        "{HEAD}nodes:\n- role: control-plane\n- extraPortMappings:\n  - {{containerPort: 80, hostPort: 80, protocol: TCP}}\n- role: worker\n"
    );
    let diagnostics = problems(&text);
    assert!(
        diagnostics.contains(
            "kind.yaml:6:3: warning: a node without `role` is a control plane, one of 2 here"
        ),
        "{diagnostics}"
    );
    assert!(
        diagnostics.contains("warning: 2 control planes tolerate no more failures than 1"),
        "{diagnostics}"
    );
    assert_eq!(problems(&format!("{HEAD}nodes: [{{}}, {{role: worker}}]\n")), "");
}

#[test]
fn values_that_kind_refuses_have_a_place() {
    let text = format!(
        "{HEAD}networking:\n  ipFamily: dualstack\n  kubeProxyMode: iptable\n  podSubnet: 10.244.0.0\n  apiServerPort: 64430000\n"
    );
    let diagnostics = problems(&text);
    for part in [
        "kind.yaml:5:13: error: `dualstack` is not a valid ipFamily",
        "kind.yaml:6:18: error: `iptable` is not a valid kubeProxyMode: kind refuses it (did you mean `iptables`?)",
        "kind.yaml:7:14: error: podSubnet is `10.244.0.0`",
        "kind.yaml:8:18: error: apiServerPort is 64430000",
    ] {
        assert!(diagnostics.contains(part), "{part} in {diagnostics}");
    }
    assert_eq!(diagnostics.lines().count(), 4, "{diagnostics}");
}

#[test]
fn types_ports_mounts_and_gates_are_kinds() {
    for (more, expected) in [
        (
            "networking: {ipFamily: ipv6, podSubnet: 10.0.0.0/8}",
            "ipFamily ipv6 needs one IPv6 subnet",
        ),
        ("networking: {podSubnet: '10.0.0.0/8,fd00::/56'}", "or `ipFamily: dual` for two"),
        (
            "networking: {disableDefaultCNI: 1}",
            "`disableDefaultCNI` must be `true` or `false`, found `1`",
        ),
        ("networking: {disableDefaultCNI: tRue}", "must be `true` or `false`, found `tRue`"),
        ("networking: {disableDefaultCNI: 'true'}", "must be `true` or `false`, found `true`"),
        (
            "nodes: [{extraPortMappings: [{containerPort: 80, hostPort: 0x11170}]}]",
            "hostPort is 70000",
        ),
        ("networking: {apiServerPort: 0x100000000}", "`apiServerPort` must be a whole number"),
        ("networking: {apiServerPort: '80'}", "`apiServerPort` must be a whole number"),
        ("featureGates: {Fancy: 3}", "`Fancy` must be a boolean"),
        (
            "featureGates: [Fancy]",
            "`featureGates` must be a mapping of names to booleans, found a list",
        ),
        ("runtimeConfig: {api/alpha: {}}", "`api/alpha` must be a string"),
        ("nodes: {role: worker}", "`nodes` must be a list, found a mapping"),
        ("nodes: [{role: boss}]", "unknown node role `boss`"),
        ("nodes: [{role: worker}]", "there is no control-plane node"),
        ("nodes: [{labels: [a]}]", "`labels` must be a mapping of names to strings"),
        (
            "nodes: [{extraPortMappings: [{containerPort: 80, hostPort: 70000}]}]",
            "hostPort is 70000, which is not a port",
        ),
        (
            "nodes: [{extraPortMappings: [{containerPort: 80, protocol: HTTP}]}]",
            "`HTTP` is not a protocol",
        ),
        (
            "nodes: [{extraPortMappings: [{containerPort: 80, listenAddress: here}]}]",
            "is not an IP address",
        ),
        (
            "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 8}, {containerPort: 2, hostPort: 8, listenAddress: 127.0.0.1}]}]",
            "hostPort 8/TCP is mapped twice",
        ),
        ("nodes: [{extraMounts: [{hostPath: /a}]}]", "the mount has no containerPath"),
        (
            "nodes: [{extraMounts: [{hostPath: /a, containerPath: /b, propagation: none}]}]",
            "`none` is not a valid propagation: kind refuses it (did you mean `None`?)",
        ),
        ("kubeadmConfigPatchesJSON6902: {}", "`kubeadmConfigPatchesJSON6902` must be a list"),
    ] {
        let diagnostics = problems(&format!("{HEAD}{more}\n"));
        assert!(
            diagnostics.contains(expected) && diagnostics.contains(": error: "),
            "{more}: {diagnostics}"
        );
    }
    for right in [
        "networking: {ipFamily: dual, podSubnet: '10.244.0.0/16,fd00::/56', kubeProxyMode: nftables, disableDefaultCNI: no}",
        "networking: {ipFamily: ipv6, podSubnet: 'fd00::/56', apiServerPort: -1}",
        "networking: {podSubnet: '', serviceSubnet: \"\", kubeProxyMode: '', disableDefaultCNI: 'no'}",
        "nodes: [{extraPortMappings: [{containerPort: 0x1F90, hostPort: 0o17620}, {containerPort: 8_0, hostPort: 017621, protocol: '', listenAddress: ''}]}]",
        "featureGates: {Fancy: yes}\nruntimeConfig: {api/alpha: false}",
        "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 8, protocol: tcp}, {containerPort: 2, hostPort: 8, protocol: UDP}]}]",
        "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 0}, {containerPort: 2, hostPort: 0}]}]",
        "nodes: [{labels: {zone: 1}, extraMounts: [{hostPath: a, containerPath: /b, readOnly: true}]}]",
    ] {
        assert_eq!(problems(&format!("{HEAD}{right}\n")), "", "{right}");
    }
}

#[test]
fn a_cluster_without_network_is_a_warning() {
    let diagnostics =
        problems(&format!("{HEAD}networking: {{disableDefaultCNI: true, kubeProxyMode: none}}\n"));
    assert!(
        diagnostics.contains("warning: no network plugin is installed: nodes do not become Ready"),
        "{diagnostics}"
    );
    assert!(
        diagnostics.contains("warning: there is no kube-proxy: no Service answers"),
        "{diagnostics}"
    );
    let patched = format!(
        "{HEAD}networking: {{kubeProxyMode: none}}\n{}",
        json_patch("v1alpha1", "KubeProxyConfiguration", "[{op: test, path: /mode, value: x}]")
            .replace("kubeadm.k8s.io", "kubeproxy.config.k8s.io")
    );
    assert!(!problems(&patched).contains("cannot apply"), "there is no such document");
}

const LIST: &str = "kubeadmConfigPatches:\n- |\n  apiVersion: kubeadm.k8s.io/v1beta4\n  kind: ClusterConfiguration\n  controllerManager:\n    \
    extraArgs:\n    - {name: node-monitor-grace-period, value: 4s}\n";

#[test]
fn a_patch_of_another_kubeadm_is_ignored_and_reported() {
    let Reading { config, problems } = with(LIST);
    assert_eq!(
        problems.to_string(),
        "kind.yaml:7:15: error: kind writes `kubeadm.k8s.io/v1beta3` for Kubernetes v1.34.0 (assumed: no node image names a version) and silently ignores a patch of \
         `kubeadm.k8s.io/v1beta4` (leave `apiVersion` out: kind then matches by kind alone)"
    );
    let config = config.unwrap();
    assert_eq!(config.tuning().node_monitor_grace_period, seconds(50));
    let newer = config.for_kubernetes(Kubernetes::Exactly("v1.36.0"));
    assert_eq!(newer.tuning().node_monitor_grace_period, seconds(4), "v1beta4 from 1.36 on");
    let text = format!("{HEAD}{}", LIST.replace("v1beta4", "v1beta2"));
    let file = Arc::new(SourceFile { name: "kind.yaml".into(), text });
    let older = read(&file, Kubernetes::Exactly("v1.34.0"));
    assert!(older.problems.has_errors(), "the version is known");
    assert_eq!(older.config.unwrap().tuning().node_monitor_grace_period, seconds(50));
}

#[test]
fn the_map_form_is_right_for_every_kubeadm_and_the_list_for_v1beta4_alone() {
    let map = "kubeadmConfigPatches:\n- '{kind: ClusterConfiguration, controllerManager: {extraArgs: {node-monitor-grace-period: 4s}}}'\n";
    let list = LIST.replace("  apiVersion: kubeadm.k8s.io/v1beta4\n", "");
    for (version, form, fails) in [
        ("v1.34.0", map, false),
        ("v1.36.0", map, false),
        ("v1.36.0", &list, false),
        ("v1.34.0", &list, true),
    ] {
        let file = Arc::new(SourceFile { name: "kind.yaml".into(), text: format!("{HEAD}{form}") });
        let Reading { config, problems } = read(&file, Kubernetes::Exactly(version));
        assert_eq!(problems.has_errors(), fails, "{version} {form}: {problems}");
        assert_eq!(config.unwrap().tuning().node_monitor_grace_period, seconds(4));
    }
}

#[test]
fn what_only_another_version_refuses_is_a_warning_while_the_version_is_assumed() {
    let list = LIST.replace("  apiVersion: kubeadm.k8s.io/v1beta4\n", "");
    let item = json_patch(
        "v1beta4",
        "ClusterConfiguration",
        "[{op: add, path: /controllerManager/extraArgs/-, value: {name: v, value: '4'}}]",
    );
    let item_by_kind = item
        .replace("  group: kubeadm.k8s.io\n  version: v1beta4\n", "")
        .replace("- group: kubeadm.k8s.io\n  version: v1beta4\n  kind", "- kind");
    assert!(!item_by_kind.contains("v1beta4"));
    let first = item_by_kind.replace(
        "op: add, path: /controllerManager/extraArgs/-",
        "op: replace, path: /apiServer/extraArgs/0",
    );
    // A patch that names kubeadm's version is an error all the same: without it, it would be right
    // for every version.
    for (patch, is_pinned) in
        [(LIST, true), (&list, false), (&item, true), (&item_by_kind, false), (&first, false)]
    {
        for (image, is_error) in [
            ("", false),
            (", image: 'kindest/node@sha256:abc'", false),
            (", image: 'kindest/node:latest'", false),
            (", image: 'kindest/node:v1.34.0'", true),
        ] {
            let text = format!("{HEAD}nodes: [{{role: control-plane{image}}}]\n{patch}");
            let found = reading(&text).problems;
            assert_eq!(found.has_errors(), is_error || is_pinned, "{text}{found}");
            assert!(!found.is_empty(), "{text}");
            let file = Arc::new(SourceFile { name: "kind.yaml".into(), text });
            let newer = read(&file, Kubernetes::Exactly("v1.36.1")).problems.to_string();
            assert_eq!(newer, "", "{patch}");
        }
    }
}

#[test]
fn a_kind_in_lower_case_is_another_kind() {
    let Reading { config, problems } = with(
        "kubeadmConfigPatches: ['{kind: kubeletConfiguration, nodeStatusUpdateFrequency: 1s}']\n",
    );
    let diagnostics = problems.to_string();
    assert!(
        diagnostics.contains("a patch of kind `kubeletConfiguration`: kind silently ignores it (did you mean `KubeletConfiguration`?)"),
        "{diagnostics}"
    );
    assert_eq!(config.unwrap().tuning().node_status_update_frequency, seconds(10));
}

#[test]
fn flags_that_kubernetes_no_longer_has() {
    let flags = "kubeadmConfigPatches: ['{kind: ClusterConfiguration, controllerManager: {extraArgs: {pod-eviction-timeout: 30s, \
        enable-taint-manager: \"true\"}}}']\n";
    let diagnostics = with(flags).problems.to_string();
    assert!(diagnostics.contains("warning: `pod-eviction-timeout` was removed in Kubernetes 1.27: the controller manager of v1.34.0 (assumed: no node image names a version) does not start with it"), "{diagnostics}");
    assert!(
        diagnostics.contains("tolerationSeconds")
            && diagnostics.contains("`enable-taint-manager` was removed"),
        "{diagnostics}"
    );
    let file = Arc::new(SourceFile { name: "kind.yaml".into(), text: format!("{HEAD}{flags}") });
    assert_eq!(read(&file, Kubernetes::Exactly("v1.26.0")).problems.to_string(), "");
    assert!(read(&file, Kubernetes::Exactly("v1.34.0")).problems.has_errors(), "it is certain");
}

#[test]
fn labels_with_which_a_kubelet_does_not_start() {
    let labelled = |label: &str| {
        reading(&format!("{HEAD}nodes: [{{role: control-plane, labels: {{{label}}}}}]\n"))
    };
    for fine in [
        "a: b",
        "example.com/disk: ssd",
        "topology.kubernetes.io/zone: a",
        "a: ''",
        "node.kubernetes.io/x: y",
        "sub.node.kubernetes.io/x: y",
    ] {
        assert_eq!(labelled(fine).problems.to_string(), "", "{fine}");
    }
    for wrong in [
        "node-role.kubernetes.io/worker: ''",
        "k8s.io/a: b",
        "a b: c",
        "a: 'b c'",
        "-a: b",
        "a/b/c: d",
    ] {
        let problems = labelled(wrong).problems.to_string();
        assert!(
            problems.contains("error: ") && problems.contains("its kubelet does not start"),
            "{wrong}: {problems}"
        );
    }
    let flag = "kubeadmConfigPatches: ['{kind: InitConfiguration, nodeRegistration: {kubeletExtraArgs: {node-labels: \"a=b,node-role.kubernetes.io/x=\"}}}']\n";
    assert!(
        with(flag).problems.to_string().contains(
            "the label `node-role.kubernetes.io/x` on itself: its kubelet does not start"
        )
    );
}

#[test]
fn an_image_without_a_version_leaves_the_version_a_guess() {
    let text = format!("{HEAD}nodes: [{{role: control-plane, image: \"kindest/node:v1.31.0\"}}]\n");
    let file = Arc::new(SourceFile { name: "kind.yaml".into(), text });
    let config = read(&file, Kubernetes::Guess("v1.34.0")).config.unwrap();
    assert_eq!((config.kubernetes.as_str(), config.kubernetes_is_assumed), ("v1.34.0", true));
}

#[test]
fn json_patches_are_applied_after_merge_patches() {
    let merged = "- role: control-plane\n  kubeadmConfigPatches: ['{kind: ClusterConfiguration, controllerManager: {extraArgs: {node-monitor-period: 2s}}}']\n";
    let text = format!(
        "{HEAD}nodes:\n{merged}{}{}",
        json_patch(
            "v1beta3",
            "ClusterConfiguration",
            "[{op: add, path: /controllerManager/extraArgs/node-monitor-grace-period, value: 8s}, {op: add, path: /controllerManager/extraArgs/node-monitor-period, value: 3s}]"
        ),
        json_patch(
            "v1beta1",
            "KubeletConfiguration",
            "[{op: add, path: /nodeStatusUpdateFrequency, value: 1s}]"
        )
        .replace("kubeadmConfigPatchesJSON6902:\n", ""),
    );
    let config = config(&text);
    let tuning = config.tuning();
    assert_eq!(
        (
            tuning.node_status_update_frequency,
            tuning.node_monitor_period,
            tuning.node_monitor_grace_period
        ),
        (seconds(1), seconds(2), seconds(8)),
        "a node's own patch comes after the cluster's"
    );
    let at = config.nodes[0].places.grace.unwrap();
    assert_eq!(&text[at.start..at.end], "8s");
}

#[test]
fn json_patches_that_do_nothing_or_fail() {
    let other = json_patch(
        "v1beta2",
        "ClusterConfiguration",
        "[{op: add, path: /apiServer/certSANs/-, value: x}]",
    );
    let diagnostics = with(&other).problems.to_string();
    assert!(diagnostics.contains("kind.yaml:7:12: error: kind writes `kubeadm.k8s.io/v1beta3` for Kubernetes v1.34.0 (assumed: no node image names a version) and silently ignores a patch of `kubeadm.k8s.io/v1beta2`"), "{diagnostics}");
    assert_eq!(with(&other.replace("v1beta2", "v1beta3")).problems.to_string(), "");
    let failing = |operation: &str| {
        with(&json_patch("v1beta3", "ClusterConfiguration", operation)).problems.to_string()
    };
    let replace = failing(
        "[{op: replace, path: /controllerManager/extraArgs/node-monitor-period, value: 1s}]",
    );
    assert!(
        replace.contains(
            "error: kind cannot apply this to the ClusterConfiguration and does not create the cluster"
        ),
        "{replace}"
    );
    assert!(replace.contains("use `op: add`"), "{replace}");
    assert!(
        failing("[{op: add, path: /scheduler/extraArgs/v, value: '4'}]").contains("cannot apply"),
        "kind writes no map there"
    );
    assert!(
        failing("[{op: put, path: /a, value: 1}]").contains("not an operation of a JSON patch")
    );
    assert!(failing("op: add").contains("must be a list of operations"));
    assert!(
        failing("[{op: add, path: /controllerManager/extraArgs/pod-eviction-timeout, value: 1m}]")
            .contains("was removed")
    );
}

#[test]
fn in_v1beta4_a_json_patch_sees_lists() {
    let patch = json_patch(
        "v1beta4",
        "ClusterConfiguration",
        "[{op: add, path: /controllerManager/extraArgs/-, value: {name: node-monitor-grace-period, value: 8s}}]",
    );
    let file = Arc::new(SourceFile { name: "kind.yaml".into(), text: format!("{HEAD}{patch}") });
    let config = read(&file, Kubernetes::Exactly("v1.36.0")).usable().unwrap();
    assert_eq!(config.tuning().node_monitor_grace_period, seconds(8));
}

#[test]
fn labels_and_taints_come_from_the_registration() {
    let text = format!(
        "{HEAD}nodes:\n- role: control-plane\n  kubeadmConfigPatches: ['{{kind: InitConfiguration, nodeRegistration: {{taints: []}}}}']\n\
         - {{role: worker, labels: {{topology.kubernetes.io/zone: zone-a}}}}\n\
         - role: worker\n  kubeadmConfigPatches:\n  - |\n    kind: JoinConfiguration\n    \
         nodeRegistration: {{kubeletExtraArgs: {{node-labels: \"topology.kubernetes.io/zone=zone-c,x=y\"}}}}\n- role: control-plane\n- role: control-plane\n"
    );
    let config = config(&text);
    let zone = |index: usize| {
        config.nodes[index].labels.get("topology.kubernetes.io/zone").map(String::as_str)
    };
    assert_eq!((zone(0), zone(1), zone(2)), (None, Some("zone-a"), Some("zone-c")));
    assert_eq!(
        (
            config.nodes[2].labels["x"].as_str(),
            config.nodes[2].labels["kubernetes.io/hostname"].as_str()
        ),
        ("y", "a-worker2")
    );
    let tainted: Vec<bool> = config.nodes.iter().map(|node| node.tainted).collect();
    assert_eq!(tainted, [false, false, false, true, true]);
}

#[test]
fn the_api_servers_tolerations_are_read() {
    let flags = "kubeadmConfigPatches: ['{kind: ClusterConfiguration, apiServer: {extraArgs: {default-unreachable-toleration-seconds: \"20\"}}}']\n";
    let tolerations = config(&format!("{HEAD}{flags}")).default_tolerations;
    assert_eq!((tolerations.unreachable.as_secs(), tolerations.not_ready.as_secs()), (20, 300));
}

#[test]
fn a_kubelets_flag_beats_its_file_node_by_node() {
    let flag = |kind: &str, value: &str| {
        format!(
            "'{{kind: {kind}, nodeRegistration: {{kubeletExtraArgs: {{node-status-update-frequency: {value}}}}}}}'"
        )
    };
    let all = config(&format!(
        "{HEAD}nodes:\n- {{role: worker, kubeadmConfigPatches: [{}]}}\n- {{role: control-plane, kubeadmConfigPatches: [{}]}}\n- role: worker\n\
         kubeadmConfigPatches: [{}]\n",
        flag("JoinConfiguration", "3s"),
        flag("InitConfiguration", "2s"),
        flag("JoinConfiguration", "1s")
    ));
    let updates: Vec<_> =
        all.nodes.iter().map(|node| node.tuning.node_status_update_frequency).collect();
    assert_eq!(updates, [seconds(3), seconds(2), seconds(1)]);
    assert_eq!(all.tuning().node_status_update_frequency, seconds(3), "the slowest counts");
    assert_eq!(
        all.tuning().node_status_report_frequency,
        seconds(300),
        "which does not follow the flag"
    );
    let unread = reading(&format!(
        "{HEAD}nodes:\n- {{role: control-plane, kubeadmConfigPatches: [{}]}}\n",
        flag("JoinConfiguration", "2s")
    ));
    assert!(unread.problems.has_errors());
    assert_eq!(unread.config.unwrap().tuning().node_status_update_frequency, seconds(10));
}

fn tuning(update: Option<u64>, period: Option<u64>, grace: Option<u64>) -> Tuning {
    Tuning {
        node_status_update_frequency: update.map(Duration::from_secs),
        node_monitor_period: period.map(Duration::from_secs),
        node_monitor_grace_period: grace.map(Duration::from_secs),
        ..Tuning::default()
    }
}

fn asked(config: &KindConfig) -> [Option<Duration>; 3] {
    [
        config.asked.node_status_update_frequency,
        config.asked.node_monitor_period,
        config.asked.node_monitor_grace_period,
    ]
}

#[test]
fn an_equal_cluster_has_another_name_and_all_else() {
    let one = config(&format!(
        "{HEAD}networking: {{apiServerPort: -1}}\nnodes:\n- role: control-plane\n  extraPortMappings: [{{containerPort: 80}}]\n- {{role: worker, labels: {{zone: z}}}}\n"
    ));
    let two = one.renamed("two").unwrap();
    assert_eq!((two.name.as_str(), two.nodes[1].name.as_str()), ("two", "two-worker"));
    assert!(two.text().contains("name: two") && two.text().contains("zone: z"), "{}", two.text());
    assert_eq!((two.tuning(), two.path()), (one.tuning(), one.path()));
    assert_eq!(two.nodes[1].labels["zone"], "z");
    assert!(one.renamed(&"x".repeat(60)).unwrap_err().to_string().contains("47 characters"));
    assert!(!one.has_fixed_ports());
    let port = "nodes: [{role: control-plane, extraPortMappings: [{containerPort: 80, hostPort: 8080}]}]\n";
    for fixed in [port, "networking: {apiServerPort: 6443}\n"] {
        assert!(config(&format!("{HEAD}{fixed}")).has_fixed_ports(), "{fixed}");
    }
}

#[test]
fn a_tuning_is_added_and_names_the_cluster() {
    for nodes in ["", THREE, "nodes:\n- role: control-plane\n-\n- role: control-plane\n"] {
        let plain = config(&format!("{HEAD}{nodes}"));
        let tuned = plain.with_tuning(&tuning(Some(2), Some(5), Some(20))).unwrap();
        assert_eq!((tuned.name.as_str(), tuned.nodes.len()), ("a-2s-5s-20s", plain.nodes.len()));
        assert_eq!(asked(&tuned), [seconds(2), seconds(5), seconds(20)]);
        let one = plain.with_tuning(&tuning(None, None, Some(20))).unwrap();
        assert_eq!(one.name, "a-default-default-20s");
        assert_eq!(asked(&one), [None, None, seconds(20)]);
    }
    let long = config(&HEAD.replace("name: a", &format!("name: {}", "a".repeat(40))));
    let why = long.with_tuning(&tuning(Some(2), Some(5), Some(20))).unwrap_err().to_string();
    assert!(why.contains("47 characters"), "{why}");
}

#[test]
fn a_tuning_beats_what_the_file_has_and_keeps_the_rest() {
    let patches = "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n  maxPods: 20\n\
        - |\n  kind: ClusterConfiguration\n  controllerManager:\n    extraArgs:\n      node-monitor-period: 1s\n      v: '4'\n";
    let old = config(&format!("{HEAD}{THREE}{patches}"));
    let tuned = old.with_tuning(&tuning(Some(3), None, Some(9))).unwrap();
    assert_eq!(
        (tuned.name.as_str(), asked(&tuned)),
        ("a-3s-1s-9s", [seconds(3), seconds(1), seconds(9)])
    );
    assert!(tuned.text().contains("maxPods: 20"), "{}", tuned.text());
    assert_eq!(old.with_tuning(&Tuning::default()).unwrap(), old);
    assert_eq!(old.with_tuning(&tuning(Some(1), None, None)).unwrap(), old, "nothing changes");
}

#[test]
fn a_tuning_leaves_texts_texts() {
    let text = format!(
        "{HEAD}networking: {{apiServerPort: 0x1F90, disableDefaultCNI: no, dnsSearch: [on, 1.10]}}\nfeatureGates: {{Fancy: yes}}\nruntimeConfig: {{api/all: true}}\n\
         nodes:\n- role: control-plane\n- role: worker\n  labels: {{ssd: yes, version: 1.10, zone: 007, hex: 0x1F, none: ~, empty: ''}}\n"
    );
    let plain = config(&text);
    let tuned = plain.with_tuning(&tuning(Some(2), None, None)).unwrap();
    assert_eq!(tuned.nodes[1].labels, {
        let mut labels = plain.nodes[1].labels.clone();
        labels.insert("kubernetes.io/hostname".into(), tuned.nodes[1].name.clone());
        labels
    });
    for (label, value) in [("ssd", "yes"), ("version", "1.10"), ("zone", "007"), ("hex", "0x1F")] {
        assert_eq!(tuned.nodes[1].labels[label], value);
    }
    let at = |path: &str| tuned.root.find(path).0.value.clone();
    let scalar = |text: &str, plain| yaml::tree::Value::Scalar { text: text.into(), plain };
    assert_eq!(at("networking.apiServerPort"), scalar("8080", true));
    assert_eq!(at("networking.disableDefaultCNI"), scalar("false", true));
    assert_eq!(at("featureGates.Fancy"), scalar("true", true));
    assert_eq!(tuned.root.text_at("networking.dnsSearch[0]"), Some("on"));
    assert_eq!(tuned.root.text_at("networking.dnsSearch[1]"), Some("1.10"));
    assert_eq!(tuned.root.text_at("runtimeConfig.api/all"), Some("true"));
}

#[test]
fn numbers_of_patches_are_read_by_the_rules_of_yaml_1_1() {
    let lease = |value: &str| {
        let patch = format!(
            "kubeadmConfigPatches: ['{{kind: KubeletConfiguration, nodeLeaseDurationSeconds: {value}}}']\n"
        );
        config(&format!("{HEAD}{patch}")).tuning().node_lease_duration
    };
    for value in ["40", "050", "0x28", "0b101000", "0o50", "4_0"] {
        assert_eq!(lease(value), seconds(40), "{value}");
    }
    let flag = |value: &str| {
        problems(&format!(
            "{HEAD}kubeadmConfigPatches: ['{{kind: ClusterConfiguration, apiServer: {{extraArgs: {{profiling: {value}}}}}}}']\n"
        ))
    };
    for value in ["y", "n", "No", "on"] {
        assert!(flag(value).contains("a boolean in YAML and not a string"), "{value}");
    }
    assert_eq!(flag("nO"), "", "which is a text");
}

#[test]
fn an_empty_subnet_is_kinds_default() {
    let test = json_patch(
        "v1beta3",
        "ClusterConfiguration",
        "[{op: test, path: /networking/podSubnet, value: 10.244.0.0/16}]",
    );
    assert_eq!(problems(&format!("{HEAD}networking: {{podSubnet: ''}}\n{test}")), "");
}

#[test]
fn a_tuning_removes_the_kubelets_flags() {
    let flag = "'{kind: JoinConfiguration, nodeRegistration: {kubeletExtraArgs: {node-status-update-frequency: 1s, v: \"4\"}}}'";
    let text = format!("{HEAD}{THREE}kubeadmConfigPatches: [{flag}]\n");
    let flagged = config(&text);
    let tuned = flagged.with_tuning(&tuning(Some(3), None, None)).unwrap();
    assert_eq!(tuned.name, "a-3s-default-default");
    assert_eq!(tuned.tuning().node_status_update_frequency, seconds(3));
    assert!(tuned.nodes.iter().all(|node| !node.places.update_is_flag));
    let grace = flagged.with_tuning(&tuning(None, None, Some(9))).unwrap();
    assert!(grace.nodes[1].places.update_is_flag, "no other update frequency was asked for");
}

#[test]
fn a_tuning_beats_the_clusters_json_patch_but_not_the_nodes() {
    let patch = json_patch(
        "v1beta3",
        "ClusterConfiguration",
        "[{op: add, path: /controllerManager/extraArgs/node-monitor-grace-period, value: 8s}]",
    );
    let of_cluster = config(&format!("{HEAD}{patch}"));
    assert_eq!(asked(&of_cluster), [None, None, seconds(8)]);
    assert_eq!(
        asked(&of_cluster.with_tuning(&tuning(None, None, Some(9))).unwrap()),
        [None, None, seconds(9)]
    );
    let own = patch.replace('\n', "\n  ");
    let of_node = config(&format!("{HEAD}nodes:\n- role: control-plane\n  {}\n", own.trim_end()));
    assert_eq!(asked(&of_node), [None, None, seconds(8)]);
    let why = of_node.with_tuning(&tuning(None, None, Some(9))).unwrap_err().to_string();
    assert!(why.contains("`tuning` has no effect"), "{why}");
}

/// A generated setting: on which level (cluster, first control plane, a worker), and its seconds.
type Setting = Option<(usize, u64)>;

/// A generated config, as what is in it.
#[derive(Clone, Debug)]
struct Generated {
    update: Setting,
    report: Setting,
    period: Setting,
    grace: Setting,
    /// Kubelet flags, each in a JoinConfiguration or an InitConfiguration.
    flags: [(Setting, bool); 3],
    control_planes: usize,
    /// Whether all patches of a level are one text.
    joined: bool,
    /// Whether a JSON patch of the cluster sets the monitor period to 1 s.
    json: bool,
}

fn generated() -> impl Strategy<Value = Generated> {
    let setting = || proptest::option::of((0usize..3, 1u64..400));
    let flag = || (setting(), any::<bool>());
    let settings = (setting(), setting(), setting(), setting());
    (settings, [flag(), flag(), flag()], 1usize..4, any::<bool>(), any::<bool>()).prop_map(
        |((update, report, period, grace), flags, control_planes, joined, json)| Generated {
            update,
            report,
            period,
            grace,
            flags,
            control_planes,
            joined,
            json,
        },
    )
}

impl Generated {
    fn text(&self) -> String {
        let mut levels = [Vec::new(), Vec::new(), Vec::new()];
        for (setting, name) in
            [(self.update, "nodeStatusUpdateFrequency"), (self.report, "nodeStatusReportFrequency")]
        {
            if let Some((level, s)) = setting {
                levels[level].push(format!("kind: KubeletConfiguration\n{name}: {s}s\n"));
            }
        }
        for (setting, name) in
            [(self.period, "node-monitor-period"), (self.grace, "node-monitor-grace-period")]
        {
            if let Some((level, s)) = setting {
                levels[level].push(format!(
                    "kind: ClusterConfiguration\ncontrollerManager:\n  extraArgs:\n    {name}: {s}s\n"
                ));
            }
        }
        for (setting, join) in self.flags {
            let kind = if join { "JoinConfiguration" } else { "InitConfiguration" };
            if let Some((level, s)) = setting {
                levels[level].push(format!(
                    "kind: {kind}\nnodeRegistration:\n  kubeletExtraArgs:\n    node-status-update-frequency: {s}s\n"
                ));
            }
        }
        let patches = |level: usize, indent: usize| {
            let texts = match self.joined {
                true => vec![levels[level].join("---\n")],
                false => levels[level].clone(),
            };
            let pad = " ".repeat(indent);
            let one = |text: &String| {
                text.lines()
                    .fold(format!("{pad}- |\n"), |all, line| format!("{all}{pad}   {line}\n"))
            };
            match texts.concat().is_empty() {
                true => String::new(),
                false => texts
                    .iter()
                    .fold(format!("{pad}kubeadmConfigPatches:\n"), |all, text| all + &one(text)),
            }
        };
        let more = "- role: control-plane\n".repeat(self.control_planes - 1);
        let json = json_patch(
            "v1beta3",
            "ClusterConfiguration",
            "[{op: add, path: /controllerManager/extraArgs/node-monitor-period, value: 1s}]",
        );
        format!(
            "{HEAD}nodes:\n- role: worker\n{}- role: control-plane\n{}{more}{}{}",
            patches(2, 2),
            patches(1, 2),
            patches(0, 0),
            if self.json { json.as_str() } else { "" }
        )
    }

    /// A setting of the documents that only the first control plane reads.
    fn shared(setting: Setting) -> Option<Duration> {
        setting.filter(|(level, _)| *level < 2).and_then(|(_, s)| seconds(s))
    }

    /// The flag of a node: the file's second is the first control plane, its first has patches of
    /// its own.
    fn flag(&self, node: usize) -> Option<Duration> {
        let own = [Some(2), Some(1)].get(node).copied().flatten();
        let of = |level: Option<usize>| {
            let read = self.flags.iter().filter(|(_, join)| *join == (node != 1));
            let here = read.filter_map(|(flag, _)| *flag).filter(|(at, _)| Some(*at) == level);
            here.fold(None, |_, flag| Some(flag)).and_then(|(_, s)| seconds(s))
        };
        of(own).or(of(Some(0)))
    }
}

proptest! {
    #[test]
    fn every_node_gets_what_kind_gives_it(generated in generated()) {
        let text = generated.text();
        let config = reading(&text).config.unwrap();
        let json = if generated.json { seconds(1) } else { None };
        let period = match generated.period {
            Some((1, s)) => seconds(s),
            period => json.or(Generated::shared(period)),
        };
        let file = Tuning {
            node_status_update_frequency: Generated::shared(generated.update),
            node_status_report_frequency: Generated::shared(generated.report),
            node_monitor_period: period,
            node_monitor_grace_period: Generated::shared(generated.grace),
            source: crate::timeline::TuningSource::Config,
            ..Tuning::default()
        }
        .completed(DEFAULT_KUBERNETES);
        for (index, node) in config.nodes.iter().enumerate() {
            let update = generated.flag(index).or(file.node_status_update_frequency);
            let expected = Tuning { node_status_update_frequency: update, ..file };
            prop_assert_eq!(node.tuning, expected, "{} in {}", &node.name, &text);
        }
    }
}

#[test]
fn clusters_that_differ_only_in_settings_are_told_from_others() {
    let head = HEAD.replace("name: a\n", "");
    let nodes = "nodes: [{role: control-plane}, {role: worker}]\n";
    let plain = config(&format!("{head}name: a\n{nodes}"));
    let fast = "kubeadmConfigPatches:\n- '{kind: KubeletConfiguration, nodeStatusUpdateFrequency: 1s}'\n\
        - '{kind: ClusterConfiguration, controllerManager: {extraArgs: {node-monitor-grace-period: 4s}}}'\n";
    let tuned = config(&format!("{head}name: b\n{nodes}{fast}"));
    assert!(plain.differs_only_in_settings(&tuned) && tuned.differs_only_in_settings(&plain));
    let other = Tuning { node_monitor_period: seconds(2), ..Tuning::default() };
    assert!(plain.differs_only_in_settings(&tuned.with_tuning(&other).unwrap()));
    let more = fast.replace("nodeStatusUpdateFrequency: 1s", "maxPods: 50");
    for (different, why) in [
        (format!("{head}{nodes}{more}"), "another field of the kubelet"),
        (format!("{head}nodes: [{{role: control-plane}}]\n"), "fewer nodes"),
        (format!("{head}{nodes}networking: {{kubeProxyMode: ipvs}}\n"), "another kube-proxy"),
    ] {
        assert!(!plain.differs_only_in_settings(&config(&different)), "{why}");
    }
}
