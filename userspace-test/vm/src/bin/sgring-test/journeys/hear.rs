// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make run AUDIO=...`: real time, and a sound server that is not ours. A
//! PipeWire without a desktop runs here, with a sink that plays to nobody and
//! whose monitor is recorded; PulseAudio's protocol is served by it too. SDL
//! plays into a file, and so does ALSA.
//!
//! What is judged: what was heard is frames of the signal, bit by bit, each later
//! in it than the one heard before: nothing was resampled, mixed, turned down,
//! repeated or exchanged, which would leave none of them. What is tolerated, for
//! on a busy machine a translated guest, the server and the recorder are late
//! now and then: silence between, lost frames, as far as a tenth was heard, and,
//! for each ten frames of the signal, one that is none: a recorder that misses
//! the end of a cycle has the left channel of one and the right of the next.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sgring_vm::recording::Recording;

use super::{folder, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
/// Three seconds and a bit.
const FRAMES: u64 = 150_011;
/// How long a server, or a recorder, may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server with its sink, until its standard input ends.
const SERVER: &str = r"
pipewire & pipewire=$!
wireplumber & manager=$!
pipewire-pulse & pulse=$!
read -r _
kill $pulse $manager $pipewire
wait
";

/// A graph at the signal's rate, and in it the sink.
const SINK: &str = "\
context.properties = {
  default.clock.rate = 48000
  default.clock.allowed-rates = [ 48000 ]
  default.clock.min-quantum = 2048
  default.clock.quantum = 2048
}
context.objects = [
  { factory = adapter
    args = {
      factory.name = support.null-audio-sink
      node.name = nobody
      media.class = Audio/Sink
      object.linger = true
      audio.position = [ FL FR ]
      audio.rate = 48000
    }
  }
]
";

/// ALSA's default device: a file.
const ASOUND: &str = "\
pcm.!default { type file file \"FILE\" format raw slave.pcm nowhere }
pcm.nowhere { type null }
";

type Journey = (
    &'static str,
    &'static str,
    fn(&Context) -> Result<(), String>,
);

const JOURNEYS: [Journey; 5] = [
    (
        "hear-pipewire",
        "AUDIO=pipewire: the monitor of a sink has the frames, and the tap is judged",
        |context| server(context, "pipewire"),
    ),
    (
        "hear-pa",
        "AUDIO=pa: the same by PulseAudio's protocol",
        |context| server(context, "pa"),
    ),
    (
        "hear-sdl",
        "AUDIO=sdl: SDL's own file has the frames, and the tap is judged",
        |context| file(context, "sdl"),
    ),
    (
        "hear-alsa",
        "AUDIO=alsa: a file of alsa-lib's in place of a card has the frames",
        |context| file(context, "alsa"),
    ),
    (
        "hear-nobody",
        "AUDIO= without a server or a card is refused before a boot, and says what to do",
        nobody,
    ),
];

pub fn units() -> Vec<Unit> {
    let unit = |(name, proves, body): Journey| {
        Unit::new(
            Shard::Journey,
            name,
            vec![Planned::new(name, proves)],
            move |context, rec: &mut Recorder<'_>| {
                rec.case(name, body(context));
            },
        )
    };
    JOURNEYS.into_iter().map(unit).collect()
}

/// Ends when dropped.
struct Running {
    child: Child,
    how: Signal,
}

