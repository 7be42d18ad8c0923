//! Compiling strangers' code, in a process of its own.
//!
//! Compiling is native work on hostile input: it may take minutes and gigabytes, and a fault of the compiler would be
//! a fault of the host. So the host starts itself again as a compiler (`Compiler::Child`), which first gives up what it could do harm
//! with: memory and CPU time are limited, no environment is passed on (secrets are there), and it runs in idle time
//! only, so that publishing isn't felt by visitors. What it writes is still checked by wasmtime when it is mapped.

use crate::engine::code_config;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// What the compiler may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompileLimits {
    /// Address space in MiB. A 19 MB Python component takes 1.5 GB; Cranelift's own bombs take all there is.
    pub memory_mib: u64,
    /// CPU seconds over all its threads. A 3 MB component takes 5.
    pub cpu_s: u64,
    /// Wall time in seconds: on a busy machine idle time is scarce.
    pub wall_s: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        CompileLimits { memory_mib: 4 << 10, cpu_s: 120, wall_s: 600 }
    }
}

impl CompileLimits {
    /// Whether a compiler could run with them.
    ///
    /// # Errors
    /// What is wrong, in the words of the limits file.
    pub fn check(&self) -> Result<(), String> {
        let least = [("memory_mib", self.memory_mib, 64), ("cpu_s", self.cpu_s, 1), ("wall_s", self.wall_s, 1)];
        for (name, value, least) in least {
            if value < least {
                return Err(format!("compiler.{name} is {value}: no plugin could be compiled with less than {least}"));
            }
        }
        Ok(())
    }
}
/// How often it is looked whether the compiler is done. Small components take 30 ms.
const CHECK: Duration = Duration::from_millis(3);

/// Why a component could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It isn't valid, or uses something that isn't supported.
    #[error("does not compile: {0}")]
    Invalid(String),
    /// The compiler ran into a limit: a bomb, or a component that is far too large.
    #[error("is too much for the compiler ({0}): split large functions, or leave out what the plugin does not need")]
    TooMuch(String),
    /// It needs more than a place in the pool has.
    #[error("does not fit into a place for plugins: {0}")]
    Misfit(String),
    /// The code cache can't be used.
    #[error("code cache: {0}")]
    Cache(String),
}

/// Who compiles.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// This process: for tests and tools that compile their own code.
    #[default]
    Here,
    /// A program that calls [`child`] with what it gets after these arguments: two paths, MiB of memory, seconds of CPU time.
    Child {
        /// The program.
        program: PathBuf,
        /// Arguments before the paths.
        arguments: Vec<String>,
        /// What it may take.
        limits: CompileLimits,
    },
}

impl Compiler {
    /// Compiles a component from one file to another. Blocks.
    pub(crate) fn compile(&self, wasm: &Path, code: &Path) -> Result<(), CompileError> {
        match self {
            Compiler::Here => here(wasm, code),
            Compiler::Child { program, arguments, limits } => {
                let mut command = Command::new(program);
                command.args(arguments).arg(wasm).arg(code);
                command.args([limits.memory_mib.to_string(), limits.cpu_s.to_string()]).env_clear();
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                wait(command, limits)
            }
        }
    }
}

fn wait(mut command: Command, limits: &CompileLimits) -> Result<(), CompileError> {
    let cache = |e: std::io::Error| CompileError::Cache(format!("the compiler can't be run: {e}"));
    let mut child = command.spawn().map_err(cache)?;
    let until = Instant::now() + Duration::from_secs(limits.wall_s);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cache)? {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(CompileError::TooMuch(format!("not done after {} s", limits.wall_s)));
        }
        std::thread::sleep(CHECK);
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        use std::io::Read;
        let _ = stderr.by_ref().take(8_000).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    match status.code() {
        Some(INVALID) => Err(CompileError::Invalid(said.trim().to_owned())),
        Some(CACHE) => Err(CompileError::Cache(said.trim().to_owned())),
        _ => {
            let CompileLimits { memory_mib, cpu_s, .. } = limits;
            Err(CompileError::TooMuch(format!("it may use {memory_mib} MiB and {cpu_s} s of CPU time")))
        }
    }
}

/// Exit codes of the child. It also ends with others, and by signals: then it was stopped by a limit.
const INVALID: i32 = 3;
/// See [`INVALID`].
const CACHE: i32 = 4;

/// The child's whole work: gives up privileges, compiles, says what is wrong on standard error. Returns its exit code.
pub fn child(wasm: &Path, code: &Path, memory_mib: u64, cpu_s: u64) -> i32 {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (what, limit) in
        [(Resource::As, memory_mib.saturating_mul(1 << 20)), (Resource::Cpu, cpu_s), (Resource::Core, 0)]
    {
        if let Err(e) = setrlimit(what, Rlimit { current: Some(limit), maximum: Some(limit) }) {
            eprintln!("can't limit the compiler: {e}");
            return CACHE;
        }
    }
    // Where it is not allowed the compiler is merely felt.
    let _ = crate::lanes::only_idle_time();
    match here(wasm, code) {
        Ok(()) => 0,
        Err(CompileError::Invalid(message) | CompileError::TooMuch(message) | CompileError::Misfit(message)) => {
            // The pipe holds 64 KiB and nobody reads before the end.
            eprintln!("{}", message.chars().take(1_000).collect::<String>());
            INVALID
        }
        Err(CompileError::Cache(message)) => {
            eprintln!("{message}");
            CACHE
        }
    }
}

fn here(wasm: &Path, code: &Path) -> Result<(), CompileError> {
    let cache = |e: std::io::Error| CompileError::Cache(e.to_string());
    let engine = Engine::new(&code_config()).map_err(|e| CompileError::Cache(format!("{e:#}")))?;
    let wasm = std::fs::read(wasm).map_err(cache)?;
    let native = engine.precompile_component(&wasm).map_err(|e| CompileError::Invalid(format!("{e:#}")))?;
    let mut file = std::fs::File::create(code).map_err(cache)?;
    use std::io::Write;
    file.write_all(&native).and_then(|()| file.sync_all()).map_err(cache)
}
