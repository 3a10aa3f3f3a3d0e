// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card of memory and a clock that only moves when told: the PCM behind the tests of the audio
//! thread.
//!
//! It plays from a ring in a memfd, keeps the positions in `0..boundary` as the kernel does,
//! silences what it has played, and records it. Time is counted in frames: it passes a period at a
//! time while the thread waits, and by as much as a test says while a callback runs.

use crate::handle::{Command, Shared};
use crate::ring::Ring;
use crate::stream::{Card, Setup, Snapshot};
use crate::sys::{PlaybackRing, State};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Aborts a test that allocates where it said that it would not.
#[global_allocator]
static ALLOCATOR: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// What a test sees of the card.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    /// Frames that pass before the next wait begins: a callback adds to it to be slow.
    pub(crate) stall: AtomicU64,
    /// What has been played.
    pub(crate) played: Mutex<Vec<u8>>,
    /// Number of STARTs.
    pub(crate) starts: AtomicU64,
    /// Frames that pass while the thread waits for a command, which then is to play.
    pub(crate) pause: AtomicU64,
    /// Frames that pass before the next wait begins, of which the kernel sees the remainder by the
    /// ring.
    pub(crate) blind: AtomicU64,
    /// Frames after which the driver stops the stream with an xrun of its own; 0 for never.
    pub(crate) xrun_at: AtomicU64,
    /// Frames after which the card is unplugged; 0 for never.
    pub(crate) unplug_at: AtomicU64,
}

pub(crate) struct Sim {
    ring: Ring,
    memory: PlaybackRing,
    frame_bytes: usize,
    rate: u32,
    perfect_drain: bool,
    bench: Arc<Bench>,
    shared: Arc<Shared>,
    state: State,
    hardware: u64,
    application: u64,
    /// Frames since the beginning of time.
    now: u64,
    /// When `hardware` was published.
    seen: u64,
    /// When the last wait began, and how many began then.
    waits: (u64, u32),
}

impl Sim {
    pub(crate) fn new(setup: &Setup, bench: Arc<Bench>, shared: Arc<Shared>) -> Self {
        let Setup {
            ring,
            frame_bytes,
            rate,
            perfect_drain,
            linear,
            ..
        } = *setup;
        let buffer = ring.buffer() as usize;
        let memory = match linear {
            true => PlaybackRing::memfd_linear(buffer, frame_bytes).unwrap(),
            false => PlaybackRing::memfd(buffer, frame_bytes).unwrap(),
        };
        // The recording must not allocate while the thread runs.
        bench.played.lock().unwrap().reserve(1 << 24);
        Self {
            ring,
            memory,
            frame_bytes,
            rate,
            perfect_drain,
            bench,
            shared,
            state: State::Prepared,
            hardware: 0,
            application: 0,
            now: 0,
            seen: 0,
            waits: (0, 0),
        }
    }

    /// Lets `frames` frames pass, with a look at the position at the end of each period.
    fn pass(&mut self, mut frames: u64) {
        while frames > 0 {
            let to_period = self.ring.period() - self.hardware % self.ring.period();
            let mut step = frames.min(to_period);
            if self.state == State::Draining && self.perfect_drain {
                let left = self.ring.distance(self.hardware, self.application);
                step = step.min(left.max(1) as u64);
            }
            frames -= step;
            self.now += step;
            if matches!(self.state, State::Running | State::Draining) {
                self.play(step);
            }
        }
    }

    fn play(&mut self, frames: u64) {
        let mut played = self.bench.played.lock().unwrap();
        let place = self.ring.place(self.hardware);
        let window = self.memory.window(place, frames as usize);
        assert_eq!(window.len(), frames as usize * self.frame_bytes);
        played.extend_from_slice(window);
        window.fill(0);
        self.hardware = self.ring.add(self.hardware, frames);
        self.seen = self.now;
        let total = (played.len() / self.frame_bytes) as u64;
        let reached = |at: &AtomicU64| (1..=total).contains(&at.load(Relaxed));
        if reached(&self.bench.unplug_at) {
            self.state = State::Disconnected;
        } else if reached(&self.bench.xrun_at) {
            self.bench.xrun_at.store(0, Relaxed);
            self.state = State::Xrun;
        } else if self.state == State::Draining
            && (self.perfect_drain || self.hardware % self.ring.period() == 0)
            && self.ring.distance(self.hardware, self.application) <= 0
        {
            self.state = State::Setup;
        }
    }
}

impl Card for Sim {
    fn wait(&mut self) -> io::Result<()> {
        self.waits = match self.waits {
            (at, waits) if at == self.now => (at, waits + 1),
            _ => (self.now, 0),
        };
        assert!(self.waits.1 < 100, "the thread spins");
        self.pass(self.bench.stall.swap(0, Relaxed));
        let blind = self.bench.blind.swap(0, Relaxed);
        self.now += blind / self.ring.buffer() * self.ring.buffer();
        self.pass(blind % self.ring.buffer());
        // A wait that nothing ends is a test that hangs.
        for _ in 0..1000 {
            let room = self.ring.room(self.hardware, self.application);
            match self.state {
                State::Running if room < self.ring.period() => {}
                State::Draining => {}
                _ => return Ok(()),
            }
            self.pass(self.ring.period() - self.hardware % self.ring.period());
        }
        panic!("nothing ends this wait");
    }

    fn wait_command(&mut self) -> io::Result<()> {
        self.pass(self.bench.pause.load(Relaxed));
        self.shared.set_command(Command::Play);
        Ok(())
    }

    fn snapshot(&mut self, _ask: bool) -> io::Result<Snapshot> {
        Ok(Snapshot {
            state: self.state,
            hardware: self.hardware,
            tstamp: crate::clock::duration(self.seen, self.rate),
        })
    }

    fn publish(&mut self, application: u64) -> io::Result<()> {
        // A card of periods does not take less than one.
        assert!(self.perfect_drain || application % self.ring.period() == 0);
        self.application = application;
        Ok(())
    }

    fn window(&mut self, place: usize, frames: usize) -> &mut [u8] {
        self.memory.window(place, frames)
    }

    fn prepare(&mut self) -> io::Result<()> {
        (self.hardware, self.application) = (0, 0);
        self.memory.window(0, self.ring.buffer() as usize).fill(0);
        self.state = State::Prepared;
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        assert_eq!(self.state, State::Prepared);
        self.bench.starts.fetch_add(1, Relaxed);
        self.state = State::Running;
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        assert_eq!(self.state, State::Running);
        self.state = if self.ring.distance(self.hardware, self.application) > 0 {
            State::Draining
        } else {
            State::Setup
        };
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.state != State::Disconnected {
            self.state = State::Setup;
        }
        Ok(())
    }
}

/// Where a test's clock starts.
pub(crate) fn now() -> Duration {
    Duration::ZERO
}
