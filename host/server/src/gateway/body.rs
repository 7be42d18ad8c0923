//! What is left of a body after a refusal.
//!
//! A request may be refused before its body was read: too large, no key, another content type. Closing the connection then
//! resets it under the client's hands, and the refusal is never seen. So the rest is read and thrown away, within limits.

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes that are thrown away, and longest time for it. Whoever sends more loses the connection.
const REST_BYTES: usize = 32 << 20;
/// See [`REST_BYTES`].
const REST_TIME: Duration = Duration::from_secs(5);

/// The half that the handler reads.
struct Reading(Arc<Mutex<Body>>);

/// The half that stays with the middleware.
pub(super) struct Rest(Arc<Mutex<Body>>);

/// Splits a body.
pub(super) fn share(body: Body) -> (Body, Rest) {
    let shared = Arc::new(Mutex::new(body));
    (Body::new(Reading(shared.clone())), Rest(shared))
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.0.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}

impl Rest {
    /// Reads what is left and throws it away.
    pub(super) async fn discard(self) {
        let mut left = REST_BYTES;
        let all = async {
            while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut *self.0.lock()).poll_frame(cx)).await {
                let size = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(size) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // Running out of time is the same as running out of bytes.
        let _ = tokio::time::timeout(REST_TIME, all).await;
    }
}
