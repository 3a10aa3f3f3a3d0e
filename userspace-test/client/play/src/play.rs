// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file, one stream.
//!
//! The decoder runs ahead by a queue of four seconds beyond what the ring takes, and the stream
//! starts when the ring's worth and one second are there: enough for the audio thread never to
//! wait for the decoder, little enough to begin at once on a machine that decodes slowly, and
//! bounded whatever the file's length.

use crate::decode::{self, Decoded, Kind, Output, Source, Spread};
use crate::mix::Mix;
use crate::progress::{Display, say, tell, time};
use crate::{Arguments, Progress};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, SampleFormat, StreamConfig};
use cpal_alsa_mmap::{End, Handle, Options, RingDevice, RingHost, Stats};
use rtrb::Consumer;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Seconds of audio in the queue.
const QUEUE: usize = 4;

/// Between two looks at a stream.
const TICK: Duration = Duration::from_millis(100);

/// A card that has not moved for so many ticks is stuck: ten seconds.
const STUCK: u32 = 100;

/// Lists the cards.
pub(crate) fn list() -> Result<u8, String> {
    let devices = RingHost::default().devices().map_err(|e| e.to_string())?;
    let mut some = false;
    for device in devices {
        some = true;
        say(format_args!("{device}"));
        match device.supported_output_configs() {
            Ok(configs) => {
                for config in configs {
                    let (low, high) = (config.min_sample_rate(), config.max_sample_rate());
                    let rates = if low == high {
                        low.to_string()
                    } else {
                        format!("{low} to {high}")
                    };
                    let channels = config.channels();
                    say(format_args!(
                        "  {} x {channels}, {rates} Hz, {:?}",
                        config.sample_format(),
                        config.buffer_size()
                    ));
                }
            }
            Err(error) => say(format_args!("  {error}")),
        }
    }
    if some {
        Ok(0)
    } else {
        Err("there is no ALSA playback device".into())
    }
}

fn find(name: Option<&str>, options: Options) -> Result<RingDevice, String> {
    match name {
        Some(name) => {
            let address = name.parse().map_err(|e| format!("{e}"))?;
            Ok(RingDevice::new(address, options))
        }
        None => RingHost::new(options)
            .default_output_device()
            .ok_or_else(|| "there is no ALSA playback device".into()),
    }
}

/// How a file's samples go to the card.
#[derive(Clone, Debug)]
struct Route {
    format: SampleFormat,
    channels: u16,
    spread: Spread,
}

/// The ways for a file's channels to the card's, the best first.
fn spreads(source: &Source) -> Vec<(u16, Spread)> {
    let as_they_are = (source.channels, Spread::Copies(1));
    match source.channels {
        0 | 2 => vec![as_they_are],
        1 => vec![as_they_are, (2, Spread::Copies(2))],
        // cpal cannot say which channel is for which speaker, and files and cards have them in different
        // orders: mixed, each is heard where it belongs.
        _ => Mix::new(source.places)
            .map(|mix| (2, Spread::Mix(mix)))
            .into_iter()
            .chain([as_they_are])
            .collect(),
    }
}

