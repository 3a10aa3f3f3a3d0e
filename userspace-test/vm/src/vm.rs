// SPDX-License-Identifier: MIT OR Apache-2.0
//! One VM from the command's start to power off; `boot` is what comes before.
//!
//! The parts talk over socket pairs that QEMU inherits: no paths, nothing to
//! clean up, and each end notices when the other is gone. A run ends in this
//! order: the guest says the status, both output streams end with their mark,
//! the guest has let the audio backend finish and says so, we say bye, the
//! guest powers off, QEMU writes its files' headers and exits.
//!
//! Whatever happens QEMU does not outlive us: [`Vm`] ends it when dropped, and
//! the kernel does when we are killed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::accel::Accel;
use crate::config::{Card, Config};
use crate::error::{Error, Kind};
use crate::hop::Luggage;
use crate::layout::Layout;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::qmp::{NUDGE, Qmp};
use crate::rundir::RunDir;
use crate::stopper::Stopper;
use crate::story;
use crate::tty;

/// How often the main loop looks at what does not wake it.
const TICK: Duration = Duration::from_millis(20);
/// Host time for a guest to power off, or for QEMU to end once asked.
pub(crate) const PARTING: Duration = Duration::from_secs(20);
/// The bytes before the first frame in the audio backend's wav file.
const WAV_HEADER: u64 = 44;

/// What happens in a run, from the threads that listen.
#[derive(Debug)]
pub(crate) enum Event {
    /// The guest's init says a line.
    Control(String),
    /// One of the command's streams ended, with its mark or without.
    StreamEnded { complete: bool },
    /// QEMU stopped the guest.
    Stopped,
    /// QEMU hung up.
    Gone,
}

/// A guest in which the command runs.
#[derive(Debug)]
pub struct Vm {
    pub(crate) process: Process,
    pub(crate) qmp: Option<Qmp>,
    pub(crate) qmp_stream: Option<UnixStream>,
    pub(crate) control: UnixStream,
    pub(crate) events: Receiver<Event>,
    pub(crate) sender: Sender<Event>,
    pub(crate) dir: RunDir,
    pub(crate) config: Config,
    pub(crate) stopper: Stopper,
    pub(crate) accel: Accel,
    pub(crate) started: Instant,
    pub(crate) ready: Option<Instant>,
    pub(crate) first_audio: Option<Duration>,
    pub(crate) streams: Vec<thread::JoinHandle<io::Result<()>>>,
    pub(crate) keys: Option<UnixStream>,
    /// Of a command whose standard input is [`Stdin::Live`](crate::Stdin::Live).
    pub(crate) stdin: Option<UnixStream>,
    pub(crate) terminal: Option<tty::Raw>,
    /// Of a VM that can be moved.
    pub(crate) luggage: Option<Luggage>,
    pub(crate) nudged: Instant,
    /// Set before a QEMU hangs up that is not needed any more.
    pub(crate) left: Arc<AtomicBool>,
}

impl Vm {
    /// [`start`](Self::start) and [`wait`](Self::wait) in one.
    ///
    /// # Errors
    /// Theirs.
    pub fn run(layout: &Layout, config: &Config, stopper: &Stopper) -> Result<Outcome, Error> {
        Self::start(layout, config, stopper)?.wait()
    }

