// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU under qtest: a line for each access, an answer for each line; and QMP.
//!
//! Lines are gathered and sent together ([`Qtest::ask`]): one round trip for a whole
//! look at the card. An answer that does not come within [`PATIENCE`] is an error of
//! its own: no guest may hold QEMU up.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer may take on a busy host.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Something that QEMU should not have done, or that this machine could not.
pub type Result<T> = std::result::Result<T, String>;

/// One way to talk to QEMU, which calls us.
#[derive(Debug)]
struct Line {
    to: UnixStream,
    from: BufReader<UnixStream>,
    /// QEMU has left it.
    is_cut: bool,
}

impl Line {
    fn accept(listener: &UnixListener, child: &mut Child) -> Result<Self> {
        listener.set_nonblocking(true).map_err(|e| e.to_string())?;
        let begun = Instant::now();
        let to = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    if let Ok(Some(status)) = child.try_wait() {
                        return Err(format!("QEMU did not start: {status}"));
                    }
                    if begun.elapsed() > PATIENCE {
                        return Err("QEMU did not call".to_owned());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(e.to_string()),
            }
        };
        to.set_nonblocking(false).map_err(|e| e.to_string())?;
        to.set_read_timeout(Some(PATIENCE))
            .map_err(|e| e.to_string())?;
        let from = BufReader::new(to.try_clone().map_err(|e| e.to_string())?);
        Ok(Self {
            to,
            from,
            is_cut: false,
        })
    }

    fn read(&mut self) -> Result<String> {
        let mut text = String::new();
        match self.from.read_line(&mut text) {
            Ok(0) => {
                self.is_cut = true;
                Err("QEMU has ended".to_owned())
            }
            Ok(_) => Ok(text),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                Err(format!("QEMU does not answer for {} s", PATIENCE.as_secs()))
            }
            Err(e) => {
                self.is_cut = true;
                Err(format!("QEMU has ended: {e}"))
            }
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.to.write_all(text.as_bytes()).map_err(|e| {
            self.is_cut = true;
            format!("QEMU has ended: {e}")
        })
    }
}

/// A QEMU whose processors stand still; ends with this.
#[derive(Debug)]
pub struct Qtest {
    child: Child,
    qtest: Line,
    qmp: Line,
    dir: TempDir,
    lines: String,
    asked: usize,
    /// Told and not waited for yet.
    events: Vec<String>,
}

