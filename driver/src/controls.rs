// SPDX-License-Identifier: GPL-2.0

//! The card's control elements, each for one stream.

use crate::{
    alsa::ControlOps,
    card::CardState,
    migrate,
    slot::Wish, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Whether a capture stream records what the playback stream of its number plays, instead of what
/// the card hears. Goes by the next `prepare`.
pub(crate) struct Loopback;

impl ControlOps for Loopback {
    type Card = CardState;

    const NAME: &'static CStr = c"Loopback Capture Switch";
    const CHOICES: &'static [&'static CStr] = &[];

    fn get(card: &CardState, number: u32) -> Result<u32> {
        Ok(card.slot(number)?.loopback().into())
    }

    fn put(card: &CardState, number: u32, value: u32) -> Result<bool> {
        Ok(card.slot(number)?.set_loopback(value != 0))
    }
}

/// Where a stream's ring lives: in main memory or on the card. Moves it there, also while it is in use.
pub(crate) struct RingMemory<const PLAYBACK: bool>;

impl<const PLAYBACK: bool> ControlOps for RingMemory<PLAYBACK> {
    type Card = CardState;

    const NAME: &'static CStr = match PLAYBACK {
        true => c"Ring Memory Playback Enum",
        false => c"Ring Memory Capture Enum",
    };
    const CHOICES: &'static [&'static CStr] = &Wish::NAMES;

    fn get(card: &CardState, number: u32) -> Result<u32> {
        Ok(card.slot(number)?.wish() as u32)
    }

    fn put(card: &CardState, number: u32, value: u32) -> Result<bool> {
        migrate::choose(card, number, Wish::from_number(value)?)
    }
}
