// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference: what the data sheet says, and nothing that it does not say.
//!
//! Marks like `[D-20]` are its numbered statements. What a guest cannot know from the
//! sheet is *loose*: how a backend fares (DROPS and DELAY of streams that have one),
//! and what a recording that failed leaves behind its position [D-32]. Loose bytes
//! are taken over from the card.
//!
//! A clock that qtest moves is never late, so [D-35] is not here.

mod memory;
mod stream;

use std::ops::Range;

use crate::arena;
use crate::ops::Fault;
use crate::regs::*;
pub use memory::Memory;
pub use stream::{REGISTERS, Stream};

/// No error.
pub(crate) const NONE: u32 = SGRING_ERR_NONE;

/// How often each thing is still to go wrong.
#[derive(Debug, Default)]
pub struct Faults {
    sgt_errors: u32,
    data_errors: u32,
    status_errors: u32,
    irqs_lost: u32,
    torn: u32,
    overflows: u32,
    offset: u64,
    frozen: bool,
}

fn take(count: &mut u32) -> bool {
    let any = *count > 0;
    *count -= u32::from(any);
    any
}

/// The ring of events.
#[derive(Debug, Default)]
struct Events {
    reg_addr: u64,
    reg_vector: u32,
    addr: u64,
    vector: u32,
    count: u32,
    last: u64,
}

/// A card.
#[derive(Debug)]
pub struct Model {
    /// ns.
    pub now: u64,
    /// All memory.
    pub mem: Memory,
    /// Playback first.
    pub streams: Vec<Stream>,
    /// Ranges of the arena, and of the SRAM, that the sheet says nothing of.
    pub loose: Vec<Range<usize>>,
    /// As [`Model::loose`].
    pub loose_sram: Vec<Range<usize>>,
    /// What DMA has moved in stream 0 [D-75].
    pub tap: Vec<u8>,
    gerr: u32,
    events: Events,
    jacks: u32,
    faults: Faults,
}

/// Where one register is, and what it is.
struct Register {
    offset: u32,
    size: u32,
    field: Field,
}

enum Field {
    Constant(u64),
    Clock,
    Control,
    GroupCommand,
    Gerr,
    EventAddr,
    EventCount,
    EventVector,
    EventLast,
    Jacks,
    /// Of stream n.
    Command(usize),
    Stream(usize),
}

