//! Putting a file into a container.

use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::UploadToContainerOptions;

use super::client::{Docker, bounded};
use super::error::DockerError;
use crate::node::NodeFile;

/// The bound on an upload, which may be some ten megabytes over a network.
const UPLOAD: Duration = Duration::from_secs(60);

impl Docker {
    /// Writes a file with this `mode`, owned by root, in place of one that is there. The container
    /// may run or not.
    ///
    /// `path` is absolute and its directory exists, on no tmpfs: what is uploaded to one (`/tmp`
    /// and `/run` of kind's nodes) is not seen inside, and the engine does not say so.
    pub(crate) async fn upload_file(
        &self,
        container: &str,
        NodeFile { path, mode, bytes }: NodeFile<'_>,
    ) -> Result<(), DockerError> {
        let what = format!("copy a file to {path} in container {container}");
        let broken =
            |message: String| DockerError::Refused { what: what.clone(), status: 0, message };
        let target = Path::new(path);
        let (Some(directory), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(broken("the path has no file name".into()));
        };
        let archive =
            archive(Path::new(name), mode, &bytes).map_err(|error| broken(error.to_string()))?;
        let options = UploadToContainerOptions {
            path: directory.display().to_string(),
            ..Default::default()
        };
        let body = bollard::body_full(archive.into());
        bounded(&what, UPLOAD, self.bollard.upload_to_container(container, Some(options), body))
            .await
    }
}

fn archive(name: &Path, mode: u32, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::with_capacity(bytes.len() + 2048));
    archive.append_data(&mut header, name, bytes)?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::docker::fake::FakeEngine;

    fn file<'a>(path: &'a str, bytes: &[u8]) -> NodeFile<'a> {
        NodeFile { path, mode: 0o755, bytes: bytes.into() }
    }

    #[tokio::test]
    async fn a_file_arrives_as_an_archive() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        docker.upload_file("c-worker", file("/usr/local/bin/agent", b"\x7fELF")).await.unwrap();
        assert_eq!(
            engine.calls().last().unwrap(),
            "PUT /containers/c-worker/archive?path=%2Fusr%2Flocal%2Fbin"
        );
        let body = engine.with(|state| state.last_body.clone());
        let mut archive = tar::Archive::new(body.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("agent"));
        assert_eq!(entry.header().mode().unwrap(), 0o755);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"\x7fELF");
        assert!(docker.upload_file("c-worker", file("/", b"")).await.is_err());
    }
}
