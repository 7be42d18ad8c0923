//! Compiling strangers' code, in a process of its own.
//!
//! Compiling is native work on hostile input: it may take minutes and gigabytes, and a fault of the compiler would be
//! a fault of the host. So the host starts itself again as a compiler (`Compiler::Child`), which first gives up what it could do harm
//! with: memory and CPU time are limited, no environment is passed on (secrets are there), and it runs in idle time
//! only, so that publishing isn't felt by visitors. What it writes is still checked by wasmtime when it is mapped.

use crate::engine::code_config;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// Address space of the compiler. A 19 MB Python component takes 1.5 GB; Cranelift's own bombs take all there is.
const MEMORY: u64 = 4 << 30;
/// CPU seconds of the compiler over all its threads. A 3 MB component takes 5.
const CPU_S: u64 = 120;
/// Wall time: on a busy machine idle time is scarce.
const WALL: Duration = Duration::from_secs(600);
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
    /// A program that calls [`child`] with the two paths it gets after these arguments.
    Child {
        /// The program.
        program: PathBuf,
        /// Arguments before the paths.
        arguments: Vec<String>,
    },
}

impl Compiler {
    /// Compiles a component from one file to another. Blocks.
    pub(crate) fn compile(&self, wasm: &Path, code: &Path) -> Result<(), CompileError> {
        match self {
            Compiler::Here => here(wasm, code),
            Compiler::Child { program, arguments } => {
                let mut command = Command::new(program);
                command.args(arguments).arg(wasm).arg(code).env_clear();
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                wait(command)
            }
        }
    }
}

fn wait(mut command: Command) -> Result<(), CompileError> {
    let cache = |e: std::io::Error| CompileError::Cache(format!("the compiler can't be run: {e}"));
    let mut child = command.spawn().map_err(cache)?;
    let until = Instant::now() + WALL;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cache)? {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(CompileError::TooMuch(format!("not done after {} s", WALL.as_secs())));
        }
        std::thread::sleep(CHECK);
    };
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        use std::io::Read;
        let _ = stderr.by_ref().take(2_000).read_to_string(&mut said);
    }
    match status.code() {
        Some(INVALID) => Err(CompileError::Invalid(said.trim().to_owned())),
        Some(CACHE) => Err(CompileError::Cache(said.trim().to_owned())),
        _ => Err(CompileError::TooMuch(format!("it may use {} GiB and {CPU_S} s of CPU time", MEMORY >> 30))),
    }
}

/// Exit codes of the child.
const INVALID: i32 = 3;
/// See [`INVALID`].
const CACHE: i32 = 4;

/// The child's whole work: gives up privileges, compiles, says what is wrong on standard error. Returns its exit code.
pub fn child(wasm: &Path, code: &Path) -> i32 {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (what, limit) in [(Resource::As, MEMORY), (Resource::Cpu, CPU_S), (Resource::Core, 0)] {
        if let Err(e) = setrlimit(what, Rlimit { current: Some(limit), maximum: Some(limit) }) {
            eprintln!("can't limit the compiler: {e}");
            return CACHE;
        }
    }
    // Where it is not allowed the compiler is merely felt.
    let _ = crate::lanes::only_idle_time();
    match here(wasm, code) {
        Ok(()) => 0,
        Err(CompileError::Invalid(message) | CompileError::TooMuch(message)) => {
            eprintln!("{message}");
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
