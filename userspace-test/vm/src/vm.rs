// SPDX-License-Identifier: MIT OR Apache-2.0
//! One VM from power on to power off.
//!
//! The parts talk over socket pairs that QEMU inherits: no paths, nothing to
//! clean up, and each end notices when the other is gone. A run ends in this
//! order: the guest says the status, both output streams end with their mark,
//! the guest has let the audio backend finish and says so, we say bye, the
//! guest powers off, QEMU writes its files' headers and exits.
//!
//! Whatever happens QEMU does not outlive us: [`Vm`] kills it when dropped, and
//! the kernel does when we are killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{Errno, FdFlags};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use serde_json::json;

use crate::accel::Accel;
use crate::argv::{self, Fds, Files};
use crate::config::{Card, Config, Sink, Stdin};
use crate::dmesg;
use crate::error::{Error, Kind};
use crate::initrd;
use crate::layout::Layout;
use crate::port;
use crate::qmp::Qmp;
use crate::rundir::RunDir;
use crate::tty;

/// How often the main loop looks at what does not wake it.
const TICK: Duration = Duration::from_millis(20);
/// Host time for a guest to power off, or for QEMU to end once asked.
const PARTING: Duration = Duration::from_secs(20);
/// KVM that works boots in a second or two.
const KVM_BOOT: Duration = Duration::from_secs(30);

/// Ends VMs from outside, say on Ctrl-C. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// One that SIGINT, SIGTERM and SIGHUP press. A second signal ends the
    /// program at once.
    ///
    /// # Errors
    /// When a signal cannot be caught.
    pub fn on_signals() -> Result<Self, Error> {
        let stopper = Self::default();
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            let flag = Arc::clone(&stopper.0);
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, flag))
                .map_err(|e| Error::setup(format!("signal {signal}: {e}")))?;
        }
        Ok(stopper)
    }

    /// Ends the VMs that know this stopper.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a command left behind. The VM is gone.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit status as a shell has it, 0 to 255.
    pub status: u8,
    /// The kernel's taint bits at the end; 0 when the guest was switched off
    /// by hand.
    pub taint: u64,
    /// How the code was run.
    pub accel: Accel,
    /// Host time from QEMU's start to the command's.
    pub boot: Duration,
    /// Host time that the command took.
    pub command: Duration,
    /// Host time from QEMU's start to the first frame out of the card.
    pub first_audio: Option<Duration>,
    /// The run's folder.
    pub dir: RunDir,
}

impl Outcome {
    /// What the command wrote to its standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text("stdout")
    }

    /// What the command wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// The kernel's log.
    #[must_use]
    pub fn serial(&self) -> String {
        self.text("serial.log")
    }

    /// What QEMU said, trace events among it.
    #[must_use]
    pub fn qemu_log(&self) -> String {
        self.text("qemu.log")
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join(name)).unwrap_or_default())
            .into_owned()
    }
}

#[derive(Debug)]
enum Event {
    Control(String),
    StreamEnded { complete: bool },
    Gone,
}

/// A guest in which the command runs.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    qmp: Option<Qmp>,
    control: UnixStream,
    events: Receiver<Event>,
    dir: RunDir,
    config: Config,
    stopper: Stopper,
    accel: Accel,
    started: Instant,
    ready: Option<Instant>,
    first_audio: Option<Duration>,
    reaped: Option<ExitStatus>,
    streams: Vec<thread::JoinHandle<()>>,
    keys: Option<UnixStream>,
    terminal: Option<tty::Raw>,
}

impl Vm {
    /// Boots a guest and returns when its command starts.
    ///
    /// # Errors
    /// A bad configuration, a missing part, a guest that does not come up. With
    /// KVM that nobody asked for, the guest gets a second chance under TCG.
    pub fn start(layout: &Layout, config: &Config, stopper: &Stopper) -> Result<Self, Error> {
        config.check()?;
        let accel = match config.accel {
            Some(accel) => accel,
            None if config.icount => Accel::Tcg,
            None => Accel::detect(),
        };
        match Self::boot(layout, config, stopper, accel) {
            Err(e)
                if accel == Accel::Kvm
                    && config.accel.is_none()
                    && matches!(e.kind, Kind::Boot | Kind::Died) =>
            {
                (config.notice)("KVM is there but did not boot the guest: once more with TCG");
                Self::boot(layout, config, stopper, Accel::Tcg)
            }
            result => result,
        }
    }

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
    /// A guest that panicked or went away, a command that took too long, and
    /// a pressed [`Stopper`].
    pub fn wait(mut self) -> Result<Outcome, Error> {
        let result = self.wait_inner();
        self.terminal = None;
        match result {
            Ok(outcome) => {
                self.note(&format!("exit {}", outcome.status));
                Ok(outcome)
            }
            Err(e) => Err(self.fail(e)),
        }
    }

