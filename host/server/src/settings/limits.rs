//! The limits file: what the operator wants different from the defaults, in TOML.
//!
//! ```toml
//! [ceiling]          # of what a plugin may ask for; [floor] is the least that each gets
//! memory_mib = 256
//! [tenant]           # what one tenant may use of this host
//! calls = 32
//! [compiler]         # what compiling a plugin may take
//! memory_mib = 2048
//! ```

use anyhow::{Context, Result, anyhow};
use confab_engine::sandbox::limits::LimitRequest;
use confab_engine::sandbox::{CompileLimits, LimitPolicy, TenantLimits};
use serde::Deserialize;
use std::path::Path;

/// What it says, over the defaults.
#[derive(Debug, Default)]
pub(super) struct LimitsFile {
    pub(super) policy: LimitPolicy,
    pub(super) tenant: TenantLimits,
    pub(super) compiler: CompileLimits,
}

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tables {
    floor: LimitRequest,
    ceiling: LimitRequest,
    tenant: TenantLimits,
    compiler: CompileLimits,
}

pub(super) fn read(file: &Path) -> Result<LimitsFile> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--limits {}", file.display()))?;
    parse(&text).map_err(|(line, message)| anyhow!("--limits {}:{line}: {message}", file.display()))
}

/// Errors come with their line, from 1.
fn parse(text: &str) -> Result<LimitsFile, (usize, String)> {
    let Tables { floor, ceiling, tenant, compiler } = toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        (before.matches('\n').count() + 1, e.message().trim().to_owned())
    })?;
    let policy = LimitPolicy::of(&floor, &ceiling);
    let checked = policy.check().and_then(|()| tenant.check()).and_then(|()| compiler.check());
    checked.map_err(|message| (line_of(text, &message), message))?;
    Ok(LimitsFile { policy, tenant, compiler })
}

/// The line that a message is about: it begins with `TABLE.NAME`. The table's own where the name is not in it.
fn line_of(text: &str, message: &str) -> usize {
    let words = message.split_whitespace().next().unwrap_or_default();
    let (table, name) = words.split_once('.').unwrap_or((words, ""));
    let (mut within, mut found) = (false, 1);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            within = line.trim_matches(['[', ']', ' ']) == table;
            if within {
                found = number + 1;
            }
        } else if within && line.split('=').next().is_some_and(|key| key.trim() == name) {
            return number + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_the_default() {
        let read = parse("[ceiling]\nmemory_mib = 256\n[tenant]\ncalls = 3\n[compiler]\ncpu_s = 5\n").unwrap();
        assert_eq!(read.policy.ceiling.memory_mib, 256);
        assert_eq!(read.policy.ceiling.fuel, LimitPolicy::default().ceiling.fuel);
        assert_eq!(read.policy.floor, LimitPolicy::default().floor);
        assert_eq!(read.tenant, TenantLimits { calls: 3, ..TenantLimits::default() });
        assert_eq!(read.compiler, CompileLimits { cpu_s: 5, ..CompileLimits::default() });
        assert_eq!(parse("").unwrap().policy, LimitPolicy::default());
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (text, line, words) in [
            ("[roof]\nfuel = 1\n", 1, "roof"),
            ("[tenant]\n\nfuel = 1\n", 3, "fuel"),
            ("[ceiling]\nfuel = 1_000_000\nmemory = 1\n", 3, "memory"),
            ("[ceiling]\nfuel = -1\n", 2, "-1"),
            ("[ceiling]\nfuel = \n", 2, ""),
            ("[ceiling]\n\nmemory_mib = 8192\n", 3, "4096"),
            ("[ceiling]\nfuel = 0\n[floor]\nfuel = 0", 2, "no plugin could run"),
            ("# ours\n[floor]\nmemory_mib = 512\n", 3, "more than ceiling.memory_mib"),
            ("[tenant]\ncalls = 0\n", 2, "no tenant"),
            ("[compiler]\nmemory_mib = 1\n", 2, "no plugin could be compiled"),
        ] {
            let (at, message) = parse(text).unwrap_err();
            assert!(at == line && message.contains(words), "{text}: {at}: {message}");
        }
    }
}
