// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts a program as an ordinary user, ends it, and looks at what is left.
//!
//! After each: the kernel's log says nothing, every process is gone, every substream closed, nothing mapped, the
//! module used by nobody; memory that is not the user's is untouched; what the card's elements were, they can be
//! again. After many, and at the end: memory has come back, and the card plays bit-exact.
#![allow(unsafe_code)]

use super::bystander::Bystander;
use super::op::{KINDS, Program, THREADS};
use super::user::{self, BLAMED, COUNTS, LOST, Nodes, STARTED, UNDER_WAY};
use crate::board::Board;
use crate::card::{self, Config};
use crate::control::Control;
use crate::control::all::Snapshot;
use crate::ensure;
use crate::fork::{Child, End};
use crate::kmsg::Watch;
use crate::param;
use crate::proc::{kept_memory, settled_memory};
use crate::record::expect_played;
use crate::seed::Random;
use crate::tap::{Outcome, Stop, note};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// An ordinary user, and Debian's group `audio`.
const USER: u32 = 1000;
static AUDIO: u32 = 29;
/// What a program may take: each of its operations is interrupted after some milliseconds.
const TIME: Duration = Duration::from_secs(20);
/// What one of its processes may use of the processor, in seconds.
const PROCESSOR: u64 = 10;
/// What its processes may take to die: the sound core waits for up to ten seconds in places.
const DYING: Duration = Duration::from_secs(40);
/// Bytes of memory that is not the user's.
const BYSTANDER: usize = 2 << 20;

/// The nodes, open to the group `audio` as udev has them, until this is dropped.
#[derive(Debug)]
struct Opened(Vec<(PathBuf, u32, u32)>);

impl Opened {
    fn new() -> io::Result<Self> {
        // Where it is built in there is nothing to load.
        let _ = Command::new("modprobe").arg("snd-pcm-oss").output()?;
        let _ = Command::new("modprobe").arg("snd-mixer-oss").output()?;
        let mut paths: Vec<_> = ["/dev/dsp", "/dev/mixer"].map(PathBuf::from).into();
        for entry in fs::read_dir("/dev/snd")? {
            paths.push(entry?.path());
        }
        let mut opened = Self(Vec::new());
        for path in paths {
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            if meta.is_dir() {
                continue;
            }
            chown(&path, None, Some(AUDIO))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
            opened.0.push((path, meta.gid(), meta.mode()));
        }
        Ok(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        for (path, group, mode) in &self.0 {
            let _ = chown(path, None, Some(*group));
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(*mode));
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Guard {
    nodes: Nodes,
    _opened: Opened,
    watch: Watch,
    board: Board,
    elements: Snapshot,
    idle: String,
    mode: String,
    log: File,
    log_rate: String,
    /// Whether programs tell each operation.
    says: bool,
    /// Programs that have given up.
    lost: u64,
}

const LOG_RATE: &str = "/proc/sys/kernel/printk_devkmsg";

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = fs::write(LOG_RATE, &self.log_rate);
    }
}

fn users() -> io::Result<String> {
    fs::read_to_string("/sys/module/snd_sgring/refcnt")
}

impl Guard {
    /// Gets ready.
    ///
    /// # Errors
    ///
    /// As for the card and its control elements, and for files of /proc and /sys.
    pub fn new(says: bool) -> Result<Self, Stop> {
        // SAFETY: Numbers. Orphans of a program come to this process.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        let log_rate = fs::read_to_string(LOG_RATE)?;
        fs::write(LOG_RATE, "on\n")?;
        let mut guard = Self {
            nodes: Nodes::of_card(card::number()?),
            _opened: Opened::new()?,
            watch: Watch::new()?,
            board: Board::new()?,
            elements: Snapshot::new()?,
            idle: String::new(),
            mode: param::get("map_mode")?,
            log: OpenOptions::new().write(true).open("/dev/kmsg")?,
            log_rate,
            says,
            lost: 0,
        };
        // The snapshot's file is one user.
        guard.idle = users()?;
        Ok(guard)
    }