    fn boot(
        layout: &Layout,
        config: &Config,
        stopper: &Stopper,
        accel: Accel,
    ) -> Result<Self, Error> {
        let release = match &config.release {
            Some(release) => release.clone(),
            None => layout.release()?,
        };
        let kernel = layout.kernel(&release).join("vmlinuz");
        let qemu = layout.qemu();
        for (path, what) in [(&kernel, "kernel"), (&qemu, "QEMU")] {
            if !path.exists() {
                return Err(Error::setup(format!(
                    "{}: the {what} is not set up",
                    path.display()
                )));
            }
        }
        let dir = RunDir::create(&layout.runs(), config.name.as_deref())?;
        let mut vm = Self::spawn(
            layout, config, stopper, accel, &release, &kernel, &qemu, dir,
        )?;
        match vm.until_ready() {
            Ok(()) => {
                if let Some(keys) = vm.keys.take() {
                    vm.terminal = tty::Raw::enter();
                    tty::type_into(keys);
                }
                Ok(vm)
            }
            Err(e) => Err(vm.fail(e)),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, each a thing of its own"
    )]
    fn spawn(
        layout: &Layout,
        config: &Config,
        stopper: &Stopper,
        accel: Accel,
        release: &str,
        kernel: &Path,
        qemu: &Path,
        dir: RunDir,
    ) -> Result<Self, Error> {
        let broken = |what: &str, e: std::io::Error| Error {
            kind: Kind::Setup,
            message: format!("{what}: {e}"),
            dir: Some(dir.path().to_owned()),
        };
        let mark = end_mark();
        let initrd = dir.join("initrd.cpio");
        initrd::write(&initrd, layout, release, config, &mark)?;

        let pair = || UnixStream::pair().map_err(|e| broken("socketpair", e));
        let (qmp, qmp_theirs) = pair()?;
        let (control, control_theirs) = pair()?;
        let (stdin, stdin_theirs) = pair()?;
        let (stdout, stdout_theirs) = pair()?;
        let (stderr, stderr_theirs) = pair()?;
        let (console, console_theirs) = pair()?;
        let fds = Fds {
            qmp: qmp_theirs.as_raw_fd(),
            control: control_theirs.as_raw_fd(),
            stdin: stdin_theirs.as_raw_fd(),
            stdout: stdout_theirs.as_raw_fd(),
            stderr: stderr_theirs.as_raw_fd(),
            tty: console_theirs.as_raw_fd(),
        };
        let mut theirs = vec![
            qmp_theirs,
            control_theirs,
            stdin_theirs,
            stdout_theirs,
            stderr_theirs,
        ];
        if config.tty {
            theirs.push(console_theirs);
        }
        let files = Files {
            kernel,
            initrd: &initrd,
            dir: dir.path(),
        };
        let args = argv::build(config, accel, files, fds)?;
        std::fs::write(dir.join("qemu.cmd"), argv::shell_line(qemu, &args))
            .map_err(|e| broken("qemu.cmd", e))?;

        let child = launch(qemu, &args, &dir, theirs)
            .map_err(|e| broken(&qemu.display().to_string(), e))?;
        let started = Instant::now();

        let (sender, events) = channel();
        let gone = sender.clone();
        let mut vm = Self {
            child,
            qmp: None,
            control: control.try_clone().map_err(|e| broken("control", e))?,
            events,
            dir,
            config: config.clone(),
            stopper: stopper.clone(),
            accel,
            started,
            ready: None,
            first_audio: None,
            reaped: None,
            streams: Vec::new(),
            keys: None,
            terminal: None,
        };
        read_control(control, sender.clone());
        let joined = vm.join_streams([stdin, stdout, stderr, console], &mark, &sender);
        if let Err(e) = joined {
            return Err(vm.fail(Error::setup(format!("output: {e}"))));
        }
        match Qmp::connect(qmp, PARTING, move || {
            let _ = gone.send(Event::Gone);
        }) {
            Ok(qmp) => vm.qmp = Some(qmp),
            Err(e) => {
                vm.reap(Duration::from_secs(1));
                let log = vm.tail("qemu.log");
                return Err(vm.fail(Error::new(
                    Kind::Died,
                    format!("QEMU did not start: {e}:\n{log}"),
                )));
            }
        }
        Ok(vm)
    }

