//! What the tests of the whole house are made of: real processes, real clients, folders on disk.
//!
//! | module | what it holds |
//! |---|---|
//! | [`place`] | where the binary, the plugins and the examples are, and what to run when they aren't |
//! | [`folder`] | a tenant's folder, written for one test |
//! | [`server`] | the `confab` binary: serve, kill -9, stop, and every other command |
//! | [`client`] | a client of the HTTP API, with conversations and what must be true of every refusal |
//! | [`connection`] | the functions of a connection, called by name |
//! | [`component`] | components made of others, for the install gate |
//! | [`metric`] | figures out of `/metrics` |
//! | [`receiver`] | a receiver of webhooks that verifies with the official library, and a clock to move |
//! | [`redis`] | a real redis-server |
//! | [`tryton`] | a real Tryton |
//! | [`systems`] | other real systems, for `make test-systems` |
//! | [`use_cases`] | the five things that visitors want, said to the example bot |
//! | [`vendors`] | servers that check requests as strictly as the vendors whose systems can not be installed |
//! | [`erp`] | a business system that is slow or hostile on demand |
//! | [`versions`] | versions of plugins made out of built ones, and load that notices a lost turn |
//! | [`endpoint`] | an endpoint that keeps every byte it got, echoes, drips, redirects, hangs up |
//! | [`memory`] | the memory of every guest of a running server |
//! | [`museum`] | the hostile guests: what each tries, and what stops it |
//! | [`chaos`] | hosts that are killed under load, and what must be true of it all afterwards |
//! | [`wait`] | waiting for something with a deadline, never for a time |
//!
//! The tests are in `tests/house`, named by behaviour; the programs that run in the sandbox are in `guests` and `guests-wat`. Nothing here
//! links the host: a test knows what a user knows.
#![forbid(unsafe_code)]
#![allow(clippy::indexing_slicing, reason = "only JSON is indexed here, and what is not in it is null")]

pub mod chaos;
pub mod client;
pub mod component;
pub mod connection;
pub mod endpoint;
pub mod erp;
pub mod folder;
pub mod memory;
pub mod metric;
pub mod museum;
pub mod place;
pub mod receiver;
pub mod redis;
pub mod server;
pub mod systems;
pub mod tryton;
pub mod use_cases;
pub mod vendors;
pub mod versions;
pub mod wait;
