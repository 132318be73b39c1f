//! The fields that kind, kubeadm and the kubelet know: kind 0.30
//! (`pkg/apis/config/v1alpha4/types.go`), Kubernetes 1.34 (`cmd/kubeadm/app/apis/kubeadm`,
//! `kubelet/config/v1beta1/types.go`).

/// A mapping whose keys are known.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, for people.
    pub what: &'static str,
    pub fields: &'static [&'static str],
    /// The types of fields, where they are checked.
    pub types: &'static [(&'static str, Type)],
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Text,
    Bool,
    Int32,
    Texts,
    TextMap,
    BoolMap,
    /// A mapping of this shape.
    One(&'static Shape),
    /// A list of such mappings.
    Many(&'static Shape),
}

impl Shape {
    /// Those of its fields that are mappings, or lists of mappings, with fields of their own.
    pub(super) fn within(&self) -> impl Iterator<Item = (&'static str, &'static Shape)> {
        self.types.iter().filter_map(|(name, kind)| match kind {
            Type::One(shape) | Type::Many(shape) => Some((*name, *shape)),
            _ => None,
        })
    }
}

use Type::{Bool, BoolMap, Int32, Many, One, Text, TextMap, Texts};

/// A kind config. kind refuses unknown fields.
pub(super) static CLUSTER: Shape = Shape {
    what: "a kind config",
    fields: &[
        "kind",
        "apiVersion",
        "name",
        "nodes",
        "networking",
        "featureGates",
        "runtimeConfig",
        "kubeadmConfigPatches",
        "kubeadmConfigPatchesJSON6902",
        "containerdConfigPatches",
        "containerdConfigPatchesJSON6902",
    ],
    types: &[
        ("name", Text),
        ("nodes", Many(&NODE)),
        ("networking", One(&NETWORKING)),
        ("featureGates", BoolMap),
        ("runtimeConfig", TextMap),
        ("kubeadmConfigPatches", Texts),
        ("kubeadmConfigPatchesJSON6902", Many(&JSON_PATCH)),
        ("containerdConfigPatches", Texts),
        ("containerdConfigPatchesJSON6902", Texts),
    ],
};

static NODE: Shape = Shape {
    what: "a node",
    fields: &[
        "role",
        "image",
        "labels",
        "extraMounts",
        "extraPortMappings",
        "kubeadmConfigPatches",
        "kubeadmConfigPatchesJSON6902",
    ],
    types: &[
        ("role", Text),
        ("image", Text),
        ("labels", TextMap),
        ("extraMounts", Many(&MOUNT)),
        ("extraPortMappings", Many(&PORT_MAPPING)),
        ("kubeadmConfigPatches", Texts),
        ("kubeadmConfigPatchesJSON6902", Many(&JSON_PATCH)),
    ],
};

static NETWORKING: Shape = Shape {
    what: "networking",
    fields: &[
        "ipFamily",
        "apiServerPort",
        "apiServerAddress",
        "podSubnet",
        "serviceSubnet",
        "disableDefaultCNI",
        "kubeProxyMode",
        "dnsSearch",
    ],
    types: &[
        ("ipFamily", Text),
        ("apiServerPort", Int32),
        ("apiServerAddress", Text),
        ("podSubnet", Text),
        ("serviceSubnet", Text),
        ("disableDefaultCNI", Bool),
        ("kubeProxyMode", Text),
        ("dnsSearch", Texts),
    ],
};

static JSON_PATCH: Shape = Shape {
    what: "a JSON patch",
    fields: &["group", "version", "kind", "patch"],
    types: &[("group", Text), ("version", Text), ("kind", Text), ("patch", Text)],
};

static MOUNT: Shape = Shape {
    what: "a mount",
    fields: &["containerPath", "hostPath", "readOnly", "selinuxRelabel", "propagation"],
    types: &[
        ("containerPath", Text),
        ("hostPath", Text),
        ("readOnly", Bool),
        ("selinuxRelabel", Bool),
        ("propagation", Text),
    ],
};

static PORT_MAPPING: Shape = Shape {
    what: "a port mapping",
    fields: &["containerPort", "hostPort", "listenAddress", "protocol"],
    types: &[
        ("containerPort", Int32),
        ("hostPort", Int32),
        ("listenAddress", Text),
        ("protocol", Text),
    ],
};

/// The group of kubeadm's own documents.
pub(super) const KUBEADM: &str = "kubeadm.k8s.io";

/// A document of kubeadm's configuration, which a patch is applied to.
#[derive(Debug)]
pub(super) struct Document {
    pub kind: &'static str,
    /// Its `apiVersion` without kubeadm's version, which depends on Kubernetes' version.
    pub group: &'static str,
    pub shape: &'static Shape,
}

/// The documents that kind writes, and so patches (`pkg/cluster/internal/kubeadm/config.go`).
pub(super) static DOCUMENTS: &[Document] = &[
    Document { kind: "ClusterConfiguration", group: KUBEADM, shape: &CLUSTER_CONFIGURATION },
    Document { kind: "InitConfiguration", group: KUBEADM, shape: &INIT_CONFIGURATION },
    Document { kind: "JoinConfiguration", group: KUBEADM, shape: &JOIN_CONFIGURATION },
    Document {
        kind: "KubeletConfiguration",
        group: "kubelet.config.k8s.io/v1beta1",
        shape: &KUBELET_CONFIGURATION,
    },
    Document {
        kind: "KubeProxyConfiguration",
        group: "kubeproxy.config.k8s.io/v1alpha1",
        shape: &KUBE_PROXY_CONFIGURATION,
    },
];

static CLUSTER_CONFIGURATION: Shape = Shape {
    what: "a ClusterConfiguration",
    fields: &[
        "kind",
        "apiVersion",
        "metadata",
        "etcd",
        "networking",
        "kubernetesVersion",
        "controlPlaneEndpoint",
        "apiServer",
        "controllerManager",
        "scheduler",
        "dns",
        "proxy",
        "certificatesDir",
        "imageRepository",
        "featureGates",
        "clusterName",
        "encryptionAlgorithm",
        "certificateValidityPeriod",
        "caCertificateValidityPeriod",
    ],
    types: &[
        ("apiServer", One(&API_SERVER)),
        ("controllerManager", One(&COMPONENT)),
        ("scheduler", One(&COMPONENT)),
    ],
};

static API_SERVER: Shape = Shape {
    what: "apiServer",
    fields: &["extraArgs", "extraVolumes", "extraEnvs", "certSANs", "timeoutForControlPlane"],
    types: &[],
};

static COMPONENT: Shape = Shape {
    what: "a component of the control plane",
    fields: &["extraArgs", "extraVolumes", "extraEnvs"],
    types: &[],
};

static INIT_CONFIGURATION: Shape = Shape {
    what: "an InitConfiguration",
    fields: &[
        "kind",
        "apiVersion",
        "metadata",
        "bootstrapTokens",
        "dryRun",
        "nodeRegistration",
        "localAPIEndpoint",
        "certificateKey",
        "skipPhases",
        "patches",
        "timeouts",
    ],
    types: &[("nodeRegistration", One(&NODE_REGISTRATION))],
};

static JOIN_CONFIGURATION: Shape = Shape {
    what: "a JoinConfiguration",
    fields: &[
        "kind",
        "apiVersion",
        "metadata",
        "dryRun",
        "nodeRegistration",
        "caCertPath",
        "discovery",
        "controlPlane",
        "skipPhases",
        "patches",
        "timeouts",
    ],
    types: &[("nodeRegistration", One(&NODE_REGISTRATION))],
};

static NODE_REGISTRATION: Shape = Shape {
    what: "nodeRegistration",
    fields: &[
        "name",
        "criSocket",
        "taints",
        "kubeletExtraArgs",
        "ignorePreflightErrors",
        "imagePullPolicy",
        "imagePullSerial",
    ],
    types: &[],
};

#[rustfmt::skip]
static KUBELET_CONFIGURATION: Shape = Shape {
    what: "a KubeletConfiguration",
    fields: &[
        "kind", "apiVersion", "metadata", "enableServer", "staticPodPath", "podLogsDir", "syncFrequency", "fileCheckFrequency",
        "httpCheckFrequency", "staticPodURL", "staticPodURLHeader", "address", "port", "readOnlyPort", "tlsCertFile",
        "tlsPrivateKeyFile", "tlsCipherSuites", "tlsMinVersion", "rotateCertificates", "serverTLSBootstrap", "authentication",
        "authorization", "registryPullQPS", "registryBurst", "imagePullCredentialsVerificationPolicy",
        "preloadedImagesVerificationAllowlist", "eventRecordQPS", "eventBurst", "enableDebuggingHandlers",
        "enableContentionProfiling", "healthzPort", "healthzBindAddress", "oomScoreAdj", "clusterDomain", "clusterDNS",
        "streamingConnectionIdleTimeout", "nodeStatusUpdateFrequency", "nodeStatusReportFrequency", "nodeLeaseDurationSeconds",
        "imageMinimumGCAge", "imageMaximumGCAge", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent",
        "volumeStatsAggPeriod", "kubeletCgroups", "systemCgroups", "cgroupRoot", "cgroupsPerQOS", "cgroupDriver",
        "cpuManagerPolicy", "singleProcessOOMKill", "cpuManagerPolicyOptions", "cpuManagerReconcilePeriod", "memoryManagerPolicy",
        "topologyManagerPolicy", "topologyManagerScope", "topologyManagerPolicyOptions", "qosReserved", "runtimeRequestTimeout",
        "hairpinMode", "maxPods", "podCIDR", "podPidsLimit", "resolvConf", "runOnce", "cpuCFSQuota", "cpuCFSQuotaPeriod",
        "nodeStatusMaxImages", "maxOpenFiles", "contentType", "kubeAPIQPS", "kubeAPIBurst", "serializeImagePulls",
        "maxParallelImagePulls", "evictionHard", "evictionSoft", "evictionSoftGracePeriod", "evictionPressureTransitionPeriod",
        "evictionMaxPodGracePeriod", "evictionMinimumReclaim", "mergeDefaultEvictionSettings", "podsPerCore",
        "enableControllerAttachDetach", "protectKernelDefaults", "makeIPTablesUtilChains", "iptablesMasqueradeBit",
        "iptablesDropBit", "featureGates", "failSwapOn", "memorySwap", "containerLogMaxSize", "containerLogMaxFiles",
        "containerLogMaxWorkers", "containerLogMonitorInterval", "configMapAndSecretChangeDetectionStrategy", "systemReserved",
        "kubeReserved", "reservedSystemCPUs", "showHiddenMetricsForVersion", "systemReservedCgroup", "kubeReservedCgroup",
        "enforceNodeAllocatable", "allowedUnsafeSysctls", "volumePluginDir", "providerID", "kernelMemcgNotification", "logging",
        "enableSystemLogHandler", "enableSystemLogQuery", "shutdownGracePeriod", "shutdownGracePeriodCriticalPods",
        "shutdownGracePeriodByPodPriority", "crashLoopBackOff", "reservedMemory", "enableProfilingHandler",
        "enableDebugFlagsHandler", "seccompDefault", "memoryThrottlingFactor", "registerWithTaints", "registerNode", "tracing",
        "localStorageCapacityIsolation", "containerRuntimeEndpoint", "imageServiceEndpoint", "failCgroupV1", "userNamespaces",
    ],
    types: &[],
};

#[rustfmt::skip]
static KUBE_PROXY_CONFIGURATION: Shape = Shape {
    what: "a KubeProxyConfiguration",
    fields: &[
        "kind", "apiVersion", "metadata", "featureGates", "clientConnection", "logging", "hostnameOverride", "bindAddress",
        "healthzBindAddress", "metricsBindAddress", "bindAddressHardFail", "enableProfiling", "showHiddenMetricsForVersion",
        "mode", "iptables", "ipvs", "nftables", "winkernel", "detectLocalMode", "detectLocal", "clusterCIDR", "nodePortAddresses",
        "oomScoreAdj", "conntrack", "configSyncPeriod", "portRange", "windowsRunAsService",
    ],
    types: &[],
};
