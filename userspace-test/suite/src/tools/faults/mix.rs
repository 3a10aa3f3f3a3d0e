// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two faults at a time, drawn from a seed, under streams that do what clients do.

use crate::host::Faults;
use crate::streams::{How, Stream, answers, exact, last, quiet, random, well};
use cpal_alsa_mmap::sys::State;
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::seed::Random;
use sgring_suite::tap::{Outcome, note};
use std::io;

const ROUNDS: u64 = 16;
/// The branch of the seed that this draws from; sounds have the others.
const BRANCH: u64 = 1 << 32;

/// What may happen, and how much of it.
fn draw(random: &mut Random, but: Option<&str>) -> (&'static str, String) {
    const NAMES: [&str; 13] = [
        "stuck",
        "irqs-lost",
        "irqs-late",
        "irqs-spurious",
        "position-frozen",
        "position-offset",
        "status-torn",
        "sgt-errors",
        "data-errors",
        "data-offset",
        "status-errors",
        "reset-hangs",
        "event-overflows",
    ];
    loop {
        let name = NAMES[random.below(NAMES.len())];
        if but == Some(name) {
            continue;
        }
        let count = [1, 2, 7, 100, u32::MAX as usize][random.below(5)];
        let value = match name {
            "stuck" | "position-frozen" | "reset-hangs" => "true".to_owned(),
            "irqs-late" => random.below(40_000).to_string(),
            "irqs-spurious" => random.below(1000).to_string(),
            // Of every size, in both directions.
            "position-offset" => ((random.next() as i64) >> random.below(64)).to_string(),
            // Nowhere: what lies beside the ring is not ours to write.
            "data-offset" => (1u64 << (44 + random.below(18))).to_string(),
            _ => count.to_string(),
        };
        return (name, value);
    }
}

/// What calls may say while the card is at fault.
fn is_known(error: &io::Error) -> bool {
    const KNOWN: [i32; 4] = [libc::EPIPE, libc::EIO, libc::EAGAIN, libc::EBADFD];
    KNOWN.contains(&error.raw_os_error().unwrap_or(0))
}

/// A moment of a client's life; what it last knew of its position.
fn step(stream: &Stream, random: &mut Random, before: &mut u64) -> Outcome {
    let pcm = &stream.pcm;
    let mut sound = [0; 4 * 480];
    let result = match random.below(8) {
        0 => pcm.drop_frames(),
        1 => pcm.pause(true).and_then(|()| pcm.pause(false)),
        2 => pcm.start(),
        3 => pcm.hwsync(),
        _ if stream.window.is_some() => {
            stream.touch();
            Ok(())
        }
        _ if stream.how.plays() => pcm.writei(&sound).map(drop),
        _ => pcm.readi(&mut sound).map(drop),
    };
    if let Err(error) = result {
        ensure!(is_known(&error), "{:?}: {error}", stream.how);
    }
    let now = pcm.status()?;
    match now.state {
        State::Running | State::Paused | State::Prepared | State::Draining => {
            ensure!(
                now.hw_ptr >= *before,
                "{:?}: from {before} to {}",
                stream.how,
                now.hw_ptr
            );
            *before = now.hw_ptr;
        }
        State::Xrun | State::Setup => {
            *before = 0;
            let again = pcm.prepare().and_then(|()| {
                let _ = stream.fill();
                pcm.start()
            });
            if let Err(error) = again {
                ensure!(is_known(&error), "{:?}: anew: {error}", stream.how);
            }
        }
        state => ensure!(false, "{:?}: {state:?}", stream.how),
    }
    Ok(())
}

pub fn two_at_a_time() -> Outcome {
    let mut watch = Watch::new()?;
    let mut random = random(BRANCH);
    for round in 0..ROUNDS {
        let streams = [
            Stream::endless(How::Mapped, 20)?,
            Stream::running(How::Written, 20)?,
            Stream::endless(How::MappedCapture, 20)?,
            Stream::running(How::Read, 20)?,
        ];
        for stream in &streams {
            stream.pcm.set_nonblock(true)?;
        }
        let first = draw(&mut random, None);
        let second = draw(&mut random, Some(first.0));
        note(format_args!("round {round}: {first:?} and {second:?}"));
        let faults = Faults::set(&[(first.0, &first.1), (second.0, &second.1)])?;
        let mut before = [0; 4];
        for _ in 0..30 {
            let which = random.below(streams.len());
            step(&streams[which], &mut random, &mut before[which])?;
            last(random.below(8) as u64);
        }
        answers()?;
        // A ring that is to move, on a card like that: it has moved or not.
        let memory = Control::playback_memory()?;
        let wish = (round % 2) as u32;
        match memory.set(wish) {
            Ok(()) => ensure!(memory.get()? == wish, "it has moved and has not"),
            Err(error) => ensure!(is_known(&error), "a move: {error}"),
        }
        faults.end()?;
        for stream in streams {
            stream.pcm.set_nonblock(false)?;
            stream.heal()?;
        }
        memory.set(0)?;
        exact()?;
        quiet(&mut watch)?;
    }
    well(watch)
}
