// SPDX-License-Identifier: GPL-2.0-only

//! How the pages of a ring get into a mapping (`map_mode`), and how many mappings live.
//!
//! One mode holds for all mappings that live at a time. The mode and the number of mappings are
//! therefore one word: a mapping learns the mode in the step that counts it, and the mode changes in
//! the step that finds no mapping.

use super::shim;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// How a page of the ring gets into a mapping. The numbers are those of `shim.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapMode {
    /// On touch: the fault handler inserts it, under the ring's lock, and some pages ahead.
    Fault,
    /// On touch: the fault handler hands it to the mm core, which inserts it later, without the
    /// ring's lock. To compare: such a page cannot be taken away again safely.
    Page,
    /// All of them by `mmap()` itself. To compare.
    Eager,
}

const MODE: u64 = 3;
const ONE: u64 = 4;

/// Mappings that live, times [`ONE`], and the mode.
static STATE: Atomic<u64> = Atomic::new(MapMode::Fault as u64);

impl MapMode {
    const ALL: [Self; 3] = [Self::Fault, Self::Page, Self::Eager];

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|&mode| mode as u64 == number)
    }

    /// Changes the mode of mappings to come.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number that is no mode, `EBUSY` while a mapping lives.
    pub(super) fn choose(number: u64) -> Result {
        let mode = Self::from_number(number).ok_or(EINVAL)? as u64;
        let mut state = STATE.load(Relaxed);
        while state < ONE {
            match STATE.cmpxchg(state, mode, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => state = now,
            }
        }
        // What is so already may be asked for at any time.
        match state & MODE == mode {
            true => Ok(()),
            false => Err(EBUSY),
        }
    }
}

/// `EOPNOTSUPP`: not in this mode. Not every kernel's Rust has a name for it.
pub(crate) fn unsupported() -> Error {
    // CAST: An errno is small.
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// A mapping that is being made, counted. Dropped, it is not counted any more.
pub(crate) struct Live(MapMode);

impl Live {
    pub(crate) fn begin() -> Self {
        let before = STATE.fetch_add(ONE, Relaxed);
        Self(MapMode::from_number(before & MODE).unwrap_or(MapMode::Fault))
    }

    pub(crate) fn mode(&self) -> MapMode {
        self.0
    }

    /// The mapping was made; [`ended`] is called when it goes.
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        ended();
    }
}

/// A mapping was copied or split: there is one more.
pub(crate) fn copied() {
    Live::begin().keep();
}

/// A mapping is gone.
pub(crate) fn ended() {
    STATE.fetch_sub(ONE, Relaxed);
}

/// Most pages that one fault maps, the touched one included (`fault_window`); at least 1.
pub(crate) fn fault_window() -> usize {
    shim::fault_window().max(1) as usize
}

/// The mode of mappings to come.
pub(crate) fn current() -> MapMode {
    MapMode::from_number(STATE.load(Relaxed) & MODE).unwrap_or(MapMode::Fault)
}
