//! Every turn of the run again, from its journal: `confab replay` must say that each came out as it did.

use super::TENANT;
use super::check::Ledger;
use super::machines::Machines;
use super::report::{Report, Wrong};
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

/// Some 15,000 turns, one after the other, on a busy machine.
const TAKES: Duration = Duration::from_secs(30 * 60);

/// Replays all and holds the count against the turns that are known.
///
/// # Errors
/// When the command can't be run at all.
pub async fn run(machines: &Machines, ledger: &Ledger, report: &mut Report) -> Result<()> {
    let ran = machines.first()?.run_within(TAKES, &["replay", "--tenant", TENANT, "--all", "--json"]).await?;
    let told = ran.stdout.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let count = |name: &str| told.as_ref().and_then(|told| told[name].as_u64());
    let (Some(turns), Some(equal), Some(different), Some(without)) =
        (count("turns"), count("equal"), count("different"), count("without_record"))
    else {
        let said = ran.stderr.lines().chain(ran.stdout.lines()).find(|line| !line.trim().is_empty());
        report.wrong(Wrong::NoReplay, format!("`confab replay --all --json`: {}", said.unwrap_or("said nothing")));
        return Ok(());
    };
    report.count("turns replayed", turns);
    report.count("  equal", equal);
    if different > 0 {
        report.wrong_times(
            Wrong::ReplayDifferent,
            different,
            ran.stderr.lines().take(3).collect::<Vec<_>>().join("; "),
        );
    }
    if without > 0 {
        report.wrong_times(Wrong::ReplayWithout, without, String::new());
    }
    let known = ledger.turns() as u64;
    if turns != known {
        report.wrong(Wrong::ReplayTurns, format!("{turns} replayed, {known} in the transcripts that clients know of"));
    }
    if equal + different + without != turns {
        report.wrong(Wrong::NoReplay, format!("{equal} + {different} + {without} is not {turns}"));
    }
    Ok(())
}
