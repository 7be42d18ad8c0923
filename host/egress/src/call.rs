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
    /// Whether that changes nothing in the system, so that its requests may be repeated whatever their method.
    pub reads: bool,
}

/// An answer as a guest gets it: without cookies and credentials, and with `***` where one was repeated.
#[derive(Clone)]
pub struct InResponse {
    /// HTTP status. A redirect that is not followed is an answer too.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, decompressed, at most 4 MiB.
    pub body: Bytes,
    /// What the call was, for records and accounts. Not for the guest.
    pub sent: Sent,
}

/// What a call was on the wire, whether it got an answer or not: for failure records and for the accounts of a tenant.
///
/// Nothing in it is secret, and all of it can be shown: what a guest made up is escaped and cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The endpoint, or `unknown`.
    pub endpoint: String,
    /// Method; escaped and cut where it was refused.
    pub method: String,
    /// Host and port of the endpoint; empty for an unknown one.
    pub host: String,
    /// Path with the endpoint's prefix, without query and credentials; as the guest wrote it, escaped and cut, where
    /// it was refused.
    pub path: String,
    /// Status of the last answer, if one came: also where the answer was then too large or broke off.
    pub status: Option<u16>,
    /// Requests made: 0 where it was refused here, more than 1 with a login, a redirect or a second try.
    pub requests: u32,
    /// Bytes of these requests as they were handed to the socket: request line, headers, bodies. What a connection
    /// that never stood would have taken is not counted.
    pub bytes_out: u64,
    /// Bytes of the answers: headers, and bodies after decompression.
    pub bytes_in: u64,
    /// Times that the guest's request was tried; 0 where it was refused here.
    pub attempts: u32,
    /// Milliseconds that it waited for the connection's rate and places.
    pub waited_ms: u64,
    /// Milliseconds of the whole call.
    pub duration_ms: u64,
    /// By which the system's support finds the request.
    pub provider_request_id: Option<String>,
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
