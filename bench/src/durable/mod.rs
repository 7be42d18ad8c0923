//! `confab-bench durable`: what it costs that turns are durable.
//!
//! | module | what it measures |
//! |---|---|
//! | [`cost`] | a turn with no call, with one that reads and with one that writes, with and without the journal |
//! | [`age`] | a conversation with 20,000 past turns beside one with ten |
//! | [`hosts`] | one, two and three hosts on one Redis, asked in turn |
//! | [`world`] | the servers, and what Redis says of itself |
//!
//! What is compared runs side by side, round by round, and ratios are taken inside a round: the machine's speed drifts.

mod age;
mod cost;
mod hosts;
mod world;

use anyhow::Result;
use clap::Args;
use std::path::Path;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each part.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load on each row in each round.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Past turns of the old conversation.
    #[arg(long, default_value_t = 20_000)]
    past: u64,
    /// Only these parts: cost, age, hosts. May be repeated. [default: all]
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Part {
    Cost,
    Age,
    Hosts,
}

pub(crate) async fn run(confab: &Path, plugins: &Path, options: &Options) -> Result<()> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let world = world::World::new(confab, plugins)?;
    if wanted(Part::Cost) {
        cost::report(&world, options).await?;
    }
    if wanted(Part::Age) {
        age::report(&world, options).await?;
    }
    if wanted(Part::Hosts) {
        hosts::report(&world, options).await?;
    }
    Ok(())
}

/// Of the rounds' figures.
fn median_of<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    crate::median(rounds.iter().map(figure).collect())
}
