// SPDX-License-Identifier: GPL-2.0-only

//! The card's control elements, each for one stream.

use crate::{
    alsa::{
        Card,
        ControlOps,
        Interface,
        Kind,
        Scale, //
    },
    card::CardState,
    level,
    migrate,
    regs,
    slot::Wish, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Adds to `alsa`, the card's face, all controls of the streams of PCM `device`.
pub(crate) fn add(alsa: &Card<CardState>, card: &CardState, device: u32) -> Result {
    let capabilities = &card.capabilities;
    let mixer = capabilities.has(regs::SGRING_FEAT_MIXER);
    let loopback = capabilities.has(regs::SGRING_FEAT_LOOPBACK);
    for number in 0..capabilities.playback {
        let stream = card.stream_of(true, number)?;
        if mixer {
            // So that what the controls show is what there is.
            card.slot(stream)?
                .levels
                .apply(&card.registers.stream(stream)?, capabilities)?;
            alsa.add_control::<Volume<true>>(device, number, stream)?;
            alsa.add_control::<Switch<true>>(device, number, stream)?;
        }
        if card.sram.is_some() {
            alsa.add_control::<RingMemory<true>>(device, number, stream)?;
        }
    }
    for number in 0..capabilities.capture {
        let stream = card.stream_of(false, number)?;
        if mixer {
            card.slot(stream)?
                .levels
                .apply(&card.registers.stream(stream)?, capabilities)?;
            alsa.add_control::<Volume<false>>(device, number, stream)?;
            alsa.add_control::<Switch<false>>(device, number, stream)?;
        }
        if card.sram.is_some() {
            alsa.add_control::<RingMemory<false>>(device, number, stream)?;
        }
        // A capture stream without a playback stream of its number has nothing to record [D-94].
        if loopback && number < capabilities.playback {
            alsa.add_control::<Loopback>(device, number, stream)?;
        }
    }
    Ok(())
}

/// How loud a stream is, in steps of a quarter of a decibel: of its channels of even numbers, and of the others.
struct Volume<const PLAYBACK: bool>;

impl<const PLAYBACK: bool> Volume<PLAYBACK> {
    const SCALE: Scale = Scale::new(level::LOWEST, level::STEP);
}

impl<const PLAYBACK: bool> ControlOps for Volume<PLAYBACK> {
    type Card = CardState;
    type Values = [u32; 2];

    const NAME: &'static CStr = match PLAYBACK {
        true => c"PCM Playback Volume",
        false => c"Capture Volume",
    };
    const INTERFACE: Interface = Interface::Mixer;
    const KIND: Kind = Kind::Volume {
        max: match PLAYBACK {
            true => level::PLAYBACK_MAX,
            false => level::CAPTURE_MAX,
        },
        scale: &Self::SCALE,
    };

    fn get(card: &CardState, number: u32) -> Result<[u32; 2]> {
        Ok(card.slot(number)?.levels.volume())
    }

    fn put(card: &CardState, number: u32, values: [u32; 2]) -> Result<bool> {
        let regs = card.registers.stream(number)?;
        card.slot(number)?.levels.set_volume(&regs, values)
    }
}

/// Whether a stream is to be heard at all.
struct Switch<const PLAYBACK: bool>;

impl<const PLAYBACK: bool> ControlOps for Switch<PLAYBACK> {
    type Card = CardState;
    type Values = [u32; 1];

    const NAME: &'static CStr = match PLAYBACK {
        true => c"PCM Playback Switch",
        false => c"Capture Switch",
    };
    const INTERFACE: Interface = Interface::Mixer;
    const KIND: Kind = Kind::Switch;

    fn get(card: &CardState, number: u32) -> Result<[u32; 1]> {
        Ok([card.slot(number)?.levels.switch().into()])
    }

    fn put(card: &CardState, number: u32, [value]: [u32; 1]) -> Result<bool> {
        let regs = card.registers.stream(number)?;
        card.slot(number)?.levels.set_switch(&regs, value != 0)
    }
}

/// Whether a capture stream records what the playback stream of its number plays, instead of what
/// the card hears. Goes by the next `prepare`.
struct Loopback;

impl ControlOps for Loopback {
    type Card = CardState;
    type Values = [u32; 1];

    const NAME: &'static CStr = c"Loopback Capture Switch";
    const INTERFACE: Interface = Interface::Pcm;
    const KIND: Kind = Kind::Switch;

    fn get(card: &CardState, number: u32) -> Result<[u32; 1]> {
        Ok([card.slot(number)?.loopback().into()])
    }

    fn put(card: &CardState, number: u32, [value]: [u32; 1]) -> Result<bool> {
        Ok(card.slot(number)?.set_loopback(value != 0))
    }
}

/// Where a stream's ring lives: in main memory or on the card. Moves it there, also while it is in use.
struct RingMemory<const PLAYBACK: bool>;

impl<const PLAYBACK: bool> ControlOps for RingMemory<PLAYBACK> {
    type Card = CardState;
    type Values = [u32; 1];

    const NAME: &'static CStr = match PLAYBACK {
        true => c"Ring Memory Playback Enum",
        false => c"Ring Memory Capture Enum",
    };
    const INTERFACE: Interface = Interface::Pcm;
    const KIND: Kind = Kind::Choice(&Wish::NAMES);

    fn get(card: &CardState, number: u32) -> Result<[u32; 1]> {
        Ok([card.slot(number)?.wish() as u32])
    }

    fn put(card: &CardState, number: u32, [value]: [u32; 1]) -> Result<bool> {
        migrate::choose(card, number, Wish::from_number(value)?)
    }
}
