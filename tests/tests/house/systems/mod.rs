//! Connectors on the real systems that they speak to. `make test-systems` runs these; each installs what it needs.

mod request_tracker;
mod shopify;
mod use_cases;
mod vendure;
