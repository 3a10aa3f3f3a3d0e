// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program is made of, and how one is drawn.
//!
//! Most of what is drawn is legal, since a card that refuses everything shows
//! little; each thing that can be illegal is so now and then, by one value.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::arena;
use crate::regs::*;

/// One descriptor: where in the stream's part, and how long, in words of four bytes.
#[derive(Clone, Debug)]
pub struct Seg {
    /// Words from the beginning of the part, modulo its size.
    pub at: u32,
    /// Words, modulo what is left of it.
    pub len: u32,
    /// Where it leads.
    pub place: Place,
}

/// Where a descriptor leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The stream's part of memory.
    Ram,
    /// Its part of the SRAM.
    Sram,
    /// One of [`arena::BAD`]: legal, and DMA fails.
    Bad(usize),
    /// An address that is no multiple of four.
    Odd,
    /// A length that is none.
    OddLength,
    /// No length at all.
    Empty,
    /// Longer than a descriptor may be.
    Long,
    /// Beyond the end of the address space, by one word.
    Past,
    /// Up to the very end of it, which is past it, too.
    Last,
    /// A flag that is not there.
    Flag,
    /// Beyond the end of the SRAM, by one word.
    PastSram,
}

/// A table and what it is filled with.
#[derive(Clone, Debug)]
pub struct Table {
    /// Which one.
    pub number: u32,
    /// Its beginning.
    pub segs: Vec<Seg>,
    /// Whether it is made as long as the ring.
    pub fit: bool,
}

/// What a stream is told before PREPARE.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Setup {
    pub format: u32,
    pub rate: u32,
    pub channels: u32,
    pub period: u32,
    pub periods: u32,
    pub burst: u32,
    pub vector: u32,
    pub flags: u32,
    pub group: u32,
    pub appl: bool,
    /// Periods, bursts into the next, and whether from far on.
    pub begin: (u32, u32, bool),
    pub table: Table,
    /// One register that is given something else.
    pub spoil: Option<(u32, u64)>,
}

/// How the clock moves.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Through that many bursts' ends.
    Bursts(u32),
    /// To just before the next one.
    Before,
    /// That many ns.
    Ns(u32),
}

/// What the host does to a sound card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    SgtErrors,
    DataErrors,
    StatusErrors,
    IrqsLost,
    Torn,
    Overflows,
    Offset,
    Frozen,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SgtErrors,
        Self::DataErrors,
        Self::StatusErrors,
        Self::IrqsLost,
        Self::Torn,
        Self::Overflows,
        Self::Offset,
        Self::Frozen,
    ];

    /// The property.
    #[must_use]
    pub const fn property(self) -> &'static str {
        match self {
            Self::SgtErrors => "fault-sgt-errors",
            Self::DataErrors => "fault-data-errors",
            Self::StatusErrors => "fault-status-errors",
            Self::IrqsLost => "fault-irqs-lost",
            Self::Torn => "fault-status-torn",
            Self::Overflows => "fault-event-overflows",
            Self::Offset => "fault-position-offset",
            Self::Frozen => "fault-position-frozen",
        }
    }
}

/// One operation. `stream` is always below [`arena::STREAMS`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Op {
    /// Configure.
    Setup { stream: u32, setup: Setup },
    /// Configure, PREPARE, START.
    Play { stream: u32, setup: Setup },
    /// Any command.
    Command { stream: u32, command: u32 },
    /// DRAIN, to so many frames from the position on.
    Drain { stream: u32, ahead: i32 },
    /// SWAP, with perhaps another count and address.
    Swap {
        stream: u32,
        table: Table,
        spoil: Option<(u32, u64)>,
    },
    /// GROUP_CMD.
    Group { value: u32 },
    /// One register of a stream.
    Register {
        stream: u32,
        register: u32,
        value: u64,
    },
    /// Any access.
    Write { offset: u32, size: u32, value: u64 },
    /// Any access.
    Read { offset: u32, size: u32 },
    /// Begin or end a ring of events.
    Events { addr: u64, count: u32, vector: u32 },
    /// Plug or unplug.
    Jack { jack: u32, plugged: bool },
    /// GCTL.
    Control { value: u32 },
    /// How far the guest has got, from the position on.
    Appl { stream: u32, ahead: i64 },
    /// New data for a stream.
    Data { stream: u32, seed: u8 },
    /// Time goes on.
    Clock(Step),
    /// Bus mastering.
    Master(bool),
    /// D3hot and back.
    Sleep,
    /// The host.
    Fault { fault: Fault, value: u32 },
}

