//! Values that kind refuses (`pkg/internal/apis/config/validate.go`), and settings of the network
//! that leave a cluster half done.

use std::net::IpAddr;

use super::KindConfig;
use super::problems::Problems;
use super::schema::Type;
use crate::yaml::tree::{Node, Value, quoted};
use crate::yaml::{json, suggest};

/// Reports a value that kind can't decode into a field of this type.
pub(super) fn check_type(problems: &mut Problems, key: &str, value: &Node, kind: Type) {
    if value.is_null() {
        return;
    }
    let mut entries = |one: &str, fits: &dyn Fn(&Node) -> bool| {
        let Value::Map(entries) = &value.value else {
            return problems.mistyped(key, value, &format!("a mapping of names to {one}s"));
        };
        for (name, entry) in entries.iter().filter(|(_, entry)| !entry.is_null() && !fits(entry)) {
            problems.mistyped(name, entry, &format!("a {one}"));
        }
    };
    match kind {
        Type::Text if !is_scalar(value) => problems.mistyped(key, value, "a string"),
        Type::Bool if truth(value).is_none() => {
            problems.mistyped(key, value, "`true` or `false`");
        }
        Type::Int32 if integer(value).is_none() => {
            problems.mistyped(key, value, "a whole number");
        }
        // Patches have a message of their own, which says how one is written.
        Type::Texts if !matches!(value.value, Value::List(_)) && key != "kubeadmConfigPatches" => {
            problems.mistyped(key, value, "a list of strings");
        }
        Type::TextMap => entries("string", &is_scalar),
        Type::BoolMap => entries("boolean", &|entry| truth(entry).is_some()),
        _ => {}
    }
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.value, Value::Scalar { .. })
}

/// As `yaml.v3` decodes a boolean field (its `decode.go`): YAML 1.1's words count there, even in
/// quotes.
pub(super) fn truth(node: &Node) -> Option<bool> {
    let Value::Scalar { text, plain } = &node.value else { return None };
    let is_word = !matches!(text.to_ascii_lowercase().as_str(), "true" | "false");
    json::plain(text).as_bool().filter(|_| *plain || is_word)
}

/// As `yaml.v3` decodes an int32 field: of a float the whole part counts.
pub(super) fn integer(node: &Node) -> Option<i32> {
    let Value::Scalar { text, plain: true } = &node.value else { return None };
    let number = json::plain(text);
    number.as_i64().or_else(|| Some(number.as_f64()? as i64))?.try_into().ok()
}

/// Checks the values of a whole config.
pub(super) fn check(problems: &mut Problems, root: &Node) {
    if let Some(networking) = root.get("networking") {
        network(problems, networking);
    }
    for node in root.get("nodes").map(Node::items).unwrap_or_default() {
        ports(problems, node);
        node.get("extraMounts").map(Node::items).unwrap_or_default().iter().for_each(|mount| {
            mounted(problems, mount);
        });
    }
}

const FAMILIES: &[&str] = &["ipv4", "ipv6", "dual"];
const PROXY_MODES: &[&str] = &["iptables", "ipvs", "nftables", "none"];

fn network(problems: &mut Problems, networking: &Node) {
    let family = one_of(problems, networking, "ipFamily", FAMILIES).unwrap_or("ipv4");
    for name in ["podSubnet", "serviceSubnet"] {
        if let Some(node) =
            networking.get(name).filter(|node| node.text().is_some_and(|text| !text.is_empty()))
        {
            subnet(problems, name, node, family);
        }
    }
    if let Some(node) = networking.get("apiServerPort") {
        port(problems, "apiServerPort", node);
    }
    let proxy = one_of(problems, networking, "kubeProxyMode", PROXY_MODES);
    let without_cni = networking.get("disableDefaultCNI").filter(|node| truth(node) == Some(true));
    if let Some(node) = without_cni {
        let message =
            "no network plugin is installed: nodes do not become Ready until you install one";
        problems.warn(node.focus(), message).hint("leave disableDefaultCNI out, or make the cluster and install the plugin first, then run with --context");
    }
    if proxy == Some("none") {
        let at = networking.find("kubeProxyMode").0.focus();
        problems
            .warn(at, "there is no kube-proxy: no Service answers until something replaces it")
            .hint("leave kubeProxyMode out, or make the cluster and install the replacement first, then run with --context");
    }
}

/// A field with a choice of words; another one is an error.
fn one_of<'n>(
    problems: &mut Problems,
    node: &'n Node,
    name: &str,
    words: &[&str],
) -> Option<&'n str> {
    let field = node.get(name)?;
    let text = field.text().filter(|text| !text.is_empty())?;
    if words.contains(&text) {
        return Some(text);
    }
    let message = format!("{} is not a valid {name}: kind refuses it", quoted(text));
    problems.error(field.focus(), message).hint_if(suggest::hint(text, words, "one of"));
    None
}

