//! A node's taint: an experiment names it, a fault sets it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    /// Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    pub effect: TaintEffect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl TaintEffect {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, TaintEffect); 3] = [
        ("NoSchedule", TaintEffect::NoSchedule),
        ("PreferNoSchedule", TaintEffect::PreferNoSchedule),
        ("NoExecute", TaintEffect::NoExecute),
    ];

    /// As Kubernetes has it.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

impl Taint {
    /// Says that a node is down and its volumes may be detached: the pods there are deleted without
    /// their kubelet, so that they must not be running.
    const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

    /// Whether it may only be set on a node that is down.
    pub fn is_out_of_service(&self) -> bool {
        self.key == Self::OUT_OF_SERVICE
    }

    /// Whether pods have to leave the node.
    pub fn evicts(&self) -> bool {
        self.effect == TaintEffect::NoExecute
    }
}

/// As `kubectl taint` has it: `KEY=VALUE:EFFECT`.
impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{equals}{}:{}", self.key, self.value, self.effect.name())
    }
}
