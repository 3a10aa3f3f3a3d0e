// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was recorded, against what was played, frame by frame.

use crate::ensure;
use crate::tap::Outcome;

/// Bytes of a frame: S16 stereo.
const FRAME: usize = 4;

/// Demands that `recorded` is silence, then all of `played` without a gap, then silence. Frames of four bytes;
/// the first frame of `played` must not be silent.
///
/// # Errors
///
/// A failure that names the first frame that is wrong.
pub fn expect_played(recorded: &[u8], played: &[u8]) -> Outcome {
    let silent = |frame: &[u8]| frame.iter().all(|&byte| byte == 0);
    let Some(start) = recorded
        .chunks_exact(FRAME)
        .position(|frame| !silent(frame))
    else {
        ensure!(
            played.is_empty(),
            "{} frames of silence",
            recorded.len() / FRAME
        );
        return Ok(());
    };
    let body = &recorded[start * FRAME..];
    ensure!(
        body.len() >= played.len(),
        "{} frames after the first of {}",
        body.len() / FRAME,
        played.len() / FRAME
    );
    let (heard, rest) = body.split_at(played.len());
    let wrong = heard
        .chunks_exact(FRAME)
        .zip(played.chunks_exact(FRAME))
        .position(|(heard, played)| heard != played);
    if let Some(frame) = wrong {
        let at = frame * FRAME;
        let seen = &heard[at..at + FRAME];
        let place = played.chunks_exact(FRAME).position(|other| other == seen);
        ensure!(
            false,
            "frame {frame} of {} is {seen:02x?}, not {:02x?} (that is frame {place:?}); {} frames before",
            played.len() / FRAME,
            &played[at..at + FRAME],
            start
        );
    }
    ensure!(
        rest.chunks_exact(FRAME).all(silent),
        "sound behind the last frame"
    );
    Ok(())
}
