// SPDX-License-Identifier: GPL-2.0

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
//! 4. [`Slot::homes`], a spinlock, always inside the stream lock and so with interrupts off: what the sound
//!    core's silence is written to, and what is synced. Two homes while a ring moves, so that silence is in the one that
//!    is left, to be copied, and in the one that was copied to.

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
}

impl Slot {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mappings = Arc::pin_init(Mappings::new(), GFP_KERNEL)?;
        let slot = pin_init!(Self {
            elapsed: Elapsed::new(),
            irqs: Atomic::new(0),
            loopback: Atomic::new(0),
            wish: Atomic::new(Wish::Ram as u32),
            mappings,
            levels: Levels::new(),
            ring <- new_mutex!(None),
            homes <- new_spinlock!([None, None]),
        });
        Arc::pin_init(slot, GFP_KERNEL)
    }

    /// Forgets the interrupts of before a PREPARE, which has reset the card's count to 0.
    pub(crate) fn reset_irqs(&self) {
        self.irqs.store(0, Relaxed);
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
