// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was recorded, against what was played, frame by frame.

use crate::ensure;
use crate::tap::Outcome;

/// Demands that `recorded` is silence, then all of `played` without a gap, then silence. Frames of S16 stereo; the
/// first one of `played` must not be silent.
///
/// # Errors
///
/// A failure that names the first frame that is wrong.
pub fn expect_played(recorded: &[u8], played: &[u8]) -> Outcome {
    expect_frames(4, recorded, played)
}

/// As [`expect_played`], in frames of `frame` bytes, of signed samples.
///
/// # Errors
///
/// As [`expect_played`].
pub fn expect_frames(frame: usize, recorded: &[u8], played: &[u8]) -> Outcome {
    let silent = |frame: &[u8]| frame.iter().all(|&byte| byte == 0);
    let Some(start) = recorded
        .chunks_exact(frame)
        .position(|frame| !silent(frame))
    else {
        ensure!(
            played.is_empty(),
            "{} frames of silence",
            recorded.len() / frame
        );
        return Ok(());
    };
    let body = &recorded[start * frame..];
    ensure!(
        body.len() >= played.len(),
        "{} frames after the first of {}",
        body.len() / frame,
        played.len() / frame
    );
    let (heard, rest) = body.split_at(played.len());
    let wrong = heard
        .chunks_exact(frame)
        .zip(played.chunks_exact(frame))
        .position(|(heard, played)| heard != played);
    if let Some(number) = wrong {
        let at = number * frame;
        let seen = &heard[at..at + frame];
        let place = played.chunks_exact(frame).position(|other| other == seen);
        ensure!(
            false,
            "frame {number} of {} is {seen:02x?}, not {:02x?} (that is frame {place:?}); {} frames before",
            played.len() / frame,
            &played[at..at + frame],
            start
        );
    }
    ensure!(
        rest.chunks_exact(frame).all(silent),
        "sound behind the last frame"
    );
    Ok(())
}
