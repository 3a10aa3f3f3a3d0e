// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ioctls of the card's nodes: their numbers, and what the words of their arguments mean.
//!
//! A new one is a line here. What no field says is zero or noise, as the operation has it.

use super::odd;
use crate::seed::Random;
use cpal_alsa_mmap::sys::uapi::{self, ioctl};

/// What a descriptor's slot is for. Any node may be opened in it, and mostly this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// `pcmC?D0p`
    Playback,
    /// `pcmC?D0c`
    Capture,
    /// `controlC?`
    Control,
    /// `/dev/dsp`
    Oss,
    /// `/dev/mixer`
    Mixer,
}

impl Node {
    /// The node that `slot` is for.
    #[must_use]
    pub fn of_slot(slot: u64) -> Self {
        match slot {
            0 | 1 | 7 => Self::Playback,
            2 | 3 => Self::Capture,
            4 => Self::Control,
            5 => Self::Mixer,
            _ => Self::Oss,
        }
    }

    /// A node by number: all have one, playback several.
    #[must_use]
    pub fn number(number: u64) -> Self {
        match number {
            1 => Self::Capture,
            2 => Self::Control,
            3 => Self::Oss,
            4 => Self::Mixer,
            _ => Self::Playback,
        }
    }
}

/// What is in a field.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// See [`odd::value`].
    Odd,
    /// See [`odd::frames`].
    Frames,
    /// Below this.
    Below(u64),
    /// The number of a descriptor in a slot.
    File,
    /// The address of memory, good or bad.
    Pointer,
    /// A control element's name and all that comes before it: mostly its number alone.
    Element,
}

/// Where, how many bytes, what.
type Field = (usize, usize, Word);

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The header's name of it.
    pub name: &'static str,
    /// The node that knows it.
    pub node: Node,
    /// Its number.
    pub request: u64,
    /// Whether the argument is a number and no address.
    pub by_value: bool,
    fields: &'static [Field],
}

impl Call {
    /// Bytes of its argument.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.request >> 16 & 0x3fff) as usize
    }

    /// Fills the argument. `file` and `pointer` are asked for what only the process knows.
    pub fn fill(
        &self,
        random: &mut Random,
        to: &mut [u8],
        file: impl Fn(u64) -> u64,
        pointer: impl Fn(&mut Random) -> u64,
    ) {
        match random.below(8) {
            0 => random.fill(to),
            _ => to.fill(0),
        }
        for &(at, bytes, word) in self.fields {
            let value = match word {
                Word::Odd => odd::value(random),
                Word::Frames => odd::frames(random),
                Word::Below(end) if random.below(8) != 0 => random.below(end as usize) as u64,
                Word::Below(_) => odd::value(random),
                Word::File => file(random.next()),
                Word::Pointer => pointer(random),
                Word::Element if random.below(8) == 0 => odd::value(random),
                // The card has some thirty, and what this process adds.
                Word::Element => random.below(48) as u64,
            };
            if let Some(to) = to.get_mut(at..at + bytes) {
                to.copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
        }
    }
}

/// The number of the call `name`.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn number(name: &str) -> u64 {
    let found = CALLS.iter().position(|call| call.name == name);
    found.expect("a call of the table") as u64
}

/// A call that `node` knows, by `choice`.
#[must_use]
pub fn of(node: Node, choice: u64) -> u64 {
    // Playback and capture know the same.
    let known =
        |call: &Call| call.node == node || call.node == Node::Playback && node == Node::Capture;
    let count = CALLS.iter().filter(|call| known(call)).count();
    let nth = (choice % count.max(1) as u64) as usize;
    let found = CALLS
        .iter()
        .enumerate()
        .filter(|(_, call)| known(call))
        .nth(nth);
    found.map_or(0, |(number, _)| number as u64)
}

const fn pcm(name: &'static str, request: libc::c_ulong, fields: &'static [Field]) -> Call {
    let (node, request) = (Node::Playback, request);
    Call {
        name,
        node,
        request,
        by_value: false,
        fields,
    }
}

