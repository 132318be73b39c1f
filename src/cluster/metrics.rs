//! The writes that API servers and etcd members have counted since they started, in their metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::connect::Cluster;
use super::error::ClusterError;

/// All metrics of an API server are some megabytes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const WRITES: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];
/// They ask, and store nothing.
const ASKING_GROUPS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// Counters of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteCounters {
    /// When it started, as it says: another process counts anew.
    pub started: Option<String>,
    /// By kind of write.
    pub counts: BTreeMap<String, u64>,
}

impl Cluster {
    /// Those of the API server that answers. Errors when its metrics may not be read.
    pub(crate) async fn write_counters(&self) -> Result<WriteCounters, ClusterError> {
        let request = http::Request::get("/metrics").body(Vec::new()).expect("is a path");
        let client = self.client();
        let metrics = client.request_text(request);
        let text =
            self.call_within(ANSWER_TIMEOUT, "read the API server's metrics", metrics).await?;
        Ok(WriteCounters::of_api_server(&text))
    }
}

impl WriteCounters {
    /// Of an API server: what it answered with success and has stored, as `PATCH nodes/status`.
    fn of_api_server(text: &str) -> Self {
        let mut counters = Self { started: started(text), counts: BTreeMap::new() };
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
            let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| label(labels, name);
            let (verb, subresource) = (label("verb"), label("subresource"));
            let stores = WRITES.contains(&verb)
                && label("code").starts_with('2')
                && label("dry_run").is_empty()
                && !ASKING_GROUPS.contains(&label("group"))
                && subresource != "token";
            if let (true, Some(value)) = (stores, number(value)) {
                let slash = if subresource.is_empty() { "" } else { "/" };
                let name = format!("{verb} {}{slash}{subresource}", label("resource"));
                *counters.counts.entry(name).or_default() += value;
            }
        }
        counters
    }

    /// Of an etcd member: each member counts the writes of all.
    pub(crate) fn of_etcd(text: &str) -> Self {
        let count = |name: &str| {
            let line = text.lines().find_map(|line| {
                line.strip_prefix(&format!("etcd_mvcc_{name}_total "))
                    .or_else(|| line.strip_prefix(&format!("etcd_debugging_mvcc_{name}_total ")))
            });
            Some((name.to_owned(), number(line?)?))
        };
        Self {
            started: started(text),
            counts: ["put", "delete"].into_iter().filter_map(count).collect(),
        }
    }
}

fn started(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "))
        .map(str::to_owned)
}

/// The values of these labels have nothing that would be escaped.
fn label<'a>(labels: &'a str, wanted: &str) -> &'a str {
    let mut pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.find(|(name, _)| *name == wanted).map_or("", |(_, value)| value.trim_end_matches('"'))
}

/// Large ones are written as `1.2e+06`.
fn number(text: &str) -> Option<u64> {
    text.trim().parse::<f64>().ok().map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_s_successful_writes_are_counted() {
        let line = |verb: &str,
                    code: u16,
                    resource: &str,
                    subresource: &str,
                    group: &str,
                    n: &str| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",group=\"{group}\",\
                 resource=\"{resource}\",scope=\"resource\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"v1\"}} {n}\n"
            )
        };
        let text = [
            "# TYPE apiserver_request_total counter\nprocess_start_time_seconds 1.79604e+09\n"
                .into(),
            line("PATCH", 200, "nodes", "status", "", "7"),
            line("PATCH", 201, "nodes", "status", "", "1.2e+06"),
            line("PATCH", 409, "nodes", "status", "", "100"),
            line("GET", 200, "nodes", "", "", "100"),
            line("POST", 201, "tokenreviews", "", "authentication.k8s.io", "100"),
            line("POST", 201, "serviceaccounts", "token", "", "100"),
            line("PUT", 200, "leases", "", "coordination.k8s.io", "3"),
            line("PUT", 200, "leases", "", "coordination.k8s.io", "1")
                .replace("dry_run=\"\"", "dry_run=\"All\""),
        ]
        .concat();
        let counters = WriteCounters::of_api_server(&text);
        let expected = [("PATCH nodes/status".to_owned(), 1_200_007), ("PUT leases".to_owned(), 3)];
        assert_eq!(counters.counts, expected.into());
        assert_eq!(counters.started.as_deref(), Some("1.79604e+09"));
    }

    #[test]
    fn an_etcd_member_s_writes_are_counted() {
        let text = "etcd_mvcc_put_total 12\netcd_mvcc_delete_total 3\netcd_mvcc_put_total_x 4\n";
        let expected = [("delete".to_owned(), 3), ("put".to_owned(), 12)];
        assert_eq!(WriteCounters::of_etcd(text).counts, expected.into());
        assert_eq!(WriteCounters::of_etcd("<html>").counts, BTreeMap::new());
    }
}
