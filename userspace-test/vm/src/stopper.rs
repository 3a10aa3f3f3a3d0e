// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends VMs from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// Ends VMs from outside, say on Ctrl-C. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// One that SIGINT, SIGTERM and SIGHUP press. A second signal ends the
    /// program at once.
    ///
    /// # Errors
    /// When a signal cannot be caught.
    pub fn on_signals() -> Result<Self, Error> {
        let stopper = Self::default();
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            let flag = Arc::clone(&stopper.0);
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, flag))
                .map_err(|e| Error::setup(format!("signal {signal}: {e}")))?;
        }
        Ok(stopper)
    }

    /// Ends the VMs that know this stopper.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
