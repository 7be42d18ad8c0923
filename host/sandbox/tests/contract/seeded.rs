//! A call that is run again sees the same chance and the same time through WASI.

use crate::guest::{intent, load, sandbox, turn};
use confab_sandbox::{HostServices, Plugin};

const WASI: [&str; 3] = [
    "package wasi:random@0.2.0; interface random { get-random-bytes: func(len: u64) -> list<u8>; } \
     interface insecure { get-insecure-random-bytes: func(len: u64) -> list<u8>; } \
     interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }",
    "package wasi:clocks@0.2.0; interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; } \
     interface monotonic-clock { type instant = u64; now: func() -> instant; }",
    "package test:guest; world guest { include confab:plugin/intent@1.0.0; import wasi:random/random@0.2.0; \
     import wasi:random/insecure@0.2.0; import wasi:random/insecure-seed@0.2.0; \
     import wasi:clocks/wall-clock@0.2.0; import wasi:clocks/monotonic-clock@0.2.0; }",
];

const IMPORTS: &str = r#"
    (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
    (import "wasi:random/insecure@0.2.0" "get-insecure-random-bytes" (func $insecure (param i64 i32)))
    (import "wasi:random/insecure-seed@0.2.0" "insecure-seed" (func $seed (param i32)))
    (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
"#;

/// Everything of WASI that differs from one run to the next, as 144 bytes of state.
const LOOK: &str = r#"
    (call $random (i64.const 40) (i32.const 1008))
    (memory.copy (i32.const 1024) (i32.load (i32.const 1008)) (i32.const 40))
    (call $insecure (i64.const 40) (i32.const 1008))
    (memory.copy (i32.const 1064) (i32.load (i32.const 1008)) (i32.const 40))
    (call $seed (i32.const 1104))
    (call $wall (i32.const 1120))
    (i64.store (i32.const 1136) (call $monotonic))
    (call $wall (i32.const 1144))
    (i64.store (i32.const 1160) (call $monotonic))
    (i32.store (i32.const 76) (i32.const 1024))
    (i32.store (i32.const 80) (i32.const 144))
"#;

struct Seeded(Option<[u8; 32]>, u64);

impl HostServices for Seeded {
    fn seed(&self) -> Option<[u8; 32]> {
        self.0
    }
    fn now_millis(&self) -> u64 {
        self.1
    }
}

async fn look(plugin: &Plugin, seed: Option<[u8; 32]>, now: u64) -> Vec<u8> {
    plugin.handle(Box::new(Seeded(seed, now)), turn()).await.unwrap().value.unwrap().state
}

fn number(state: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(state[at..at + 8].try_into().unwrap())
}

const NOW: u64 = 1_795_343_520_123;

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_with_one_seed_and_one_moment_see_the_same_bytes_and_times() {
    let (_dir, sandbox) = sandbox();
    let plugin = load(&sandbox, &intent(IMPORTS, LOOK, &WASI)).unwrap();
    let first = look(&plugin, Some([7; 32]), NOW).await;
    assert_eq!(first.len(), 144);
    assert_eq!(first, look(&plugin, Some([7; 32]), NOW).await);
    // The wall clock is the host's and stands still; the other one goes on.
    assert_eq!((number(&first, 96), number(&first, 120)), (NOW / 1_000, NOW / 1_000));
    assert_eq!(first[104..108], (123_000_000_u32).to_le_bytes());
    assert_eq!(number(&first, 136) - number(&first, 112), 1_000_000);
    // The three sources of chance have nothing in common.
    assert_ne!(first[..40], first[40..80]);
    assert_ne!(first[..16], first[80..96]);
    // Chance is the seed's, time is the moment's.
    let other = look(&plugin, Some([8; 32]), NOW).await;
    assert_ne!(first[..40], other[..40]);
    assert_ne!(first[40..80], other[40..80]);
    assert_ne!(first[80..96], other[80..96]);
    assert_eq!(first[96..], other[96..]);
    let later = look(&plugin, Some([7; 32]), NOW + 60_000).await;
    assert_eq!(first[..96], later[..96]);
    assert_eq!(number(&later, 112) - number(&first, 112), 60_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_seed_chance_is_the_systems() {
    let (_dir, sandbox) = sandbox();
    let plugin = load(&sandbox, &intent(IMPORTS, LOOK, &WASI)).unwrap();
    let (first, second) = (look(&plugin, None, NOW).await, look(&plugin, None, NOW).await);
    for part in [0..40, 40..80, 80..96] {
        assert_ne!(first[part.clone()], second[part]);
    }
    assert_ne!(number(&first, 96), NOW / 1_000);
}
