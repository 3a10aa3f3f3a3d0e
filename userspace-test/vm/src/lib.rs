// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VM fixture: a stock kernel, the sgring card or one of its peers, one
//! command, and everything that came out of it.
//!
//! [`Config`] says what to boot, [`Vm::start`] boots it, [`Vm::wait`] hands
//! back the [`Outcome`]. What a run leaves behind is in its [`RunDir`].
//!
//! Two kinds of trouble are kept apart everywhere: a command that ended with a
//! status, whatever it was, is an [`Outcome`]; a VM that did not boot, died,
//! panicked or took too long is an [`Error`].

mod accel;
mod argv;
pub mod bench;
mod boot;
mod config;
pub mod cpio;
pub mod dmesg;
mod error;
mod hop;
mod initrd;
mod layout;
mod listen;
mod memory;
mod outcome;
mod port;
mod process;
mod pulse;
pub mod qmp;
pub mod recording;
pub mod reference;
mod rundir;
pub mod soundfile;
mod stall;
mod stopper;
mod story;
mod tty;
mod vm;

pub use accel::{Accel, Choice};
pub use config::{Card, Config, Kernel, Machine, Sink, Stdin};
pub use error::{Error, Kind};
pub use layout::Layout;
pub use listen::Backend;
pub use outcome::Outcome;
pub use rundir::RunDir;
pub use stopper::Stopper;
pub use vm::Vm;
