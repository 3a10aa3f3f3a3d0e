// SPDX-License-Identifier: MIT OR Apache-2.0
//! What threads share is made of: std's, or under `cfg(loom)` loom's, which tries each order in which
//! threads can come and each old value that a load may still see.

#[cfg(not(loom))]
mod real {
    pub(crate) use crate::sys::Event;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    use std::sync::{LockResult, PoisonError};
    use std::time::Duration;

    /// Waits as long as `condition` holds, at most for `timeout`.
    pub(crate) fn wait_while<'a, T>(
        changed: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        match changed.wait_timeout_while(guard, timeout, condition) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(PoisonError::new(error.into_inner().0)),
        }
    }
}

#[cfg(loom)]
mod model {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    use std::io;
    // loom's own aborts where a model is expected to fail, and counting owners is not what is modelled.
    pub(crate) use std::sync::Arc;
    use std::sync::LockResult;
    use std::time::Duration;

    /// Waits as long as `condition` holds: the timeout never comes, so who is not woken hangs, and loom
    /// says so.
    pub(crate) fn wait_while<'a, T>(
        changed: &Condvar,
        mut guard: MutexGuard<'a, T>,
        _timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = changed.wait(guard)?;
        }
        Ok(guard)
    }

    /// An eventfd: a flag under a lock, as the kernel's counter is under its wait queue's. What was
    /// written before `set` is seen by who sees it set or clears it.
    #[derive(Debug)]
    pub(crate) struct Event {
        set: Mutex<bool>,
        changed: Condvar,
    }

    impl Event {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                set: Mutex::new(false),
                changed: Condvar::new(),
            })
        }

        pub(crate) fn set(&self) {
            *self.set.lock().unwrap() = true;
            self.changed.notify_all();
        }

        pub(crate) fn clear(&self) {
            *self.set.lock().unwrap() = false;
        }

        /// poll(2) without a timeout.
        pub(crate) fn poll(&self) {
            let mut set = self.set.lock().unwrap();
            while !*set {
                set = self.changed.wait(set).unwrap();
            }
        }
    }
}

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use real::*;
