//! The whole house, seen from outside: a `confab` process, its plugins, its clients, and what can go wrong with each.
//!
//! | module | what it shows |
//! |---|---|
//! | [`shop`] | the example: stock, prices, orders, leads, tickets, two languages |
//! | [`tryton`] | the same bot on a real ERP |
//! | [`conversations`] | a conversation belongs to a bot and a visitor |
//! | [`crashes`] | kill -9 loses nothing that was answered |
//! | [`two_hosts`] | two hosts on one Redis are one server |
//! | [`shutdown`] | a host that is told to stop finishes its turns |
//! | [`refusals`] | bad input: each with its own status and words |
//! | [`apply`] | a folder with mistakes is refused with file and line, and changes nothing |
//! | [`hostile`] | plugins that misbehave cost nobody but their own bot |
//! | [`install`] | what passes the install gate, what does not, and who gets it |
//! | [`capabilities`] | an intent plugin that imports a capability reaches a connector |
//! | [`secrets`] | a credential is never seen again |
//! | [`pages`] | health, readiness, description and documentation |
//! | [`rooms`] | which crate may know which |
//! | [`guests`] | every guest has a test |
#![allow(clippy::indexing_slicing, reason = "JSON gives null for what is not in it, and a test that panics has failed")]

mod apply;
mod capabilities;
mod conversations;
mod crashes;
mod guests;
mod hostile;
mod install;
mod pages;
mod refusals;
mod rooms;
mod secrets;
mod shop;
mod shutdown;
mod tryton;
mod two_hosts;
