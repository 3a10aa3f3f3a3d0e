// SPDX-License-Identifier: GPL-2.0-only

//! What a callback may know of its substream, by the lock it is called under.
//!
//! * [`Opening`]: in `open`. Sets what the hardware can do.
//! * [`Setup`]: in `prepare`. May sleep; the parameters are set and do not change.
//! * [`Locked`]: in `trigger`, `pointer` and `silence`. Under the PCM stream lock; may not sleep.
//! * [`HwParams`]: in `hw_params`. The parameters that were just chosen.
//!
//! Each is made by this folder's callbacks only and cannot outlive the call.

use super::{
    sys,
    time, //
};
use crate::{
    link,
    mm::Lent, //
};
use core::{
    marker::PhantomData,
    mem::offset_of, //
};
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    page::page_align,
    prelude::*, //
};

/// What a PCM's hardware can do (`struct snd_pcm_hardware`).
pub(crate) struct Hardware {
    pub(crate) info: Info,
    /// `1 << SNDRV_PCM_FORMAT_*`
    pub(crate) formats: u64,
    /// Hz; every rate between the two.
    pub(crate) rates: (u32, u32),
    pub(crate) channels: (u32, u32),
    /// Frames.
    pub(crate) period: (u32, u32),
    /// Bytes.
    pub(crate) buffer_bytes_max: usize,
    /// Bytes of the largest frame.
    pub(crate) frame_bytes_max: u32,
    pub(crate) periods: (u32, u32),
}

/// Flags of a PCM (`SNDRV_PCM_INFO_*`).
#[derive(Clone, Copy)]
pub(crate) struct Info(u32);

impl Info {
    /// Mapped or written, interleaved, by whole blocks: what every card of this kind does.
    pub(crate) const RING: Self = Self(
        sys::SNDRV_PCM_INFO_MMAP
            | sys::SNDRV_PCM_INFO_MMAP_VALID
            | sys::SNDRV_PCM_INFO_INTERLEAVED
            | sys::SNDRV_PCM_INFO_BLOCK_TRANSFER,
    );
    pub(crate) const PAUSE: Self = Self(sys::SNDRV_PCM_INFO_PAUSE);
    /// The client has to say by a call how far it has got, before the card and after it.
    pub(crate) const EXPLICIT_SYNC: Self = Self(sys::SNDRV_PCM_INFO_EXPLICIT_SYNC);
    /// A stream goes on where it was when the machine went to sleep.
    pub(crate) const RESUME: Self = Self(sys::SNDRV_PCM_INFO_RESUME);
    /// Linked substreams of the PCM start, stop and pause at one instant.
    pub(crate) const SYNC_START: Self = Self(sys::SNDRV_PCM_INFO_SYNC_START);
    /// Time stamps by the sample clock: estimated, and asked of the card.
    pub(crate) const LINK_TIME: Self =
        Self(sys::SNDRV_PCM_INFO_HAS_LINK_ATIME | sys::SNDRV_PCM_INFO_HAS_LINK_SYNCHRONIZED_ATIME);
    pub(crate) const NO_PERIOD_WAKEUP: Self = Self(sys::SNDRV_PCM_INFO_NO_PERIOD_WAKEUP);
    /// The card is told where a drain ends and stops exactly there: no silence needs to follow.
    pub(crate) const DRAIN: Self =
        Self(sys::SNDRV_PCM_INFO_DRAIN_TRIGGER | sys::SNDRV_PCM_INFO_PERFECT_DRAIN);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A substream being opened.
///
/// # Invariants
///
/// `ptr` is valid, with a runtime, and `open` is running for it.
pub(crate) struct Opening<'a> {
    ptr: *mut sys::snd_pcm_substream,
    _call: PhantomData<&'a ()>,
}

