// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread against the simulated card, playing.

use super::*;
use crate::handle::{Command, Handle};
use crate::ring::Ring;
use crate::sim::{Bench, Sim};
use crate::stream::Worker;
use crate::sys::{Direction, Format};
use assert_no_alloc::assert_no_alloc;
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a callback does beside writing, by its number.
type Deed = Box<dyn FnMut(u64, &Bench) + Send>;

/// Frames of one channel of 32 bits that count from 1, so that 0 is silence.
struct Counting {
    next: u32,
    handle: Handle,
    bench: Arc<Bench>,
    /// Frames of data; the stream ends after them.
    length: u64,
    /// Say so from the callback that reaches it.
    says_end: bool,
    deed: Deed,
    pause_at: u64,
    /// Ends the stream where it is when an error is told.
    gives_up: bool,
    calls: u64,
    heard: Vec<Duration>,
    reports: Arc<std::sync::Mutex<Vec<Report>>>,
}

impl Source for Counting {
    fn data(&mut self, window: &mut [u8], moment: Moment) {
        assert!(window.iter().all(|&b| b == 0), "not filled with silence");
        assert!(moment.frame >= moment.seen);
        if self.heard.len() < self.heard.capacity() {
            self.heard.push(moment.frame);
        }
        (self.deed)(self.calls, &self.bench);
        if self.pause_at > 0 && self.calls == self.pause_at {
            self.handle.0.set_command(Command::Pause);
        }
        self.calls += 1;
        for frame in window.chunks_exact_mut(4) {
            // Beyond the end the callback writes on: that must not be heard.
            frame.copy_from_slice(&self.next.to_ne_bytes());
            self.next += 1;
        }
        if self.says_end && u64::from(self.next) > self.length {
            self.handle.finish_at(self.length);
        }
    }
}

impl Complain for Counting {
    fn report(&mut self, report: Report) {
        // Reports that end a stream may be kept, others come from within the loop.
        let mut reports = self.reports.lock().unwrap();
        assert!(reports.len() < reports.capacity());
        reports.push(report);
        if self.gives_up {
            self.handle.finish();
        }
    }
}

struct Outcome {
    played: Vec<u32>,
    end: Option<End>,
    stats: crate::handle::Stats,
    reports: Vec<Report>,
    starts: u64,
}

struct Scene {
    period: u64,
    periods: u64,
    /// Rings in a boundary.
    turns: u64,
    length: u64,
    says_end: bool,
    /// The callback that pauses the stream; 0 for none.
    pause_at: u64,
    gives_up: bool,
    perfect_drain: bool,
    linear: bool,
    timer: bool,
    bench: Bench,
    deed: Deed,
}

impl Scene {
    fn new(period: u64, periods: u64, length: u64) -> Self {
        Self {
            period,
            periods,
            turns: 4,
            length,
            says_end: true,
            pause_at: 0,
            gives_up: false,
            perfect_drain: true,
            linear: false,
            timer: false,
            bench: Bench::default(),
            deed: Box::new(|_, _| {}),
        }
    }

    /// Runs the stream to its end, without an allocation between its first and last turn.
    fn play(self) -> Outcome {
        let buffer = self.period * self.periods;
        let setup = Setup {
            ring: Ring::new(self.period, buffer, buffer * self.turns).unwrap(),
            format: Format::S32Le,
            frame_bytes: 4,
            rate: 48_000,
            perfect_drain: self.perfect_drain,
            linear: self.linear,
            timer: self.timer,
        };
        let bench = Arc::new(self.bench);
        let shared = Arc::new(Shared::new().unwrap());
        let handle = Handle(shared.clone());
        let reports = Arc::new(std::sync::Mutex::new(Vec::with_capacity(1000)));
        if !self.says_end {
            handle.finish_at(self.length);
        }
        let client = Counting {
            next: 1,
            handle: handle.clone(),
            bench: bench.clone(),
            length: self.length,
            says_end: self.says_end,
            deed: self.deed,
            pause_at: self.pause_at,
            gives_up: self.gives_up,
            calls: 0,
            heard: Vec::with_capacity(1000),
            reports: reports.clone(),
        };
        let [card] = Sim::card([(Direction::Playback, &setup)], &bench, &shared);
        let flow = Playback::new(card, client, shared.clone(), setup);
        let mut worker = Worker::new(flow, shared.clone());
        shared.set_command(Command::Play);
        let stop = assert_no_alloc(|| {
            loop {
                if let Err(stop) = worker.turn() {
                    break stop;
                }
            }
        });
        assert!(worker.flow.client.heard.is_sorted());
        let end = match stop {
            Stop::End(end) => Some(end),
            Stop::Report(report) => {
                worker.flow.client.report(report);
                None
            }
        };
        let played = bench.played.lock().unwrap();
        let played = played
            .chunks_exact(4)
            .map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let reports = std::mem::take(&mut *reports.lock().unwrap());
        Outcome {
            played,
            end,
            stats: shared.stats(),
            reports,
            starts: bench.starts.load(Relaxed),
        }
    }
}

