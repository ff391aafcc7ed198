//! Streams that end when their connection must: with a status that tells the client to come back, rather than a broken
//! connection. Unary answers are whole by the time they are sent, and pass unchanged.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::Connection;

/// Gives a gRPC answer an end.
pub(crate) async fn ending(State(stopping): State<CancellationToken>, request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().map(|connection| connection.ending.clone());
    let response = next.run(request).await;
    let Some(ending) = connection else { return response };
    response.map(|body| {
        let end = Box::pin(ending.cancelled_owned());
        Body::new(Ending { body, end, stopping, ended: false })
    })
}

struct Ending {
    body: Body,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Tells why it ends: the server stops, or else the connection is too old.
    stopping: CancellationToken,
    ended: bool,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // What is ready goes first: health's last word, a job's final state.
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.end.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        let reason = match self.stopping.is_cancelled() {
            true => "the server is shutting down",
            false => "the connection has reached its greatest age; connect again",
        };
        let mut trailers = HeaderMap::new();
        match Status::unavailable(reason).add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(status) => Poll::Ready(Some(Err(axum::Error::new(status)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{StreamExt, stream};

    use super::*;

    /// What a stream that has said one word says after that, at its end.
    async fn last_words(stopping: bool) -> String {
        let (end, stop) = (CancellationToken::new(), CancellationToken::new());
        let word = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"word"))]);
        let body = Body::from_stream(word.chain(stream::pending()));
        let mut body =
            Ending { body, end: Box::pin(end.clone().cancelled_owned()), stopping: stop.clone(), ended: false };
        end.cancel();
        if stopping {
            stop.cancel();
        }
        let word = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(word.into_data().unwrap(), "word");
        let end = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
        assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_none() && body.is_end_stream());
        let status = Status::from_header_map(end.trailers_ref().unwrap()).unwrap();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        status.message().to_owned()
    }

    #[tokio::test]
    async fn the_reason_is_told() {
        assert_eq!(last_words(true).await, "the server is shutting down");
        assert!(last_words(false).await.contains("greatest age"));
    }
}
