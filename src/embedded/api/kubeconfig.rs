//! The file by which kubectl and this program find the API server.

use std::net::SocketAddr;

/// A kubeconfig with one cluster, one user without credentials and one context, all called `name`, which is current.
pub(super) fn kubeconfig(name: &str, address: SocketAddr) -> String {
    // A name may be anything that YAML takes for something else ("1e3", "null"): quoted as JSON, which YAML reads.
    let name = serde_json::Value::from(name);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\npreferences: {{}}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: http://{address}\nusers:\n- name: {name}\n  user: {{}}\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\n"
    )
}
