// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams that a fault happens to, and what is demanded of a card in the end.

use crate::host;
use cpal_alsa_mmap::sys::{Access, Pcm, State, SwParams};
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Changes, Control, Interface};
use sgring_suite::ensure;
use sgring_suite::fate::Fate;
use sgring_suite::fork::Child;
use sgring_suite::kmsg::Watch;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{Outcome, Stop, expect, note};
use sgring_suite::window::Window;
use std::fs;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Frames of a period, 10 ms.
pub const PERIOD: u64 = 480;
/// Frames of a burst, 1 ms: how old a position is at most.
pub const BURST: u64 = 48;

/// How a client gets at the ring, and in which direction it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Written,
    Mapped,
    Read,
    MappedCapture,
}

impl How {
    pub const ALL: [Self; 4] = [Self::Written, Self::Mapped, Self::Read, Self::MappedCapture];
    /// One of each direction.
    pub const BOTH: [Self; 2] = [Self::Mapped, Self::Read];

    pub fn plays(self) -> bool {
        matches!(self, Self::Written | Self::Mapped)
    }

    fn maps(self) -> bool {
        matches!(self, Self::Mapped | Self::MappedCapture)
    }
}

/// 48 kHz stereo in a ring of `periods` periods of 10 ms.
pub fn config(how: How, periods: u32) -> Config {
    Config {
        access: match how.maps() {
            true => Access::MmapInterleaved,
            false => Access::RwInterleaved,
        },
        ..Config::stereo(PERIOD as u32, periods)
    }
}

/// A stream with its ring, which is mapped and touched where it can be.
pub struct Stream {
    pub how: How,
    pub config: Config,
    pub pcm: Pcm,
    pub window: Option<Window>,
}

impl Stream {
    /// Prepared, with a full ring where it plays. An xrun stops it.
    pub fn prepared(how: How, periods: u32) -> Result<Self, Stop> {
        Self::with(how, config(how, periods))
    }

    pub fn with(how: How, config: Config) -> Result<Self, Stop> {
        let pcm = match how.plays() {
            true => card::open()?,
            false => card::open_capture()?,
        };
        let pcm = config.prepare_on(pcm)?;
        let window = match how.maps() {
            true => Some(config.map(&pcm)?),
            false => None,
        };
        let stream = Self {
            how,
            config,
            pcm,
            window,
        };
        stream.fill()?;
        Ok(stream)
    }

    /// A whole ring, of silence, to a stream that was prepared.
    pub fn fill(&self) -> Outcome {
        self.touch();
        match self.how {
            How::Written => {
                self.pcm.writei(&vec![0; self.config.bytes()])?;
            }
            How::Mapped => card::commit(&self.pcm, self.config.frames())?,
            How::Read | How::MappedCapture => {}
        }
        Ok(())
    }

    /// Running; an xrun stops it.
    pub fn running(how: How, periods: u32) -> Result<Self, Stop> {
        let stream = Self::prepared(how, periods)?;
        stream.pcm.start()?;
        Ok(stream)
    }

    /// Running on, whatever the client does.
    pub fn endless(how: How, periods: u32) -> Result<Self, Stop> {
        let stream = Self::prepared(how, periods)?;
        stream.pcm.sw_params(&SwParams::free_running(PERIOD))?;
        stream.pcm.start()?;
        Ok(stream)
    }

    /// Every page of the mapping.
    pub fn touch(&self) {
        if let Some(window) = &self.window {
            window.touch();
            if self.how.plays() {
                window.set_stamp(0, 0);
            }
        }
    }

    pub fn position(&self) -> io::Result<u64> {
        Ok(self.pcm.status()?.hw_ptr)
    }

    pub fn expect_state(&self, expected: State) -> Outcome {
        let state = self.pcm.status()?.state;
        ensure!(
            state == expected,
            "{:?}: {state:?}, not {expected:?}",
            self.how
        );
        Ok(())
    }

    /// A period handed over, by whichever call it is.
    fn transfer(&self, sound: &mut [u8]) -> io::Result<usize> {
        match self.how.plays() {
            true => self.pcm.writei(sound),
            false => self.pcm.readi(sound),
        }
    }

