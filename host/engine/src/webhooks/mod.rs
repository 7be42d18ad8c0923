//! Webhooks: what tenants' systems are told, and how what they tell us is verified.

pub mod standard;
