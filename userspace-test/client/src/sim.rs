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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
    /// Frames that pass between the last look at the position and DRAIN, in which the driver has an xrun of its
    /// own; 0 for none.
    pub(crate) xrun_at_drain: AtomicU64,
    /// STARTs, and DRAINs, before each of which the machine is suspended: after the last look at the state.
    pub(crate) sleeps_at_start: AtomicU64,
    pub(crate) sleeps_at_drain: AtomicU64,
    /// The card refuses an application that moves on by more than its ring at once.
    pub(crate) no_skip: AtomicBool,
    /// Frames that pass between the end of each wait and what the thread does about it.
    pub(crate) overshoot: AtomicU64,
    /// The card cannot go on after that.
    pub(crate) forgets: AtomicBool,
}

struct Substream {
    direction: Direction,
    ring: Ring,
    memory: Mapping,
    frame_bytes: usize,
    perfect_drain: bool,
    /// The kernel hears nothing of what was played until it is asked, and silences it then.
    timer: bool,
    state: State,
    /// What it was in when the machine was suspended.
    before: State,
    hardware: u64,
    /// How far what was played is silenced.
    silenced: u64,
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
                    st.before = st.state;
                    st.go(step, self.now, &self.bench);
                }
            }
            if self.streams.iter().any(|st| st.state == State::Suspended) {
                self.bench.suspend_at.store(0, Relaxed);
                for st in &mut self.streams {
                    if matches!(st.state, State::Running | State::Draining) {
                        st.state = State::Suspended;
                    }
                }
            }
        }
    }

    /// Before a command the machine is suspended, as many `times` more. A suspended card takes none.
    fn sleep_before(&mut self, times: fn(&Bench) -> &AtomicU64) -> io::Result<()> {
        let times = times(&self.bench);
        let left = times.load(Relaxed);
        if left > 0 {
            times.store(left - 1, Relaxed);
            for st in &mut self.streams {
                if matches!(st.state, State::Prepared | State::Running | State::Draining) {
                    st.before = st.state;
                    st.state = State::Suspended;
                }
            }
        }
        match self.streams.iter().any(|st| st.state == State::Suspended) {
            true => Err(io::Error::from_raw_os_error(libc::EBADFD)),
            false => Ok(()),
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
                    if self.timer {
                        continue;
                    }
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
        if !self.timer {
            self.silenced = self.hardware;
        }
        self.seen = now;
        self.total += frames;
        let reached = |at: &AtomicU64| (1..=self.total).contains(&at.load(Relaxed));
        if reached(&bench.unplug_at) {
            self.state = State::Disconnected;
        } else if reached(&bench.xrun_at) {
            bench.xrun_at.store(0, Relaxed);
            self.state = State::Xrun;
        } else if reached(&bench.suspend_at) {
            self.state = State::Suspended;
        } else if self.state == State::Draining
            && (self.perfect_drain || self.hardware % self.ring.period() == 0)
            && self.ring.distance(self.hardware, self.application) <= 0
        {
            self.state = State::Setup;
        }
    }
}

impl Substream {
    /// The kernel looks where the hardware is.
    fn update(&mut self) {
        if self.direction == Direction::Capture {
            return;
        }
        let played = self.ring.distance(self.silenced, self.hardware).max(0) as u64;
        for frame in 0..played.min(self.ring.buffer()) {
            let place = self.ring.place(self.ring.add(self.silenced, frame));
            let silence = &[0; 16][..self.frame_bytes];
            self.memory.write(place * self.frame_bytes, silence);
        }
        self.silenced = self.hardware;
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
                timer: setup.timer,
                state: State::Prepared,
                before: State::Prepared,
                hardware: 0,
                silenced: 0,
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
            let over = match deadline {
                Some(time) => duration(machine.now, rate) >= time,
                None => machine.is_due(number),
            };
            match deadline {
                _ if over => {
                    let overshoot = machine.bench.overshoot.load(Relaxed);
                    machine.pass(overshoot);
                    return Ok(());
                }
                Some(_) => machine.pass(1),
                None => {
                    let st = &machine.streams[number];
                    let step = st.ring.period() - st.hardware % st.ring.period();
                    machine.pass(step);
                }
            }
        }
        panic!("nothing ends this wait");
    }

    fn wait_command(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        let rate = self.rate;
        let mut machine = self.machine();
        let mut left = machine.bench.pause.load(Relaxed);
        let is_over = |now| deadline.is_some_and(|time| duration(now, rate) >= time);
        while left > 0 && !is_over(machine.now) {
            let step = if deadline.is_some() { 1 } else { left };
            machine.pass(step);
            left -= step;
        }
        machine.bench.pause.store(left, Relaxed);
        drop(machine);
        if left == 0 {
            self.shared.set_command(Command::Play);
        }
        Ok(())
    }

    fn snapshot(&mut self, _ask: bool) -> io::Result<Snapshot> {
        let rate = self.rate;
        Ok(self.with(|st, bench| {
            st.update();
            Snapshot {
                state: st.state,
                hardware: st.hardware.wrapping_add(bench.lie.load(Relaxed)),
                tstamp: duration(st.seen, rate),
            }
        }))
    }

    fn publish(&mut self, application: u64) -> io::Result<()> {
        self.with(|st, bench| {
            // A card of periods does not take less than one.
            let whole = application % st.ring.period() == 0;
            assert!(st.perfect_drain || whole || st.direction == Direction::Capture);
            let step = st.ring.distance(st.application, application).max(0) as u64;
            if step > st.ring.buffer() && bench.no_skip.load(Relaxed) {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            st.application = application;
            Ok(())
        })
    }

    fn window(&mut self, place: usize, frames: usize) -> &mut [u8] {
        self.memory.window(place, frames)
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.with(|st, _| {
            (st.hardware, st.application, st.silenced) = (0, 0, 0);
            st.state = State::Prepared;
        });
        let frames = self.with(|st, _| st.ring.buffer());
        self.memory.window(0, frames as usize).fill(0);
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let machine = &mut *self.machine();
        machine.sleep_before(|bench| &bench.sleeps_at_start)?;
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
        let machine = &mut *self.machine();
        machine.sleep_before(|bench| &bench.sleeps_at_drain)?;
        let frames = machine.bench.xrun_at_drain.swap(0, Relaxed);
        machine.pass(frames);
        for st in &mut machine.streams {
            assert_eq!(st.state, State::Running);
            if frames > 0 {
                // DRAIN leaves XRUN with nothing said.
                st.state = State::Setup;
                continue;
            }
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
            if st.state == State::Suspended {
                st.state = st.before;
            }
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        duration(self.machine().now, self.rate)
    }
}
