// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring of events that the card runs over.

use crate::host::{self, Faults};
use crate::streams::{How, Stream, answers, exact_while, well};
use sgring_suite::control::{Control, Interface};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::Outcome;
use std::time::{Duration, Instant};

/// Waits until the jacks are what they were set to be.
fn jacks(plugged: [bool; 2]) -> Outcome {
    let start = Instant::now();
    for (name, plugged) in ["Line Out Jack", "Line Jack"].into_iter().zip(plugged) {
        let jack = Control::named(Interface::Card, name, 0)?;
        while jack.get()? != u32::from(plugged) {
            let took = start.elapsed();
            ensure!(took < Duration::from_secs(5), "{name} is not {plugged}");
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// Once, five times, and for ever: what holds is known in the end, who listens is told, streams do not mind.
pub fn overflows() -> Outcome {
    let watch = Watch::new()?;
    for count in [1, 5, u32::MAX] {
        let faults = Faults::one("event-overflows", count)?;
        let stream = Stream::endless(How::Mapped, 20)?;
        host::set("jack0 false jack1 false jack0 true")?;
        jacks([true, false])?;
        answers()?;
        host::set("jack0 false jack0 true jack1 false jack1 true")?;
        jacks([true, true])?;
        drop(stream);
        exact_while(|_| host::set("jack0 false jack0 true jack0 false jack0 true"))?;
        faults.end()?;
    }
    well(watch)
}

/// The event that tells of a stream's failure is lost, and so is the line that tells of it.
pub fn failures_are_found() -> Outcome {
    let watch = Watch::new()?;
    for how in How::BOTH {
        let stream = Stream::endless(how, 20)?;
        let faults = Faults::set(&[("event-overflows", &1), ("status-errors", &1)])?;
        stream.xruns()?;
        faults.end()?;
        stream.heal()?;
    }
    well(watch)
}