/// Frames 1 to `length` in order, silence between them only if `gaps`, nothing else.
#[track_caller]
fn check(outcome: &Outcome, length: u64, gaps: bool) {
    let data: Vec<u32> = outcome.played.iter().copied().filter(|&f| f != 0).collect();
    assert!(
        data.iter().copied().eq(1..=length as u32),
        "{} frames, not {length}",
        data.len()
    );
    if !gaps {
        assert!(outcome.played[..length as usize].iter().all(|&f| f != 0));
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        assert_eq!(outcome.stats.xruns, 0);
    }
    assert_eq!(outcome.stats.frames, length);
    assert_eq!(outcome.end, Some(End::Drained));
}

#[test]
fn every_frame_is_played_once_and_then_silence() {
    let outcome = Scene::new(240, 4, 100_000).play();
    check(&outcome, 100_000, false);
    // The card stops right there, in the middle of a period.
    assert_eq!(outcome.played.len(), 100_000);
    assert_eq!(outcome.starts, 1);
}

#[test]
fn one_poll_a_period_and_nothing_else() {
    let periods = 1000;
    let stats = Scene::new(64, 3, 64 * periods).play().stats;
    assert_eq!(stats.callbacks, periods);
    assert_eq!(stats.starts, 1);
    assert_eq!(stats.syncs, 0);
    // The first ring is written before the start, and draining is one more sleep.
    assert_eq!(stats.polls, periods - 3 + 1);
    assert_eq!(stats.others, 1, "the drain");
}

/// The first window of a linear ring is all of it, and one behind a late wakeup is all that was played, over the
/// ring's end.
#[test]
fn a_linear_ring_is_filled_in_one_piece() {
    let mut scene = Scene::new(1024, 4, 10 * 4096);
    scene.linear = true;
    scene.deed = Box::new(|_, bench| {
        bench.stall.fetch_add(2500, Relaxed);
    });
    let outcome = scene.play();
    check(&outcome, 10 * 4096, false);
    // Once the ring, then about 2500 frames at a time.
    assert!(
        (10..=20).contains(&outcome.stats.callbacks),
        "{:?}",
        outcome.stats
    );
}

#[test]
fn an_end_known_before_the_start_is_kept() {
    for length in [1, 63, 64, 65, 191, 192, 193, 5000] {
        for perfect_drain in [false, true] {
            let mut scene = Scene::new(64, 3, length);
            scene.says_end = false;
            scene.perfect_drain = perfect_drain;
            let outcome = scene.play();
            check(&outcome, length, false);
            let played = match perfect_drain {
                true => length,
                // The last period is played out, no more.
                false => length.next_multiple_of(64),
            };
            assert_eq!(outcome.played.len() as u64, played);
        }
    }
}

#[test]
fn nothing_to_play_starts_nothing() {
    let mut scene = Scene::new(64, 3, 0);
    scene.says_end = false;
    let outcome = scene.play();
    assert_eq!(outcome.end, Some(End::Drained));
    assert_eq!(outcome.starts, 0);
    assert_eq!(outcome.stats.callbacks, 0);
}

