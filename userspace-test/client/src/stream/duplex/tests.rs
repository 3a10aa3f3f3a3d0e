// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread against a simulated card of an input and an output. The input's frames count from 1; the
//! callback plays what it hears.

use super::*;
use crate::handle::{Command, Handle, Stats};
use crate::sim::{Bench, Sim};
use crate::stream::Worker;
use crate::sys::{Direction, Format};
use assert_no_alloc::assert_no_alloc;
use proptest::prelude::*;
use std::sync::Mutex;

struct Echo {
    bench: Arc<Bench>,
    handle: Handle,
    /// Callbacks by their numbers, and frames by which each is late.
    stalls: Vec<(u64, u64)>,
    pause_at: u64,
    panic_at: u64,
    /// Ends the stream where it is when an error is told.
    gives_up: bool,
    calls: u64,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Exchange for Echo {
    fn data(&mut self, input: &[u8], output: &mut [u8], moments: [Moment; 2]) {
        assert!(output.iter().all(|&b| b == 0), "not filled with silence");
        assert!(moments[0].frame <= moments[0].seen);
        assert!(moments[1].frame >= moments[1].seen);
        self.calls += 1;
        for &(at, frames) in &self.stalls {
            if at == self.calls {
                self.bench.stall.fetch_max(frames, Relaxed);
            }
        }
        if self.calls == self.pause_at {
            self.handle.0.set_command(Command::Pause);
        }
        output.copy_from_slice(input);
        assert!(self.calls != self.panic_at, "as the test wants it");
    }
}

impl Complain for Echo {
    fn report(&mut self, report: Report) {
        let mut reports = self.reports.lock().unwrap();
        assert!(reports.len() < reports.capacity());
        reports.push(report);
        if self.gives_up {
            self.handle.finish();
        }
    }
}

struct Scene {
    period: u64,
    /// Periods in the rings of input and output.
    periods: [u64; 2],
    length: u64,
    timer: bool,
    perfect_drain: bool,
    stalls: Vec<(u64, u64)>,
    pause_at: u64,
    panic_at: u64,
    gives_up: bool,
    bench: Bench,
}

struct Outcome {
    played: Vec<u32>,
    lead: u64,
    end: Option<End>,
    stats: Stats,
    reports: Vec<Report>,
    starts: u64,
}

impl Scene {
    fn new(period: u64, periods: u64, length: u64) -> Self {
        Self {
            period,
            periods: [periods; 2],
            length,
            timer: false,
            perfect_drain: true,
            stalls: Vec::new(),
            pause_at: 0,
            panic_at: 0,
            gives_up: false,
            bench: Bench::default(),
        }
    }

