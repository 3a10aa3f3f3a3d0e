// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the sound goes: into a file that can be judged, or to be heard.
//!
//! Whether a sound server can be reached is asked before anything boots, and as
//! QEMU will ask it: by QEMU itself, with an empty machine. ALSA's devices are
//! opened only when something plays, so `aplay` tries that.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::layout::Layout;

/// An audio backend of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// A file, under icount: every frame is judged.
    Wav,
    /// A PipeWire server.
    Pipewire,
    /// A PulseAudio server, or PipeWire's in its place.
    Pa,
    /// The machine's sound card itself.
    Alsa,
    /// Whatever SDL finds.
    Sdl,
}

/// What a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Backend {
    /// QEMU's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Pipewire => "pipewire",
            Self::Pa => "pa",
            Self::Alsa => "alsa",
            Self::Sdl => "sdl",
        }
    }

    /// What QEMU is told, without `id=`; `None` for the wav file, which every VM
    /// has. Samples of more than 16 bits go to a server as 32. A server gets a
    /// tenth of a second to be late in, and QEMU's own period of 10 ms: a shorter
    /// one would make it serve everybody in as short ones.
    #[must_use]
    pub fn audiodev(self, rate: u32, wide: bool) -> Option<String> {
        let server = match self {
            Self::Wav => return None,
            Self::Pipewire | Self::Pa if wide => ",out.latency=100000,out.format=s32",
            Self::Pipewire | Self::Pa => ",out.latency=100000",
            Self::Alsa | Self::Sdl => "",
        };
        Some(format!("{},out.frequency={rate}{server}", self.name()))
    }

    /// Whether there is something to play to.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do.
    pub fn check(self, layout: &Layout) -> Result<(), String> {
        let (what, tried) = match self {
            Self::Wav => return Ok(()),
            Self::Pipewire => ("no PipeWire server answers", empty(layout, self)),
            Self::Pa => ("no PulseAudio server answers", empty(layout, self)),
            Self::Sdl => ("SDL finds nothing to play to", sdl(layout)),
            Self::Alsa => ("the sound card cannot be opened", silence()),
        };
        let mend = match self {
            Self::Alsa => "see 'aplay -l', choose with ALSA_CARD=, or end what holds the card",
            _ => "start one, or run make as the person at whose desktop it runs",
        };
        tried.map_err(|why| {
            format!(
                "AUDIO={}: {what} ({why}): {mend}; without AUDIO= the sound goes to a file",
                self.name()
            )
        })
    }
}

/// Lets QEMU reach its audio backend, and end.
fn empty(layout: &Layout, backend: Backend) -> Result<(), String> {
    let mut qemu = Command::new(layout.qemu());
    qemu.args(["-L", "/usr/share/seabios", "-L", "/usr/share/qemu"]);
    qemu.args(["-machine", "none", "-nodefaults", "-display", "none"]);
    qemu.args(["-monitor", "stdio", "-audiodev"]);
    qemu.arg(format!("{},id=snd", backend.name()));
    tried(qemu, b"quit\n")
}

/// SDL takes a driver that plays to nobody where it finds no other, unless it is
/// told which to take.
fn sdl(layout: &Layout) -> Result<(), String> {
    empty(layout, Backend::Sdl)?;
    if std::env::var_os("SDL_AUDIODRIVER").is_some_and(|driver| !driver.is_empty()) {
        return Ok(());
    }
    empty(layout, Backend::Pipewire)
        .or_else(|_| empty(layout, Backend::Pa))
        .or_else(|_| silence())
        .map_err(|_| "no PipeWire, no PulseAudio and no sound card".to_owned())
}

/// Plays a hundredth of a second of silence.
fn silence() -> Result<(), String> {
    let mut aplay = Command::new("aplay");
    aplay.args([
        "-q", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "2", "-",
    ]);
    tried(aplay, &[0; 480 * 4])
}

/// Runs a command; what went wrong, in its own words.
fn tried(mut command: Command, input: &[u8]) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let broken = |e: std::io::Error| format!("{name}: {e}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended says why itself.
        let _ = stdin.write_all(input);
    }
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().map_err(broken)?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("no answer in {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().map_err(broken)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().rfind(|l| !l.trim().is_empty());
    let line = line.map_or_else(|| output.status.to_string(), |l| l.trim().to_owned());
    Err(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_is_told_the_rate() {
        assert_eq!(Backend::Wav.audiodev(48_000, true), None);
        assert_eq!(
            Backend::Pipewire.audiodev(44_100, true).unwrap(),
            "pipewire,out.frequency=44100,out.latency=100000,out.format=s32"
        );
        assert_eq!(
            Backend::Alsa.audiodev(48_000, true).unwrap(),
            "alsa,out.frequency=48000"
        );
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one >&2; echo two >&2; exit 3"]);
        assert_eq!(tried(command, b"x"), Err("two".to_owned()));
        assert_eq!(tried(Command::new("true"), b""), Ok(()));
    }
}
