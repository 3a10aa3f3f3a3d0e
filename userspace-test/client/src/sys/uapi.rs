// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's PCM interface as it is laid out in memory: `include/uapi/sound/asound.h`,
//! protocol 2.0.18, for 64-bit machines.
//!
//! Names follow the header, without the `snd_pcm_` prefix on types. Every structure that crosses
//! the system call boundary has its size and its telling offsets asserted at compile time, and each
//! ioctl number is computed from the structure that it carries, so a wrong layout does not build.
//!
//! On 64-bit machines `snd_pcm_uframes_t` has 64 bits and both timespec layouts of the status
//! record coincide; on 32-bit ones neither holds, and the crate refuses to build there.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the 32-bit layouts of the PCM interface are not described here");

#[cfg(any(
    target_arch = "mips64",
    target_arch = "powerpc64",
    target_arch = "sparc64"
))]
compile_error!("this architecture encodes ioctl numbers in its own way");

use std::mem::{offset_of, size_of};

/// `snd_pcm_uframes_t`: a count of frames, or a position in `0..boundary`.
pub type Uframes = u64;
/// `snd_pcm_sframes_t`: a signed count of frames.
pub type Sframes = i64;

/// `SNDRV_PCM_VERSION`, the protocol that these definitions describe.
pub const PROTOCOL: u32 = (2 << 16) | 18;

/// `struct timespec` with 64-bit fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, `0..1_000_000_000`.
    pub nsec: i64,
}

/// `struct snd_pcm_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct PcmInfo {
    pub device: u32,
    pub subdevice: u32,
    pub stream: i32,
    pub card: i32,
    pub id: [u8; 64],
    pub name: [u8; 80],
    pub subname: [u8; 32],
    pub dev_class: i32,
    pub dev_subclass: i32,
    pub subdevices_count: u32,
    pub subdevices_avail: u32,
    pub pad1: [u8; 16],
    pub reserved: [u8; 64],
}

/// `struct snd_interval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Lower end.
    pub min: u32,
    /// Upper end.
    pub max: u32,
    /// The bit field: [`INTERVAL_OPENMIN`] and so on.
    pub flags: u32,
}

/// `openmin`: `min` itself is outside.
pub const INTERVAL_OPENMIN: u32 = 1 << 0;
/// `openmax`: `max` itself is outside.
pub const INTERVAL_OPENMAX: u32 = 1 << 1;
/// `integer`: only whole numbers are inside.
pub const INTERVAL_INTEGER: u32 = 1 << 2;
/// `empty`: nothing is inside.
pub const INTERVAL_EMPTY: u32 = 1 << 3;

/// `struct snd_mask`: a set of up to 256 small numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Bit `n % 32` of word `n / 32` stands for `n`.
    pub bits: [u32; 8],
}

/// `SNDRV_PCM_HW_PARAM_FIRST_MASK ..= LAST_MASK`.
pub const MASKS: usize = 3;
/// `SNDRV_PCM_HW_PARAM_FIRST_INTERVAL`.
pub const FIRST_INTERVAL: u32 = 8;
/// `SNDRV_PCM_HW_PARAM_FIRST_INTERVAL ..= LAST_INTERVAL`.
pub const INTERVALS: usize = 12;

/// `struct snd_pcm_hw_params`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct HwParams {
    pub flags: u32,
    pub masks: [Mask; MASKS],
    pub mres: [Mask; 5],
    pub intervals: [Interval; INTERVALS],
    pub ires: [Interval; 9],
    pub rmask: u32,
    pub cmask: u32,
    pub info: u32,
    pub msbits: u32,
    pub rate_num: u32,
    pub rate_den: u32,
    pub fifo_size: Uframes,
    pub sync: [u8; 16],
    pub reserved: [u8; 48],
}

