// SPDX-License-Identifier: GPL-2.0-only

//! The card's events: jacks that are plugged and unplugged, streams that have failed.
//!
//! The interrupt handler only looks whether there may be news. They are read and told by a work item, since who
//! is told may sleep. What the ring says is not believed further than it must be: an event that was lost, or
//! rubbish, ends with a look at the JACKS register, and one run of the work item reads at most as many events
//! as the ring has entries.
//!
//! That a stream has failed is in its status line, as a rule, and its own interrupt tells the sound core. The
//! event counts where the card could not write that line; the register says whether it is still true.
//!
//! Lifetime: the ring is the device's and goes at unbind; the card must have let go of it before, by a reset
//! after [`Events::end`]. The rest lives as long as the card.

use crate::{
    alsa::{
        Deferred,
        JackInfo,
        JackKind,
        Jacks,
        Task, //
    },
    event::{
        self,
        Event,
        Look, //
    },
    mm::{
        Binding,
        SharedWords, //
    },
    regs::{
        self,
        Capabilities,
        Registers, //
    },
    seam,
    slot::Slot, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

kernel::build_assert::static_assert!(regs::SGRING_EVENT_SIZE as usize == 8 * event::WORDS);
kernel::build_assert::static_assert!(regs::SGRING_EVENT_NUMBER == 0);
kernel::build_assert::static_assert!(regs::SGRING_EVENT_TYPE == 16);
kernel::build_assert::static_assert!(regs::SGRING_EVENT_INDEX == 20);
kernel::build_assert::static_assert!(regs::SGRING_EVENT_VALUE == 24);

/// The vector that events come with.
pub(crate) const VECTOR: u32 = 0;

/// Entries in the ring: a page.
const ENTRIES: u32 = 128;

/// The card's jacks, in its order.
static JACKS: [JackInfo; 2] = [
    JackInfo {
        kind: JackKind::LineOut,
        input: c"Line Out",
        element: c"Line Out Jack",
    },
    JackInfo {
        kind: JackKind::LineIn,
        input: c"Line",
        element: c"Line Jack",
    },
];

/// Events of one card. See the module.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    work: Deferred<Reader>,
}

#[pin_data]
struct Reader {
    registers: Arc<Registers>,
    ring: SharedWords,
    entries: u32,
    jacks: Arc<Jacks>,
    /// Of the card's streams, in its order.
    slots: KVec<Arc<Slot>>,
    /// How many of [`JACKS`] the card has.
    count: u32,
    /// Number of the event to be looked for next; 0 while there is no ring. Written under `live`.
    next: Atomic<u64>,
    /// Whether there may be a ring at all. Held while events are told, so that they are in order.
    #[pin]
    live: Mutex<bool>,
}

impl Events {
    /// For a card with events and jacks, `None` for another. There is no ring yet.
    pub(crate) fn new(
        binding: &Binding,
        registers: &Arc<Registers>,
        capabilities: &Capabilities,
        streams: &[Arc<Slot>],
    ) -> Result<Option<Arc<Self>>> {
        if !capabilities.has(regs::SGRING_FEAT_EVENTS) || !capabilities.has(regs::SGRING_FEAT_JACK)
        {
            return Ok(None);
        }
        let entries = registers.read(regs::SGRING_CAP_EVENTS_MAX)?.min(ENTRIES);
        // CAST: A few.
        let count = registers
            .read(regs::SGRING_CAP_JACKS)?
            .min(JACKS.len() as u32);
        // CAST: At most ENTRIES.
        let words = entries.max(1) as usize * event::WORDS;
        let ring = binding.with(|dev| SharedWords::new(dev, words))?;
        let jacks = Jacks::new()?;
        let mut slots = KVec::with_capacity(streams.len(), GFP_KERNEL)?;
        for slot in streams {
            slots.push(slot.clone(), GFP_KERNEL)?;
        }
        let reader = try_pin_init!(Reader {
            registers: registers.clone(),
            ring,
            entries,
            jacks,
            slots,
            count,
            next: Atomic::new(0),
            live <- new_mutex!(true),
        });
        let events = try_pin_init!(Self {
            work <- Deferred::new(reader),
        });
        Ok(Some(Arc::pin_init(events, GFP_KERNEL)?))
    }

    /// The jacks that are told about.
    pub(crate) fn jacks(&self) -> (&Arc<Jacks>, &'static [JackInfo]) {
        let reader = self.work.task();
        let names = JACKS.get(..reader.count as usize).unwrap_or(&JACKS);
        (&reader.jacks, names)
    }

    /// Has the card tell its events from now on, and tells the jacks how they are. Also after a reset of the
    /// card. May sleep.
    ///
    /// # Errors
    ///
    /// `EIO` when the card refuses the ring; `ENODEV` when it is gone or [`Self::end`] was called.
    pub(crate) fn begin(&self) -> Result {
        let reader = self.work.task();
        match *reader.live.lock() {
            true => reader.begin(),
            false => Err(ENODEV),
        }
    }