impl Qtest {
    /// Starts `qemu` with a machine that has nothing but what `args` say. Files that
    /// they name by a relative path are in [`Qtest::dir`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(qemu: &Path, args: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("sgring-model-")
            .tempdir()
            .map_err(|e| format!("no temporary directory: {e}"))?;
        let path = |name: &str| dir.path().join(name);
        let broken = |e: std::io::Error| format!("{}: {e}", dir.path().display());
        std::fs::write(path("bios"), vec![0; 64 << 10]).map_err(broken)?;
        let qtest = UnixListener::bind(path("qtest")).map_err(broken)?;
        let qmp = UnixListener::bind(path("qmp")).map_err(broken)?;
        let log = File::create(path("log")).map_err(broken)?;
        let program = std::path::absolute(qemu).map_err(broken)?;
        let mut child = Command::new(program)
            .args(["-qtest", "unix:qtest", "-qtest-log", "/dev/null"])
            .args([
                "-chardev",
                "socket,path=qmp,id=qmp",
                "-mon",
                "chardev=qmp,mode=control",
            ])
            .args([
                "-display",
                "none",
                "-accel",
                "qtest",
                "-nodefaults",
                "-bios",
                "bios",
            ])
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}", qemu.display()))?;
        let both =
            Line::accept(&qtest, &mut child).and_then(|q| Ok((q, Line::accept(&qmp, &mut child)?)));
        let (qtest, qmp) = match both {
            Ok(both) => both,
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(path("log")).unwrap_or_default();
                return Err(format!("{e}\n{said}"));
            }
        };
        let mut this = Self {
            child,
            qtest,
            qmp,
            dir,
            lines: String::new(),
            asked: 0,
            events: Vec::new(),
        };
        this.qmp.read()?; // its greeting
        this.qmp("qmp_capabilities", &json!({}))?;
        Ok(this)
    }

    /// Where its files are; gone with it.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// What it has said: the words of a sanitizer, too.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read(self.dir.path().join("log"))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// One more line for the next [`Qtest::ask`].
    pub fn line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
        self.asked += 1;
    }

    /// Lines that have not been sent are not.
    pub fn forget(&mut self) {
        self.lines.clear();
        self.asked = 0;
    }

    /// Sends the lines; an answer for each, without its `OK`.
    ///
    /// # Errors
    /// When QEMU refuses one, ends, or does not answer.
    pub fn ask(&mut self) -> Result<Vec<String>> {
        let lines = std::mem::take(&mut self.lines);
        let asked = std::mem::take(&mut self.asked);
        self.qtest.write(&lines)?;
        let mut answers = Vec::with_capacity(asked);
        while answers.len() < asked {
            let answer = self.qtest.read()?;
            let answer = answer.trim_end();
            if let Some(rest) = answer.strip_prefix("OK") {
                answers.push(rest.trim_start().to_owned());
            } else if !answer.starts_with("IRQ ") {
                return Err(format!("qtest: {answer}"));
            }
        }
        Ok(answers)
    }

    /// One line, one number.
    ///
    /// # Errors
    /// As [`Qtest::ask`].
    pub fn number(&mut self, line: &str) -> Result<u64> {
        self.line(line);
        let answers = self.ask()?;
        parse(answers.last().map_or("", String::as_str))
    }

    /// One line whose answer does not count.
    ///
    /// # Errors
    /// As [`Qtest::ask`].
    pub fn tell(&mut self, line: &str) -> Result<()> {
        self.line(line);
        self.ask().map(drop)
    }

    /// A QMP command.
    ///
    /// # Errors
    /// When it is refused.
    pub fn qmp(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let text = json!({ "execute": command, "arguments": arguments });
        self.qmp.write(&format!("{text}\n"))?;
        loop {
            let answer: Value =
                serde_json::from_str(&self.qmp.read()?).map_err(|e| format!("qmp: {e}"))?;
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                return Err(format!("qmp: {command}: {error}"));
            }
            self.note(&answer);
        }
    }

    /// Waits until QEMU tells of `event`.
    ///
    /// # Errors
    /// When it does not.
    pub fn event(&mut self, event: &str) -> Result<()> {
        loop {
            if let Some(at) = self.events.iter().position(|e| e == event) {
                self.events.remove(at);
                return Ok(());
            }
            let told = self.qmp.read()?;
            let told: Value = serde_json::from_str(&told).map_err(|e| format!("qmp: {e}"))?;
            self.note(&told);
        }
    }

    fn note(&mut self, told: &Value) {
        self.events
            .extend(told["event"].as_str().map(str::to_owned));
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        // A line breaks off before the process is gone.
        let begun = Instant::now();
        let is_cut = self.qtest.is_cut || self.qmp.is_cut;
        while matches!(self.child.try_wait(), Ok(None)) {
            if !is_cut || begun.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// The most memory that it has had at one time, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
        kib.unwrap_or(0_u64) << 10
    }

    /// Waits for QEMU to end by itself: whether by its own will, and what it has said.
    ///
    /// # Errors
    /// When it does not end, or by a signal.
    pub fn ended(mut self) -> Result<(bool, String)> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) if status.code().is_some() => {
                    return Ok((status.code() == Some(1), self.said()));
                }
                Ok(Some(status)) => return Err(format!("QEMU: {status}\n{}", self.said())),
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Err(e) => return Err(e.to_string()),
            }
        }
        Err("QEMU does not end".to_owned())
    }

    /// Ends QEMU as a user would, and hands back whether it went well: under a
    /// sanitizer it may have something to say.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn quit(mut self) -> Result<()> {
        let _ = self.qmp("quit", &json!({}));
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("QEMU: {status}\n{}", self.said())),
                Ok(None) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) => return Err("QEMU does not quit".to_owned()),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

impl Drop for Qtest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number as QEMU writes them.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|e| format!("qtest: {text:?}: {e}"))
}

/// What qtest calls an access of `size` bytes.
#[must_use]
pub const fn letter(size: u32) -> char {
    match size {
        1 => 'b',
        2 => 'w',
        4 => 'l',
        _ => 'q',
    }
}

/// Base 64, as `b64read` and `b64write` want it.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Back again.
///
/// # Errors
/// When it is not base 64.
pub fn from_base64(text: &str) -> Result<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(text.trim_end());
    bytes.map_err(|e| format!("qtest: base 64: {e}"))
}
