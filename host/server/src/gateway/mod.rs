//! The gateway: who is it, may it, is it well formed.
//!
//! | module | what it answers |
//! |---|---|
//! | [`keys`] | API keys: made, kept hashed, looked up |
//! | [`caller`] | who asks, from a request |
//! | [`rate`] | whether the caller may ask now |
//! | [`input`] | bodies: type, size, form, place of the mistake |
//! | [`idempotency`], [`once`] | whether it was served before |
//! | [`problem`] | every refusal, as RFC 9457 document |
//! | [`body`] | what is left of a body after a refusal |
//! | [`request`] | request ids, one log line a request, panics |

mod body;
pub(crate) mod caller;
pub(crate) mod idempotency;
pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod once;
pub(crate) mod problem;
pub(crate) mod rate;
pub(crate) mod request;

pub(crate) use caller::Caller;
pub(crate) use problem::Problem;