    fn run(self) -> Outcome {
        let [input, output] = self.periods.map(|periods| {
            let buffer = self.period * periods;
            Setup {
                ring: Ring::new(self.period, buffer, buffer << 20).unwrap(),
                format: Format::S32Le,
                frame_bytes: 4,
                rate: 48_000,
                perfect_drain: self.perfect_drain,
                linear: false,
                timer: self.timer,
            }
        });
        let bench = Arc::new(self.bench);
        let shared = Arc::new(Shared::new().unwrap());
        let handle = Handle(shared.clone());
        handle.finish_at(self.length);
        let reports = Arc::new(Mutex::new(Vec::with_capacity(1000)));
        let client = Echo {
            bench: bench.clone(),
            handle,
            stalls: self.stalls,
            pause_at: self.pause_at,
            panic_at: self.panic_at,
            gives_up: self.gives_up,
            calls: 0,
            reports: reports.clone(),
        };
        let ways = [(Direction::Capture, &input), (Direction::Playback, &output)];
        let [one, other] = Sim::card(ways, &bench, &shared);
        let aside = Arc::new(Shared::new().unwrap());
        let flow = Duplex::new((one, input), (other, output), client, shared.clone(), aside);
        let mut worker = Worker::new(flow, shared.clone());
        shared.set_command(Command::Play);
        let turns = |worker: &mut Worker<_>| loop {
            if let Err(stop) = worker.turn() {
                break stop;
            }
        };
        // What panics allocates.
        let stop = match self.panic_at {
            0 => assert_no_alloc(|| turns(&mut worker)),
            _ => turns(&mut worker),
        };
        let mut reports = std::mem::take(&mut *reports.lock().unwrap());
        let end = match stop {
            Stop::End(end) => Some(end),
            Stop::Report(report) => {
                reports.push(report);
                None
            }
        };
        let played = bench.played.lock().unwrap();
        let played = played.chunks_exact(4);
        Outcome {
            played: played
                .map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            lead: lead(output.ring),
            end,
            stats: shared.stats(),
            reports,
            starts: bench.starts.load(Relaxed),
        }
    }
}

#[test]
fn what_is_heard_is_played_as_much_later() {
    for perfect_drain in [false, true] {
        let mut scene = Scene::new(100, 3, 10_050);
        scene.perfect_drain = perfect_drain;
        let outcome = scene.run();
        assert_eq!(outcome.end, Some(End::Drained));
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        let (silence, rest) = outcome.played.split_at(outcome.lead as usize);
        assert!(silence.iter().all(|&f| f == 0));
        assert!(rest[..10_050].iter().copied().eq(1..=10_050));
        // The last period of a card of periods is played out, in silence.
        assert_eq!(rest.len(), if perfect_drain { 10_050 } else { 10_100 });
        assert!(rest[10_050..].iter().all(|&f| f == 0));
        assert_eq!(outcome.starts, 1);
    }
}

#[test]
fn a_card_that_fetches_ahead_has_more_queued_once() {
    for head in [0, 1, 99, 100, 101, 250] {
        let scene = Scene::new(100, 4, 10_000);
        scene.bench.head.store(head, Relaxed);
        let outcome = scene.run();
        assert_eq!(outcome.end, Some(End::Drained));
        // From the first frame that is played on there is no gap.
        let first = outcome.played.iter().position(|&f| f != 0).unwrap();
        let sound = &outcome.played[first..][..10_000];
        assert!(sound.windows(2).all(|w| w[1] == w[0] + 1), "{head}");
        assert!(sound[0] <= 201, "{head}: from {}", sound[0]);
        assert!(outcome.stats.xruns <= 1, "{:?}", outcome.stats);
    }
}

#[test]
fn one_poll_a_period_and_nothing_else() {
    let stats = Scene::new(64, 3, 64 * 1000).run().stats;
    assert_eq!(stats.callbacks, 1000);
    // One more to drain.
    assert_eq!(stats.polls, 1001);
    assert_eq!((stats.starts, stats.syncs, stats.others), (1, 0, 1));
}

#[test]
fn a_callback_that_panics_leaves_silence() {
    let mut scene = Scene::new(100, 3, 10_000);
    scene.panic_at = 10;
    let outcome = scene.run();
    assert!(matches!(outcome.reports[..], [Report::Panicked]));
    assert_eq!(outcome.stats.frames, 900);
}

#[test]
fn an_unplugged_card_ends_the_stream() {
    let scene = Scene::new(100, 3, 10_000);
    scene.bench.unplug_at.store(1_000, Relaxed);
    let outcome = scene.run();
    assert!(matches!(outcome.reports[..], [Report::Disconnected]));
}

/// The end of a stream that was not played is none.
#[test]
fn a_drain_that_is_cut_off_says_so() {
    type Plant = fn(&Bench);
    let plants: [(Plant, &[Report]); 5] = [
        (
            |bench| bench.xrun_at.store(10_150, Relaxed),
            &[Report::Xrun, Report::CutOff],
        ),
        (
            |bench| bench.xrun_at_drain.store(10, Relaxed),
            &[Report::CutOff],
        ),
        (
            |bench| {
                bench.suspend_at.store(10_150, Relaxed);
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
            |bench| bench.unplug_at.store(10_150, Relaxed),
            &[Report::Disconnected],
        ),
    ];
    for (plant, expected) in plants {
        let scene = Scene::new(100, 3, 10_000);
        plant(&scene.bench);
        let outcome = scene.run();
        assert_eq!(outcome.end, None);
        let told = format!("{:?}", outcome.reports);
        assert_eq!(told, format!("{expected:?}"));
        assert_eq!(outcome.starts, 1);
    }
}

/// Who has had enough of a stream that stopped has not heard what was queued then.
#[test]
fn a_stream_that_is_ended_when_it_has_stopped_is_cut_off() {
    let mut scene = Scene::new(100, 3, 10_000);
    scene.gives_up = true;
    scene.bench.xrun_at.store(1_000, Relaxed);
    let outcome = scene.run();
    assert_eq!(outcome.end, None);
    assert!(matches!(
        outcome.reports[..],
        [Report::Xrun, Report::CutOff]
    ));
}

#[test]
fn a_machine_that_slept_goes_on() {
    for (at, forgets) in [(1_000, false), (1_000, true), (10_150, false)] {
        let scene = Scene::new(100, 3, 10_000);
        scene.bench.suspend_at.store(at, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.run();
        assert_eq!(outcome.end, Some(End::Drained));
        match forgets {
            true => assert!(matches!(outcome.reports[..], [Report::Xrun])),
            false => assert!(outcome.reports.is_empty(), "{:?}", outcome.reports),
        }
        assert_eq!(outcome.starts, 1 + u64::from(forgets));
    }
}

/// The machine sleeps after the last look at the card, and START or DRAIN finds it suspended.
#[test]
fn a_machine_that_slept_before_a_command_goes_on() {
    for (starts, drains, forgets) in [(2, 0, false), (2, 0, true), (0, 2, false)] {
        let scene = Scene::new(100, 3, 10_000);
        scene.bench.sleeps_at_start.store(starts, Relaxed);
        scene.bench.sleeps_at_drain.store(drains, Relaxed);
        scene.bench.forgets.store(forgets, Relaxed);
        let outcome = scene.run();
        assert_eq!(outcome.end, Some(End::Drained));
        // Not a frame is lost by that: before the start the rings hold silence.
        assert!(outcome.reports.is_empty(), "{:?}", outcome.reports);
        let (silence, rest) = outcome.played.split_at(outcome.lead as usize);
        assert!(silence.iter().all(|&f| f == 0));
        assert!(rest.iter().copied().eq(1..=10_000));
        assert_eq!(outcome.starts, 1);
    }
    // Not for ever.
    let scene = Scene::new(100, 3, 10_000);
    scene.bench.sleeps_at_start.store(1_000, Relaxed);
    let outcome = scene.run();
    assert!(matches!(outcome.reports[..], [Report::Stopped]));
}

#[test]
fn a_card_that_skips_nothing_starts_anew() {
    let mut scene = Scene::new(100, 4, 10_000);
    scene.bench.no_skip.store(true, Relaxed);
    scene.stalls = vec![(20, 1_234)];
    let outcome = scene.run();
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!((outcome.stats.xruns, outcome.starts), (1, 2));
}

/// Where the rings differ, and the input's is over, the output may have something left, which is an xrun.
#[test]
fn a_card_that_skips_nothing_starts_anew_after_a_pause() {
    for (periods, pause, xruns, starts) in [
        ([4, 4], 350, 0, 1),
        ([4, 4], 5_000, 0, 2),
        ([4, 8], 5_000, 0, 2),
        ([4, 8], 500, 1, 2),
        ([8, 4], 5_000, 0, 2),
    ] {
        let mut scene = Scene::new(100, 4, 10_000);
        scene.periods = periods;
        scene.bench.no_skip.store(true, Relaxed);
        scene.bench.pause.store(pause, Relaxed);
        scene.pause_at = 20;
        let outcome = scene.run();
        assert_eq!(outcome.end, Some(End::Drained));
        assert_eq!(outcome.reports.len() as u64, xruns, "{:?}", outcome.reports);
        assert_eq!((outcome.stats.xruns, outcome.starts), (xruns, starts));
        assert_eq!(outcome.stats.frames, 10_000);
        // The two are as far apart as before, and the end is heard.
        let mut last = 0;
        for (at, &frame) in outcome.played.iter().enumerate().filter(|(_, f)| **f != 0) {
            assert_eq!(u64::from(frame) - 1 + outcome.lead, at as u64);
            last = frame;
        }
        let skipped = u64::from(last) - 10_000;
        assert!(skipped <= pause && skipped + 100 > pause, "{skipped}");
    }
}

#[test]
fn an_xrun_of_the_drivers_own_is_recovered_from() {
    let scene = Scene::new(100, 3, 10_000);
    scene.bench.xrun_at.store(1_000, Relaxed);
    let outcome = scene.run();
    assert_eq!(outcome.end, Some(End::Drained));
    assert!(matches!(outcome.reports[..], [Report::Xrun]));
    assert_eq!(outcome.starts, 2);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..ProptestConfig::default()
    })]

