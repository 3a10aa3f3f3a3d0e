// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the audio thread through cpal's types, on the simulated card.

use super::*;
use crate::End;
use crate::params::FORMATS;
use crate::ring::Ring;
use crate::sim::{Bench, Sim};
use crate::stream::Setup;
use crate::stream::capture::Capture;
use crate::stream::playback::Playback;
use crate::sys::Direction;
use assert_no_alloc::assert_no_alloc;
use cpal::SampleFormat;
use std::sync::atomic::{AtomicU32, Ordering};

/// cpal's own types between the thread and the callbacks allocate nothing either, underruns
/// included, and times are those of the card.
#[test]
fn the_way_through_cpal_allocates_nothing() {
    let setup = Setup {
        ring: Ring::new(100, 400, 400 << 20).unwrap(),
        format: FORMATS[0],
        frame_bytes: 4,
        rate: 48_000,
        perfect_drain: true,
        linear: false,
        timer: false,
    };
    let bench = Arc::new(Bench::default());
    let shared = Arc::new(Shared::new().unwrap());
    let handle = Handle(shared.clone());
    handle.finish_at(10_000);
    let (xruns, stalled) = (Arc::new(AtomicU32::new(0)), bench.clone());
    let counted = xruns.clone();
    let (mut calls, mut last) = (0u64, StreamInstant::new(0, 0));
    let callbacks = Callbacks {
        way: Way::new(FORMATS[0], SampleFormat::I16, Direction::Playback, 200),
        data: move |data: &mut Data, info: &OutputCallbackInfo| {
            let samples = data.as_slice_mut::<i16>().unwrap();
            assert_eq!(samples.len(), 200);
            assert!(samples.iter().all(|&s| s == 0));
            samples.fill(7);
            let time = info.timestamp();
            assert!(time.playback >= time.callback && time.playback >= last);
            last = time.playback;
            calls += 1;
            if calls == 50 {
                stalled.stall.store(1000, Ordering::Relaxed);
            }
        },
        error: move |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Xrun);
            counted.fetch_add(1, Ordering::Relaxed);
        },
    };
    let [card] = Sim::card([(Direction::Playback, &setup)], &bench, &shared);
    let flow = Playback::new(card, callbacks, shared.clone(), setup);
    let mut worker = Worker::new(flow, shared.clone());
    shared.set_command(Command::Play);
    let end = assert_no_alloc(|| worker.serve());
    assert_eq!(end, End::Drained);
    assert_eq!(xruns.load(Ordering::Relaxed), 1);
    let played = bench.played.lock().unwrap();
    let heard = played.iter().filter(|&&b| b == 7).count();
    assert_eq!(heard, 2 * 10_000);
}

/// The same of what is recorded, 24 bits in three bytes by way of the stream's buffer.
#[test]
fn the_way_in_allocates_nothing() {
    let setup = Setup {
        ring: Ring::new(100, 400, 400 << 20).unwrap(),
        format: FORMATS[4],
        frame_bytes: 6,
        rate: 48_000,
        perfect_drain: true,
        linear: false,
        timer: false,
    };
    let bench = Arc::new(Bench::default());
    let shared = Arc::new(Shared::new().unwrap());
    let handle = Handle(shared.clone());
    handle.finish_at(10_000);
    let (mut next, mut last) = (0, StreamInstant::new(0, 0));
    let callbacks = Callbacks {
        data: move |data: &Data, info: &InputCallbackInfo| {
            let samples = data.as_slice::<cpal::I24>().unwrap();
            assert_eq!(samples.len(), 200);
            let time = info.timestamp();
            assert!(time.capture <= time.callback && time.capture >= last);
            last = time.capture;
            // The card counts frames in the low bytes of each.
            for frame in samples.chunks_exact(2) {
                next += 1;
                assert_eq!(frame[0].inner(), next);
                assert_eq!(frame[1].inner(), 0);
            }
        },
        error: |error: Error| panic!("{error}"),
        way: Way::new(FORMATS[4], SampleFormat::I24, Direction::Capture, 200),
    };
    let [card] = Sim::card([(Direction::Capture, &setup)], &bench, &shared);
    let flow = Capture::new(card, callbacks, shared.clone(), setup);
    let mut worker = Worker::new(flow, shared.clone());
    shared.set_command(Command::Play);
    let end = assert_no_alloc(|| worker.serve());
    assert_eq!(end, End::Drained);
    assert_eq!(handle.stats().frames, 10_000);
}