impl Running {
    fn spawn(command: &mut Command, how: Signal) -> Result<Self, String> {
        let child = command.spawn().map_err(|e| {
            let name = command.get_program().to_string_lossy();
            format!("{name}: {e}")
        })?;
        Ok(Self { child, how })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The server's script ends with its input; so it has no signal to get.
        drop(self.child.stdin.take());
        if self.how != Signal::CONT {
            if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, self.how);
            }
        }
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        if Instant::now() >= deadline {
            return Err(format!("{what}: not after {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A folder with a short path, for sockets; gone when dropped.
struct Runtime(PathBuf);

impl Runtime {
    fn new(name: &str) -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let dir = std::env::temp_dir().join(format!("sgring-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command that sees this runtime folder, and no other sound server.
fn with(runtime: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in [
        "PULSE_SERVER",
        "PIPEWIRE_REMOTE",
        "PIPEWIRE_RUNTIME_DIR",
        "AUDIO",
    ] {
        command.env_remove(name);
    }
    command
        .env("XDG_RUNTIME_DIR", runtime)
        .env("HOME", runtime)
        .env("XDG_CONFIG_HOME", runtime.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// `make run` of the signal; what it said, if it could be judged.
fn run(
    context: &Context,
    audio: &str,
    signal: &Path,
    mut command: Command,
) -> Result<String, String> {
    let output = command
        .args(["--audio", audio])
        .arg(signal)
        .env("SGRING_BUILD", context.layout.build())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| format!("sgring-run: {e}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    // In real time the guest may be late: the player says so, and its ring went on.
    let late = text.contains("underruns") || text.contains("decoder was late");
    match output.status.code() {
        Some(0) if text.contains("bit-exact: ") => Ok(text),
        Some(1) if late => Ok(text),
        code => Err(format!("exit {code:?}\n{text}")),
    }
}

fn program(context: &Context) -> PathBuf {
    context.layout.programs().join("sgring-run")
}

fn signal(context: &Context, name: &str) -> Result<(PathBuf, Recording), String> {
    let dir = folder(context, name)?;
    let signal = seeded(77, RATE, 2, FRAMES);
    let path = dir.join("signal.wav");
    signal.write_wav(&path)?;
    Ok((path, signal))
}

/// Whether what was heard is of the signal, in order, and enough of it.
fn heard(signal: &Recording, heard: &[i16], said: &str) -> Result<(), String> {
    let frame = |pair: &[i16]| (pair[0], pair[1]);
    let places: HashMap<_, _> = signal.samples.chunks_exact(2).map(frame).zip(0..).collect();
    let (mut found, mut foreign, mut silent, mut last) = (0u64, 0u64, 0u64, None);
    for (at, pair) in heard.chunks_exact(2).enumerate() {
        if pair == [0, 0] {
            silent += 1;
            continue;
        }
        match places.get(&frame(pair)).copied() {
            None => foreign += 1,
            Some(place) if last.is_some_and(|last: u64| place <= last) => {
                return Err(format!(
                    "frame {at} of what was heard is frame {place} of the signal, after {last:?}\n{said}"
                ));
            }
            place => {
                last = place;
                found += 1;
            }
        }
    }
    if found < FRAMES / 10 || foreign > found / 10 {
        return Err(format!(
            "{found} frames of {FRAMES} were heard, {silent} of silence and {foreign} that are not \
             of the signal\n{said}"
        ));
    }
    Ok(())
}

fn server(context: &Context, audio: &str) -> Result<(), String> {
    let name = format!("hear-{audio}");
    let (path, played) = signal(context, &name)?;
    let recording = path.with_file_name("heard.wav");
    let runtime = Runtime::new(&name)?;
    let runtime = runtime.0.as_path();
    let config = runtime.join("config/pipewire/pipewire.conf.d");
    std::fs::create_dir_all(&config)
        .and_then(|()| std::fs::write(config.join("sink.conf"), SINK))
        .map_err(|e| format!("{}: {e}", config.display()))?;
    let server = Running::spawn(
        with(runtime, "dbus-run-session")
            .args(["--", "sh", "-c", SERVER])
            .stdin(Stdio::piped()),
        Signal::CONT,
    )?;
    let says = |program: &str, words: &[&str], text: &str| {
        with(runtime, program)
            .args(words)
            .stdout(Stdio::piped())
            .output()
            .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains(text))
    };
    // Its ports are there when the session manager has seen it.
    until("the sink", || {
        says("pw-link", &["--output"], "nobody:monitor_FR")
    })?;
    until("PulseAudio's protocol", || {
        says("pactl", &["list", "short", "sinks"], "nobody")
    })?;
    let log = path.with_file_name("recorder.log");
    let recorder = Running::spawn(
        with(runtime, "pw-record")
            .stderr(std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?)
            .args(["--target", "nobody", "-P", "{ stream.capture.sink = true }"])
            .args(["--rate", "48000", "--format", "s16", "--channels", "2"])
            .arg(&recording),
        Signal::INT,
    )?;
    until("the recorder", || {
        recording.metadata().is_ok_and(|m| m.len() > 10_000)
    })
    .map_err(|e| format!("{e}: {}", std::fs::read_to_string(&log).unwrap_or_default()))?;
    let said = run(context, audio, &path, with(runtime, program(context)))?;
    drop(recorder);
    drop(server);
    let recorded = Recording::from_capture(&recording)?;
    heard(&played, &recorded.samples, &said)
}

fn file(context: &Context, audio: &str) -> Result<(), String> {
    let name = format!("hear-{audio}");
    let (path, played) = signal(context, &name)?;
    let recording = path.with_file_name("heard.raw");
    let runtime = Runtime::new(&name)?;
    let mut command = with(&runtime.0, program(context));
    if audio == "sdl" {
        command
            .env("SDL_AUDIODRIVER", "disk")
            .env("SDL_DISKAUDIOFILE", &recording);
    } else {
        let asound = path.with_file_name("asound.conf");
        let text = ASOUND.replace("FILE", &recording.to_string_lossy());
        std::fs::write(&asound, text).map_err(|e| e.to_string())?;
        command.env("ALSA_CONFIG_PATH", &asound);
    }
    let said = run(context, audio, &path, command)?;
    let bytes = std::fs::read(&recording).map_err(|e| format!("{}: {e}", recording.display()))?;
    heard(
        &played,
        &Recording::from_raw(&bytes, RATE, 2).samples,
        &said,
    )
}

fn nobody(context: &Context) -> Result<(), String> {
    let (path, _) = signal(context, "hear-nobody")?;
    let runtime = Runtime::new("hear-nobody")?;
    for (audio, words) in [
        ("pipewire", "no PipeWire server answers"),
        ("pa", "no PulseAudio server answers"),
        ("alsa", "the sound card cannot be opened"),
        ("sdl", "SDL finds nothing to play to"),
        ("loudspeaker", "invalid value 'loudspeaker'"),
    ] {
        let mut command = with(&runtime.0, program(context));
        command
            .env_remove("SDL_AUDIODRIVER")
            .env_remove("ALSA_CONFIG_PATH");
        let said = run(context, audio, &path, command);
        let refused = |text: &String| {
            text.starts_with("exit Some(125)") && text.contains(words) && !text.contains("booting")
        };
        if !said.as_ref().is_err_and(refused) {
            return Err(format!("{audio}: {said:?}, expected {words:?}"));
        }
    }
    Ok(())
}