const CONFIG: [u32; 14] = [
    SGRING_S_FORMAT,
    SGRING_S_RATE,
    SGRING_S_CHANNELS,
    SGRING_S_PERIOD,
    SGRING_S_RING,
    SGRING_S_BURST,
    SGRING_S_SGT_ADDR,
    SGRING_S_SGT_COUNT,
    SGRING_S_VECTOR,
    SGRING_S_STATUS_ADDR,
    SGRING_S_FLAGS,
    SGRING_S_GROUP,
    SGRING_S_APPL_ADDR,
    SGRING_S_BEGIN,
];

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(
            &[
                0_u64,
                1,
                2,
                3,
                4,
                7,
                8,
                31,
                32,
                33,
                64,
                65,
                7999,
                8000,
                384_000,
                384_001,
                16383,
                16384,
                16385,
                1 << 20,
                (1 << 20) + 1,
                64 << 20,
                1 << 31,
                0xffff_ffff,
                1 << 32,
                1 << 62,
                (1 << 62) + 1,
                u64::MAX - 15,
                u64::MAX,
            ][..]
        ),
        address(),
        any::<u64>(),
    ]
}

fn address() -> impl Strategy<Value = u64> {
    (
        select(&arena::BAD[..]),
        select(&[0_u64, 0, 0, 4, 8, 16, 64][..]),
    )
        .prop_map(|(a, o)| a + o)
}

fn spoil(registers: &'static [u32], odds: f64) -> impl Strategy<Value = Option<(u32, u64)>> {
    weighted(odds, (select(registers), number()))
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        120 => Just(Place::Ram),
        20 => Just(Place::Sram),
        4 => (0..arena::BAD.len()).prop_map(Place::Bad),
        1 => select(&[
            Place::Odd, Place::OddLength, Place::Empty, Place::Long, Place::Past, Place::Last,
            Place::Flag, Place::PastSram,
        ][..]),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    let seg = (any::<u16>(), 1..200_u32, place()).prop_map(|(at, len, place)| Seg {
        at: u32::from(at),
        len,
        place,
    });
    (0..arena::TABLES, vec(seg, 1..12), weighted(0.05, Just(()))).prop_map(
        |(number, segs, short)| Table {
            number,
            segs,
            fit: short.is_none(),
        },
    )
}

fn setup() -> impl Strategy<Value = Setup> {
    // Few, so that two streams often have the same, as a loopback needs.
    let sound = prop_oneof![
        4 => Just((SGRING_FMT_S16_LE, 48_000, 2)),
        2 => Just((SGRING_FMT_S24_3LE, 44_100, 3)),
        1 => Just((SGRING_FMT_U8, 384_000, 1)),
        1 => (0..9_u32, 8000..=384_000_u32, 1..=32_u32),
    ];
    let time = (8..=64_u32, 1..=4_u32, prop_oneof![Just(0), 1..=64_u32]);
    let begin = (0..4_u32, 0..4_u32, weighted(0.2, Just(())));
    let more = (
        0..arena::VECTORS,
        prop_oneof![6 => Just(1), 6 => Just(3), 1 => Just(0), 1 => Just(2)],
        0..4_u32,
        any::<bool>(),
    );
    (sound, time, begin, more, table(), spoil(&CONFIG, 0.08)).prop_map(
        |(sound, time, begin, more, table, spoil)| Setup {
            format: sound.0,
            rate: sound.1,
            channels: sound.2,
            period: time.0,
            periods: time.1,
            burst: time.2.min(time.0),
            vector: more.0,
            flags: more.1,
            group: more.2,
            appl: more.3,
            begin: (begin.0, begin.1, begin.2.is_some()),
            table,
            spoil,
        },
    )
}

