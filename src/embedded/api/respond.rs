//! Answers as they go over the wire.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

/// A body that is complete, or comes piece by piece.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = http::Response<Body>;

pub(super) fn json(code: u16, value: &Value) -> Answer {
    text(code, "application/json", value.to_string())
}

pub(super) fn text(code: u16, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    answer(code, content_type, Full::new(text.into()).boxed_unsync())
}

pub(super) fn answer(code: u16, content_type: &'static str, body: Body) -> Answer {
    let answer =
        http::Response::builder().status(code).header(http::header::CONTENT_TYPE, content_type);
    answer.body(body).expect("codes and content types are ours")
}
