// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client that changes its mind: what it takes back is not heard, what it skips is heard as it is in the ring, and
//! one that comes too late plays on where it says. Judged by the card's loopback, frame by frame.

use cpal_alsa_mmap::sys::{Pcm, State, SwParams};
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Changed, Control};
use sgring_suite::ensure;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test};
use sgring_suite::{clock, raw};
use std::process::ExitCode;

const FRAME_BYTES: usize = 4;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "rewound",
            "REWIND: what is written again is heard, what it replaces is not",
            rewound,
        ),
        Test(
            "forwarded",
            "FORWARD: what is skipped is heard as the ring has it",
            forwarded,
        ),
        Test(
            "plays_on",
            "stop_threshold at the boundary: silence after an underrun, then what is written further on",
            plays_on,
        ),
        Test(
            "begins_again",
            "stop_threshold at the ring: an xrun, and after PREPARE the next clip from its first frame",
            begins_again,
        ),
    ])
}

/// A ring of two seconds: a client has time to change its mind, on a slow host too.
fn config() -> Config {
    Config {
        rate: 8_000,
        ..Config::stereo(256, 64)
    }
}

/// Both directions of the card, the one recording the other.
struct Deck {
    playback: Pcm,
    capture: Pcm,
    _loopback: Changed,
}

impl Deck {
    fn new() -> Result<Self, Stop> {
        let loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
        let config = config();
        let capture = config.prepare_on(card::open_capture()?)?;
        let playback = config.prepare()?;
        // They start together.
        playback.link(&capture)?;
        Ok(Self {
            playback,
            capture,
            _loopback: loopback,
        })
    }

    /// What was recorded, `frames` frames of it, once they are there.
    fn recorded(&self, frames: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0xa5; frames * FRAME_BYTES];
        let mut done = 0;
        while done < bytes.len() {
            done += FRAME_BYTES * self.capture.readi(&mut bytes[done..])?;
        }
        Ok(bytes)
    }
}

fn noise(random: &mut Random, frames: usize) -> Vec<u8> {
    let mut bytes = vec![0; frames * FRAME_BYTES];
    random.fill(&mut bytes);
    bytes[0] |= 1;
    bytes
}

fn rewound() -> Outcome {
    let mut random = Random::new();
    let deck = Deck::new()?;
    let mut played = noise(&mut random, 12_000);
    deck.playback.writei(&played)?;
    deck.playback.start()?;
    // Again and again, each time behind what is being played: a second and more is left.
    for _ in 0..4 {
        let frames = 1 + random.below(1_000);
        let taken = raw::rewind(&deck.playback, frames as u64)?;
        ensure!(taken == frames as u64, "{taken} of {frames} frames");
        played.truncate(played.len() - frames * FRAME_BYTES);
        let again = noise(&mut random, 700);
        deck.playback.writei(&again)?;
        played.extend(again);
    }
    deck.playback.unlink()?;
    deck.playback.drain()?;
    let frames = played.len() / FRAME_BYTES;
    expect_played(&deck.recorded(frames + 1_000)?, &played)
}

fn forwarded() -> Outcome {
    let mut random = Random::new();
    let deck = Deck::new()?;
    let mut played = noise(&mut random, 8_000);
    deck.playback.writei(&played)?;
    deck.playback.start()?;
    // What the ring has there is what it was allocated with.
    let frames = 1 + random.below(2_000);
    let given = raw::forward(&deck.playback, frames as u64)?;
    ensure!(given == frames as u64, "{given} of {frames} frames");
    played.resize(played.len() + frames * FRAME_BYTES, 0);
    let more = noise(&mut random, 2_000);
    deck.playback.writei(&more)?;
    played.extend(more);
    deck.playback.unlink()?;
    deck.playback.drain()?;
    let frames = played.len() / FRAME_BYTES;
    expect_played(&deck.recorded(frames + 1_000)?, &played)
}

/// Past the end of the ring, so that silence is the sound core's work there.
fn plays_on() -> Outcome {
    let mut random = Random::new();
    let deck = Deck::new()?;
    let (playback, ring) = (&deck.playback, config().frames());
    let mut params = SwParams::free_running(ring);
    params.tstamp = false;
    playback.sw_params(&params)?;
    playback.prepare()?;
    let mut played = noise(&mut random, 3 * ring as usize / 4);
    playback.writei(&played)?;
    playback.start()?;
    // Played to its end, and on to where the ring had it before.
    let mut recorded = Vec::new();
    let late = ring as usize + 500 + random.below(2_000);
    recorded.extend(deck.recorded(late)?);
    let status = playback.status()?;
    ensure!(
        status.hw_ptr as usize >= late && status.hw_ptr > status.appl_ptr,
        "{status:?}"
    );
    // Half a second ahead of the card, a place in the future again.
    let ahead = status.hw_ptr - status.appl_ptr + 4_000;
    let given = raw::forward(playback, ahead)?;
    ensure!(given == ahead, "{given} of {ahead} frames");
    played.resize(played.len() + ahead as usize * FRAME_BYTES, 0);
    let more = noise(&mut random, 2_000);
    playback.writei(&more)?;
    played.extend(more);
    playback.unlink()?;
    playback.drain()?;
    let frames = played.len() / FRAME_BYTES + 1_000 - recorded.len() / FRAME_BYTES;
    recorded.extend(deck.recorded(frames)?);
    expect_played(&recorded, &played)
}

fn begins_again() -> Outcome {
    if !clock::is_counted() {
        return Err(Stop::Skip(
            "where a host may be late, frames behind the end may be played".to_owned(),
        ));
    }
    let mut random = Random::new();
    let deck = Deck::new()?;
    let playback = &deck.playback;
    playback.unlink()?;
    deck.capture.start()?;
    let mut params = SwParams::new(config().frames(), i64::MAX as u64);
    params.start_threshold = i64::MAX as u64;
    playback.sw_params(&params)?;
    for _ in 0..3 {
        // Whole periods: the interrupt of the last one ends it.
        let frames = 256 * (1 + random.below(16));
        let played = noise(&mut random, frames);
        playback.writei(&played)?;
        playback.start()?;
        playback.poll(None)?;
        let status = playback.status()?;
        ensure!(
            status.state == State::Xrun && status.hw_ptr == frames as u64,
            "{status:?} with {frames} frames written"
        );
        expect_played(&deck.recorded(frames + 1_000)?, &played)?;
        playback.prepare()?;
    }
    Ok(())
}
