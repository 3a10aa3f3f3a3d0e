// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be mapped from a PCM file.
//!
//! A mapping keeps its file, and with it the substream, alive: it stays valid memory after the
//! `Pcm` is dropped and after the card is unplugged. ALSA refuses `hw_params` and `hw_free` while
//! the ring is mapped.

use super::pcm::check;
use super::uapi;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// What a mapping may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// `PROT_NONE`: any access is a SIGSEGV.
    None,
    /// `PROT_READ`.
    Read,
    /// `PROT_WRITE`.
    Write,
    /// `PROT_READ | PROT_WRITE`.
    #[default]
    ReadWrite,
}

/// Who sees what is written to a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// `MAP_SHARED`.
    #[default]
    Shared,
    /// `MAP_SHARED_VALIDATE`.
    SharedValidate,
    /// `MAP_PRIVATE`.
    Private,
}

/// The arguments of `mmap(2)` beside range and file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapOptions {
    /// Protection.
    pub protection: Protection,
    /// Sharing.
    pub sharing: Sharing,
    /// More `MAP_*` flags, such as `MAP_POPULATE`. The kernel chooses the address: `MAP_FIXED` and
    /// `MAP_FIXED_NOREPLACE` are refused with `EINVAL`.
    pub flags: i32,
}

/// A mapped range of a file, unmapped when dropped.
///
/// Other mappings, the kernel and a card may touch the same bytes at any time, so there are no
/// references into it: bytes are copied in and out with volatile accesses.
#[derive(Debug)]
pub struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: all access through `&self` is volatile, by byte, to memory that is shared anyway.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        options: MapOptions,
    ) -> io::Result<Self> {
        if options.flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let protection = match options.protection {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::Write => libc::PROT_WRITE,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        let sharing = match options.sharing {
            Sharing::Shared => libc::MAP_SHARED,
            Sharing::SharedValidate => libc::MAP_SHARED_VALIDATE,
            Sharing::Private => libc::MAP_PRIVATE,
        };
        // SAFETY: without MAP_FIXED the kernel places the mapping where nothing is, so no memory
        // of this process changes.
        let ptr = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                sharing | options.flags,
                fd.as_raw_fd(),
                // The kernel reads the offset as unsigned.
                offset as i64,
            )
        };
        if ptr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ptr = NonNull::new(ptr.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { ptr, len })
    }

    /// Maps the first `len` bytes of a file twice, the second time right behind the first, readable
    /// and writable: byte `len + i` is byte `i`. `len` is a whole number of pages.
    pub(super) fn twice(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let both = len
            .checked_mul(2)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        // Addresses that nothing else is at.
        // SAFETY: without MAP_FIXED the kernel places the mapping where nothing is.
        let ptr = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                both,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if ptr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // From here on an error unmaps all of it.
        let map = Self {
            ptr: NonNull::new(ptr.cast()).ok_or(io::ErrorKind::Other)?,
            len: both,
        };
        for offset in [0, len] {
            // SAFETY: inside the range by `both`.
            let at = unsafe { map.ptr.as_ptr().add(offset) };
            // SAFETY: the range is ours, reserved above, and has no references into it.
            let got = unsafe {
                libc::mmap(
                    at.cast(),
                    len,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    fd.as_raw_fd(),
                    uapi::MMAP_OFFSET_DATA as i64,
                )
            };
            if got == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(map)
    }

    /// Maps the first `len` bytes of an anonymous file, as the simulated card does.
    #[cfg(test)]
    pub(crate) fn of_memfd(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::new(fd, 0, len, MapOptions::default())
    }

    /// Where it is. Valid for [`len`](Self::len) bytes until dropped; what may be done there is the
    /// protection's.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Its length in bytes, as asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: the kernel refuses to map nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives the range up without unmapping it, for callers that split, move or leak it.
    pub fn into_raw(self) -> (*mut u8, usize) {
        let raw = (self.ptr.as_ptr(), self.len);
        std::mem::forget(self);
        raw
    }

    /// Takes over a range.
    ///
    /// # Safety
    ///
    /// `ptr..ptr + len` must be one or more whole mappings that nobody else unmaps or has
    /// references into.
    pub unsafe fn from_raw(ptr: NonNull<u8>, len: usize) -> Self {
        Self { ptr, len }
    }

    #[track_caller]
    fn check_range(&self, offset: usize, len: usize) {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "bytes {offset}+{len} are outside the mapping of {} bytes",
            self.len
        );
    }

    /// Copies out `buf.len()` bytes from byte `offset`.
    ///
    /// # Panics
    ///
    /// If the range is not inside the mapping.
    #[track_caller]
    pub fn read(&self, offset: usize, buf: &mut [u8]) {
        self.check_range(offset, buf.len());
        for (i, byte) in buf.iter_mut().enumerate() {
            // SAFETY: checked to be inside the mapping.
            let at = unsafe { self.ptr.as_ptr().add(offset + i) };
            // SAFETY: as above; a volatile byte access of memory outside Rust's view cannot race
            // with a Rust reference.
            *byte = unsafe { at.read_volatile() };
        }
    }

    /// Copies `bytes` in from byte `offset`.
    ///
    /// # Panics
    ///
    /// If the range is not inside the mapping.
    #[track_caller]
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.check_range(offset, bytes.len());
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: checked to be inside the mapping.
            let at = unsafe { self.ptr.as_ptr().add(offset + i) };
            // SAFETY: as in `read`.
            unsafe { at.write_volatile(byte) };
        }
    }

    /// Touches one byte of each page, so that none faults later. What is there stays.
    ///
    /// Writes what it reads: call it before the ring is in use.
    pub fn prefault(&self) {
        let page = page_size();
        let mut byte = [0];
        for offset in (0..self.len).step_by(page) {
            self.read(offset, &mut byte);
            self.write(offset, &byte);
        }
    }

    /// Under AddressSanitizer: forbids all of it but `len` bytes from `from`, which are lent out.
    #[cfg(asan)]
    pub(super) fn shut_but(&self, from: usize, len: usize) {
        let start: *const libc::c_void = self.ptr.as_ptr().cast();
        // SAFETY: marks in the sanitizer's own memory; the range is ours.
        unsafe { __asan_poison_memory_region(start, self.len) };
        // SAFETY: as above.
        unsafe { __asan_unpoison_memory_region(start.wrapping_byte_add(from), len) };
    }

    /// Keeps the mapping out of children: `MADV_DONTFORK`.
    pub(super) fn dont_fork(&self) -> io::Result<()> {
        // SAFETY: the advice changes nothing in this process, and the range is ours.
        check(unsafe { libc::madvise(self.ptr.as_ptr().cast(), self.len, libc::MADV_DONTFORK) })?;
        Ok(())
    }
}

