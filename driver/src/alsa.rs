// SPDX-License-Identifier: GPL-2.0-only

//! ALSA cards and PCM devices: what a `rust/kernel/sound` would be.
//!
//! To write a card driver:
//!
//! 1. Put what all substreams share into a type of your own, behind an [`Arc`](kernel::sync::Arc), with
//!    an [`Elapsed`] for each substream.
//! 2. Implement [`PcmOps`] for a type that names it and what one open substream owns.
//! 3. In probe: [`Card::new`], [`Card::add_pcm`], then [`Vectors`] for the interrupts, last
//!    [`Card::register`].
//! 4. In the interrupt handler: [`Elapsed::tell`]. In unbind: [`Registration::disconnect`].
//!
//! The sound core owns a substream's state machine and calls back under its own locks. Which lock is
//! held is a type here: [`Opening`] and [`Setup`] are handed to callbacks that may sleep, [`Locked`] to
//! those that run under the PCM stream lock with interrupts off. What may only be read under that lock
//! is a method of [`Locked`].
//!
//! Lock order, outermost first: mmap lock, `buffer_accessing` (a count, not a lock), the driver's ring
//! lock; and, apart from these, the PCM stream lock, in which nothing sleeps.
//!
//! This folder and [`crate::mm`] hold all of the driver's `unsafe`.

use kernel::{
    bindings,
    prelude::*, //
};

mod card;
mod chmap;
mod control;
mod copy;
mod deferred;
mod drain;
mod elapsed;
mod info;
mod irq;
mod jack;
mod linked;
mod mmap;
mod pcm;
mod substream;
mod sys;
mod time;
mod wake;

pub(crate) use card::{
    Card,
    Names,
    Registration, //
};
pub(crate) use control::{
    ControlOps,
    Interface,
    Kind,
    Scale, //
};
pub(crate) use deferred::{
    Deferred,
    Task, //
};
pub(crate) use elapsed::{
    Elapsed,
    News, //
};
pub(crate) use info::InfoOps;
pub(crate) use irq::{
    VectorHandler,
    Vectors, //
};
pub(crate) use jack::{
    JackInfo,
    JackKind,
    Jacks, //
};
pub(crate) use linked::Linked;
pub(crate) use pcm::{
    Access,
    LinkTime,
    PcmOps,
    Trigger, //
};
pub(crate) use substream::{
    Hardware,
    HwParams,
    Info,
    Locked,
    Opening,
    Setup, //
};
pub(crate) use time::{
    now as raw_clock,
    resolution as raw_clock_resolution, //
};

pub(crate) use wake::{
    Waking,
    Woken, //
};

/// `EBADFD`: the sound core's answer to a call that the stream's state does not allow.
pub(crate) fn bad_state() -> Error {
    // CAST: An errno is small.
    Error::from_errno(-(bindings::EBADFD as c_int))
}

/// The sound core's format numbers, for the driver's compile-time check of its own table.
pub(crate) mod format {
    pub(crate) use super::sys::{
        SGRING_PCM_FORMAT_FLOAT_LE as FLOAT_LE,
        SGRING_PCM_FORMAT_S16_LE as S16_LE,
        SGRING_PCM_FORMAT_S24_3LE as S24_3LE,
        SGRING_PCM_FORMAT_S24_LE as S24_LE,
        SGRING_PCM_FORMAT_S32_LE as S32_LE,
        SGRING_PCM_FORMAT_S8 as S8,
        SGRING_PCM_FORMAT_U16_LE as U16_LE,
        SGRING_PCM_FORMAT_U32_LE as U32_LE,
        SGRING_PCM_FORMAT_U8 as U8, //
    };
}
