//! Log and metrics of the process.

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Bounds of the histograms in seconds: from a plugin call in the sandbox to a slow ERP.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Starts the log on standard error. `RUST_LOG` chooses what is written.
pub(crate) fn start_log(format: Option<Format>, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { Format::Text } else { Format::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process changes nothing.
    let _ = match format {
        Format::Text => builder.with_ansi(terminal).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Starts collecting metrics. Call it before anything keeps a metric handle.
pub(crate) fn start_metrics() -> Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .context("metrics")?
        .install_recorder()
        .context("metrics")?;
    metrics::describe_counter!("confab_turns_total", "Turns by outcome: answered, or fallback when the plugin failed");
    metrics::describe_histogram!(
        "confab_turn_seconds",
        metrics::Unit::Seconds,
        "Time from message to committed answer"
    );
    metrics::describe_counter!("confab_plugin_failures_total", "Failed plugin calls by kind of failure");
    metrics::describe_counter!("confab_plugin_calls_total", "Calls of plugins, failed ones included");
    metrics::describe_counter!("confab_plugin_fuel_total", "Fuel used by plugins");
    metrics::describe_counter!("confab_plugin_cpu_seconds_total", "CPU time used by plugins, in whole seconds");
    metrics::describe_counter!("confab_plugin_bytes_out_total", "Bytes of the HTTP requests of plugins");
    metrics::describe_gauge!(
        "confab_plugin_peak_memory_bytes",
        metrics::Unit::Bytes,
        "Linear memory of the largest call since the start"
    );
    metrics::describe_gauge!(
        "confab_plugin_quarantined",
        "1 while a plugin is not run at a tenant because it kept failing"
    );
    metrics::describe_counter!(
        "confab_failure_records_suppressed_total",
        "Failures of which no record was kept, because there were too many or the store failed"
    );
    metrics::describe_counter!("confab_egress_retries_total", "Outgoing requests that were made again, by reason");
    metrics::describe_counter!("confab_egress_pauses_total", "Times that a business system asked to be left alone");
    metrics::describe_counter!(
        "confab_egress_budget_refused_total",
        "Outgoing calls that a rate or a pause could not let through in time"
    );
    metrics::describe_histogram!(
        "confab_egress_budget_wait_seconds",
        metrics::Unit::Seconds,
        "Time that outgoing calls waited for their connection's rate, pause or places"
    );
    metrics::describe_counter!("confab_http_requests_total", "Requests by route, class of status, and problem code");
    Ok(handle)
}