/// The narrowest way that keeps every bit.
fn route(source: &Source, device: &cpal::Device) -> Result<Route, String> {
    let configs: Vec<_> = device
        .supported_output_configs()
        .map_err(|e| e.to_string())?
        .collect();
    if configs.is_empty() {
        return Err(format!("{device} offers no memory-mapped interleaved ring"));
    }
    let formats: &[SampleFormat] = match source.kind {
        Kind::Integer(..=16) => &[SampleFormat::I16, SampleFormat::I32],
        Kind::Integer(_) => &[SampleFormat::I32],
        Kind::Float => &[SampleFormat::F32],
        Kind::Lossy => &[SampleFormat::F32, SampleFormat::I32, SampleFormat::I16],
    };
    let spreads = spreads(source);
    // Each thing by itself, so that the message names the one that is missing.
    let has =
        |wanted: &dyn Fn(&cpal::SupportedStreamConfigRange) -> bool| configs.iter().any(wanted);
    if !has(&|c| formats.contains(&c.sample_format())) {
        let what = match source.kind {
            Kind::Integer(bits) => format!("whole numbers of {bits} bits"),
            Kind::Float => "floating point".into(),
            Kind::Lossy => "a decoder's".into(),
        };
        return Err(format!(
            "the file's samples are {what}, which {device} cannot take as they are"
        ));
    }
    if !has(&|c| spreads.iter().any(|s| s.0 == c.channels())) {
        return Err(format!(
            "the file has {} channels, which {device} cannot play, and they cannot be mixed down: \
             their places are not known",
            source.channels
        ));
    }
    let fits = |c: &cpal::SupportedStreamConfigRange| {
        (c.min_sample_rate()..=c.max_sample_rate()).contains(&source.rate)
    };
    if !has(&fits) {
        let low = configs.iter().map(|c| c.min_sample_rate()).min();
        let high = configs.iter().map(|c| c.max_sample_rate()).max();
        return Err(format!(
            "the file has {} frames per second, and {device} plays {} to {}",
            source.rate,
            low.unwrap_or(0),
            high.unwrap_or(0)
        ));
    }
    for (channels, spread) in &spreads {
        for &format in formats {
            if has(&|c| c.sample_format() == format && c.channels() == *channels && fits(c)) {
                return Ok(Route {
                    format,
                    channels: *channels,
                    spread: spread.clone(),
                });
            }
        }
    }
    Err(format!(
        "{device} cannot play {} channels at {} frames per second in the file's format",
        source.channels, source.rate
    ))
}

/// What the threads of one stream share.
#[derive(Default)]
struct Common {
    /// The stream's handle, before it plays.
    handle: OnceLock<Handle>,
    /// The decoder has put its last sample into the queue.
    decoded: AtomicBool,
    /// The decoder shall end.
    cancel: AtomicBool,
    /// Frames for which the decoder came too late.
    starved: AtomicU64,
    /// What was handed over, when all of it was.
    digest: OnceLock<u128>,
    /// What the error callback was told last, underruns aside.
    error: Mutex<Option<cpal::Error>>,
}

/// The audio thread's part.
struct Feed<T> {
    /// Comes before the stream plays, when the ring's size is known.
    incoming: mpsc::Receiver<Consumer<T>>,
    queue: Option<Consumer<T>>,
    channels: usize,
    /// Frames asked for.
    frames: u64,
    /// Of all that was handed over; `None` if nobody wants to know.
    digest: Option<Box<Xxh3>>,
    common: Arc<Common>,
}

impl<T: Output> Feed<T> {
    fn fill(&mut self, window: &mut [T]) {
        // In this order: what was decoded before the flag was set is in the queue.
        let decoded = self
            .common
            .decoded
            .load(std::sync::atomic::Ordering::Acquire);
        if self.queue.is_none() {
            self.queue = self.incoming.try_recv().ok();
        }
        let Some(queue) = &mut self.queue else {
            return;
        };
        let ready = queue.slots().min(window.len());
        if let Ok(chunk) = queue.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            let (head, tail) = window[..ready].split_at_mut(first.len());
            head.copy_from_slice(first);
            tail.copy_from_slice(second);
            chunk.commit_all();
            if let Some(digest) = &mut self.digest {
                T::digest(&window[..ready], digest);
            }
        }
        let missing = (window.len() - ready).div_ceil(self.channels) as u64;
        self.frames += (window.len() / self.channels) as u64;
        if decoded && queue.is_empty() {
            if let Some(digest) = &self.digest {
                // Set once: nothing comes after the end.
                let _ = self.common.digest.set(digest.digest128());
            }
            if let Some(handle) = self.common.handle.get() {
                handle.finish_at(self.frames - missing);
            }
        } else if missing > 0 {
            self.common.starved.fetch_add(missing, Relaxed);
        }
    }
}

