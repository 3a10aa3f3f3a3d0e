// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that runs a program: what each operation does, and what must not be seen while it does it.
//!
//! A file below this one for each kind of operation; here is what they have in common, and the threads.
//!
//! It asks the kernel for everything by bare system calls, since what they get is wrong on purpose, and since a
//! child of several threads may do nothing else.
#![allow(unsafe_code)]

mod asks;
mod audit;
mod children;
mod maps;
mod touches;

use super::arena::Arena;
use super::calls::{self, Node};
use super::op::{FILES, KINDS, Kind, MAPS, Op, Program, THREADS};
use super::{odd, touch};
use crate::board::Board;
use crate::seed::Random;
use crate::tap::note;
use crate::window::page;
use asks::{poll, soften};
use std::ffi::CString;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

/// What the process ends with when it has seen what must not be.
pub const BLAMED: i32 = 3;
/// What it ends with when it could not begin.
pub const UNFIT: i32 = 4;
/// What it ends with when it has lost its way.
pub const LOST: i32 = 5;

/// linux/fcntl.h
const F_SETSIG: libc::c_int = 10;

/// Nanoseconds after which an operation is interrupted.
const ALARM: i64 = 8_000_000;

/// Numbers of the board: for each thread, the operation under way, from 1.
pub const UNDER_WAY: usize = 0;
/// How often a stream was started.
pub const STARTED: usize = 8;
/// For each kind, how often it was done and how often it succeeded.
pub const COUNTS: usize = 16;

/// A system call. Returns its result, negative for an errno.
///
/// # Safety
///
/// What it writes to, maps or unmaps is an arena, a local of the caller, or nothing that is mapped; what it reads may
/// be any memory.
pub(super) unsafe fn call(number: libc::c_long, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    // SAFETY: As the caller has promised.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match result {
        -1 => -(std::io::Error::last_os_error().raw_os_error().unwrap_or(1) as isize),
        _ => result as isize,
    }
}

/// As [`call()`], with fewer arguments. For this file and those below it, where every call is one for which that is safe:
/// an operation's addresses come from its thread's [`Arena`] or are locals of whoever calls.
fn simple(number: libc::c_long, args: &[usize]) -> isize {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    // SAFETY: As above.
    unsafe { call(number, all) }
}

/// Where the nodes are.
#[derive(Clone, Debug)]
pub struct Nodes {
    paths: Vec<(Node, CString)>,
}

impl Nodes {
    /// Those of card `number`.
    ///
    /// # Panics
    ///
    /// Never: a number has no zero bytes.
    #[must_use]
    pub fn of_card(number: u32) -> Self {
        let snd = |name: &str| format!("/dev/snd/{name}");
        let paths = [
            (Node::Playback, snd(&format!("pcmC{number}D0p"))),
            (Node::Capture, snd(&format!("pcmC{number}D0c"))),
            (Node::Control, snd(&format!("controlC{number}"))),
            (Node::Oss, "/dev/dsp".to_owned()),
            (Node::Mixer, "/dev/mixer".to_owned()),
        ];
        let paths = paths.map(|(node, path)| (node, CString::new(path).expect("no zeros")));
        Self {
            paths: paths.into(),
        }
    }

    fn path(&self, node: Node) -> usize {
        let found = self.paths.iter().find(|(known, _)| *known == node);
        found.map_or(0, |(_, path)| path.as_ptr() as usize)
    }
}

/// What the threads share.
struct Shared<'a> {
    program: &'a Program,
    nodes: &'a Nodes,
    board: &'a Board,
    /// Descriptors, or -1.
    files: [AtomicI32; FILES as usize],
    /// Pages of the ring that was set up last through each of them.
    rings: [AtomicUsize; FILES as usize],
    /// Where each thread's mappings are, and their pages.
    maps: [[(AtomicUsize, AtomicUsize); MAPS as usize]; THREADS],
    /// Whether a file was opened to share a substream: then no ring is anybody's own.
    shares: AtomicUsize,
    says: bool,
}

