//! Which part of the API a request is for.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;

use super::respond::{Answer, json};
use super::server::Served;
use super::{ApiError, discovery};

/// Answers a request.
pub(super) async fn answer(served: Arc<Served>, request: http::Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/version" => json(200, &discovery::version(&served.version)),
        _ => {
            let error = ApiError::no_such_path();
            json(error.code, &error.status())
        }
    })
}
