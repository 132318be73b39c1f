//! URLs and addresses of things outside of Kubernetes.

use std::net::Ipv6Addr;

use crate::kind_config::is_dns_label;

/// An `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub tls: bool,
    /// The host: a name or an address, without brackets.
    pub host: String,
    /// The port: the URL's, else 80 or 443.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

/// Reads a URL. Errors: another scheme, no host, a user name, a fragment, a port out of range.
pub(crate) fn url(text: &str) -> Result<Url, &'static str> {
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return Err("only `http://` and `https://` are supported"),
        None => return Err("a URL begins with `http://` or `https://`"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("a user name in a URL is not supported; use `headers` to authenticate");
    }
    let (host, port) = host_and_port(authority)?;
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    path_problem(&path).map_or(Ok(Url { tls, host, port, path }), Err)
}

/// Reads `host:port`.
pub(crate) fn address(text: &str) -> Result<(String, u16), &'static str> {
    if text.contains("://") {
        return Err("an address is `host:port`, without a scheme");
    }
    match host_and_port(text)? {
        (host, Some(port)) => Ok((host, port)),
        (_, None) => Err("an address is `host:port`"),
    }
}

/// What is wrong with an HTTP path and query, if anything.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("a path begins with `/`");
    }
    if path.contains('#') {
        return Some("a fragment (`#…`) is never sent to a server");
    }
    path.contains(|c: char| !c.is_ascii_graphic())
        .then_some("write spaces and non-ASCII characters as `%20` and so on")
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a `[` without `]`")?;
            host.parse::<Ipv6Addr>()
                .map_err(|_| "there is no IPv6 address between the brackets")?;
            (host, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("x") }))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (name(host)?, Some(port)),
            None => (name(text)?, None),
        },
    };
    let port = port.map(|port| {
        port.parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("a port is a number from 1 to 65535")
    });
    Ok((host.to_owned(), port.transpose()?))
}

fn name(host: &str) -> Result<&str, &'static str> {
    let valid = |name: &str| name.split('.').all(|label| is_dns_label(&label.to_ascii_lowercase()));
    match host {
        "" => Err("there is no host"),
        host if host.len() <= 253 && valid(host.strip_suffix('.').unwrap_or(host)) => Ok(host),
        _ => {
            Err("the host is neither a DNS name nor an address (write an IPv6 address in brackets)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tls: bool, host: &str, port: u16, path: &str) -> Result<Url, &'static str> {
        Ok(Url { tls, host: host.into(), port, path: path.into() })
    }

    #[test]
    fn a_url_has_scheme_host_port_and_path() {
        assert_eq!(url("http://example.com"), of(false, "example.com", 80, "/"));
        assert_eq!(url("https://10.0.0.1/healthz?a=b"), of(true, "10.0.0.1", 443, "/healthz?a=b"));
        assert_eq!(url("http://[::1]:8080?x"), of(false, "::1", 8080, "/?x"));
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        for text in [
            "",
            "example.com",
            "ftp://x",
            "http://",
            "http://a b/",
            "http://u:p@x/",
            "http://x:0/",
            "http://x:99999/",
            "http://x/#a",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        for text in ["http://[::1", "http://[zz]/", "http://[::1]80/", "http://x/a b"] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(address("db.example.com:5432"), Ok(("db.example.com".into(), 5432)));
        assert_eq!(address("[fe80::1]:22"), Ok(("fe80::1".into(), 22)));
        assert!(
            address("localhost").is_err()
                && address("tcp://x:1").is_err()
                && address("::1:22").is_err()
        );
    }
}
