//! An engine's API: HTTP/1.1 over its socket, a connection for each call, JSON as it comes.
//!
//! Not bollard: its types refuse an answer with a word that they do not know, such as Podman's state
//! `stopped`; it resolves names with the C library; and it takes up a large part of the binary.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryFutureExt, stream};
use http::request::Builder;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::error::CallError;
use crate::resolver::{NameService, resolve};

/// The port of `tcp://host`, as the docker CLI has it.
const PORT: u16 = 2375;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Api {
    /// `unix:///path` or `tcp://host:port`.
    address: Arc<str>,
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A text as part of a query.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Api {
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.into() }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        value(&self.bytes(path).await?)
    }

    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes, CallError> {
        whole(self.send(Request::get(path), Bytes::new()).await?).await
    }

    /// `content` may be null, and so is an answer without content.
    pub(super) async fn post(&self, path: &str, content: Value) -> Result<Value, CallError> {
        value(&whole(self.send_json(Request::post(path), content).await?).await?)
    }

    pub(super) async fn put_archive(&self, path: &str, tar: Vec<u8>) -> Result<(), CallError> {
        let request = Request::put(path).header(header::CONTENT_TYPE, "application/x-tar");
        whole(self.send(request, tar.into()).await?).await.map(drop)
    }

    /// An answer that goes on: a value per line.
    pub(super) fn lines(
        &self,
        path: String,
    ) -> impl Stream<Item = Result<Value, CallError>> + Send + use<> {
        let api = self.clone();
        let open = async move {
            let answer = api.send(Request::get(path), Bytes::new()).await?;
            Ok(stream::try_unfold(
                (answer.into_body(), Vec::new()),
                |(mut body, mut read)| async move {
                    Ok(line(&mut body, &mut read).await?.map(|it| (it, (body, read))))
                },
            ))
        };
        open.try_flatten_stream()
    }

    /// Begins what becomes a plain connection to a process.
    pub(super) async fn attach(
        &self,
        path: &str,
        content: Value,
    ) -> Result<TokioIo<Upgraded>, CallError> {
        let request = Request::post(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp");
        let answer = self.send_json(request, content).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(CallError::Unreadable("the process has no connection of its own".into()));
        }
        Ok(TokioIo::new(hyper::upgrade::on(answer).await?))
    }

    async fn send_json(
        &self,
        request: Builder,
        content: Value,
    ) -> Result<Response<Incoming>, CallError> {
        if content.is_null() {
            return self.send(request, Bytes::new()).await;
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.send(request, content.to_string().into()).await
    }

    /// Errors where the engine refuses, with its words.
    async fn send(
        &self,
        request: Builder,
        content: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let request = request.header(header::HOST, "localhost").body(Full::new(content));
        let request = request.map_err(io::Error::other)?;
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection.with_upgrades());
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let fine = [StatusCode::NOT_MODIFIED, StatusCode::SWITCHING_PROTOCOLS].contains(&status);
        if fine || status.is_success() {
            return Ok(answer);
        }
        let content = whole(answer).await?;
        let json = value(&content).unwrap_or_default();
        let message = match json["message"].as_str() {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(&content).into_owned(),
        };
        Err(CallError::Refused { status: status.as_u16(), message })
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, CallError> {
        if let Some(path) = self.address.strip_prefix("unix://") {
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        let uri: Uri = self.address.parse().map_err(io::Error::other)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(PORT);
        let found = resolve(&NameService::of_system(), host).await?.into_iter();
        let addresses: Vec<_> = found.map(|address| SocketAddr::new(address, port)).collect();
        let stream = TcpStream::connect(&addresses[..]).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, CallError> {
    Ok(answer.into_body().collect().await?.to_bytes())
}

fn value(content: &[u8]) -> Result<Value, CallError> {
    if content.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(content)?)
}

/// The next line that is not empty; `read` keeps what came of those after it.
async fn line(body: &mut Incoming, read: &mut Vec<u8>) -> Result<Option<Value>, CallError> {
    loop {
        while let Some(end) = read.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = read.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                return Ok(Some(serde_json::from_slice(&line)?));
            }
        }
        let Some(frame) = body.frame().await.transpose()? else { return Ok(None) };
        read.extend(frame.into_data().unwrap_or_default());
    }
}