/// Plays `file`. Returns the exit status, or why there is nothing to play or to play on.
pub(crate) fn play(arguments: &Arguments, file: &Path) -> Result<u8, String> {
    // Before anything else: an interrupt ends the stream as it should from here on.
    let signal = Arc::new(AtomicUsize::new(0));
    // A second one ends the process, whatever it waits for.
    let again = Arc::new(AtomicBool::new(false));
    for number in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&again))
            .and_then(|_| flag::register(number, Arc::clone(&again)))
            .and_then(|_| flag::register_usize(number, Arc::clone(&signal), number as usize))
            .map_err(|e| format!("signal handler: {e}"))?;
    }
    let source = decode::open(file)?;
    let options = Options {
        periods: arguments.periods,
        priority: (arguments.priority > 0).then_some(arguments.priority),
        sync_ptr: arguments.sync_ptr,
        linear: arguments.linear,
        ..Options::default()
    };
    let ring = find(arguments.device.as_deref(), options)?;
    let device = ring.clone().into_device();
    let route = route(&source, &device).map_err(|e| format!("{}: {e}", file.display()))?;
    let format = route.format;
    let player = Player {
        arguments,
        source,
        ring,
        device,
        route,
        signal,
    };
    match format {
        SampleFormat::I16 => player.run::<i16>(file),
        SampleFormat::I32 => player.run::<i32>(file),
        _ => player.run::<f32>(file),
    }
}

/// All that it takes to play.
struct Player<'a> {
    arguments: &'a Arguments,
    source: Source,
    ring: RingDevice,
    device: cpal::Device,
    route: Route,
    /// The last signal.
    signal: Arc<AtomicUsize>,
}

impl Player<'_> {
    fn run<T: Output>(self, file: &Path) -> Result<u8, String> {
        let Route {
            channels, spread, ..
        } = self.route.clone();
        let (rate, total) = (self.source.rate, self.source.frames);
        let per_second = rate as usize * usize::from(channels);
        let common = Arc::new(Common::default());
        let (outgoing, incoming) = mpsc::sync_channel(1);
        let feed = Feed::<T> {
            incoming,
            queue: None,
            channels: channels.into(),
            frames: 0,
            digest: self.arguments.digest.then(Box::default),
            common: common.clone(),
        };
        let stream = self.open(feed, rate, &common)?;
        let handle = self.ring.handle().ok_or("the host built no stream")?;
        // Nobody else sets it.
        let _ = common.handle.set(handle.clone());
        let ring = handle.ring_frames() as usize * usize::from(channels);
        let room = ring + QUEUE * per_second;
        let (mut producer, queue) = rtrb::RingBuffer::new(room);
        // There is room for one.
        let _ = outgoing.try_send(queue);

        let how = self.arguments.progress.unwrap_or_else(|| {
            if std::io::stderr().is_terminal() {
                Progress::Bar
            } else {
                Progress::Plain
            }
        });
        let mut display = Display::new(how, rate, total);
        if how != Progress::Json {
            let period = stream.buffer_size().map_err(|e| e.to_string())?;
            tell(format_args!(
                "{}: {rate} Hz, {} channels{}, {} on {}, periods of {period} frames",
                file.display(),
                self.source.channels,
                total.map_or(String::new(), |t| format!(", {}", time(t, rate))),
                self.route.format,
                self.device,
            ));
            if let Spread::Mix(mix) = &spread {
                tell(format_args!(
                    "{} channels are mixed down to two: {mix}",
                    self.source.channels
                ));
            }
        }

        // The decoder says when there is enough to start, and how it ended.
        let (ready, enough) = mpsc::channel();
        let (decoder_common, source) = (common.clone(), self.source);
        let decoder = std::thread::Builder::new()
            .name("decode".into())
            .spawn(move || -> Decoded {
                let mut ready = Some(ready);
                let result = source.run(&mut producer, &spread, &decoder_common.cancel, |queue| {
                    // One word, and the channel is closed.
                    if room - queue.slots() >= ring + per_second {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                });
                decoder_common
                    .decoded
                    .store(true, std::sync::atomic::Ordering::Release);
                result
            })
            .map_err(|e| format!("no thread: {e}"))?;
        // An error means that the decoder has ended: with a short file, or with its own error.
        while let Err(mpsc::RecvTimeoutError::Timeout) = enough.recv_timeout(TICK) {
            if self.signal.load(Relaxed) != 0 {
                break;
            }
        }

        let mut outcome = match self.signal.load(Relaxed) {
            0 => match stream.play() {
                Ok(()) => watch(&handle, &self.signal, &mut display),
                Err(error) => Outcome::Error(error.to_string()),
            },
            number => Outcome::Signal(number),
        };
        common.cancel.store(true, Relaxed);
        // Stops the card if it still runs, and ends the audio thread.
        drop(stream);
        let decoded = match decoder.join() {
            Ok(decoded) => decoded,
            Err(_) => Err("the decoder panicked".into()),
        };
        let stats = handle.stats();
        if let Outcome::Ended(_) = outcome {
            if let Err(error) = &decoded {
                outcome = Outcome::Error(format!("{}: {error}", file.display()));
            }
        }
        Ok(conclude(
            outcome,
            &decoded,
            &stats,
            &common,
            rate,
            &mut display,
        ))
    }

    fn open<T: Output>(
        &self,
        mut feed: Feed<T>,
        rate: u32,
        common: &Arc<Common>,
    ) -> Result<cpal::Stream, String> {
        let config = StreamConfig {
            channels: self.route.channels,
            sample_rate: rate,
            buffer_size: self
                .arguments
                .period
                .map_or(BufferSize::Default, BufferSize::Fixed),
        };
        let errors = common.clone();
        self.device
            .build_output_stream(
                config,
                move |window: &mut [T], _: &_| feed.fill(window),
                move |error: cpal::Error| match error.kind() {
                    // The counters have them.
                    cpal::ErrorKind::Xrun => {}
                    cpal::ErrorKind::RealtimeDenied => {
                        tell(format_args!("sgring-play: {error}"));
                    }
                    _ => {
                        // The stream has ended: no harm in a lock.
                        let mut last = errors.error.lock().unwrap_or_else(PoisonError::into_inner);
                        *last = Some(error);
                    }
                },
                None,
            )
            .map_err(|error| match error.kind() {
                cpal::ErrorKind::UnsupportedConfig => format!("{}: {error}", self.device),
                _ => error.to_string(),
            })
    }
}