    /// The card's vector for events has fired; `alone`: nothing but events has it. Any context.
    pub(crate) fn interrupt(&self, alone: bool) {
        // An event that could not be written ends the ring: the card then says so without an event, and the
        // work item has to ask.
        if self.work.task().has_news(alone) {
            self.work.queue();
        }
    }

    /// Makes sure that the card still tells: what could not be written has ended the ring, and the interrupt
    /// that says so may have got lost with it. Any context.
    pub(crate) fn remind(&self) {
        let reader = self.work.task();
        if reader.next.load(Relaxed) != 0
            && reader.registers.read(regs::SGRING_EVENT_COUNT) == Ok(0)
        {
            self.work.queue();
        }
    }

    /// No event is told and no ring made any more. The card may still write into the one it has. May sleep.
    pub(crate) fn end(&self) {
        let reader = self.work.task();
        *reader.live.lock() = false;
        self.work.end();
    }
}

impl Reader {
    fn load(&self, at: usize) -> Option<u64> {
        let word = self.ring.load(at);
        // The loads of one entry are in the order of the program.
        seam::dma_rmb();
        word
    }

    fn has_news(&self, always: bool) -> bool {
        match self.next.load(Relaxed) {
            0 => false,
            next => always || event::may_be_there(next, self.entries, |at| self.ring.load(at)),
        }
    }

    /// `live` is held.
    fn begin(&self) -> Result {
        let registers = &self.registers;
        self.next.store(0, Relaxed);
        // Ends the one that may be there; an answer to a read comes after that has happened.
        registers.write(regs::SGRING_EVENT_COUNT, 0)?;
        registers.check()?;
        for entry in 0..self.entries as usize {
            self.ring.store(entry * event::WORDS, 0);
        }
        registers.write64(regs::SGRING_EVENT_ADDR, self.ring.address_of(0))?;
        registers.write(regs::SGRING_EVENT_VECTOR, VECTOR)?;
        // Before the card can tell the first one.
        self.next.store(1, Relaxed);
        registers.write(regs::SGRING_EVENT_COUNT, self.entries)?;
        if registers.read(regs::SGRING_EVENT_COUNT)? != self.entries {
            self.next.store(0, Relaxed);
            registers.check()?;
            pr_err!("the card refuses a ring of {} events\n", self.entries);
            return Err(EIO);
        }
        self.look_at_jacks()
    }

    /// Reads what has been told. `live` is held.
    fn read(&self) -> Result {
        let mut seen = false;
        for _ in 0..self.entries {
            let next = self.next.load(Relaxed);
            match event::look(next, self.entries, |at| self.load(at)) {
                Look::Nothing => break,
                Look::Event(event) => {
                    self.next.store(next.saturating_add(1), Relaxed);
                    self.tell(event);
                }
                Look::Lost => {
                    // In this order: what is told after that is found in the ring.
                    self.next.store(self.last()?.saturating_add(1), Relaxed);
                    self.look_at_jacks()?;
                    self.look_at_streams();
                }
            }
            seen = true;
        }
        if !seen && self.registers.read(regs::SGRING_EVENT_COUNT)? == 0 {
            self.begin()?;
        }
        Ok(())
    }

    /// The number of the last event. The two halves are of one moment.
    fn last(&self) -> Result<u64> {
        const HIGH: u32 = regs::SGRING_EVENT_LAST + 4;
        let registers = &self.registers;
        let high = registers.read(HIGH)?;
        let mut low = registers.read(regs::SGRING_EVENT_LAST)?;
        let again = registers.read(HIGH)?;
        if again != high {
            low = registers.read(regs::SGRING_EVENT_LAST)?;
        }
        registers.check()?;
        Ok(u64::from(again) << 32 | u64::from(low))
    }

    fn look_at_jacks(&self) -> Result {
        let plugged = self.registers.read(regs::SGRING_JACKS)?;
        self.registers.check()?;
        for jack in 0..self.count {
            self.jacks.report(jack, plugged >> jack & 1 != 0);
        }
        Ok(())
    }

    fn look_at_streams(&self) {
        for stream in (0u32..).take(self.slots.len()) {
            self.look_at_stream(stream);
        }
    }

    /// Stops the substream of a stream that has failed.
    fn look_at_stream(&self, stream: u32) {
        if let Some(slot) = self.slots.get(stream as usize) {
            slot.elapsed.stop_if(|| {
                let registers = self.registers.stream(stream);
                let state = registers.and_then(|regs| regs.read(regs::SGRING_S_STATE));
                state == Ok(regs::SGRING_STATE_ERROR)
            });
        }
    }

    fn tell(&self, event: Event) {
        match event.kind {
            regs::SGRING_EVENT_JACK if event.index < self.count => {
                self.jacks.report(event.index, event.value != 0);
            }
            regs::SGRING_EVENT_ERROR => self.look_at_stream(event.index),
            _ => {}
        }
    }
}

impl Task for Reader {
    fn run(&self) {
        let live = self.live.lock();
        if *live && self.next.load(Relaxed) != 0 {
            // A card that does not answer any more has no one to tell it to.
            let _ = self.read();
        }
    }
}
