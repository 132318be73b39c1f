//! Whether the members of a cluster with several control planes still have the addresses by which
//! the others know them: one that has come back with another one is out of etcd for good
//! (kind#1689). Its certificate names the address that it was made with.

use std::net::IpAddr;

use crate::docker::{Container, Docker};
use crate::engine::error::RunError;
use crate::timeline::NodeRole;

/// Prints the certificate by which an etcd member is known, in hexadecimal.
const CERTIFICATE: &str = "set -o pipefail; sed '/-----/d' /etc/kubernetes/pki/etcd/peer.crt | base64 -d | od -An -v -tx1 | tr -d ' \\n'";

/// Refuses a cluster whose member has lost its address. What can't be read is taken for well.
pub(crate) async fn refuse_moved(
    name: &str,
    docker: &Docker,
    containers: &[Container],
) -> Result<(), RunError> {
    let members: Vec<&Container> =
        containers.iter().filter(|c| c.role == NodeRole::ControlPlane).collect();
    if members.len() < 2 {
        return Ok(());
    }
    for member in members {
        let Ok(output) = docker.exec(&member.id, &["bash", "-c", CERTIFICATE], None).await else {
            continue;
        };
        let addresses: Vec<IpAddr> = member.addresses.values().flatten().copied().collect();
        if output.code == 0
            && !addresses.is_empty()
            && !addresses.iter().any(|address| names(&output.text(), *address))
        {
            return Err(moved(name, &member.name, &addresses));
        }
    }
    Ok(())
}

/// Whether a certificate names an address: an IP entry of its subject's other names is a tag, the
/// length, and the bytes.
fn names(certificate: &str, address: IpAddr) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entry = match address {
        IpAddr::V4(v4) => format!("8704{}", hex(&v4.octets())),
        IpAddr::V6(v6) => format!("8710{}", hex(&v6.octets())),
    };
    certificate.contains(&entry)
}

fn moved(name: &str, member: &str, addresses: &[IpAddr]) -> RunError {
    let now = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    RunError::refused(format!("{member} came back with another address ({now}) than the one it was created with in cluster {name}"))
        .caused_by("the other etcd members know it by its old address; a container engine may \
             give another one to a container that starts")
        .hint(format!("run `kind delete cluster --name {name}` to let the next run recreate it (kind#1689)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    fn members(addresses: &[&str]) -> Vec<Container> {
        let member = |(number, address): (usize, &&str)| Container {
            id: "id-c-control-plane".into(),
            name: format!("c-control-plane{number}"),
            cluster: "c".into(),
            role: NodeRole::ControlPlane,
            addresses: [("kind".to_owned(), vec![address.parse().unwrap()])].into(),
            image: String::new(),
            running: true,
        };
        addresses.iter().enumerate().map(member).collect()
    }

    async fn refused(certificate: (i64, &'static str), addresses: &[&str]) -> Option<RunError> {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(move |_, _| (certificate.0, certificate.1.to_owned()))
        });
        refuse_moved("c", &engine.connect().await, &members(addresses)).await.err()
    }

    #[tokio::test]
    async fn a_member_that_has_moved_is_reported() {
        let both = (0, "3082 8704ac120003 8704ac120004 8704 7f000001");
        assert_eq!(refused(both, &["172.18.0.3", "172.18.0.4"]).await, None);
        let error = refused(both, &["172.18.0.3", "172.18.0.5"]).await.unwrap();
        assert_eq!(
            error.message,
            "c-control-plane1 came back with another address (172.18.0.5) than the one it was \
             created with in cluster c"
        );
        assert!(error.hint.unwrap().contains("kind delete cluster --name c"));
        assert_eq!(
            refused(both, &["172.18.0.9"]).await,
            None,
            "an only control plane is mended by kind itself"
        );
        assert_eq!(
            refused((1, ""), &["172.18.0.3", "172.18.0.5"]).await,
            None,
            "no certificate, no verdict"
        );
    }
}
