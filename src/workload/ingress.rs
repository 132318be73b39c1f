//! The rules of an Ingress, and which of them a request is for.

use serde::Deserialize;

use super::object::Object;

/// A path of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// `*.example.com` is any name below; `None`: any host.
    pub host: Option<String>,
    pub path: String,
    /// Whether longer paths do not match.
    pub exact: bool,
    /// In the namespace of the Ingress.
    pub service: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngressSpec {
    default_backend: Option<IngressBackend>,
    #[serde(default)]
    rules: Vec<IngressRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct IngressRule {
    host: Option<String>,
    http: Option<IngressPaths>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct IngressPaths {
    #[serde(default)]
    paths: Vec<IngressPath>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IngressPath {
    path: Option<String>,
    #[serde(default)]
    path_type: String,
    #[serde(default)]
    backend: IngressBackend,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct IngressBackend {
    service: Option<IngressService>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct IngressService {
    name: String,
}

impl IngressSpec {
    /// Those of a file. `None`: it is not as Kubernetes has it.
    pub(super) fn of(object: &Object) -> Option<Self> {
        Self::deserialize(&object.json()["spec"]).ok()
    }

    /// Its rules that lead to a Service; its default is the last.
    pub(crate) fn routes(self) -> Vec<Route> {
        let route = |host: Option<&String>, path: IngressPath| {
            let exact = path.path_type == "Exact";
            let own = path.path.as_deref().unwrap_or("/");
            Some(Route {
                host: host.filter(|host| !host.is_empty()).cloned(),
                path: if exact { own } else { literal(own) }.to_owned(),
                exact,
                service: path.backend.service?.name,
            })
        };
        let rules = self.rules.into_iter().flat_map(|rule| {
            let paths = rule.http.unwrap_or_default().paths;
            paths.into_iter().filter_map(move |path| route(rule.host.as_ref(), path))
        });
        let default = self
            .default_backend
            .and_then(|backend| route(None, IngressPath { backend, ..IngressPath::default() }));
        rules.chain(default).collect()
    }
}

/// What stands before a controller's own pattern: `/api` of `/api(/|$)(.*)`, `/` of `/*`.
fn literal(path: &str) -> &str {
    let end = path.find(['*', '?', '(', '[', '\\', '^', '$']).unwrap_or(path.len());
    let kept = if end < path.len() { path[..end].trim_end_matches('.') } else { path };
    if kept.is_empty() { "/" } else { kept }
}

/// Why no rule of an Ingress is meant, or more than one.
pub(crate) struct Unclear {
    /// After "the Ingress has".
    pub what: String,
    pub hint: String,
}

impl Route {
    /// The route of a host and a path, each if it is named; of several the one that an Ingress controller
    /// chooses: of the very host, then of the longest path, then of an exact one.
    pub(crate) fn chosen<'r>(
        routes: &'r [Self],
        host: Option<&str>,
        path: &str,
    ) -> Result<&'r Self, Unclear> {
        let fits = |route: &&Route| {
            host.is_none_or(|host| route.is_of(host)) && (path.is_empty() || route.matches(path))
        };
        let mut fitting: Vec<&Route> = routes.iter().filter(fits).collect();
        // A rule of this very host goes before a wildcard's, and that before one of any host.
        if host.is_some() {
            keep_highest(&mut fitting, |route| {
                (route.host.as_deref() == host, route.host.is_some())
            });
        }
        if !path.is_empty() {
            keep_highest(&mut fitting, |route| (route.path.len(), route.exact));
        }
        let listed = |of: &dyn Fn(&Route) -> String, among: &[&Route]| {
            let mut all: Vec<String> = among.iter().map(|route| of(route)).collect();
            all.sort();
            all.dedup();
            all
        };
        let name = |route: &Route| route.host.clone().unwrap_or_else(|| "*".into());
        let (hosts, paths) =
            (listed(&name, &fitting), listed(&|route| route.path.clone(), &fitting));
        let is_pattern =
            |route: &&Route| route.host.as_deref().is_some_and(|it| it.starts_with('*'));
        match fitting[..] {
            [] => {
                let all: Vec<&Route> = routes.iter().collect();
                let rules = listed(&|route| format!("{}{}", name(route), route.path), &all);
                let what = format!("no rule for {}{path}", host.unwrap_or_default());
                Err(Unclear { what, hint: format!("its rules: {}", rules.join(", ")) })
            }
            [route] if host.is_some() || !is_pattern(&route) => Ok(route),
            _ if host.is_none() && (hosts.len() > 1 || fitting.iter().any(is_pattern)) => {
                let hint = format!("set `host`; its rules have: {}", hosts.join(", "));
                Err(Unclear { what: "rules for several hosts".into(), hint })
            }
            _ if paths.len() > 1 => {
                let hint = format!("set `path`; its rules have: {}", paths.join(", "));
                Err(Unclear { what: "rules for several paths".into(), hint })
            }
            [route, ..] => Ok(route),
        }
    }

    fn is_of(&self, host: &str) -> bool {
        match self.host.as_deref().map(|own| (own, own.strip_prefix('*'))) {
            None => true,
            // Instead of one label.
            Some((_, Some(suffix))) => host
                .strip_suffix(suffix)
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Some((own, None)) => own == host,
        }
    }

    fn matches(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let prefix = self.path.trim_end_matches('/');
        match self.exact {
            true => path == self.path,
            false => path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

fn keep_highest<R: Ord>(routes: &mut Vec<&Route>, rank: impl Fn(&Route) -> R) {
    let highest = routes.iter().map(|route| rank(route)).max();
    routes.retain(|route| Some(rank(route)) == highest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_what_stands_before_its_pattern() {
        assert_eq!(
            ["/api(/|$)(.*)", "/*", "/shop/.*", "/v1.2", ""].map(literal),
            ["/api", "/", "/shop/", "/v1.2", "/"]
        );
    }

    fn route(host: &str, path: &str, service: &str) -> Route {
        let host = (!host.is_empty()).then(|| host.to_owned());
        Route { host, path: path.into(), exact: false, service: service.into() }
    }

    fn service(routes: &[Route], host: Option<&str>, path: &str) -> Result<String, String> {
        let chosen = Route::chosen(routes, host, path);
        chosen.map(|it| it.service.clone()).map_err(|why| format!("{} ({})", why.what, why.hint))
    }

    #[test]
    fn the_only_rule_needs_neither_host_nor_path() {
        assert_eq!(service(&[route("a.test", "/shop", "web")], None, ""), Ok("web".into()));
        assert_eq!(service(&[route("", "/", "web")], Some("b.test"), "/x"), Ok("web".into()));
    }

    #[test]
    fn of_several_rules_one_must_be_named() {
        let routes = [
            route("a.test", "/", "web"),
            route("a.test", "/cart", "cart"),
            route("b.test", "/", "b"),
        ];
        let hosts = service(&routes, None, "/").unwrap_err();
        assert_eq!(hosts, "rules for several hosts (set `host`; its rules have: a.test, b.test)");
        let paths = service(&routes, Some("a.test"), "").unwrap_err();
        assert_eq!(paths, "rules for several paths (set `path`; its rules have: /, /cart)");
        assert_eq!(service(&routes, Some("a.test"), "/cart/1?x=/"), Ok("cart".into()));
        assert_eq!(service(&routes, Some("a.test"), "/cartoon"), Ok("web".into()));
        assert_eq!(service(&routes, None, "/cart"), Ok("cart".into()), "only one host has it");
        let none = service(&routes, Some("c.test"), "/").unwrap_err();
        assert_eq!(none, "no rule for c.test/ (its rules: a.test/, a.test/cart, b.test/)");
    }

    #[test]
    fn a_wildcard_needs_a_host() {
        let routes = [route("*.a.test", "/", "web"), route("", "/", "any")];
        assert_eq!(service(&routes, Some("x.a.test"), "/"), Ok("web".into()));
        assert_eq!(service(&routes, Some("x.y.a.test"), "/"), Ok("any".into()));
        assert!(service(&routes[..1], None, "").unwrap_err().contains("set `host`"));
    }

    #[test]
    fn the_closest_rule_is_chosen() {
        let hosts = [route("*.a.test", "/", "wild"), route("x.a.test", "/", "own")];
        assert_eq!(service(&hosts, Some("x.a.test"), "/"), Ok("own".into()));
        assert_eq!(service(&hosts, Some("y.a.test"), "/"), Ok("wild".into()));
        let exact = Route { exact: true, ..route("", "/cart", "exact") };
        let paths = [route("", "/cart", "prefix"), exact];
        assert_eq!(service(&paths, None, "/cart"), Ok("exact".into()));
        assert_eq!(service(&paths, None, "/cart/1"), Ok("prefix".into()));
    }
}