const fn number_of(name: &'static str, request: libc::c_ulong, fields: &'static [Field]) -> Call {
    Call {
        by_value: true,
        ..pcm(name, request, fields)
    }
}

/// `_IOC(direction, 'U', number, bytes)`
const fn control(
    name: &'static str,
    direction: u64,
    number: u64,
    bytes: u64,
    fields: &'static [Field],
) -> Call {
    let request = direction << 30 | bytes << 16 | 0x55 << 8 | number;
    Call {
        name,
        node: Node::Control,
        request,
        by_value: false,
        fields,
    }
}

const fn oss(name: &'static str, request: u64, fields: &'static [Field]) -> Call {
    Call {
        name,
        node: Node::Oss,
        request,
        by_value: false,
        fields,
    }
}

const fn mixer(name: &'static str, request: u64, fields: &'static [Field]) -> Call {
    Call {
        name,
        node: Node::Mixer,
        request,
        by_value: false,
        fields,
    }
}

const INT: &[Field] = &[(0, 4, Word::Odd)];
const SWITCH: &[Field] = &[(0, 4, Word::Below(2))];
const FRAMES: &[Field] = &[(0, 8, Word::Frames)];
const STATUS: &[Field] = &[(92, 4, Word::Below(64))];
/// Where intervals of `snd_pcm_hw_params` begin, some of them.
const PARAMS: &[Field] = &[
    (0, 4, Word::Below(16)),
    (4, 4, Word::Odd),
    (36, 4, Word::Odd),
    (68, 4, Word::Odd),
    (260, 4, Word::Odd),
    (264, 4, Word::Odd),
    (284, 4, Word::Below(9)),
    (288, 4, Word::Below(33)),
    (296, 4, Word::Below(8000)),
    (300, 4, Word::Odd),
    (320, 4, Word::Below(64)),
    (324, 4, Word::Odd),
    (344, 4, Word::Below(4)),
    (348, 4, Word::Odd),
    (368, 4, Word::Odd),
    (372, 4, Word::Odd),
    (380, 4, Word::Below(1 << 16)),
    (384, 4, Word::Odd),
    (512, 4, Word::Odd),
];
const SW: &[Field] = &[
    (0, 4, Word::Below(3)),
    (4, 4, Word::Below(3)),
    (16, 8, Word::Frames),
    (24, 8, Word::Odd),
    (32, 8, Word::Frames),
    (40, 8, Word::Frames),
    (48, 8, Word::Frames),
    (56, 8, Word::Frames),
    (64, 8, Word::Odd),
    (72, 4, Word::Below(0x2_0013)),
    (76, 4, Word::Below(4)),
];
const SYNC: &[Field] = &[
    (0, 4, Word::Below(8)),
    (72, 8, Word::Frames),
    (80, 8, Word::Frames),
];
const XFER: &[Field] = &[(8, 8, Word::Pointer), (16, 8, Word::Frames)];
const ID: &[Field] = &[(0, 4, Word::Element)];
const LIST: &[Field] = &[
    (0, 4, Word::Below(64)),
    (4, 4, Word::Below(64)),
    (16, 8, Word::Pointer),
];
const VALUES: &[Field] = &[
    (0, 4, Word::Element),
    (72, 8, Word::Odd),
    (80, 8, Word::Odd),
];
/// A new element: its interface, a letter of a name, type, access, count, least and most.
const ADDED: &[Field] = &[
    (0, 4, Word::Below(1)),
    (4, 4, Word::Below(4)),
    (16, 1, Word::Below(1 << 7)),
    (17, 1, Word::Below(1 << 7)),
    (60, 4, Word::Below(3)),
    (64, 4, Word::Below(7)),
    (68, 4, Word::Below(1 << 8)),
    (72, 4, Word::Below(130)),
    (76, 4, Word::Odd),
    (80, 8, Word::Odd),
    (88, 8, Word::Odd),
    (96, 8, Word::Pointer),
];
const TLV: &[Field] = &[
    (0, 4, Word::Element),
    (4, 4, Word::Below(600)),
    (8, 8, Word::Odd),
];