#[test]
fn a_late_callback_is_silence_once_and_the_clock_goes_on() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.turns = 64;
    // Callback 20 takes the time of 1234 frames: the ring runs dry.
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.stall.store(1234, Relaxed);
        }
    });
    let outcome = scene.play();
    check(&outcome, 10_000, true);
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.stats.xruns, 1);
    assert_eq!(outcome.starts, 1);
    // 20 periods and what was queued were in time; the gap is whole periods, so that what
    // follows keeps its place.
    let from = outcome.played.iter().position(|&f| f == 0).unwrap();
    let gap = outcome.played[from..].iter().position(|&f| f != 0).unwrap();
    assert_eq!(from, 2100);
    assert_eq!(gap % 100, 0);
    assert!((900..1200).contains(&gap), "{gap}");
    assert_eq!(outcome.stats.missed, gap as u64);
}

#[test]
fn an_underrun_that_goes_on_is_reported_once() {
    let mut scene = Scene::new(100, 2, 4_000);
    scene.turns = 64;
    scene.deed = Box::new(|call, bench| {
        if (10..15).contains(&call) {
            bench.stall.fetch_add(700, Relaxed);
        }
    });
    let outcome = scene.play();
    check(&outcome, 4_000, true);
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
}

#[test]
fn a_card_that_skips_nothing_starts_anew() {
    for timer in [false, true] {
        let mut scene = Scene::new(100, 4, 10_000);
        (scene.turns, scene.timer) = (64, timer);
        scene.bench.no_skip.store(true, Relaxed);
        scene.deed = Box::new(move |call, bench| {
            if call == 20 {
                // A timer's thread that is later than the ring has it heard again.
                bench.stall.store(if timer { 750 } else { 1234 }, Relaxed);
            }
        });
        let outcome = scene.play();
        if !timer {
            // All that was queued had been played.
            check(&outcome, 10_000, true);
        }
        assert_eq!(outcome.end, Some(End::Drained));
        assert!(matches!(outcome.reports[..], [Report::Xrun]));
        assert_eq!((outcome.stats.xruns, outcome.starts), (1, 2));
    }
}

#[test]
fn a_pause_is_silence_and_no_underrun() {
    // A card that skips no more than its ring starts anew after a longer pause.
    let skips = [0, 1, 350, 5_000].map(|pause| (pause, false));
    let no_skips = [350, 500, 5_000].map(|pause| (pause, true));
    for (pause, no_skip) in skips.into_iter().chain(no_skips) {
        let mut scene = Scene::new(100, 4, 10_000);
        scene.turns = 64;
        scene.bench.pause.store(pause, Relaxed);
        scene.bench.no_skip.store(no_skip, Relaxed);
        scene.pause_at = 20;
        let outcome = scene.play();
        check(&outcome, 10_000, pause >= 400);
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        assert_eq!(outcome.stats.xruns, 0);
        let anew = no_skip && pause > 1_000;
        assert_eq!(outcome.starts, 1 + u64::from(anew));
        // What was in the ring is played, then silence, in whole periods.
        let silent = outcome
            .played
            .iter()
            .take(9_000)
            .filter(|&&f| f == 0)
            .count() as u64;
        assert_eq!(silent % 100, 0);
        assert!(silent <= pause, "{silent} in a pause of {pause}");
        assert!(silent + 600 >= pause, "{silent} in a pause of {pause}");
    }
}

#[test]
fn a_turn_of_the_ring_that_the_kernel_missed_is_an_underrun() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.turns = 64;
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.blind.store(2_050, Relaxed);
        }
    });
    let outcome = scene.play();
    check(&outcome, 10_000, true);
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.stats.missed, 2_000);
}

#[test]
fn an_xrun_of_the_drivers_own_is_recovered_from() {
    let scene = Scene::new(100, 4, 5_000);
    scene.bench.xrun_at.store(1000, Relaxed);
    let outcome = scene.play();
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.starts, 2);
    // What was queued is lost, the rest is not: the last frame is the last.
    assert_eq!(outcome.played.iter().rev().find(|&&f| f != 0), Some(&5_000));
}

