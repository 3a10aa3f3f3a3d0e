// SPDX-License-Identifier: GPL-2.0-only

//! The ring memory of a card, counted: what of [`crate::budget`] is spent.
//!
//! Lifetime: a [`Charge`] is part of the memory that it stands for, and is given back with it, whoever holds
//! that last. It keeps its [`Purse`], so that it may outlive the device.

use crate::budget;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What a card may have, and has.
///
/// # Invariants
///
/// `used` is the sum of all charges that live.
pub(crate) struct Purse {
    limit: u64,
    used: Atomic<u64>,
}

impl Purse {
    /// Of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Result<Arc<Self>> {
        let used = Atomic::new(0);
        Ok(Arc::new(Self { limit, used }, GFP_KERNEL)?)
    }

    /// Bytes that there may be, and are.
    pub(crate) fn state(&self) -> (u64, u64) {
        (self.limit, self.used.load(Relaxed))
    }

    /// Charges for `bytes` bytes, in whole pages, that take the place of `old` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: that is more than is left.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize, old: usize) -> Result<Charge> {
        let pages = |bytes: usize| budget::in_pages(bytes as u64, PAGE_SIZE as u64).ok_or(ENOMEM);
        let (bytes, old) = (pages(bytes)?, pages(old)?);
        let mut used = self.used.load(Relaxed);
        loop {
            let joined = budget::joined(used, self.limit, bytes, old).ok_or(ENOMEM)?;
            match self.used.cmpxchg(used, joined, Relaxed) {
                // INVARIANT: Added just now.
                Ok(_) => break,
                Err(now) => used = now,
            }
        }
        Ok(Charge {
            purse: self.clone(),
            bytes,
        })
    }
}

/// Bytes that are in use. Given back when dropped.
pub(crate) struct Charge {
    purse: Arc<Purse>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        // INVARIANT: It is gone.
        self.purse.used.fetch_sub(self.bytes, Relaxed);
    }
}
