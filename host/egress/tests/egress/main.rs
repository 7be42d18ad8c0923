//! Calls through the public API against real servers on loopback, which the policy grants.
//!
//! Each test has a server and connections of its own. Servers hold answers back with signals, never with sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; a panic is how it fails"
)]

mod support;

mod addresses;
// The same server that the tests of the whole house use.
#[path = "../../../../tests/src/vendors/authorization_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test crate uses its part of it")]
mod authorization_server;

mod answers;
mod breaker;
mod config;
mod credentials;
mod hostile_systems;
mod identity;
mod oauth2;
mod proxy;
mod rate;
mod redirects;
mod requests;
mod retries;
mod sessions;
mod signing;
mod smuggling;
mod time;
pub(crate) mod tls;
mod token_store;
