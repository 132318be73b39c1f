//! What a client sends.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::{ApiError, protobuf};
use crate::yaml::json;

/// Kubernetes' own limit.
const LARGEST: usize = 3 * 1024 * 1024;

/// All of it. Errors when it is too large or breaks off.
pub(super) async fn collect(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::new(413, "RequestEntityTooLarge", format!("limit is {LARGEST}")))
        }
        Err(error) => Err(ApiError::bad_request(format!("the body could not be read: {error}"))),
    }
}

/// JSON, or YAML or protobuf where the content type says so.
pub(super) fn read(content_type: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    match media {
        "" | "application/json" => {
            serde_json::from_slice(bytes).map_err(|error| not_understood(&error))
        }
        "application/yaml" | "application/apply-patch+yaml" => {
            let text = std::str::from_utf8(bytes).map_err(|error| not_understood(&error))?;
            json::read(text).map_err(|error| not_understood(&error))
        }
        "application/vnd.kubernetes.protobuf" => protobuf::read(bytes),
        other => {
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml; got {other}"
            );
            Err(ApiError::new(415, "UnsupportedMediaType", message))
        }
    }
}

fn not_understood(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("the body of the request is not understood: {error}"))
}