/// `SNDRV_PCM_HW_PARAMS_NORESAMPLE`.
pub const HW_PARAMS_NORESAMPLE: u32 = 1 << 0;
/// `SNDRV_PCM_HW_PARAMS_EXPORT_BUFFER`.
pub const HW_PARAMS_EXPORT_BUFFER: u32 = 1 << 1;
/// `SNDRV_PCM_HW_PARAMS_NO_PERIOD_WAKEUP`.
pub const HW_PARAMS_NO_PERIOD_WAKEUP: u32 = 1 << 2;
/// `SNDRV_PCM_HW_PARAMS_NO_DRAIN_SILENCE`.
pub const HW_PARAMS_NO_DRAIN_SILENCE: u32 = 1 << 3;

/// `SNDRV_PCM_INFO_MMAP`: the hardware's ring can be mapped.
pub const INFO_MMAP: u32 = 1 << 0;
/// `SNDRV_PCM_INFO_MMAP_VALID`: a period's data stay valid while it is transferred.
pub const INFO_MMAP_VALID: u32 = 1 << 1;
/// `SNDRV_PCM_INFO_BATCH`: the position moves by whole periods.
pub const INFO_BATCH: u32 = 1 << 4;
/// `SNDRV_PCM_INFO_SYNC_APPLPTR`: `appl_ptr` has to be handed over by SYNC_PTR.
pub const INFO_SYNC_APPLPTR: u32 = 1 << 5;
/// `SNDRV_PCM_INFO_PERFECT_DRAIN`: the hardware stops at the last frame by itself.
pub const INFO_PERFECT_DRAIN: u32 = 1 << 6;
/// `SNDRV_PCM_INFO_INTERLEAVED`.
pub const INFO_INTERLEAVED: u32 = 1 << 8;
/// `SNDRV_PCM_INFO_NONINTERLEAVED`.
pub const INFO_NONINTERLEAVED: u32 = 1 << 9;
/// `SNDRV_PCM_INFO_BLOCK_TRANSFER`.
pub const INFO_BLOCK_TRANSFER: u32 = 1 << 16;
/// `SNDRV_PCM_INFO_RESUME`: the stream can go on after a suspend.
pub const INFO_RESUME: u32 = 1 << 18;
/// `SNDRV_PCM_INFO_PAUSE`: the PAUSE ioctl works.
pub const INFO_PAUSE: u32 = 1 << 19;
/// `SNDRV_PCM_INFO_SYNC_START`: linked streams start together.
pub const INFO_SYNC_START: u32 = 1 << 22;
/// `SNDRV_PCM_INFO_NO_PERIOD_WAKEUP`: period interrupts can be turned off.
pub const INFO_NO_PERIOD_WAKEUP: u32 = 1 << 23;
/// `SNDRV_PCM_INFO_EXPLICIT_SYNC`: status and control cannot be mapped.
pub const INFO_EXPLICIT_SYNC: u32 = 1 << 28;
/// `SNDRV_PCM_INFO_NO_REWINDS`: `appl_ptr` only moves forward.
pub const INFO_NO_REWINDS: u32 = 1 << 29;

/// `struct snd_pcm_sw_params`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct SwParams {
    pub tstamp_mode: i32,
    pub period_step: u32,
    pub sleep_min: u32,
    pub avail_min: Uframes,
    pub xfer_align: Uframes,
    pub start_threshold: Uframes,
    pub stop_threshold: Uframes,
    pub silence_threshold: Uframes,
    pub silence_size: Uframes,
    pub boundary: Uframes,
    pub proto: u32,
    pub tstamp_type: u32,
    pub reserved: [u8; 56],
}

/// `struct snd_pcm_channel_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the fields are the header's
pub struct ChannelInfo {
    pub channel: u32,
    pub offset: i64,
    pub first: u32,
    pub step: u32,
}

