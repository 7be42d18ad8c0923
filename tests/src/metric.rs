//! Figures out of Prometheus' text format.

use crate::client::Client;
use anyhow::Result;

/// All figures of a host at one moment.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Asks a host. No key is needed.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn of(client: &Client) -> Result<Metrics> {
        let answer = client.get("/metrics").await?;
        anyhow::ensure!(answer.status == 200, "/metrics answers {}", answer.status);
        Ok(Metrics(String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The sum of all series of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let series = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && wanted.iter().all(|label| line.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.0
    }
}