fn subnet(problems: &mut Problems, name: &str, node: &Node, family: &str) {
    let text = node.text().unwrap_or_default();
    let subnets: Vec<Option<IpAddr>> = text.split(',').map(network_of).collect();
    let (v4, v6) = (
        subnets.iter().flatten().filter(|address| address.is_ipv4()).count(),
        subnets.iter().flatten().filter(|address| address.is_ipv6()).count(),
    );
    let (why, hint) = match (family, v4, v6) {
        _ if subnets.contains(&None) => {
            ("it must be an address with a prefix length", "such as `10.244.0.0/16`")
        }
        ("dual", 0 | 1, 0 | 1) => return,
        ("dual", ..) => {
            ("at most one subnet per family", "such as `10.244.0.0/16,fd00:10:244::/56`")
        }
        ("ipv6", 0, 1) | ("ipv4", 1, 0) => return,
        ("ipv6", ..) => ("ipFamily ipv6 needs one IPv6 subnet", "such as `fd00:10:244::/56`"),
        _ => (
            "ipFamily ipv4 needs one IPv4 subnet",
            "such as `10.244.0.0/16`, or `ipFamily: dual` for two",
        ),
    };
    problems
        .error(node.focus(), format!("{name} is {}: {why}; kind refuses it", quoted(text)))
        .hint(hint);
}

fn network_of(text: &str) -> Option<IpAddr> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.parse::<u8>().ok().filter(|length| *length <= most).map(|_| address)
}

fn port(problems: &mut Problems, name: &str, node: &Node) -> Option<i32> {
    let number = integer(node)?;
    if !(-1..=65535).contains(&number) {
        let message = format!("{name} is {number}, which is not a port: kind refuses it");
        problems.error(node.focus(), message).hint("0 to 65535; 0 lets kind choose one");
    }
    Some(number)
}

/// A port of the host that a mapping takes.
struct Taken<'n> {
    address: &'n str,
    port: i32,
    protocol: String,
}

impl KindConfig {
    /// Whether it sets a port of this machine: there can be only one such cluster.
    pub(crate) fn has_fixed_ports(&self) -> bool {
        let is_set = |port: &Node| integer(port).is_some_and(|port| port > 0);
        let networking = self.root.get("networking");
        let nodes = self.root.get("nodes").map(Node::items).unwrap_or_default();
        networking.and_then(|of| of.get("apiServerPort")).is_some_and(is_set)
            || nodes
                .iter()
                .flat_map(port_mappings)
                .any(|mapping| mapping.get("hostPort").is_some_and(is_set))
    }
}

fn port_mappings(node: &Node) -> &[Node] {
    node.get("extraPortMappings").map(Node::items).unwrap_or_default()
}

fn ports(problems: &mut Problems, node: &Node) {
    let mut taken: Vec<Taken> = Vec::new();
    for mapping in port_mappings(node) {
        if let Some(port_node) = mapping.get("containerPort") {
            port(problems, "containerPort", port_node);
        }
        if let Some(address) = mapping.get("listenAddress")
            && address
                .text()
                .is_some_and(|text| !text.is_empty() && text.parse::<IpAddr>().is_err())
        {
            let message =
                format!("listenAddress is {}, which is not an IP address", address.described());
            problems.error(address.focus(), message);
        }
        let text = |name| mapping.text_at(name).filter(|text| !text.is_empty());
        let protocol = text("protocol").unwrap_or("TCP").to_uppercase();
        if !["TCP", "UDP", "SCTP"].contains(&protocol.as_str()) {
            let message = format!("{} is not a protocol: kind refuses it", quoted(&protocol));
            problems.error(mapping.find("protocol").0.focus(), message).hint("TCP, UDP or SCTP");
        }
        let Some(host) = mapping.get("hostPort") else { continue };
        let Some(port) = port(problems, "hostPort", host).filter(|port| *port > 0) else {
            continue;
        };
        let address = text("listenAddress").unwrap_or("0.0.0.0");
        let any = |address: &str| matches!(address, "0.0.0.0" | "::");
        let clashes = |other: &Taken| {
            other.port == port
                && other.protocol == protocol
                && (other.address == address || any(other.address) || any(address))
        };
        if taken.iter().any(clashes) {
            let message = format!("hostPort {port}/{protocol} is mapped twice: kind refuses it");
            problems.error(host.focus(), message);
        }
        taken.push(Taken { address, port, protocol });
    }
}

fn mounted(problems: &mut Problems, mount: &Node) {
    for name in ["hostPath", "containerPath"] {
        if !matches!(mount.value, Value::Scalar { .. }) && mount.text_at(name).is_none() {
            problems.error(mount.focus(), format!("the mount has no {name}"));
        }
    }
    let kinds = ["None", "HostToContainer", "Bidirectional"];
    one_of(problems, mount, "propagation", &kinds);
}
