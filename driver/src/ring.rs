// SPDX-License-Identifier: GPL-2.0-only

//! A substream's ring: its memory, and the table that tells the card where it is.
//!
//! Made by `hw_params` and dropped by `hw_free`. Every ring has pages in main memory; it may live in the card's
//! own memory instead (its [`Home`]), and the pages then wait to take it back, so that moving to main
//! memory cannot fail, at the end of the device least of all.
//!
//! User space gets the pages of its home one by one in [`Ring::fault`]. A ring changes its home under the
//! ring lock ([`crate::slot`]), under which faults are answered as well.

use crate::{
    ahead::Ahead,
    bounds,
    descriptor::{
        self,
        Limits, //
    },
    mm::{
        fault::{
            Answer,
            Mapping,
            VmFault, //
        },
        mode,
        trace::Backing,
        Area,
        Binding,
        Charge,
        Mappings,
        ScatterRing,
        SharedWords,
        Sram, //
    },
    regs, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    mm::virt::VmaNew,
    prelude::*,
    sync::Arc, //
};

const WORDS_PER_DESCRIPTOR: usize = regs::SGRING_SEG_SIZE as usize / 8;

/// Where a ring's bytes are.
#[derive(Clone)]
pub(crate) enum Home {
    Ram(Arc<ScatterRing>),
    Sram(Arc<Area>),
}

impl Home {
    pub(crate) fn backing(&self) -> Backing {
        match self {
            Self::Ram(_) => Backing::Ram,
            Self::Sram(_) => Backing::Sram,
        }
    }

    /// Hands `bytes` bytes from `at` on over to whoever reads them, the device or the CPU. Any context.
    ///
    /// The card's own memory is in nobody's hand.
    pub(crate) fn sync(&self, at: usize, bytes: usize) {
        match self {
            Self::Ram(memory) => memory.sync(at, bytes),
            Self::Sram(_) => {}
        }
    }

    /// Writes `data` from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` behind the end; `ENODEV` on the card, after unbind.
    pub(crate) fn write(&self, at: usize, data: &[u8]) -> Result {
        match self {
            Self::Ram(memory) => memory.write(at, data),
            Self::Sram(area) => area.write(at, data),
        }
    }

    /// Reads from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn read(&self, at: usize, data: &mut [u8]) -> Result {
        match self {
            Self::Ram(memory) => memory.read(at, data),
            Self::Sram(area) => area.read(at, data),
        }
    }
}

/// A scatter-gather table for the card.
pub(crate) struct Table {
    words: SharedWords,
    count: u32,
}

impl Table {
    /// Of `segments` (address, bytes), each with the flags `SGRING_SEG_*`.
    fn new<I: Iterator<Item = (u64, u64)>>(
        dev: &Device<Bound>,
        limits: Limits,
        flags: u32,
        segments: impl Fn() -> I,
    ) -> Result<Self> {
        let count = descriptor::for_each(segments(), limits, |_, _| ())
            .map_err(|error| table_error(dev, error))?;
        let words = (count as usize)
            .checked_mul(WORDS_PER_DESCRIPTOR)
            .ok_or(EOVERFLOW)?;
        let table = SharedWords::new(dev, words)?;
        descriptor::for_each(segments(), limits, |index, [address, bytes]| {
            let first = index as usize * WORDS_PER_DESCRIPTOR;
            table.store(first, address);
            table.store(first + 1, bytes | u64::from(flags) << 32);
        })
        .map_err(|error| table_error(dev, error))?;
        Ok(Self {
            words: table,
            count,
        })
    }

    /// The card's address of it.
    pub(crate) fn address(&self) -> u64 {
        self.words.address_of(0)
    }

    /// Descriptors in it.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// A place for a ring in the card's memory.
pub(crate) struct OnCard {
    area: Arc<Area>,
    table: Table,
}

impl OnCard {
    /// Takes room for `bytes` bytes, zeroed. Process context.
    ///
    /// # Errors
    ///
    /// `ENOSPC` where the card's memory is full, `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        sram: &Arc<Sram>,
        mappings: &Arc<Mappings>,
        bytes: usize,
        limits: Limits,
    ) -> Result<Self> {
        let area = sram.take(bytes, mappings)?;
        area.clear()?;
        let segment = (area.offset(), bytes as u64);
        let table = Table::new(dev, limits, regs::SGRING_SEG_SRAM, || {
            core::iter::once(segment)
        })?;
        Ok(Self { area, table })
    }

