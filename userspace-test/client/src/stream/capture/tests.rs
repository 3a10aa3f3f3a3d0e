// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread against the simulated card, recording. The card's frames count from 1.

use super::*;
use crate::handle::{Command, Handle, Stats};
use crate::ring::Ring;
use crate::sim::{Bench, Sim};
use crate::stream::Worker;
use crate::sys::{Direction, Format};
use assert_no_alloc::assert_no_alloc;
use proptest::prelude::*;
use std::sync::Mutex;
use std::time::Duration;

/// What a callback does beside reading, by its number.
type Deed = Box<dyn FnMut(u64, &Bench) + Send>;

struct Keeping {
    heard: Vec<u32>,
    times: Vec<Duration>,
    handle: Handle,
    bench: Arc<Bench>,
    deed: Deed,
    pause_at: u64,
    calls: u64,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Sink for Keeping {
    fn data(&mut self, window: &[u8], moment: Moment) {
        assert!(moment.frame <= moment.seen);
        (self.deed)(self.calls, &self.bench);
        if self.pause_at > 0 && self.calls == self.pause_at {
            self.handle.0.set_command(Command::Pause);
        }
        self.calls += 1;
        if self.times.len() < self.times.capacity() {
            self.times.push(moment.frame);
        }
        let frames = window.chunks_exact(4);
        assert!(self.heard.len() + frames.len() <= self.heard.capacity());
        self.heard
            .extend(frames.map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])));
    }
}

impl Complain for Keeping {
    fn report(&mut self, report: Report) {
        let mut reports = self.reports.lock().unwrap();
        assert!(reports.len() < reports.capacity());
        reports.push(report);
    }
}

struct Scene {
    period: u64,
    periods: u64,
    turns: u64,
    length: u64,
    pause_at: u64,
    linear: bool,
    timer: bool,
    bench: Bench,
    deed: Deed,
}

struct Outcome {
    heard: Vec<u32>,
    end: Option<End>,
    stats: Stats,
    reports: Vec<Report>,
    starts: u64,
}

impl Scene {
    fn new(period: u64, periods: u64, length: u64) -> Self {
        Self {
            period,
            periods,
            turns: 4,
            length,
            pause_at: 0,
            linear: false,
            timer: false,
            bench: Bench::default(),
            deed: Box::new(|_, _| {}),
        }
    }

    /// Runs the stream to its end, without an allocation between its first and last turn.
    fn record(self) -> Outcome {
        let buffer = self.period * self.periods;
        let setup = Setup {
            ring: Ring::new(self.period, buffer, buffer * self.turns).unwrap(),
            format: Format::S32Le,
            frame_bytes: 4,
            rate: 48_000,
            perfect_drain: true,
            linear: self.linear,
            timer: self.timer,
        };
        let bench = Arc::new(self.bench);
        let shared = Arc::new(Shared::new().unwrap());
        let handle = Handle(shared.clone());
        let reports = Arc::new(Mutex::new(Vec::with_capacity(1000)));
        handle.finish_at(self.length);
        let client = Keeping {
            heard: Vec::with_capacity(self.length as usize),
            times: Vec::with_capacity(1000),
            handle,
            bench: bench.clone(),
            deed: self.deed,
            pause_at: self.pause_at,
            calls: 0,
            reports: reports.clone(),
        };
        let [card] = Sim::card([(Direction::Capture, &setup)], &bench, &shared);
        let flow = Capture::new(card, client, shared.clone(), setup);
        let mut worker = Worker::new(flow, shared.clone());
        shared.set_command(Command::Play);
        let stop = assert_no_alloc(|| {
            loop {
                if let Err(stop) = worker.turn() {
                    break stop;
                }
            }
        });
        let client = worker.flow.client;
        assert!(client.times.is_sorted());
        let mut reports = std::mem::take(&mut *reports.lock().unwrap());
        let end = match stop {
            Stop::End(end) => Some(end),
            Stop::Report(report) => {
                reports.push(report);
                None
            }
        };
        Outcome {
            heard: client.heard,
            end,
            stats: shared.stats(),
            reports,
            starts: bench.starts.load(Relaxed),
        }
    }
}

/// `length` frames, in order and none twice; all of them from 1 on, unless with `gaps`.
#[track_caller]
fn check(outcome: &Outcome, length: u64, gaps: bool) {
    assert_eq!(outcome.heard.len() as u64, length);
    assert_eq!(outcome.stats.frames, length);
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(outcome.heard.windows(2).all(|w| w[0] < w[1]));
    if !gaps {
        assert_eq!(outcome.heard.last().map_or(0, |&f| u64::from(f)), length);
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        assert_eq!(outcome.stats.xruns, 0);
    }
}

#[test]
fn every_frame_is_recorded_once() {
    let outcome = Scene::new(240, 4, 100_000).record();
    check(&outcome, 100_000, false);
    assert_eq!(outcome.starts, 1);
}

#[test]
fn one_poll_a_period_and_nothing_else() {
    let periods = 1000;
    let stats = Scene::new(64, 3, 64 * periods).record().stats;
    assert_eq!(stats.callbacks, periods);
    assert_eq!(stats.polls, periods);
    assert_eq!((stats.starts, stats.syncs, stats.others), (1, 0, 0));
}

#[test]
fn nothing_to_record_starts_nothing() {
    let outcome = Scene::new(64, 3, 0).record();
    assert_eq!(outcome.end, Some(End::Drained));
    assert_eq!(outcome.starts, 0);
}