/// How the watch ended.
enum Outcome {
    Ended(End),
    Signal(usize),
    Error(String),
}

/// Shows the stream until it ends, gets stuck, or a signal comes.
fn watch(handle: &Handle, signal: &AtomicUsize, display: &mut Display) -> Outcome {
    let (mut played, mut still) = (0, 0);
    loop {
        let ended = handle.wait(TICK);
        let stats = handle.stats();
        match (ended, signal.load(Relaxed)) {
            (Some(end), _) => return Outcome::Ended(end),
            (None, 0) => {}
            (None, number) => return Outcome::Signal(number),
        }
        display.show(&stats);
        still = if stats.played == played { still + 1 } else { 0 };
        played = stats.played;
        if still >= STUCK {
            return Outcome::Error(format!(
                "the card has stood still at frame {played} for {} s",
                (TICK * STUCK).as_secs()
            ));
        }
    }
}

/// The last words, and the exit status.
fn conclude(
    outcome: Outcome,
    decoded: &Decoded,
    stats: &Stats,
    common: &Common,
    rate: u32,
    display: &mut Display,
) -> u8 {
    let starved = common.starved.load(Relaxed);
    let error = common
        .error
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let (end, trouble, status) = match outcome {
        Outcome::Signal(number) => {
            let at = format!("interrupted at {}", time(stats.played, rate));
            ("interrupted", Some(at), 128 + number as u8)
        }
        Outcome::Error(error) => ("failed", Some(error), 1),
        Outcome::Ended(End::Drained) => {
            let trouble = if stats.xruns > 0 {
                Some(format!(
                    "{} underruns, {} frames of silence",
                    stats.xruns, stats.missed
                ))
            } else if starved > 0 {
                Some(format!("the decoder was late by {starved} frames"))
            } else if decoded.as_ref().is_ok_and(|&frames| frames != stats.frames) {
                Some(format!("only {} frames were handed over", stats.frames))
            } else {
                None
            };
            let status = u8::from(trouble.is_some());
            ("played", trouble, status)
        }
        Outcome::Ended(_) => {
            let why = error.map_or_else(|| "the stream ended".into(), |e| e.to_string());
            ("failed", Some(why), 1)
        }
    };
    display.show(stats);
    display.summary(end, stats, common.digest.get().copied(), trouble.as_deref());
    if let Some(trouble) = trouble {
        tell(format_args!("sgring-play: {trouble}"));
    }
    status
}
