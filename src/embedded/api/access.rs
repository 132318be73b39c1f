//! Who may ask: who has the token, and no page in a browser.
//!
//! Any user of the machine, and any web page that one of them opens, can send requests to loopback.
//! The token keeps out the former; that a request names us and no origin keeps out the latter, even
//! where a page's own name was made to lead here.

use std::net::SocketAddr;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};

use super::ApiError;

/// What anybody may ask: the first part of a path.
const OPEN: [&str; 4] = ["healthz", "livez", "readyz", "version"];

/// The credentials of one server, made anew for each.
pub(super) struct Access {
    token: String,
    /// Whom a request may name.
    hosts: [String; 2],
}

impl Access {
    /// Errors where the system has no randomness.
    pub(super) fn new(address: SocketAddr) -> Result<Self, String> {
        let mut bytes = [0; 16];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random
            .fill(&mut bytes)
            .map_err(|_| "the system has no randomness for a token".to_owned())?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { token, hosts: [address.to_string(), format!("localhost:{}", address.port())] })
    }

    /// A kubeconfig with one cluster, one user and one context, all called `name`, which is
    /// current. The token is in it twice: over plain HTTP kubectl sends nothing of a kubeconfig's
    /// user, but the path of the server's URL.
    pub(super) fn kubeconfig(&self, name: &str) -> String {
        let (address, token) = (&self.hosts[0], &self.token);
        // A name may be anything that YAML takes for something else ("1e3", "null"): quoted as
        // JSON, which YAML reads.
        let name = serde_json::Value::from(name);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\npreferences: {{}}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: http://{address}/{token}\nusers:\n- name: {name}\n  user:\n    token: \"{token}\"\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\n"
        )
    }

    /// The path that is asked for, without the token. Errors when the request is not to be
    /// answered.
    pub(super) fn check<'p>(
        &self,
        path: &'p str,
        headers: &HeaderMap,
    ) -> Result<&'p str, ApiError> {
        if headers.contains_key(ORIGIN) {
            return Err(ApiError::new(
                403,
                "Forbidden",
                "requests from web pages are refused: the request has an Origin header",
            ));
        }
        if !only(headers, HOST)
            .is_some_and(|host| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)))
        {
            return Err(ApiError::new(
                403,
                "Forbidden",
                format!("the request is not for {}: its Host header names another", self.hosts[0]),
            ));
        }
        let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(&self.token));
        if let Some(below) = below.filter(|below| below.is_empty() || below.starts_with('/')) {
            return Ok(below);
        }
        let open =
            path.trim_matches('/').split('/').next().is_some_and(|first| OPEN.contains(&first));
        let bearer = only(headers, AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        match open || bearer == Some(&self.token) {
            true => Ok(path),
            false => Err(ApiError::new(401, "Unauthorized", "Unauthorized")),
        }
    }
}

/// A header that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(access: &Access, path: &str, headers: &[(HeaderName, &str)]) -> u16 {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        access.check(path, &headers).map_or_else(|error| error.code, |_| 200)
    }

    #[test]
    fn only_who_has_the_token_and_is_no_web_page_is_answered() {
        let access = Access::new("127.64.0.1:6443".parse().unwrap()).unwrap();
        let bearer = format!("Bearer {}", access.token);
        let host = (HOST, "127.64.0.1:6443");
        for path in
            ["/api", "/apis/apps/v1/deployments", "/", "/versions", "/openapi/v3", "/api/healthz"]
        {
            assert_eq!(asked(&access, path, std::slice::from_ref(&host)), 401, "{path}");
            for accepted in [&bearer] {
                assert_eq!(
                    asked(&access, path, &[host.clone(), (AUTHORIZATION, accepted)]),
                    200,
                    "{path}"
                );
                assert_eq!(
                    asked(&access, path, &[(HOST, "LocalHost:6443"), (AUTHORIZATION, accepted)]),
                    200
                );
                for other in ["evil.example:6443", "127.64.0.1", "127.64.0.1:80", "localhost", ""] {
                    assert_eq!(
                        asked(&access, path, &[(HOST, other), (AUTHORIZATION, accepted)]),
                        403,
                        "{other}"
                    );
                }
                assert_eq!(asked(&access, path, &[(AUTHORIZATION, accepted)]), 403);
                assert_eq!(
                    asked(
                        &access,
                        path,
                        &[host.clone(), (ORIGIN, "null"), (AUTHORIZATION, accepted)]
                    ),
                    403
                );
            }
            assert_eq!(asked(&access, path, &[host.clone(), (AUTHORIZATION, "Bearer ")]), 401);
            let below = format!("/{}{path}", access.token);
            assert_eq!(asked(&access, &below, std::slice::from_ref(&host)), 200, "{path}");
            assert_eq!(asked(&access, &below, &[(HOST, "evil.example")]), 403, "{path}");
            let headers = [(HOST, "127.64.0.1:6443".parse().unwrap())].into_iter().collect();
            assert_eq!(access.check(&below, &headers).unwrap(), path);
            assert_eq!(
                asked(&access, &format!("/{}x{path}", access.token), std::slice::from_ref(&host)),
                401
            );
        }
        for path in ["/healthz", "/livez/", "/readyz/etcd", "/version"] {
            assert_eq!(asked(&access, path, std::slice::from_ref(&host)), 200, "{path}");
            assert_eq!(asked(&access, path, &[(HOST, "evil.example")]), 403, "{path}");
            assert_eq!(
                asked(&access, path, &[host.clone(), (ORIGIN, "http://127.64.0.1:6443")]),
                403,
                "{path}"
            );
        }
        let other = Access::new("127.64.0.1:6443".parse().unwrap()).unwrap();
        assert_ne!(access.token, other.token);
    }
}