#[test]
fn a_late_callback_loses_frames_once_and_the_clock_goes_on() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.turns = 64;
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.stall.store(1234, Relaxed);
        }
    });
    let outcome = scene.record();
    check(&outcome, 10_000, true);
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.starts, 1);
    // One gap, of whole periods, and all of it counted.
    let gaps: Vec<_> = outcome.heard.windows(2).map(|w| w[1] - w[0] - 1).collect();
    let gap: Vec<_> = gaps.into_iter().filter(|&gap| gap > 0).collect();
    assert!(matches!(gap[..], [900 | 1000]), "{gap:?}");
    assert_eq!(outcome.stats.missed, gap[0].into());
}

#[test]
fn a_card_that_skips_nothing_starts_anew() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.turns = 64;
    scene.bench.no_skip.store(true, Relaxed);
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.stall.store(1234, Relaxed);
        }
    });
    let outcome = scene.record();
    check(&outcome, 10_000, true);
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!((outcome.stats.xruns, outcome.starts), (1, 2));
}

#[test]
fn a_turn_of_the_ring_that_the_kernel_missed_is_an_overrun() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.turns = 64;
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.blind.store(2_050, Relaxed);
        }
    });
    let outcome = scene.record();
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.stats.missed, 2_000);
}

#[test]
fn what_is_recorded_in_a_pause_is_forgotten() {
    // A card that skips no more than its ring starts anew after a longer pause.
    let skips = [0, 1, 350, 5_000].map(|pause| (pause, false));
    let no_skips = [350, 400, 500, 5_000].map(|pause| (pause, true));
    for (pause, no_skip) in skips.into_iter().chain(no_skips) {
        let mut scene = Scene::new(100, 4, 10_000);
        scene.turns = 64;
        scene.bench.pause.store(pause, Relaxed);
        scene.bench.no_skip.store(no_skip, Relaxed);
        scene.pause_at = 20;
        let outcome = scene.record();
        check(&outcome, 10_000, true);
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        let anew = no_skip && pause > 400;
        let starts = 1 + u64::from(anew);
        assert_eq!((outcome.stats.xruns, outcome.starts), (0, starts));
        // From the pause's end on, but for what is left of a period.
        let gap = u64::from(outcome.heard[9_999]) - 10_000;
        assert_eq!(gap % 100, 0);
        assert!(gap <= pause && gap + 100 > pause, "{gap} of {pause}");
    }
}

#[test]
fn an_xrun_of_the_drivers_own_is_recovered_from() {
    let scene = Scene::new(100, 4, 5_000);
    scene.bench.xrun_at.store(1000, Relaxed);
    let outcome = scene.record();
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.starts, 2);
}

#[test]
fn a_machine_that_slept_records_on() {
    for forgets in [false, true] {
        let scene = Scene::new(100, 4, 5_000);
        scene.bench.suspend_at.store(1000, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.record();
        assert_eq!(outcome.end, Some(End::Drained));
        // A card that forgets loses what was not read.
        match forgets {
            true => assert!(matches!(outcome.reports[..], [Report::Xrun])),
            false => assert!(outcome.reports.is_empty(), "{:?}", outcome.reports),
        }
        assert_eq!(outcome.starts, 1 + u64::from(forgets));
    }
}

/// The machine sleeps after the last look at the card, and START finds it suspended. Nothing is lost by that.
#[test]
fn a_machine_that_slept_before_the_start_records_all() {
    for forgets in [false, true] {
        let scene = Scene::new(100, 4, 5_000);
        scene.bench.sleeps_at_start.store(2, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.record();
        check(&outcome, 5_000, false);
        assert_eq!(outcome.starts, 1);
        // Not for ever.
        let scene = Scene::new(100, 4, 5_000);
        scene.bench.sleeps_at_start.store(1_000, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.record();
        assert!(matches!(outcome.reports[..], [Report::Stopped]));
    }
}

#[test]
fn an_unplugged_card_ends_the_stream() {
    let scene = Scene::new(100, 4, 5_000);
    scene.bench.unplug_at.store(1000, Relaxed);
    let outcome = scene.record();
    assert_eq!(outcome.end, None);
    assert!(matches!(outcome.reports[..], [Report::Disconnected]));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..ProptestConfig::default()
    })]

    /// Any period, any ring, any length, with the positions wrapping at a near boundary.
    #[test]
    fn any_ring_records_every_frame(
        period in 1u64..1500,
        periods in 2u64..9,
        length in 1u64..20_000,
        turns in 3u64..6,
        timer: bool,
        overshoot in 0u64..750,
    ) {
        let mut scene = Scene::new(period, periods, length);
        scene.bench.overshoot.store(overshoot.min(period / 2), Relaxed);
        (scene.turns, scene.timer) = (turns, timer);
        check(&scene.record(), length, false);
    }

    /// However late callbacks are, no frame comes twice or out of order, and what is lost is counted.
    #[test]
    fn lateness_costs_frames_only(
        period in 1u64..500,
        periods in 2u64..6,
        length in 1u64..10_000,
        linear: bool,
        stalls in prop::collection::vec((0u64..40, 1u64..3000), 0..5),
    ) {
        // Frames of four bytes in pages of 4096.
        let mut scene = match linear {
            true => Scene::new(period.div_ceil(100) * 256, 4, length),
            false => Scene::new(period, periods, length),
        };
        (scene.turns, scene.linear) = (1 << 14, linear);
        scene.deed = Box::new(move |call, bench| {
            for &(at, frames) in &stalls {
                if at == call {
                    bench.stall.fetch_add(frames, Relaxed);
                }
            }
        });
        let outcome = scene.record();
        check(&outcome, length, true);
        let last = outcome.heard.last().map_or(0, |&f| u64::from(f));
        prop_assert_eq!(last, length + outcome.stats.missed);
        prop_assert_eq!(outcome.starts, 1);
    }
}
