// SPDX-License-Identifier: MIT OR Apache-2.0
//! From power on to the command's start.
//!
//! The boot under KVM has a watchdog of its own: a guest that shows no sign of
//! life is given up, and booted once more with TCG. A slow one is not, see
//! [`crate::pulse`].

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::accel::Accel;
use crate::argv::{self, Fds, Files};
use crate::config::{Config, Kernel, Sink, Stdin};
use crate::error::{Error, Kind};
use crate::hop::Luggage;
use crate::initrd;
use crate::layout::Layout;
use crate::memory;
use crate::port;
use crate::process::Process;
use crate::pulse::Pulse;
use crate::qmp::Qmp;
use crate::rundir::RunDir;
use crate::stopper::Stopper;
use crate::story;
use crate::tty;
use crate::vm::{Event, Vm, read_control};

/// A guest that lives gets so many times the time that one is given without a
/// sign of life: it may say the same for ever.
const BOOTS: u32 = 10;

/// The parts of a VM that are there before it starts.
struct Parts<'a> {
    layout: &'a Layout,
    config: &'a Config,
    release: String,
    accel: Accel,
}

impl Vm {
    /// Boots a guest and returns when its command starts.
    ///
    /// # Errors
    /// A bad configuration, a missing part, a guest that does not come up. With
    /// KVM that nobody asked for, the guest gets a second chance under TCG.
    pub fn start(layout: &Layout, config: &Config, stopper: &Stopper) -> Result<Self, Error> {
        config.check()?;
        memory::host(config.mem_mib)?;
        let accel = config.accelerator().accel;
        match Self::boot(layout, config, stopper, accel) {
            Err(e) if accel == Accel::Kvm && config.accel.is_none() && blames_kvm(&e) => {
                let line = e.message.lines().next().unwrap_or_default();
                let dir = e.dir.unwrap_or_default();
                (config.notice)(&format!(
                    "KVM is there but does not boot the guest: goes on with TCG ({}; logs: {})",
                    line.trim_end_matches("; its last words:"),
                    dir.display()
                ));
                Self::boot(layout, config, stopper, Accel::Tcg)
            }
            result => result,
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
            None => config.kernel.beside(&layout.release()?),
        };
        for (path, what, make) in [
            (
                layout.kernel(&release).join("vmlinuz"),
                "kernel",
                Kernel::of(&release).made_by(),
            ),
            (layout.qemu(), "QEMU", "make qemu"),
        ] {
            if !path.exists() {
                return Err(Layout::missing(&path, what, make));
            }
        }
        let dir = RunDir::create(&layout.runs(), config.name.as_deref())?;
        let parts = Parts {
            layout,
            config,
            release,
            accel,
        };
        let mut vm = match parts.spawn(stopper, &dir) {
            Ok(vm) => vm,
            Err(e) => {
                let _ = dir.note(&format!("error {}", e.message));
                return Err(e.of(dir.path()));
            }
        };
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

    /// Joins the command's streams to ours: input, output, errors, terminal.
    fn join_streams(
        &mut self,
        [stdin, stdout, stderr, console]: [UnixStream; 4],
        mark: &str,
        sender: &Sender<Event>,
    ) -> io::Result<()> {
        if self.config.tty {
            self.keys = Some(console.try_clone()?);
            let sink = Sink::to(io::stdout());
            let file = self.dir.join("stdout");
            // A terminal has no mark; it ends when QEMU does.
            self.streams
                .push(port::collect(console, &file, b"\0", sink, |_| {})?);
            return Ok(());
        }
        match self.config.stdin {
            Stdin::Live => self.stdin = Some(stdin),
            _ => feed(stdin, &self.config.stdin),
        }
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

    /// Waits until the guest, which has been reset, runs its command once more. Output goes on in the same
    /// streams; what the guest had written and QEMU had not read at the reset is lost.
    ///
    /// # Errors
    /// A guest that does not come up, or whose command has ended without a reset.
    pub fn boots_again(&mut self) -> Result<(), Error> {
        self.started = Instant::now();
        self.until_ready()
    }

    /// Waits for QEMU to speak, then for the guest to be up.
    fn until_ready(&mut self) -> Result<(), Error> {
        let mut pulse = Pulse::new(self.process.id(), &self.dir.join("serial.log"));
        self.greet(&mut pulse)?;
        loop {
            let glance = Instant::now() + Duration::from_millis(200);
            match self.next(Some(glance))? {
                None => self.patience(&mut pulse)?,
                Some(Event::Control(line)) if line == "ready" => {
                    self.ready = Some(Instant::now());
                    return Ok(());
                }
                Some(Event::Control(line)) => return Err(story::guest_error(&self.dir, &line)),
                Some(Event::Gone) => return Err(self.gone("before the command started")),
                Some(Event::Stopped) => self.look_why_stopped()?,
                Some(Event::StreamEnded { .. }) => {}
            }
        }
    }

    pub(crate) fn greet(&mut self, pulse: &mut Pulse) -> Result<(), Error> {
        let Some(stream) = self.qmp_stream.take() else {
            return Ok(());
        };
        let (sender, left) = (self.sender.clone(), self.left.clone());
        let told = move |event: Option<&str>| {
            let _ = match event {
                None if left.load(Ordering::Acquire) => Ok(()),
                None => sender.send(Event::Gone),
                Some("STOP") => sender.send(Event::Stopped),
                Some(_) => Ok(()),
            };
        };
        let mut why = None;
        let connected = Qmp::connect(stream, told, || {
            self.patience(pulse).map_err(|e| {
                why = Some(e);
                io::Error::other("no patience")
            })
        });
        match (connected, why) {
            (Ok(qmp), _) => {
                self.qmp = Some(qmp);
                Ok(())
            }
            (Err(_), Some(e)) => Err(e),
            (Err(_), None) => Err(self.gone("before it booted the guest")),
        }
    }

    /// An error when the boot is to be waited for no longer.
    fn patience(&self, pulse: &mut Pulse) -> Result<(), Error> {
        if self.stopper.stopped() {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        let silence = pulse.silence();
        let (limit, kvm) = match self.accel {
            Accel::Kvm => (self.config.kvm_patience, true),
            Accel::Tcg => (self.config.boot_timeout, false),
        };
        let what = if silence >= limit {
            format!(
                "showed no sign of life for {} s under {}",
                limit.as_secs_f32(),
                self.accel
            )
        } else if self.started.elapsed() >= BOOTS * self.config.boot_timeout {
            format!(
                "was busy and not up after {} s under {}",
                (BOOTS * self.config.boot_timeout).as_secs_f32(),
                self.accel
            )
        } else {
            return Ok(());
        };
        // What this may be is KVM's matter, or the kernel's.
        let mend = if kvm {
            ""
        } else {
            ": is its kernel whole (`rm -r build/kernel && make setup` fetches it again), \
             or this machine very busy (--boot-timeout)?"
        };
        Err(Error::new(
            Kind::Boot,
            format!(
                "the guest {what}{mend}; its last words:\n{}",
                story::tail(&self.dir, "serial.log")
            ),
        ))
    }
}

impl Parts<'_> {
    fn spawn(&self, stopper: &Stopper, dir: &RunDir) -> Result<Vm, Error> {
        let config = self.config;
        let broken = |what: &str, e: io::Error| Error::setup(format!("{what}: {e}"));
        let mark = end_mark();
        let initrd = initrd::make(dir, self.layout, &self.release, config, &mark)?;
        memory::guest(
            config.mem_mib,
            initrd
                .metadata()
                .map_err(|e| broken("initrd.cpio", e))?
                .len(),
        )?;

        let pair = || UnixStream::pair().map_err(|e| broken("socketpair", e));
        let (qmp, qmp_theirs) = pair()?;
        let (control, control_theirs) = pair()?;
        let (stdin, stdin_theirs) = pair()?;
        let (stdout, stdout_theirs) = pair()?;
        let (stderr, stderr_theirs) = pair()?;
        let (console, console_theirs) = pair()?;
        let fds = Fds {
            initrd: initrd.as_raw_fd(),
            qmp: qmp_theirs.as_raw_fd(),
            control: control_theirs.as_raw_fd(),
            stdin: stdin_theirs.as_raw_fd(),
            stdout: stdout_theirs.as_raw_fd(),
            stderr: stderr_theirs.as_raw_fd(),
            tty: console_theirs.as_raw_fd(),
        };
        let mut theirs: Vec<OwnedFd> = vec![initrd.into()];
        for stream in [
            qmp_theirs,
            control_theirs,
            stdin_theirs,
            stdout_theirs,
            stderr_theirs,
        ] {
            theirs.push(stream.into());
        }
        if config.tty {
            theirs.push(console_theirs.into());
        }
        let luggage = config
            .movable
            .then(|| Luggage::pack(&theirs, self.layout, &self.release))
            .transpose()
            .map_err(|e| broken("dup", e))?;
        let qemu = self.layout.qemu();
        let files = Files {
            kernel: &self.layout.kernel(&self.release).join("vmlinuz"),
            release: &self.release,
            dir: dir.path(),
            hops: 0,
        };
        let args = argv::build(config, self.accel, files, fds)?;
        let line = dir.join("qemu.cmd");
        std::fs::write(&line, argv::shell_line(&qemu, &args))
            .map_err(|e| Error::file(&line, &e))?;
        let process =
            Process::launch(&qemu, &args, dir, theirs).map_err(|e| Error::file(&qemu, &e))?;
        let (sender, events) = channel();
        let mut vm = Vm {
            process,
            qmp: None,
            qmp_stream: Some(qmp),
            control: control.try_clone().map_err(|e| broken("control", e))?,
            events,
            sender: sender.clone(),
            dir: dir.clone(),
            config: Config {
                boot_timeout: Kernel::of(&self.release).slowness() * config.boot_timeout,
                ..config.clone()
            },
            stopper: stopper.clone(),
            accel: self.accel,
            started: Instant::now(),
            ready: None,
            first_audio: None,
            streams: Vec::new(),
            keys: None,
            stdin: None,
            terminal: None,
            luggage,
            nudged: Instant::now(),
            left: Arc::new(AtomicBool::new(false)),
        };
        read_control(control, sender.clone());
        match vm.join_streams([stdin, stdout, stderr, console], &mark, &sender) {
            Ok(()) => Ok(vm),
            Err(e) => Err(vm.fail(Error::file(&dir.join("stdout"), &e))),
        }
    }
}

/// Whether a failed boot may be KVM's fault: not what the guest said itself, and
/// of what QEMU said only what names KVM.
fn blames_kvm(e: &Error) -> bool {
    match e.kind {
        Kind::Boot => true,
        Kind::Died => {
            let log = e.dir.as_deref().map(|d: &Path| d.join("qemu.log"));
            let log = log.and_then(|p| std::fs::read(p).ok()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).to_lowercase();
            log.trim().is_empty() || log.contains("kvm")
        }
        _ => false,
    }
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

/// Gives the command its standard input. The end is a half-closed socket: a
/// closed one would make QEMU drop what it has not read.
fn feed(mut stream: UnixStream, stdin: &Stdin) {
    let stdin = stdin.clone();
    thread::spawn(move || {
        let _ = match stdin {
            Stdin::Null | Stdin::Live => Ok(0),
            Stdin::Bytes(bytes) => stream.write_all(&bytes).map(|()| 0),
            Stdin::Inherit => io::copy(&mut io::stdin(), &mut stream),
        };
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // The other half stays open until QEMU hangs up.
        let _ = stream.read(&mut [0]);
    });
}
