// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card of memory and a clock that only moves when told: the PCMs behind the tests of the audio
//! thread.
//!
//! Each has a ring in a memfd, which it maps for itself as well, and keeps the positions in `0..boundary` as the
//! kernel does. What was played is silenced and kept; what is recorded counts from 1. Time is counted in
//! frames: it passes a period at a time while the thread waits, and by as much as a test says while a
//! callback runs.

use crate::clock::duration;
use crate::handle::{Command, Shared};
use crate::ring::Ring;
use crate::stream::{Card, Setup, Snapshot};
use crate::sys::{Direction, MappedRing, Mapping, State, memfd};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Aborts a test that allocates where it said that it would not.
#[global_allocator]
static ALLOCATOR: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// What a test sees of the card, and tells it.
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
    /// Frames after which the machine is suspended; 0 for never.
    pub(crate) suspend_at: AtomicU64,
    /// What is added to each position that is told: a card that lies.
    pub(crate) lie: AtomicU64,
    /// Frames that are fetched at once at the start.
    pub(crate) head: AtomicU64,
    /// The card cannot go on after that.
    pub(crate) forgets: std::sync::atomic::AtomicBool,
}

struct Substream {
    direction: Direction,
    ring: Ring,
    memory: Mapping,
    frame_bytes: usize,
    perfect_drain: bool,
    state: State,
    hardware: u64,
    application: u64,
    /// When `hardware` was published.
    seen: u64,
    /// Frames since the beginning, recorded or played.
    total: u64,
}

/// The card. Its substreams start and stop together.
struct Machine {
    bench: Arc<Bench>,
    streams: Vec<Substream>,
    /// Frames since the beginning of time.
    now: u64,
}

impl Machine {
    /// Lets `frames` frames pass, with a look at the position at the end of each period.
    fn pass(&mut self, mut frames: u64) {
        while frames > 0 {
            let mut step = frames;
            for st in &self.streams {
                step = step.min(st.ring.period() - st.hardware % st.ring.period());
                if st.state == State::Draining && st.perfect_drain {
                    let left = st.ring.distance(st.hardware, st.application);
                    step = step.min(left.max(1) as u64);
                }
            }
            frames -= step;
            self.now += step;
            for st in &mut self.streams {
                if matches!(st.state, State::Running | State::Draining) {
                    st.go(step, self.now, &self.bench);
                }
            }
        }
    }

    /// Of substream `number`, whether a wait for it is over.
    fn is_due(&self, number: usize) -> bool {
        let st = &self.streams[number];
        // As the kernel counts: an application that is beyond the hardware has a lap to read.
        let frames = match st.direction {
            Direction::Playback => st.ring.room(st.hardware, st.application),
            Direction::Capture => match st.ring.distance(st.application, st.hardware) {
                ready @ 0.. => ready as u64,
                _ => u64::MAX,
            },
        };
        match st.state {
            State::Running => frames >= st.ring.period(),
            State::Draining => false,
            _ => true,
        }
    }
}

impl Substream {
    fn go(&mut self, frames: u64, now: u64, bench: &Bench) {
        let place = self.ring.place(self.hardware) * self.frame_bytes;
        for frame in 0..frames {
            let at = place + frame as usize * self.frame_bytes;
            let mut bytes = [0; 16];
            let bytes = &mut bytes[..self.frame_bytes];
            match self.direction {
                Direction::Playback => {
                    self.memory.read(at, bytes);
                    bench.played.lock().unwrap().extend_from_slice(bytes);
                    bytes.fill(0);
                }
                Direction::Capture => {
                    let number = (self.total + frame + 1) as u32;
                    bytes[..4].copy_from_slice(&number.to_ne_bytes());
                }
            }
            self.memory.write(at, bytes);
        }
        self.hardware = self.ring.add(self.hardware, frames);
        self.seen = now;
        self.total += frames;
        let reached = |at: &AtomicU64| (1..=self.total).contains(&at.load(Relaxed));
        if reached(&bench.unplug_at) {
            self.state = State::Disconnected;
        } else if reached(&bench.xrun_at) {
            bench.xrun_at.store(0, Relaxed);
            self.state = State::Xrun;
        } else if reached(&bench.suspend_at) {
            bench.suspend_at.store(0, Relaxed);
            self.state = State::Suspended;
        } else if self.state == State::Draining
            && (self.perfect_drain || self.hardware % self.ring.period() == 0)
            && self.ring.distance(self.hardware, self.application) <= 0
        {
            self.state = State::Setup;
        }
    }
}

/// One PCM of the card.
pub(crate) struct Sim {
    machine: Arc<Mutex<Machine>>,
    number: usize,
    memory: MappedRing,
    rate: u32,
    shared: Arc<Shared>,
    /// When the last wait began, and how many began then.
    waits: (u64, u32),
}

