// SPDX-License-Identifier: GPL-2.0-only

//! The PCM: what each call of the sound core means on this card.
//!
//! In steady state nothing here touches the card: the position is one load from the status line, a client
//! that maps the ring advances its own pointer, and an interrupt says only that a period is over.
//!
//! Locks: the ring's are told in [`crate::slot`]. What `trigger` and `pointer` share is under the PCM stream
//! lock; it is atomic only because Rust wants to be told.

use crate::{
    alsa::{
        self,
        Elapsed,
        Hardware,
        HwParams,
        Info,
        LinkTime,
        Linked,
        Locked,
        Opening,
        PcmOps,
        Setup,
        Trigger, //
    },
    card::CardState,
    format,
    link,
    mm::{
        self,
        fault::{
            Answer,
            Mapping,
            VmFault, //
        },
        mode::{
            self,
            MapMode, //
        },
        trace,
        Binding,
        Mappings,
        ScatterRing, //
    },
    position,
    regs,
    ring::Ring,
    slot::{
        Configured,
        Params,
        Slot,
        Told,
        Wish, //
    }, //
};
use kernel::{
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// Bytes of the largest sample of all formats.
const SAMPLE_BYTES_MAX: u32 = 4;

/// One open substream.
pub(crate) struct Stream {
    card: Arc<CardState>,
    /// What the card keeps of this stream, its ring among it.
    slot: Arc<Slot>,
    /// The card's number of this stream.
    index: u32,
    playback: bool,
    /// Frames of the ring; 0 without one. Written by `prepare`, which no `pointer` runs beside.
    ring_frames: Atomic<u32>,
    /// The card's position that `pointer` last reported, frames since PREPARE. Stream lock.
    hw_ptr: Atomic<u64>,
    /// The most frames that one report adds to it; as `ring_frames`.
    longest_step: Atomic<u32>,
    /// The sound core's `appl_ptr` up to which the ring was handed to the card, frames. Stream lock.
    handed: Atomic<u64>,
    /// Bytes of a frame; as `ring_frames`.
    frame_bytes: Atomic<u32>,
    /// Where the card was told to end, frames since PREPARE; `NOT_DRAINING`. Stream lock.
    drain_end: Atomic<u64>,
    /// Hz; as `ring_frames`.
    rate: Atomic<u32>,
    /// What the card's clock was ahead of [`alsa::raw_clock`] by when they were last compared, ns, modulo
    /// 2^64; and by how much that may be wrong, ns. Stream lock.
    clock_ahead: Atomic<u64>,
    clock_doubt: Atomic<u32>,
}

/// Nothing was told yet. No position is so large.
const NOT_DRAINING: u64 = u64::MAX;

pub(crate) struct Pcm;

impl Stream {
    /// Tells the card all about the stream and makes it ready to go on from frame `begin`. Any context.
    ///
    /// # Errors
    ///
    /// `EIO` when the card refuses; the log says why. `ENODEV` when it is gone.
    fn tell(&self, told: &Told, begin: u64) -> Result {
        let Told {
            params,
            table,
            appl,
            flags,
        } = told;
        let regs = self.card.registers.stream(self.index)?;

        regs.write(regs::SGRING_S_FORMAT, params.format)?;
        regs.write(regs::SGRING_S_RATE, params.rate)?;
        regs.write(regs::SGRING_S_CHANNELS, params.channels)?;
        regs.write(regs::SGRING_S_PERIOD, params.period)?;
        regs.write(regs::SGRING_S_RING, params.ring)?;
        regs.write64(regs::SGRING_S_SGT_ADDR, table.0)?;
        regs.write(regs::SGRING_S_SGT_COUNT, table.1)?;
        regs.write(regs::SGRING_S_VECTOR, self.card.vector_of(self.index))?;
        regs.write64(
            regs::SGRING_S_STATUS_ADDR,
            self.card.status.address(self.index),
        )?;
        regs.write(regs::SGRING_S_FLAGS, *flags)?;
        if self.card.capabilities.has(regs::SGRING_FEAT_APPL_PTR) {
            regs.write64(regs::SGRING_S_APPL_ADDR, *appl)?;
        }
        if self.card.capabilities.has(regs::SGRING_FEAT_BEGIN) {
            regs.write64(regs::SGRING_S_BEGIN, begin)?;
        }
        self.slot.levels.apply(&regs, &self.card.capabilities)?;
        regs.write(regs::SGRING_S_CMD, regs::SGRING_CMD_PREPARE)?;

        match regs.read(regs::SGRING_S_STATE)? {
            regs::SGRING_STATE_PREPARED => Ok(()),
            state => {
                self.card.registers.check()?;
                let err = regs.read(regs::SGRING_S_ERR)?;
                let index = regs.read(regs::SGRING_S_ERR_INDEX)?;
                // Any client can try again and again.
                if mm::may_say() {
                    pr_err!(
                        "stream {}: card refuses to prepare: state {state}, error {err}, index {index}\n",
                        self.index
                    );
                }
                Err(EIO)
            }
        }
    }

    /// Makes sure that the card can start the stream, and has not forgotten it: it was prepared. Stream lock.
    ///
    /// A machine that was asleep has switched it off. The status line, in memory, still tells where the
    /// stream was.
    ///
    /// # Errors
    ///
    /// As [`Self::tell`]; `EIO` for a stream that has failed meanwhile, with nobody told, and for one that runs
    /// already: it was not asked to.
    fn remind(&self) -> Result {
        let regs = self.card.registers.stream(self.index)?;
        match regs.read(regs::SGRING_S_STATE)? {
            regs::SGRING_STATE_PREPARED | regs::SGRING_STATE_PAUSED => return Ok(()),
            regs::SGRING_STATE_IDLE => {}
            // It has failed, or says what cannot be; all ones, where it is not there.
            _ => return self.card.registers.check().and(Err(EIO)),
        }
        let told = self.slot.told().ok_or_else(alsa::bad_state)?;
        let last = self.hw_ptr.load(Relaxed);
        let now = self.card.status.hw_ptr(self.index).ok_or(ENODEV)?;
        self.tell(&told, position::monotonic(last, now))?;
        // A period that ended between the last interrupt and the stop is made up for by the next one.
        self.slot.reset_irqs();
        Ok(())
    }

    /// The card's clock was at the stream's time stamp between `before` and `after`. Stream lock.
    fn compare_clocks(&self, clock: u64, before: u64, after: u64) {
        let half = after.saturating_sub(before).div_ceil(2);
        let then = before.saturating_add(half);
        let doubt = half.saturating_add(alsa::raw_clock_resolution().into());
        self.clock_ahead.store(clock.wrapping_sub(then), Relaxed);
        self.clock_doubt
            .store(doubt.try_into().unwrap_or(u32::MAX), Relaxed);
    }

    /// Tells the card where to end. Stream lock.
    fn drain_to(&self, end: u64) -> Result {
        self.card
            .registers
            .stream(self.index)?
            .write64(regs::SGRING_S_DRAIN_END, end)?;
        self.command(regs::SGRING_CMD_DRAIN)
    }

    /// Has the card drop its copy of the table: nothing refers to the pages any more. May sleep.
    ///
    /// Fails after unbind, when there is no need, and is refused after an error, when the card has dropped
    /// the table itself.
    fn halt(&self) {
        if self.command(regs::SGRING_CMD_STOP).is_ok() {
            // The answer to a read comes after the write has arrived [D-11].
            let _ = self
                .card
                .registers
                .stream(self.index)
                .and_then(|regs| regs.read(regs::SGRING_S_STATE));
        }
    }

    /// Hands the frames from position `from` up to `end` over between CPU and card. Stream lock.
    fn sync(&self, from: u64, end: u64) {
        let unit = self.frame_bytes.load(Relaxed) as usize;
        for (at, frames) in position::spans(from, end, self.ring_frames.load(Relaxed)) {
            // No overflow: within a ring, whose bytes `hw_params` has counted.
            self.slot.sync(
                (at as usize).wrapping_mul(unit),
                (frames as usize).wrapping_mul(unit),
            );
        }
    }

    /// Takes a ring that goes away out of the mappings that it may still have.
    ///
    /// A native client has none then, the sound core sees to that. One of OSS emulation may get another ring
    /// while it has this one mapped.
    fn revoke(&self, place: &Option<Configured>) {
        if let Some(configured) = place {
            let bytes = configured.ring.bytes();
            if self.slot.mappings.revoke(bytes) {
                trace::revoke(self.index, bytes.div_ceil(PAGE_SIZE));
            }
        }
    }

    fn command(&self, command: u32) -> Result {
        self.card
            .registers
            .stream(self.index)?
            .write(regs::SGRING_S_CMD, command)
    }
}

/// Gives all of `streams` one command at one instant.
fn command_all(streams: &Linked<'_, Pcm>, command: u32) -> Result {
    if !streams.are_several() {
        return streams.for_each(|stream, _| stream.command(command));
    }
    let (first, _) = streams.first();
    first.card.together(command, |give| {
        streams.for_each(|stream, _| give(stream.index))
    })
}

impl PcmOps for Pcm {
    type Card = CardState;
    type Stream = Stream;

    fn elapsed(card: &CardState, playback: bool, number: u32) -> Result<&Elapsed> {
        Ok(&card.slot(card.stream_of(playback, number)?)?.elapsed)
    }

    fn open(card: ArcBorrow<'_, CardState>, substream: &Opening<'_>) -> Result<Pin<KBox<Stream>>> {
        let caps = &card.capabilities;
        let mut info = Info::RING
            .with(Info::NO_PERIOD_WAKEUP)
            .with(Info::LINK_TIME);
        if caps.has(regs::SGRING_FEAT_PAUSE) {
            info = info.with(Info::PAUSE);
        }
        // The core sends the drain of a capture stream too, which has nothing to play.
        if caps.has(regs::SGRING_FEAT_DRAIN) && substream.is_playback() {
            info = info.with(Info::DRAIN);
        }
        if card.sync().is_some() {
            info = info.with(Info::EXPLICIT_SYNC);
        }
        if caps.has(regs::SGRING_FEAT_GROUPS) {
            info = info.with(Info::SYNC_START);
        }
        if caps.has(regs::SGRING_FEAT_BEGIN) {
            info = info.with(Info::RESUME);
        }
        substream.set_hardware(&Hardware {
            info,
            formats: format::mask_from_card(caps.formats),
            rates: caps.rates,
            channels: caps.channels,
            period: caps.period,
            buffer_bytes_max: card.ring_bytes_max,
            // No overflow: the card counts channels in eight bits.
            frame_bytes_max: SAMPLE_BYTES_MAX * caps.channels.1,
            periods: (2, u32::MAX),
        });
        substream.has_the_cards_clock();
        substream.constrain_period(caps.period.0, caps.period.1)?;
        substream.constrain_whole_periods()?;
        substream.constrain_buffer_words()?;

        let playback = substream.is_playback();
        let index = card.stream_of(playback, substream.number())?;
        let slot = card.slot(index)?.clone();
        let stream = Stream {
            card: card.into(),
            slot,
            index,
            playback,
            ring_frames: Atomic::new(0),
            hw_ptr: Atomic::new(0),
            longest_step: Atomic::new(u32::MAX),
            handed: Atomic::new(0),
            frame_bytes: Atomic::new(0),
            drain_end: Atomic::new(NOT_DRAINING),
            rate: Atomic::new(0),
            clock_ahead: Atomic::new(0),
            clock_doubt: Atomic::new(u32::MAX),
        };
        Ok(KBox::pin(stream, GFP_KERNEL)?)
    }

    fn hw_params(stream: Pin<&Stream>, params: &HwParams<'_>) -> Result<Arc<ScatterRing>> {
        let bytes = params.buffer_bytes()? as usize;
        let frames = params.buffer()?;
        let chosen = Params {
            format: format::to_card(params.format()?).ok_or(EINVAL)?,
            rate: params.rate()?,
            channels: params.channels()?,
            period: params.period()?,
            ring: frames,
            frame_bytes: params.buffer_bytes()?.checked_div(frames).ok_or(EINVAL)?,
        };
        #[cfg(planted)]
        crate::mm::planted::duration(frames, chosen.rate);
        if params.no_period_wakeup() && !position::is_countable(chosen.rate, frames) {
            return Err(EINVAL);
        }
        let slot = &stream.slot;
        let wish = slot.wish();

        // The same size again: the pages stay, and with them what a client may still have mapped.
        let mut old_bytes = 0;
        if let Some(configured) = &mut *slot.ring.lock() {
            let ring = &configured.ring;
            if ring.bytes() == bytes && ring.is_on_card() == (wish != Wish::Ram) {
                configured.params = chosen;
                return Ok(ring.memory().clone());
            }
            old_bytes = ring.bytes();
        }

        let card = &stream.card;
        let ring = card.binding.with(|dev| {
            let charge = card.purse.charge(bytes, old_bytes).inspect_err(|_| {
                let (limit, used) = card.purse.state();
                if mm::may_say() {
                    dev_warn!(
                        dev,
                        "no ring of {bytes} bytes: {used} of {limit} are in use (max_card_bytes)\n"
                    );
                }
            })?;
            let mut ring = Ring::new(
                dev,
                bytes,
                stream.playback,
                card.sync(),
                card.capabilities.table,
                charge,
            )?;
            ring.settle(card.room(dev, slot, wish, bytes)?);
            Ok(ring)
        })?;
        let (memory, home) = (ring.memory().clone(), ring.home());
        // A stream that was prepared has a table of the old pages.
        stream.halt();
        slot.silence_goes_to([Some(home), None]);
        let mut place = slot.ring.lock();
        stream.revoke(&place);
        let old = place.replace(Configured {
            ring,
            params: chosen,
        });
        drop(place);
        drop(old);
        Ok(memory)
    }

    fn hw_free(stream: Pin<&Stream>) {
        stream.halt();
        let slot = &stream.slot;
        slot.silence_goes_to([None, None]);
        let mut place = slot.ring.lock();
        stream.revoke(&place);
        let old = place.take();
        drop(place);
        drop(old);
    }

    fn prepare(stream: Pin<&Stream>, substream: &Setup<'_>) -> Result {
        // The sound core does not wait for calls under way when it disconnects a card: unbind waits here
        // instead, so that the card is not told of memory that is being freed, nor after its last reset.
        stream.card.binding.with(|_| {
            let slot = &stream.slot;
            let ring = slot.ring.lock();
            let configured = ring.as_ref().ok_or_else(alsa::bad_state)?;
            stream.hw_ptr.store(0, Relaxed);
            stream.drain_end.store(NOT_DRAINING, Relaxed);
            // Where the sound core sets its own to, after this.
            stream.handed.store(0, Relaxed);
            stream
                .frame_bytes
                .store(configured.params.frame_bytes, Relaxed);
            stream.ring_frames.store(configured.params.ring, Relaxed);
            stream.rate.store(configured.params.rate, Relaxed);
            let mut flags = 0;
            let mut longest_step = u32::MAX;
            if !substream.no_period_wakeup() {
                flags |= regs::SGRING_FLAG_PERIOD_IRQ;
                // Without interrupts the sound core finds the laps by its clock.
                longest_step = position::longest_step(configured.params.ring);
            }
            stream.longest_step.store(longest_step, Relaxed);
            slot.set_behind(false);
            if slot.loopback() {
                flags |= regs::SGRING_FLAG_LOOPBACK;
            }
            let table = configured.ring.table();
            let told = Told {
                params: configured.params,
                table: (table.address(), table.count()),
                appl: substream.appl_ptr_address().unwrap_or(0),
                flags,
            };
            slot.will_tell(told);
            stream.card.status.clear(stream.index);
            stream.tell(&told, 0)?;
            if let Some(events) = &stream.card.events {
                events.remind();
            }
            // Last: until START there is no interrupt that could count in between.
            slot.reset_irqs();
            Ok(())
        })
    }

    fn trigger(streams: &Linked<'_, Self>, command: Trigger) -> Result {
        #[cfg(planted)]
        crate::mm::planted::trigger();
        let (stream, substream) = streams.first();
        match command {
            Trigger::Start | Trigger::Resume | Trigger::Wake => {
                streams.for_each(|stream, _| stream.remind())?;
                let before = alsa::raw_clock();
                command_all(streams, regs::SGRING_CMD_START)?;
                let after = alsa::raw_clock();
                streams.for_each(|stream, _| {
                    // START has stamped the line with its own time [D-42].
                    if let Some(stamp) = stream.card.status.stamp(stream.index) {
                        stream.compare_clocks(stamp.tstamp, before, after);
                    }
                    match stream.drain_end.load(Relaxed) {
                        NOT_DRAINING => Ok(()),
                        end => stream.drain_to(end),
                    }
                })
            }
            Trigger::Pause => command_all(streams, regs::SGRING_CMD_PAUSE),
            Trigger::Stop | Trigger::Suspend => command_all(streams, regs::SGRING_CMD_STOP),
            Trigger::Drain if stream.drain_end.load(Relaxed) != NOT_DRAINING => Ok(()),
            Trigger::Drain => {
                let reported = stream.hw_ptr.load(Relaxed);
                let now = stream.card.status.hw_ptr(stream.index).unwrap_or(reported);
                let now = position::monotonic(reported, now);
                let end = position::drain_end(
                    reported,
                    now,
                    substream.appl_ptr(),
                    substream.hw_ptr(),
                    substream.boundary(),
                    stream.ring_frames.load(Relaxed),
                );
                stream.drain_to(end)?;
                stream.drain_end.store(end, Relaxed);
                Ok(())
            }
        }
    }

    fn pointer(stream: Pin<&Stream>, substream: &Locked<'_>) -> u32 {
        let last = stream.hw_ptr.load(Relaxed);
        // After unbind the position stands still.
        let now = stream.card.status.hw_ptr(stream.index).unwrap_or(last);
        let now = position::monotonic(last, now);
        let reported = position::report(last, now, stream.longest_step.load(Relaxed));
        stream.slot.set_behind(reported != now);
        if reported != last && !stream.playback && stream.card.sync().is_some() {
            stream.sync(last, reported);
        }
        stream.hw_ptr.store(reported, Relaxed);
        if let Some(delay) = stream.card.status.delay(stream.index) {
            substream.set_delay(delay);
        }
        position::in_ring(reported, stream.ring_frames.load(Relaxed))
    }

    fn link_time(stream: Pin<&Stream>, now: u64, exact: bool) -> Option<LinkTime> {
        if exact {
            let before = alsa::raw_clock();
            let clock = stream.card.registers.clock().ok()?;
            stream.compare_clocks(clock, before, alsa::raw_clock());
        }
        let stamp = stream.card.status.stamp(stream.index)?;
        let clock = now.wrapping_add(stream.clock_ahead.load(Relaxed));
        Some(LinkTime {
            ns: link::ns(stamp, stream.rate.load(Relaxed), clock),
            accuracy: stream.clock_doubt.load(Relaxed),
        })
    }

    fn reads_appl_ptr(card: &CardState) -> Option<&Binding> {
        let reads = card.capabilities.has(regs::SGRING_FEAT_APPL_PTR) && card.sync().is_none();
        reads.then_some(&*card.binding)
    }

    fn ack(stream: Pin<&Stream>, substream: &Locked<'_>) -> Result {
        if stream.playback {
            let (appl_ptr, boundary) = (substream.appl_ptr(), substream.boundary());
            let frames = position::written(
                stream.handed.load(Relaxed),
                appl_ptr,
                boundary,
                stream.ring_frames.load(Relaxed),
            );
            stream.handed.store(appl_ptr, Relaxed);
            // A lap of all positions on: the same place in the ring, and no position below 0.
            let end = appl_ptr.saturating_add(boundary);
            stream.sync(end.saturating_sub(frames.into()), end);
        }
        Ok(())
    }

    fn mmap(stream: Pin<&Stream>, mapping: Mapping, mode: MapMode) -> Result {
        match &*stream.slot.ring.lock() {
            // What is on the card may have to be taken away, which these modes cannot.
            Some(configured) if configured.ring.is_on_card() && mode != MapMode::Fault => {
                Err(mode::unsupported())
            }
            Some(configured) => configured.ring.check_mapping(mapping),
            None => Err(alsa::bad_state()),
        }
    }

    fn populate(stream: Pin<&Stream>, vma: &VmaNew, mapping: Mapping) -> Result {
        match &*stream.slot.ring.lock() {
            Some(configured) => configured.ring.populate(vma, mapping),
            None => Err(alsa::bad_state()),
        }
    }

    fn fault(stream: Pin<&Stream>, fault: &VmFault<'_>) -> Answer {
        match &mut *stream.slot.ring.lock() {
            Some(configured) => configured.ring.fault(fault, mode::fault_window()),
            None => Answer::SIGBUS,
        }
    }

    fn write(stream: Pin<&Stream>, at: usize, data: &[u8]) -> Result {
        match &*stream.slot.ring.lock() {
            Some(configured) => configured.ring.home().write(at, data),
            None => Err(alsa::bad_state()),
        }
    }

    fn read(stream: Pin<&Stream>, at: usize, data: &mut [u8]) -> Result {
        match &*stream.slot.ring.lock() {
            Some(configured) => configured.ring.home().read(at, data),
            None => Err(alsa::bad_state()),
        }
    }

    fn silence(stream: Pin<&Stream>, at: usize, silence: &[u8]) -> Result {
        stream.slot.silence(at, silence)
    }

    fn mappings(stream: Pin<&Stream>) -> &Mappings {
        &stream.get_ref().slot.mappings
    }

    fn index(stream: Pin<&Stream>) -> u32 {
        stream.index
    }
}
