//! The whole house, seen from outside: a `confab` process, its plugins, its clients, and what can go wrong with each.
//!
//! | module | what it shows |
//! |---|---|
//! | [`shop`] | the example: stock, prices, orders, leads, tickets, two languages |
//! | [`tryton`] | the same bot on a real ERP |
//! | [`connector_salesforce`], [`connector_hubspot`] | CRMs, against servers that check as strictly as the vendors |
//! | [`connector_zendesk`] | tickets in Zendesk, whose rules a server of ours enforces |
//! | [`systems`] | connectors on the real systems that they speak to; `make test-systems` |
//! | [`connector_rest`] | the same bot on an API of one's own, described in YAML |
//! | [`connector_odoo`], [`connector_sap_s4`] | connectors against servers that check as strictly as the vendor does |
//! | [`conversations`] | a conversation belongs to a bot and a visitor |
//! | [`crashes`] | kill -9 loses nothing that was answered |
//! | [`killed`] | what `make chaos` shows, small |
//! | [`durable`] | a request that is sent again is served once; people take over; a turn of the past is run again |
//! | [`deploy`] | what deploy/ says agrees with the program |
//! | [`two_hosts`] | two hosts on one Redis are one server |
//! | [`shutdown`] | a host that is told to stop finishes its turns |
//! | [`refusals`] | bad input: each with its own status and words |
//! | [`apply`] | a folder with mistakes is refused with file and line, and changes nothing |
//! | [`authors`] | mistakes of authors are told when they build, those of operators with what to do |
//! | [`failures`] | what went wrong is kept for its author; what keeps going wrong is left alone |
//! | [`hostile`] | plugins that misbehave cost nobody but their own bot |
//! | [`upgrades`] | a new version comes and goes without a dropped turn, and a bad one goes by itself |
//! | [`hostile_museum`] | every exhibit of the museum is stopped by what the table says |
//! | [`hostile_data`] | plugins that look at the data of others, and answer nonsense |
//! | [`hostile_network`] | plugins after credentials, and requests that go astray |
//! | [`install`] | what passes the install gate, what does not, and who gets it |
//! | [`events`] | what other systems tell is taken in once, told once, and found again when it went wrong |
//! | [`webhooks_in`] | platforms that call are believed only when they prove who they are |
//! | [`cache`] | a result is fetched once for all who ask, is never another's, and says when it is old |
//! | [`capabilities`] | an intent plugin that imports a capability reaches a connector |
//! | [`secrets`], [`guest_memory`] | a credential is never seen again, in no guest's memory either |
//! | [`oauth`] | tokens that a person gave: renewed once for all hosts, encrypted at rest, and asked for again when they are lost |
//! | [`random_turns`] | a bot answers whatever visitors write |
//! | [`pages`] | health, readiness, description and documentation |
//! | [`rooms`] | which crate may know which |
//! | [`webhooks`] | tenants' systems are told what happened: signed, in order, also after days |
//! | [`guests`] | every guest is in the museum |
#![allow(clippy::indexing_slicing, reason = "JSON gives null for what is not in it, and a test that panics has failed")]

mod apply;
mod authors;
mod cache;
mod capabilities;
mod connector_hubspot;
mod connector_odoo;
mod connector_rest;
mod connector_salesforce;
mod connector_sap_s4;
mod connector_zendesk;
mod conversations;
mod crashes;
mod deploy;
mod durable;
mod events;
mod failures;
mod guest_memory;
mod guests;
mod hostile;
mod hostile_data;
mod hostile_museum;
mod hostile_network;
mod install;
mod killed;
mod oauth;
mod pages;
mod random_turns;
mod refusals;
mod rooms;
mod secrets;
mod shop;
mod shutdown;
mod systems;
mod tryton;
mod two_hosts;
mod upgrades;
mod webhooks;
mod webhooks_in;
