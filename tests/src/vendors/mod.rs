//! Systems of other companies, as strict as they are.
//!
//! | module | what it holds |
//! |---|---|
//! | [`authorization_server`] | OAuth2: codes, refresh tokens that rotate, assertions; and an API behind them |

pub mod authorization_server;
