//! How a kubeconfig's user is identified in each request. A client certificate is a part of the
//! connection (access.rs). kube's own way brings a regex engine along, for providers that kubectl no
//! longer has.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Request, header};
use kube::client::Body;
use kube::config::{AuthInfo, AuthProviderConfig};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tower::BoxError;

use super::exec_plugin::{ExecPlugin, bearer};
use crate::timeline::bounded;

/// A token's file is read again after so long: a token that is mounted is replaced in time.
const RELOAD: Duration = Duration::from_secs(50);

#[derive(Clone)]
pub(super) enum Authorization {
    /// By a certificate, or not at all.
    None,
    Header(HeaderValue),
    TokenFile(Arc<TokenFile>),
    Plugin(Arc<ExecPlugin>),
}

pub(super) struct TokenFile {
    path: String,
    held: Mutex<Held>,
}

struct Held {
    header: HeaderValue,
    read_at: Instant,
}

impl Authorization {
    /// Errors with what is wrong with the user's entry.
    pub(super) fn of(user: &AuthInfo) -> Result<Self, String> {
        let invalid = |_| "its user's token is not valid in a request".to_owned();
        if let Some(provider) = &user.auth_provider {
            return bearer(id_token(provider)?).map(Self::Header).map_err(invalid);
        }
        if let Some((name, password)) = user.username.as_ref().zip(user.password.as_ref()) {
            let both = format!("{name}:{}", password.expose_secret());
            let mut header =
                HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(both)))
                    .expect("base64 is valid in a header");
            header.set_sensitive(true);
            return Ok(Self::Header(header));
        }
        if let Some(token) = &user.token {
            return bearer(token.expose_secret()).map(Self::Header).map_err(invalid);
        }
        if let Some(path) = &user.token_file {
            let held = Mutex::new(Held { header: read(path)?, read_at: Instant::now() });
            return Ok(Self::TokenFile(Arc::new(TokenFile { path: path.clone(), held })));
        }
        Ok(ExecPlugin::of(user).map_or(Self::None, Self::Plugin))
    }

    /// What identifies the user now, where it is not a plugin that says it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Header(header) => Some(header.clone()),
            Self::TokenFile(file) => Some(file.header()),
            Self::None | Self::Plugin(_) => None,
        }
    }

    /// Puts it into a request.
    pub(super) async fn identify(
        self,
        mut request: Request<Body>,
    ) -> Result<Request<Body>, BoxError> {
        if let Self::Plugin(plugin) = self {
            return plugin.authorize(request).await;
        }
        if let Some(header) = self.header() {
            request.headers_mut().insert(header::AUTHORIZATION, header);
        }
        Ok(request)
    }
}

impl TokenFile {
    /// The last token that could be read: the file may be removed on purpose.
    fn header(&self) -> HeaderValue {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.read_at.elapsed() >= RELOAD {
            held.read_at = Instant::now();
            if let Ok(header) = read(&self.path) {
                held.header = header;
            }
        }
        held.header.clone()
    }
}

fn read(path: &str) -> Result<HeaderValue, String> {
    let token = bounded::read_text(Path::new(path))
        .map_err(|error| format!("the token file {path} cannot be read: {error}"))?;
    bearer(token.trim()).map_err(|_| format!("the token file {path} has no valid token"))
}

/// The token of a legacy provider, as it is in the file: nothing renews it.
fn id_token(provider: &AuthProviderConfig) -> Result<&str, String> {
    let name = &provider.name;
    match name.as_str() {
        "oidc" => provider
            .config
            .get("id-token")
            .map(String::as_str)
            .ok_or_else(|| "its user's auth provider oidc has no `id-token`".into()),
        _ => Err(format!(
            "its user's auth provider {name} is not supported: use a credential plugin (`exec`), \
             as with kubectl"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: serde_json::Value) -> AuthInfo {
        serde_json::from_value(json).unwrap()
    }

    async fn sent(authorization: &Authorization) -> Option<String> {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let request = authorization.clone().identify(request).await.unwrap();
        Some(request.headers().get(header::AUTHORIZATION)?.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn each_kind_of_credential_has_its_header() {
        for (json, header) in [
            (serde_json::json!({}), None),
            (serde_json::json!({"token": "t"}), Some("Bearer t")),
            (serde_json::json!({"username": "me", "password": "p"}), Some("Basic bWU6cA==")),
            (
                serde_json::json!({"auth-provider": {"name": "oidc", "config": {"id-token": "i"}}}),
                Some("Bearer i"),
            ),
        ] {
            let authorization =
                Authorization::of(&user(json)).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(sent(&authorization).await.as_deref(), header);
        }
        let gcp = user(serde_json::json!({"auth-provider": {"name": "gcp", "config": {}}}));
        let why = Authorization::of(&gcp).err().unwrap();
        assert!(why.contains("auth provider gcp is not supported"), "{why}");
        assert!(Authorization::of(&user(serde_json::json!({"token": "a\nb"}))).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let user = user(serde_json::json!({"tokenFile": file.path()}));
        let authorization = Authorization::of(&user).unwrap_or_else(|why| panic!("{why}"));
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(sent(&authorization).await.as_deref(), Some("Bearer one"));
        tokio::time::advance(RELOAD).await;
        assert_eq!(sent(&authorization).await.as_deref(), Some("Bearer two"));
        file.close().unwrap();
        tokio::time::advance(RELOAD).await;
        assert_eq!(sent(&authorization).await.as_deref(), Some("Bearer two"), "the last one");
    }
}
