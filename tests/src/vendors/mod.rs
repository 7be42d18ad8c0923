//! Business systems that can't be installed here: servers that check each request as strictly as the vendor does, keep
//! what was created, and answer in the vendor's own shapes. None answers 200 to what the vendor would refuse.
//!
//! | module | what it holds |
//! |---|---|
//! | [`authorization_server`] | OAuth2: codes, refresh tokens that rotate, assertions; and an API behind them |

pub mod authorization_server;
