// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applications that were not written here, through the ring: rodio's `signal_generator` with one line changed on our
//! cpal host, and unmodified on alsa-lib; a clip by kira on our host. What each has put into the card is judged to the
//! bit, and by its system calls that it went through the mapped ring.
//!
//! What `signal_generator` plays is known from alsa-lib, whose `file` plugin records what passes: floating point on its
//! way to `copy`, 16 bits on its way to `dmix`. When its tones begin depends on clocks; on our host they are looked for
//! one by one.

use std::ops::Range;
use std::path::Path;

use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder, raw_clip};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PCM: &str = "</dev/snd/pcmC0D0p>";

struct App {
    name: &'static str,
    /// The default device of alsa-lib, where that is what it plays to.
    default: Option<&'static str>,
    command: &'static str,
    proves: &'static str,
}

/// In the order in which they are played.
const APPS: [App; 4] = [
    App {
        name: "rodio-host",
        default: None,
        command: "/apps/signal_generator_ring",
        proves: "rodio's signal_generator with one line changed, on our host: bit-exact, no copy, no call for the card \
                 between START and DROP",
    },
    App {
        name: "kira-host",
        default: None,
        command: "/apps/kira_clip /in/clip.raw",
        proves: "a clip by kira, on our host: bit-exact to its last frame, no copy, no call for the card between START \
                 and DRAIN",
    },
    App {
        name: "rodio-copy",
        default: Some(
            "pcm.!default { type file format raw file /tmp/played slave.pcm { type copy slave.pcm 'hw:0,0' } }",
        ),
        command: "/apps/signal_generator",
        proves: "rodio's signal_generator unmodified, by alsa-lib's copy: bit-exact through the mapped ring, no write",
    },
    // cpal's ALSA host has a ring of two periods, and dmix its own: they are long, for a thread that is late.
    App {
        name: "rodio-dmix",
        default: Some(
            "pcm.!default { type plug slave.pcm { type file format raw file /tmp/played slave.pcm mixed } }
             pcm.mixed { type dmix ipc_key 7654 slave { pcm 'hw:0,0' format S16_LE rate 48000 channels 2
                                                         period_size 4096 buffer_size 16384 } }",
        ),
        command: "/apps/signal_generator",
        proves: "rodio's signal_generator unmodified, by alsa-lib's dmix: bit-exact through the mapped ring, no write",
    },
];

