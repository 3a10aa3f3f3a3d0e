// SPDX-License-Identifier: MIT OR Apache-2.0
//! A desktop's sound server in the guest, set as Debian sets it, on our card: PipeWire, and PulseAudio's daemon.
//!
//! PipeWire mixes floating point. Where it neither resamples nor turns down, the card
//! gets the 16-bit frames of a file as `FLOAT` or `S32` ones of the same value:
//! the tap is taken back to 16 bits, and a value that is no whole number there
//! fails.

use sgring_vm::recording::Recording;
use sgring_vm::{Config, Outcome, Vm};

use super::{check_clean, clean, exact, folder, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
/// Two seconds and a bit: no whole number of the server's cycles.
const FRAMES: u64 = 96_011;

/// A server, what is played through it, and what it says of the card.
struct Server {
    name: &'static str,
    start: &'static str,
    script: &'static str,
    exact: &'static str,
    named: &'static str,
    /// What is to be seen: what it is, how often, and in lines of which words.
    seen: &'static [(&'static str, usize, &'static [&'static str])],
    /// Counts that have to be 0.
    faults: &'static [&'static str],
}

/// PipeWire's own volume for a new card is not the loudest. It sets the card's, whose steps are so small that the
/// server leaves the rest be, and no frame is changed on its way to the card.
/// The end is when the server lets go of the card: it has played to the end by then.
const PIPEWIRE: Server = Server {
    name: "guest-pipewire",
    start: "with-sound sh",
    script: r#"
    state=/proc/asound/card0/pcm0p/sub0
    until_it_is() { until grep -q "$1" $state/status; do sleep 0.01; done; }
    pw-play /clips/clip.wav & player=$!
    until_it_is RUNNING
    cat $state/hw_params
    wait $player; echo "played: $?"
    echo "errors: $(pw-top -b -n 2 | grep alsa_output | awk '{ print $9 }' | tail -n 1)"
    until_it_is closed
    echo "xruns: $(grep -ic xrun $XDG_RUNTIME_DIR/pipewire.log)"
    wpctl status
    pactl list cards
"#,
    exact: "PipeWire in the guest: pw-play plays a file with no xrun, every frame in the tap, bit-exact",
    named: "PipeWire in the guest: the card has its name, a profile that plays and records, and is the default",
    seen: &[
        (
            "the card, by its name",
            1,
            &["device.description = \"sgring\""],
        ),
        ("its driver", 1, &["alsa.driver_name = \"snd_sgring\""]),
        (
            "a profile that plays and records",
            1,
            &["output:", "+input:", "sinks: 1, sources: 1"],
        ),
        ("the default sink and source", 2, &["*", "sgring", "[vol: "]),
    ],
    faults: &["errors:", "xruns:"],
};

/// PulseAudio opens the card when it starts, at a rate of its own, and again at the file's. What it has missed
/// the card knows, which counts as long as the server plays.
const PULSEAUDIO: Server = Server {
    name: "guest-pulseaudio",
    start: "with-sound --pulseaudio sh",
    script: r#"
    state=/proc/asound/card0/pcm0p/sub0
    until_it_is() { until grep -q "$1" $state/status; do sleep 0.01; done; }
    paplay /clips/clip.wav; echo "played: $?"
    cat $state/hw_params
    echo "errors: $(awk '/^playback 0/ { print $12 }' /proc/asound/sgring/sgring)"
    pactl info
    pactl list sinks
    pactl list cards
    until_it_is closed
"#,
    exact: "PulseAudio in the guest: paplay plays a file with no underrun, every frame in the tap, bit-exact",
    named: "PulseAudio in the guest: the card has its name, level, channels, ports and profile, and is the default",
    seen: &[
        (
            "the card, by its name",
            1,
            &["device.description = \"sgring\""],
        ),
        ("its driver", 1, &["alsa.driver_name = \"snd_sgring\""]),
        (
            "a profile that plays and records",
            1,
            &["output:", "+input:", "sinks: 1, sources: 1"],
        ),
        ("the default sink", 1, &["Default Sink: alsa_output"]),
        ("the default source", 1, &["Default Source: alsa_input"]),
        (
            "its level, done by the card",
            1,
            &["Flags: HARDWARE", "HW_VOLUME_CTRL", "DECIBEL_VOLUME"],
        ),
        ("its channels", 1, &["Channel Map: front-left,front-right"]),
        (
            "the plug in its line output",
            1,
            &["Line Out", "available)"],
        ),
    ],
    faults: &["errors:"],
};

pub fn units() -> Vec<Unit> {
    let unit = |server: &'static Server| {
        let planned = vec![
            Planned::new(format!("{}-exact", server.name), server.exact),
            Planned::new(format!("{}-names", server.name), server.named),
            clean(server.name),
        ];
        Unit::new(Shard::Journey, server.name, planned, move |context, rec| {
            if let Err(e) = journey(context, server, rec) {
                rec.abort(e);
            }
        })
    };
    vec![unit(&PIPEWIRE), unit(&PULSEAUDIO)]
}

