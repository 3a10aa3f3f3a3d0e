// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host's streams when the application is late, pauses, or panics: the stream keeps its clock.

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{ErrorKind, SampleFormat, StreamConfig, StreamInstant};
use cpal_alsa_mmap::{End, Options, Wakeup};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::host::{self, lock, stereo};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PERIOD: u32 = 256;
/// Frames in a ring.
const RING: u32 = 4 * PERIOD;
const FRAMES: u32 = 24_000;
/// What is recorded beyond that: silence before, between and behind.
const MORE: u64 = 24_000;
/// Longer than a ring, which is 21 ms.
const LATE: Duration = Duration::from_millis(50);

/// For the stream that shall not be late: a ring of 170 ms.
const PATIENT: Options = Options {
    periods: 32,
    priority: Some(50),
    wakeup: Wakeup::Period,
    sync_ptr: false,
    linear: false,
    packed: false,
};

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "underrun",
            "a late callback is silence of whole periods, one Xrun, no START, and only its own frames are unheard",
            underrun,
        ),
        Test(
            "overrun",
            "a late callback of a recording loses whole periods, one Xrun, no START, and tells how many",
            overrun,
        ),
        Test(
            "pause",
            "a pause is silence of whole periods, and no Xrun",
            pause,
        ),
        Test(
            "panic",
            "a callback that panics leaves silence and an error, and the card to the next stream",
            panic,
        ),
        Test(
            "times",
            "times never go back, and are those of the card's clock to a period",
            times,
        ),
    ])
}

/// Takes its time.
fn dawdle(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {}
}

/// Frames of two channels of 32 bits that count from 1.
fn counting() -> Vec<u8> {
    (1..=FRAMES)
        .flat_map(|n| [n.to_ne_bytes(), n.to_ne_bytes()].concat())
        .collect()
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(8)
        .map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// The only gap in what was heard: its place, its length, and the frames that are not heard at all.
fn one_gap(heard: &[u32]) -> Result<(usize, usize, u32), Stop> {
    let first = heard.iter().position(|&n| n != 0).unwrap_or(heard.len());
    let sound = &heard[first..];
    let end = sound.iter().rposition(|&n| n != 0).map_or(0, |at| at + 1);
    let sound = &sound[..end];
    let from = sound.iter().position(|&n| n == 0).unwrap_or(end);
    let gap = sound[from..].iter().position(|&n| n != 0).unwrap_or(0);
    let (before, after) = (&sound[..from], &sound[from + gap..]);
    let (last, next) = (from as u32, after.first().copied().unwrap_or(0));
    ensure!(before.iter().copied().eq(1..=last), "frames before the gap");
    let wrong = after
        .iter()
        .zip(next..)
        .position(|(&n, expected)| n != expected);
    ensure!(
        wrong.is_none() && after.last() == Some(&FRAMES),
        "frame {:?} at {wrong:?} of {} from {next} on, after a gap of {gap} at {from}",
        wrong.map(|at| after[at]),
        after.len()
    );
    ensure!(next > last, "frame {next} after {last}");
    Ok((from, gap, next - last - 1))
}

fn underrun() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(Options::default());
    let (config, format) = (stereo(PERIOD), SampleFormat::I32);
    let patient = host::card(PATIENT);
    let frames = u64::from(FRAMES) + MORE;
    let (recording, take) = host::record(&patient, config, format, frames, |_| {})?;
    let playing = host::play(&card, config, format, &counting(), |call| {
        if call == 30 {
            dawdle(LATE);
        }
    })?;
    let stats = playing.drained()?;
    recording.drained()?;
    recording.calm()?;
    let errors = playing.errors();
    ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
    ensure!((stats.xruns, stats.starts) == (1, 1), "{stats:?}");
    let (from, gap, unheard) = one_gap(&numbers(&lock(&take)))?;
    note(format_args!(
        "{gap} frames of silence after {from}, {unheard} unheard"
    ));
    // What the late callback wrote came too late, and no more than that.
    ensure!(
        (from as u32, unheard) == (30 * PERIOD, PERIOD),
        "{unheard} frames unheard, after {from}"
    );
    let gap = gap - PERIOD as usize;
    ensure!(gap > 0 && gap % PERIOD as usize == 0, "a gap of {gap}");
    ensure!(stats.missed == gap as u64, "{stats:?}");
    // No longer than it took: the ring was full when it began.
    let most = LATE.as_millis() as usize * 48 - (RING - PERIOD) as usize + 2 * PERIOD as usize;
    ensure!(gap <= most, "a gap of {gap} for {LATE:?}");
    ensure!(stats.worst_callback >= LATE, "{stats:?}");
    Ok(())
}

