// SPDX-License-Identifier: MIT OR Apache-2.0
//! A range of this process's address space, to be cut, moved and protected.
//!
//! A [`Window`] owns its pages and unmaps them when dropped, like `sys::Mapping`, from which it is made.
//! Unlike a `Mapping` it can lose its ends, move, and be one of several over the same ring.
#![allow(unsafe_code)]

use cpal_alsa_mmap::sys::{MapOptions, Mapping, Pcm, Protection, uapi};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Bytes of a page.
#[must_use]
pub fn page() -> usize {
    // SAFETY: sysconf touches no memory.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("a page has a size")
}

/// A file in memory, without a name.
///
/// # Errors
///
/// The errno of `memfd_create(2)`.
pub fn memfd() -> io::Result<File> {
    // SAFETY: A static string.
    let fd = unsafe { libc::memfd_create(c"suite".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: A descriptor that was just made and that nobody else has.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Mapped pages.
///
/// There are no references into them: bytes are read and written one at a time, volatile. An access that the
/// protection forbids or that has no page behind it is a signal.
#[derive(Debug)]
pub struct Window {
    at: *mut u8,
    bytes: usize,
}

// SAFETY: A mapping belongs to the process; all accesses are volatile, to memory shared anyway.
unsafe impl Send for Window {}
// SAFETY: As above.
unsafe impl Sync for Window {}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Window {
    /// Maps `pages` pages of the ring of `pcm` from page `pgoff`, shared, readable and writable.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn new(pcm: &Pcm, pgoff: usize, pages: usize) -> io::Result<Self> {
        Self::with(pcm, pgoff, pages, MapOptions::default())
    }

    /// As [`Self::new`], but as `options` say.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn with(pcm: &Pcm, pgoff: usize, pages: usize, options: MapOptions) -> io::Result<Self> {
        let offset = uapi::MMAP_OFFSET_DATA + (pgoff * page()) as u64;
        pcm.mmap(offset, pages * page(), options).map(Self::from)
    }

    /// Maps the whole ring of `pages` pages twice, the second time right behind the first.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)` or `mremap(2)`.
    pub fn twice(pcm: &Pcm, pages: usize) -> io::Result<(Self, Self)> {
        let mut first = Self::new(pcm, 0, pages)?;
        let mut second = Self::new(pcm, 0, pages)?;
        let room = Self::reserve(first.bytes * 2)?;
        let (low, high) = room.split(pages);
        first.replace(low)?;
        second.replace(high)?;
        Ok((first, second))
    }

    /// New memory of this process's own, to be read and written.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn anonymous(bytes: usize) -> io::Result<Self> {
        Self::own(bytes, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Maps `bytes` bytes of `file` from its start, shared, readable and writable.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn of_file(file: &File, bytes: usize) -> io::Result<Self> {
        // SAFETY: A mapping at a place of the kernel's choice, of a file that is open now.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            at: at.cast(),
            bytes,
        })
    }

    /// Addresses that nothing else is at.
    fn reserve(bytes: usize) -> io::Result<Self> {
        Self::own(bytes, libc::PROT_NONE)
    }

    fn own(bytes: usize, protection: libc::c_int) -> io::Result<Self> {
        // SAFETY: An anonymous mapping at a place of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            at: at.cast(),
            bytes,
        })
    }

    /// Moves to the place of `target`, which is as long and goes away.
    fn replace(&mut self, target: Self) -> io::Result<()> {
        // SAFETY: Both ranges are windows of ours without references into them.
        let at = unsafe {
            libc::mremap(
                self.at.cast(),
                self.bytes,
                target.bytes,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                target.at,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        std::mem::forget(target);
        self.at = at.cast();
        Ok(())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> usize {
        self.at.addr()
    }

    /// Its length in bytes, whole pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its length in pages.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.bytes / page()
    }

    fn byte(&self, offset: usize) -> *mut u8 {
        assert!(
            offset < self.bytes,
            "byte {offset} of a window of {}",
            self.bytes
        );
        self.at.wrapping_add(offset)
    }

    /// The byte at `offset`.
    #[must_use]
    pub fn get(&self, offset: usize) -> u8 {
        // SAFETY: Inside the window; volatile, see the type.
        unsafe { self.byte(offset).read_volatile() }
    }

    /// Sets the byte at `offset`.
    pub fn set(&self, offset: usize, value: u8) {
        // SAFETY: As in `get()`.
        unsafe { self.byte(offset).write_volatile(value) };
    }

    /// `bytes` bytes from `offset`.
    #[must_use]
    pub fn read(&self, offset: usize, bytes: usize) -> Vec<u8> {
        (offset..offset + bytes).map(|i| self.get(i)).collect()
    }

    /// Writes `bytes` from `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        for (i, &byte) in (offset..).zip(bytes) {
            self.set(i, byte);
        }
    }

    /// The 64-bit word at the start of page `index`.
    #[must_use]
    pub fn stamp(&self, index: usize) -> u64 {
        let at = self.byte(index * page()).cast::<u64>();
        // SAFETY: As in `get()`; the start of a page is aligned.
        unsafe { at.read_volatile() }
    }

    /// Sets the word that [`Self::stamp`] reads.
    pub fn set_stamp(&self, index: usize, stamp: u64) {
        let at = self.byte(index * page()).cast::<u64>();
        // SAFETY: As in `stamp()`.
        unsafe { at.write_volatile(stamp) };
    }

    fn word_at(&self, offset: usize) -> *mut u64 {
        assert!(
            offset % 8 == 0 && offset + 8 <= self.bytes,
            "word {offset} of a window of {}",
            self.bytes
        );
        self.byte(offset).cast()
    }

    /// The 64-bit word at `offset`, a multiple of 8.
    #[must_use]
    pub fn word(&self, offset: usize) -> u64 {
        // SAFETY: As in `get()`; aligned.
        unsafe { self.word_at(offset).read_volatile() }
    }

    /// Sets the word that [`Self::word`] reads.
    pub fn set_word(&self, offset: usize, word: u64) {
        // SAFETY: As in `word()`.
        unsafe { self.word_at(offset).write_volatile(word) };
    }

    /// Reads a byte of every page.
    pub fn touch(&self) {
        for index in 0..self.pages() {
            let _ = self.get(index * page());
        }
    }

    /// Cuts the window in two; the second part starts at page `index`. No system call.
    ///
    /// # Panics
    ///
    /// Unless both parts have pages.
    #[must_use]
    pub fn split(self, index: usize) -> (Self, Self) {
        assert!(0 < index && index < self.pages(), "both parts have pages");
        let cut = index * page();
        let (at, bytes) = (self.at, self.bytes);
        std::mem::forget(self);
        let second = at.wrapping_add(cut);
        (
            Self { at, bytes: cut },
            Self {
                at: second,
                bytes: bytes - cut,
            },
        )
    }

    /// `mprotect(2)`.
    ///
    /// # Errors
    ///
    /// Its errno.
    pub fn protect(&self, protection: Protection) -> io::Result<()> {
        let protection = match protection {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::Write => libc::PROT_WRITE,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: The pages are this window's, and nobody has references into them.
        check(unsafe { libc::mprotect(self.at.cast(), self.bytes, protection) })
    }

    /// `madvise(2)`.
    ///
    /// # Errors
    ///
    /// Its errno.
    pub fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: As in `protect()`.
        check(unsafe { libc::madvise(self.at.cast(), self.bytes, advice) })
    }

    /// Gives back page `index`: `MADV_DONTNEED`.
    ///
    /// # Errors
    ///
    /// The errno of `madvise(2)`.
    pub fn forget(&self, index: usize) -> io::Result<()> {
        let at = self.byte(index * page()).cast();
        // SAFETY: The page is this window's, and nobody has references into it.
        check(unsafe { libc::madvise(at, page(), libc::MADV_DONTNEED) })
    }

    /// `mlock(2)`.
    ///
    /// # Errors
    ///
    /// Its errno.
    pub fn lock(&self) -> io::Result<()> {
        // SAFETY: Locking does not change what is there.
        check(unsafe { libc::mlock(self.at.cast(), self.bytes) })
    }

    /// `mremap(2)` to `pages` pages, with `MREMAP_*` in `flags`; never to a fixed place.
    ///
    /// # Errors
    ///
    /// Its errno; the window is then what it was.
    pub fn remap(&mut self, pages: usize, flags: libc::c_int) -> io::Result<()> {
        let bytes = pages
            .checked_mul(page())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: The pages are this window's, nobody has references into them, and without a fixed place
        // the kernel puts them where nothing is.
        let at = unsafe {
            libc::mremap(
                self.at.cast(),
                self.bytes,
                bytes,
                flags & !libc::MREMAP_FIXED,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        (self.at, self.bytes) = (at.cast(), bytes);
        Ok(())
    }

    /// Moves the window to addresses that nothing is at.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)` or `mremap(2)`.
    pub fn relocate(&mut self) -> io::Result<()> {
        self.replace(Self::reserve(self.bytes)?)
    }

    /// Maps the same pages a second time: `mremap(2)` of no bytes.
    ///
    /// # Errors
    ///
    /// Its errno.
    pub fn duplicate(&self) -> io::Result<Self> {
        // SAFETY: An old length of 0 leaves the old range as it is.
        let at = unsafe { libc::mremap(self.at.cast(), 0, self.bytes, libc::MREMAP_MAYMOVE) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            at: at.cast(),
            bytes: self.bytes,
        })
    }

    /// Unmaps all of it now.
    ///
    /// # Errors
    ///
    /// The errno of `munmap(2)`.
    pub fn unmap(self) -> io::Result<()> {
        let (at, bytes) = (self.at, self.bytes);
        std::mem::forget(self);
        // SAFETY: The pages were this window's, which is gone.
        check(unsafe { libc::munmap(at.cast(), bytes) })
    }
}

impl From<Mapping> for Window {
    /// Takes over a mapping; one that ends inside a page owns that page.
    fn from(mapping: Mapping) -> Self {
        let (at, bytes) = mapping.into_raw();
        Self {
            at,
            bytes: bytes.next_multiple_of(page()),
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: The pages are this window's.
        unsafe { libc::munmap(self.at.cast(), self.bytes) };
    }
}
