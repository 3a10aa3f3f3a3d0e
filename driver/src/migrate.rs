// SPDX-License-Identifier: GPL-2.0-only

//! Moving a ring between main memory and the card's, under the feet of its user (M17).
//!
//! A stream may play or record meanwhile. Who accesses the ring, and how each is kept from losing a byte:
//!
//! * User space, through mappings: all are taken away first. A touch is then a fault, which waits for the
//!   ring lock, for as long as the move takes.
//! * The sound core, for `read()` and `write()`: under the ring lock too ([`crate::pcm`]).
//! * The sound core's silence, under the stream lock: goes to both homes during the move; the copy is made
//!   a page at a time under the same lock.
//! * The card: fetches or stores by the old table up to SWAP, by the new one from then on. What it stored in
//!   the old home after it had been copied is copied again.

use crate::{
    alsa,
    card::CardState,
    mm::{
        self,
        mode::{
            self,
            MapMode, //
        },
        trace, //
    },
    position,
    regs,
    ring::{
        Home,
        OnCard,
        Table, //
    },
    slot::{
        Configured,
        Params,
        Slot,
        Wish, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Sets where stream `number`'s ring shall live, and moves it there if there is one. Whether the wish is new.
///
/// # Errors
///
/// `ENODEV` without such memory, from a card that is gone and after unbind, `ENOSPC` where it is full,
/// `EOPNOTSUPP` in a `map_mode` in which pages cannot be taken away, `EIO` when the card refuses. The ring and
/// the wish are then what they were.
pub(crate) fn choose(card: &CardState, number: u32, wish: Wish) -> Result<bool> {
    let slot = card.slot(number)?;
    if wish == Wish::Sram && card.sram.is_none() {
        return Err(ENODEV);
    }
    card.binding.with(|dev| {
        let mut ring = slot.ring.lock();
        let mut left = None;
        if let Some(configured) = &mut *ring {
            if configured.ring.is_on_card() != (wish != Wish::Ram) {
                if mode::current() != MapMode::Fault {
                    return Err(mode::unsupported());
                }
                let bytes = configured.ring.bytes();
                match card.room(dev, slot, wish, bytes) {
                    // To main memory because the card is full: it is there already.
                    Ok(None) if wish != Wish::Ram => {}
                    Ok(to) => left = move_ring(card, slot, number, configured, to)?,
                    Err(error) => return Err(error),
                }
            }
        }
        let changed = slot.set_wish(wish);
        drop(ring);
        drop(left);
        Ok(changed)
    })
}

/// Moves the ring to `to`, or to main memory. Returns where it was on the card.
fn move_ring(
    card: &CardState,
    slot: &Slot,
    number: u32,
    configured: &mut Configured,
    to: Option<OnCard>,
) -> Result<Option<OnCard>> {
    let Configured { ring, params } = configured;
    let old = ring.home();
    let (new, table) = match &to {
        Some(place) => (place.home(), place.table()),
        None => (Home::Ram(ring.memory().clone()), ring.memory_table()),
    };
    let backing = new.backing();

    revoke(slot, number, ring.bytes());
    let from = card.status.hw_ptr(number).unwrap_or(0);
    slot.silence_goes_to([Some(old.clone()), Some(new.clone())]);
    let moved = copy(slot, &old, &new, 0, ring.bytes()).and_then(|()| {
        slot.elapsed
            .locked(|_| {
                let swapped = swap(card, number, table)?;
                slot.table_is(table.address(), table.count());
                Ok(swapped)
            })
            .unwrap_or(Err(alsa::bad_state()))
    });
    if let Ok(false) = moved {
        stop_if_over(card, slot, number);
    }
    if let (Ok(swapped), true) = (&moved, number >= card.capabilities.playback) {
        let end = match swapped {
            // Not the position now: what was recorded since is in the new home alone.
            true => card.status.swap_ptr(number),
            // It has stopped, and there is no more to come.
            false => card.status.hw_ptr(number),
        };
        let end = end.unwrap_or(from);
        recopy(slot, &old, &new, params, from, end);
    }
    let (home, error) = match moved {
        Ok(_) => (new, 0),
        Err(error) => (old, error.to_errno()),
    };
    slot.silence_goes_to([Some(home), None]);
    trace::migrate(number, backing, ring.bytes().div_ceil(PAGE_SIZE), error);
    moved?;
    Ok(ring.settle(to))
}

/// Takes the ring out of all mappings.
fn revoke(slot: &Slot, number: u32, bytes: usize) {
    slot.mappings.revoke(bytes);
    trace::revoke(number, bytes.div_ceil(PAGE_SIZE));
}

/// Copies `bytes` bytes from `at` on, a page at a time, each with the silence kept out.
fn copy(slot: &Slot, from: &Home, to: &Home, at: usize, bytes: usize) -> Result {
    let mut page = KVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
    let end = at.checked_add(bytes).ok_or(EOVERFLOW)?;
    for at in (at..end).step_by(PAGE_SIZE) {
        let count = (end - at).min(PAGE_SIZE);
        let piece = page.get_mut(..count).ok_or(EINVAL)?;
        slot.elapsed
            .locked(|_| {
                from.read(at, piece)?;
                to.write(at, piece)
            })
            .unwrap_or(Err(alsa::bad_state()))?;
    }
    Ok(())
}

/// Copies again what a capture stream stored between positions `from` and `end`, frames since PREPARE.
fn recopy(slot: &Slot, old: &Home, new: &Home, params: &Params, from: u64, end: u64) {
    for (at, frames) in position::spans(from, end, params.ring) {
        let unit = params.frame_bytes as usize;
        // The positions are the card's, the ring is ours: `spans()` keeps them inside.
        if let Err(error) = copy(slot, old, new, at as usize * unit, frames as usize * unit) {
            pr_warn!("{frames} recorded frames lost while their ring moved: {error:?}\n");
        }
    }
}

/// Gives the card `table`, if the stream has one: whether it has taken it. Under the stream lock.
///
/// Where it does not tell, the stream is stopped.
///
/// # Errors
///
/// `EIO` when the card refuses and goes on with the one it has; `ENODEV` when it does not answer.
fn swap(card: &CardState, number: u32, table: &Table) -> Result<bool> {
    let regs = card.registers.stream(number)?;
    let has_table = |state| {
        matches!(
            state,
            regs::SGRING_STATE_PREPARED
                | regs::SGRING_STATE_RUNNING
                | regs::SGRING_STATE_PAUSED
                | regs::SGRING_STATE_DRAINING
        )
    };
    if !has_table(regs.read(regs::SGRING_S_STATE)?) {
        return card.registers.check().map(|()| false);
    }
    let before = card.status.swaps(number).ok_or(ENODEV)?;
    regs.write64(regs::SGRING_S_SWAP_ADDR, table.address())?;
    regs.write(regs::SGRING_S_SWAP_COUNT, table.count())?;
    regs.write(regs::SGRING_S_CMD, regs::SGRING_CMD_SWAP)?;
    // The answer to a read comes after the command was carried out [D-11].
    let state = regs.read(regs::SGRING_S_STATE)?;
    let is_whole = card.status.stamp(number).is_some();
    let after = card.status.swaps(number).ok_or(ENODEV)?;
    if after == before.wrapping_add(1) {
        return Ok(true);
    }
    card.registers.check()?;
    if !has_table(state) {
        return Ok(false);
    }
    if !is_whole {
        // Nothing else tells whether it was taken [D-58], so the card is to have neither.
        regs.write(regs::SGRING_S_CMD, regs::SGRING_CMD_STOP)?;
        let state = regs.read(regs::SGRING_S_STATE)?;
        return if has_table(state) {
            Err(EIO)
        } else {
            Ok(false)
        };
    }
    let (error, index) = (
        regs.read(regs::SGRING_S_ERR)?,
        regs.read(regs::SGRING_S_ERR_INDEX)?,
    );
    if mm::may_say() {
        pr_err!("stream {number}: card refuses another table: error {error}, index {index}\n");
    }
    Err(EIO)
}

/// The substream runs no more, if the card's stream does not: state XRUN.
fn stop_if_over(card: &CardState, slot: &Slot, number: u32) {
    slot.elapsed.stop_if(|| {
        let state = card.registers.stream(number);
        let state = state.and_then(|regs| regs.read(regs::SGRING_S_STATE));
        matches!(
            state,
            Ok(regs::SGRING_STATE_IDLE | regs::SGRING_STATE_ERROR)
        )
    });
}

/// The device goes: rings on the card become zeros in main memory (M15). Mappings and calls go on.
pub(crate) fn end(card: &CardState) {
    for number in 0..card.streams() {
        let Ok(slot) = card.slot(number) else {
            continue;
        };
        let mut ring = slot.ring.lock();
        let mut left = None;
        if let Some(configured) = &mut *ring {
            if configured.ring.is_on_card() {
                revoke(slot, number, configured.ring.bytes());
                configured.ring.memory().clear();
                slot.silence_goes_to([Some(Home::Ram(configured.ring.memory().clone())), None]);
                left = configured.ring.settle(None);
            }
        }
        drop(ring);
        drop(left);
    }
}
