// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card's control elements, by the kernel's interface (uapi/sound/asound.h).
#![allow(unsafe_code)]

pub mod all;

use crate::card;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;

/// Room for a name, its zero included.
const NAME: usize = 44;
/// Most values of an element.
const VALUES: usize = 128;

/// What an element belongs to: `SNDRV_CTL_ELEM_IFACE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Interface {
    /// The card as a whole.
    Card = 0,
    /// The mixer.
    Mixer = 2,
    /// A PCM.
    Pcm = 3,
}

/// `struct snd_ctl_elem_id`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct ElemId {
    numid: u32,
    iface: i32,
    device: u32,
    subdevice: u32,
    name: [u8; NAME],
    index: u32,
}

/// `struct snd_ctl_elem_value` of an element with integers, or with 32 bit items in their place.
#[repr(C)]
struct ElemValue {
    id: ElemId,
    indirect: u64,
    value: [u64; VALUES],
    reserved: [u8; 128],
}

/// `struct snd_ctl_elem_info`
#[repr(C)]
struct ElemInfo {
    id: ElemId,
    kind: i32,
    access: u32,
    count: u32,
    owner: i32,
    /// Of integers: least, most, step.
    value: [i64; 16],
    reserved: [u8; 64],
}

/// `struct snd_ctl_tlv`
#[repr(C)]
struct Tlv {
    numid: u32,
    bytes: u32,
    words: [u32; TLV],
}

/// Room for what an element has to say of itself, in words.
const TLV: usize = 128;

/// `struct snd_ctl_event` of an element.
#[repr(C)]
struct ElemEvent {
    kind: i32,
    mask: u32,
    id: ElemId,
}

const INFO: u32 = 0x11;
const READ: u32 = 0x12;
const WRITE: u32 = 0x13;
const TLV_READ: u32 = 0x1a;

/// `_IOWR('U', number, T)`
const fn request<T>(number: u32) -> libc::Ioctl {
    (3 << 30 | (size_of::<T>() as u32) << 16 | 0x55 << 8 | number) as libc::Ioctl
}

/// `_IOWR('U', 0x1a, struct snd_ctl_tlv)`: the words are not counted.
const READ_TLV: libc::Ioctl = (3 << 30 | 8 << 16 | 0x55 << 8 | TLV_READ) as libc::Ioctl;

fn open() -> io::Result<File> {
    let path = format!("/dev/snd/controlC{}", card::number()?);
    OpenOptions::new().read(true).write(true).open(path)
}

