//! Refuses what can't be answered soon, at once: a queue of requests would only make all of them late.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

use super::is_health_check;
use crate::reply::Protocol;

/// When it is worth trying again.
const RETRY: Duration = Duration::from_secs(1);

/// Answers a request if there is room for it.
pub(crate) async fn shed(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_room) = room.try_acquire() else {
        if is_health_check(&request) {
            return next.run(request).await;
        }
        let message = "the server is answering as many requests as it can".to_owned();
        return Protocol::of(request.headers()).refuse(errors::Error::Exhausted { message, retry_after: RETRY });
    };
    next.run(request).await
}