    /// Runs `program`, which the log is to call `name`.
    ///
    /// # Errors
    ///
    /// A failure that says what is wrong, and what was under way.
    pub fn run(&mut self, name: &str, program: &Program) -> Outcome {
        // So that whoever reads the log knows, even when there is nobody left to tell.
        self.log
            .write_all(format!("fuzz_user: {name}\n").as_bytes())?;
        let memory = Bystander::new(BYSTANDER)?;
        for thread in 0..THREADS {
            self.board.set(UNDER_WAY + thread, 0);
        }
        let (nodes, board, says) = (&self.nodes, &self.board, self.says);
        let child = Child::spawn(|| match as_user() {
            Ok(()) => user::run(program, nodes, board, says),
            Err(error) => {
                note(error);
                user::UNFIT
            }
        })?;
        let ended = self.wait(child);
        let outcome = ended
            .and_then(|()| memory.is_untouched())
            .and_then(|()| self.look());
        outcome.map_err(|stop| self.under_way(program, stop))
    }

    /// Adds to a failure what each thread was doing.
    fn under_way(&self, program: &Program, stop: Stop) -> Stop {
        let mut text = match stop {
            Stop::Fail(text) | Stop::Skip(text) => text,
        };
        for thread in 0..THREADS {
            let index = self.board.get(UNDER_WAY + thread) as usize;
            if let Some((_, op)) = index.checked_sub(1).and_then(|i| program.0.get(i)) {
                text += &format!("\nunder way: {}: {thread} {op}", index - 1);
            }
        }
        Stop::Fail(text)
    }

    /// Waits for the program's end, or ends it, with all that comes from it.
    fn wait(&mut self, child: Child) -> Outcome {
        let group = child.pid();
        let in_time = child.ends_within(TIME)?;
        // SAFETY: The child is in a group of its own, which has its number.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        if !in_time {
            // Whether it had become a group's head by then does not matter.
            child.kill();
        }
        let deadline = Instant::now() + DYING;
        let left = || deadline.saturating_duration_since(Instant::now());
        if !child.ends_within(left())? {
            return Err(hang(group));
        }
        let end = child.wait()?;
        // Those that it has left behind, of the same group. Of their end nobody is told, so it is looked for.
        loop {
            // SAFETY: No status is asked for.
            match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
                -1 => break,
                0 if left().is_zero() => return Err(hang(group)),
                0 => std::thread::sleep(Duration::from_millis(1)),
                _ => {}
            }
        }
        match end {
            End::Exit(0) => Ok(()),
            End::Signal(libc::SIGKILL) if !in_time => Err(Stop::Fail(format!(
                "not at its end after {} s",
                TIME.as_secs()
            ))),
            End::Exit(LOST) => {
                self.lost += 1;
                Ok(())
            }
            // Where both limits are the same, it is SIGKILL that comes.
            End::Signal(libc::SIGXCPU | libc::SIGKILL) => Err(Stop::Fail(format!(
                "it ended by {end:?}: by the limit of {PROCESSOR} s of processor time, unless memory ran out"
            ))),
            End::Exit(BLAMED) => Err(Stop::Fail("it saw what must not be".into())),
            end => Err(Stop::Fail(format!("it ended by {end:?}"))),
        }
    }

    /// What a program must not leave behind.
    fn look(&mut self) -> Outcome {
        self.watch.quiet()?;
        for direction in ["p", "c"] {
            let pcm = format!("/proc/asound/card{}/pcm0{direction}", card::number()?);
            for entry in fs::read_dir(&pcm)? {
                let status = entry?.path().join("status");
                if let Ok(text) = fs::read_to_string(&status) {
                    ensure!(text.trim() == "closed", "{}: {text}", status.display());
                }
            }
        }
        // Another mode is refused while anything is mapped.
        let other = if self.mode == "page" { "fault" } else { "page" };
        for mode in [other, &self.mode] {
            if let Err(error) = param::set("map_mode", mode) {
                return Err(Stop::Fail(format!("something is mapped: {error}")));
            }
        }
        let users = users()?;
        ensure!(
            users == self.idle,
            "the module has {} users, not {}",
            users.trim_end(),
            self.idle.trim_end()
        );
        self.elements.restore()?;
        self.watch.quiet()
    }

    /// Whether the card plays bit-exact.
    ///
    /// # Errors
    ///
    /// A failure that says how not.
    pub fn plays(&mut self) -> Outcome {
        let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
        let config = Config {
            rate: 8000,
            ..Config::stereo(256, 16)
        };
        let mut played = vec![0; 4 * 2000];
        Random::from_seed(1).fill(&mut played);
        played[0] |= 1;
        let capture = config.prepare_on(card::open_capture()?)?;
        let playback = config.prepare()?;
        playback.writei(&played)?;
        capture.start()?;
        playback.start()?;
        playback.drain()?;
        let mut recorded = vec![0; 4 * 2400];
        let mut done = 0;
        while done < recorded.len() {
            done += 4 * capture.readi(&mut recorded[done..])?;
        }
        expect_played(&recorded, &played)?;
        self.watch.quiet()
    }

    /// How often each kind was done and how often it succeeded.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64, u64)> {
        let count = |index: usize| self.board.get(COUNTS + index);
        let all = KINDS.iter().enumerate();
        all.filter(|(_, line)| line.2 > 0)
            .map(|(index, line)| (line.1, count(2 * index), count(2 * index + 1)))
            .collect()
    }

    /// How often a stream was started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.board.get(STARTED)
    }

    /// How many programs have given up.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Demands that `programs` programs got as far as to rings that run, and mostly to their end: where nothing can
    /// be opened, nothing is ever wrong.
    ///
    /// # Errors
    ///
    /// A failure that names what never succeeded.
    pub fn has_attacked(&self, programs: u64) -> Outcome {
        const NEEDED: [&str; 6] = ["open", "setup", "map", "touch", "frames", "audit"];
        for (name, done, succeeded) in self.counts() {
            ensure!(
                succeeded > 0 || !NEEDED.contains(&name),
                "{name} was tried {done} times and never succeeded"
            );
        }
        ensure!(self.started() > 0, "no stream was ever started");
        ensure!(
            self.lost * 10 <= programs,
            "{} of {programs} programs gave up",
            self.lost
        );
        Ok(())
    }
}