/// An operation.
pub fn op() -> impl Strategy<Value = Op> {
    let stream = || 0..arena::STREAMS;
    let offset = || {
        prop_oneof![
            0..0x100_u32,
            (0..=arena::STREAMS, 0..0x100_u32).prop_map(|(n, o)| 0x1000 + 0x100 * n + o),
            0..SGRING_REGS_SIZE - 8,
        ]
        .prop_flat_map(|o| prop_oneof![3 => Just(o & !7), 3 => Just(o & !3), 1 => Just(o)])
    };
    let size = || select(&[1_u32, 2, 4, 4, 4, 8, 8][..]);
    prop_oneof![
        6 => (stream(), setup()).prop_map(|(stream, setup)| Op::Setup { stream, setup }),
        16 => (stream(), setup()).prop_map(|(stream, setup)| Op::Play { stream, setup }),
        16 => (stream(), prop_oneof![8 => 1..8_u32, 1 => any::<u32>()])
            .prop_map(|(stream, command)| Op::Command { stream, command }),
        4 => (stream(), -20..300_i32).prop_map(|(stream, ahead)| Op::Drain { stream, ahead }),
        4 => (stream(), table(), spoil(&[SGRING_S_SWAP_ADDR, SGRING_S_SWAP_COUNT], 0.1))
            .prop_map(|(stream, table, spoil)| Op::Swap { stream, table, spoil }),
        6 => (prop_oneof![9 => 1..8_u32, 1 => any::<u32>()], 0..4_u32)
            .prop_map(|(command, group)| Op::Group { value: command | group << 16 }),
        4 => (stream(), select(&CONFIG[..]), number())
            .prop_map(|(stream, register, value)| Op::Register { stream, register, value }),
        2 => (stream(), select(&[SGRING_S_GAIN_LEFT, SGRING_S_GAIN_RIGHT, SGRING_S_MUTE][..]), number())
            .prop_map(|(stream, register, value)| Op::Register { stream, register, value }),
        3 => (offset(), size(), number())
            .prop_map(|(offset, size, value)| Op::Write { offset, size, value }),
        3 => (offset(), size()).prop_map(|(offset, size)| Op::Read { offset, size }),
        4 => (
            prop_oneof![8 => Just(arena::EVENTS), 1 => Just(arena::EVENTS + 64), 1 => address(), 1 => number()],
            prop_oneof![8 => 1..8_u32, 1 => Just(0), 1 => Just(4096), 1 => Just(4097), 1 => any::<u32>()],
            prop_oneof![8 => 0..arena::VECTORS, 1 => any::<u32>()],
        )
            .prop_map(|(addr, count, vector)| Op::Events { addr, count, vector }),
        3 => (0..2_u32, any::<bool>()).prop_map(|(jack, plugged)| Op::Jack { jack, plugged }),
        1 => prop_oneof![2 => Just(1_u32), 1 => Just(0), 1 => any::<u32>()]
            .prop_map(|value| Op::Control { value }),
        6 => (stream(), prop_oneof![-300..300_i64, any::<i64>()])
            .prop_map(|(stream, ahead)| Op::Appl { stream, ahead }),
        6 => (stream(), any::<u8>()).prop_map(|(stream, seed)| Op::Data { stream, seed }),
        30 => prop_oneof![
            4 => (1..20_u32).prop_map(Step::Bursts),
            1 => Just(Step::Before),
            3 => (0..3_000_000_u32).prop_map(Step::Ns),
        ]
        .prop_map(Op::Clock),
        1 => any::<bool>().prop_map(Op::Master),
        1 => Just(Op::Sleep),
        3 => (select(&Fault::ALL[..]), 0..4_u32)
            .prop_map(|(fault, value)| Op::Fault { fault, value }),
    ]
}

/// A program.
pub fn program() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..60)
}