/// `struct snd_pcm_status`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct Status {
    pub state: i32,
    pub pad1: [u8; 4],
    pub trigger_tstamp: Timespec,
    pub tstamp: Timespec,
    pub appl_ptr: Uframes,
    pub hw_ptr: Uframes,
    pub delay: Sframes,
    pub avail: Uframes,
    pub avail_max: Uframes,
    pub overrange: Uframes,
    pub suspended_state: i32,
    pub audio_tstamp_data: u32,
    pub audio_tstamp: Timespec,
    pub driver_tstamp: Timespec,
    pub audio_tstamp_accuracy: u32,
    pub reserved: [u8; 20],
}

/// `struct snd_pcm_mmap_status`: what the kernel publishes about the stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the fields are the header's
pub struct MmapStatus {
    pub state: i32,
    pub pad1: u32,
    pub hw_ptr: Uframes,
    pub tstamp: Timespec,
    pub suspended_state: i32,
    pub pad3: u32,
    pub audio_tstamp: Timespec,
}

/// `struct snd_pcm_mmap_control`: what the application publishes about the stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the fields are the header's
pub struct MmapControl {
    pub appl_ptr: Uframes,
    pub avail_min: Uframes,
}

/// `struct snd_pcm_sync_ptr`. Both records are 64 bytes long here, the rest of each is reserved.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct SyncPtr {
    pub flags: u32,
    pub pad1: u32,
    pub status: MmapStatus,
    pub status_reserved: [u8; 64 - size_of::<MmapStatus>()],
    pub control: MmapControl,
    pub control_reserved: [u8; 64 - size_of::<MmapControl>()],
}

/// `SNDRV_PCM_SYNC_PTR_HWSYNC`: ask the hardware where it is first.
pub const SYNC_PTR_HWSYNC: u32 = 1 << 0;
/// `SNDRV_PCM_SYNC_PTR_APPL`: *read* `appl_ptr`; clear: set it.
pub const SYNC_PTR_APPL: u32 = 1 << 1;
/// `SNDRV_PCM_SYNC_PTR_AVAIL_MIN`: *read* `avail_min`; clear: set it.
pub const SYNC_PTR_AVAIL_MIN: u32 = 1 << 2;

/// `struct snd_xferi`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are the header's
pub struct Xferi {
    pub result: Sframes,
    pub buf: *mut libc::c_void,
    pub frames: Uframes,
}

/// `SNDRV_PCM_MMAP_OFFSET_DATA`, bytes.
pub const MMAP_OFFSET_DATA: u64 = 0;
/// `SNDRV_PCM_MMAP_OFFSET_STATUS_NEW`, bytes.
pub const MMAP_OFFSET_STATUS: u64 = 0x8200_0000;
/// `SNDRV_PCM_MMAP_OFFSET_CONTROL_NEW`, bytes.
pub const MMAP_OFFSET_CONTROL: u64 = 0x8300_0000;