#[test]
fn a_machine_that_slept_plays_on() {
    for forgets in [false, true] {
        let scene = Scene::new(100, 4, 5_000);
        scene.bench.suspend_at.store(1000, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.play();
        assert_eq!(outcome.end, Some(End::Drained));
        // A card that forgets loses what was queued.
        match forgets {
            true => assert!(matches!(outcome.reports[..], [Report::Xrun])),
            false => assert!(outcome.reports.is_empty(), "{:?}", outcome.reports),
        }
        assert_eq!(outcome.starts, 1 + u64::from(forgets));
        assert_eq!(outcome.played.iter().rev().find(|&&f| f != 0), Some(&5_000));
        if !forgets {
            check(&outcome, 5_000, false);
        }
    }
}

/// The machine sleeps after the last look at the card, and START or DRAIN finds it suspended.
#[test]
fn a_machine_that_slept_before_a_command_plays_on() {
    type Plant = fn(&Bench) -> &AtomicU64;
    let plants: [Plant; 2] = [|b| &b.sleeps_at_start, |b| &b.sleeps_at_drain];
    for plant in plants {
        for sleeps in [1, 2] {
            for length in [300, 5_000] {
                let scene = Scene::new(100, 4, length);
                plant(&scene.bench).store(sleeps, Relaxed);
                let outcome = scene.play();
                check(&outcome, length, false);
                assert_eq!(outcome.starts, 1);
            }
        }
        // Not for ever.
        let scene = Scene::new(100, 4, 5_000);
        plant(&scene.bench).store(1_000, Relaxed);
        let outcome = scene.play();
        assert_eq!(outcome.end, None);
        assert!(matches!(outcome.reports[..], [Report::Stopped]));
    }
}

/// Nothing has been heard then of what was in the ring, and nothing will.
#[test]
fn a_card_that_forgot_before_its_start_begins_anew() {
    for sleeps in [1, 2] {
        let scene = Scene::new(100, 4, 5_000);
        scene.bench.sleeps_at_start.store(sleeps, Relaxed);
        scene.bench.forgets.store(true, Relaxed);
        let outcome = scene.play();
        assert_eq!(outcome.end, Some(End::Drained));
        assert_eq!(outcome.stats.xruns, sleeps);
        assert_eq!(
            outcome.reports.len() as u64,
            sleeps,
            "{:?}",
            outcome.reports
        );
        assert!(
            outcome
                .played
                .iter()
                .copied()
                .eq(sleeps as u32 * 400 + 1..=5_000)
        );
    }
    let scene = Scene::new(100, 4, 300);
    scene.bench.sleeps_at_start.store(1, Relaxed);
    scene.bench.forgets.store(true, Relaxed);
    let outcome = scene.play();
    assert_eq!(outcome.end, None);
    assert!(matches!(
        outcome.reports[..],
        [Report::Xrun, Report::CutOff]
    ));
}

/// The end of a stream that was not played is none.
#[test]
fn a_drain_that_is_cut_off_says_so() {
    type Plant = fn(&Bench);
    let plants: [(Plant, &[Report]); 5] = [
        (
            |bench| bench.xrun_at.store(4_800, Relaxed),
            &[Report::Xrun, Report::CutOff],
        ),
        // Nobody looks between it and DRAIN, which hides it.
        (
            |bench| bench.xrun_at_drain.store(10, Relaxed),
            &[Report::CutOff],
        ),
        (
            |bench| {
                bench.suspend_at.store(4_800, Relaxed);
                bench.forgets.store(true, Relaxed);
            },
            &[Report::Xrun, Report::CutOff],
        ),
        (
            |bench| {
                bench.sleeps_at_drain.store(1, Relaxed);
                bench.forgets.store(true, Relaxed);
            },
            &[Report::Xrun, Report::CutOff],
        ),
        (
            |bench| bench.unplug_at.store(4_800, Relaxed),
            &[Report::Disconnected],
        ),
    ];
    for (plant, expected) in plants {
        let scene = Scene::new(100, 4, 5_000);
        plant(&scene.bench);
        let outcome = scene.play();
        assert_eq!(outcome.end, None);
        let told = format!("{:?}", outcome.reports);
        assert_eq!(told, format!("{expected:?}"));
        assert_eq!(outcome.starts, 1);
        assert!(outcome.played.len() < 5_000);
    }
}

/// Who has had enough of a stream that stopped has not heard what was queued then.
#[test]
fn a_stream_that_is_ended_when_it_has_stopped_says_what_was_played() {
    for stall in [0, 1_234] {
        let mut scene = Scene::new(100, 4, 5_000);
        (scene.turns, scene.gives_up) = (64, true);
        if stall == 0 {
            scene.bench.xrun_at.store(1_000, Relaxed);
        } else {
            // All was played, and a card that skips nothing stops.
            scene.bench.no_skip.store(true, Relaxed);
            scene.deed = Box::new(move |call, bench| {
                bench
                    .stall
                    .store(if call == 20 { stall } else { 0 }, Relaxed);
            });
        }
        let outcome = scene.play();
        match stall {
            0 => {
                assert_eq!(outcome.end, None);
                assert!(matches!(
                    outcome.reports[..],
                    [Report::Xrun, Report::CutOff]
                ));
            }
            _ => {
                assert_eq!(outcome.end, Some(End::Drained));
                assert!(matches!(outcome.reports[..], [Report::Xrun]));
            }
        }
    }
}

#[test]
fn a_machine_that_slept_drains_on() {
    let scene = Scene::new(100, 4, 5_000);
    scene.bench.suspend_at.store(4_800, Relaxed);
    check(&scene.play(), 5_000, false);
}

/// Without period wakeups nobody else asks where the card is, and what was played is silenced when that is asked.
#[test]
fn a_timer_that_is_later_than_the_ring_has_it_heard_again() {
    let mut scene = Scene::new(100, 4, 10_000);
    (scene.timer, scene.turns) = (true, 64);
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.stall.store(1_234, Relaxed);
        }
    });
    let outcome = scene.play();
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    let mut heard = vec![0; 10_001];
    for &frame in outcome.played.iter().filter(|&&f| f != 0) {
        heard[frame as usize] += 1;
    }
    assert!(heard[1..].iter().all(|&times| times >= 1));
    // Three rings and a bit.
    assert_eq!(heard.iter().max(), Some(&4));
}

