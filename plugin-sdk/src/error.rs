//! Errors of capability calls: a code that machines act on, and a sentence for people.

use crate::types::Error;

/// What a capability function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The codes of `confab:capabilities/types.error`. More may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There is no such thing, or it is not the asker's.
    NotFound,
    /// The arguments make no sense; the message says which.
    InvalidInput,
    /// Something is missing that proves the record is the asker's.
    ProofRequired,
    /// The system refuses this to the connection's user.
    Forbidden,
    /// Somebody else changed it meanwhile.
    Conflict,
    /// The system asks for patience.
    RateLimited,
    /// The system can't be reached or is down.
    Unavailable,
    /// The system took too long.
    Timeout,
    /// The system can't do this at all.
    Unsupported,
    /// The connection's settings or credentials are wrong.
    Misconfigured,
    /// The connector met something it doesn't understand.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 11] = [
        Code::NotFound,
        Code::InvalidInput,
        Code::ProofRequired,
        Code::Forbidden,
        Code::Conflict,
        Code::RateLimited,
        Code::Unavailable,
        Code::Timeout,
        Code::Unsupported,
        Code::Misconfigured,
        Code::Internal,
    ];

    /// The code as WIT has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::NotFound => "not-found",
            Code::InvalidInput => "invalid-input",
            Code::ProofRequired => "proof-required",
            Code::Forbidden => "forbidden",
            Code::Conflict => "conflict",
            Code::RateLimited => "rate-limited",
            Code::Unavailable => "unavailable",
            Code::Timeout => "timeout",
            Code::Unsupported => "unsupported",
            Code::Misconfigured => "misconfigured",
            Code::Internal => "internal",
        }
    }
}

/// An error with its sentence: `Err(error(Code::NotFound, "no order WEB-42"))`.
pub fn error(code: Code, message: impl Into<String>) -> Error {
    Error { code: code.as_str().to_owned(), message: message.into(), retry_after: None }
}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Self {
        error(Code::Internal, format!("the system's answer has another shape than expected: {e}"))
    }
}

impl From<crate::kv::KvError> for Error {
    fn from(e: crate::kv::KvError) -> Self {
        error(Code::Unavailable, format!("stored data could not be used: {} ({})", e.message, e.code))
    }
}
