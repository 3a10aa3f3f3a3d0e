// SPDX-License-Identifier: GPL-2.0

//! What all substreams of one card share, and its interrupts.
//!
//! Lifetime: a [`CardState`] lives as long as the ALSA card, which may be longer than the device is bound.
//! Its device resources (registers, status lines) end at unbind by themselves: calls on them then fail,
//! and every caller copes.
//!
//! State shared with the interrupt handler is atomic. The handler takes no lock of the driver's, so
//! that it may call into the sound core, which takes the PCM stream lock.

use crate::{
    alsa::{
        Elapsed,
        News,
        VectorHandler, //
    },
    mm::Binding,
    regs::{
        self,
        Capabilities,
        Registers, //
    },
    status::StatusLines,
    vector, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
    },
};

/// What the card keeps of a stream, open or not.
pub(crate) struct Slot {
    pub(crate) elapsed: Elapsed,
    /// The stream's interrupt count when it was last looked at.
    irqs: Atomic<u32>,
    /// A capture stream records its playback stream; 0 or 1.
    loopback: Atomic<u32>,
}

/// What all substreams share.
pub(crate) struct CardState {
    pub(crate) binding: Arc<Binding>,
    pub(crate) registers: Registers,
    pub(crate) capabilities: Capabilities,
    pub(crate) status: StatusLines,
    /// Playback streams, then capture streams: the card's own order.
    slots: KVec<Slot>,
    /// Vectors granted, at least 1.
    vectors: u32,
    /// Largest ring, bytes.
    pub(crate) ring_bytes_max: usize,
}

impl CardState {
    pub(crate) fn new(
        binding: Arc<Binding>,
        registers: Registers,
        capabilities: Capabilities,
        vectors: u32,
        ring_bytes_max: usize,
    ) -> Result<Arc<Self>> {
        let streams = capabilities.playback.saturating_add(capabilities.capture);
        if streams == 0 || streams > regs::SGRING_STREAMS_MAX {
            return Err(ENODEV);
        }
        let mut slots = KVec::with_capacity(streams as usize, GFP_KERNEL)?;
        for _ in 0..streams {
            let slot = Slot {
                elapsed: Elapsed::new(),
                irqs: Atomic::new(0),
                loopback: Atomic::new(0),
            };
            slots.push(slot, GFP_KERNEL)?;
        }
        let status = binding.with(|dev| StatusLines::new(dev, streams as usize))?;
        let state = Self {
            binding,
            registers,
            capabilities,
            status,
            slots,
            vectors,
            ring_bytes_max,
        };
        Ok(Arc::new(state, GFP_KERNEL)?)
    }

    /// The card's number for a substream, or `ENXIO`.
    pub(crate) fn stream_of(&self, playback: bool, number: u32) -> Result<u32> {
        let (first, count) = match playback {
            true => (0, self.capabilities.playback),
            false => (self.capabilities.playback, self.capabilities.capture),
        };
        if number >= count {
            return Err(ENXIO);
        }
        first.checked_add(number).ok_or(ENXIO)
    }

    pub(crate) fn slot(&self, stream: u32) -> Result<&Slot> {
        self.slots.get(stream as usize).ok_or(ENXIO)
    }

    pub(crate) fn vector_of(&self, stream: u32) -> u32 {
        vector::of_stream(stream, self.vectors)
    }
}

impl Slot {
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
}

impl VectorHandler for CardState {
    /// Looks at the streams of this vector and tells the sound core about those that have news.
    ///
    /// Reads no register. A count is compared, not a flag: an interrupt that was lost is made up for by
    /// the next one, and one that nobody asked for finds no news.
    fn interrupt(&self, vector: u32) {
        for (stream, slot) in (0u32..).zip(&self.slots) {
            if self.vector_of(stream) != vector {
                continue;
            }
            slot.elapsed.tell(|| match self.status.events(stream) {
                // Full: the position is read after this, in `pointer()`, and must not be older.
                Some(events) if slot.irqs.xchg(events.irqs, Full) != events.irqs => {
                    match events.err {
                        regs::SGRING_ERR_NONE => News::Period,
                        _ => News::Stopped,
                    }
                }
                // Seen before, or after unbind.
                _ => News::Nothing,
            });
        }
    }
}
