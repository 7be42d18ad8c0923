//! The sandbox alone: a fresh instance, one call with all limits on, drop.

use anyhow::{Context, Result, anyhow};
use confab_sandbox::services::DenyAll;
use confab_sandbox::{Plugin, Sandbox, SandboxConfig, Turn, Visitor};
use std::path::Path;
use std::time::{Duration, Instant};

const CALLS: usize = 20_000;

/// Words that the trained guest knows, as a visitor's sentence.
const KNOWN: &str = "word00017 word04711 word09999 word12345 word15000 word19999";

pub(crate) async fn report(plugins: &Path) -> Result<()> {
    let cache = tempfile::tempdir()?;
    let sandbox = Sandbox::new(SandboxConfig::new(cache.path())).map_err(|e| anyhow!("{e:#}"))?;
    let read = |name: &str| {
        let file = plugins.join(name);
        std::fs::read(&file).with_context(|| file.display().to_string())
    };
    let echo = sandbox.load(&read("echo.wasm")?)?;
    let trained = sandbox.load(&read("trained.wasm")?)?;
    let mut definition = serde_json::Map::new();
    definition.insert("definition".into(), "bench".into());
    let trained = sandbox.prepare(&trained, "dialogue", definition).await?.plugin;
    println!("Sandbox alone: instantiate, call, drop; all limits on");
    println!("  {:<46} {:>10} {:>8} {:>8} {:>9}", "", "calls/s", "p50 us", "p99 us", "CPU us");
    for (name, plugin, text) in [
        ("echo, a small SDK guest", &echo, "Hello there, how are you today?"),
        ("2.6 MB of prepared state", &trained, KNOWN),
    ] {
        for threads in [1, 2] {
            measure(name, plugin, text, threads).await?;
        }
    }
    println!("Goals: p50 at most 10 us for the small one, 100 us with prepared state.");
    Ok(())
}

async fn measure(name: &str, plugin: &Plugin, text: &str, threads: usize) -> Result<()> {
    calls(plugin, text, CALLS / 10, threads).await?;
    let before = cpu()?;
    let started = Instant::now();
    let mut times = calls(plugin, text, CALLS, threads).await?;
    let elapsed = started.elapsed();
    let used = cpu()?.saturating_sub(before);
    times.sort_unstable();
    let at = |part: f64| {
        times.get((times.len() as f64 * part) as usize).map_or(f64::NAN, |d: &Duration| d.as_secs_f64() * 1e6)
    };
    let count = times.len() as f64;
    println!(
        "  {:<46} {:>10.0} {:>8.1} {:>8.1} {:>9.1}",
        format!("{name}, {threads} thread(s)"),
        count / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        used.as_secs_f64() * 1e6 / count
    );
    Ok(())
}

async fn calls(plugin: &Plugin, text: &str, count: usize, threads: usize) -> Result<Vec<Duration>> {
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (plugin, turn) = (plugin.clone(), turn(text));
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(count);
                for _ in 0..count {
                    let started = Instant::now();
                    let reported = plugin.handle(Box::new(DenyAll), turn.clone()).await?;
                    times.push(started.elapsed());
                    reported.value.map_err(|refusal| anyhow!("{}", refusal.message))?;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.append(&mut worker.await??);
    }
    Ok(all)
}

fn turn(text: &str) -> Turn {
    Turn {
        id: "t".into(),
        conversation: "c".into(),
        number: 1,
        kind: "message".into(),
        text: text.into(),
        data: None,
        locale: None,
        visitor: Visitor { id: None, verified: false, name: None, email: None, phone: None },
        state: vec![1],
    }
}

/// CPU time of this process.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks / 100.0))
}
