//! A Tryton on tape: what a real one answered, played back call by call.
//!
//! With `TRYTON_TEST_URL=http://127.0.0.1:PORT/erp` the tests speak to that server (a fresh one of
//! `tests/systems/tryton/tryton.sh start`) and write the tapes anew; `-- --test-threads=1` keeps their order:
//!
//! ```text
//! tests/systems/tryton/tryton.sh ensure && URL=$(tests/systems/tryton/tryton.sh start 8270 /tmp/ty)
//! TRYTON_TEST_URL=$URL cargo test -p confab-plugin-tryton -- --test-threads=1
//! ```
//!
//! Playing back checks each request too: it must be the one that was answered.

use crate::rpc::{Rpc, result};
use crate::session::{Memory, Settings, Tryton};
use confab_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Serialize, Deserialize)]
struct Call {
    method: String,
    params: Value,
    answer: Value,
}

#[derive(Serialize, Deserialize)]
struct Recording {
    now: u64,
    calls: VecDeque<Call>,
}

enum Source {
    Tape,
    Live { address: String, path: String, authorization: String },
}

/// Tryton and store of one test.
pub(super) struct Tape {
    name: &'static str,
    source: Source,
    recording: Recording,
    pub(super) calls: usize,
    pub(super) map: BTreeMap<String, Vec<u8>>,
}

impl Tape {
    pub(super) fn load(name: &'static str) -> Self {
        let (source, recording) = match std::env::var("TRYTON_TEST_URL") {
            Ok(url) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                (sign_in(&url), Recording { now: u64::try_from(now).unwrap(), calls: VecDeque::new() })
            }
            Err(_) => (Source::Tape, serde_json::from_slice(&std::fs::read(file(name)).unwrap()).unwrap()),
        };
        Tape { name, source, recording, calls: 0, map: BTreeMap::new() }
    }

    pub(super) fn run<T>(&mut self, once: &str, locale: &str, work: impl FnOnce(&mut Tryton<'_>) -> T) -> T {
        let now = self.recording.now;
        let mut memory = Map(std::mem::take(&mut self.map));
        let done = work(&mut Tryton {
            rpc: self,
            memory: &mut memory,
            settings: Settings::default(),
            now,
            once: once.into(),
            locale: Some(locale.into()),
            session: None,
        });
        self.map = memory.0;
        done
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if matches!(self.source, Source::Live { .. }) && !std::thread::panicking() {
            std::fs::write(file(self.name), serde_json::to_vec_pretty(&self.recording).unwrap()).unwrap();
        }
    }
}

impl Rpc for Tape {
    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let answer = match &self.source {
            Source::Tape => {
                let call = self.recording.calls.pop_front().expect("a call more than on the tape");
                assert_eq!((method, &params), (call.method.as_str(), &call.params), "another call than on the tape");
                call.answer
            }
            Source::Live { address, path, authorization } => {
                let answer = post(address, path, authorization, &json!({"id": 1, "method": method, "params": params}));
                self.recording.calls.push_back(Call { method: method.into(), params, answer: answer.clone() });
                answer
            }
        };
        result(method, answer)
    }
}

struct Map(BTreeMap<String, Vec<u8>>);

impl Memory for Map {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.0.insert(key.into(), value.into());
        Ok(())
    }
    fn delete(&mut self, key: &str) -> Result<()> {
        self.0.remove(key);
        Ok(())
    }
}

fn file(name: &str) -> String {
    format!("{}/src/tests/tapes/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn sign_in(url: &str) -> Source {
    let (address, database) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let path = format!("/{database}/rpc/");
    // The fixture's user, see tests/systems/tryton/seed.py.
    let login =
        json!({"id": 1, "method": "common.db.login", "params": ["chatbot", {"password": "connector-pass-1"}, "en"]});
    let answer = post(address, &path, "", &login);
    let session = format!("chatbot:{}:{}", answer["result"][0], answer["result"][1].as_str().unwrap());
    Source::Live { address: address.into(), path, authorization: format!("Session {}", base64(session.as_bytes())) }
}

fn post(address: &str, path: &str, authorization: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let authorization =
        if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.lines().next().unwrap().contains(" 200 "), "{head}");
    let body = &answer[end + 4..];
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
    serde_json::from_slice(&body).unwrap()
}

/// Tryton's development server sends chunks whatever the client's version.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 2 + size + 2..];
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            out.push(if i <= three.len() { char::from(LETTERS[n >> (18 - 6 * i) & 63]) } else { '=' });
        }
    }
    out
}
