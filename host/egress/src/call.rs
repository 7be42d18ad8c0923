//! A call as its two ends see it: what a guest asks for, what it is part of, and what the guest gets.

use std::time::Duration;

use bytes::Bytes;

/// A request as a guest made it.
#[derive(Clone)]
pub struct OutRequest {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE` or what else the endpoint allows.
    pub method: String,
    /// Path below the endpoint, with query, percent-encoded: `/orders?limit=1`. At most 8 KiB.
    pub path: String,
    /// At most 64 headers with 16 KiB.
    pub headers: Vec<(String, String)>,
    /// At most 4 MiB; empty for none.
    pub body: Bytes,
    /// Time for the whole call, at most 30 s; none for the endpoint's.
    pub timeout: Option<Duration>,
}

/// What a call is part of, for the log.
#[derive(Debug, Clone, Default)]
pub struct CallMeta {
    /// The turn's or API call's id.
    pub request_id: String,
    /// What the connector is doing: `orders.get`.
    pub operation: String,
}

/// An answer as a guest gets it: without cookies and credentials, and with `***` where one was repeated.
#[derive(Clone)]
pub struct InResponse {
    /// HTTP status. Redirects are answers too, and are not followed.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, decompressed, at most 4 MiB.
    pub body: Bytes,
}

impl std::fmt::Debug for OutRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Bodies and queries hold people's data.
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "OutRequest({} {path:?}, {} bytes)", self.method.escape_debug(), self.body.len())
    }
}

impl std::fmt::Debug for InResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InResponse({}, {} headers, {} bytes)", self.status, self.headers.len(), self.body.len())
    }
}