impl Opening<'_> {
    /// # Safety
    ///
    /// `ptr` must be the argument of a running `open`.
    pub(super) unsafe fn from_raw(ptr: *mut sys::snd_pcm_substream) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            ptr,
            _call: PhantomData,
        }
    }

    fn runtime(&self) -> *mut sys::snd_pcm_runtime {
        // SAFETY: By the type invariant.
        unsafe { (*self.ptr).runtime }
    }

    /// The number of this substream among those of its direction.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: By the type invariant. The number does not change.
        let number = unsafe { (*self.ptr).number };
        // CAST: Numbers are counted from 0.
        number as u32
    }

    /// Whether it plays rather than captures.
    pub(crate) fn is_playback(&self) -> bool {
        // SAFETY: By the type invariant. The direction does not change.
        let direction = unsafe { (*self.ptr).stream };
        direction == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int
    }

    /// Lends the record that the client's position is in to `dev`, and says at which byte of it that is.
    ///
    /// # Errors
    ///
    /// As [`Lent::new`]. `None` also where a position is not of 64 bits, low byte first.
    ///
    /// # Safety
    ///
    /// What is returned must be dropped before the runtime is freed.
    pub(super) unsafe fn lend_appl_ptr(&self, dev: &Device<Bound>) -> Result<Option<(Lent, u64)>> {
        type Record = sys::snd_pcm_mmap_control;
        if size_of::<sys::snd_pcm_uframes_t>() != size_of::<u64>()
            || cfg!(not(target_endian = "little"))
        {
            return Ok(None);
        }
        // Whole pages, as the core allocates it: an IOMMU would not have less of a page bounced.
        let bytes = page_align(size_of::<Record>()).ok_or(EOVERFLOW)?;
        // SAFETY: By the type invariant; the record is there from before `open` until the runtime is freed.
        let record = unsafe { (*self.runtime()).control };
        // SAFETY: The core has allocated it as whole pages of the linear map (`snd_pcm_attach_substream()`,
        // sound/core/pcm.c). The rest by the safety requirement.
        let lent = unsafe { Lent::new(dev, record.cast(), bytes) }?;
        Ok(lent.map(|lent| (lent, offset_of!(Record, appl_ptr) as u64)))
    }

    /// Sets what the hardware can do.
    pub(crate) fn set_hardware(&self, hw: &Hardware) {
        let bytes = |frames: u32| frames as usize * hw.frame_bytes_max as usize;
        let value = sys::snd_pcm_hardware {
            info: hw.info.0,
            formats: hw.formats,
            subformats: 0,
            rates: sys::SNDRV_PCM_RATE_CONTINUOUS,
            rate_min: hw.rates.0,
            rate_max: hw.rates.1,
            channels_min: hw.channels.0,
            channels_max: hw.channels.1,
            buffer_bytes_max: hw.buffer_bytes_max,
            // One byte: the limit is in frames, and set so below.
            period_bytes_min: 1,
            period_bytes_max: bytes(hw.period.1).min(hw.buffer_bytes_max),
            periods_min: hw.periods.0,
            periods_max: hw.periods.1,
            fifo_size: 0,
        };
        // SAFETY: By the type invariant; nobody else reads it before `open` has returned.
        unsafe { (*self.runtime()).hw = value };
    }

    /// Lets user space see that the card's substreams have one clock (`snd_pcm_set_sync()`).
    pub(crate) fn has_the_cards_clock(&self) {
        // SAFETY: By the type invariant; nobody else reads it before `open` has returned.
        unsafe { (*self.runtime()).std_sync_id = true };
    }

    /// Demands a parameter (one of `SNDRV_PCM_HW_PARAM_*`) between two values, both included.
    fn minmax(&self, parameter: u32, min: u32, max: u32) -> Result {
        // SAFETY: By the type invariant, in `open`, where constraints are made.
        let err = unsafe {
            sys::snd_pcm_hw_constraint_minmax(self.runtime(), parameter as c_int, min, max)
        };
        // 1 says that the range has become smaller.
        to_result(err.min(0))
    }

    /// Demands a period between two lengths in frames, both included.
    pub(crate) fn constrain_period(&self, min: u32, max: u32) -> Result {
        self.minmax(sys::SNDRV_PCM_HW_PARAM_PERIOD_SIZE, min, max)
    }

    /// Demands that the ring is a whole number of periods.
    pub(crate) fn constrain_whole_periods(&self) -> Result {
        // SAFETY: As in `minmax()`.
        let err = unsafe {
            sys::snd_pcm_hw_constraint_integer(
                self.runtime(),
                sys::SNDRV_PCM_HW_PARAM_PERIODS as c_int,
            )
        };
        to_result(err.min(0))
    }

    /// Demands that the ring in bytes is a multiple of four, as the card's descriptors need it.
    pub(crate) fn constrain_buffer_words(&self) -> Result {
        // SAFETY: As in `minmax()`.
        let err = unsafe {
            sys::snd_pcm_hw_constraint_step(
                self.runtime(),
                0,
                sys::SNDRV_PCM_HW_PARAM_BUFFER_BYTES as c_int,
                4,
            )
        };
        to_result(err.min(0))
    }
}

/// Parameters chosen by `hw_params`, each a single value by now.
///
/// # Invariants
///
/// `ptr` is valid for `'a`.
pub(crate) struct HwParams<'a> {
    ptr: *const sys::snd_pcm_hw_params,
    _call: PhantomData<&'a ()>,
}

