//! Orders of customers. See `wit/v1/capabilities/orders.wit`.

pub use crate::bindings::orders::*;

use crate::error::{Code, error};

/// `not-found` for an order that doesn't exist, and in the same words for one that isn't the asker's.
pub fn no_order() -> Error {
    error(
        Code::NotFound,
        "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer",
    )
}