/// All of them.
pub const CALLS: &[Call] = &[
    pcm("PVERSION", ioctl::PVERSION, &[]),
    pcm("INFO", ioctl::INFO, &[]),
    pcm("TSTAMP", 0x4004_4102, SWITCH),
    pcm("TTSTAMP", ioctl::TTSTAMP, &[(0, 4, Word::Below(4))]),
    pcm(
        "USER_PVERSION",
        ioctl::USER_PVERSION,
        &[(0, 4, Word::Below(0x2_0013))],
    ),
    pcm("HW_REFINE", ioctl::HW_REFINE, PARAMS),
    pcm("HW_PARAMS", ioctl::HW_PARAMS, PARAMS),
    pcm("HW_FREE", ioctl::HW_FREE, &[]),
    pcm("SW_PARAMS", ioctl::SW_PARAMS, SW),
    pcm("STATUS", ioctl::STATUS, STATUS),
    pcm("DELAY", ioctl::DELAY, &[]),
    pcm("HWSYNC", ioctl::HWSYNC, &[]),
    pcm("SYNC_PTR", ioctl::SYNC_PTR, SYNC),
    pcm("STATUS_EXT", ioctl::STATUS_EXT, STATUS),
    pcm("CHANNEL_INFO", ioctl::CHANNEL_INFO, INT),
    pcm("PREPARE", ioctl::PREPARE, &[]),
    pcm("PREPARE", ioctl::PREPARE, &[]),
    pcm("RESET", ioctl::RESET, &[]),
    pcm("START", ioctl::START, &[]),
    pcm("START", ioctl::START, &[]),
    pcm("DROP", ioctl::DROP, &[]),
    pcm("DRAIN", ioctl::DRAIN, &[]),
    number_of("PAUSE", ioctl::PAUSE, SWITCH),
    pcm("REWIND", ioctl::REWIND, FRAMES),
    pcm("RESUME", ioctl::RESUME, &[]),
    pcm("XRUN", ioctl::XRUN, &[]),
    pcm("FORWARD", ioctl::FORWARD, FRAMES),
    pcm("WRITEI_FRAMES", ioctl::WRITEI_FRAMES, XFER),
    pcm("READI_FRAMES", ioctl::READI_FRAMES, XFER),
    pcm("WRITEN_FRAMES", 0x4018_4152, XFER),
    pcm("READN_FRAMES", 0x8018_4153, XFER),
    number_of("LINK", ioctl::LINK, &[(0, 4, Word::File)]),
    pcm("UNLINK", ioctl::UNLINK, &[]),
    control("PVERSION_C", 2, 0x00, 4, &[]),
    control("CARD_INFO", 2, 0x01, 376, &[]),
    control("ELEM_LIST", 3, 0x10, 80, LIST),
    control("ELEM_INFO", 3, 0x11, 272, ID),
    control("ELEM_READ", 3, 0x12, 1224, ID),
    control("ELEM_WRITE", 3, 0x13, 1224, VALUES),
    control("ELEM_WRITE", 3, 0x13, 1224, VALUES),
    control("ELEM_LOCK", 1, 0x14, 64, ID),
    control("ELEM_UNLOCK", 1, 0x15, 64, ID),
    control("SUBSCRIBE", 3, 0x16, 4, &[(0, 4, Word::Below(2))]),
    control("ELEM_ADD", 3, 0x17, 272, ADDED),
    control("ELEM_REPLACE", 3, 0x18, 272, ADDED),
    control("ELEM_REMOVE", 3, 0x19, 64, ID),
    control("TLV_READ", 3, 0x1a, 8, TLV),
    control("TLV_WRITE", 3, 0x1b, 8, TLV),
    control("TLV_COMMAND", 3, 0x1c, 8, TLV),
    control("HWDEP_NEXT", 3, 0x20, 4, INT),
    control("PCM_NEXT", 2, 0x30, 4, INT),
    control(
        "PCM_INFO",
        3,
        0x31,
        288,
        &[
            (0, 4, Word::Below(2)),
            (4, 4, Word::Below(6)),
            (8, 4, Word::Below(2)),
        ],
    ),
    control("PREFER", 1, 0x32, 4, &[(0, 4, Word::Below(5))]),
    control("RAWMIDI_NEXT", 3, 0x40, 4, INT),
    control("POWER", 3, 0xd0, 4, INT),
    control("POWER_STATE", 2, 0xd1, 4, &[]),
    oss("DSP_RESET", 0x5000, &[]),
    oss("DSP_SYNC", 0x5001, &[]),
    oss("SPEED", 0xc004_5002, &[(0, 4, Word::Below(200_000))]),
    oss("STEREO", 0xc004_5003, SWITCH),
    oss("GETBLKSIZE", 0xc004_5004, &[]),
    oss("SETFMT", 0xc004_5005, &[(0, 4, Word::Below(0x4000))]),
    oss("CHANNELS", 0xc004_5006, &[(0, 4, Word::Below(9))]),
    oss("POST", 0x5008, &[]),
    oss("SUBDIVIDE", 0xc004_5009, INT),
    // Fragments of 16 bytes to 128 kB.
    oss(
        "SETFRAGMENT",
        0xc004_500a,
        &[(0, 2, Word::Below(18)), (2, 2, Word::Below(64))],
    ),
    oss("GETFMTS", 0x8004_500b, &[]),
    oss("GETOSPACE", 0x8010_500c, &[]),
    oss("GETISPACE", 0x8010_500d, &[]),
    oss("NONBLOCK", 0x500e, &[]),
    oss("GETCAPS", 0x8004_500f, &[]),
    oss("SETTRIGGER", 0x4004_5010, &[(0, 4, Word::Below(4))]),
    oss("GETTRIGGER", 0x8004_5010, &[]),
    oss("GETIPTR", 0x800c_5011, &[]),
    oss("GETOPTR", 0x800c_5012, &[]),
    oss("MAPINBUF", 0x8010_5013, &[]),
    oss("MAPOUTBUF", 0x8010_5014, &[]),
    oss("SETSYNCRO", 0x5015, &[]),
    oss("SETDUPLEX", 0x5016, &[]),
    oss("GETODELAY", 0x8004_5017, &[]),
    oss("PROFILE", 0x4004_5017, INT),
    mixer("MIXER_READ", 0x8004_4d00, &[]),
    mixer("MIXER_PCM", 0xc004_4d04, INT),
    mixer("MIXER_VOLUME", 0xc004_4d00, INT),
    mixer("MIXER_RECSRC", 0xc004_4dff, INT),
    mixer("MIXER_INFO", 0x805c_4d65, &[]),
    mixer("OSS_VERSION", 0x8004_4d76, &[]),
];

