// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card through OSS emulation (linux/soundcard.h), as programs of that time use it.
#![allow(unsafe_code)]

use crate::window::Window;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;

/// `AFMT_S16_LE`
pub const S16_LE: i32 = 0x10;

const RESET: u32 = 0x5000;
const SPEED: u32 = 0xc004_5002;
const SETFMT: u32 = 0xc004_5005;
const CHANNELS: u32 = 0xc004_5006;
const SETFRAGMENT: u32 = 0xc004_500a;
const GETOSPACE: u32 = 0x8010_500c;
const SETTRIGGER: u32 = 0x4004_5010;
const GETOPTR: u32 = 0x800c_5012;
/// `PCM_ENABLE_OUTPUT`
const OUTPUT: i32 = 2;

/// `/dev/dsp`, open for both directions: only so can its playback be mapped for writing.
#[derive(Debug)]
pub struct Dsp(File);

impl Dsp {
    /// Loads OSS emulation, where it is a module, and opens the card.
    ///
    /// # Errors
    ///
    /// As for running modprobe and for `open(2)`.
    pub fn open() -> io::Result<Self> {
        // Where it is built in there is nothing to load: what counts is whether there is a device.
        let _ = Command::new("modprobe").arg("snd-pcm-oss").output()?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/dsp")
            .map(Self)
    }

    fn call<T>(&self, request: u32, argument: &mut T) -> io::Result<()> {
        // SAFETY: The request was made of this argument's size, or has none.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                request as libc::Ioctl,
                std::ptr::from_mut(argument),
            )
        };
        match result {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn set(&self, request: u32, mut value: i32) -> io::Result<i32> {
        self.call(request, &mut value)?;
        Ok(value)
    }

    /// `SNDCTL_DSP_SPEED`: the rate that it has then.
    ///
    /// # Errors
    ///
    /// The errno of the call; as for all below.
    pub fn speed(&self, rate: i32) -> io::Result<i32> {
        self.set(SPEED, rate)
    }

    /// `SNDCTL_DSP_SETFMT`, `AFMT_*`.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn format(&self, format: i32) -> io::Result<i32> {
        self.set(SETFMT, format)
    }

    /// `SNDCTL_DSP_CHANNELS`.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn channels(&self, channels: i32) -> io::Result<i32> {
        self.set(CHANNELS, channels)
    }

    /// `SNDCTL_DSP_SETFRAGMENT`: at most `count` fragments of `1 << shift` bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn fragments(&self, count: i32, shift: i32) -> io::Result<()> {
        self.set(SETFRAGMENT, count << 16 | shift).map(drop)
    }

    /// `SNDCTL_DSP_GETOSPACE`: bytes of the ring. What was set before becomes real now.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn ring_bytes(&self) -> io::Result<usize> {
        // fragments, fragstotal, fragsize, bytes
        let mut info = [0i32; 4];
        self.call(GETOSPACE, &mut info)?;
        Ok(info[1] as usize * info[2] as usize)
    }

    /// `SNDCTL_DSP_SETTRIGGER`: starts or stops the playback.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn play(&self, on: bool) -> io::Result<()> {
        self.set(SETTRIGGER, if on { OUTPUT } else { 0 }).map(drop)
    }

    /// `SNDCTL_DSP_GETOPTR`: bytes played so far.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn played(&self) -> io::Result<i32> {
        // bytes, blocks, ptr
        let mut info = [0i32; 3];
        self.call(GETOPTR, &mut info)?;
        Ok(info[0])
    }

    /// `SNDCTL_DSP_RESET`.
    ///
    /// # Errors
    ///
    /// As [`Self::speed`].
    pub fn reset(&self) -> io::Result<()> {
        self.set(RESET, 0).map(drop)
    }

    /// Maps the first `bytes` bytes of the playback ring.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn map(&self, bytes: usize) -> io::Result<Window> {
        Window::of_file(&self.0, bytes)
    }
}
