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

type Make = fn(&Context) -> Result<PathBuf, String>;

const PLAYS: [(&str, &str, Make); 5] = [
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
    let name = "player-bad-files";
    let planned = vec![Planned::new(
        name,
        "what is no audio is refused before a boot, and says why",
    )];
    units.push(Unit::new(
        Shard::Journey,
        name,
        planned,
        move |context, rec: &mut Recorder<'_>| {
            rec.case(name, bad(context));
        },
    ));
    units
}

fn run(context: &Context, file: &Path) -> Result<(i32, String), String> {
    let output = Command::new(context.layout.programs().join("sgring-run"))
        .arg(file)
        .env("SGRING_BUILD", context.layout.build())
        .env_remove("AUDIO")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("sgring-run: {e}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

fn play(context: &Context, file: &Path) -> Result<(), String> {
    let (code, text) = run(context, file)?;
    let verdict = format!("bit-exact: {}: all ", file.display());
    if code == 0 && text.lines().any(|l| l.starts_with(&verdict)) {
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

fn bad(context: &Context) -> Result<(), String> {
    let dir = folder(context, "bad")?;
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes)
            .map(|()| path)
            .map_err(|e| e.to_string())
    };
    let cases = [
        (dir.join("absent.flac"), "No such file"),
        (write("empty.wav", b"")?, "empty"),
        (
            write("text.wav", b"this is a text, not a recording")?,
            "neither a FLAC nor a WAV",
        ),
        (write("cut.flac", b"fLaC\0\0\0\x22")?, "damaged"),
        (write("cut.wav", b"RIFF\x24\0\0\0WAVE")?, "damaged"),
        (dir.clone(), "directory"),
    ];
    for (path, words) in cases {
        let (code, text) = run(context, &path)?;
        if code != 125 || !text.contains(words) {
            return Err(format!(
                "{}: exit {code}, expected 125 and {words:?}\n{text}",
                path.display()
            ));
        }
    }
    Ok(())
}
