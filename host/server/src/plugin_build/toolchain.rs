//! Which compiler builds guests.
//!
//! A rustup toolchain with the target `wasm32-unknown-unknown` is preferred, and `rustup target add` is tried if the target
//! is missing. Where that can't be had (no network to rustup's server), Debian's `rustc-web` and its library source do it
//! with `-Zbuild-std`. See docs/decisions/0002-guest-toolchain.md.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of all guests: imports only what its WIT world names, no WASI.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A way to build guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// cargo and rustc of the PATH, which have the target.
    Rustup,
    /// Debian's compiler and the library source that belongs to it.
    Debian {
        /// Linker: `wasm-ld` or rustup's `rust-lld`.
        linker: PathBuf,
    },
}

const DEBIAN_PACKAGES: &str = "rustc-web cargo-web rust-web-src libstd-rust-web-dev lld";

impl Toolchain {
    /// Looks for a toolchain; installs the target by rustup where it can.
    pub(crate) fn find() -> Result<Toolchain> {
        let wanted = std::env::var("CONFAB_GUEST_TOOLCHAIN").ok();
        match wanted.as_deref() {
            None | Some("rustup" | "debian") => {}
            Some(other) => bail!("CONFAB_GUEST_TOOLCHAIN={other}: it may be `rustup` or `debian`"),
        }
        if wanted.as_deref() != Some("debian") && rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
        // Offline, rustup fails within seconds; where it works this is all a user needs.
        let added = wanted.as_deref() != Some("debian")
            && Command::new("rustup")
                .args(["target", "add", TARGET])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        if added && rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
        if wanted.as_deref() != Some("rustup") && debian_has_source() {
            return match debian_linker() {
                Some(linker) => Ok(Toolchain::Debian { linker }),
                None => bail!("found Debian's Rust, but no linker for Wasm: apt-get install lld"),
            };
        }
        bail!(
            "no compiler for {TARGET}.\n  With rustup:   rustup target add {TARGET}\n  \
             On Debian, without access to rustup's server:   apt-get install --no-install-recommends {DEBIAN_PACKAGES}"
        )
    }

    /// One line for the person who builds.
    pub(crate) fn describe(&self) -> String {
        match self {
            Toolchain::Rustup => format!("guest toolchain: cargo on the PATH with target {TARGET}"),
            Toolchain::Debian { linker } => {
                format!("guest toolchain: Debian's /usr/bin/cargo with -Zbuild-std, linker {}", linker.display())
            }
        }
    }

    /// A cargo command of this toolchain.
    pub(crate) fn cargo(&self) -> Command {
        match self {
            Toolchain::Rustup => Command::new("cargo"),
            Toolchain::Debian { linker } => {
                let mut cargo = Command::new("/usr/bin/cargo");
                let path = std::env::var("PATH").unwrap_or_default();
                cargo
                    .env("PATH", format!("/usr/bin:{path}"))
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTC_WRAPPER");
                cargo
            }
        }
    }

    /// What `cargo build` needs on top.
    pub(crate) fn build_args(&self) -> &'static [&'static str] {
        match self {
            Toolchain::Rustup => &[],
            Toolchain::Debian { .. } => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

fn rustup_has_target() -> bool {
    stdout(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|dir| std::fs::read_dir(dir.trim()).is_ok_and(|mut entries| entries.next().is_some()))
}

fn debian_has_source() -> bool {
    Path::new("/usr/bin/cargo").exists()
        && stdout(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]))
            .is_some_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/Cargo.toml").exists())
}

fn debian_linker() -> Option<PathBuf> {
    let on_path = ["/usr/bin/wasm-ld", "/usr/bin/wasm-ld-14", "/usr/bin/wasm-ld-19"].map(PathBuf::from);
    on_path.into_iter().find(|path| path.exists()).or_else(|| {
        let root = stdout(Command::new("rustc").args(["--print", "sysroot"]))?;
        let lld = Path::new(root.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
        lld.exists().then_some(lld)
    })
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
