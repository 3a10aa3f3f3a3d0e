// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hostile user: what it does is in `sgring_suite::fuzz`, which is written for x86-64.

use std::process::ExitCode;

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    sgring_suite::fuzz::runs::main()
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    use sgring_suite::tap::{self, Stop, Test};
    tap::run(&[Test(
        "any_program",
        "M4, M5, M15, M17: seeded programs of a hostile user",
        || Err(Stop::Skip("only for x86-64".into())),
    )])
}