    /// Joins the command's streams to ours: input, output, errors, terminal.
    fn join_streams(
        &mut self,
        [stdin, stdout, stderr, console]: [UnixStream; 4],
        mark: &str,
        sender: &Sender<Event>,
    ) -> std::io::Result<()> {
        if self.config.tty {
            self.keys = Some(console.try_clone()?);
            let sink = Sink::to(std::io::stdout());
            let file = self.dir.join("stdout");
            // A terminal has no mark; it ends when QEMU does.
            self.streams
                .push(port::collect(console, &file, b"\0", sink, |_| {})?);
            return Ok(());
        }
        feed(stdin, &self.config.stdin);
        for (stream, name, sink) in [
            (stdout, "stdout", self.config.stdout.clone()),
            (stderr, "stderr", self.config.stderr.clone()),
        ] {
            let sender = sender.clone();
            let ended = move |complete| {
                let _ = sender.send(Event::StreamEnded { complete });
            };
            let file = self.dir.join(name);
            self.streams
                .push(port::collect(stream, &file, mark.as_bytes(), sink, ended)?);
        }
        Ok(())
    }

    fn until_ready(&mut self) -> Result<(), Error> {
        let patience = match self.accel {
            Accel::Kvm => self.config.boot_timeout.min(KVM_BOOT),
            Accel::Tcg => self.config.boot_timeout,
        };
        let deadline = self.started + patience;
        loop {
            match self.next(Some(deadline))? {
                None => {
                    return Err(Error::new(
                        Kind::Boot,
                        format!(
                            "the guest was not up after {} s ({}); its last words:\n{}",
                            patience.as_secs(),
                            self.accel,
                            self.tail("serial.log")
                        ),
                    ));
                }
                Some(Event::Control(line)) if line == "ready" => {
                    self.ready = Some(Instant::now());
                    return Ok(());
                }
                Some(Event::Control(line)) => return Err(guest_error(&line)),
                Some(Event::Gone) => return Err(self.gone("before the command started")),
                Some(Event::StreamEnded { .. }) => {}
            }
        }
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
                    return Err(Error::new(
                        Kind::Timeout,
                        format!(
                            "the command took longer than {} s; the kernel's last words:\n{}",
                            self.config.timeout.unwrap_or_default().as_secs(),
                            self.tail("serial.log")
                        ),
                    ));
                }
                Some(Event::StreamEnded { complete }) => {
                    open -= 1;
                    whole &= complete;
                }
                Some(Event::Gone) => {
                    if self.config.tty && !self.panicked() {
                        // Switched off from inside, as one does.
                        return Ok(self.outcome(status.unwrap_or(0), taint, ready.elapsed()));
                    }
                    return Err(self.gone("before the command was done"));
                }
                Some(Event::Control(line)) => match line.split_once(' ') {
                    Some(("exit", n)) => {
                        status = Some(n.parse().map_err(|_| guest_error(&line))?);
                        command = ready.elapsed();
                    }
                    Some(("taint", n)) => taint = n.parse().map_err(|_| guest_error(&line))?,
                    _ if line == "settled" => settled = true,
                    _ => return Err(guest_error(&line)),
                },
            }
        }
        let status = status.ok_or_else(|| guest_error("settled without a status"))?;
        if !whole {
            return Err(Error::new(Kind::Died, "the command's output was cut short"));
        }
        let _ = self.control.write_all(b"bye\n");
        if !self.reap(PARTING) {
            return Err(Error::new(
                Kind::Died,
                format!(
                    "the guest did not power off; its last words:\n{}",
                    self.tail("serial.log")
                ),
            ));
        }
        for stream in self.streams.drain(..) {
            let _ = stream.join();
        }
        match self.reaped {
            Some(end) if end.success() => Ok(self.outcome(status, taint, command)),
            _ => Err(self.gone("after the command was done")),
        }
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
    fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Error> {
        loop {
            if let Ok(event) = self.events.recv_timeout(TICK) {
                return Ok(Some(event));
            }
            if self.stopper.stopped() {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
            self.look_for_audio();
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return Ok(None);
            }
        }
    }

    /// The audio files begin to grow with the first frame. A wav file has a
    /// header of 44 bytes before it.
    fn look_for_audio(&mut self) {
        if self.first_audio.is_some() || self.config.card == Card::None {
            return;
        }
        let longer =
            |name: &str, than: u64| self.dir.join(name).metadata().is_ok_and(|m| m.len() > than);
        if longer("tap.raw", 0) || longer("capture.wav", 44) {
            self.first_audio = Some(self.started.elapsed());
        }
    }

    fn panicked(&self) -> bool {
        let log = std::fs::read(self.dir.join("serial.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).contains("Kernel panic")
    }

    /// The story of a QEMU that ended by itself.
    fn gone(&mut self, when: &str) -> Error {
        self.reap(PARTING);
        let message = if self.panicked() {
            format!("the guest's kernel panicked {when}:\n{}", self.splat())
        } else {
            let end = match self.reaped {
                Some(end) if end.success() => "the guest went off".to_owned(),
                Some(end) => match end.signal() {
                    Some(n) => format!("QEMU was killed by signal {n}"),
                    None => format!("QEMU failed with {}", end.code().unwrap_or(-1)),
                },
                None => "QEMU hung up".to_owned(),
            };
            format!("{end} {when}; its last words:\n{}", self.tail("qemu.log"))
        };
        Error::new(Kind::Died, message)
    }

    /// Ends QEMU and completes the error.
    fn fail(&mut self, mut error: Error) -> Error {
        self.terminal = None;
        self.end();
        let first = error.message.lines().next().unwrap_or_default();
        self.note(&format!("error {first}"));
        error.dir = Some(self.dir.path().to_owned());
        error
    }

    fn note(&self, status: &str) {
        let _ = std::fs::write(self.dir.join("status"), format!("{status}\n"));
        let _ = std::fs::remove_file(self.dir.join("initrd.cpio"));
    }

    /// The last lines of one of the run's logs, indented.
    fn tail(&self, name: &str) -> String {
        const LINES: usize = 15;
        let log = std::fs::read(self.dir.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        if lines.is_empty() {
            return format!("  ({name} is empty)");
        }
        let from = lines.len().saturating_sub(LINES);
        let indented: Vec<_> = lines[from..]
            .iter()
            .map(|l| format!("  {}", l.trim_end()))
            .collect();
        indented.join("\n")
    }

    /// The beginning of what the kernel said when it panicked.
    fn splat(&self) -> String {
        const LINES: usize = 15;
        let log = std::fs::read(self.dir.join("serial.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text
            .lines()
            .skip_while(|line| dmesg::trouble(line).is_empty())
            .take(LINES)
            .map(|line| format!("  {}", line.trim_end()))
            .collect();
        lines.join("\n")
    }

    /// Waits for QEMU's end; false when it does not come.
    fn reap(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.reaped.is_none() {
            match self.child.try_wait() {
                Ok(Some(end)) => self.reaped = Some(end),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return false,
            }
        }
        true
    }

    /// Ends QEMU, gently first: it completes the headers of its files.
    fn end(&mut self) {
        if let Some(mut qmp) = self.qmp.take() {
            let _ = qmp.execute("quit", json!({}));
            if self.reap(Duration::from_secs(5)) {
                return;
            }
        }
        if self.reaped.is_none() {
            let _ = self.child.kill();
            self.reap(PARTING);
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.end();
    }
}

fn guest_error(line: &str) -> Error {
    let text = line.strip_prefix("error ").unwrap_or(line);
    Error::new(Kind::Boot, format!("the guest could not be set up: {text}"))
}

/// Text that no command prints by accident.
fn end_mark() -> String {
    let mut random = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut random));
    if read.is_err() {
        random = std::process::id()
            .to_le_bytes()
            .repeat(2)
            .try_into()
            .unwrap_or(random);
    }
    format!("\u{5}END-{:016x}", u64::from_le_bytes(random))
}

fn launch(
    qemu: &Path,
    args: &[OsString],
    dir: &RunDir,
    theirs: Vec<UnixStream>,
) -> std::io::Result<Child> {
    let log: PathBuf = dir.join("qemu.log");
    let log = File::create(log)?;
    let parent = getpid();
    let mut command = Command::new(qemu);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is ours to answer.
        .process_group(0);
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            return Err(Errno::SRCH.into());
        }
        for stream in &theirs {
            rustix::io::fcntl_setfd(stream.as_fd(), FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes three kinds of system
    // calls through rustix and neither allocates nor locks. It owns `theirs`,
    // so the descriptors are open when it runs.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

fn read_control(control: UnixStream, sender: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { return };
            if sender.send(Event::Control(line)).is_err() {
                return;
            }
        }
    });
}

/// Gives the command its standard input. The end is a half-closed socket: a
/// closed one would make QEMU drop what it has not read.
fn feed(mut stream: UnixStream, stdin: &Stdin) {
    let stdin = stdin.clone();
    thread::spawn(move || {
        let _ = match stdin {
            Stdin::Null => Ok(0),
            Stdin::Bytes(bytes) => stream.write_all(&bytes).map(|()| 0),
            Stdin::Inherit => std::io::copy(&mut std::io::stdin(), &mut stream),
        };
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // The other half stays open until QEMU hangs up.
        let _ = stream.read(&mut [0]);
    });
}