impl Shared<'_> {
    fn file(&self, slot: u64) -> usize {
        self.files[(slot % FILES) as usize].load(SeqCst) as isize as usize
    }

    fn put(&self, slot: u64, file: isize) -> isize {
        if let Ok(new) = i32::try_from(file) {
            let old = self.files[(slot % FILES) as usize].swap(new.max(-1), SeqCst);
            if old >= 0 {
                simple(libc::SYS_close, &[old as usize]);
            }
        }
        file
    }
}

/// Ends a program that has lost its way, through no fault of the kernel's.
pub fn give_up() -> ! {
    end(LOST)
}

/// Says what must not be, and ends the process.
fn blame(what: impl std::fmt::Display) -> ! {
    note(format_args!("seen: {what}"));
    end(BLAMED)
}

fn end(status: i32) -> ! {
    // SAFETY: Ends the process; nothing is flushed or dropped that the parent has too.
    unsafe { libc::_exit(status) }
}

/// Runs `program` to its end, or to what ends it. In a process of its own, as the user; returns its status.
#[must_use]
pub fn run(program: &Program, nodes: &Nodes, board: &Board, says: bool) -> i32 {
    let shared = Shared {
        program,
        nodes,
        board,
        files: Default::default(),
        rings: Default::default(),
        maps: Default::default(),
        shares: AtomicUsize::new(0),
        says,
    };
    for file in &shared.files {
        file.store(-1, SeqCst);
    }
    if touch::catch().is_err() || !signals() {
        return UNFIT;
    }
    let threads = program.0.iter().map(|(thread, _)| thread + 1).max();
    std::thread::scope(|scope| {
        for number in 0..threads.unwrap_or(0) {
            let shared = &shared;
            scope.spawn(move || match Thread::new(shared, number) {
                Some(mut thread) => thread.run(),
                None => end(UNFIT),
            });
        }
    });
    0
}

extern "C" fn on_alarm(_: libc::c_int) {}

/// An alarm interrupts what waits; other signals that a program may cause are nothing.
fn signals() -> bool {
    // SAFETY: All zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_alarm;
    action.sa_sigaction = handler as usize;
    // SAFETY: A handler of the kind that the flags, none, say.
    let set = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    for signal in [libc::SIGIO, libc::SIGUSR1, libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: Ignoring needs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    set == 0
}

struct Thread<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    arena: Arena,
    timer: usize,
    /// A pipe that holds pages, and this process's memory as a file.
    pipe: [i32; 2],
    memory: usize,
}

impl<'a> Thread<'a> {
    fn new(shared: &'a Shared<'a>, number: usize) -> Option<Self> {
        let arena = Arena::new()?;
        for (index, at) in (arena.buffer()..arena.arguments()).step_by(8).enumerate() {
            let word = 0x0101_0101_0101_0101 * (index as u64 % 251);
            // SAFETY: The arena's buffer.
            unsafe { touch::store(at, word) }.ok()?;
        }
        for index in 0..32 {
            let into = arena.buffer() + index * page() / 2;
            // SAFETY: As above.
            unsafe { touch::store(arena.vector() + 8 * index, into as u64) }.ok()?;
        }
        // SAFETY: All zeros is a valid `sigevent`.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = simple(libc::SYS_gettid, &[]) as libc::c_int;
        let mut timer: libc::c_int = 0;
        let clock = libc::CLOCK_MONOTONIC as usize;
        let made = simple(
            libc::SYS_timer_create,
            &[clock, &raw mut event as usize, &raw mut timer as usize],
        );
        let mut pipe = [-1; 2];
        let flags = (libc::O_NONBLOCK | libc::O_CLOEXEC) as usize;
        let piped = simple(libc::SYS_pipe2, &[pipe.as_mut_ptr() as usize, flags]);
        let path = c"/proc/self/mem".as_ptr() as usize;
        let memory = simple(libc::SYS_open, &[path, libc::O_RDWR as usize]);
        let thread = Self {
            shared,
            number,
            arena,
            timer: timer as usize,
            pipe,
            memory: memory as usize,
        };
        (made == 0 && piped == 0 && memory >= 0).then_some(thread)
    }

