//! The host's side of effects, signatures and webhooks in tests: by the rules of the real one.

use super::{Host, inner};
use crate::bindings::imports::confab::plugin::effects::{EffectError, Reminder};
use crate::signatures::Algorithm;
use crate::types::Failure;
use crate::webhook::{Accepted, Event, Guest, Request, unauthorised};
use ring::hmac as ring_hmac;
use serde_json::Value;

/// What one call may leave, and how long its names and data are.
const REMINDERS: usize = 16;
const WATCHES: usize = 32;
const EMITS: usize = 16;
const TAKEN_BACK: usize = 64;
const NAME: usize = 200;
const EFFECT_DATA: usize = 16 << 10;
const LONGEST_S: u32 = 90 * 86_400;
/// What one webhook may become.
const EVENTS: usize = 100;
const EVENT_DATA: usize = 256 << 10;
const SUBJECTS: usize = 16;
const CHECKS: usize = 32;

/// Something that a turn left behind.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// [`schedule`](crate::effects::schedule).
    Schedule {
        /// Key.
        key: String,
        /// Name of the event.
        event: String,
        /// Seconds.
        after_seconds: u32,
        /// Its data.
        data: Option<Value>,
    },
    /// [`cancel`](crate::effects::cancel).
    Cancel {
        /// Key.
        key: String,
    },
    /// [`watch`](crate::effects::watch).
    Watch {
        /// Subject.
        subject: String,
        /// Seconds.
        for_seconds: u32,
    },
    /// [`unwatch`](crate::effects::unwatch).
    Unwatch {
        /// Subject.
        subject: String,
    },
    /// [`emit`](crate::effects::emit).
    Emit {
        /// Name of the event.
        event: String,
        /// Its data.
        data: Value,
    },
}

/// What a host holds of it.
#[derive(Default)]
pub(super) struct Kept {
    effects: Vec<Effect>,
    /// How many there were before the call that runs.
    before: usize,
    secrets: Vec<(String, Vec<u8>)>,
    checks: usize,
    verified: bool,
}

impl Kept {
    /// Another call.
    pub(super) fn begin(&mut self) {
        self.before = self.effects.len();
        self.checks = 0;
        self.verified = false;
    }
}

/// Bytes in base64, as platforms show signatures.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |number: u32| DIGITS.get((number & 63) as usize).copied().map_or('=', char::from);
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| number << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        out.extend((0..4).map(|at| if at <= group.len() { digit(number >> (18 - 6 * at)) } else { '=' }));
    }
    out
}