/// What `signal_generator` plays, a second each: its changes of sign, of which the last is at the end, and its root mean
/// square. rodio's sweep is a sine of the time times a frequency that grows to 10 kHz, so it has as many as a tone of
/// 10 kHz.
const TONES: [(&str, usize, f64); 6] = [
    ("1000 Hz", 2_000, SINE),
    ("10,000 Hz", 20_000, SINE),
    ("440 Hz triangle", 880, STRAIGHT),
    ("440 Hz sawtooth", 880, STRAIGHT),
    ("440 Hz square", 880, 0.1),
    ("sweep", 20_000, SINE),
];
const SINE: f64 = 0.1 * std::f64::consts::FRAC_1_SQRT_2;
const STRAIGHT: f64 = 0.057_735;
/// Frames of silence by which tones are told apart; a tone has zeros too.
const SILENCE: usize = 1000;

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = APPS
        .iter()
        .map(|app| Planned::new(format!("apps-{}", app.name), app.proves))
        .collect();
    planned.push(Planned::new(
        "apps-tones",
        "what rodio handed to alsa-lib is what it says: six tones, by length, frequency and power",
    ));
    planned.push(Planned::new(
        "apps-silence",
        "all that DMA fetched besides what the applications played is silence",
    ));
    planned.push(clean("apps"));
    vec![Unit::new(
        Shard::Journey,
        "apps",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let apps = context.layout.build().join("apps/bin");
    if !apps.is_dir() {
        return Err(format!("{}: not set up: run `make apps`", apps.display()));
    }
    let dir = folder(context, "apps")?;
    let at = |e: std::io::Error| format!("{}: {e}", dir.display());
    let (input, share) = (dir.join("in"), dir.join("share"));
    std::fs::create_dir(&input).map_err(at)?;
    std::fs::create_dir(&share).map_err(at)?;
    let (_, clip) = raw_clip(&input, 41, 50_011)?;
    std::fs::write(input.join("script"), script()).map_err(at)?;
    let config = Config::new(["sh /in/script"])
        .name("apps")
        .icount(true)
        .share(&share)
        .file(&apps, "/apps")
        .file(&input, "/in");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("apps", &outcome, rec);
    let at = |e: String| {
        format!(
            "{e}\n{}{}run: {}",
            outcome.stdout(),
            outcome.stderr(),
            outcome.dir.path().display()
        )
    };

    let floats = floats(&read(&share.join("rodio-copy.played"))?);
    let tones = tones(&floats);
    rec.case("apps-tones", judge_tones(&floats, &tones).map_err(at));

    let mixed = read(&share.join("rodio-dmix.played"))?;
    let played = [
        tones.iter().map(|t| sixteen_bits(&floats, t)).collect(),
        vec![as_floats(&clip)],
        vec![bytes_of(&floats, span(&tones))],
        vec![trimmed(&mixed).to_vec()],
    ];
    let tap = read(&outcome.dir.join("tap.raw"))?;
    let mut from = 0;
    let mut sound = Vec::new();
    let mut lost = Vec::new();
    for (app, pieces) in APPS.iter().zip(&played) {
        let found = pieces.iter().try_for_each(|piece| {
            let place = find(&tap, from, piece)?;
            from = place.end;
            sound.push(place);
            Ok(())
        });
        if found.is_err() || pieces.is_empty() {
            lost.push(app.name);
        }
        let result = said(app, &outcome.stdout())
            .and_then(|()| calls(app, &share))
            .and_then(|()| match pieces[..] {
                [] => Err("nothing is known to have been played".to_owned()),
                _ => found,
            });
        rec.case(&format!("apps-{}", app.name), result.map_err(at));
    }
    sound.push(tap.len()..tap.len());
    let mut end = 0;
    let silence = match lost[..] {
        [] => sound.into_iter().try_for_each(|place| {
            let before = end..place.start;
            end = place.end;
            silent(&tap, before)
        }),
        _ => Err(format!("what {} played was not found", lost.join(", "))),
    };
    rec.case("apps-silence", silence.map_err(at));
    Ok(())
}

/// Each application under `strace`, with the default device that it is to find.
fn script() -> String {
    let mut script = String::new();
    for app in &APPS {
        let App { name, command, .. } = app;
        let default = app.default.unwrap_or("").replace('\'', "\"");
        script += &format!(
            "cat >/root/.asoundrc <<'END'\n{default}\nEND\nrm -f /tmp/played\n\
             strace -qq -f --seccomp-bpf -y -e trace=ioctl,mmap -o /tmp/trace {command} >/dev/null 2>/tmp/said; echo \"{name} $?\"\n\
             sed 's/^/{name}: /' /tmp/said\n\
             cp /tmp/trace /share/{name}.trace\n\
             [ ! -e /tmp/played ] || cp /tmp/played /share/{name}.played\n"
        );
    }
    script
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// It came to a good end, and was told of no error of its stream.
fn said(app: &App, said: &str) -> Result<(), String> {
    if !said.lines().any(|l| l == format!("{} 0", app.name)) {
        return Err("it failed".to_owned());
    }
    let error = format!("{}: audio stream error", app.name);
    match said.lines().find(|l| l.starts_with(&error)) {
        None => Ok(()),
        Some(line) => Err(line.to_owned()),
    }
}

/// By its system calls, it mapped the ring and wrote nothing; on our host, it left the card alone while it ran.
fn calls(app: &App, share: &Path) -> Result<(), String> {
    let trace = read(&share.join(format!("{}.trace", app.name)))?;
    let trace = String::from_utf8_lossy(&trace);
    let card: Vec<_> = trace.lines().filter(|l| l.contains(PCM)).collect();
    let ioctls: Vec<_> = card
        .iter()
        .filter_map(|l| l.split_once("SNDRV_PCM_IOCTL_"))
        .filter_map(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_uppercase() && c != '_')
                .next()
        })
        .collect();
    if let Some(write) = ioctls.iter().find(|i| i.starts_with("WRITE")) {
        return Err(format!("it plays by {write}"));
    }
    let ring = format!("{PCM}, 0) = 0x");
    let mapped = |l: &&str| l.contains("PROT_WRITE, MAP_SHARED") && l.contains(&ring);
    if !card.iter().any(mapped) {
        return Err("it has not mapped the ring".to_owned());
    }
    let Some(start) = ioctls.iter().position(|&i| i == "START") else {
        return Err("it has not started the card".to_owned());
    };
    let next = ioctls.get(start + 1).copied().unwrap_or("nothing");
    if app.default.is_none() && !["DRAIN", "DROP"].contains(&next) {
        return Err(format!("{next} follows START"));
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let samples = bytes.chunks_exact(4);
    samples
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// Where there is sound, in stereo frames: each from its first frame that is not zero to its last.
fn tones(samples: &[f32]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, frame) in samples.chunks_exact(2).enumerate() {
        if frame == [0.0; 2] {
            continue;
        }
        match found.last_mut() {
            Some(last) if at < last.end + SILENCE => last.end = at + 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

fn judge_tones(samples: &[f32], tones: &[Range<usize>]) -> Result<(), String> {
    if tones.len() != TONES.len() {
        return Err(format!("{} tones, not {}", tones.len(), TONES.len()));
    }
    for ((name, signs, power), tone) in TONES.iter().zip(tones) {
        let frames = &samples[2 * tone.start..2 * tone.end];
        if frames.chunks_exact(2).any(|f| f[0] != f[1]) {
            return Err(format!("{name}: left and right differ"));
        }
        let left: Vec<f64> = frames.iter().step_by(2).map(|&s| f64::from(s)).collect();
        let sounds: Vec<_> = left.iter().filter(|&&s| s != 0.0).collect();
        let changes = sounds
            .windows(2)
            .filter(|pair| pair[0].signum() != pair[1].signum())
            .count();
        let mean = left.iter().map(|s| s * s).sum::<f64>() / left.len() as f64;
        let is = (left.len(), changes, mean.sqrt());
        // A sine's first frame is zero.
        if !(47_999..=48_000).contains(&is.0)
            || !(signs - 1..=*signs).contains(&is.1)
            || (is.2 - power).abs() > 1e-4
        {
            return Err(format!(
                "{name}: (frames, changes of sign, root mean square) is {is:?}, expected (48000, {signs}, {power})"
            ));
        }
    }
    Ok(())
}

/// From the first tone to the last.
fn span(tones: &[Range<usize>]) -> Range<usize> {
    match tones {
        [first, .., last] => first.start..last.end,
        _ => 0..0,
    }
}

fn bytes_of(samples: &[f32], frames: Range<usize>) -> Vec<u8> {
    let samples = &samples[2 * frames.start..2 * frames.end];
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// A tone in the format that our host prefers, as cpal's samples are converted: cut off, not rounded.
fn sixteen_bits(samples: &[f32], tone: &Range<usize>) -> Vec<u8> {
    let samples = &samples[2 * tone.start..2 * tone.end];
    let cut = |s: &f32| (s * 32_768.0) as i16;
    samples.iter().flat_map(|s| cut(s).to_le_bytes()).collect()
}

/// Samples of 16 bits as kira hands them to cpal.
fn as_floats(bytes: &[u8]) -> Vec<u8> {
    let float = |b: &[u8]| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0;
    let samples = bytes.chunks_exact(2).map(float);
    samples.flat_map(f32::to_le_bytes).collect()
}

/// Without the silence before and after, in frames of 4 bytes.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let sound = |b: &&[u8]| **b != [0; 4];
    let mut frames = bytes.chunks_exact(4);
    let count = frames.len();
    let first = frames.clone().position(|b| sound(&b)).unwrap_or(count);
    let last = frames.rposition(|b| sound(&b)).map_or(first, |at| at + 1);
    &bytes[4 * first..4 * last]
}

/// Where `piece` is in the tap, whole.
fn find(tap: &[u8], from: usize, piece: &[u8]) -> Result<Range<usize>, String> {
    let sign = &piece[..piece.len().min(64)];
    let begin = (from..tap.len())
        .step_by(4)
        .find(|&at| tap[at..].starts_with(sign))
        .filter(|_| !sign.is_empty())
        .ok_or_else(|| format!("tap.raw: what was played is not there after byte {from}"))?;
    let heard = &tap[begin..];
    match heard.iter().zip(piece).position(|(a, b)| a != b) {
        None if heard.len() >= piece.len() => Ok(begin..begin + piece.len()),
        None => Err(format!(
            "tap.raw: ends {} bytes before what was played does",
            piece.len() - heard.len()
        )),
        Some(at) => Err(format!(
            "tap.raw: byte {} is {:#04x}; played was {:#04x}, as byte {at} of {}",
            begin + at,
            heard[at],
            piece[at],
            piece.len()
        )),
    }
}

fn silent(tap: &[u8], bytes: Range<usize>) -> Result<(), String> {
    match tap[bytes.clone()].iter().position(|&b| b != 0) {
        None => Ok(()),
        Some(at) => Err(format!(
            "tap.raw: byte {} is neither played nor silent",
            bytes.start + at
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_told_apart_by_silence_and_not_by_a_zero() {
        let mut samples = vec![0.0f32; 2 * 5000];
        samples[2 * 10] = 1.0;
        samples[2 * 500 + 1] = 1.0;
        samples[2 * 3000] = 1.0;
        let found = tones(&samples);
        assert_eq!(found, [10..501, 3000..3001]);
        assert_eq!(span(&found), 10..3001);
        assert_eq!(judge_tones(&samples, &found).unwrap_err(), "2 tones, not 6");
    }

    #[test]
    fn a_piece_is_found_whole_or_not() {
        let piece: Vec<u8> = (0u8..200).map(|i| i | 1).collect();
        let mut tap = vec![0; 40];
        tap.extend(&piece);
        tap.extend([0; 8]);
        assert_eq!(find(&tap, 0, &piece), Ok(40..240));
        assert!(find(&tap, 44, &piece).is_err());
        assert_eq!(silent(&tap, 240..248), Ok(()));
        assert!(silent(&tap, 236..248).is_err());
        assert!(find(&tap[..236], 0, &piece).is_err());
        tap[150] ^= 1;
        assert!(find(&tap, 0, &piece).is_err());
        assert!(find(&tap, 0, &[]).is_err());
    }

    #[test]
    fn silence_around_is_taken_away() {
        assert_eq!(trimmed(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), [0, 1, 0, 0]);
        assert_eq!(trimmed(&[0; 8]), [0; 0]);
    }
}