    /// The machine protocol, for what has to happen while the command runs.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn qmp(&mut self) -> Result<&mut Qmp, Error> {
        self.qmp
            .as_mut()
            .ok_or_else(|| Error::new(Kind::Died, "QEMU is gone"))
    }

    /// Says a line on the command's standard input.
    ///
    /// # Errors
    /// A VM that was not started for that, and when QEMU is gone.
    pub fn tell(&mut self, line: &str) -> Result<(), Error> {
        let Some(stdin) = &mut self.stdin else {
            return Err(Error::setup("the command's standard input is not live"));
        };
        writeln!(stdin, "{line}").map_err(|e| Error::new(Kind::Died, format!("stdin: {e}")))
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Host time from QEMU's start to the command's.
    #[must_use]
    pub fn boot_time(&self) -> Duration {
        self.ready.map_or(Duration::ZERO, |t| t - self.started)
    }

    /// How the guest's code is run.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// Waits for the command and the guest's end.
    ///
    /// # Errors
    /// A guest that panicked or went away, a command that took too long, a disk
    /// that is full, and a pressed [`Stopper`].
    pub fn wait(mut self) -> Result<Outcome, Error> {
        let result = self.wait_inner();
        self.terminal = None;
        let result = result.and_then(|outcome| {
            self.all_written(outcome.status)?;
            Ok(outcome)
        });
        result.map_err(|e| self.fail(e))
    }

    fn wait_inner(&mut self) -> Result<Outcome, Error> {
        let ready = self.ready.unwrap_or(self.started);
        let deadline = self.config.timeout.map(|t| ready + t);
        let mut open = if self.config.tty { 0 } else { 2 };
        let mut whole = true;
        let (mut status, mut taint, mut settled) = (None, 0, false);
        let mut command = Duration::ZERO;
        while !(settled && open == 0) {
            match self.next(deadline)? {
                None => {
                    self.look_closer();
                    return Err(Error::new(
                        Kind::Timeout,
                        format!(
                            "the command took longer than {} s; the kernel's last words:\n{}",
                            self.config.timeout.unwrap_or_default().as_secs(),
                            story::tail(&self.dir, "serial.log")
                        ),
                    ));
                }
                Some(Event::StreamEnded { complete }) => {
                    open -= 1;
                    whole &= complete;
                }
                Some(Event::Stopped) => self.look_why_stopped()?,
                Some(Event::Gone) => {
                    if self.config.tty && !story::panicked(&self.dir) {
                        // Switched off from inside, as one does.
                        return Ok(self.outcome(status.unwrap_or(0), taint, ready.elapsed()));
                    }
                    return Err(self.gone("before the command was done"));
                }
                Some(Event::Control(line)) => {
                    let odd = |_| story::guest_error(&self.dir, &line);
                    match line.split_once(' ') {
                        Some(("exit", n)) => {
                            status = Some(n.parse().map_err(odd)?);
                            command = ready.elapsed();
                        }
                        Some(("taint", n)) => taint = n.parse().map_err(odd)?,
                        _ if line == "settled" => settled = true,
                        _ => return Err(story::guest_error(&self.dir, &line)),
                    }
                }
            }
        }
        let status =
            status.ok_or_else(|| story::guest_error(&self.dir, "settled without a status"))?;
        if !whole {
            return Err(Error::new(Kind::Died, "the command's output was cut short"));
        }
        let _ = self.control.write_all(b"bye\n");
        if !self.process.reap(PARTING) {
            return Err(Error::new(
                Kind::Died,
                format!(
                    "the guest did not power off; its last words:\n{}",
                    story::tail(&self.dir, "serial.log")
                ),
            ));
        }
        match self.process.ended() {
            Some(end) if end.success() => Ok(self.outcome(status, taint, command)),
            _ => Err(self.gone("after the command was done")),
        }
    }

    /// Whether what the run leaves behind is all there: a full disk cuts files
    /// short in silence. Writes the last of them.
    fn all_written(&mut self, status: u8) -> Result<(), Error> {
        let full = || {
            Error::setup(
                "no space left on the disk of build/vm: what this run left there is cut short; \
                 free some, then run it again",
            )
        };
        for stream in self.streams.drain(..) {
            if let Ok(Err(_)) = stream.join() {
                return Err(full());
            }
        }
        if cut_short(&self.dir.join("capture.wav")) {
            return Err(full());
        }
        self.dir.note(&format!("exit {status}")).map_err(|_| full())
    }

    fn outcome(&mut self, status: u8, taint: u64, command: Duration) -> Outcome {
        self.look_for_audio();
        Outcome {
            status,
            taint,
            accel: self.accel,
            boot: self.boot_time(),
            command,
            first_audio: self.first_audio,
            dir: self.dir.clone(),
        }
    }

    /// The next thing that happens, or `None` at the deadline.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Error> {
        loop {
            if let Ok(event) = self.events.recv_timeout(TICK) {
                return Ok(Some(event));
            }
            if self.stopper.stopped() {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
            self.nudge();
            self.look_for_audio();
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return Ok(None);
            }
        }
    }

    /// Whether QEMU is gone: [`Vm::wait`] tells why.
    pub fn has_ended(&mut self) -> bool {
        self.process.reap(Duration::ZERO)
    }

    /// Sees to it that guest time goes on, under icount: to be called now and then by who waits for the guest.
    ///
    /// With `-icount sleep=off` it is QEMU's main loop that skips the time in which the guest is idle, once it is
    /// woken up for that. Seldom, it is not: main loop and processor then wait for each other, for ever, in a
    /// guest that has only to wait for its next timer. Whatever wakes the main loop mends it, at the same instant
    /// of guest time.
    pub fn nudge(&mut self) {
        if !self.config.icount || self.nudged.elapsed() < NUDGE {
            return;
        }
        self.nudged = Instant::now();
        if let Some(qmp) = &mut self.qmp {
            // A QEMU that is gone is noticed elsewhere.
            let _ = qmp.nudge();
        }
    }

    /// The audio files begin to grow with the first frame.
    fn look_for_audio(&mut self) {
        if self.first_audio.is_some() || self.config.card == Card::None {
            return;
        }
        let longer =
            |name: &str, than: u64| self.dir.join(name).metadata().is_ok_and(|m| m.len() > than);
        if longer("tap.raw", 0) || longer("capture.wav", WAV_HEADER) {
            self.first_audio = Some(self.started.elapsed());
        }
    }

    /// Somebody paused the guest, over the machine protocol, or QEMU gave it up
    /// without an end: KVM does so where it cannot go on.
    pub(crate) fn look_why_stopped(&mut self) -> Result<(), Error> {
        let Some(qmp) = &mut self.qmp else {
            return Ok(());
        };
        match qmp.execute("query-status", json!({})) {
            Ok(state) if state["status"] == "internal-error" => Err(Error::new(
                Kind::Died,
                format!(
                    "{} gave the guest up with an internal error: run it again with --tcg; \
                     QEMU's last words:\n{}",
                    self.accel,
                    story::tail(&self.dir, "qemu.log")
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Keeps what the machine is at, in a guest that does not come to an end: twice, to tell one that waits from
    /// one that goes round in circles.
    fn look_closer(&mut self) {
        let mut seen = String::new();
        for look in [
            "info status",
            "info registers",
            "info lapic",
            "info pic",
            "info registers",
        ] {
            let asked = json!({ "command-line": look });
            let Some(Ok(said)) = self
                .qmp
                .as_mut()
                .map(|qmp| qmp.execute("human-monitor-command", asked))
            else {
                seen.push_str("QEMU does not answer\n");
                break;
            };
            seen.push_str(&format!("== {look}\n{}", said.as_str().unwrap_or_default()));
        }
        let _ = std::fs::write(self.dir.join("machine.txt"), seen);
    }

    /// The story of a QEMU that ended by itself.
    pub(crate) fn gone(&mut self, when: &str) -> Error {
        self.process.reap(PARTING);
        story::gone(&self.dir, &self.config, self.process.ended(), when)
    }

    /// Ends QEMU and completes the error.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        self.terminal = None;
        self.end();
        let first = error.message.lines().next().unwrap_or_default();
        let _ = self.dir.note(&format!("error {first}"));
        error.of(self.dir.path())
    }

    /// Ends QEMU, gently first: it completes the headers of its files.
    fn end(&mut self) {
        if let Some(mut qmp) = self.qmp.take() {
            let _ = qmp.execute("quit", json!({}));
            if self.process.reap(Duration::from_secs(5)) {
                return;
            }
        }
        self.process.kill(PARTING);
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a wav file has less in it than its header says. QEMU writes the
/// header last, and that needs no space.
fn cut_short(wav: &Path) -> bool {
    let mut header = [0; WAV_HEADER as usize];
    let Ok(mut file) = std::fs::File::open(wav) else {
        return false;
    };
    if file.read_exact(&mut header).is_err() {
        return true;
    }
    let said = u32::from_le_bytes([header[40], header[41], header[42], header[43]]);
    let there = file.metadata().map_or(0, |m| m.len());
    header.starts_with(b"RIFF") && there < WAV_HEADER + u64::from(said)
}

/// Passes on what the guest's init says.
pub(crate) fn read_control(control: UnixStream, sender: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { return };
            if sender.send(Event::Control(line)).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_shorter_than_it_says_is_cut_short() {
        let path = std::env::temp_dir().join(format!("sgring-cut-{}.wav", std::process::id()));
        let mut wav = [0; 48];
        wav[..4].copy_from_slice(b"RIFF");
        wav[40] = 4;
        let cut = |length: usize| {
            std::fs::write(&path, &wav[..length]).unwrap();
            cut_short(&path)
        };
        assert!(!cut(48));
        assert!(cut(47));
        assert!(cut(20));
        std::fs::remove_file(&path).unwrap();
        assert!(!cut_short(&path), "no card, no file");
    }
}
