//! What probes of the control plane and of DNS ask.

use super::fields::{Cx, Fields};
use super::scalar::{choice, dns_label, flag, sentence};
use crate::experiment::schema::Ask;
use crate::experiment::tree::{Node, quoted};
use crate::experiment::{ApiServer, ApiVerb, DnsName};

const VERBS: [(&str, ApiVerb); 3] =
    [("read", ApiVerb::Read), ("readCached", ApiVerb::ReadCached), ("write", ApiVerb::Write)];
/// No name in DNS is longer.
const LONGEST: usize = 253;

/// A question to the API server.
pub(crate) fn api(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields =
        Fields::of_or(cx, node, "an api question", |text| format!("api: {{verb: {text}}}"))?;
    let verb = fields.required("verb", |cx, node| choice(cx, node, "verb", &VERBS));
    let server = fields.or("server", ApiServer::Balancer, server);
    fields.finish();
    Some(Ask::Api { verb: verb?, server: server? })
}

fn server(cx: &Cx, node: &Node) -> Option<ApiServer> {
    let each = choice(cx, node, "API server", &[("balancer", false), ("each", true)])?;
    Some(if each { ApiServer::Each } else { ApiServer::Balancer })
}

/// A question to DNS.
pub(crate) fn dns(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields =
        Fields::of_or(cx, node, "a dns question", |text| format!("dns: {{service: {text}}}"))?;
    let name = fields.one_of(&[("service", service), ("name", full)]);
    let cached = fields.or("cached", false, flag);
    fields.finish();
    Some(Ask::Dns { name: name?, cached: cached? })
}

fn service(cx: &Cx, node: &Node) -> Option<DnsName> {
    dns_label(cx, node).map(DnsName::Service)
}

/// A name in full. A label may hold more than a host's name may (`_http._tcp.web`).
fn full(cx: &Cx, node: &Node) -> Option<DnsName> {
    let text = sentence(cx, node)?;
    let name = text.strip_suffix('.').unwrap_or(&text);
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if name.len() <= LONGEST && name.split('.').all(fine) {
        return Some(DnsName::Full(name.to_ascii_lowercase()));
    }
    cx.error_hint(
        node.focus(),
        format!("{} is no name that DNS could know", quoted(&text)),
        "a name in full is such as `kubernetes.default.svc.cluster.local`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::super::probe::probe;
    use super::*;
    use crate::experiment::schema::From;

    #[test]
    fn the_api_servers_are_asked_from_here() {
        let (found, problems) = decoded("{name: a, api: {verb: readCached, server: each}}", probe);
        assert_eq!(problems, "");
        let found = found.unwrap();
        assert_eq!(
            (found.ask, found.from),
            (Ask::Api { verb: ApiVerb::ReadCached, server: ApiServer::Each }, From::Host)
        );
        let (found, _) = decoded("{name: a, api: {verb: write}, from: host}", probe);
        assert_eq!(
            found.unwrap().ask,
            Ask::Api { verb: ApiVerb::Write, server: ApiServer::Balancer }
        );
        let (_, problems) =
            decoded("{name: a, api: {verb: read}, from: {node: {role: worker}}}", probe);
        assert!(
            problems
                .contains("asks from this machine: its credentials stay here (leave `from` out"),
            "{problems}"
        );
    }

    #[test]
    fn names_are_of_services_or_in_full() {
        let ask = |yaml: &str| decoded(&format!("{{name: a, dns: {yaml}}}"), probe).0.unwrap().ask;
        assert_eq!(
            ask("{service: web}"),
            Ask::Dns { name: DnsName::Service("web".into()), cached: false }
        );
        let name = DnsName::Full("_http._tcp.web.local".into());
        assert_eq!(
            ask("{name: _http._tcp.Web.local., cached: true}"),
            Ask::Dns { name, cached: true }
        );
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |yaml: &str| decoded(&format!("{{name: a, {yaml}}}"), probe).1;
        assert!(wrong("api: {verb: list}").contains("list"), "{}", wrong("api: {verb: list}"));
        assert!(
            wrong("api: read").contains("(write `api: {verb: read}`)"),
            "{}",
            wrong("api: read")
        );
        assert!(
            wrong("dns: web").contains("(write `dns: {service: web}`)"),
            "{}",
            wrong("dns: web")
        );
        assert!(wrong("api: {}").contains("an api question needs `verb`"));
        assert!(
            wrong("api: {verb: read, server: all}").contains("`each`"),
            "{}",
            wrong("api: {verb: read, server: all}")
        );
        assert!(wrong("dns: {name: \"a b\"}").contains("is no name that DNS could know"));
        assert!(wrong("dns: {service: a, name: b}").contains("a dns question takes only one of"));
        assert!(
            wrong("dns: {cached: true}")
                .contains("a dns question needs one of `service` and `name`")
        );
    }
}
