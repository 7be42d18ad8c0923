//! Tests of the whole: the shop bot and small ones.
mod fit;