/// Makes `request` of `card`, whose argument is a `T`.
fn ask<T>(card: &File, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: The structure is the request's: each is named together with it above.
    match unsafe { libc::ioctl(card.as_raw_fd(), request, &raw mut *argument) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads or writes (`number`) the values of element `id`.
fn values(
    card: &File,
    id: ElemId,
    number: u32,
    values: [u64; VALUES],
) -> io::Result<[u64; VALUES]> {
    let mut element = ElemValue {
        id,
        indirect: 0,
        value: values,
        reserved: [0; 128],
    };
    ask(card, request::<ElemValue>(number), &mut element)?;
    Ok(element.value)
}

/// What element `id` is.
fn info(card: &File, id: ElemId) -> io::Result<Info> {
    let mut info = ElemInfo {
        id,
        kind: 0,
        access: 0,
        count: 0,
        owner: 0,
        value: [0; 16],
        reserved: [0; 64],
    };
    ask(card, request::<ElemInfo>(INFO), &mut info)?;
    Ok(Info {
        numid: info.id.numid,
        kind: info.kind,
        access: info.access,
        count: info.count,
        range: (info.value[0], info.value[1]),
    })
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
    ask(&file, SUBSCRIBE, &mut on)?;
    Ok(file)
}

/// Which elements have other values than before, as the card tells it.
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// From now on.
    ///
    /// # Errors
    ///
    /// As [`events`], or the errno of `fcntl(2)`.
    pub fn new() -> io::Result<Self> {
        let file = events()?;
        // SAFETY: Numbers.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } {
            0 => Ok(Self(file)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The number of the next element whose value has changed; `None` when there is none by now.
    ///
    /// # Errors
    ///
    /// The errno of `read(2)`.
    pub fn next(&self) -> io::Result<Option<u32>> {
        const VALUE: u32 = 1;
        loop {
            let mut event = [0; size_of::<ElemEvent>()];
            match (&self.0).read(&mut event) {
                Ok(n) if n == event.len() => {}
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            // SAFETY: As many bytes, all of them integers.
            let event: ElemEvent = unsafe { std::mem::transmute(event) };
            if event.kind == 0 && event.mask & VALUE != 0 {
                return Ok(Some(event.id.numid));
            }
        }
    }

    /// Waits for the next one.
    ///
    /// # Errors
    ///
    /// As [`Self::next`], or the errno of `poll(2)`.
    pub fn wait(&self) -> io::Result<u32> {
        loop {
            if let Some(numid) = self.next()? {
                return Ok(numid);
            }
            let mut fd = libc::pollfd {
                fd: self.0.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: One descriptor.
            if unsafe { libc::poll(&raw mut fd, 1, -1) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// What events name it by.
    pub numid: u32,
    /// `SNDRV_CTL_ELEM_TYPE_*`: 1 boolean, 2 integer, 3 enumerated.
    pub kind: i32,
    /// `SNDRV_CTL_ELEM_ACCESS_*`
    pub access: u32,
    /// How many values it has.
    pub count: u32,
    /// The least and the most, of integers.
    pub range: (i64, i64),
}

impl Info {
    /// `SNDRV_CTL_ELEM_ACCESS_READ`, and so on.
    pub const READ: u32 = 1;
    #[allow(missing_docs)]
    pub const WRITE: u32 = 2;
    #[allow(missing_docs)]
    pub const VOLATILE: u32 = 4;
    #[allow(missing_docs)]
    pub const TLV_READ: u32 = 16;
}

/// A control element.
#[derive(Debug)]
pub struct Control {
    card: File,
    id: ElemId,
}

impl Control {
    /// The element `name` of substream `subdevice` of PCM 0, with one value.
    ///
    /// # Errors
    ///
    /// As for opening the card's control device; a name that does not exist is found out later.
    pub fn of(name: &str, subdevice: u32) -> io::Result<Self> {
        let mut control = Self::named(Interface::Pcm, name, 0)?;
        control.id.subdevice = subdevice;
        Ok(control)
    }

    /// The element `name` number `index` of an interface.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn named(interface: Interface, name: &str, index: u32) -> io::Result<Self> {
        let mut bytes = [0; NAME];
        for (to, from) in bytes.iter_mut().take(NAME - 1).zip(name.bytes()) {
            *to = from;
        }
        Ok(Self {
            card: open()?,
            id: ElemId {
                numid: 0,
                iface: interface as i32,
                device: 0,
                subdevice: 0,
                name: bytes,
                index,
            },
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

    fn call(&self, number: u32, to: [u64; VALUES]) -> io::Result<[u64; VALUES]> {
        values(&self.card, self.id, number, to)
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// The errno of the request: `ENOENT` without such an element.
    pub fn get(&self) -> io::Result<u32> {
        // The low half is the item, and all there is of a switch.
        Ok(self.call(READ, [0; VALUES])?[0] as u32)
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// What the driver answers.
    pub fn set(&self, value: u32) -> io::Result<()> {
        // Little endian, the rest zero: a 64 bit value and a 32 bit item are the same bytes.
        self.set_all(&[value.into()])
    }

    /// Its first `count` values, of an element with integers.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub fn get_all(&self, count: usize) -> io::Result<Vec<i64>> {
        let values = self.call(READ, [0; VALUES])?;
        Ok(values.iter().take(count).map(|&v| v as i64).collect())
    }

    /// Sets its first values, of an element with integers; the others are 0.
    ///
    /// # Errors
    ///
    /// What the driver answers.
    pub fn set_all(&self, values: &[i64]) -> io::Result<()> {
        let mut all = [0; VALUES];
        for (to, &from) in all.iter_mut().zip(values) {
            *to = from as u64;
        }
        self.call(WRITE, all).map(|_| ())
    }

    /// What it is.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub fn info(&self) -> io::Result<Info> {
        info(&self.card, self.id)
    }

    /// What it says of itself: the words of its TLV, type and length in bytes first.
    ///
    /// # Errors
    ///
    /// The errno of the request: `ENXIO` for an element that says nothing.
    pub fn tlv(&self) -> io::Result<Vec<u32>> {
        let mut tlv = Tlv {
            numid: self.info()?.numid,
            bytes: (TLV * 4) as u32,
            words: [0; TLV],
        };
        ask(&self.card, READ_TLV, &mut tlv)?;
        let words = 2 + tlv.words[1] as usize / 4;
        Ok(tlv.words.into_iter().take(words).collect())
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
        let card = open()?;
        let mut first: libc::c_int = 0;
        ask(&card, PCM_PREFER_SUBDEVICE, &mut first)?;
        Ok(Self(card))
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
