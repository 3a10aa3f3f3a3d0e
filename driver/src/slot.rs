// SPDX-License-Identifier: GPL-2.0-only

//! What the card keeps of a stream, open or not.
//!
//! Locks, outermost first:
//!
//! 1. [`Slot::ring`], a mutex, covers the ring from `hw_params` to `hw_free` and where it lives. Each page
//!    fault looks up and inserts under it, so that a ring cannot go away or move in between (M16). It is
//!    taken inside the mmap lock and the binding's mutex; nothing is copied to or from user space or freed
//!    under it.
//! 2. The list of [`Slot::mappings`].
//! 3. The PCM stream lock.
//! 4. Two spinlocks, neither inside the other, always inside the stream lock and so with interrupts off.
//!    [`Slot::homes`]: what the sound core's silence is written to, and what is synced. Two homes while a ring
//!    moves, so that silence is in the one that is left, to be copied, and in the one that was copied to.
//!    [`Slot::told`]: what the card was told, for a start that finds it has forgotten.

use crate::{
    alsa::Elapsed,
    levels::Levels,
    mm::Mappings,
    ring::{
        Home,
        Ring, //
    }, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    }, //
};

/// What `hw_params` has chosen.
#[derive(Clone, Copy)]
pub(crate) struct Params {
    /// `SGRING_FMT_*`
    pub(crate) format: u32,
    pub(crate) rate: u32,
    pub(crate) channels: u32,
    /// Frames.
    pub(crate) period: u32,
    /// Frames.
    pub(crate) ring: u32,
    /// Bytes of a frame.
    pub(crate) frame_bytes: u32,
}

pub(crate) struct Configured {
    pub(crate) ring: Ring,
    pub(crate) params: Params,
}

/// What the card was told of a stream by PREPARE, to be told again if it forgets.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) params: Params,
    /// The table: its address and its descriptors.
    pub(crate) table: (u64, u32),
    /// Where the client's position is for the card to read; 0 for nowhere.
    pub(crate) appl: u64,
    /// `SGRING_FLAG_*`
    pub(crate) flags: u32,
}

/// Where the user wants a stream's ring to live. The numbers are the control's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Ram,
    /// On the card, or not at all.
    Sram,
    /// On the card, in main memory when that is full.
    SramOrRam,
}

impl Wish {
    pub(crate) const NAMES: [&'static CStr; 3] = [c"RAM", c"SRAM", c"SRAM or RAM"];

    pub(crate) fn from_number(number: u32) -> Result<Self> {
        [Self::Ram, Self::Sram, Self::SramOrRam]
            .into_iter()
            .find(|&wish| wish as u32 == number)
            .ok_or(EINVAL)
    }
}

/// See the module.
#[pin_data]
pub(crate) struct Slot {
    pub(crate) elapsed: Elapsed,
    /// The stream's interrupt count when it was last looked at.
    pub(crate) irqs: Atomic<u32>,
    /// 1 while the sound core has to ask again to know all of the position. Stream lock.
    behind: Atomic<u32>,
    /// A capture stream records its playback stream; 0 or 1.
    loopback: Atomic<u32>,
    /// A [`Wish`]. Changed under `ring`.
    wish: Atomic<u32>,
    pub(crate) mappings: Arc<Mappings>,
    pub(crate) levels: Levels,
    #[pin]
    pub(crate) ring: Mutex<Option<Configured>>,
    #[pin]
    homes: SpinLock<[Option<Home>; 2]>,
    #[pin]
    told: SpinLock<Option<Told>>,
}

impl Slot {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mappings = Arc::pin_init(Mappings::new(), GFP_KERNEL)?;
        let slot = pin_init!(Self {
            elapsed: Elapsed::new(),
            irqs: Atomic::new(0),
            behind: Atomic::new(0),
            loopback: Atomic::new(0),
            wish: Atomic::new(Wish::Ram as u32),
            mappings,
            levels: Levels::new(),
            ring <- new_mutex!(None),
            homes <- new_spinlock!([None, None]),
            told <- new_spinlock!(None),
        });
        Arc::pin_init(slot, GFP_KERNEL)
    }

    /// Forgets the interrupts of before a PREPARE, which has reset the card's count to 0.
    pub(crate) fn reset_irqs(&self) {
        self.irqs.store(0, Relaxed);
    }

    /// What was reported of the position is all of it, or not. Under the stream lock.
    pub(crate) fn set_behind(&self, behind: bool) {
        self.behind.store(behind.into(), Relaxed);
    }

    /// Whether there is more of the position to be reported. Under the stream lock.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed) != 0
    }

    pub(crate) fn loopback(&self) -> bool {
        self.loopback.load(Relaxed) != 0
    }

    /// Whether it was otherwise before.
    pub(crate) fn set_loopback(&self, on: bool) -> bool {
        self.loopback.xchg(on.into(), Relaxed) != u32::from(on)
    }

    pub(crate) fn wish(&self) -> Wish {
        Wish::from_number(self.wish.load(Relaxed)).unwrap_or(Wish::Ram)
    }

    /// Whether it was otherwise before.
    pub(crate) fn set_wish(&self, wish: Wish) -> bool {
        self.wish.xchg(wish as u32, Relaxed) != wish as u32
    }

    /// From now on silence goes to `homes`. May sleep.
    pub(crate) fn silence_goes_to(&self, homes: [Option<Home>; 2]) {
        let old = self
            .elapsed
            .locked(|_| core::mem::replace(&mut *self.homes.lock(), homes));
        // Not under the locks: it may be the last reference, which frees the memory.
        drop(old);
    }

    /// The card is about to be told `told`. May sleep.
    pub(crate) fn will_tell(&self, told: Told) {
        self.elapsed.locked(|_| *self.told.lock() = Some(told));
    }

    /// The ring has moved to another table. Under the stream lock.
    pub(crate) fn table_is(&self, address: u64, count: u32) {
        if let Some(told) = &mut *self.told.lock() {
            told.table = (address, count);
        }
    }

    /// What the card was told last. Under the stream lock.
    pub(crate) fn told(&self) -> Option<Told> {
        *self.told.lock()
    }

    /// Hands `bytes` bytes from `at` on over between CPU and device. Under the stream lock.
    pub(crate) fn sync(&self, at: usize, bytes: usize) {
        for home in self.homes.lock().iter().flatten() {
            home.sync(at, bytes);
        }
    }

    /// Writes silence from byte `at` on. Under the stream lock.
    pub(crate) fn silence(&self, at: usize, silence: &[u8]) -> Result {
        for home in self.homes.lock().iter().flatten() {
            home.write(at, silence)?;
        }
        Ok(())
    }
}
