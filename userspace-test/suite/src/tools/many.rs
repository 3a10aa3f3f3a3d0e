// SPDX-License-Identifier: MIT OR Apache-2.0
//! All playback streams of a card at once: linked, eight channels of 32 bits each, in rings of two periods.
//!
//! A journey runs this on a card with as many streams as there can be, and judges what one of them has
//! fetched. Each period of each stream is a piece of one table ([`word`]), from another place ([`place`]): the
//! journey has the same two functions.

use cpal_alsa_mmap::sys::{
    Access, ControlPage, Format, HwParams, MappedRing, Param, Pcm, State, StatusPage, SwParams,
    SyncRequest,
};
use sgring_suite::card;
use sgring_suite::ensure;
use sgring_suite::priority;
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;

const RATE: u32 = 48_000;
const CHANNELS: usize = 8;
/// Frames.
const PERIOD: usize = 256;
const PERIODS: usize = 2;
/// Twenty seconds.
const PLAYED: usize = 20 * RATE as usize / PERIOD;
const PERIOD_BYTES: usize = PERIOD * CHANNELS * 4;
/// Places in the table, bytes from one to the next.
const PLACES: usize = 1009;
const STEP: usize = CHANNELS * 4;

fn main() -> ExitCode {
    tap::run(&[Test(
        "all_linked",
        "DESIGN 6: every playback stream, linked, 8 channels S32, 256 x 2, 20 s without an xrun",
        all_linked,
    )])
}

/// Word `index` of the table.
fn word(index: usize) -> u32 {
    (index as u32 + 1).wrapping_mul(0x9e37_79b1)
}

/// Where in the table period `period` of stream `stream` begins, bytes.
fn place(stream: usize, period: usize) -> usize {
    (stream * 331 + period * 17) % PLACES * STEP
}

struct Stream {
    pcm: Pcm,
    ring: MappedRing,
    control: ControlPage,
    status: StatusPage,
}

impl Stream {
    fn new(pcm: Pcm) -> Result<Self, Stop> {
        let mut params = HwParams::any();
        params.set_access(&[Access::MmapInterleaved]);
        params.set_formats(&[Format::S32Le]);
        params.set(Param::Channels, CHANNELS as u32);
        params.set(Param::Rate, RATE);
        params.set(Param::PeriodSize, PERIOD as u32);
        params.set(Param::Periods, PERIODS as u32);
        pcm.hw_params(&mut params)?;
        let mut params = SwParams::new((PERIOD * PERIODS) as u64, PERIOD as u64);
        params.start_threshold = i64::MAX as u64;
        pcm.sw_params(&params)?;
        pcm.prepare()?;
        Ok(Self {
            // SAFETY: nothing else here maps it.
            ring: unsafe { MappedRing::new(&pcm, PERIODS * PERIOD, CHANNELS * 4) }?,
            control: ControlPage::new(&pcm)?,
            status: StatusPage::new(&pcm)?,
            pcm,
        })
    }

    fn write(&mut self, table: &[u8], number: usize, period: usize) {
        let from = place(number, period);
        self.ring
            .window(period % PERIODS * PERIOD, PERIOD)
            .copy_from_slice(&table[from..from + PERIOD_BYTES]);
        self.control.set_appl_ptr(((period + 1) * PERIOD) as u64);
    }
}

fn all_linked() -> Outcome {
    let table: Vec<u8> = (0..PLACES * CHANNELS + PERIOD * CHANNELS)
        .flat_map(|index| word(index).to_le_bytes())
        .collect();
    let mut streams = Vec::new();
    loop {
        match card::open() {
            Ok(pcm) => streams.push(Stream::new(pcm)?),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => break,
            Err(e) => return Err(e.into()),
        }
    }
    let (first, others) = streams
        .split_first()
        .ok_or(Stop::Fail("no stream".into()))?;
    for other in others {
        first.pcm.link(&other.pcm)?;
    }
    for period in 0..PERIODS {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write(&table, number, period);
        }
    }
    // The core looks at what was written when it is asked to.
    for stream in &streams {
        stream.pcm.sync_ptr(SyncRequest::default())?;
    }
    // As who plays from 10 ms does: of other threads that have work, one may have the processor for longer.
    priority::first()?;
    streams[0].pcm.start()?;
    for period in PERIODS..PLAYED {
        for (number, stream) in streams.iter_mut().enumerate() {
            // Each for itself: the card has all of them at one position, but what the kernel knows of one is
            // not what it knows of the next.
            stream.pcm.poll(None)?;
            stream.write(&table, number, period);
        }
        let status = streams[0].status.load();
        ensure!(
            status.state == State::Running,
            "{:?} in period {period}",
            status.state
        );
    }
    streams[0].pcm.drain()?;
    for (number, stream) in streams.iter().enumerate() {
        let status = stream.pcm.status()?;
        ensure!(
            status.state == State::Setup && status.hw_ptr as usize == PLAYED * PERIOD,
            "stream {number}: {:?} at {}",
            status.state,
            status.hw_ptr
        );
    }
    note(format_args!(
        "{} streams, {PLAYED} periods of {PERIOD} frames each",
        streams.len()
    ));
    Ok(())
}