impl Model {
    /// A card at power-on, at a time.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            now,
            mem: Memory::new(),
            streams: (0..arena::STREAMS).map(Stream::new).collect(),
            loose: Vec::new(),
            loose_sram: Vec::new(),
            tap: Vec::new(),
            gerr: NONE,
            events: Events::default(),
            jacks: 3,
            faults: Faults::default(),
        }
    }

    /// [D-7] A reset of the card.
    pub fn reset(&mut self) {
        for stream in &mut self.streams {
            stream.power_on();
        }
        self.events = Events::default();
        self.gerr = NONE;
    }

    // ---- registers ------------------------------------------------------

    /// The register that `offset` is in; `None` where there is none [D-3].
    fn register(offset: u32) -> Option<Register> {
        use Field::{Constant, Stream as S};
        if offset >= SGRING_STREAM_BASE {
            let n = (offset - SGRING_STREAM_BASE) / SGRING_STREAM_STRIDE;
            let base = SGRING_STREAM_BASE + SGRING_STREAM_STRIDE * n;
            if n >= arena::STREAMS {
                return None;
            }
            return REGISTERS
                .iter()
                .find(|(at, size)| (base + at..base + at + size).contains(&offset))
                .map(|&(at, size)| Register {
                    offset: base + at,
                    size,
                    field: if at == SGRING_S_CMD {
                        Field::Command(n as usize)
                    } else {
                        S(n as usize)
                    },
                });
        }
        let features = 0x1fff; // all of the sheet: this card has SRAM and captures
        let of_card = [
            (SGRING_MAGIC, 4, Constant(0x4752_4753)),
            (SGRING_VERSION, 4, Constant(1 << 16 | 2)),
            (
                SGRING_CAP_STREAMS,
                4,
                Constant(u64::from(
                    arena::PLAYBACK | (arena::STREAMS - arena::PLAYBACK) << 8,
                )),
            ),
            (SGRING_CAP_FEATURES, 4, Constant(features)),
            (SGRING_CAP_VECTORS, 4, Constant(u64::from(arena::VECTORS))),
            (SGRING_CAP_RATE_MIN, 4, Constant(8000)),
            (SGRING_CAP_RATE_MAX, 4, Constant(384_000)),
            (SGRING_CAP_FORMATS, 4, Constant(0b1_0111_0111)),
            (SGRING_CAP_CHANNELS, 4, Constant(1 | 32 << 8)),
            (SGRING_CAP_PERIOD_MIN, 4, Constant(8)),
            (SGRING_CAP_PERIOD_MAX, 4, Constant(1_048_576)),
            (SGRING_CAP_SGT_MAX, 4, Constant(16384)),
            (SGRING_CAP_RING_MAX, 8, Constant(67_108_864)),
            (SGRING_CAP_SEG_MAX, 4, Constant(67_108_864)),
            (SGRING_CAP_DMA_BITS, 4, Constant(64)),
            (SGRING_CAP_GROUPS, 4, Constant(64)),
            (SGRING_CAP_BURST_MAX, 4, Constant(16384)),
            (SGRING_CAP_SRAM, 8, Constant(arena::SRAM as u64)),
            (SGRING_CAP_EVENTS_MAX, 4, Constant(4096)),
            (SGRING_CAP_JACKS, 4, Constant(2)),
            (SGRING_GCTL, 4, Field::Control),
            (SGRING_GERR, 4, Field::Gerr),
            (SGRING_CLOCK, 8, Field::Clock),
            (SGRING_GROUP_CMD, 4, Field::GroupCommand),
            (SGRING_EVENT_ADDR, 8, Field::EventAddr),
            (SGRING_EVENT_COUNT, 4, Field::EventCount),
            (SGRING_EVENT_VECTOR, 4, Field::EventVector),
            (SGRING_EVENT_LAST, 8, Field::EventLast),
            (SGRING_JACKS, 4, Field::Jacks),
        ];
        of_card
            .into_iter()
            .find(|(at, size, _)| (*at..at + size).contains(&offset))
            .map(|(offset, size, field)| Register {
                offset,
                size,
                field,
            })
    }

    /// [D-1] [D-2] The register an access is for; `Err` when none takes it, `None`
    /// where there is none [D-3].
    fn resolve(offset: u32, size: u32) -> Result<Option<Register>, ()> {
        if (size != 4 && size != 8) || offset % size != 0 {
            return Err(());
        }
        match Self::register(offset) {
            Some(r) if size <= r.size => Ok(Some(r)),
            None if size == 4 || Self::register(offset + 4).is_none() => Ok(None),
            _ => Err(()),
        }
    }

    fn value(&self, field: &Field, offset: u32) -> u64 {
        match *field {
            Field::Constant(value) => value,
            Field::Clock => self.now,
            Field::Control | Field::GroupCommand | Field::Command(_) => 0,
            Field::Gerr => self.gerr.into(),
            Field::EventAddr => self.events.reg_addr,
            Field::EventCount => self.events.count.into(),
            Field::EventVector => self.events.reg_vector.into(),
            Field::EventLast => self.events.last,
            Field::Jacks => self.jacks.into(),
            Field::Stream(n) => self.streams[n].register(offset & (SGRING_STREAM_STRIDE - 1)),
        }
    }

    /// What a read says; `None` when the sheet does not say.
    #[must_use]
    pub fn read(&self, offset: u32, size: u32) -> Option<u64> {
        let mask = if size == 8 {
            u64::MAX
        } else {
            (1 << (8 * size)) - 1
        };
        match Self::resolve(offset, size) {
            Err(()) => Some(mask),
            Ok(None) => Some(0),
            Ok(Some(r)) => {
                if let Field::Stream(n) = r.field {
                    if !self.streams[n].tells(r.offset & (SGRING_STREAM_STRIDE - 1)) {
                        return None;
                    }
                }
                let value = self.value(&r.field, r.offset);
                Some((value >> (8 * (offset - r.offset))) & mask)
            }
        }
    }

    /// A write.
    pub fn write(&mut self, offset: u32, size: u32, value: u64) {
        let Ok(Some(r)) = Self::resolve(offset, size) else {
            return;
        };
        let old = self.value(&r.field, r.offset);
        let value = match (r.size, size) {
            (8, 4) if offset == r.offset => old >> 32 << 32 | value & 0xffff_ffff,
            (8, 4) => old & 0xffff_ffff | value << 32,
            (4, _) => value & 0xffff_ffff,
            _ => value,
        };
        let low = value as u32;
        match r.field {
            Field::Constant(_) | Field::Clock | Field::Gerr | Field::EventLast | Field::Jacks => (),
            Field::Control => self.control(low),
            Field::GroupCommand => self.gerr = self.group(low),
            Field::EventAddr => self.events.reg_addr = value,
            Field::EventVector => self.events.reg_vector = low,
            Field::EventCount => self.gerr = self.begin_events(low),
            Field::Command(n) => self.command(n, low),
            Field::Stream(n) => {
                self.streams[n].set(r.offset & (SGRING_STREAM_STRIDE - 1), value);
            }
        }
    }

    /// [D-7] [D-8]
    fn control(&mut self, value: u32) {
        self.gerr = NONE;
        if value & !SGRING_GCTL_RESET != 0 {
            self.gerr = SGRING_ERR_BAD_COMMAND;
        } else if value != 0 {
            self.reset();
        }
    }

    // ---- interrupts and events -------------------------------------------

    /// A vector is sent: its message is a write of the card.
    fn send(&mut self, vector: u32) {
        let _ = self
            .mem
            .write(arena::message(vector), &(vector + 1).to_le_bytes());
    }

    /// The last thing of every step of a stream.
    fn send_asked(&mut self, n: usize) {
        if std::mem::take(&mut self.streams[n].asked) && !take(&mut self.faults.irqs_lost) {
            self.send(self.streams[n].taken.vector);
        }
    }

    /// [D-120]
    fn begin_events(&mut self, count: u32) -> u32 {
        let e = &mut self.events;
        e.count = 0;
        e.last = 0;
        let past = u128::from(e.reg_addr) + 32 * u128::from(count) > u128::from(u64::MAX);
        if count > 4096 || e.reg_addr % 64 != 0 || (count > 0 && past) {
            return SGRING_ERR_BAD_EVENTS;
        }
        if e.reg_vector >= arena::VECTORS {
            return SGRING_ERR_BAD_VECTOR;
        }
        (e.addr, e.vector, e.count) = (e.reg_addr, e.reg_vector, count);
        NONE
    }

    /// [D-121] [D-122] [D-125]
    fn event(&mut self, kind: u32, index: u32, value: u32) {
        let e = &mut self.events;
        if e.count == 0 {
            return;
        }
        if take(&mut self.faults.overflows) {
            e.last += u64::from(e.count); // [D-163]
        }
        let at = e.addr + e.last % u64::from(e.count) * u64::from(SGRING_EVENT_SIZE);
        e.last += 1;
        let vector = e.vector;
        let mut entry = Vec::with_capacity(32);
        entry.extend_from_slice(&e.last.to_le_bytes());
        entry.extend_from_slice(&self.now.to_le_bytes());
        for word in [kind, index, value, 0] {
            entry.extend_from_slice(&word.to_le_bytes());
        }
        if !self.mem.write(at, &entry) {
            self.events.count = 0;
            self.gerr = SGRING_ERR_DMA_EVENT;
        }
        self.send(vector);
    }

    // ---- the host --------------------------------------------------------

    /// [D-123] [D-127]
    pub fn plug(&mut self, jack: u32, plugged: bool) {
        let was = self.jacks;
        self.jacks = was & !(1 << jack) | u32::from(plugged) << jack;
        if self.jacks != was {
            self.event(SGRING_EVENT_JACK, jack, plugged.into());
        }
    }

    /// [D-150]
    pub fn fault(&mut self, fault: Fault, value: u32) {
        let f = &mut self.faults;
        match fault {
            Fault::SgtErrors => f.sgt_errors = value,
            Fault::DataErrors => f.data_errors = value,
            Fault::StatusErrors => f.status_errors = value,
            Fault::IrqsLost => f.irqs_lost = value,
            Fault::Torn => f.torn = value,
            Fault::Overflows => f.overflows = value,
            Fault::Offset => f.offset = value.into(),
            Fault::Frozen => f.frozen = value > 0,
        }
    }
}
