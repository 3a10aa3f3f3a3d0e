// SPDX-License-Identifier: GPL-2.0-only

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
        News,
        VectorHandler,
        Woken, //
    },
    events::{
        self,
        Events, //
    },
    mm::{
        Binding,
        Purse,
        ScatterRing,
        Sram, //
    },
    regs::{
        self,
        Capabilities,
        Registers, //
    },
    ring::OnCard,
    slot::{
        Slot,
        Wish, //
    },
    status::StatusLines,
    vector, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        atomic::Full,
        Arc,
        SpinLock, //
    },
};

/// What all substreams share.
#[pin_data]
pub(crate) struct CardState {
    pub(crate) binding: Arc<Binding>,
    pub(crate) registers: Arc<Registers>,
    pub(crate) capabilities: Capabilities,
    pub(crate) status: StatusLines,
    /// If the card has any.
    pub(crate) events: Option<Arc<Events>>,
    /// Rings in main memory must be synced (M14).
    synced: bool,
    /// The card's own memory, if it has any.
    pub(crate) sram: Option<Arc<Sram>>,
    /// Playback streams, then capture streams: the card's own order.
    slots: KVec<Arc<Slot>>,
    /// Vectors granted, at least 1.
    vectors: u32,
    /// Largest ring, bytes.
    pub(crate) ring_bytes_max: usize,
    /// For all rings together.
    pub(crate) purse: Arc<Purse>,
    /// Of the group that linked streams are in for the time of one command. Inside stream locks, so with
    /// interrupts off.
    #[pin]
    group: SpinLock<()>,
}

/// The group that [`CardState::together`] uses.
const GROUP: u32 = 1;

impl CardState {
    pub(crate) fn new(
        binding: Arc<Binding>,
        registers: Arc<Registers>,
        capabilities: Capabilities,
        sram: Option<Arc<Sram>>,
        vectors: u32,
        ring_bytes_max: usize,
        purse: Arc<Purse>,
    ) -> Result<Arc<Self>> {
        let streams = capabilities.playback.saturating_add(capabilities.capture);
        if streams == 0 || streams > regs::SGRING_STREAMS_MAX {
            return Err(ENODEV);
        }
        let mut slots = KVec::with_capacity(streams as usize, GFP_KERNEL)?;
        for _ in 0..streams {
            slots.push(Slot::new()?, GFP_KERNEL)?;
        }
        let status = binding.with(|dev| StatusLines::new(dev, streams as usize))?;
        let events = Events::new(&binding, &registers, &capabilities, &slots)?;
        // The DMA layer itself only knows after the first mapping.
        let trial = binding.with(|dev| ScatterRing::new(dev, 1, true, Some(&binding), None))?;
        let synced = trial.is_synced();
        let state = pin_init!(Self {
            binding,
            registers,
            events,
            capabilities,
            status,
            synced,
            sram,
            slots,
            vectors,
            ring_bytes_max,
            purse,
            group <- new_spinlock!(()),
        });
        Arc::pin_init(state, GFP_KERNEL)
    }

    /// Who is asked before a ring is synced, if rings are: for [`ScatterRing::new`].
    pub(crate) fn sync(&self) -> Option<&Arc<Binding>> {
        self.synced.then_some(&self.binding)
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

    pub(crate) fn slot(&self, stream: u32) -> Result<&Arc<Slot>> {
        self.slots.get(stream as usize).ok_or(ENXIO)
    }

    /// No event is told any more. A reset has to follow, which ends their ring.
    pub(crate) fn end_events(&self) {
        if let Some(events) = &self.events {
            events.end();
        }
    }

    /// Streams of both directions.
    pub(crate) fn streams(&self) -> u32 {
        // CAST: At most `SGRING_STREAMS_MAX`.
        self.slots.len() as u32
    }

    /// Room on the card for a ring of `bytes` bytes of `slot`'s, as wished; `None` is main memory.
    ///
    /// # Errors
    ///
    /// `ENODEV` where there is no such memory, `ENOSPC` where it is full, `ENOMEM`.
    pub(crate) fn room(
        &self,
        dev: &Device<Bound>,
        slot: &Slot,
        wish: Wish,
        bytes: usize,
    ) -> Result<Option<OnCard>> {
        let place = match (&self.sram, wish) {
            (_, Wish::Ram) => return Ok(None),
            (Some(sram), _) => {
                OnCard::new(dev, sram, &slot.mappings, bytes, self.capabilities.table)
            }
            (None, _) => Err(ENODEV),
        };
        match place {
            Err(error) if wish == Wish::SramOrRam && (error == ENOSPC || error == ENODEV) => {
                Ok(None)
            }
            place => place.map(Some),
        }
    }

    /// Gives one of START, STOP and PAUSE to streams at one instant. `each` calls what it is given with the
    /// number of each of them. Under their stream locks.
    ///
    /// # Errors
    ///
    /// `EIO` when the card refuses: nothing has happened then. `ENODEV` when it is gone.
    pub(crate) fn together(
        &self,
        command: u32,
        each: impl Fn(&mut dyn FnMut(u32) -> Result) -> Result,
    ) -> Result {
        let member = |group| {
            move |stream| {
                self.registers
                    .stream(stream)?
                    .write(regs::SGRING_S_GROUP, group)
            }
        };
        let _alone = self.group.lock();
        let done =
            each(&mut member(GROUP)).and_then(|()| self.registers.group_command(GROUP, command));
        each(&mut member(0))?;
        done
    }

    pub(crate) fn vector_of(&self, stream: u32) -> u32 {
        vector::of_stream(stream, self.vectors)
    }
}

impl Woken for CardState {
    /// The card was switched off: levels and events. Streams are seen to when they go on.
    fn woken(&self) {
        for (number, slot) in (0u32..).zip(&self.slots) {
            // Gone, or not there any more: nobody hears it.
            let _ = self
                .registers
                .stream(number)
                .and_then(|regs| slot.levels.apply(&regs, &self.capabilities));
        }
        if let Some(events) = &self.events {
            if let Err(error) = events.begin() {
                pr_warn!("jacks are not watched after a sleep: {error:?}\n");
            }
        }
    }
}

impl VectorHandler for CardState {
    /// Looks at the streams of this vector and tells the sound core about those that have news.
    ///
    /// Reads no register. A count is compared, not a flag: an interrupt that was lost is made up for by
    /// the next one, and one that nobody asked for finds no news.
    fn interrupt(&self, vector: u32) {
        if let Some(events) = self.events.as_ref().filter(|_| vector == events::VECTOR) {
            events.interrupt(self.vectors > 1);
        }
        for (stream, slot) in (0u32..).zip(&self.slots) {
            if self.vector_of(stream) != vector {
                continue;
            }
            let look = || match self.status.events(stream) {
                // Full: the position is read after this, in `pointer()`, and must not be older.
                Some(events) if slot.irqs.xchg(events.irqs, Full) != events.irqs => {
                    match events.err {
                        regs::SGRING_ERR_NONE => News::Period,
                        _ => News::Stopped,
                    }
                }
                // Seen before, or after unbind.
                _ => News::Nothing,
            };
            slot.elapsed.tell(look, || slot.is_behind());
        }
    }
}
