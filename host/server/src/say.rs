//! What commands print.
//!
//! `println!` panics when the reader has gone, as `head -1` does. Here that is the end of the command: whoever closes the pipe
//! has read enough. The signal SIGPIPE stays ignored as in the server, since commands have connections too (they open the store and
//! call business systems when no server runs), and one that is closed by the other side must not kill them.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// The exit status of a process that SIGPIPE ended, as a shell tells it: what pipelines are used to.
const CLOSED: i32 = 128 + 13;

/// Like `println!`.
macro_rules! say {
    ($($arguments:tt)*) => { $crate::say::line(format_args!($($arguments)*)) };
}

/// See [`say!`].
pub(crate) fn line(text: Arguments<'_>) {
    written(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Writes what is no line: a page, a file, a prompt.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()));
}

fn written(outcome: std::io::Result<()>) {
    match outcome {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(CLOSED),
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: can't write to standard output: {e}");
            std::process::exit(1);
        }
    }
}