fn journey(context: &Context, server: &Server, rec: &mut Recorder<'_>) -> Result<(), String> {
    let name = server.name;
    let dir = folder(context, name)?;
    let clip = seeded(31, RATE, 2, FRAMES);
    clip.write_wav(&dir.join("clip.wav"))?;
    std::fs::write(dir.join("script"), server.script).map_err(|e| e.to_string())?;
    let config = Config::new([format!("{} /clips/script", server.start)])
        .name(name)
        .icount(true)
        .sound_server(true)
        .mem_mib(1024)
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean(name, &outcome, rec);
    let at = |e: String| {
        format!(
            "{e}\n{}{}run: {}",
            outcome.stdout(),
            outcome.stderr(),
            outcome.dir.path().display()
        )
    };
    let exact = played(server, &clip, &outcome).map_err(at);
    rec.case(&format!("{name}-exact"), exact);
    let seen = named(server, &outcome.stdout()).map_err(at);
    rec.case(&format!("{name}-names"), seen);
    Ok(())
}

fn played(server: &Server, clip: &Recording, outcome: &Outcome) -> Result<(), String> {
    let said = outcome.stdout();
    let of = |word: &str| {
        said.lines()
            .find_map(|l| l.strip_prefix(word))
            .map_or("", str::trim)
    };
    if outcome.status != 0 || of("played:") != "0" {
        return Err(format!("status {}", outcome.status));
    }
    if server.faults.iter().any(|fault| of(fault) != "0") {
        return Err("an xrun was counted, or nobody counts".to_owned());
    }
    if of("rate:") != "48000 (48000/1)" || of("channels:") != "2" {
        return Err("the server resamples, or plays no stereo".to_owned());
    }
    let path = outcome.dir.join("tap.raw");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let tap = Recording {
        rate: RATE,
        channels: 2,
        samples: sixteen_bits(of("format:"), &bytes)?,
    };
    exact("tap.raw", clip, Some(&tap))
}

/// The 16-bit samples that these are, where they are.
fn sixteen_bits(format: &str, bytes: &[u8]) -> Result<Vec<i16>, String> {
    let whole = |at: usize, value: f64| {
        let sample = value as i16;
        if f64::from(sample) == value {
            Ok(sample)
        } else {
            Err(format!(
                "tap.raw: sample {at} is {value} in 16 bits, no whole number"
            ))
        }
    };
    match format {
        "S16_LE" => Ok(Recording::from_raw(bytes, RATE, 2).samples),
        "S32_LE" | "FLOAT_LE" => bytes
            .chunks_exact(4)
            .enumerate()
            .map(|(at, b)| {
                let b = [b[0], b[1], b[2], b[3]];
                whole(
                    at,
                    if format == "S32_LE" {
                        f64::from(i32::from_le_bytes(b)) / 65_536.0
                    } else {
                        f64::from(f32::from_le_bytes(b)) * 32_768.0
                    },
                )
            })
            .collect(),
        other => Err(format!("the server plays {other:?}: no judge knows that")),
    }
}

/// What a person sees who opens the settings of sound.
fn named(server: &Server, said: &str) -> Result<(), String> {
    let is = |words: &[&str]| {
        let all = |line: &str| words.iter().all(|w| line.contains(w));
        said.lines().filter(|l| all(l)).count()
    };
    let missing: Vec<_> = server
        .seen
        .iter()
        .filter(|(_, count, words)| is(words) < *count)
        .map(|(what, ..)| *what)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("not seen: {}", missing.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_from_each_format() {
        let samples = [0i16, 1, -1, i16::MAX, i16::MIN, 12_345];
        let raw: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let wide = samples
            .iter()
            .flat_map(|s| (i32::from(*s) << 16).to_le_bytes());
        let wide: Vec<u8> = wide.collect();
        let float = samples
            .iter()
            .flat_map(|s| (f32::from(*s) / 32_768.0).to_le_bytes());
        let float: Vec<u8> = float.collect();
        assert_eq!(sixteen_bits("S16_LE", &raw).unwrap(), samples);
        assert_eq!(sixteen_bits("S32_LE", &wide).unwrap(), samples);
        assert_eq!(sixteen_bits("FLOAT_LE", &float).unwrap(), samples);
    }

    #[test]
    fn what_was_turned_down_is_no_frame() {
        assert!(sixteen_bits("FLOAT_LE", &0.000_02f32.to_le_bytes()).is_err());
        assert!(sixteen_bits("S32_LE", &65_537i32.to_le_bytes()).is_err());
        assert!(sixteen_bits("FLOAT_LE", &1.0f32.to_le_bytes()).is_err());
        assert!(sixteen_bits("S24_3LE", &[0; 6]).is_err());
    }
}