impl Sim {
    /// A card with a PCM for each of `setups`.
    pub(crate) fn card<const N: usize>(
        setups: [(Direction, &Setup); N],
        bench: &Arc<Bench>,
        shared: &Arc<Shared>,
    ) -> [Self; N] {
        // The recording must not allocate while the thread runs.
        bench.played.lock().unwrap().reserve(1 << 24);
        let machine = Arc::new(Mutex::new(Machine {
            bench: bench.clone(),
            streams: Vec::new(),
            now: 0,
        }));
        let mut number = 0;
        setups.map(|(direction, setup)| {
            let (ring, frame) = (setup.ring, setup.frame_bytes);
            let frames = ring.buffer() as usize;
            let fd = memfd(frames * frame).unwrap();
            machine.lock().unwrap().streams.push(Substream {
                direction,
                ring,
                memory: Mapping::of_memfd(fd.as_fd(), frames * frame).unwrap(),
                frame_bytes: frame,
                perfect_drain: setup.perfect_drain,
                state: State::Prepared,
                hardware: 0,
                application: 0,
                seen: 0,
                total: 0,
            });
            number += 1;
            Self {
                machine: machine.clone(),
                number: number - 1,
                memory: MappedRing::of_memfd(fd.as_fd(), frames, frame, setup.linear).unwrap(),
                rate: setup.rate,
                shared: shared.clone(),
                waits: (0, 0),
            }
        })
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    /// Of this substream.
    fn with<R>(&self, f: impl FnOnce(&mut Substream, &Bench) -> R) -> R {
        let machine = &mut *self.machine();
        f(&mut machine.streams[self.number], &machine.bench)
    }
}

impl Card for Sim {
    fn wait(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        let (number, rate) = (self.number, self.rate);
        let machine = self.machine.clone();
        let mut machine = machine.lock().unwrap();
        self.waits = match self.waits {
            (at, waits) if at == machine.now => (at, waits + 1),
            _ => (machine.now, 0),
        };
        assert!(self.waits.1 < 100, "the thread spins");
        let stall = machine.bench.stall.swap(0, Relaxed);
        machine.pass(stall);
        let blind = machine.bench.blind.swap(0, Relaxed);
        let buffer = machine.streams[number].ring.buffer();
        machine.now += blind / buffer * buffer;
        machine.pass(blind % buffer);
        // A wait that nothing ends is a test that hangs.
        for _ in 0..1_000_000 {
            match deadline {
                Some(time) if duration(machine.now, rate) >= time => return Ok(()),
                Some(_) => machine.pass(1),
                None if machine.is_due(number) => return Ok(()),
                None => {
                    let st = &machine.streams[number];
                    let step = st.ring.period() - st.hardware % st.ring.period();
                    machine.pass(step);
                }
            }
        }
        panic!("nothing ends this wait");
    }

    fn wait_command(&mut self, _: Option<Duration>) -> io::Result<()> {
        let mut machine = self.machine();
        let pause = machine.bench.pause.load(Relaxed);
        machine.pass(pause);
        drop(machine);
        self.shared.set_command(Command::Play);
        Ok(())
    }

    fn snapshot(&mut self, _ask: bool) -> io::Result<Snapshot> {
        let rate = self.rate;
        Ok(self.with(|st, bench| Snapshot {
            state: st.state,
            hardware: st.hardware.wrapping_add(bench.lie.load(Relaxed)),
            tstamp: duration(st.seen, rate),
        }))
    }

    fn publish(&mut self, application: u64) -> io::Result<()> {
        self.with(|st, _| {
            // A card of periods does not take less than one.
            let whole = application % st.ring.period() == 0;
            assert!(st.perfect_drain || whole || st.direction == Direction::Capture);
            st.application = application;
        });
        Ok(())
    }

    fn window(&mut self, place: usize, frames: usize) -> &mut [u8] {
        self.memory.window(place, frames)
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.with(|st, _| {
            (st.hardware, st.application) = (0, 0);
            st.state = State::Prepared;
        });
        let frames = self.with(|st, _| st.ring.buffer());
        self.memory.window(0, frames as usize).fill(0);
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let machine = &mut *self.machine();
        machine.bench.starts.fetch_add(1, Relaxed);
        for st in &mut machine.streams {
            assert_eq!(st.state, State::Prepared);
            st.state = State::Running;
            let head = machine.bench.head.load(Relaxed);
            if st.direction == Direction::Playback && head > 0 {
                st.go(head, machine.now, &machine.bench);
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        for st in &mut self.machine().streams {
            assert_eq!(st.state, State::Running);
            let left = st.ring.distance(st.hardware, st.application);
            st.state = match st.direction {
                Direction::Playback if left > 0 => State::Draining,
                _ => State::Setup,
            };
        }
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        for st in &mut self.machine().streams {
            if st.state != State::Disconnected {
                st.state = State::Setup;
            }
        }
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        let mut machine = self.machine();
        if machine.bench.forgets.load(Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        for st in &mut machine.streams {
            st.state = State::Running;
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        duration(self.machine().now, self.rate)
    }
}
