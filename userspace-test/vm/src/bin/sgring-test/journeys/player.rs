// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make run` itself, from outside: our own player on recordings and on signals,
//! judged, and what it says to what cannot be played.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{folder, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// A 44.1 kHz stereo FLAC of sonic-pi-samples.
const FLAC: &str = "/usr/share/sonic-pi/samples/loop_tabla.flac";
/// Recordings of asterisk-moh-opsound-wav; the longest is taken.
const LONG: &str = "/usr/share/asterisk/moh";
/// What counts as long, in seconds.
const LONG_SECONDS: f64 = 180.0;

/// A journey that boots nothing, and what it proves.
type Refusal = (
    &'static str,
    &'static str,
    fn(&Context) -> Result<(), String>,
);

type Make = fn(&Context) -> Result<PathBuf, String>;

const PLAYS: [(&str, &str, Make); 6] = [
    (
        "player-long",
        "a recording of at least 3 minutes, bit-exact through the client",
        long,
    ),
    (
        "player-flac",
        "M1 M3: a 44.1 kHz stereo FLAC, bit-exact through the client and the ring",
        flac,
    ),
    (
        "player-mono",
        "a mono file, bit-exact through the client",
        mono,
    ),
    (
        "player-96000",
        "a stereo WAV at 96 kHz, bit-exact through the client",
        high,
    ),
    (
        "player-mp3",
        "an MP3 file with the name of a WAV file: as handed over, and as mpg123 decodes it",
        mp3,
    ),
    (
        "player-short",
        "a WAV shorter than a period, bit-exact through the client",
        short,
    ),
];

pub fn units() -> Vec<Unit> {
    let mut units: Vec<_> = PLAYS
        .into_iter()
        .map(|(name, proves, make)| {
            let planned = vec![Planned::new(name, proves)];
            Unit::new(
                Shard::Journey,
                name,
                planned,
                move |context, rec: &mut Recorder<'_>| match make(context) {
                    Ok(file) => rec.case(name, play(context, &file)),
                    Err(e) => rec.abort(e),
                },
            )
        })
        .collect();
    let refusals: [Refusal; 3] = [
        (
            "player-bad-files",
            "what cannot be played is refused before a boot, in one sentence",
            bad,
        ),
        (
            "player-unreadable",
            "a file that may not be read is refused before a boot, in one sentence",
            unreadable,
        ),
        (
            "player-no-space",
            "a disk too small for the run is said before a boot, and nothing is left",
            no_space,
        ),
    ];
    units.extend(refusals.map(|(name, proves, body)| {
        let planned = vec![Planned::new(name, proves)];
        Unit::new(
            Shard::Journey,
            name,
            planned,
            move |context, rec: &mut Recorder<'_>| {
                rec.case(name, body(context));
            },
        )
    }));
    units
}

fn run(context: &Context, file: &Path) -> Result<(i32, String), String> {
    let mut command = Command::new(context.layout.programs().join("sgring-run"));
    command.arg(file);
    said(context, command)
}

/// Exit code and all that a command says.
fn said(context: &Context, mut command: Command) -> Result<(i32, String), String> {
    if !command.get_envs().any(|(name, _)| name == "SGRING_BUILD") {
        command.env("SGRING_BUILD", context.layout.build());
    }
    let output = command
        .env_remove("AUDIO")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

fn play(context: &Context, file: &Path) -> Result<(), String> {
    let (code, text) = run(context, file)?;
    let verdict = format!("exact: {}: all ", file.display());
    let said = |line: &str| line.trim_start_matches("bit-").starts_with(&verdict);
    if code == 0 && text.lines().any(said) {
        Ok(())
    } else {
        Err(format!("exit {code}\n{text}"))
    }
}

fn flac(_: &Context) -> Result<PathBuf, String> {
    present(FLAC)
}

fn present(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("{}: not in the build root", path.display()))
    }
}

fn long(_: &Context) -> Result<PathBuf, String> {
    let mut best = (0.0, PathBuf::new());
    let entries = std::fs::read_dir(LONG).map_err(|e| format!("{LONG}: {e}"))?;
    for entry in entries.flatten() {
        let output = Command::new("soxi")
            .arg("-D")
            .arg(entry.path())
            .output()
            .map_err(|e| format!("soxi: {e}"))?;
        let seconds: f64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap_or(0.0);
        if seconds > best.0 {
            best = (seconds, entry.path());
        }
    }
    if best.0 < LONG_SECONDS {
        return Err(format!("{LONG}: the longest recording has {:.0} s", best.0));
    }
    Ok(best.1)
}

fn signal(
    context: &Context,
    name: &str,
    rate: u32,
    channels: u16,
    frames: u64,
) -> Result<PathBuf, String> {
    let path = folder(context, name)?.join(format!("{name}.wav"));
    seeded(
        u64::from(rate) + u64::from(channels),
        rate,
        channels,
        frames,
    )
    .write_wav(&path)?;
    Ok(path)
}

fn mono(context: &Context) -> Result<PathBuf, String> {
    signal(context, "mono", 22_050, 1, 30_011)
}

fn high(context: &Context) -> Result<PathBuf, String> {
    signal(context, "high", 96_000, 2, 100_003)
}

fn short(context: &Context) -> Result<PathBuf, String> {
    signal(context, "short", 48_000, 2, 7)
}

fn mp3(context: &Context) -> Result<PathBuf, String> {
    let sound = signal(context, "mp3", 44_100, 2, 50_021)?;
    let path = sound.with_file_name("song.wav");
    let made = Command::new("lame")
        .args(["-S", "--scale", "0.25"])
        .args([&sound, &path])
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("lame: {e}"))?;
    if made.success() {
        Ok(path)
    } else {
        Err(format!("lame: {made}"))
    }
}

