//! The fields that kind, kubeadm and the kubelet know: kind 0.30
//! (`pkg/apis/config/v1alpha4/types.go`), Kubernetes 1.34 (`cmd/kubeadm/app/apis/kubeadm`,
//! `kubelet/config/v1beta1/types.go`).

/// A mapping whose keys are known.
#[derive(Debug)]
pub(super) struct Shape {
    pub what: &'static str,
    /// The fields whose types are checked.
    typed: &'static [(&'static str, Type)],
    untyped: &'static [&'static str],
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
    One(&'static Shape),
    /// A list of such mappings.
    Many(&'static Shape),
}

impl Shape {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.typed.iter().map(|(name, _)| *name).chain(self.untyped.iter().copied())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The type of a field, where it is checked.
    pub(super) fn type_of(&self, name: &str) -> Option<Type> {
        self.typed.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Those of its fields that are mappings, or lists of mappings, with fields of their own.
    pub(super) fn within(&self) -> impl Iterator<Item = (&'static str, &'static Shape)> {
        self.typed.iter().filter_map(|(name, kind)| match kind {
            Type::One(shape) | Type::Many(shape) => Some((*name, *shape)),
            _ => None,
        })
    }
}

use Type::{Bool, BoolMap, Int32, Many, One, Text, TextMap, Texts};

/// A kind config. kind refuses unknown fields.
pub(super) static CLUSTER: Shape = Shape {
    what: "a kind config",
    typed: &[
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
    untyped: &["kind", "apiVersion"],
};

static NODE: Shape = Shape {
    what: "a node",
    typed: &[
        ("role", Text),
        ("image", Text),
        ("labels", TextMap),
        ("extraMounts", Many(&MOUNT)),
        ("extraPortMappings", Many(&PORT_MAPPING)),
        ("kubeadmConfigPatches", Texts),
        ("kubeadmConfigPatchesJSON6902", Many(&JSON_PATCH)),
    ],
    untyped: &[],
};

static NETWORKING: Shape = Shape {
    what: "networking",
    typed: &[
        ("ipFamily", Text),
        ("apiServerPort", Int32),
        ("apiServerAddress", Text),
        ("podSubnet", Text),
        ("serviceSubnet", Text),
        ("disableDefaultCNI", Bool),
        ("kubeProxyMode", Text),
        ("dnsSearch", Texts),
    ],
    untyped: &[],
};

static JSON_PATCH: Shape = Shape {
    what: "a JSON patch",
    typed: &[("group", Text), ("version", Text), ("kind", Text), ("patch", Text)],
    untyped: &[],
};

static MOUNT: Shape = Shape {
    what: "a mount",
    typed: &[
        ("containerPath", Text),
        ("hostPath", Text),
        ("readOnly", Bool),
        ("selinuxRelabel", Bool),
        ("propagation", Text),
    ],
    untyped: &[],
};

static PORT_MAPPING: Shape = Shape {
    what: "a port mapping",
    typed: &[
        ("containerPort", Int32),
        ("hostPort", Int32),
        ("listenAddress", Text),
        ("protocol", Text),
    ],
    untyped: &[],
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

#[rustfmt::skip]
static CLUSTER_CONFIGURATION: Shape = Shape {
    what: "a ClusterConfiguration",
    typed: &[
        ("apiServer", One(&API_SERVER)),
        ("controllerManager", One(&COMPONENT)),
        ("scheduler", One(&COMPONENT)),
    ],
    untyped: &[
        "kind", "apiVersion", "metadata", "etcd", "networking", "kubernetesVersion",
        "controlPlaneEndpoint", "dns", "proxy", "certificatesDir", "imageRepository",
        "featureGates", "clusterName", "encryptionAlgorithm", "certificateValidityPeriod",
        "caCertificateValidityPeriod",
    ],
};

static API_SERVER: Shape = Shape {
    what: "apiServer",
    typed: &[],
    untyped: &["extraArgs", "extraVolumes", "extraEnvs", "certSANs", "timeoutForControlPlane"],
};

static COMPONENT: Shape = Shape {
    what: "a component of the control plane",
    typed: &[],
    untyped: &["extraArgs", "extraVolumes", "extraEnvs"],
};

#[rustfmt::skip]
static INIT_CONFIGURATION: Shape = Shape {
    what: "an InitConfiguration",
    typed: &[
        ("nodeRegistration", One(&NODE_REGISTRATION)),
    ],
    untyped: &[
        "kind", "apiVersion", "metadata", "bootstrapTokens", "dryRun", "localAPIEndpoint",
        "certificateKey", "skipPhases", "patches", "timeouts",
    ],
};

#[rustfmt::skip]
static JOIN_CONFIGURATION: Shape = Shape {
    what: "a JoinConfiguration",
    typed: &[
        ("nodeRegistration", One(&NODE_REGISTRATION)),
    ],
    untyped: &[
        "kind", "apiVersion", "metadata", "dryRun", "caCertPath", "discovery", "controlPlane",
        "skipPhases", "patches", "timeouts",
    ],
};

#[rustfmt::skip]
static NODE_REGISTRATION: Shape = Shape {
    what: "nodeRegistration",
    typed: &[],
    untyped: &[
        "name", "criSocket", "taints", "kubeletExtraArgs", "ignorePreflightErrors",
        "imagePullPolicy", "imagePullSerial",
    ],
};

#[rustfmt::skip]
static KUBELET_CONFIGURATION: Shape = Shape {
    what: "a KubeletConfiguration",
    typed: &[],
    untyped: &[
        "kind", "apiVersion", "metadata", "enableServer", "staticPodPath", "podLogsDir",
        "syncFrequency", "fileCheckFrequency", "httpCheckFrequency", "staticPodURL",
        "staticPodURLHeader", "address", "port", "readOnlyPort", "tlsCertFile",
        "tlsPrivateKeyFile", "tlsCipherSuites", "tlsMinVersion", "rotateCertificates",
        "serverTLSBootstrap", "authentication", "authorization", "registryPullQPS",
        "registryBurst", "imagePullCredentialsVerificationPolicy",
        "preloadedImagesVerificationAllowlist", "eventRecordQPS", "eventBurst",
        "enableDebuggingHandlers", "enableContentionProfiling", "healthzPort",
        "healthzBindAddress", "oomScoreAdj", "clusterDomain", "clusterDNS",
        "streamingConnectionIdleTimeout", "nodeStatusUpdateFrequency",
        "nodeStatusReportFrequency", "nodeLeaseDurationSeconds", "imageMinimumGCAge",
        "imageMaximumGCAge", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent",
        "volumeStatsAggPeriod", "kubeletCgroups", "systemCgroups", "cgroupRoot", "cgroupsPerQOS",
        "cgroupDriver", "cpuManagerPolicy", "singleProcessOOMKill", "cpuManagerPolicyOptions",
        "cpuManagerReconcilePeriod", "memoryManagerPolicy", "topologyManagerPolicy",
        "topologyManagerScope", "topologyManagerPolicyOptions", "qosReserved",
        "runtimeRequestTimeout", "hairpinMode", "maxPods", "podCIDR", "podPidsLimit",
        "resolvConf", "runOnce", "cpuCFSQuota", "cpuCFSQuotaPeriod", "nodeStatusMaxImages",
        "maxOpenFiles", "contentType", "kubeAPIQPS", "kubeAPIBurst", "serializeImagePulls",
        "maxParallelImagePulls", "evictionHard", "evictionSoft", "evictionSoftGracePeriod",
        "evictionPressureTransitionPeriod", "evictionMaxPodGracePeriod", "evictionMinimumReclaim",
        "mergeDefaultEvictionSettings", "podsPerCore", "enableControllerAttachDetach",
        "protectKernelDefaults", "makeIPTablesUtilChains", "iptablesMasqueradeBit",
        "iptablesDropBit", "featureGates", "failSwapOn", "memorySwap", "containerLogMaxSize",
        "containerLogMaxFiles", "containerLogMaxWorkers", "containerLogMonitorInterval",
        "configMapAndSecretChangeDetectionStrategy", "systemReserved", "kubeReserved",
        "reservedSystemCPUs", "showHiddenMetricsForVersion", "systemReservedCgroup",
        "kubeReservedCgroup", "enforceNodeAllocatable", "allowedUnsafeSysctls", "volumePluginDir",
        "providerID", "kernelMemcgNotification", "logging", "enableSystemLogHandler",
        "enableSystemLogQuery", "shutdownGracePeriod", "shutdownGracePeriodCriticalPods",
        "shutdownGracePeriodByPodPriority", "crashLoopBackOff", "reservedMemory",
        "enableProfilingHandler", "enableDebugFlagsHandler", "seccompDefault",
        "memoryThrottlingFactor", "registerWithTaints", "registerNode", "tracing",
        "localStorageCapacityIsolation", "containerRuntimeEndpoint", "imageServiceEndpoint",
        "failCgroupV1", "userNamespaces",
    ],
};

#[rustfmt::skip]
static KUBE_PROXY_CONFIGURATION: Shape = Shape {
    what: "a KubeProxyConfiguration",
    typed: &[],
    untyped: &[
        "kind", "apiVersion", "metadata", "featureGates", "clientConnection", "logging",
        "hostnameOverride", "bindAddress", "healthzBindAddress", "metricsBindAddress",
        "bindAddressHardFail", "enableProfiling", "showHiddenMetricsForVersion", "mode",
        "iptables", "ipvs", "nftables", "winkernel", "detectLocalMode", "detectLocal",
        "clusterCIDR", "nodePortAddresses", "oomScoreAdj", "conntrack", "configSyncPeriod",
        "portRange", "windowsRunAsService",
    ],
};
