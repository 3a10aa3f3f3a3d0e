// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clip that a journey gives a program to play: raw, S16, stereo, 48 kHz, in the file that the first argument
//! names.

use std::fs;
use std::process::ExitCode;
use std::sync::OnceLock;

static CLIP: OnceLock<Vec<u8>> = OnceLock::new();

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4;

/// Reads the clip.
///
/// # Errors
///
/// The program's exit status where there is none; TAP says why.
pub fn load() -> Result<(), ExitCode> {
    let read = std::env::args()
        .nth(1)
        .ok_or_else(|| "the name of a clip is missing".to_owned())
        .and_then(|path| fs::read(&path).map_err(|e| format!("{path}: {e}")));
    match read {
        Ok(bytes) => {
            CLIP.get_or_init(|| bytes);
            Ok(())
        }
        Err(reason) => {
            println!("Bail out! {reason}");
            Err(ExitCode::FAILURE)
        }
    }
}

/// Its bytes; none before [`load`].
#[must_use]
pub fn clip() -> &'static [u8] {
    CLIP.get().map_or(&[], Vec::as_slice)
}
