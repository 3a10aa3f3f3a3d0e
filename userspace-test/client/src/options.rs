// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the streams of a host or a device are to be.

/// What wakes the audio thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wakeup {
    /// The card, by an interrupt at the end of each period.
    #[default]
    Period,
    /// A timer: the card sends no interrupts (`no_period_wakeup`), and the thread asks where it is by one more
    /// system call a period. Refused with an `UnsupportedConfig` error on a card that cannot do without.
    ///
    /// In playback nobody but the thread itself has the kernel silence what was played: a delay that is
    /// longer than the ring has it heard again.
    Timer,
}

/// What all streams of a host or a device have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Periods in the ring, at least 2; a card that cannot gives as near as it can. More of them
    /// forgive a longer delay of the audio thread, and in playback add as much latency.
    pub periods: u32,
    /// `SCHED_FIFO` priority of the audio thread, 1 to 99, others being refused with an `InvalidInput` error; `None`
    /// leaves it an ordinary thread.
    /// Where it is refused, the error callback gets `RealtimeDenied` once, and the stream goes on
    /// without.
    pub priority: Option<u8>,
    /// What wakes the audio thread.
    pub wakeup: Wakeup,
    /// Use SYNC_PTR even where the status and control records can be mapped: three system calls a
    /// period instead of one. For comparing the two, and for trying on one machine what others
    /// need.
    pub sync_ptr: bool,
    /// Map the ring twice in a row, and have each callback fill or read all that there is, at least a
    /// period and at most the ring, as one slice, wherever in the ring that begins. Fewer calls for
    /// whoever fills a large ring seldom.
    ///
    /// Refused with an `UnsupportedConfig` error where the ring is no whole number of pages, which
    /// depends on period, periods and frame: the error's text has the numbers. On any card.
    pub linear: bool,
    /// Take 24 bits in three bytes (`S24_3LE`) for cpal's `I24` where the card has them in four as well. It is
    /// less to transfer, and costs a conversion that is not needed otherwise.
    pub packed: bool,
}

impl Default for Options {
    /// Four periods, priority 50, woken by the card, records mapped, the ring once.
    fn default() -> Self {
        Self {
            periods: 4,
            priority: Some(50),
            wakeup: Wakeup::Period,
            sync_ptr: false,
            linear: false,
            packed: false,
        }
    }
}
