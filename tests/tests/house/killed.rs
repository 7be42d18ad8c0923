//! `make chaos`, small: hosts are killed under load, and nothing that was promised is lost or doubled.

use anyhow::{Result, ensure};
use confab_tests::chaos::{Plan, Store, run};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_host_is_killed() -> Result<()> {
    let report = run(Plan::small(Store::Embedded)).await?;
    ensure!(!report.failed(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_one_of_three_hosts_or_redis_is_killed() -> Result<()> {
    let report = run(Plan::small(Store::Redis)).await?;
    ensure!(!report.failed(), "{report}");
    Ok(())
}
