// SPDX-License-Identifier: GPL-2.0

//! A substream's ring: its pages, and the table that tells the card where they are.
//!
//! Both are made by `hw_params` and dropped by `hw_free`. The pages are shared with the sound core, which
//! copies and silences through their linear address, and with user space, which gets them one by one
//! in [`Ring::fault`].

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
        ScatterRing, SharedWords,
    },
    regs, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DataDirection,
    mm::virt::VmaNew,
    prelude::*,
    sync::Arc, //
};

const WORDS_PER_DESCRIPTOR: usize = regs::SGRING_SEG_SIZE as usize / 8;

pub(crate) struct Ring {
    memory: Arc<ScatterRing>,
    table: SharedWords,
    descriptors: u32,
    ahead: Ahead,
}

impl Ring {
    /// Allocates a ring of `bytes` bytes and its table. Process context, without the ring lock.
    pub(crate) fn new(
        dev: &Device<Bound>,
        bytes: usize,
        playback: bool,
        limits: Limits,
    ) -> Result<Self> {
        let dir = match playback {
            true => DataDirection::ToDevice,
            false => DataDirection::FromDevice,
        };
        let memory = ScatterRing::new(dev, bytes, dir)?;

        let count = descriptor::for_each(memory.segments(), limits, |_, _| ())
            .map_err(|error| table_error(dev, error))?;
        let words = (count as usize)
            .checked_mul(WORDS_PER_DESCRIPTOR)
            .ok_or(EOVERFLOW)?;
        let table = SharedWords::new(dev, words)?;
        descriptor::for_each(memory.segments(), limits, |index, words| {
            let first = index as usize * WORDS_PER_DESCRIPTOR;
            for (word, value) in (first..).zip(words) {
                table.store(word, value);
            }
        })
        .map_err(|error| table_error(dev, error))?;

        Ok(Self {
            memory,
            table,
            descriptors: count,
            ahead: Ahead::new(),
        })
    }

    pub(crate) fn memory(&self) -> &Arc<ScatterRing> {
        &self.memory
    }

    /// The card's address of the table.
    pub(crate) fn table_address(&self) -> u64 {
        self.table.address_of(0)
    }

    /// Descriptors in the table.
    pub(crate) fn descriptors(&self) -> u32 {
        self.descriptors
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
    /// that goes through the ring in order, `most` pages in all (M9).
    pub(crate) fn fault(&mut self, fault: &VmFault<'_>, most: usize) -> Answer {
        let Some(index) = bounds::page_index(fault.pgoff(), self.memory.pages()) else {
            return Answer::SIGBUS;
        };
        let answer = self
            .memory
            .insert(fault, index, self.ahead.pages(index, most));
        self.ahead.mapped(index, answer.pages());
        answer
    }

    /// Maps all of `mapping` at once (M7).
    pub(crate) fn populate(&self, vma: &VmaNew, mapping: Mapping) -> Result {
        self.memory.populate(vma, mapping)
    }
}

fn table_error(dev: &Device<Bound>, error: descriptor::TableError) -> Error {
    dev_err!(dev, "no table for this ring: {error:?}\n");
    match error {
        descriptor::TableError::TooMany => ENOMEM,
        descriptor::TableError::Unaligned => EINVAL,
    }
}
