// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring itself, lent out in windows of frames.

use super::map::{MapOptions, Mapping, page_size};
use super::pcm::Pcm;
use super::uapi;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

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

/// The whole ring of an interleaved PCM, written or read in place.
///
/// It may be mapped once, and a window then ends where the ring does; or, where it is whole pages,
/// twice in a row ([`linear`](Self::linear)), and a window of any length up to the ring is one slice
/// wherever it begins.
///
/// Unlike [`Mapping`] it lends the bytes out, which the other side of the ring shares:
///
/// * Of a playback ring the card only reads, and the kernel writes silence to what has been played,
///   before it publishes that as free.
/// * Of a capture ring the card writes what is free, and the kernel publishes it afterwards.
///
/// So who uses a window of what is published as theirs, and gives it back in time, has it alone. Who
/// is later than the ring is long shares it: samples may change while they are looked at, and be
/// part old and part new. No sample type has a value that this could break, and the stream that
/// is late says so. The ring is kept out of children. That nobody else in this process uses the ring
/// meanwhile is for its maker to see to: so the constructors are `unsafe`. [`Mapping`] shares the ring
/// with whomever.
#[derive(Debug)]
pub struct MappedRing {
    map: Mapping,
    frame_bytes: usize,
    /// Bytes of the ring: those of the mapping, or half of them.
    ring: usize,
}

impl MappedRing {
    /// Maps the ring of `pcm`: `buffer_size` frames of `frame_bytes` bytes.
    ///
    /// # Errors
    ///
    /// As [`Pcm::mmap`].
    ///
    /// # Safety
    ///
    /// As long as a window is borrowed, nobody else in this process writes to its bytes, or reads them: by another
    /// `MappedRing` or [`Mapping`] of the same substream, which `pcm` and each file that was opened with
    /// [`append`](super::OpenOptions::append) beside it can make.
    pub unsafe fn new(pcm: &Pcm, buffer_size: usize, frame_bytes: usize) -> io::Result<Self> {
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
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub unsafe fn linear(
        pcm: &Pcm,
        buffer_size: usize,
        frame_bytes: usize,
    ) -> Result<Self, LinearError> {
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

    /// The ring of a card that is simulated, in an anonymous file; `linear` for twice in a row.
    #[cfg(test)]
    pub(crate) fn of_memfd(
        fd: BorrowedFd<'_>,
        buffer_size: usize,
        frame_bytes: usize,
        linear: bool,
    ) -> Result<Self, LinearError> {
        let ring = buffer_size * frame_bytes;
        match linear {
            true => Self::map_twice(fd, buffer_size, frame_bytes),
            false => Ok(Self {
                map: Mapping::of_memfd(fd, ring).map_err(LinearError::Io)?,
                frame_bytes,
                ring,
            }),
        }
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
        #[cfg(asan)]
        self.map.shut_but(from, len);
        // SAFETY: mapped readable and writable as long as `self`, any byte is a valid u8, and
        // nobody else uses them, which the maker of `self` has promised, but who is late (see the type).
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::map::memfd;

    fn memory(frames: usize, frame: usize, linear: bool) -> Result<MappedRing, LinearError> {
        let fd = memfd(frames * frame).unwrap();
        MappedRing::of_memfd(fd.as_fd(), frames, frame, linear)
    }

    #[test]
    fn a_window_is_cut_at_the_end_of_the_ring() {
        let mut ring = memory(100, 4, false).unwrap();
        ring.prefault();
        assert_eq!(ring.window(0, 100).len(), 400);
        assert_eq!(ring.window(90, 20).len(), 40);
        assert_eq!(ring.window(100, 1).len(), 0);
        assert_eq!(ring.window(usize::MAX, usize::MAX).len(), 0);
        ring.window(99, 1).copy_from_slice(&[1, 2, 3, 4]);
        ring.window(98, 2);
        let mut tail = [0; 8];
        ring.map.read(392, &mut tail);
        assert_eq!(tail, [0, 0, 0, 0, 1, 2, 3, 4]);
    }

    /// The checker is seen to see: a program of this test's own reads a byte behind its window.
    #[cfg(asan)]
    #[test]
    fn planted_a_read_past_a_window_is_caught() {
        const NAME: &str = "sys::ring::tests::planted_a_read_past_a_window_is_caught";
        if std::env::var_os("SGRING_PLANTED").is_some() {
            let mut ring = memory(100, 4, false).unwrap();
            let window = ring.window(10, 20);
            let end = window.as_ptr_range().end;
            // SAFETY: none as to the window, which is the point; the byte is in the mapping.
            std::hint::black_box(unsafe { end.read() });
            return;
        }
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env("SGRING_PLANTED", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "not seen: {said}");
        assert!(
            said.contains("AddressSanitizer: use-after-poison"),
            "{said}"
        );
    }

    #[test]
    fn a_linear_ring_goes_on_at_its_beginning() {
        let (page, frame) = (page_size(), 4);
        let frames = 3 * page / frame;
        let mut ring = memory(frames, frame, true).unwrap();
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
            let error = memory(bytes / 4, 4, true).unwrap_err();
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
        let huge = MappedRing::map_twice(memfd(page).unwrap().as_fd(), usize::MAX, 4);
        assert!(matches!(huge, Err(LinearError::Io(_))));
        // What the kernel refuses keeps its errno, and nothing stays mapped.
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = MappedRing::map_twice(null.as_fd(), page, 4).unwrap_err();
        assert!(io::Error::from(error).raw_os_error().is_some());
    }
}