/// The HMAC of a message, as a platform makes it.
pub fn hmac(algorithm: Algorithm, key: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> Vec<u8> {
    ring_hmac::sign(&key_of(algorithm, key.as_ref()), message.as_ref()).as_ref().to_vec()
}

fn key_of(algorithm: Algorithm, key: &[u8]) -> ring_hmac::Key {
    let algorithm = match algorithm {
        Algorithm::Sha256 => ring_hmac::HMAC_SHA256,
        Algorithm::Sha1 => ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha512 => ring_hmac::HMAC_SHA512,
    };
    ring_hmac::Key::new(algorithm, key)
}

impl Host {
    /// A secret that webhooks are checked with; twice with the same name: either value fits, as while it is being changed.
    #[must_use]
    pub fn webhook_secret(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.with(|inner| inner.kept.secrets.push((name.to_owned(), value)))
    }

    /// What was left behind so far.
    pub fn effects(&self) -> Vec<Effect> {
        self.inner.borrow().kept.effects.clone()
    }

    /// Has the connector read a webhook. Refused as the real host does it: without a check that fitted it is nobody's.
    ///
    /// # Errors
    /// What the connector refuses with; `unauthorised` where no check of [`signatures`](crate::signatures) came out true.
    ///
    /// # Panics
    /// When it returns what its contract doesn't allow.
    pub fn receive<T: Guest>(&self, request: Request) -> Result<Accepted, Failure> {
        let accepted = self.run(|| T::receive(request))?;
        let many = accepted.events.len();
        assert!(many <= EVENTS, "the host ends this call: {many} events of one request, at most {EVENTS} are allowed");
        for (n, event) in accepted.events.iter().enumerate() {
            let problem = problem_of(event);
            assert!(problem.is_none(), "the host ends this call: event {}: {}", n + 1, problem.unwrap_or_default());
        }
        if let Some(answer) = &accepted.answer {
            assert!(
                (200..300).contains(&answer.status),
                "the host ends this call: an answer has the status 200 to 299"
            );
        }
        if !self.inner.borrow().kept.verified {
            return Err(unauthorised("no check of its signature came out true: the host refuses it"));
        }
        Ok(accepted)
    }
}

fn problem_of(event: &Event) -> Option<String> {
    let name = name_problem("an id", &event.id).or_else(|| event_problem(&event.name));
    let name = name.or_else(|| event.subjects.iter().find_map(|subject| name_problem("a subject", subject)));
    let json = serde_json::from_str::<Value>(&event.data).err().map(|e| format!("data is no JSON: {e}"));
    let large = (event.data.len() > EVENT_DATA).then(|| format!("data has more than {EVENT_DATA} bytes"));
    let subjects = (event.subjects.len() > SUBJECTS).then(|| format!("more than {SUBJECTS} subjects"));
    let moment = event.occurred_at.as_ref().filter(|moment| moment.parse::<jiff::Timestamp>().is_err());
    name.or(json).or(large).or(subjects).or_else(|| moment.map(|m| format!("`{m}` is no RFC 3339 moment")))
}

fn name_problem(what: &str, name: &str) -> Option<String> {
    let fits = (1..=NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    (!fits).then(|| format!("{what} has 1 to {NAME} bytes and no control characters"))
}

fn event_problem(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    name_problem("the name of an event", name)
        .or_else(|| (!name.bytes().all(plain)).then(|| "the name of an event has only A-Z, a-z, 0-9, _ and .".into()))
}

fn refuse<T>(code: &str, message: String) -> Result<T, EffectError> {
    Err(EffectError { code: code.into(), message })
}

fn check(problem: Option<String>) -> Result<(), EffectError> {
    problem.map_or(Ok(()), |problem| refuse("invalid-input", problem))
}

fn time(seconds: u32) -> Result<u32, EffectError> {
    if (1..=LONGEST_S).contains(&seconds) { Ok(seconds) } else { refuse("invalid-input", format!("{seconds} seconds")) }
}

fn json(data: &str) -> Result<Value, EffectError> {
    if data.len() > EFFECT_DATA {
        return refuse("too-large", format!("data has up to {EFFECT_DATA} bytes, this has {}", data.len()));
    }
    serde_json::from_str(data).or_else(|e| refuse("invalid-input", format!("data is no JSON: {e}")))
}

/// Keeps one more, if the call may have it.
fn leave(effect: Effect) -> Result<(), EffectError> {
    let inner = inner();
    let kept = &mut inner.borrow_mut().kept;
    let back = |e: &Effect| matches!(e, Effect::Cancel { .. } | Effect::Unwatch { .. });
    let same = |other: &&Effect| {
        std::mem::discriminant(*other) == std::mem::discriminant(&effect) || (back(other) && back(&effect))
    };
    let (there, most) = (
        kept.effects.iter().skip(kept.before).filter(same).count(),
        match &effect {
            Effect::Schedule { .. } => REMINDERS,
            Effect::Watch { .. } => WATCHES,
            Effect::Emit { .. } => EMITS,
            Effect::Cancel { .. } | Effect::Unwatch { .. } => TAKEN_BACK,
        },
    );
    if there >= most {
        return refuse("limit", format!("one call leaves at most {most} of these"));
    }
    kept.effects.push(effect);
    Ok(())
}

/// `confab:plugin/effects` in the shape of the bindings.
pub(crate) mod effects {
    use super::{Effect, EffectError, Reminder, check, event_problem, json, leave, name_problem, refuse, time};

    pub(crate) fn schedule(reminder: &Reminder) -> Result<(), EffectError> {
        let Reminder { key, event, after_seconds, data } = reminder.clone();
        check(name_problem("a key", &key))?;
        check(name_problem("the name of an event", &event))?;
        let data = data.as_deref().map(json).transpose()?;
        leave(Effect::Schedule { key, event, after_seconds: time(after_seconds)?, data })
    }
    pub(crate) fn cancel(key: &str) -> Result<(), EffectError> {
        check(name_problem("a key", key))?;
        leave(Effect::Cancel { key: key.to_owned() })
    }
    pub(crate) fn watch(subject: &str, for_seconds: u32) -> Result<(), EffectError> {
        check(name_problem("a subject", subject))?;
        leave(Effect::Watch { subject: subject.to_owned(), for_seconds: time(for_seconds)? })
    }
    pub(crate) fn unwatch(subject: &str) -> Result<(), EffectError> {
        check(name_problem("a subject", subject))?;
        leave(Effect::Unwatch { subject: subject.to_owned() })
    }
    pub(crate) fn emit(event: &str, data: &str) -> Result<(), EffectError> {
        check(event_problem(event))?;
        let data = json(data)?;
        if !data.is_object() {
            return refuse("invalid-input", "data must be a JSON object".into());
        }
        leave(Effect::Emit { event: event.to_owned(), data })
    }
}

/// `confab:plugin/signatures` in the shape of the bindings.
pub(crate) mod signatures {
    use super::{Algorithm, CHECKS, Failure, inner, key_of, ring_hmac};

    fn fits(secret: &str, fits: impl Fn(&[u8]) -> bool) -> Result<bool, Failure> {
        let inner = inner();
        let kept = &mut inner.borrow_mut().kept;
        let refuse = |code: &str, message: String| Err(Failure { code: code.into(), message });
        if kept.checks >= CHECKS {
            return refuse("limit", format!("one call checks at most {CHECKS} signatures"));
        }
        kept.checks += 1;
        let mut values = kept.secrets.iter().filter(|(name, _)| name == secret).peekable();
        if values.peek().is_none() {
            return refuse(
                "unknown-secret",
                format!("there is no secret `{secret}`: Host::webhook_secret gives it one"),
            );
        }
        let fits = values.any(|(_, value)| fits(value));
        kept.verified |= fits;
        Ok(fits)
    }

    pub(crate) fn verify_hmac(
        secret: &str,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure> {
        let algorithm = match algorithm {
            "sha1" => Algorithm::Sha1,
            "sha512" => Algorithm::Sha512,
            _ => Algorithm::Sha256,
        };
        fits(secret, |value| ring_hmac::verify(&key_of(algorithm, value), message, signature).is_ok())
    }
    pub(crate) fn verify_equal(secret: &str, value: &str) -> Result<bool, Failure> {
        if value.is_empty() {
            return Ok(false);
        }
        fits(secret, |own| own == value.as_bytes())
    }
    pub(crate) fn fresh(unix_seconds: i64, tolerance_seconds: u32) -> bool {
        let now = i64::try_from(inner().borrow().now / 1_000).unwrap_or(i64::MAX);
        now.abs_diff(unix_seconds) <= u64::from(tolerance_seconds)
    }
}
