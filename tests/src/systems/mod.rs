//! Real business systems, installed once into a cache (`tests/systems/NAME`), started by the tests on free ports and
//! stopped by them. Tests that need them are ignored by `make test` and run by `make test-systems`.