const NONE: u32 = 0;
const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC('A', ...)` of `asm-generic/ioctl.h`.
const fn ioc<T>(direction: u32, number: u32) -> libc::c_ulong {
    let size = if direction == NONE { 0 } else { size_of::<T>() };
    assert!(size < 1 << 14);
    ((direction << 30) | ((size as u32) << 16) | ((b'A' as u32) << 8) | number) as libc::c_ulong
}

/// The ioctl numbers of a PCM file.
#[allow(missing_docs)] // the names are the header's
pub mod ioctl {
    use super::*;
    use libc::{c_int, c_ulong};

    pub const PVERSION: c_ulong = ioc::<c_int>(READ, 0x00);
    pub const INFO: c_ulong = ioc::<PcmInfo>(READ, 0x01);
    pub const TTSTAMP: c_ulong = ioc::<c_int>(WRITE, 0x03);
    pub const USER_PVERSION: c_ulong = ioc::<c_int>(WRITE, 0x04);
    pub const HW_REFINE: c_ulong = ioc::<HwParams>(READ | WRITE, 0x10);
    pub const HW_PARAMS: c_ulong = ioc::<HwParams>(READ | WRITE, 0x11);
    pub const HW_FREE: c_ulong = ioc::<()>(NONE, 0x12);
    pub const SW_PARAMS: c_ulong = ioc::<SwParams>(READ | WRITE, 0x13);
    pub const STATUS: c_ulong = ioc::<Status>(READ, 0x20);
    pub const DELAY: c_ulong = ioc::<Sframes>(READ, 0x21);
    pub const HWSYNC: c_ulong = ioc::<()>(NONE, 0x22);
    pub const SYNC_PTR: c_ulong = ioc::<SyncPtr>(READ | WRITE, 0x23);
    pub const STATUS_EXT: c_ulong = ioc::<Status>(READ | WRITE, 0x24);
    pub const CHANNEL_INFO: c_ulong = ioc::<ChannelInfo>(READ, 0x32);
    pub const PREPARE: c_ulong = ioc::<()>(NONE, 0x40);
    pub const RESET: c_ulong = ioc::<()>(NONE, 0x41);
    pub const START: c_ulong = ioc::<()>(NONE, 0x42);
    pub const DROP: c_ulong = ioc::<()>(NONE, 0x43);
    pub const DRAIN: c_ulong = ioc::<()>(NONE, 0x44);
    pub const PAUSE: c_ulong = ioc::<c_int>(WRITE, 0x45);
    pub const REWIND: c_ulong = ioc::<Uframes>(WRITE, 0x46);
    pub const RESUME: c_ulong = ioc::<()>(NONE, 0x47);
    pub const XRUN: c_ulong = ioc::<()>(NONE, 0x48);
    pub const FORWARD: c_ulong = ioc::<Uframes>(WRITE, 0x49);
    pub const WRITEI_FRAMES: c_ulong = ioc::<Xferi>(WRITE, 0x50);
    pub const READI_FRAMES: c_ulong = ioc::<Xferi>(READ, 0x51);
    pub const LINK: c_ulong = ioc::<c_int>(WRITE, 0x60);
    pub const UNLINK: c_ulong = ioc::<()>(NONE, 0x61);
}

const _: () = {
    assert!(size_of::<PcmInfo>() == 288);
    assert!(size_of::<Mask>() == 32);
    assert!(size_of::<Interval>() == 12);
    assert!(size_of::<HwParams>() == 608);
    assert!(offset_of!(HwParams, intervals) == 260);
    assert!(offset_of!(HwParams, rmask) == 512);
    assert!(offset_of!(HwParams, fifo_size) == 536);
    assert!(size_of::<SwParams>() == 136);
    assert!(offset_of!(SwParams, avail_min) == 16);
    assert!(offset_of!(SwParams, boundary) == 64);
    assert!(size_of::<ChannelInfo>() == 24);
    assert!(size_of::<Status>() == 152);
    assert!(offset_of!(Status, appl_ptr) == 40);
    assert!(offset_of!(Status, audio_tstamp) == 96);
    assert!(size_of::<MmapStatus>() == 56);
    assert!(offset_of!(MmapStatus, hw_ptr) == 8);
    assert!(offset_of!(MmapStatus, audio_tstamp) == 40);
    assert!(size_of::<MmapControl>() == 16);
    assert!(size_of::<SyncPtr>() == 136);
    assert!(offset_of!(SyncPtr, status) == 8);
    assert!(offset_of!(SyncPtr, control) == 72);
    assert!(size_of::<Xferi>() == 24);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers as `strace` prints them for alsa-lib on x86-64.
    #[test]
    fn ioctl_numbers_are_the_headers() {
        assert_eq!(ioctl::HW_PARAMS, 0xc260_4111);
        assert_eq!(ioctl::SW_PARAMS, 0xc088_4113);
        assert_eq!(ioctl::SYNC_PTR, 0xc088_4123);
        assert_eq!(ioctl::STATUS_EXT, 0xc098_4124);
        assert_eq!(ioctl::WRITEI_FRAMES, 0x4018_4150);
        assert_eq!(ioctl::INFO, 0x8120_4101);
        assert_eq!(ioctl::START, 0x4142);
    }
}