/// What cannot be played, and the words of the refusal.
fn bad(context: &Context) -> Result<(), String> {
    let dir = folder(context, "bad")?;
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes)
            .map(|()| path)
            .map_err(|e| e.to_string())
    };
    let sound = |name: &str, rate: u32, channels: u16| {
        let path = dir.join(format!("{name}.wav"));
        seeded(1, rate, channels, 4000).write_wav(&path)?;
        Ok::<_, String>(path)
    };
    // Half of what an encoder makes of a sound.
    let half = |name: &str, encoder: &[&str]| {
        let whole = dir.join(format!("whole-{name}"));
        let made = Command::new(encoder[0])
            .args(&encoder[1..])
            .args([&sound("stereo", 48_000, 2)?, &whole])
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("{}: {e}", encoder[0]))?;
        let bytes = std::fs::read(&whole).map_err(|e| format!("{made}: {e}"))?;
        write(name, &bytes[..bytes.len() / 2])
    };
    let stereo = std::fs::read(sound("stereo", 48_000, 2)?).map_err(|e| e.to_string())?;
    let mut code = stereo.clone();
    code[20] = 0x55;
    let cases = [
        (dir.join("absent.flac"), "there is no such file"),
        (dir.clone(), "is a directory"),
        (PathBuf::from("/dev/null"), "is not a file"),
        (write("empty.wav", b"")?, "the file is empty"),
        (
            write("text.mp3", b"this is a text, not a recording")?,
            "no sound file",
        ),
        (write("song.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0")?, "M4A"),
        (
            write("tag.mp3", b"ID3\x04\0\0\0\0\0\x02ab")?,
            "no audio after it",
        ),
        (
            write("noise.mp3", &[0xff, 0xfb, 0x90, 0x64, 1, 2, 3, 4])?,
            "no audio",
        ),
        (
            write("head.flac", b"fLaC\0\0\0\x22")?,
            "ends within its header",
        ),
        (
            write("head.wav", b"RIFF\x24\0\0\0WAVE")?,
            "ends within its header",
        ),
        (write("half.wav", &stereo[..stereo.len() / 2])?, "cut off"),
        (
            write("none.wav", &wav_without_frames(&stereo))?,
            "no audio frames",
        ),
        (write("code.wav", &code)?, "code 0x0055"),
        (half("half.flac", &["sox"])?, "damaged: flac says"),
        (half("half.mp3", &["lame", "-S"])?, "cut off: it promises"),
        (half("half.ogg", &["sox"])?, "cut off: its last page"),
        (sound("slow", 7_999, 2)?, "plays 8000 to 384000"),
        (sound("fast", 768_000, 2)?, "plays 8000 to 384000"),
        (sound("many", 48_000, 9)?, "9 channels"),
    ];
    for (path, words) in cases {
        refused(&path, words, &run(context, &path)?)?;
    }
    Ok(())
}

/// Refused in one sentence, with the path, before anything boots.
fn refused(path: &Path, words: &str, (code, text): &(i32, String)) -> Result<(), String> {
    let sentence = format!("make run: {}: ", path.display());
    let said: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("make run: "))
        .collect();
    if *code == 125
        && !text.contains("booting")
        && text.lines().last() == said.first().copied()
        && matches!(said[..], [line] if line.starts_with(&sentence) && line.contains(words))
    {
        return Ok(());
    }
    Err(format!(
        "{}: exit {code}, expected 125 and one line with {words:?}\n{text}",
        path.display()
    ))
}

/// The header of a WAV file whose samples are 0 bytes.
fn wav_without_frames(wav: &[u8]) -> Vec<u8> {
    let data = wav.windows(4).position(|w| w == b"data").unwrap_or(0);
    let mut header = wav[..data + 4].to_vec();
    header.extend([0; 4]);
    header
}

/// A file that its owner, too, may not read: root, without the right to read all.
fn unreadable(context: &Context) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let path = signal(context, "unreadable", 48_000, 2, 100)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000))
        .map_err(|e| e.to_string())?;
    let program = context.layout.programs().join("sgring-run");
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-dac_override,-dac_read_search", "--"])
        .arg(program)
        .arg(&path);
    refused(&path, "may not read it", &said(context, command)?)
}

/// A disk that is too small for a run: said before it, and nothing is left there.
fn no_space(context: &Context) -> Result<(), String> {
    let dir = folder(context, "no-space")?;
    let sound = signal(context, "full", 48_000, 2, 48_000)?;
    let build = dir.join("build");
    std::fs::create_dir_all(build.join("vm")).map_err(|e| e.to_string())?;
    for part in ["kernel", "driver", "guest", "qemu"] {
        std::os::unix::fs::symlink(context.layout.build().join(part), build.join(part))
            .map_err(|e| e.to_string())?;
    }
    let script = "mount -t tmpfs -o size=20m none \"$1/vm\" || exit 9
        \"$2\" \"$3\"; status=$?
        echo \"left: $(ls -A \"$1/vm\")\"
        exit $status";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([
            &build,
            &context.layout.programs().join("sgring-run"),
            &sound,
        ])
        .env("SGRING_BUILD", &build);
    let (code, text) = said(context, command)?;
    let sentence = text
        .lines()
        .any(|l| l.starts_with("make run: ") && l.contains("20 MB of disk left"));
    if code == 125 && sentence && text.lines().any(|l| l == "left: ") && !text.contains("booting") {
        Ok(())
    } else {
        Err(format!("exit {code}\n{text}"))
    }
}
