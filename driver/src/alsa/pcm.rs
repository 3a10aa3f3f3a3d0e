// SPDX-License-Identifier: GPL-2.0-only

//! PCM operations: the trait that a driver implements, and the thunks the sound core calls.
//!
//! Each thunk is the same few lines: make the context token, find the card's data and the open
//! substream's, call the driver's method, turn its result into an errno.
//!
//! # What lives how long
//!
//! `open` makes an [`OpenStream`], kept in `runtime->private_data` until the runtime is freed, which is
//! after `close`, and after the last mapping is gone (a VMA pins the file). The ring memory that the
//! core reads and writes for `read()`, `write()` and silence (`runtime->dma_area`) is held by the
//! `OpenStream` as long as the core has its address.
//!
//! The record with the client's position (`runtime->control`), which the card may read, is lent to it as long as
//! there is the `OpenStream`: the core frees it right after `private_free` (`snd_pcm_detach_substream()`,
//! sound/core/pcm.c). The card reads it between PREPARE and STOP, and `hw_free`, which the core calls before
//! `close`, is where a driver stops it.

use super::{
    copy,
    drain::StartedDrain,
    elapsed::Elapsed,
    linked::Linked,
    mmap,
    substream::{
        HwParams,
        Locked,
        Opening,
        Setup, //
    },
    sys,
    time, //
};
use crate::mm::{
    fault::{
        Answer,
        Mapping,
        VmFault, //
    },
    mode::MapMode,
    Binding,
    Lent,
    Mappings,
    ScatterRing, //
};
use core::ptr;
use kernel::{
    bindings,
    error::from_result,
    mm::virt::VmaNew,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    },
    types::ForeignOwnable, //
};

/// What `trigger` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    Start,
    Stop,
    Pause,
    /// After [`Self::Pause`].
    Resume,
    /// The machine goes to sleep.
    Suspend,
    /// After [`Self::Suspend`], with [`super::Info::RESUME`].
    Wake,
    /// The stream goes on until everything that is queued has been played. May come twice.
    Drain,
}

/// How the sound core accesses a ring, for `read()`, `write()` and silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// By the linear address of its pages in main memory.
    Linear,
    /// Through the driver: [`PcmOps::read`], [`PcmOps::write`], [`PcmOps::silence`].
    Driver,
    /// Through the driver, which is also told when the client has written or read: [`PcmOps::ack`]. For
    /// substreams with [`super::Info::EXPLICIT_SYNC`].
    Synced,
}

/// The time of a stream by its own sample clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkTime {
    /// ns since frame 0.
    pub(crate) ns: u64,
    /// It may be wrong by as many ns, either way.
    pub(crate) accuracy: u32,
}

