// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes programs for QEMU's generic fuzzer to begin with, a file each.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sgring_device::seeds;

/// Write random programs for the card in the bytes of QEMU's generic fuzzer.
#[derive(Debug, Parser)]
#[command(name = "sgring-seeds", max_term_width = 90)]
struct Args {
    /// Where to: a directory that exists
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// How many
    #[arg(long, value_name = "N", default_value_t = 300)]
    programs: u32,

    /// Where they come from: a seed gives the same ones again
    #[arg(long, value_name = "N", env = "SGRING_SEED", default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    for (i, bytes) in seeds::seeds(args.seed, args.programs).enumerate() {
        let path = args.dir.join(format!("{i:04}"));
        if let Err(e) = std::fs::write(&path, bytes) {
            eprintln!("sgring-seeds: {}: {e}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