#[cfg(asan)]
unsafe extern "C" {
    fn __asan_poison_memory_region(start: *const libc::c_void, len: usize);
    fn __asan_unpoison_memory_region(start: *const libc::c_void, len: usize);
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Others will be at these addresses.
        #[cfg(asan)]
        self.shut_but(0, self.len);
        // SAFETY: the range is this mapping's alone, and its bytes have no references.
        unsafe { libc::munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}

/// A new anonymous file of `len` bytes.
#[cfg(test)]
pub(crate) fn memfd(len: usize) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string.
    let fd = check(unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new and belongs to nobody else.
    let fd = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
    // SAFETY: ftruncate touches no memory of this process.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), len as i64) })?;
    Ok(fd)
}

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf touches no memory of this process.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    #[should_panic(expected = "outside the mapping")]
    fn a_read_past_the_mapping_is_refused() {
        Mapping::of_memfd(memfd(16).unwrap().as_fd(), 16)
            .unwrap()
            .read(usize::MAX, &mut [0; 2]);
    }

    #[test]
    fn a_fixed_address_is_refused() {
        let null = std::fs::File::open("/dev/zero").unwrap();
        let options = MapOptions {
            flags: libc::MAP_FIXED,
            ..MapOptions::default()
        };
        let error = Mapping::new(null.as_fd(), 0, 4096, options).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
