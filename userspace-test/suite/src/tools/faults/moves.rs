// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rings that move between main memory and the card while the card does not tell whether it has taken them.

use crate::host::Faults;
use crate::streams::{How, Stream, exact, well};
use cpal_alsa_mmap::sys::State;
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, Stop};

const PERIODS: u32 = 20;

fn memory_of(how: How) -> Result<Control, Stop> {
    Ok(match how.plays() {
        true => Control::playback_memory()?,
        false => Control::capture_memory()?,
    })
}

/// No status line tells of the SWAP. A card that went on with a table that the driver has given up would fetch from
/// and record into memory that is somebody else's by then.
pub fn untold() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let memory = memory_of(how)?;
        for wish in [1, 0] {
            memory.set(1 - wish)?;
            let stream = Stream::endless(how, PERIODS)?;
            let faults = Faults::one("status-torn", u32::MAX)?;
            memory.set(wish)?;
            ensure!(memory.get()? == wish, "{how:?}: it has not moved");
            stream.expect_state(State::Xrun)?;
            faults.end()?;
            stream.heal()?;

            // One that stands is told anew when it goes on.
            let stream = Stream::prepared(how, PERIODS)?;
            let faults = Faults::one("status-torn", u32::MAX)?;
            memory.set(1 - wish)?;
            ensure!(memory.get()? == 1 - wish, "{how:?}: it has not moved");
            stream.expect_state(State::Prepared)?;
            faults.end()?;
            stream.pcm.start()?;
            stream.expect_state(State::Running)?;
            let start = stream.position()?;
            while stream.position()? == start {}
            stream.heal()?;
        }
        memory.set(0)?;
    }
    exact()?;
    well(watch)
}