/// Memory as it was when this was made.
#[derive(Debug)]
pub struct Ledger((u64, u64));

impl Ledger {
    /// As it is now.
    ///
    /// # Errors
    ///
    /// As [`settled_memory`].
    pub fn new() -> io::Result<Self> {
        settled_memory().map(Self)
    }

    /// Demands that it is so again, but for what lists and caches keep.
    ///
    /// # Errors
    ///
    /// A failure with what is missing.
    pub fn balances(&self) -> Outcome {
        let now = settled_memory()?;
        let gone = self.0.0.saturating_sub(now.0);
        let more = now.1.saturating_sub(self.0.1);
        note(format_args!(
            "{gone} kB fewer are free, {more} kB more are the kernel's objects"
        ));
        // A ring or some objects lost by each program are more.
        let most = kept_memory(2048)?;
        ensure!(gone < most && more < most, "at most {most} kB are allowed");
        Ok(())
    }
}

/// A process, or a child of it, that does not die: where each of its threads is, and what the kernel says of all that wait.
fn hang(pid: libc::pid_t) -> Stop {
    let mut text = format!("process {pid}, or a child of it, does not die");
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    for entry in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let id = entry.file_name().to_string_lossy().into_owned();
        text += &format!("\ntask {id}: {}{}", read("syscall"), read("stack"));
    }
    let _ = fs::write("/proc/sysrq-trigger", "w");
    Stop::Fail(text)
}

/// Makes this process an ordinary user's, in a group of its own and within limits.
fn as_user() -> io::Result<()> {
    let check = |result: i64| match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    let limits = [
        (libc::RLIMIT_NOFILE, 128),
        (libc::RLIMIT_NPROC, 64),
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_FSIZE, 1 << 20),
        (libc::RLIMIT_CPU, PROCESSOR),
    ];
    for (limit, most) in limits {
        let most = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: One record.
        check(unsafe { libc::setrlimit(limit, &raw const most) }.into())?;
    }
    // SAFETY: Numbers.
    check(unsafe { libc::setpgid(0, 0) }.into())?;
    // SAFETY: One group.
    check(unsafe { libc::setgroups(1, &raw const AUDIO) }.into())?;
    // SAFETY: Numbers.
    check(unsafe { libc::setresgid(USER, USER, USER) }.into())?;
    // SAFETY: Numbers.
    check(unsafe { libc::setresuid(USER, USER, USER) }.into())?;
    // SAFETY: Numbers. With its guard it ends, and its /proc files are its own again.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into())?;
    // SAFETY: As above.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }.into())?;
    ensure_user()
}

fn ensure_user() -> io::Result<()> {
    match Path::new("/dev/kmsg")
        .metadata()
        .and(File::open("/proc/kmsg"))
    {
        Ok(_) => Err(io::Error::other("still root")),
        Err(_) => Ok(()),
    }
}
