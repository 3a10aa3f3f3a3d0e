// SPDX-License-Identifier: GPL-2.0-only

//! `/proc/asound/cardN/sgring`: how the card's streams fare.
//!
//! A line for each stream that has a ring, in words and numbers by turns, to be read by people and by `awk`:
//!
//! ```text
//! playback 0 frame 48000 delay 480 interrupts 100 late 0 underruns 0 drops 0 bytes 65536 in RAM
//! ```
//!
//! All but the ring is as the card says it, counted since PREPARE ([`crate::status`]): the position and the delay
//! in frames; bursts, of a millisecond at most, that the host did too late, and those for which the client was
//! not ready; frames that the audio backend did not take or did not have; the ring's bytes and where they are.
//! Underruns stay 0 where DMA has to be synced, and of clients of 32 bits: the card is not told of the client then.
//! A client that does not say how far it has got, as alsa-lib's `dmix`, has nothing but underruns.

use crate::{
    alsa::InfoOps,
    card::CardState,
    mm::trace::Backing,
    status::Regrets, //
};
use kernel::{
    seq_file::SeqFile,
    seq_print, //
};

pub(crate) struct Report;

impl InfoOps<CardState> for Report {
    fn show(card: &CardState, file: &SeqFile) {
        for stream in 0..card.streams() {
            // After unbind there is nothing to tell.
            let _ = stream_line(card, stream, file);
        }
    }
}

fn stream_line(card: &CardState, stream: u32, file: &SeqFile) -> Option<()> {
    let (bytes, backing) = {
        let slot = card.slot(stream).ok()?;
        let place = slot.ring.lock();
        let ring = &place.as_ref()?.ring;
        (ring.bytes(), ring.home().backing())
    };
    let (direction, number) = match stream.checked_sub(card.capabilities.playback) {
        None => ("playback", stream),
        Some(number) => ("capture", number),
    };
    let hw_ptr = card.status.hw_ptr(stream)?;
    let delay = card.status.delay(stream)?;
    let irqs = card.status.events(stream)?.irqs;
    let Regrets {
        late,
        underruns,
        drops,
    } = card.status.regrets(stream)?;
    let home = match backing {
        Backing::Sram => "SRAM",
        Backing::Ram => "RAM",
        Backing::None => "nothing",
    };
    seq_print!(file, "{direction} {number} frame {hw_ptr} delay {delay} ");
    seq_print!(file, "interrupts {irqs} late {late} underruns {underruns} ");
    seq_print!(file, "drops {drops} bytes {bytes} in {home}\n");
    Some(())
}