    /// However late callbacks are, and whatever the rings: a frame that is played is played `lead` frames after
    /// it came, and what is missing is counted.
    #[test]
    fn the_two_never_drift_apart(
        period in 1u64..300,
        periods in prop::array::uniform2(3u64..6),
        length in 1u64..8_000,
        timer: bool,
        stalls in prop::collection::vec((1u64..40, 1u64..3000), 0..4),
        pause in 0u64..2_000,
        pause_at in 0u64..20,
    ) {
        let mut scene = Scene::new(period, 3, length);
        scene.periods = periods;
        scene.timer = timer;
        // A timer's thread that is later has it heard again.
        let most = if timer { period * periods[1] } else { u64::MAX };
        scene.stalls = stalls.into_iter().map(|(at, frames)| (at, frames.min(most))).collect();
        scene.bench.pause.store(pause, Relaxed);
        scene.pause_at = pause_at;
        let outcome = scene.run();
        prop_assert_eq!(outcome.end, Some(End::Drained));
        prop_assert_eq!(outcome.starts, 1);
        prop_assert_eq!(outcome.stats.frames, length);
        let mut heard = 0;
        for (at, &frame) in outcome.played.iter().enumerate() {
            if frame != 0 {
                prop_assert_eq!(u64::from(frame) - 1 + outcome.lead, at as u64);
                heard += 1;
            }
        }
        prop_assert!(heard <= length);
        if outcome.stats.xruns == 0 {
            prop_assert_eq!(heard, length);
        }
    }
}
