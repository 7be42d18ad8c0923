//! Business systems that can't be installed here: servers that check each request as strictly as the vendor does, keep
//! what was created, and answer in the vendor's own shapes. None answers 200 to what the vendor would refuse.

pub mod authorization_server;
pub mod hubspot;
pub mod inhouse;
pub mod odoo;
pub mod salesforce;
pub mod sap_s4;
pub mod zendesk;