    /// Writes or reads until that fails with `expected`, which it does within a ring or two. Only of a stream
    /// that is not mapped.
    pub fn fails(&self, expected: i32) -> Outcome {
        let mut sound = vec![0; PERIOD as usize * 4];
        let start = Instant::now();
        let most = Duration::from_secs(1) + 3 * self.length();
        loop {
            let result = self.transfer(&mut sound);
            let took = start.elapsed();
            ensure!(took < most, "{:?}: {result:?} after {took:?}", self.how);
            if result.is_err() {
                return expect(format!("{:?} after {took:?}", self.how), result, expected);
            }
        }
    }

    /// How long the ring is.
    fn length(&self) -> Duration {
        Duration::from_millis(self.config.frames() / BURST)
    }

    /// Waits until it is in an xrun, three periods at most.
    pub fn xruns(&self) -> Outcome {
        let start = Instant::now();
        while self.pcm.status()?.state == State::Running {
            let took = start.elapsed();
            ensure!(
                took < Duration::from_millis(30),
                "{:?}: running after {took:?}",
                self.how
            );
        }
        self.expect_state(State::Xrun)?;
        let events = self.pcm.poll(Some(Duration::ZERO))?;
        ensure!(
            events & libc::POLLERR != 0,
            "{:?}: poll() says {events:#x}",
            self.how
        );
        Ok(())
    }

    /// Nothing but PREPARE is needed: it plays or records a ring, and all of it.
    pub fn heal(&self) -> Outcome {
        let pcm = &self.pcm;
        self.touch();
        // Away from whatever it is in, as a client does that starts anew.
        pcm.drop_frames()?;
        pcm.sw_params(&SwParams {
            start_threshold: i64::MAX as u64,
            ..SwParams::new(self.config.frames(), PERIOD)
        })?;
        pcm.prepare()?;
        self.expect_state(State::Prepared)?;
        ensure!(self.position()? == 0, "at {}", self.position()?);
        self.fill()?;
        pcm.start()?;
        if self.how.plays() {
            pcm.drain()?;
            let (end, frames) = (pcm.status()?, self.config.frames());
            ensure!(
                end.state == State::Setup && end.hw_ptr == frames,
                "{:?}: {:?} at {} of {frames}",
                self.how,
                end.state,
                end.hw_ptr
            );
        } else {
            let events = pcm.poll(Some(Duration::from_secs(1)))?;
            let now = pcm.status()?;
            ensure!(
                events == libc::POLLIN && now.state == State::Running && now.hw_ptr >= PERIOD,
                "{:?}: {events:#x}, {:?} at {}",
                self.how,
                now.state,
                now.hw_ptr
            );
            pcm.drop_frames()?;
        }
        Ok(())
    }
}

/// A child that is in a call on a stream: 0 when that ends with the errno `expected`; 0 is success.
pub fn waiting(
    what: &'static str,
    expected: i32,
    call: impl FnOnce() -> io::Result<()>,
) -> io::Result<Child> {
    Child::spawn(move || match expect(what, call(), expected) {
        Ok(()) => 0,
        Err(stop) => {
            note(format_args!("{stop:?}"));
            1
        }
    })
}

/// Waits until a child waits in its call.
pub fn waits(child: &Child) -> Outcome {
    while !child.waits_in(libc::SYS_ioctl)? {
        ensure!(
            !child.ends_within(Duration::ZERO)?,
            "its call was over before anything happened"
        );
        std::thread::yield_now();
    }
    Ok(())
}

/// Noise, another one each time, all of one seed, which is printed.
pub fn noise(frames: usize) -> Vec<u8> {
    static SOUNDS: AtomicU64 = AtomicU64::new(1);
    let mut bytes = vec![0; frames * 4];
    random(SOUNDS.fetch_add(1, Ordering::Relaxed)).fill(&mut bytes);
    bytes[0] |= 1;
    bytes
}

/// Stream `number` of this run's seed.
pub fn random(number: u64) -> Random {
    static SEED: OnceLock<Random> = OnceLock::new();
    SEED.get_or_init(Random::new).branch(number)
}

