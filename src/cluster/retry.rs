//! Retries what may be answered in a moment.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::ClusterError;

pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Asks until it is answered, or the error is not one that passes, or for too long.
pub(super) async fn retry_until<T, F: Future<Output = Result<T, ClusterError>>>(
    until: Instant,
    passes: impl Fn(&ClusterError) -> bool,
    ask: impl Fn() -> F,
) -> Result<T, ClusterError> {
    loop {
        match ask().await {
            Err(error) if passes(&error) && Instant::now() < until => sleep(RETRY).await,
            answer => return answer,
        }
    }
}