    pub(crate) fn home(&self) -> Home {
        Home::Sram(self.area.clone())
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }
}

pub(crate) struct Ring {
    memory: Arc<ScatterRing>,
    memory_table: Table,
    /// Where the ring lives, if not in `memory`.
    card: Option<OnCard>,
    ahead: Ahead,
}

impl Ring {
    /// Allocates a ring of `bytes` bytes in main memory; `sync` and `charge` as for [`ScatterRing::new`]. Process
    /// context, without the ring lock.
    pub(crate) fn new(
        dev: &Device<Bound>,
        bytes: usize,
        playback: bool,
        sync: Option<&Arc<Binding>>,
        limits: Limits,
        charge: Charge,
    ) -> Result<Self> {
        let memory = ScatterRing::new(dev, bytes, playback, sync, Some(charge))?;
        let memory_table = Table::new(dev, limits, 0, || memory.segments())?;
        Ok(Self {
            memory,
            memory_table,
            card: None,
            ahead: Ahead::new(),
        })
    }

    /// Its pages in main memory, wherever it lives.
    pub(crate) fn memory(&self) -> &Arc<ScatterRing> {
        &self.memory
    }

    pub(crate) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    pub(crate) fn home(&self) -> Home {
        match &self.card {
            Some(card) => card.home(),
            None => Home::Ram(self.memory.clone()),
        }
    }

    pub(crate) fn is_on_card(&self) -> bool {
        self.card.is_some()
    }

    /// The table of its home.
    pub(crate) fn table(&self) -> &Table {
        match &self.card {
            Some(card) => card.table(),
            None => &self.memory_table,
        }
    }

    /// The table of its pages in main memory.
    pub(crate) fn memory_table(&self) -> &Table {
        &self.memory_table
    }

    /// Lives in `card` from now on, or in main memory. Returns where it was on the card, to be dropped
    /// without locks. Moves no byte.
    pub(crate) fn settle(&mut self, card: Option<OnCard>) -> Option<OnCard> {
        core::mem::replace(&mut self.card, card)
    }

    /// Whether `mapping` lies in the ring (M2).
    ///
    /// # Errors
    ///
    /// `EINVAL`, as the sound core's own check.
    pub(crate) fn check_mapping(&self, mapping: Mapping) -> Result {
        bounds::check_mapping(mapping.pgoff, mapping.pages, self.memory.pages()).map_err(|_| EINVAL)
    }

    /// Maps the page that was touched (M1, M3), if the ring has it (M2), and others ahead of a client
    /// that goes through the ring in order, `most` pages in all (M9). One answer for both homes (M19).
    pub(crate) fn fault(&mut self, fault: &VmFault<'_>, most: usize) -> Answer {
        let Some(index) = bounds::page_index(fault.pgoff(), self.memory.pages()) else {
            return Answer::SIGBUS;
        };
        let window = self.ahead.pages(index, most);
        let answer = match &self.card {
            Some(card) => card.area.insert(fault, index, window),
            None => self.memory.insert(fault, index, window),
        };
        self.ahead.mapped(index, answer.pages());
        answer
    }

    /// Maps all of `mapping` at once (M7).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for a ring on the card.
    pub(crate) fn populate(&self, vma: &VmaNew, mapping: Mapping) -> Result {
        match self.card {
            Some(_) => Err(mode::unsupported()),
            None => self.memory.populate(vma, mapping),
        }
    }
}

fn table_error(dev: &Device<Bound>, error: descriptor::TableError) -> Error {
    dev_err!(dev, "no table for this ring: {error:?}\n");
    match error {
        descriptor::TableError::TooMany => ENOMEM,
        descriptor::TableError::Unaligned => EINVAL,
    }
}
