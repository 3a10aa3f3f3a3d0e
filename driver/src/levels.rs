// SPDX-License-Identifier: GPL-2.0-only

//! What a stream's volume and switch are set to, and telling the card.
//!
//! A level takes effect at once, in every state of the stream. What is kept here is what the card was told, so
//! that it can be told again after a reset, which sets it to unity.
//!
//! The setters are called by the control core alone, which holds the card's controls lock for writing: so
//! both sides of a volume are those of one writer. [`Levels::apply`] comes at any time, also under the stream
//! lock, and so without a lock in common: it looks afterwards whether a setter was at work meanwhile.

use crate::{
    level,
    regs::{
        self,
        Capabilities,
        StreamRegisters, //
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
};

kernel::build_assert::static_assert!(level::UNITY_GAIN == regs::SGRING_GAIN_UNITY);

/// The levels of one stream.
pub(crate) struct Levels {
    /// Steps of [`crate::level`]: left, right.
    volume: [Atomic<u32>; 2],
    /// Not 0: silence.
    mute: Atomic<u32>,
    /// Settings so far: counted after each is kept here, before the card is told.
    settings: Atomic<u32>,
}

/// How often the card is told again because of a setter. Each of these tells it too.
const AGAIN: u32 = 8;

impl Levels {
    /// Those of a card after a reset.
    pub(crate) const fn new() -> Self {
        Self {
            volume: [Atomic::new(level::UNITY), Atomic::new(level::UNITY)],
            mute: Atomic::new(0),
            settings: Atomic::new(0),
        }
    }

    /// Steps: left, right.
    pub(crate) fn volume(&self) -> [u32; 2] {
        let [left, right] = &self.volume;
        [left.load(Relaxed), right.load(Relaxed)]
    }

    /// Whether the stream is to be heard.
    pub(crate) fn switch(&self) -> bool {
        self.mute.load(Relaxed) == 0
    }

    /// Whether it was otherwise before.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a step that there is not, `ENODEV` after unbind.
    pub(crate) fn set_volume(&self, regs: &StreamRegisters<'_>, steps: [u32; 2]) -> Result<bool> {
        if steps.into_iter().any(|step| level::gain(step).is_none()) {
            return Err(EINVAL);
        }
        let changed = self.volume() != steps;
        for (level, step) in self.volume.iter().zip(steps) {
            level.store(step, Relaxed);
        }
        self.settings.fetch_add(1, Full);
        write_volume(regs, steps)?;
        Ok(changed)
    }

    /// Whether it was otherwise before.
    ///
    /// # Errors
    ///
    /// `ENODEV` after unbind.
    pub(crate) fn set_switch(&self, regs: &StreamRegisters<'_>, on: bool) -> Result<bool> {
        let changed = self.mute.xchg((!on).into(), Relaxed) != u32::from(!on);
        self.settings.fetch_add(1, Full);
        regs.write(regs::SGRING_S_MUTE, (!on).into())?;
        Ok(changed)
    }

    /// Tells the card all of it, which it may have forgotten by a reset. Any context.
    ///
    /// # Errors
    ///
    /// `ENODEV` after unbind.
    pub(crate) fn apply(&self, regs: &StreamRegisters<'_>, card: &Capabilities) -> Result {
        if !card.has(regs::SGRING_FEAT_MIXER) {
            return Ok(());
        }
        for _ in 0..AGAIN {
            let before = self.settings.fetch_add(0, Full);
            write_volume(regs, self.volume())?;
            regs.write(regs::SGRING_S_MUTE, (!self.switch()).into())?;
            if self.settings.fetch_add(0, Full) == before {
                break;
            }
        }
        Ok(())
    }
}

fn write_volume(regs: &StreamRegisters<'_>, [left, right]: [u32; 2]) -> Result {
    let left = level::gain(left).ok_or(EINVAL)?;
    let right = level::gain(right).ok_or(EINVAL)?;
    regs.write(regs::SGRING_S_GAIN_LEFT, left)?;
    regs.write(regs::SGRING_S_GAIN_RIGHT, right)
}