/// A driver's PCM.
///
/// Contexts: `open`, `hw_params`, `hw_free`, `prepare` and `mmap` may sleep; `trigger` and `pointer` run
/// under the PCM stream lock with interrupts off; `fault` may sleep and is called with the mmap lock or
/// the VMA's lock held, several at a time.
///
/// Every method but `open` may be called after the card was disconnected.
pub(crate) trait PcmOps: Sized + 'static {
    /// What all substreams of the card share.
    type Card: Send + Sync + 'static;
    /// What one open substream owns.
    type Stream: Send + Sync + 'static;

    /// Where interrupts announce this substream's periods.
    ///
    /// # Errors
    ///
    /// `ENXIO` for a substream that the card does not have.
    fn elapsed(card: &Self::Card, playback: bool, number: u32) -> Result<&Elapsed>;

    fn open(
        card: ArcBorrow<'_, Self::Card>,
        substream: &Opening<'_>,
    ) -> Result<Pin<KBox<Self::Stream>>>;

    /// Makes the ring for `params`. May be called again without `hw_free` in between.
    fn hw_params(stream: Pin<&Self::Stream>, params: &HwParams<'_>) -> Result<Arc<ScatterRing>>;

    /// Forgets the ring. May be called twice, and without `hw_params` before.
    fn hw_free(stream: Pin<&Self::Stream>);

    fn prepare(stream: Pin<&Self::Stream>, substream: &Setup<'_>) -> Result;

    /// Carries `command` out, for all of `streams` or for none.
    ///
    /// Several only with [`super::Info::SYNC_START`], and never for [`Trigger::Drain`].
    fn trigger(streams: &Linked<'_, Self>, command: Trigger) -> Result;

    /// The position in the ring, in frames, below the ring's length.
    fn pointer(stream: Pin<&Self::Stream>, substream: &Locked<'_>) -> u32;

    /// For how long the stream had gone at `now` ([`super::raw_clock`], ns); `None` when that cannot be told.
    ///
    /// `exact`: at the cost of asking the card.
    fn link_time(stream: Pin<&Self::Stream>, now: u64, exact: bool) -> Option<LinkTime>;

    /// Whether a card of this kind reads by itself how far the client has got, and who knows whether it is there.
    ///
    /// Then [`Setup::appl_ptr_address`] is where, unless it would not see what is written there.
    fn reads_appl_ptr(card: &Self::Card) -> Option<&Binding>;

    /// The client's position has changed. Only with [`Access::Synced`].
    fn ack(stream: Pin<&Self::Stream>, substream: &Locked<'_>) -> Result;

    /// Whether this part of the ring may be mapped, in this way. Maps nothing.
    fn mmap(stream: Pin<&Self::Stream>, mapping: Mapping, mode: MapMode) -> Result;

    /// Maps all pages of a mapping that is being made and that `mmap` has accepted.
    fn populate(stream: Pin<&Self::Stream>, vma: &VmaNew, mapping: Mapping) -> Result;

    /// Writes to the ring from byte `at` on. May sleep; the mmap lock may be held.
    fn write(stream: Pin<&Self::Stream>, at: usize, data: &[u8]) -> Result;

    /// Reads from the ring from byte `at` on. May sleep; the mmap lock may be held.
    fn read(stream: Pin<&Self::Stream>, at: usize, data: &mut [u8]) -> Result;

    /// Writes silence to the ring from byte `at` on. Under the PCM stream lock, but in a `write()` under PREEMPT_RT:
    /// there the two cannot be told apart, and interrupts are threads.
    fn silence(stream: Pin<&Self::Stream>, at: usize, silence: &[u8]) -> Result;

    /// Who has mapped the ring.
    fn mappings(stream: Pin<&Self::Stream>) -> &Mappings;

    /// User space has touched a page of a mapping: insert it.
    fn fault(stream: Pin<&Self::Stream>, fault: &VmFault<'_>) -> Answer;

    /// The card's number of this stream.
    fn index(stream: Pin<&Self::Stream>) -> u32;
}

/// One open substream: the driver's part, and the ring that the core has the address of.
#[pin_data]
pub(super) struct OpenStream<S> {
    stream: Pin<KBox<S>>,
    /// Held while `runtime->dma_area` points into it.
    #[pin]
    area: Mutex<Option<Arc<ScatterRing>>>,
    #[pin]
    pub(super) drain: StartedDrain,
    /// The sound core's record with the client's position, and where in it that is, for the card to read.
    appl_ptr: Option<(Lent, u64)>,
    /// Where `open` attached the substream. Part of the card's data, which outlive the substream.
    notifier: *const Elapsed,
}

pub(super) struct Adapter<T: PcmOps>(T);

impl<T: PcmOps> Adapter<T> {
    const OPS: sys::snd_pcm_ops = sys::snd_pcm_ops {
        open: Some(Self::open),
        close: Some(Self::close),
        ioctl: None,
        hw_params: Some(Self::hw_params),
        hw_free: Some(Self::hw_free),
        prepare: Some(Self::prepare),
        trigger: Some(Self::trigger),
        sync_stop: Some(Self::sync_stop),
        pointer: Some(Self::pointer),
        get_time_info: Some(Self::get_time_info),
        // With a ring that is linear to the kernel, the core's own copy and silence work on it.
        fill_silence: None,
        copy: None,
        page: None,
        mmap: Some(mmap::mmap::<T>),
        // No `ack`: it is not called for a client that advances its mapped control record, so
        // nothing may depend on it where such records are mapped.
        ack: None,
    };

    const OPS_DRIVER: sys::snd_pcm_ops = sys::snd_pcm_ops {
        fill_silence: Some(copy::fill_silence::<T>),
        copy: Some(copy::copy::<T>),
        ..Self::OPS
    };

    const OPS_SYNCED: sys::snd_pcm_ops = sys::snd_pcm_ops {
        ack: Some(Self::ack),
        ..Self::OPS_DRIVER
    };

    pub(super) const fn ops(access: Access) -> &'static sys::snd_pcm_ops {
        match access {
            Access::Linear => &Self::OPS,
            Access::Driver => &Self::OPS_DRIVER,
            Access::Synced => &Self::OPS_SYNCED,
        }
    }

    /// # Safety
    ///
    /// `substream` must be valid and of a card whose data is a `T::Card`.
    unsafe fn card<'a>(substream: *mut sys::snd_pcm_substream) -> ArcBorrow<'a, T::Card> {
        // SAFETY: By the safety requirement; both outlive the substream.
        let data = unsafe { (*(*(*substream).pcm).card).private_data };
        // SAFETY: `Card::new()` put an `Arc<T::Card>` there, given back when the card is freed.
        unsafe { Arc::<T::Card>::borrow(data) }
    }

    /// The notifier that `open` attached `substream` to.
    ///
    /// # Safety
    ///
    /// As for [`Self::open_stream`].
    unsafe fn notifier<'a>(substream: *mut sys::snd_pcm_substream) -> &'a Elapsed {
        // SAFETY: By the safety requirement.
        let notifier = unsafe { Self::open_stream(substream) }.notifier;
        // SAFETY: Part of the card's data, which outlive the open substream.
        unsafe { &*notifier }
    }

    /// # Safety
    ///
    /// `substream` must be valid and open, of `T`'s, and not be closed during `'a`.
    pub(super) unsafe fn open_stream<'a>(
        substream: *mut sys::snd_pcm_substream,
    ) -> Pin<&'a OpenStream<T::Stream>> {
        // SAFETY: By the safety requirement.
        let data = unsafe { (*(*substream).runtime).private_data };
        // SAFETY: `open()` put an `OpenStream` there, given back when the runtime is freed.
        unsafe { Pin::<KBox<OpenStream<T::Stream>>>::borrow(data) }
    }

    /// The driver's part of an open substream.
    ///
    /// # Safety
    ///
    /// As for [`Self::open_stream`].
    pub(super) unsafe fn stream<'a>(substream: *mut sys::snd_pcm_substream) -> Pin<&'a T::Stream> {
        // SAFETY: By the safety requirement.
        unsafe { Self::open_stream(substream) }
            .get_ref()
            .stream
            .as_ref()
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is valid, with a runtime, of a card whose data is a `T::Card`.
    unsafe extern "C" fn open(substream: *mut sys::snd_pcm_substream) -> c_int {
        from_result(|| {
            // SAFETY: `open` is running for `substream`.
            let opening = unsafe { Opening::from_raw(substream) };
            // SAFETY: The substream is valid and its card was made with a `T::Card`.
            let card = unsafe { Self::card(substream) };
            let notifier = T::elapsed(&card, opening.is_playback(), opening.number())?;
            // Without it there is only one count less.
            let lend = |dev: &_| {
                // SAFETY: Dropped with the `OpenStream`, or before there is one: see "What lives how long".
                unsafe { opening.lend_appl_ptr(dev) }
            };
            // Without it there is only one count less.
            let appl_ptr = T::reads_appl_ptr(&card)
                .and_then(|binding| binding.with(lend).ok())
                .flatten();
            let stream = KBox::pin_init(
                pin_init!(OpenStream {
                    stream: T::open(card, &opening)?,
                    area <- new_mutex!(None),
                    appl_ptr,
                    // SAFETY: `close` cancels it, and comes before the runtime is freed. No start
                    // comes after `close`.
                    drain <- unsafe { StartedDrain::new(substream) },
                    notifier,
                }? Error),
                GFP_KERNEL,
            )?;
            // SAFETY: The runtime exists from before `open` to after `close`.
            let runtime = unsafe { (*substream).runtime };
            // SAFETY: As above; the core looks at these two only when the runtime goes away.
            unsafe { (*runtime).private_data = stream.into_foreign() };
            // SAFETY: As above.
            unsafe { (*runtime).private_free = Some(Self::private_free) };
            // SAFETY: The substream is open until `close`, which detaches it.
            unsafe { notifier.attach(substream) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: `runtime` is valid, of a substream that [`Self::open`] has opened and that is
    /// closed.
    unsafe extern "C" fn private_free(runtime: *mut sys::snd_pcm_runtime) {
        // SAFETY: The core calls this once, last, with a valid runtime.
        let data = unsafe { (*runtime).private_data };
        // SAFETY: It came from `into_foreign()` in `open()`, and nobody borrows it any more: the
        // file is closed, no mapping is left.
        drop(unsafe { Pin::<KBox<OpenStream<T::Stream>>>::from_foreign(data) });
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is valid and being closed.
    unsafe extern "C" fn close(substream: *mut sys::snd_pcm_substream) -> c_int {
        // SAFETY: The substream is open until this call has returned.
        unsafe { Self::open_stream(substream) }.drain.cancel();
        // SAFETY: As above.
        unsafe { Self::notifier(substream) }.detach();
        0
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, `params` are single values.
    unsafe extern "C" fn hw_params(
        substream: *mut sys::snd_pcm_substream,
        params: *mut sys::snd_pcm_hw_params,
    ) -> c_int {
        from_result(|| {
            // SAFETY: `hw_params` is running with these arguments.
            let params = unsafe { HwParams::from_raw(params) };
            // SAFETY: The substream is open during the call.
            let open = unsafe { Self::open_stream(substream) };
            let ring = T::hw_params(open.stream.as_ref(), &params)?;
            // The core goes by the parameters when it copies.
            if ring.bytes() < params.buffer_bytes()? as usize {
                return Err(EINVAL);
            }
            // SAFETY: The substream is open, so it has a runtime.
            let runtime = unsafe { (*substream).runtime };
            // SAFETY: The runtime is valid, and the core keeps readers and writers of the buffer out
            // during `hw_params` and `hw_free` (`buffer_accessing`).
            unsafe {
                (*runtime).dma_buffer_p = ptr::null_mut();
                (*runtime).dma_addr = 0;
                (*runtime).dma_area = ring.area();
                (*runtime).dma_bytes = ring.bytes();
            }
            let old = open.area.lock().replace(ring);
            // Outside the lock: it may be the last reference, which frees the pages.
            drop(old);
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open.
    unsafe extern "C" fn hw_free(substream: *mut sys::snd_pcm_substream) -> c_int {
        // SAFETY: The substream is open during the call.
        let open = unsafe { Self::open_stream(substream) };
        T::hw_free(open.stream.as_ref());
        // SAFETY: As in `hw_params()`.
        let runtime = unsafe { (*substream).runtime };
        // SAFETY: As in `hw_params()`.
        unsafe {
            (*runtime).dma_area = ptr::null_mut();
            (*runtime).dma_bytes = 0;
        }
        let old = open.area.lock().take();
        drop(old);
        0
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, with parameters.
    unsafe extern "C" fn prepare(substream: *mut sys::snd_pcm_substream) -> c_int {
        from_result(|| {
            // SAFETY: The substream is open during the call.
            let open = unsafe { Self::open_stream(substream) };
            let appl_ptr = open.appl_ptr.as_ref();
            let appl_ptr = appl_ptr.map(|(lent, at)| lent.address().wrapping_add(*at));
            // SAFETY: `prepare` is running for `substream`.
            let setup = unsafe { Setup::from_raw(substream, appl_ptr) };
            T::prepare(open.get_ref().stream.as_ref(), &setup)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, its stream lock held.
    unsafe extern "C" fn trigger(substream: *mut sys::snd_pcm_substream, command: c_int) -> c_int {
        from_result(|| {
            let command = match command as u32 {
                sys::SNDRV_PCM_TRIGGER_START => Trigger::Start,
                sys::SNDRV_PCM_TRIGGER_STOP => Trigger::Stop,
                // Every stream that runs, with INFO_RESUME or not; without it the core then expects
                // `prepare`.
                sys::SNDRV_PCM_TRIGGER_SUSPEND => Trigger::Suspend,
                sys::SNDRV_PCM_TRIGGER_RESUME => Trigger::Wake,
                sys::SNDRV_PCM_TRIGGER_PAUSE_PUSH => Trigger::Pause,
                sys::SNDRV_PCM_TRIGGER_PAUSE_RELEASE => Trigger::Resume,
                sys::SNDRV_PCM_TRIGGER_DRAIN => Trigger::Drain,
                _ => return Err(EINVAL),
            };
            // SAFETY: `trigger` is running for `substream`.
            let linked = unsafe { Linked::<T>::from_raw(substream, command) };
            T::trigger(&linked, command)?;
            linked.done();
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open.
    unsafe extern "C" fn sync_stop(substream: *mut sys::snd_pcm_substream) -> c_int {
        // SAFETY: The substream is open during the call.
        unsafe { Self::notifier(substream) }.quiesce();
        0
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, its stream lock held.
    unsafe extern "C" fn ack(substream: *mut sys::snd_pcm_substream) -> c_int {
        from_result(|| {
            // SAFETY: `ack` is running for `substream`.
            let locked = unsafe { Locked::from_raw(substream) };
            // SAFETY: The substream is open during the call.
            T::ack(unsafe { Self::stream(substream) }, &locked)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, its stream lock held.
    unsafe extern "C" fn pointer(substream: *mut sys::snd_pcm_substream) -> sys::snd_pcm_uframes_t {
        // SAFETY: `pointer` is running for `substream`.
        let locked = unsafe { Locked::from_raw(substream) };
        // SAFETY: The substream is open during the call.
        let position = T::pointer(unsafe { Self::stream(substream) }, &locked);
        // CAST: An unsigned long has at least 32 bits.
        position as sys::snd_pcm_uframes_t
    }

    /// # Safety
    ///
    /// For the sound core: `substream` is open, its stream lock held; the rest is valid.
    unsafe extern "C" fn get_time_info(
        substream: *mut sys::snd_pcm_substream,
        system: *mut bindings::timespec64,
        audio: *mut bindings::timespec64,
        config: *mut sys::snd_pcm_audio_tstamp_config,
        report: *mut sys::snd_pcm_audio_tstamp_report,
    ) -> c_int {
        // SAFETY: By the safety requirement.
        let (wanted, with_delay) =
            unsafe { ((*config).type_requested(), (*config).report_delay() != 0) };
        // SAFETY: `get_time_info` is running for `substream`.
        let locked = unsafe { Locked::from_raw(substream) };
        let exact = match wanted {
            sys::SNDRV_PCM_AUDIO_TSTAMP_TYPE_LINK => Some(false),
            sys::SNDRV_PCM_AUDIO_TSTAMP_TYPE_LINK_SYNCHRONIZED => Some(true),
            _ => None,
        };
        let link = exact.and_then(|exact| {
            let now = time::now();
            // SAFETY: By the safety requirement.
            unsafe { *system = locked.time() };
            // SAFETY: The substream is open during the call.
            T::link_time(unsafe { Self::stream(substream) }, now, exact)
        });
        // SAFETY: By the safety requirement; nobody else has it.
        let report = unsafe { &mut *report };
        let Some(link) = link else {
            // The core then makes it from the position.
            report.set_actual_type(sys::SNDRV_PCM_AUDIO_TSTAMP_TYPE_DEFAULT);
            report.set_accuracy_report(0);
            return 0;
        };
        let ns = match with_delay {
            true => locked.at_the_ear(link.ns),
            false => link.ns,
        };
        // SAFETY: By the safety requirement.
        unsafe { *audio = time::timespec(ns) };
        report.set_actual_type(wanted);
        report.set_accuracy_report(1);
        report.accuracy = link.accuracy;
        0
    }
}