/// Plays a second of noise through the loopback and demands every bit of it; `deed` is done while it plays, and may
/// ask the host for something twice or so.
pub fn exact_while(deed: impl FnOnce(&Pcm) -> Outcome) -> Outcome {
    exact_for(48_000, deed)
}

fn exact_for(frames: usize, deed: impl FnOnce(&Pcm) -> Outcome) -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let config = config(How::Written, 200);
    let played = noise(frames);
    let capture = config.prepare_on(card::open_capture()?)?;
    let playback = config.prepare()?;
    for (what, pcm) in [("playback", &playback), ("capture", &capture)] {
        let number = pcm.info()?.subdevice;
        ensure!(number == 0, "{what} is substream {number}");
    }
    playback.writei(&played)?;
    capture.start()?;
    playback.start()?;
    deed(&playback)?;
    playback.drain()?;
    let end = playback.status()?;
    ensure!(end.hw_ptr == frames as u64, "ends at {}", end.hw_ptr);
    let mut recorded = vec![0xa5; 4 * (frames + 1000)];
    let mut done = 0;
    while done < recorded.len() {
        done += 4 * capture.readi(&mut recorded[done..])?;
    }
    expect_played(&recorded, &played)
}

/// The card works: what is played is heard, to the bit.
pub fn exact() -> Outcome {
    exact_for(9600, |_| Ok(()))
}

/// Waits for news of the element `numid`.
fn told(changes: &Changes, numid: u32) -> Outcome {
    let start = Instant::now();
    loop {
        match changes.next()? {
            Some(seen) if seen == numid => return Ok(()),
            Some(_) => {}
            None => {
                let took = start.elapsed();
                ensure!(took < Duration::from_secs(5), "no news of element {numid}");
                std::thread::yield_now();
            }
        }
    }
}

/// Controls are set and told of, jacks seen, and `/proc/asound` answers: whatever a stream suffers.
pub fn answers() -> Outcome {
    let changes = Changes::new()?;
    let volume = Control::named(Interface::Mixer, "PCM Playback Volume", 3)?;
    let before = volume.get_all(2)?;
    volume.set_all(&[before[0] - 4, before[1]])?;
    told(&changes, volume.info()?.numid)?;
    volume.set_all(&before)?;
    told(&changes, volume.info()?.numid)?;

    let jack = Control::named(Interface::Card, "Line Jack", 0)?;
    let plugged = jack.get()? == 0;
    host::set(format_args!("jack1 {plugged}"))?;
    told(&changes, jack.info()?.numid)?;
    ensure!(
        jack.get()? == u32::from(plugged),
        "the jack is not {plugged}"
    );
    status()
}

/// `/proc/asound` is readable.
pub fn status() -> Outcome {
    let said = fs::read_to_string("/proc/asound/sgring/pcm0p/sub0/status")?;
    ensure!(
        said.starts_with("state: ") || said.starts_with("closed"),
        "{said}"
    );
    fs::read_to_string("/proc/asound/sgring/sgring")?;
    Ok(())
}

/// The card's own position of a stream, such as `playback 0`.
pub fn frame(stream: &str) -> Result<u64, Stop> {
    Fate::of(stream)?.count("frame")
}

/// What ends each test: the kernel has said nothing, or a few lines, and the card plays, to the bit.
pub fn well(mut watch: Watch) -> Outcome {
    answers()?;
    exact()?;
    card::plays()?;
    quiet(&mut watch)
}

/// No alarm in the kernel's log, and no flood: a fault is told once, if at all.
pub fn quiet(watch: &mut Watch) -> Outcome {
    const MOST: usize = 24;
    let mut lines = watch.lines()?;
    // Of the PCI core, when it looks for devices: a line for each BAR.
    lines.retain(|line| !line.starts_with("pci "));
    ensure!(
        lines.len() <= MOST,
        "{} lines in the kernel's log, such as {:?}",
        lines.len(),
        &lines[..MOST]
    );
    let alarms = Watch::alarms(&lines);
    ensure!(alarms.is_empty(), "the kernel says: {}", alarms.join("\n"));
    Ok(())
}

/// Lets a fault last.
pub fn last(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