#[test]
fn a_timer_is_as_good_as_the_card() {
    for perfect_drain in [false, true] {
        let mut scene = Scene::new(240, 4, 50_000);
        (scene.timer, scene.perfect_drain) = (true, perfect_drain);
        let outcome = scene.play();
        check(&outcome, 50_000, false);
        // A sleep a period, and no more than another one for the drain.
        let periods = 50_000 / 240;
        let polls = outcome.stats.polls;
        assert!((periods - 4..periods + 3).contains(&polls), "{polls}");
    }
}

#[test]
fn a_wakeup_that_is_late_is_counted_before_it_is_an_underrun() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.deed = Box::new(|call, bench| {
        if call == 20 {
            bench.stall.store(250, Relaxed);
        }
    });
    let outcome = scene.play();
    check(&outcome, 10_000, false);
    assert_eq!(outcome.stats.late, 1);
}

#[test]
fn an_unplugged_card_ends_the_stream() {
    let scene = Scene::new(100, 4, 5_000);
    scene.bench.unplug_at.store(1000, Relaxed);
    let outcome = scene.play();
    assert_eq!(outcome.end, None);
    assert!(matches!(outcome.reports[..], [Report::Disconnected]));
}

#[test]
fn a_callback_that_panics_leaves_silence() {
    struct Panics(Arc<std::sync::Mutex<Vec<Report>>>, u64);
    impl Source for Panics {
        fn data(&mut self, window: &mut [u8], _: Moment) {
            self.1 += 1;
            window.fill(1);
            assert!(self.1 < 10, "as the test wants it");
        }
    }
    impl Complain for Panics {
        fn report(&mut self, report: Report) {
            self.0.lock().unwrap().push(report);
        }
    }
    let setup = Setup {
        ring: Ring::new(100, 400, 1600).unwrap(),
        format: Format::S32Le,
        frame_bytes: 4,
        rate: 48_000,
        perfect_drain: true,
        linear: false,
        timer: false,
    };
    let bench = Arc::new(Bench::default());
    let shared = Arc::new(Shared::new().unwrap());
    let reports = Arc::default();
    let [card] = Sim::card([(Direction::Playback, &setup)], &bench, &shared);
    shared.set_command(Command::Play);
    let client = Panics(Arc::clone(&reports), 0);
    let flow = Playback::new(card, client, shared.clone(), setup);
    Worker::new(flow, shared.clone()).run();
    assert!(matches!(reports.lock().unwrap()[..], [Report::Panicked]));
    assert_eq!(shared.ended(), Some(End::Failed));
    assert_eq!(shared.stats().frames, 900);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..ProptestConfig::default()
    })]

    /// Any period, any ring, any length, with the positions wrapping at a near boundary.
    #[test]
    fn any_ring_plays_every_frame(
        period in 1u64..1500,
        periods in 2u64..9,
        length in 1u64..20_000,
        turns in 2u64..5,
        timer: bool,
        overshoot in 0u64..750,
    ) {
        let mut scene = Scene::new(period, periods, length);
        scene.timer = timer;
        // The thread may wake up that much later, each time.
        scene.bench.overshoot.store(overshoot.min(period / 2), Relaxed);
        // Two turns are as near as a boundary comes while a full ring is still told from a late
        // one.
        scene.turns = turns + 1;
        let outcome = scene.play();
        check(&outcome, length, false);
        prop_assert_eq!(outcome.played.len() as u64, length);
    }

    /// The same of a ring that is mapped twice in a row, in windows as large as there is room, which begin
    /// anywhere and go over the ring's end.
    #[test]
    fn any_linear_ring_plays_every_frame(
        period in 1u64..6,
        periods in 2u64..9,
        length in 1u64..60_000,
        perfect_drain: bool,
        stalls in prop::collection::vec((0u64..30, 1u64..1000), 0..5),
    ) {
        // Frames of four bytes in pages of 4096.
        let mut scene = Scene::new(period * 256, periods.next_multiple_of(4), length);
        scene.turns = 1 << 14;
        scene.linear = true;
        scene.perfect_drain = perfect_drain;
        // Late, but never by so much that something is silent.
        let most = period * 256;
        scene.deed = Box::new(move |call, bench| {
            for &(at, frames) in &stalls {
                if at == call {
                    bench.stall.fetch_add(frames.min(most), Relaxed);
                }
            }
        });
        let outcome = scene.play();
        check(&outcome, length, false);
    }

    /// Whatever a card says of its position, nothing panics, and a stream that is stopped ends.
    #[test]
    fn a_card_that_lies_harms_nobody(
        period in 1u64..500,
        periods in 2u64..6,
        lies in prop::collection::vec(prop_oneof![any::<u64>(), u64::MAX - 9..], 1..20),
        timer: bool,
    ) {
        let buffer = period * periods;
        let setup = Setup {
            ring: Ring::new(period, buffer, buffer << 3).unwrap(),
            format: Format::S16Le,
            frame_bytes: 4,
            rate: 48_000,
            perfect_drain: true,
            linear: false,
            timer,
        };
        struct Idle;
        impl Source for Idle {
            fn data(&mut self, _: &mut [u8], _: Moment) {}
        }
        impl Complain for Idle {
            fn report(&mut self, _: Report) {}
        }
        let bench = Arc::new(Bench::default());
        let shared = Arc::new(Shared::new().unwrap());
        let [card] = Sim::card([(Direction::Playback, &setup)], &bench, &shared);
        let mut worker = Worker::new(Playback::new(card, Idle, shared.clone(), setup), shared.clone());
        shared.set_command(Command::Play);
        for lie in lies {
            bench.lie.store(lie, Relaxed);
            prop_assert!(worker.turn().is_ok());
        }
        shared.set_command(Command::Stop);
        prop_assert!(worker.turn().is_err());
    }

    /// However late callbacks are, no frame is lost, repeated or put out of order.
    #[test]
    fn lateness_costs_silence_only(
        period in 1u64..500,
        periods in 2u64..6,
        length in 1u64..10_000,
        timer: bool,
        stalls in prop::collection::vec((0u64..40, 1u64..3000), 0..5),
    ) {
        let mut scene = Scene::new(period, periods, length);
        (scene.turns, scene.timer) = (1 << 14, timer);
        // A timer's thread that is later has it heard again.
        let most = if timer { period * periods } else { u64::MAX };
        scene.deed = Box::new(move |call, bench| {
            for &(at, frames) in &stalls {
                if at == call {
                    bench.stall.fetch_max(frames.min(most), Relaxed);
                }
            }
        });
        let outcome = scene.play();
        check(&outcome, length, true);
        prop_assert_eq!(outcome.starts, 1);
        let silence = outcome.played.iter().take_while(|&&f| u64::from(f) != length);
        let silent = silence.filter(|&&f| f == 0).count();
        prop_assert_eq!(silent > 0, outcome.stats.xruns > 0);
    }
}