fn overrun() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(Options::default());
    let patient = host::card(PATIENT);
    let (config, format) = (stereo(PERIOD), SampleFormat::I32);
    let frames = u64::from(FRAMES);
    let (recording, take) = host::record(&card, config, format, frames, |call| {
        if call == 40 {
            dawdle(LATE);
        }
    })?;
    let playing = host::play(&patient, config, format, &counting(), |_| {})?;
    let stats = recording.drained()?;
    playing.drained()?;
    playing.calm()?;
    let errors = recording.errors();
    ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
    ensure!((stats.xruns, stats.starts) == (1, 1), "{stats:?}");
    let heard = numbers(&lock(&take));
    let sound: Vec<_> = heard.iter().copied().filter(|&n| n != 0).collect();
    let steps = sound.windows(2).map(|w| w[1].wrapping_sub(w[0]));
    let gaps: Vec<_> = steps.filter(|&step| step != 1).collect();
    note(format_args!("gaps of {gaps:?}"));
    let [step] = gaps[..] else {
        return Err(Stop::Fail(format!("gaps of {gaps:?}")));
    };
    let missed = u64::from(step) - 1;
    ensure!(
        missed > 0 && missed % u64::from(PERIOD) == 0,
        "{missed} frames missed"
    );
    ensure!(stats.missed == missed, "{stats:?}, of {missed}");
    Ok(())
}

fn pause() -> Outcome {
    pause_by(Wakeup::Period)?;
    pause_by(Wakeup::Timer)
}

fn pause_by(wakeup: Wakeup) -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(Options {
        wakeup,
        ..Options::default()
    });
    let patient = host::card(PATIENT);
    let (config, format) = (stereo(PERIOD), SampleFormat::I32);
    let frames = u64::from(FRAMES) + MORE;
    let (recording, take) = host::record(&patient, config, format, frames, |_| {})?;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let playing = host::play(&card, config, format, &counting(), move |_| {
        counted.fetch_add(1, SeqCst);
    })?;
    while calls.load(SeqCst) < 30 {}
    playing.stream.pause()?;
    // Until the ring has run dry, and on.
    let before = recording.handle.stats().played;
    while recording.handle.stats().played < before + 2 * u64::from(RING) {}
    let called = calls.load(SeqCst);
    playing.stream.play()?;
    let stats = playing.drained()?;
    recording.drained()?;
    recording.calm()?;
    playing.calm()?;
    ensure!(
        (stats.xruns, stats.missed, stats.starts) == (0, 0, 1),
        "{stats:?}"
    );
    ensure!(called <= 32, "{called} callbacks by the end of the pause");
    let (from, gap, unheard) = one_gap(&numbers(&lock(&take)))?;
    note(format_args!("{gap} frames of silence after {from}"));
    ensure!(unheard == 0, "{unheard} frames unheard");
    ensure!(gap > 0 && gap % PERIOD as usize == 0, "a gap of {gap}");
    Ok(())
}

fn panic() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(Options::default());
    let (config, format) = (stereo(PERIOD), SampleFormat::I32);
    let hook = std::panic::take_hook();
    // What it says is not for the log of this test.
    std::panic::set_hook(Box::new(|_| {}));
    let result = (|| {
        let (recording, take) = host::record(&card, config, format, 16_384, |_| {})?;
        let playing = host::play(&card, config, format, &counting(), |call| {
            assert!(call != 10, "as the test wants it");
        })?;
        let end = playing.handle.wait(Duration::from_secs(60));
        recording.drained()?;
        ensure!(end == Some(End::Failed), "{end:?}");
        let errors = playing.errors();
        ensure!(errors == [ErrorKind::StreamInvalidated], "{errors:?}");
        let heard = numbers(&lock(&take));
        let sound = heard.iter().copied().filter(|&n| n != 0);
        let last = sound.max().unwrap_or(0);
        ensure!(
            last <= 10 * PERIOD,
            "frame {last}, of the callback that panicked"
        );
        ensure!(
            playing.stream.play().is_err(),
            "a stream that has ended plays"
        );
        Ok(())
    })();
    std::panic::set_hook(hook);
    result?;
    // The card is as good as before.
    host::play(&card, config, format, &counting(), |_| {})?.drained()?;
    Ok(())
}

fn times() -> Outcome {
    type Times = Arc<Mutex<Vec<(StreamInstant, StreamInstant)>>>;
    let card = host::card(Options::default());
    let config = StreamConfig {
        channels: 2,
        ..stereo(PERIOD)
    };
    let times = Times::default();
    let kept = times.clone();
    let stream = card.build_output_stream(
        config,
        move |_: &mut [i16], info: &cpal::OutputCallbackInfo| {
            let time = info.timestamp();
            let mut kept = kept.lock().expect("the test alone");
            kept.push((time.callback, time.playback));
        },
        |_| {},
        None,
    )?;
    let handle = stream.handle();
    handle.finish_at(FRAMES.into());
    stream.play()?;
    handle.wait(Duration::from_secs(60));
    let times = times.lock().map_err(|_| Stop::Fail("poisoned".into()))?;
    ensure!(
        times.len() == FRAMES.div_ceil(PERIOD) as usize,
        "{}",
        times.len()
    );
    let period = Duration::from_nanos(u64::from(PERIOD) * 1_000_000_000 / 48_000);
    // The ones of the first ring are of before the start.
    for pair in times[RING as usize / PERIOD as usize..].windows(2) {
        let [(seen, heard), (seen_next, heard_next)] = [pair[0], pair[1]];
        let step = heard_next.duration_since(heard);
        ensure!(seen_next >= seen && heard >= seen, "{pair:?}");
        let off = step.max(period).saturating_sub(step.min(period));
        ensure!(off < period, "a step of {step:?}");
    }
    Ok(())
}
