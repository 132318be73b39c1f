//! The file by which kubectl and this program find the API server.

use std::net::SocketAddr;

use super::access::Access;

/// A kubeconfig with one cluster, one user and one context, all called `name`, which is current.
/// The token is in it twice: kubectl takes it from the URL only, other clients from the user.
pub(super) fn kubeconfig(name: &str, address: SocketAddr, access: &Access) -> String {
    let (userinfo, token) = (access.userinfo(), access.token());
    // A name may be anything that YAML takes for something else ("1e3", "null"): quoted as JSON,
    // which YAML reads.
    let name = serde_json::Value::from(name);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\npreferences: {{}}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: http://{userinfo}@{address}\nusers:\n- name: {name}\n  user:\n    token: \"{token}\"\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\n"
    )
}
