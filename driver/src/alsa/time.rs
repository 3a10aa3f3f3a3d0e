// SPDX-License-Identifier: GPL-2.0-only

//! The clocks that time stamps are made from.

use super::sys;
use kernel::{
    bindings,
    prelude::*, //
};

const NS_PER_S: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC_RAW, ns: the machine's own, which nobody sets or slews. Any context.
pub(crate) fn now() -> u64 {
    // SAFETY: No arguments. CAST: Counted from boot, so not negative.
    unsafe { bindings::ktime_get_raw() as u64 }
}

/// The steps in which [`now`] goes, ns: many where the machine's clock is a slow one.
pub(crate) fn resolution() -> u32 {
    // SAFETY: No arguments; any context.
    unsafe { bindings::ktime_get_resolution_ns() }
}

/// The time by the clock that a client has chosen (`snd_pcm_gettime()`). Any context.
pub(super) fn of_type(tstamp_type: c_int) -> bindings::timespec64 {
    let mut time = bindings::timespec64::default();
    // CAST: 0, 1 or 2.
    let read = match tstamp_type as u32 {
        sys::SNDRV_PCM_TSTAMP_TYPE_MONOTONIC => bindings::ktime_get_ts64,
        sys::SNDRV_PCM_TSTAMP_TYPE_MONOTONIC_RAW => bindings::ktime_get_raw_ts64,
        _ => bindings::ktime_get_real_ts64,
    };
    // SAFETY: `time` is written.
    unsafe { read(&mut time) };
    time
}

pub(super) fn timespec(ns: u64) -> bindings::timespec64 {
    bindings::timespec64 {
        // CAST: Both are small enough by the division.
        tv_sec: (ns / NS_PER_S) as i64,
        tv_nsec: (ns % NS_PER_S) as c_long,
    }
}