impl HwParams<'_> {
    /// # Safety
    ///
    /// `ptr` must be the argument of a running `hw_params`.
    pub(super) unsafe fn from_raw(ptr: *const sys::snd_pcm_hw_params) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            ptr,
            _call: PhantomData,
        }
    }

    fn value(&self, parameter: u32) -> Result<u32> {
        // SAFETY: By the type invariant; a null direction is allowed.
        let value = unsafe {
            sys::snd_pcm_hw_param_value(self.ptr, parameter as c_int, core::ptr::null_mut())
        };
        // Negative when it is not a single value.
        u32::try_from(value).map_err(|_| EINVAL)
    }

    /// Whether the client wants no period wakeups. The runtime says so only after `hw_params`.
    pub(crate) fn no_period_wakeup(&self) -> bool {
        // SAFETY: By the type invariant.
        let flags = unsafe { (*self.ptr).flags };
        flags & sys::SNDRV_PCM_HW_PARAMS_NO_PERIOD_WAKEUP != 0
    }

    /// `SNDRV_PCM_FORMAT_*`
    pub(crate) fn format(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_FORMAT)
    }

    /// Hz.
    pub(crate) fn rate(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_RATE)
    }

    pub(crate) fn channels(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_CHANNELS)
    }

    /// Frames.
    pub(crate) fn period(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_PERIOD_SIZE)
    }

    /// Frames.
    pub(crate) fn buffer(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_BUFFER_SIZE)
    }

    /// Bytes.
    pub(crate) fn buffer_bytes(&self) -> Result<u32> {
        self.value(sys::SNDRV_PCM_HW_PARAM_BUFFER_BYTES)
    }
}

/// A substream whose parameters are set, in a callback that may sleep.
///
/// # Invariants
///
/// `ptr` is valid, with a runtime, and its parameters do not change during the call.
pub(crate) struct Setup<'a> {
    ptr: *mut sys::snd_pcm_substream,
    appl_ptr: Option<u64>,
    _call: PhantomData<&'a ()>,
}

impl Setup<'_> {
    /// # Safety
    ///
    /// `ptr` must be the argument of a running `prepare`. `appl_ptr` is where the card can read the client's
    /// position.
    pub(super) unsafe fn from_raw(ptr: *mut sys::snd_pcm_substream, appl_ptr: Option<u64>) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            ptr,
            appl_ptr,
            _call: PhantomData,
        }
    }

    /// Where the card can read the client's position: a word of 64 bits, frames from `prepare` on. Whatever user
    /// space writes there.
    ///
    /// `None` also for a client of 32 bits, whose positions wrap within hours.
    pub(crate) fn appl_ptr_address(&self) -> Option<u64> {
        // SAFETY: By the type invariant.
        let runtime = unsafe { (*self.ptr).runtime };
        // SAFETY: As above; `sw_params` does not change it.
        let boundary = unsafe { (*runtime).boundary };
        self.appl_ptr.filter(|_| boundary as u64 > u32::MAX.into())
    }

    /// Whether the client asked for streaming without period interrupts.
    pub(crate) fn no_period_wakeup(&self) -> bool {
        // SAFETY: By the type invariant.
        let runtime = unsafe { (*self.ptr).runtime };
        // SAFETY: As above. No reference: others write other fields meanwhile.
        unsafe { sys::snd_pcm_runtime::no_period_wakeup_raw(runtime) != 0 }
    }
}

/// A substream under the PCM stream lock.
///
/// # Invariants
///
/// `ptr` is valid, with a runtime, and the caller holds its stream lock.
pub(crate) struct Locked<'a> {
    ptr: *mut sys::snd_pcm_substream,
    _call: PhantomData<&'a ()>,
}

/// Whether a substream of that direction runs in that state: as `snd_pcm_running()`.
pub(super) fn runs(direction: c_int, state: sys::snd_pcm_state_t) -> bool {
    state == sys::SGRING_PCM_STATE_RUNNING as sys::snd_pcm_state_t
        || direction == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int
            && state == sys::SGRING_PCM_STATE_DRAINING as sys::snd_pcm_state_t
}

