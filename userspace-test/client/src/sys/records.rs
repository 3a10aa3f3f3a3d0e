// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two records that can be mapped: the kernel's half of a stream's position, and the application's.

use super::map::{MapOptions, Mapping, Protection, page_size};
use super::pcm::{MmapState, Pcm};
use super::uapi::{self, MmapControl, MmapStatus};
use std::io;
use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering, fence};
use std::time::Duration;

/// The mapped `struct snd_pcm_mmap_status`: where the hardware is, without a system call.
///
/// There is no sequence count in it: two fields may be of two moments. Where that matters use one
/// [`Pcm::sync_ptr`].
#[derive(Debug)]
pub struct StatusPage(Mapping);

impl StatusPage {
    /// Maps the record.
    ///
    /// # Errors
    ///
    /// `ENXIO`: not on this architecture or card; then [`Pcm::sync_ptr`] is the way.
    pub fn new(pcm: &Pcm) -> io::Result<Self> {
        let options = MapOptions {
            protection: Protection::Read,
            ..MapOptions::default()
        };
        pcm.mmap(uapi::MMAP_OFFSET_STATUS, page_size(), options)
            .map(Self)
    }

    fn word(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset + 8 <= size_of::<MmapStatus>());
        self.0.as_ptr().wrapping_add(offset)
    }

    fn u64(&self, offset: usize) -> u64 {
        let at = self.word(offset).cast();
        // SAFETY: aligned, inside the record, and mapped as long as `self`. The kernel writes it
        // with single stores; relaxed loads are allowed on memory that is read-only to us.
        unsafe { AtomicU64::from_ptr(at) }.load(Ordering::Relaxed)
    }

    fn i32(&self, offset: usize) -> i32 {
        let at = self.word(offset).cast();
        // SAFETY: as in `u64`.
        unsafe { AtomicI32::from_ptr(at) }.load(Ordering::Relaxed)
    }

    fn timespec(&self, offset: usize) -> Duration {
        let part = |field| {
            let at = self.word(offset + field).cast();
            // SAFETY: as in `u64`.
            unsafe { AtomicI64::from_ptr(at) }.load(Ordering::Relaxed)
        };
        let sec = part(offset_of!(uapi::Timespec, sec));
        let nsec = part(offset_of!(uapi::Timespec, nsec));
        match (u64::try_from(sec), u32::try_from(nsec)) {
            (Ok(sec), Ok(nsec)) => Duration::new(sec, nsec),
            _ => Duration::ZERO,
        }
    }

    /// Reads the record. What the kernel wrote to the ring before it published `hw_ptr` is visible
    /// afterwards.
    pub fn load(&self) -> MmapState {
        let state = MmapState {
            state: self.i32(offset_of!(MmapStatus, state)).into(),
            hw_ptr: self.u64(offset_of!(MmapStatus, hw_ptr)),
            tstamp: self.timespec(offset_of!(MmapStatus, tstamp)),
            audio_tstamp: self.timespec(offset_of!(MmapStatus, audio_tstamp)),
        };
        fence(Ordering::Acquire);
        state
    }
}

/// The mapped `struct snd_pcm_mmap_control`: where the application is, without a system call.
#[derive(Debug)]
pub struct ControlPage(Mapping);

impl ControlPage {
    /// Maps the record.
    ///
    /// # Errors
    ///
    /// `ENXIO`: not on this architecture or card; then [`Pcm::sync_ptr`] is the way.
    pub fn new(pcm: &Pcm) -> io::Result<Self> {
        pcm.mmap(
            uapi::MMAP_OFFSET_CONTROL,
            page_size(),
            MapOptions::default(),
        )
        .map(Self)
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        let at = self.0.as_ptr().wrapping_add(offset).cast();
        // SAFETY: aligned, inside the record, and mapped as long as `self`; everybody uses it with
        // single loads and stores.
        unsafe { AtomicU64::from_ptr(at) }
    }

    /// The application's position, frames in `0..boundary`.
    pub fn appl_ptr(&self) -> u64 {
        self.word(offset_of!(MmapControl, appl_ptr))
            .load(Ordering::Relaxed)
    }

    /// Publishes the application's position, frames in `0..boundary`, after everything written to
    /// the ring before.
    pub fn set_appl_ptr(&self, frames: u64) {
        self.word(offset_of!(MmapControl, appl_ptr))
            .store(frames, Ordering::Release);
    }

    /// The wakeup threshold, frames.
    pub fn avail_min(&self) -> u64 {
        self.word(offset_of!(MmapControl, avail_min))
            .load(Ordering::Relaxed)
    }

    /// Sets the wakeup threshold, frames, at least 1.
    pub fn set_avail_min(&self, frames: u64) {
        self.word(offset_of!(MmapControl, avail_min))
            .store(frames, Ordering::Release);
    }
}
