// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that is mapped.

use crate::cost::touch;
use cpal_alsa_mmap::sys::{
    Access, Direction, Format, HwParams, MapOptions, OpenOptions, Param, Pcm, uapi,
};
use sgring_suite::window::{self, Window};
use std::fs::File;
use std::io;

/// A ring of `bytes` bytes of the first card's PCM 0; `None` where it offers no such ring.
pub fn ring(bytes: usize) -> io::Result<Option<Pcm>> {
    let pcm = Pcm::open(0, 0, Direction::Playback, OpenOptions::default())?;
    let mut params = HwParams::any();
    params.set_access(&[Access::MmapInterleaved]);
    params.set_formats(&[Format::S16Le]);
    params.set(Param::Channels, 2);
    params.set(Param::Rate, 48_000);
    let bytes = u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    params.set(Param::BufferBytes, bytes);
    if pcm.hw_refine(&mut params).is_err() {
        return Ok(None);
    }
    params.set(Param::PeriodBytes, (bytes / 4).min(1 << 20));
    match pcm.hw_params(&mut params) {
        Ok(()) => Ok(Some(pcm)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSPC)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Maps all of a ring.
pub fn map(pcm: &Pcm, bytes: usize) -> io::Result<Window> {
    pcm.mmap(uapi::MMAP_OFFSET_DATA, bytes, MapOptions::default())
        .map(Window::from)
}

/// A memfd whose pages are there already, as a ring's are.
pub struct Memfd(File, usize);

impl Memfd {
    pub fn new(bytes: usize) -> io::Result<Self> {
        let file = window::memfd()?;
        file.set_len(bytes as u64)?;
        let memfd = Self(file, bytes);
        touch(&memfd.map()?);
        Ok(memfd)
    }

    pub fn map(&self) -> io::Result<Window> {
        Window::of_file(&self.0, self.1)
    }
}
