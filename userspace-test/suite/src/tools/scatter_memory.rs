// SPDX-License-Identifier: MIT OR Apache-2.0
//! `scatter-memory COMMAND…`: run COMMAND while hardly two free pages lie side by side.
//!
//! Not a test: what a journey from the host puts around a player, so that its ring is in pieces. Exits with
//! COMMAND's status; 125 when memory could not be scattered, 126 when COMMAND could not be run.

use sgring_suite::scatter::Scattered;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: scatter-memory COMMAND...");
        return ExitCode::from(125);
    };
    let memory = match Scattered::new() {
        Ok(memory) => memory,
        Err(error) => {
            eprintln!("scatter-memory: {error}");
            return ExitCode::from(125);
        }
    };
    let status = Command::new(&program).args(words).status();
    drop(memory);
    match status {
        // A signal has no code.
        Ok(status) => ExitCode::from(u8::try_from(status.code().unwrap_or(126)).unwrap_or(126)),
        Err(error) => {
            eprintln!("scatter-memory: {}: {error}", program.to_string_lossy());
            ExitCode::from(126)
        }
    }
}