/// `snd_pcm_hw_params` with everything allowed.
#[must_use]
pub fn any_params() -> uapi::HwParams {
    let mask = uapi::Mask {
        bits: [u32::MAX; 8],
    };
    let interval = uapi::Interval {
        min: 0,
        max: u32::MAX,
        flags: 0,
    };
    uapi::HwParams {
        flags: 0,
        masks: [mask; uapi::MASKS],
        mres: [uapi::Mask::default(); 5],
        intervals: [interval; uapi::INTERVALS],
        ires: [uapi::Interval::default(); 9],
        rmask: u32::MAX,
        cmask: 0,
        info: u32::MAX,
        msbits: 0,
        rate_num: 0,
        rate_den: 0,
        fifo_size: 0,
        sync: [0; 16],
        reserved: [0; 48],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_inside_the_argument() {
        for call in CALLS {
            // What follows a TLV's head is as long as the head says.
            let room = call.bytes() + if call.name.starts_with("TLV") { 8 } else { 0 };
            let room = if call.by_value { 8 } else { room };
            for &(at, bytes, _) in call.fields {
                assert!(at + bytes <= room, "{}: {at}+{bytes} of {room}", call.name);
            }
        }
    }

    #[test]
    fn every_node_has_calls_of_its_own() {
        for node in [
            Node::Playback,
            Node::Capture,
            Node::Control,
            Node::Oss,
            Node::Mixer,
        ] {
            for choice in 0..100 {
                let call = CALLS[of(node, choice) as usize];
                let same = call.node == node;
                assert!(same || node == Node::Capture && call.node == Node::Playback);
            }
        }
    }
}
