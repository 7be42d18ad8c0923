//! The contract at the sandbox's border: guests of some lines of text against services that a test gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

mod effects;
mod guest;
mod seeded;
mod webhook;
