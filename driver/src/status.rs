// SPDX-License-Identifier: GPL-2.0-only

//! The status lines: where each stream's position is, in memory, written by the card.
//!
//! One 64-byte line a stream, in one coherent allocation. The card writes the line before it raises an
//! interrupt, so that a handler always finds the position that the interrupt is about. Each value that
//! the driver needs in steady state is one aligned 64-bit word, so that one load is a consistent answer and
//! no sequence count needs to be looked at:
//!
//! * the position (`SGRING_STATUS_HW_PTR`), frames since PREPARE;
//! * the interrupts asked for so far, with the error beside it (`SGRING_STATUS_IRQS`, `_ERR`), which the
//!   card writes after the position: who sees the count, and then looks, sees the position it is about.
//!
//! A position with its time ([`StatusLines::stamp`]) is several words, and goes by the sequence count.

use crate::{
    link::Stamp,
    mm::SharedWords,
    regs,
    seam, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};

const WORDS_PER_LINE: usize = regs::SGRING_STATUS_SIZE as usize / 8;
const SEQ_AND_STATE: usize = regs::SGRING_STATUS_SEQ as usize / 8;
const HW_PTR: usize = regs::SGRING_STATUS_HW_PTR as usize / 8;
const TSTAMP: usize = regs::SGRING_STATUS_TSTAMP as usize / 8;
const DELAY: usize = regs::SGRING_STATUS_DELAY as usize / 8;
const LATE_AND_UNDERRUNS: usize = regs::SGRING_STATUS_LATE as usize / 8;
const SWAPS_AND_DROPS: usize = regs::SGRING_STATUS_SWAPS as usize / 8;
const SWAP_PTR: usize = regs::SGRING_STATUS_SWAP_PTR as usize / 8;
const IRQS_AND_ERR: usize = regs::SGRING_STATUS_IRQS as usize / 8;

/// Reads of a line that is being written, before it is given up: a card that dies while it writes leaves one.
const READS: u32 = 100;

// The state is the high half of the word that the sequence number is the low half of.
kernel::build_assert::static_assert!(regs::SGRING_STATUS_SEQ % 8 == 0);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_STATE == regs::SGRING_STATUS_SEQ + 4);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_SWAPS % 8 == 0);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_LATE % 8 == 0);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_UNDERRUNS == regs::SGRING_STATUS_LATE + 4);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_DROPS == regs::SGRING_STATUS_SWAPS + 4);
// The error is the high half of the word that the interrupt count is the low half of.
kernel::build_assert::static_assert!(regs::SGRING_STATUS_IRQS % 8 == 0);
kernel::build_assert::static_assert!(regs::SGRING_STATUS_ERR == regs::SGRING_STATUS_IRQS + 4);

/// What a stream wants to say with its interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Events {
    /// Interrupts that the stream has asked for since PREPARE, modulo 2^32.
    pub(crate) irqs: u32,
    /// `SGRING_ERR_*`
    pub(crate) err: u32,
}

/// What a stream has to regret since PREPARE, each count modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regrets {
    /// Bursts that the card did late, with a later one.
    pub(crate) late: u32,
    /// Bursts that the card did before the client was ready for them, if it can know.
    pub(crate) underruns: u32,
    /// Frames that the audio backend did not take, or did not have.
    pub(crate) drops: u32,
}

/// The status lines of all streams of a card.
pub(crate) struct StatusLines(SharedWords);

impl StatusLines {
    pub(crate) fn new(dev: &Device<Bound>, streams: usize) -> Result<Self> {
        let words = streams.checked_mul(WORDS_PER_LINE).ok_or(EOVERFLOW)?;
        Ok(Self(SharedWords::new(dev, words)?))
    }

    fn word(stream: u32, word: usize) -> usize {
        stream as usize * WORDS_PER_LINE + word
    }

    /// The address the card is to write stream `stream`'s line to.
    pub(crate) fn address(&self, stream: u32) -> u64 {
        self.0.address_of(Self::word(stream, 0))
    }

    /// Forgets what stream `stream`'s line says, which is of an earlier run: should the card not write it as it
    /// must, nothing of that is believed. Not while the card may write it.
    pub(crate) fn clear(&self, stream: u32) {
        for word in 0..WORDS_PER_LINE {
            self.0.store(Self::word(stream, word), 0);
        }
    }

    /// Frames since PREPARE; `None` after unbind. Any context.
    pub(crate) fn hw_ptr(&self, stream: u32) -> Option<u64> {
        self.0.load(Self::word(stream, HW_PTR))
    }

    /// The position with its time; `None` after unbind, and when the card never ends writing it. Any
    /// context.
    pub(crate) fn stamp(&self, stream: u32) -> Option<Stamp> {
        let word = |word| self.0.load(Self::word(stream, word));
        for _ in 0..READS {
            let before = word(SEQ_AND_STATE)?;
            seam::dma_rmb();
            let stamp = Stamp {
                hw_ptr: word(HW_PTR)?,
                tstamp: word(TSTAMP)?,
                // CAST: The high half.
                runs: matches!(
                    (before >> 32) as u32,
                    regs::SGRING_STATE_RUNNING | regs::SGRING_STATE_DRAINING
                ),
            };
            seam::dma_rmb();
            // Odd while it is being written.
            if before & 1 == 0 && word(SEQ_AND_STATE)? == before {
                return Some(stamp);
            }
        }
        None
    }

    /// Frames between the ring and the ear, or the microphone; `None` after unbind. Any context.
    pub(crate) fn delay(&self, stream: u32) -> Option<u64> {
        self.0.load(Self::word(stream, DELAY))
    }

    /// `None` after unbind. Any context.
    pub(crate) fn events(&self, stream: u32) -> Option<Events> {
        let word = self.0.load(Self::word(stream, IRQS_AND_ERR))?;
        Some(Events {
            // CAST: The low and the high half.
            irqs: word as u32,
            err: (word >> 32) as u32,
        })
    }

    /// `None` after unbind. Any context.
    pub(crate) fn regrets(&self, stream: u32) -> Option<Regrets> {
        let bursts = self.0.load(Self::word(stream, LATE_AND_UNDERRUNS))?;
        let frames = self.0.load(Self::word(stream, SWAPS_AND_DROPS))?;
        Some(Regrets {
            // CAST: The low and the high half.
            late: bursts as u32,
            underruns: (bursts >> 32) as u32,
            drops: (frames >> 32) as u32,
        })
    }

    /// Frames since PREPARE at which the last SWAP took force; `None` after unbind. Any context.
    pub(crate) fn swap_ptr(&self, stream: u32) -> Option<u64> {
        self.0.load(Self::word(stream, SWAP_PTR))
    }

    /// Tables taken by SWAP since PREPARE, modulo 2^32; `None` after unbind. Any context.
    pub(crate) fn swaps(&self, stream: u32) -> Option<u32> {
        // CAST: The low half.
        Some(self.0.load(Self::word(stream, SWAPS_AND_DROPS))? as u32)
    }
}
