// SPDX-License-Identifier: MIT OR Apache-2.0
//! An open PCM file and its ioctls.

use super::map::{MapOptions, Mapping};
use super::params::{HwParams, Param, SwParams};
use super::uapi::{self, ioctl};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Which way a PCM carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the application to the card.
    Playback,
    /// From the card to the application.
    Capture,
}

/// The access mode of `open(2)`. ALSA itself does not care, but mappings do: a shared writable
/// mapping needs a file opened for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenMode {
    /// `O_RDWR`.
    #[default]
    ReadWrite,
    /// `O_RDONLY`.
    ReadOnly,
    /// `O_WRONLY`.
    WriteOnly,
}

/// How a PCM is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The access mode.
    pub mode: OpenMode,
    /// Wait for a busy substream in `open` instead of failing with `EBUSY`.
    pub wait_if_busy: bool,
    /// Keep `O_NONBLOCK` on the open file: [`Pcm::writei`], [`Pcm::readi`] and [`Pcm::drain`] then
    /// return `EAGAIN` instead of waiting.
    pub nonblock: bool,
    /// `O_APPEND`: share a substream that somebody has open, on a PCM that has one of this direction.
    pub append: bool,
}

/// The state of a substream, `SNDRV_PCM_STATE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the header's
pub enum State {
    Open,
    Setup,
    Prepared,
    Running,
    Xrun,
    Draining,
    Paused,
    Suspended,
    Disconnected,
    /// A number that this crate does not know.
    Unknown(i32),
}

impl From<i32> for State {
    fn from(raw: i32) -> Self {
        match raw {
            0 => Self::Open,
            1 => Self::Setup,
            2 => Self::Prepared,
            3 => Self::Running,
            4 => Self::Xrun,
            5 => Self::Draining,
            6 => Self::Paused,
            7 => Self::Suspended,
            8 => Self::Disconnected,
            n => Self::Unknown(n),
        }
    }
}

/// `struct snd_pcm_info` in Rust's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Card number.
    pub card: u32,
    /// Device number on the card.
    pub device: u32,
    /// Which substream of the device was opened.
    pub subdevice: u32,
    /// Direction.
    pub direction: Direction,
    /// The driver's short name for the PCM.
    pub id: String,
    /// The PCM's name for people.
    pub name: String,
    /// The substream's name.
    pub subname: String,
    /// Number of substreams.
    pub subdevices_count: u32,
    /// Number of substreams that nobody has open.
    pub subdevices_avail: u32,
}

/// What SYNC_PTR is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Ask the hardware for its position first.
    pub hwsync: bool,
    /// Set the application's position, frames in `0..boundary`; `None` leaves it.
    pub appl_ptr: Option<u64>,
    /// Set the wakeup threshold, frames; `None` leaves it.
    pub avail_min: Option<u64>,
}

/// The kernel's half of a stream's position: `struct snd_pcm_mmap_status` in Rust's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapState {
    /// The state.
    pub state: State,
    /// The hardware's position, frames in `0..boundary`.
    pub hw_ptr: u64,
    /// When `hw_ptr` was read, on the PCM's timestamp clock.
    pub tstamp: Duration,
    /// Audio time by the sample counter.
    pub audio_tstamp: Duration,
}

/// What SYNC_PTR says, all of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncReply {
    /// The kernel's half.
    pub status: MmapState,
    /// The application's position, frames in `0..boundary`.
    pub appl_ptr: u64,
    /// The wakeup threshold, frames.
    pub avail_min: u64,
}

/// A time as the kernel reports it; one before the clock's zero reads as zero.
pub(super) fn duration(t: uapi::Timespec) -> Duration {
    match (u64::try_from(t.sec), u32::try_from(t.nsec)) {
        (Ok(sec), Ok(nsec)) if nsec < 1_000_000_000 => Duration::new(sec, nsec),
        _ => Duration::ZERO,
    }
}

