// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card under test and its PCM in the form that a test wants.

use crate::ensure;
use crate::tap::Outcome;
use crate::window::{Window, page};
use cpal_alsa_mmap::sys::{
    Access, Direction, Format, HwParams, OpenOptions, Param, Pcm, State, SwParams, SyncRequest,
};
use std::fs;
use std::io;
use std::path::PathBuf;

/// The card's identifier in ALSA.
const ID: &str = "sgring";

/// The card's number.
///
/// # Errors
///
/// `NotFound` without such a card.
pub fn number() -> io::Result<u32> {
    let link = fs::read_link(format!("/proc/asound/{ID}"))?;
    link.to_str()
        .and_then(|name| name.strip_prefix("card")?.parse().ok())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The card's PCI device, in /sys/devices.
///
/// # Errors
///
/// As [`number`].
pub fn pci_device() -> io::Result<PathBuf> {
    fs::canonicalize(format!("/sys/class/sound/card{}/device", number()?))
}

/// Opens the playback PCM.
///
/// # Errors
///
/// The errno of `open(2)`.
pub fn open() -> io::Result<Pcm> {
    open_with(OpenOptions::default())
}

/// Opens the playback PCM as `options` say.
///
/// # Errors
///
/// The errno of `open(2)`.
pub fn open_with(options: OpenOptions) -> io::Result<Pcm> {
    Pcm::open(number()?, 0, Direction::Playback, options)
}

/// Opens the capture PCM.
///
/// # Errors
///
/// The errno of `open(2)`.
pub fn open_capture() -> io::Result<Pcm> {
    Pcm::open(number()?, 0, Direction::Capture, OpenOptions::default())
}

/// Bytes of the largest ring that the card offers.
///
/// # Errors
///
/// The errno of `open(2)` or HW_REFINE.
pub fn largest_ring() -> io::Result<usize> {
    let mut params = HwParams::any();
    open()?.hw_refine(&mut params)?;
    Ok(params.range(Param::BufferBytes).max as usize)
}

/// A configuration: S16, interleaved, everything else as said.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How the ring is filled.
    pub access: Access,
    /// Frames per second.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u32,
    /// Frames.
    pub period: u32,
    /// Periods in the ring.
    pub periods: u32,
    /// `HW_PARAMS_*`.
    pub flags: u32,
}

impl Config {
    /// 48 kHz mono in a mapped ring of `pages` pages. Mono, because the kernel takes `write()` for it in any
    /// access mode, so that one ring can be filled both ways.
    ///
    /// # Panics
    ///
    /// With fewer than two pages.
    #[must_use]
    pub fn of_pages(pages: usize) -> Self {
        assert!(pages >= 2, "a ring has two periods");
        let period = u32::try_from(page() / 2).expect("a page is small");
        let periods = u32::try_from(pages).expect("a ring is small");
        Self {
            access: Access::MmapInterleaved,
            rate: 48_000,
            channels: 1,
            period,
            periods,
            flags: 0,
        }
    }

    /// 48 kHz stereo, written, `periods` periods of `period` frames.
    #[must_use]
    pub fn stereo(period: u32, periods: u32) -> Self {
        Self {
            access: Access::RwInterleaved,
            rate: 48_000,
            channels: 2,
            period,
            periods,
            flags: 0,
        }
    }

    /// 8 kHz stereo, written, a ring of 240 ms: for streams that must not have an xrun, on machines whose host
    /// may hold them up for a while.
    #[must_use]
    pub fn patient() -> Self {
        Self {
            rate: 8_000,
            ..Self::stereo(240, 8)
        }
    }

    /// Frames in the ring.
    #[must_use]
    pub fn frames(&self) -> u64 {
        u64::from(self.period) * u64::from(self.periods)
    }

    /// Bytes of a frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        2 * self.channels as usize
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames() as usize * self.frame_bytes()
    }

    /// Pages of the ring, the last one counted whole.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.bytes().div_ceil(page())
    }

    /// The parameters to ask for.
    #[must_use]
    pub fn hw_params(&self) -> HwParams {
        let mut params = HwParams::any();
        params.set_access(&[self.access]);
        params.set_formats(&[Format::S16Le]);
        params.set(Param::Channels, self.channels);
        params.set(Param::Rate, self.rate);
        params.set(Param::PeriodSize, self.period);
        params.set(Param::Periods, self.periods);
        params.set_flags(self.flags);
        params
    }

    /// Applies it to `pcm`: state SETUP.
    ///
    /// # Errors
    ///
    /// The errno of `hw_params`.
    pub fn apply(&self, pcm: &Pcm) -> io::Result<()> {
        pcm.hw_params(&mut self.hw_params())
    }

    /// Opens the card and applies it.
    ///
    /// # Errors
    ///
    /// The errno of either.
    pub fn open(&self) -> io::Result<Pcm> {
        let pcm = open()?;
        self.apply(&pcm)?;
        Ok(pcm)
    }

    /// Opens, applies, sets that nothing starts by itself, prepares. An xrun stops the stream.
    ///
    /// # Errors
    ///
    /// The errno of any of them.
    pub fn prepare(&self) -> io::Result<Pcm> {
        self.prepare_on(open()?)
    }

    /// As [`Self::prepare`], on a PCM that was just opened.
    ///
    /// # Errors
    ///
    /// The errno of any of them.
    pub fn prepare_on(&self, pcm: Pcm) -> io::Result<Pcm> {
        self.apply(&pcm)?;
        let mut params = SwParams::new(self.frames(), u64::from(self.period));
        params.start_threshold = i64::MAX as u64;
        pcm.sw_params(&params)?;
        pcm.prepare()?;
        Ok(pcm)
    }

    /// Maps the whole ring of `pcm`.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn map(&self, pcm: &Pcm) -> io::Result<Window> {
        Window::new(pcm, 0, self.pages())
    }
}

/// Announces everything up to position `frames` as written to the mapped ring.
///
/// # Errors
///
/// The errno of SYNC_PTR.
pub fn commit(pcm: &Pcm, frames: u64) -> io::Result<()> {
    pcm.sync_ptr(SyncRequest {
        appl_ptr: Some(frames),
        ..SyncRequest::default()
    })?;
    Ok(())
}

/// Plays a ring and a half of silence from open to close.
///
/// # Errors
///
/// A failure that says what went wrong.
pub fn plays() -> Outcome {
    let config = Config::patient();
    let pcm = config.prepare()?;
    pcm.writei(&vec![0; config.bytes()])?;
    pcm.start()?;
    pcm.writei(&vec![0; config.bytes() / 2])?;
    pcm.drain()?;
    let (end, expected) = (pcm.status()?, config.frames() * 3 / 2);
    ensure!(
        end.state == State::Setup,
        "state {:?} after playing",
        end.state
    );
    ensure!(
        end.hw_ptr == expected,
        "played to {}, not {expected}",
        end.hw_ptr
    );
    Ok(())
}