impl Locked<'_> {
    /// # Safety
    ///
    /// `ptr` must be valid, with a runtime, and its stream lock held during `'_`, as it is in a running
    /// `trigger`, `pointer` or `fill_silence`.
    pub(super) unsafe fn from_raw(ptr: *mut sys::snd_pcm_substream) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            ptr,
            _call: PhantomData,
        }
    }

    fn runtime(&self) -> *mut sys::snd_pcm_runtime {
        // SAFETY: By the type invariant.
        unsafe { (*self.ptr).runtime }
    }

    /// Channels that `hw_params` has chosen; 0 before it.
    pub(crate) fn channels(&self) -> u32 {
        // SAFETY: By the type invariant; the state is covered by the stream lock.
        let state = unsafe { (*self.runtime()).state };
        if state == sys::SGRING_PCM_STATE_OPEN as sys::snd_pcm_state_t {
            return 0;
        }
        // SAFETY: By the type invariant. Another `hw_params` may write it at the same time: a volatile load
        // of one aligned word.
        unsafe { core::ptr::addr_of!((*self.runtime()).channels).read_volatile() }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::snd_pcm_substream {
        self.ptr
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        // SAFETY: By the type invariant; the state is covered by the stream lock.
        let (direction, state) = unsafe { ((*self.ptr).stream, (*self.runtime()).state) };
        runs(direction, state)
    }

    /// How long a period is, ns; 0 without parameters.
    pub(super) fn period_ns(&self) -> u64 {
        // SAFETY: By the type invariant; the parameters do not change under the stream lock.
        let (period, rate) = unsafe { ((*self.runtime()).period_size, (*self.runtime()).rate) };
        // CAST: An unsigned long has 64 bits at most.
        link::frames_ns(period as u64, rate)
    }

    /// Whether it plays and is of a card that ends a drain by itself.
    pub(super) fn wants_drain_trigger(&self) -> bool {
        // SAFETY: By the type invariant.
        let (direction, info) = unsafe { ((*self.ptr).stream, (*self.runtime()).hw.info) };
        direction == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int
            && info & sys::SNDRV_PCM_INFO_DRAIN_TRIGGER != 0
    }

    /// The client's position, in frames modulo [`Self::boundary`]. Whatever user space wrote there.
    pub(crate) fn appl_ptr(&self) -> u64 {
        // SAFETY: By the type invariant.
        let control = unsafe { (*self.runtime()).control };
        // SAFETY: The control page exists as long as the runtime. User space may write it at any time:
        // a volatile load of one aligned word.
        let frames = unsafe { core::ptr::addr_of!((*control).appl_ptr).read_volatile() };
        frames as u64
    }

    /// The sound core's position, in frames modulo [`Self::boundary`].
    pub(crate) fn hw_ptr(&self) -> u64 {
        // SAFETY: By the type invariant.
        let status = unsafe { (*self.runtime()).status };
        // SAFETY: The status page exists as long as the runtime and is written under the stream lock,
        // which is held.
        let frames = unsafe { core::ptr::addr_of!((*status).hw_ptr).read() };
        frames as u64
    }

    /// Where positions wrap, in frames.
    pub(crate) fn boundary(&self) -> u64 {
        // SAFETY: By the type invariant; written under the stream lock.
        let frames = unsafe { (*self.runtime()).boundary };
        frames as u64
    }

    /// Tells the core how many frames are between the ring and the ear, or the microphone.
    pub(crate) fn set_delay(&self, frames: u64) {
        // SAFETY: By the type invariant; read and written under the stream lock.
        unsafe { (*self.runtime()).delay = frames.try_into().unwrap_or(0) };
    }

    /// The time by the clock that the client has chosen.
    pub(super) fn time(&self) -> bindings::timespec64 {
        // SAFETY: By the type invariant; a whole word.
        time::of_type(unsafe { (*self.runtime()).tstamp_type })
    }

    /// What is heard of a playback stream that has played for `ns` ns, or of a capture stream when what it
    /// has recorded was said: its time without the delay.
    pub(super) fn at_the_ear(&self, ns: u64) -> u64 {
        // SAFETY: By the type invariant; under the stream lock.
        let (playback, delay, rate) = unsafe {
            (
                (*self.ptr).stream == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int,
                (*self.runtime()).delay,
                (*self.runtime()).rate,
            )
        };
        let delay = link::frames_ns(delay.try_into().unwrap_or(0), rate);
        match playback {
            true => ns.saturating_sub(delay),
            false => ns.saturating_add(delay),
        }
    }
}

/// Fills `bytes` with silence of the substream's format.
///
/// # Errors
///
/// `EINVAL` for a format without silence.
///
/// # Safety
///
/// `substream` must be open, with parameters that do not change meanwhile.
pub(super) unsafe fn fill_silence(
    substream: *mut sys::snd_pcm_substream,
    bytes: &mut [u8],
) -> Result {
    // SAFETY: By the safety requirement.
    let format = unsafe { (*(*substream).runtime).format };
    // SAFETY: Looks at its argument.
    let bits = unsafe { sys::snd_pcm_format_physical_width(format) };
    let samples = bytes.len() * 8 / usize::try_from(bits).map_err(|_| EINVAL)?.max(1);
    // SAFETY: `samples` samples fit into `bytes`.
    to_result(unsafe {
        sys::snd_pcm_format_set_silence(
            format,
            bytes.as_mut_ptr().cast(),
            samples.try_into().map_err(|_| EINVAL)?,
        )
    })
}