    fn run(&mut self) {
        let board = self.shared.board;
        let start = calls::number("START");
        for (index, &(thread, op)) in self.shared.program.0.iter().enumerate() {
            if thread != self.number {
                continue;
            }
            board.set(UNDER_WAY + thread, index as u64 + 1);
            if self.shared.says {
                note(format_args!("{index}: {thread} {op}"));
            }
            // A child must be made at once, or never: an alarm begins it anew.
            let alarmed = op.kind != Kind::Fork;
            if alarmed {
                self.alarm(ALARM);
            }
            let result = self.act(op);
            if alarmed {
                self.alarm(0);
            }
            if self.shared.says {
                let error = match result {
                    0.. => String::new(),
                    _ => std::io::Error::from_raw_os_error(-result as i32).to_string(),
                };
                note(format_args!("{index}: -> {result} {error}"));
            }
            let kind = KINDS.iter().position(|line| line.0 == op.kind);
            let count = COUNTS + 2 * kind.unwrap_or(0);
            board.count(count);
            if result >= 0 {
                board.count(count + 1);
                if op.kind == Kind::Ioctl && op.args[1] == start {
                    board.count(STARTED);
                }
            }
        }
        board.set(UNDER_WAY + self.number, 0);
    }

    /// Interrupts what waits after so many ns, and again after as many.
    fn alarm(&self, ns: i64) {
        let time = libc::timespec {
            tv_sec: 0,
            tv_nsec: ns,
        };
        let spec = libc::itimerspec {
            it_interval: time,
            it_value: time,
        };
        simple(
            libc::SYS_timer_settime,
            &[self.timer, 0, &raw const spec as usize, 0],
        );
    }

    fn act(&mut self, op: Op) -> isize {
        let [a, b, c, d] = op.args;
        let file = self.shared.file(a);
        let map = (a % MAPS) as usize;
        let mut random = Random::from_seed(c ^ b.rotate_left(32));
        match op.kind {
            Kind::Open => self.open(a, b, c),
            Kind::Close => {
                self.shared.put(a, -1);
                0
            }
            Kind::Dup => {
                let new = simple(libc::SYS_dup, &[file]);
                self.shared.put(b, new)
            }
            Kind::Fcntl => self.fcntl(file, b, c),
            Kind::Ioctl => self.ioctl(file, b, c, d),
            Kind::AnyIoctl => {
                let at = self.arena.named(d);
                for at in (self.arena.arguments()..).step_by(8).take(64) {
                    // SAFETY: The arena's arguments.
                    let _ = unsafe { touch::store(at, random.next()) };
                }
                simple(
                    libc::SYS_ioctl,
                    &[file, odd::value(&mut random) as usize, at],
                )
            }
            Kind::Setup => self.setup(a, b),
            Kind::Soften => soften(file, b),
            Kind::Bytes => self.bytes(file, b, c, d),
            Kind::Frames => self.frames(file, b, c, d),
            Kind::Poll => poll(file, b, c),
            Kind::Rest => {
                let time = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 1000 * a as i64,
                };
                simple(libc::SYS_nanosleep, &[&raw const time as usize, 0])
            }
            Kind::Map => self.map(a, (b % MAPS) as usize, c, d),
            Kind::Unmap => {
                let mut random = Random::from_seed(b);
                let (first, pages) = odd::range(&mut random, self.arena.extent(map));
                self.publish(map, 0);
                self.arena
                    .clear(map, first..first + pages, random.below(2) == 0)
            }
            Kind::Remap => self.remap(map, (b % MAPS) as usize, c),
            Kind::Protect => self.protect(map, b, c),
            Kind::Advise => self.advise(map, b, c),
            Kind::Lock => self.lock(map, b),
            Kind::Touch => self.touch(map, b, c),
            Kind::Reach => self.reach(a, b, c),
            Kind::Carry => self.carry(map, b, c),
            Kind::Scribble => self.scribble(map, b, c),
            Kind::Fork => self.fork(a, b),
            Kind::Audit => self.audit(a),
            Kind::Blame => blame("this was asked for"),
            Kind::Crash => {
                // SAFETY: None: the fault is wanted. Not null, which a debug build would look for.
                unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) };
                0
            }
            Kind::Hang => loop {
                simple(libc::SYS_pause, &[]);
            },
        }
    }
}
