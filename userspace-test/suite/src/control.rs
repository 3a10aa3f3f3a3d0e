// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card's control elements, by the kernel's interface (uapi/sound/asound.h).
#![allow(unsafe_code)]

use crate::card;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

/// `SNDRV_CTL_ELEM_IFACE_PCM`
const IFACE_PCM: i32 = 3;
/// Room for a name, its zero included.
const NAME: usize = 44;

/// `struct snd_ctl_elem_value` of an element with 64 bit values, or with 32 bit items in their place.
#[repr(C)]
struct ElemValue {
    numid: u32,
    iface: i32,
    device: u32,
    subdevice: u32,
    name: [u8; NAME],
    index: u32,
    indirect: u64,
    value: [u64; 128],
    reserved: [u8; 128],
}

const READ: u32 = 0x12;
const WRITE: u32 = 0x13;

/// `_IOWR('U', number, struct snd_ctl_elem_value)`
const fn request(number: u32) -> libc::Ioctl {
    let size = size_of::<ElemValue>() as u32;
    (3 << 30 | size << 16 | 0x55 << 8 | number) as libc::Ioctl
}

/// The card's control device, open for its events: who polls it is told when the card goes.
///
/// # Errors
///
/// As for opening it, or the errno of SUBSCRIBE_EVENTS.
pub fn events() -> io::Result<File> {
    const SUBSCRIBE: libc::Ioctl = (3 << 30 | 4 << 16 | 0x55 << 8 | 0x16) as libc::Ioctl;
    let file = File::open(format!("/dev/snd/controlC{}", card::number()?))?;
    let mut on: i32 = 1;
    // SAFETY: The request takes an int.
    match unsafe { libc::ioctl(file.as_raw_fd(), SUBSCRIBE, &raw mut on) } {
        0.. => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A control element of one substream, with one value.
#[derive(Debug)]
pub struct Control {
    card: File,
    name: &'static str,
    subdevice: u32,
}

impl Control {
    /// The element `name` of substream `subdevice` of PCM 0.
    ///
    /// # Errors
    ///
    /// As for opening the card's control device; a name that does not exist is found out later.
    pub fn of(name: &'static str, subdevice: u32) -> io::Result<Self> {
        let path = format!("/dev/snd/controlC{}", card::number()?);
        let card = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self {
            card,
            name,
            subdevice,
        })
    }

    /// Where the ring of the playback substream lives: 0 main memory, 1 the card, 2 the card or main memory.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn playback_memory() -> io::Result<Self> {
        Self::of("Ring Memory Playback Enum", 0)
    }

    /// As [`Self::playback_memory`], of the capture substream.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn capture_memory() -> io::Result<Self> {
        Self::of("Ring Memory Capture Enum", 0)
    }

    fn call(&self, number: u32, value: u32) -> io::Result<u32> {
        let mut name = [0; NAME];
        for (to, from) in name.iter_mut().take(NAME - 1).zip(self.name.bytes()) {
            *to = from;
        }
        let mut values = [0; 128];
        // Little endian, the rest zero: a 64 bit value and a 32 bit item are the same bytes.
        values[0] = u64::from(value).to_le();
        let mut element = ElemValue {
            numid: 0,
            iface: IFACE_PCM,
            device: 0,
            subdevice: self.subdevice,
            name,
            index: 0,
            indirect: 0,
            value: values,
            reserved: [0; 128],
        };
        // SAFETY: The structure is the request's.
        let result =
            unsafe { libc::ioctl(self.card.as_raw_fd(), request(number), &raw mut element) };
        match result {
            // The low half is the item, and all there is of a switch.
            0.. => Ok(element.value[0] as u32),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// The errno of the request: `ENOENT` without such an element.
    pub fn get(&self) -> io::Result<u32> {
        self.call(READ, 0)
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// What the driver answers.
    pub fn set(&self, value: u32) -> io::Result<()> {
        self.call(WRITE, value).map(|_| ())
    }

    /// Sets it for a while: dropped, it is as before.
    ///
    /// # Errors
    ///
    /// As [`Self::get`] and [`Self::set`].
    pub fn changed(self, value: u32) -> io::Result<Changed> {
        let before = self.get()?;
        self.set(value)?;
        Ok(Changed(self, before))
    }
}

/// Substream 0 of every PCM of the card for this thread, as long as it lives: what it opens is that one, or
/// `EBUSY` when somebody has it, however many there are.
#[derive(Debug)]
pub struct OnlyFirst(#[allow(dead_code)] File);

impl OnlyFirst {
    /// From now on.
    ///
    /// # Errors
    ///
    /// As [`Control::of`], or the errno of the request.
    pub fn new() -> io::Result<Self> {
        // `_IOW('U', 0x32, int)`
        const PCM_PREFER_SUBDEVICE: libc::Ioctl = (1 << 30 | 4 << 16 | 0x55 << 8 | 0x32) as _;
        let path = format!("/dev/snd/controlC{}", card::number()?);
        let card = OpenOptions::new().read(true).write(true).open(path)?;
        let mut first: libc::c_int = 0;
        // SAFETY: The request reads one int.
        match unsafe { libc::ioctl(card.as_raw_fd(), PCM_PREFER_SUBDEVICE, &raw mut first) } {
            0 => Ok(Self(card)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A control element with another value for a while.
#[derive(Debug)]
pub struct Changed(Control, u32);

impl Changed {
    /// Sets it again.
    ///
    /// # Errors
    ///
    /// As [`Control::set`].
    pub fn set(&self, value: u32) -> io::Result<()> {
        self.0.set(value)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        // After an unbind there is nothing left to set.
        let _ = self.0.set(self.1);
    }
}
