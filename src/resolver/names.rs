//! What a system knows of resolving names: `resolv.conf` and `hosts`, as glibc reads them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// glibc asks no more servers than this.
const MAX_SERVERS: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameService {
    /// Servers, asked in this order.
    pub servers: Vec<SocketAddr>,
    /// Domains that are tried behind a short name.
    pub search: Vec<String>,
    /// Names with fewer dots are tried with the search domains first.
    pub ndots: usize,
    /// How long one server may take.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: u32,
    hosts: HashMap<String, IpAddr>,
}

impl NameService {
    /// Reads the texts of `/etc/resolv.conf` and `/etc/hosts`. What is not understood is passed
    /// over, as glibc does.
    pub fn parse(resolv_conf: &str, hosts: &str) -> Self {
        let mut service = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            hosts: parse_hosts(hosts),
        };
        for line in resolv_conf.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => service.servers.extend(words.next().and_then(server)),
                Some("search") => {
                    service.search =
                        words.map(|domain| domain.trim_end_matches('.').to_owned()).collect()
                }
                Some("domain") => {
                    service.search = words
                        .take(1)
                        .map(|domain| domain.trim_end_matches('.').to_owned())
                        .collect()
                }
                Some("options") => words.for_each(|option| service.option(option)),
                _ => {}
            }
        }
        service.search.retain(|domain| !domain.is_empty());
        service.servers.truncate(MAX_SERVERS);
        if service.servers.is_empty() {
            service.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        service
    }

    /// How this process resolves names.
    pub(crate) fn of_system() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/resolv.conf"), &text("/etc/hosts"))
    }

    /// One server, and nothing else that is known.
    pub fn of_server(server: SocketAddr) -> Self {
        Self { servers: vec![server], ..Self::parse("", "") }
    }

    /// An address that needs no server: of a literal, or from `hosts`.
    pub fn known(&self, name: &str) -> Option<IpAddr> {
        name.parse()
            .ok()
            .or_else(|| self.hosts.get(&name.trim_end_matches('.').to_ascii_lowercase()).copied())
    }

    /// The full names to ask for, in order.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<String> =
            self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.matches('.').count();
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, name.to_owned());
        names
    }

    fn option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }
}

fn server(address: &str) -> Option<SocketAddr> {
    let address = address.split('%').next()?;
    Some(SocketAddr::new(address.parse().ok()?, 53))
}

fn parse_hosts(text: &str) -> HashMap<String, IpAddr> {
    let mut hosts = HashMap::from([("localhost".to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST))]);
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        for name in words {
            // IPv4 goes first, as everywhere in this prober; otherwise the first line wins.
            let entry = hosts.entry(name.to_ascii_lowercase()).or_insert(address);
            if entry.is_ipv6() && address.is_ipv4() {
                *entry = address;
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn a_pod_tries_its_search_domains_first() {
        let service = NameService::parse(POD, "");
        assert_eq!(service.servers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(
            service.candidates("web"),
            ["web.ns.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"]
        );
        assert_eq!(
            service.candidates("web.ns.svc.cluster.local").last().unwrap(),
            "web.ns.svc.cluster.local"
        );
        assert_eq!(service.candidates("web.ns.svc.cluster.local."), ["web.ns.svc.cluster.local"]);
    }

    #[test]
    fn names_with_enough_dots_are_tried_as_they_are_first() {
        let service = NameService::parse("search a.b\n", "");
        assert_eq!(service.candidates("x.y"), ["x.y", "x.y.a.b"]);
        assert_eq!(service.candidates("x"), ["x.a.b", "x"]);
    }

    #[test]
    fn odd_files_are_read_as_glibc_does() {
        let text = "# c\n;c\nnameserver fe80::1%eth0\nnameserver nonsense\nsearch .\noptions ndots:99 timeout:0 rotate attempts:x\n";
        let service = NameService::parse(text, "");
        assert_eq!(service.servers, ["[fe80::1]:53".parse().unwrap()]);
        assert_eq!((service.ndots, service.timeout.as_secs(), service.attempts), (15, 1, 2));
        assert!(service.search.is_empty());
        assert_eq!(NameService::parse("", "").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn hosts_and_literals_need_no_server() {
        let service =
            NameService::parse("", "::1 localhost dual\n10.0.0.7 dual Web.x # web\nbad line\n");
        assert_eq!(service.known("10.1.2.3"), Some("10.1.2.3".parse().unwrap()));
        assert_eq!(service.known("web.x."), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(service.known("dual"), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(service.known("localhost"), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(service.known("web"), None);
    }
}
