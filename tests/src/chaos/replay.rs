//! Every turn of the run again, from its journal: `confab replay` must say that each came out as it did.

use super::TENANT;
use super::check::Ledger;
use super::machines::Machines;
use super::report::{Report, Wrong};
use super::script::Kind;
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

/// Some 15,000 turns, one after the other, on a busy machine.
const TAKES: Duration = Duration::from_secs(30 * 60);

/// Replays every conversation and holds the count against the turns that are known. What a webhook told has no record: its words were
/// known, and no plugin was asked.
///
/// # Errors
/// When the command can't be run at all.
pub async fn run(machines: &Machines, ledger: &Ledger, report: &mut Report) -> Result<()> {
    let (mut turns, mut equal, mut without) = (0, 0, 0);
    for bot in [Kind::Desk.bot(), Kind::Tracker.bot()] {
        let ids = ledger.ids(bot);
        if ids.is_empty() {
            continue;
        }
        // Several are printed as counts alone; one would be printed whole.
        let arguments = [&["replay", "--tenant", TENANT, "--bot", bot, "--counts"], ids.as_slice()].concat();
        let ran = machines.first()?.run_within(TAKES, &arguments).await?;
        let told = ran.stdout.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let count = |name: &str| told.as_ref().and_then(|told| told[name].as_u64());
        let (Some(all), Some(same), Some(different), Some(unrecorded)) =
            (count("turns"), count("equal"), count("different"), count("without_record"))
        else {
            let said = ran.stderr.lines().chain(ran.stdout.lines()).find(|line| !line.trim().is_empty());
            report.wrong(Wrong::NoReplay, format!("`confab replay --counts`: {}", said.unwrap_or("said nothing")));
            return Ok(());
        };
        if different > 0 {
            let said = ran.stderr.lines().take(3).collect::<Vec<_>>().join("; ");
            report.wrong_times(Wrong::ReplayDifferent, different, said);
        }
        if same + different != all {
            report.wrong(Wrong::NoReplay, format!("{same} + {different} is not {all}"));
        }
        (turns, equal, without) = (turns + all, equal + same, without + unrecorded);
    }
    report.count("turns replayed", turns);
    report.count("  equal", equal);
    let (asked, told) = ledger.turns();
    let (asked, told) = (asked as u64, told as u64);
    if turns != asked {
        report.wrong(Wrong::ReplayTurns, format!("{turns} replayed, {asked} in the transcripts"));
    }
    if without > told {
        report.wrong_times(Wrong::ReplayWithout, without - told, String::new());
    }
    Ok(())
}
