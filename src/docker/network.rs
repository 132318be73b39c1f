//! A network's addresses: which one the engine will give to the next container that starts.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bollard::models::NetworkInspect;

use super::client::{ASK, Docker, bounded};
use super::error::DockerError;

impl Docker {
    /// The lowest free address of a network that is lower than this one: a container of this
    /// address that stops and starts is given that instead. `None`: it is given its own again.
    pub(crate) async fn free_below(
        &self,
        network: &str,
        address: Ipv4Addr,
    ) -> Result<Option<Ipv4Addr>, DockerError> {
        let what = format!("inspect network {network}");
        let found = bounded(&what, ASK, self.bollard.inspect_network(network, None)).await?;
        Ok(lowest_free(&found, address))
    }
}

fn lowest_free(network: &NetworkInspect, below: Ipv4Addr) -> Option<Ipv4Addr> {
    let configs = || network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let containers = network.containers.iter().flat_map(|all| all.values());
    let plain =
        |text: &str| text.split('/').next().and_then(|address| address.parse::<Ipv4Addr>().ok());
    let gateways = configs().filter_map(|config| plain(config.gateway.as_deref()?));
    let used: BTreeSet<u32> = containers
        .filter_map(|end| plain(end.ipv4_address.as_deref()?))
        .chain(gateways)
        .map(u32::from)
        .collect();
    let first = configs()
        .filter_map(|config| plain(config.ip_range.as_deref().or(config.subnet.as_deref())?))
        .map(u32::from);
    // The first address is the network's own name.
    let first = first.filter(|first| *first < u32::from(below)).max()? + 1;
    (first..u32::from(below)).find(|address| !used.contains(address)).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_below_is_found() {
        let network = |addresses: &[&str]| {
            let container = |address: &&str| {
                (address.to_string(), json!({"IPv4Address": format!("{address}/16")}))
            };
            let containers: serde_json::Map<String, serde_json::Value> =
                addresses.iter().map(container).collect();
            let config = json!([{"Subnet": "fc00::/64", "Gateway": "fc00::1"}, {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]);
            serde_json::from_value(
                json!({"Name": "kind", "IPAM": {"Config": config}, "Containers": containers}),
            )
            .unwrap()
        };
        let free = |addresses: &[&str], below: &str| {
            lowest_free(&network(addresses), below.parse().unwrap()).map(|a| a.to_string())
        };
        assert_eq!(free(&["172.18.0.2", "172.18.0.3", "172.18.0.4"], "172.18.0.4"), None);
        assert_eq!(
            free(&["172.18.0.2", "172.18.0.4"], "172.18.0.4").as_deref(),
            Some("172.18.0.3")
        );
        assert_eq!(free(&["172.18.0.10"], "172.18.0.10").as_deref(), Some("172.18.0.2"));
        assert_eq!(free(&[], "172.18.0.2"), None);
    }
}