impl From<uapi::MmapStatus> for MmapState {
    fn from(raw: uapi::MmapStatus) -> Self {
        Self {
            state: raw.state.into(),
            hw_ptr: raw.hw_ptr,
            tstamp: duration(raw.tstamp),
            audio_tstamp: duration(raw.audio_tstamp),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An open PCM substream, `/dev/snd/pcmC*D*[pc]`.
///
/// Dropping it closes the file. Mappings keep the substream alive beyond that: it is released when
/// the last of both is gone.
#[derive(Debug)]
pub struct Pcm {
    fd: OwnedFd,
    direction: Direction,
    /// Bits of a frame in the present configuration, 0 before `hw_params`.
    frame_bits: AtomicU32,
}

impl Pcm {
    /// Opens device `device` of card `card` and announces the protocol of [`uapi`].
    ///
    /// # Errors
    ///
    /// `ENOENT` or `ENODEV`: no such device; `EBUSY`: every substream is taken; `EBADFD`: nobody has the
    /// one to be shared; `EACCES`: not permitted; others as `open(2)`.
    pub fn open(
        card: u32,
        device: u32,
        direction: Direction,
        options: OpenOptions,
    ) -> io::Result<Self> {
        let letter = match direction {
            Direction::Playback => 'p',
            Direction::Capture => 'c',
        };
        let path = format!("/dev/snd/pcmC{card}D{device}{letter}");
        Self::open_path(Path::new(&path), direction, options)
    }

    /// Opens a PCM by the path of its node.
    ///
    /// # Errors
    ///
    /// As [`Pcm::open`], and `ENOTTY` if the node is no PCM.
    pub fn open_path(path: &Path, direction: Direction, options: OpenOptions) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mode = match options.mode {
            OpenMode::ReadWrite => libc::O_RDWR,
            OpenMode::ReadOnly => libc::O_RDONLY,
            OpenMode::WriteOnly => libc::O_WRONLY,
        };
        let nonblock = if options.wait_if_busy {
            0
        } else {
            libc::O_NONBLOCK
        };
        let append = if options.append { libc::O_APPEND } else { 0 };
        let flags = mode | nonblock | append | libc::O_CLOEXEC;
        // SAFETY: `path` is a C string that outlives the call.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let pcm = Self {
            fd,
            direction,
            frame_bits: AtomicU32::new(0),
        };
        pcm.set_nonblock(options.nonblock)?;
        let mut version = uapi::PROTOCOL;
        pcm.call(ioctl::USER_PVERSION, &mut version)?;
        Ok(pcm)
    }

    /// The direction that it was opened for.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Turns `O_NONBLOCK` on or off.
    ///
    /// # Errors
    ///
    /// As `fcntl(2)`.
    pub fn set_nonblock(&self, on: bool) -> io::Result<()> {
        // SAFETY: F_GETFL has no argument and touches no memory.
        let flags = check(unsafe { libc::fcntl(self.raw(), libc::F_GETFL) })?;
        let flags = if on {
            flags | libc::O_NONBLOCK
        } else {
            flags & !libc::O_NONBLOCK
        };
        // SAFETY: F_SETFL takes an int and touches no memory.
        check(unsafe { libc::fcntl(self.raw(), libc::F_SETFL, flags) })?;
        Ok(())
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// An ioctl that reads or writes `arg`.
    pub(super) fn call<T>(&self, request: libc::c_ulong, arg: &mut T) -> io::Result<()> {
        // SAFETY: `request` was computed from `T`'s size, so the kernel touches exactly `arg`.
        unsafe { self.ioctl(request, std::ptr::from_mut(arg)) }
    }

    /// An ioctl without an argument.
    fn bare(&self, request: libc::c_ulong) -> io::Result<()> {
        // SAFETY: the request carries no argument.
        unsafe { self.ioctl::<()>(request, std::ptr::null_mut()) }
    }

    /// Any ioctl with any argument, for callers that probe how the kernel answers wrong ones.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    ///
    /// # Safety
    ///
    /// What the kernel does with `arg` for this `request` must be sound: memory that it writes must
    /// be the caller's. A null or unmapped pointer is fine, the kernel answers `EFAULT`.
    pub unsafe fn ioctl<T>(&self, request: libc::c_ulong, arg: *mut T) -> io::Result<()> {
        // SAFETY: passed on to the caller.
        check(unsafe { libc::ioctl(self.raw(), request as _, arg) })?;
        Ok(())
    }

    /// PVERSION: the kernel's protocol as (major, minor, subminor).
    ///
    /// # Errors
    ///
    /// `ENODEV`: the card is gone; as for every call below.
    pub fn protocol(&self) -> io::Result<(u32, u32, u32)> {
        let mut version = 0u32;
        self.call(ioctl::PVERSION, &mut version)?;
        Ok((version >> 16, (version >> 8) & 0xff, version & 0xff))
    }

    /// INFO: which substream this is.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn info(&self) -> io::Result<Info> {
        let mut raw = uapi::PcmInfo {
            device: 0,
            subdevice: 0,
            stream: 0,
            card: 0,
            id: [0; 64],
            name: [0; 80],
            subname: [0; 32],
            dev_class: 0,
            dev_subclass: 0,
            subdevices_count: 0,
            subdevices_avail: 0,
            pad1: [0; 16],
            reserved: [0; 64],
        };
        self.call(ioctl::INFO, &mut raw)?;
        Ok(Info {
            card: raw.card.unsigned_abs(),
            device: raw.device,
            subdevice: raw.subdevice,
            direction: if raw.stream == 0 {
                Direction::Playback
            } else {
                Direction::Capture
            },
            id: text(&raw.id),
            name: text(&raw.name),
            subname: text(&raw.subname),
            subdevices_count: raw.subdevices_count,
            subdevices_avail: raw.subdevices_avail,
        })
    }

    /// HW_REFINE: narrows `params` to what the hardware can do, changing nothing in it.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no configuration is left.
    pub fn hw_refine(&self, params: &mut HwParams) -> io::Result<()> {
        params.0.rmask = u32::MAX;
        params.0.cmask = 0;
        params.0.info = u32::MAX;
        self.call(ioctl::HW_REFINE, &mut params.0)
    }

    /// HW_PARAMS: lets the kernel pick one configuration out of `params`, allocates the ring, and
    /// leaves the choice in `params`. The state becomes [`State::Setup`].
    ///
    /// # Errors
    ///
    /// `EINVAL`: no configuration is left; `EBADFD`: the state does not allow it, or the ring is
    /// still mapped; `ENOMEM`: no memory for the ring.
    pub fn hw_params(&self, params: &mut HwParams) -> io::Result<()> {
        params.0.rmask = u32::MAX;
        params.0.cmask = 0;
        self.call(ioctl::HW_PARAMS, &mut params.0)?;
        let bits = params.range(Param::FrameBits).single().unwrap_or(0);
        self.frame_bits.store(bits, Ordering::Relaxed);
        Ok(())
    }

    /// HW_FREE: gives the ring back. The state becomes [`State::Open`].
    ///
    /// # Errors
    ///
    /// `EBADFD`: the state does not allow it, or the ring is still mapped.
    pub fn hw_free(&self) -> io::Result<()> {
        self.bare(ioctl::HW_FREE)
    }

    /// SW_PARAMS. Returns the boundary: positions run through `0..boundary` frames, a multiple of
    /// the ring's size.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `avail_min` is 0, or the silence fields contradict each other; `EBADFD`: before
    /// `hw_params`.
    pub fn sw_params(&self, params: &SwParams) -> io::Result<u64> {
        let mut raw = uapi::SwParams {
            tstamp_mode: i32::from(params.tstamp),
            period_step: 1,
            sleep_min: 0,
            avail_min: params.avail_min,
            xfer_align: 1,
            start_threshold: params.start_threshold,
            stop_threshold: params.stop_threshold,
            silence_threshold: params.silence_threshold,
            silence_size: params.silence_size,
            boundary: 0,
            proto: uapi::PROTOCOL,
            tstamp_type: params.tstamp_type as u32,
            reserved: [0; 56],
        };
        self.call(ioctl::SW_PARAMS, &mut raw)?;
        Ok(raw.boundary)
    }

    /// PREPARE: positions to 0, ready to start.
    ///
    /// # Errors
    ///
    /// `EBADFD`: before `hw_params`; `EBUSY`: running.
    pub fn prepare(&self) -> io::Result<()> {
        self.bare(ioctl::PREPARE)
    }

    /// RESET: moves the application's position onto the hardware's.
    ///
    /// # Errors
    ///
    /// `EBADFD`: neither prepared nor running, paused or suspended.
    pub fn reset(&self) -> io::Result<()> {
        self.bare(ioctl::RESET)
    }

    /// START.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not prepared; `EPIPE`: nothing to play.
    pub fn start(&self) -> io::Result<()> {
        self.bare(ioctl::START)
    }

    /// DROP: stops at once and forgets what has not been played.
    ///
    /// # Errors
    ///
    /// `EBADFD`: before `hw_params`.
    pub fn drop_frames(&self) -> io::Result<()> {
        self.bare(ioctl::DROP)
    }

    /// DRAIN: plays up to the application's position and stops. Waits for that, unless the file is
    /// non-blocking: then a `poll` reports an error condition when the state is left.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: non-blocking, and draining has begun; `EINTR`: a signal came first; `EIO`: no end
    /// within 1.1 times the ring; `EBADFD`: before `hw_params`.
    pub fn drain(&self) -> io::Result<()> {
        self.bare(ioctl::DRAIN)
    }

    /// PAUSE: halts the hardware in its place, or releases it.
    ///
    /// # Errors
    ///
    /// `ENOSYS`: the hardware cannot; `EBADFD`: not running, or not paused.
    pub fn pause(&self, on: bool) -> io::Result<()> {
        // The argument is the int itself.
        let arg = std::ptr::without_provenance_mut::<()>(usize::from(on));
        // SAFETY: the kernel takes the argument as a number and touches no memory.
        unsafe { self.ioctl(ioctl::PAUSE, arg) }
    }

    /// RESUME: goes on where the stream was when the machine went to sleep.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not suspended; `ENOSYS`: the card cannot, and the stream must be prepared anew.
    pub fn resume(&self) -> io::Result<()> {
        self.bare(ioctl::RESUME)
    }

    /// LINK: starts and stops together with `other` from now on.
    ///
    /// # Errors
    ///
    /// `EALREADY`: linked already; `EBADFD`: the two are in different states, or `other` is no PCM.
    pub fn link(&self, other: &Self) -> io::Result<()> {
        let arg = std::ptr::without_provenance_mut::<()>(other.raw() as usize);
        // SAFETY: the kernel takes the argument as a number and touches no memory.
        unsafe { self.ioctl(ioctl::LINK, arg) }
    }

    /// UNLINK.
    ///
    /// # Errors
    ///
    /// `EALREADY`: not linked.
    pub fn unlink(&self) -> io::Result<()> {
        self.bare(ioctl::UNLINK)
    }

    /// HWSYNC: asks the hardware for its position and updates `hw_ptr`.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not running, nor anything like it; `EPIPE`: xrun.
    pub fn hwsync(&self) -> io::Result<()> {
        self.bare(ioctl::HWSYNC)
    }

    /// DELAY: frames between the application's position and the converter, after asking the
    /// hardware.
    ///
    /// # Errors
    ///
    /// As [`Pcm::hwsync`].
    pub fn delay(&self) -> io::Result<i64> {
        let mut delay = 0i64;
        self.call(ioctl::DELAY, &mut delay)?;
        Ok(delay)
    }

    /// SYNC_PTR: exchanges both halves of the position in one step.
    ///
    /// # Errors
    ///
    /// `EBADFD`: before `hw_params`, or with `hwsync` in a state without a position; `EINVAL`: the
    /// position set is outside `0..boundary`.
    pub fn sync_ptr(&self, request: SyncRequest) -> io::Result<SyncReply> {
        let mut flags = 0;
        if request.hwsync {
            flags |= uapi::SYNC_PTR_HWSYNC;
        }
        if request.appl_ptr.is_none() {
            flags |= uapi::SYNC_PTR_APPL;
        }
        if request.avail_min.is_none() {
            flags |= uapi::SYNC_PTR_AVAIL_MIN;
        }
        let mut raw = uapi::SyncPtr {
            flags,
            pad1: 0,
            status: uapi::MmapStatus::default(),
            status_reserved: [0; 8],
            control: uapi::MmapControl {
                appl_ptr: request.appl_ptr.unwrap_or(0),
                avail_min: request.avail_min.unwrap_or(0),
            },
            control_reserved: [0; 48],
        };
        self.call(ioctl::SYNC_PTR, &mut raw)?;
        Ok(SyncReply {
            status: raw.status.into(),
            appl_ptr: raw.control.appl_ptr,
            avail_min: raw.control.avail_min,
        })
    }

    /// Bits of a frame in the present configuration.
    fn frame_bits(&self) -> io::Result<u64> {
        match self.frame_bits.load(Ordering::Relaxed) {
            0 => Err(io::Error::from_raw_os_error(libc::EBADFD)),
            bits => Ok(bits.into()),
        }
    }

    /// WRITEI_FRAMES: copies the whole frames in `buf` into the ring and returns how many went in.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not prepared or running; `EINVAL`: the access mode is not read/write interleaved;
    /// `EAGAIN`: non-blocking and no room; `EPIPE`: xrun; `EINTR`: a signal came before any frame.
    pub fn writei(&self, buf: &[u8]) -> io::Result<usize> {
        let frames = buf.len() as u64 * 8 / self.frame_bits()?;
        let mut xfer = uapi::Xferi {
            result: 0,
            buf: buf.as_ptr().cast_mut().cast(),
            frames,
        };
        self.call(ioctl::WRITEI_FRAMES, &mut xfer)?;
        Ok(usize::try_from(xfer.result).unwrap_or(0))
    }

    /// READI_FRAMES: copies whole frames out of the ring into `buf` and returns how many came.
    ///
    /// # Errors
    ///
    /// As [`Pcm::writei`].
    pub fn readi(&self, buf: &mut [u8]) -> io::Result<usize> {
        let frames = buf.len() as u64 * 8 / self.frame_bits()?;
        let mut xfer = uapi::Xferi {
            result: 0,
            buf: buf.as_mut_ptr().cast(),
            frames,
        };
        self.call(ioctl::READI_FRAMES, &mut xfer)?;
        Ok(usize::try_from(xfer.result).unwrap_or(0))
    }

    /// `poll(2)` on this file alone for room or data. Returns the events, 0 at the timeout; `None`
    /// waits for ever. An error condition (`POLLERR`) is an event.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came first.
    pub fn poll(&self, timeout: Option<Duration>) -> io::Result<i16> {
        let events = match self.direction {
            Direction::Playback => libc::POLLOUT,
            Direction::Capture => libc::POLLIN,
        };
        let mut fds = [libc::pollfd {
            fd: self.raw(),
            events,
            revents: 0,
        }];
        poll(&mut fds, timeout)?;
        Ok(fds[0].revents)
    }

    /// Maps `len` bytes of this file from byte `offset`: the ring from 0, the records from
    /// [`uapi::MMAP_OFFSET_STATUS`] and [`uapi::MMAP_OFFSET_CONTROL`]. Every argument goes to the
    /// kernel as it is.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`. From ALSA: `EINVAL`: outside the ring, or the wrong protection for
    /// the direction; `EBADFD`: before `hw_params`, or no card any more; `ENXIO`: not to be mapped
    /// on this card.
    pub fn mmap(&self, offset: u64, len: usize, options: MapOptions) -> io::Result<Mapping> {
        Mapping::new(self.fd.as_fd(), offset, len, options)
    }
}

impl AsFd for Pcm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Pcm {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}

/// `ppoll(2)` with the signals as they are. Returns how many of `fds` have events; `None` waits for ever.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let time = timeout.map(|t| libc::timespec {
        // More than the kernel counts is for ever, as good as.
        tv_sec: t.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: t.subsec_nanos().into(),
    });
    let at = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let (fds, count) = (fds.as_mut_ptr(), fds.len() as libc::nfds_t);
    // SAFETY: the pointer and the count are those of the slice; the time is null or lives to the end of this
    // function; no signal mask.
    let ready = check(unsafe { libc::ppoll(fds, count, at, std::ptr::null()) })?;
    Ok(ready as usize)
}

/// A return value of libc: negative is an errno.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_no_pcm_is_refused() {
        let error = Pcm::open_path(
            Path::new("/dev/null"),
            Direction::Playback,
            OpenOptions::default(),
        )
        .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
