// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be mapped from a PCM file.
//!
//! A mapping keeps its file, and with it the substream, alive: it stays valid memory after the
//! `Pcm` is dropped and after the card is unplugged. ALSA refuses `hw_params` and `hw_free` while
//! the ring is mapped.

use super::pcm::{MmapState, Pcm, check};
use super::uapi::{self, MmapControl, MmapStatus};
use std::fmt;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering, fence};
use std::time::Duration;

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
    fn twice(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
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

    /// Maps a new anonymous file of `len` bytes, as the simulated card's ring.
    #[cfg(test)]
    pub(crate) fn memfd(len: usize) -> io::Result<Self> {
        Self::new(memfd(len)?.as_fd(), 0, len, MapOptions::default())
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

    /// Keeps the mapping out of children: `MADV_DONTFORK`.
    fn dont_fork(&self) -> io::Result<()> {
        // SAFETY: the advice changes nothing in this process, and the range is ours.
        check(unsafe { libc::madvise(self.ptr.as_ptr().cast(), self.len, libc::MADV_DONTFORK) })?;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's alone, and its bytes have no references.
        unsafe { libc::munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}

/// A new anonymous file of `len` bytes.
#[cfg(test)]
fn memfd(len: usize) -> io::Result<std::os::fd::OwnedFd> {
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

/// Why a ring cannot be mapped twice in a row.
#[derive(Debug)]
pub enum LinearError {
    /// The ring ends in the middle of a page: what comes behind it there would not be its beginning.
    NotPages {
        /// Bytes of the ring.
        ring: usize,
        /// Bytes of a page.
        page: usize,
    },
    /// The kernel said something else, as [`Pcm::mmap`].
    Io(io::Error),
}

impl fmt::Display for LinearError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPages { ring, page } => write!(
                f,
                "a ring of {ring} bytes is no whole number of pages of {page} bytes and cannot be \
                 mapped twice in a row: ask for another period or number of periods, or do without"
            ),
            Self::Io(error) => write!(f, "mapping the ring twice in a row: {error}"),
        }
    }
}

impl std::error::Error for LinearError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotPages { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<LinearError> for io::Error {
    /// A refusal is `Unsupported` and keeps the reason; an error of the kernel's keeps its errno.
    fn from(error: LinearError) -> Self {
        match error {
            LinearError::Io(error) => error,
            refusal => Self::new(io::ErrorKind::Unsupported, refusal),
        }
    }
}

/// The whole ring of an interleaved playback PCM, written in place.
///
/// It may be mapped once, and a window then ends where the ring does; or, where it is whole pages,
/// twice in a row ([`linear`](Self::linear)), and a window of any length up to the ring is one slice
/// wherever it begins.
///
/// Unlike [`Mapping`] it lends the bytes out. That is sound as long as nobody else writes to the
/// window that is lent. The card only reads the ring. The kernel writes silence to what has
/// been played, before it publishes that as free. The ring is kept out of children. What remains is
/// an assumption, and the reason why only the stream's worker owns one: no other part of
/// this process maps the ring of the same file.
#[derive(Debug)]
pub struct PlaybackRing {
    map: Mapping,
    frame_bytes: usize,
    /// Bytes of the ring: those of the mapping, or half of them.
    ring: usize,
}

impl PlaybackRing {
    /// Maps the ring of `pcm`: `buffer_size` frames of `frame_bytes` bytes.
    ///
    /// # Errors
    ///
    /// As [`Pcm::mmap`].
    pub fn new(pcm: &Pcm, buffer_size: usize, frame_bytes: usize) -> io::Result<Self> {
        let len = buffer_size
            .checked_mul(frame_bytes)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let map = pcm.mmap(uapi::MMAP_OFFSET_DATA, len, MapOptions::default())?;
        map.dont_fork()?;
        Ok(Self {
            map,
            frame_bytes,
            ring: len,
        })
    }

    /// Maps the ring of `pcm` twice in a row: `buffer_size` frames of `frame_bytes` bytes. On any
    /// card that lets its ring be mapped.
    ///
    /// # Errors
    ///
    /// [`LinearError::NotPages`] where the ring is no whole number of pages; else as [`Pcm::mmap`].
    pub fn linear(pcm: &Pcm, buffer_size: usize, frame_bytes: usize) -> Result<Self, LinearError> {
        let map = Self::map_twice(pcm.as_fd(), buffer_size, frame_bytes)?;
        map.map.dont_fork().map_err(LinearError::Io)?;
        Ok(map)
    }

    fn map_twice(
        fd: BorrowedFd<'_>,
        buffer_size: usize,
        frame_bytes: usize,
    ) -> Result<Self, LinearError> {
        let overflow = || LinearError::Io(io::Error::from_raw_os_error(libc::EINVAL));
        let ring = buffer_size.checked_mul(frame_bytes).ok_or_else(overflow)?;
        let page = page_size();
        if ring % page != 0 {
            return Err(LinearError::NotPages { ring, page });
        }
        Ok(Self {
            map: Mapping::twice(fd, ring).map_err(LinearError::Io)?,
            frame_bytes,
            ring,
        })
    }

    /// A ring of anonymous memory.
    #[cfg(test)]
    pub(crate) fn memfd(buffer_size: usize, frame_bytes: usize) -> io::Result<Self> {
        let ring = buffer_size * frame_bytes;
        Ok(Self {
            map: Mapping::memfd(ring)?,
            frame_bytes,
            ring,
        })
    }

    /// The same, mapped twice in a row.
    #[cfg(test)]
    pub(crate) fn memfd_linear(
        buffer_size: usize,
        frame_bytes: usize,
    ) -> Result<Self, LinearError> {
        let fd = memfd(buffer_size * frame_bytes).map_err(LinearError::Io)?;
        Self::map_twice(fd.as_fd(), buffer_size, frame_bytes)
    }

    /// Whether it is mapped twice in a row.
    pub fn is_linear(&self) -> bool {
        self.map.len() > self.ring
    }

    /// Touches every page.
    pub fn prefault(&self) {
        self.map.prefault();
    }

    /// The bytes of `frames` frames from frame `start` of the ring. A ring that is mapped once cuts them
    /// at its end; one that is mapped twice in a row goes on at its beginning, and gives a whole ring
    /// at most. Nothing from behind the ring's end.
    pub fn window(&mut self, start: usize, frames: usize) -> &mut [u8] {
        let from = start.saturating_mul(self.frame_bytes).min(self.ring);
        let most = if self.is_linear() && from < self.ring {
            self.ring
        } else {
            self.ring - from
        };
        let len = frames.saturating_mul(self.frame_bytes).min(most);
        // SAFETY: inside the mapping: `from` and `most` are in the ring, which a second one follows
        // where they together are not.
        let at = unsafe { self.map.as_ptr().add(from) };
        // SAFETY: mapped readable and writable as long as `self`, any byte is a valid u8, and
        // nobody else writes there (see the type).
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_at_the_end_of_the_ring() {
        let mut ring = PlaybackRing::memfd(100, 4).unwrap();
        ring.prefault();
        assert_eq!(ring.window(0, 100).len(), 400);
        assert_eq!(ring.window(90, 20).len(), 40);
        assert_eq!(ring.window(100, 1).len(), 0);
        assert_eq!(ring.window(usize::MAX, usize::MAX).len(), 0);
        ring.window(99, 1).copy_from_slice(&[1, 2, 3, 4]);
        let mut tail = [0; 8];
        ring.map.read(392, &mut tail);
        assert_eq!(tail, [0, 0, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_linear_ring_goes_on_at_its_beginning() {
        let (page, frame) = (page_size(), 4);
        let frames = 3 * page / frame;
        let mut ring = PlaybackRing::memfd_linear(frames, frame).unwrap();
        ring.prefault();
        assert!(ring.is_linear());
        // Every start, and every length that reaches the edges.
        for start in (0..frames).step_by(97).chain([1, frames - 1]) {
            for length in [0, 1, frames - start, frames - start + 1, frames - 1, frames] {
                let length = length.min(frames);
                let window = ring.window(start, length);
                assert_eq!(window.len(), length * frame, "{start}+{length}");
                for (i, bytes) in window.chunks_exact_mut(frame).enumerate() {
                    bytes.copy_from_slice(&((start + i) as u32).to_ne_bytes());
                }
                for i in start..start + length {
                    let seen: [u8; 4] = ring.window(i % frames, 1).try_into().unwrap();
                    assert_eq!(u32::from_ne_bytes(seen), i as u32);
                }
            }
            assert_eq!(ring.window(start, usize::MAX).len(), frames * frame);
        }
        assert_eq!(ring.window(frames, 1).len(), 0);
        assert_eq!(ring.window(usize::MAX, usize::MAX).len(), 0);
    }

    #[test]
    fn a_ring_of_broken_pages_is_refused_with_that_reason() {
        let page = page_size();
        for bytes in [4, page - 4, page + 4, 6 * 1024 + 4] {
            let error = PlaybackRing::memfd_linear(bytes / 4, 4).unwrap_err();
            match &error {
                LinearError::NotPages { ring, page: p } => assert_eq!((*ring, *p), (bytes, page)),
                other => panic!("{other:?}"),
            }
            assert!(error.to_string().contains("no whole number of pages"));
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let reason = error.get_ref().and_then(|e| e.downcast_ref());
            assert!(matches!(reason, Some(LinearError::NotPages { .. })));
        }
        let huge = PlaybackRing::map_twice(memfd(page).unwrap().as_fd(), usize::MAX, 4);
        assert!(matches!(huge, Err(LinearError::Io(_))));
        // What the kernel refuses keeps its errno, and nothing stays mapped.
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = PlaybackRing::map_twice(null.as_fd(), page, 4).unwrap_err();
        assert!(io::Error::from(error).raw_os_error().is_some());
    }

    #[test]
    #[should_panic(expected = "outside the mapping")]
    fn a_read_past_the_mapping_is_refused() {
        Mapping::memfd(16).unwrap().read(usize::MAX, &mut [0; 2]);
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
