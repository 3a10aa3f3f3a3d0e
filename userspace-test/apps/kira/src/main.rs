// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a clip through kira and the ring to its last frame, and says what that cost.
//!
//!     kira_clip CLIP
//!
//! CLIP is 16-bit stereo at 48 kHz, without a header. kira has a cpal device in its settings: that is where the ring's
//! goes. Its own end is a stop at once, which the ring's handle makes an end after the last frame.

use std::error::Error;
use std::time::Duration;

use cpal_alsa_mmap::{End, Options, RingDevice};
use kira::backend::cpal::{CpalBackend, CpalBackendSettings};
use kira::sound::PlaybackState;
use kira::sound::static_sound::{StaticSoundData, StaticSoundSettings};
use kira::{AudioManager, AudioManagerSettings, Frame};

const RATE: u32 = 48_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: kira_clip CLIP")?;
    let bytes = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    let sample = |b: &[u8]| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0;
    let clip = StaticSoundData {
        sample_rate: RATE,
        frames: bytes
            .chunks_exact(4)
            .map(|frame| Frame::new(sample(&frame[..2]), sample(&frame[2..])))
            .collect(),
        settings: StaticSoundSettings::default(),
        slice: None,
    };

    let ring = RingDevice::new("hw:0,0".parse()?, Options::default());
    let mut manager = AudioManager::<CpalBackend>::new(AudioManagerSettings {
        backend_settings: CpalBackendSettings {
            device: Some(ring.clone().into_device()),
            config: None,
        },
        ..AudioManagerSettings::default()
    })?;
    let sound = manager.play(clip)?;
    // kira has no other way to learn that a sound is over.
    while sound.state() != PlaybackState::Stopped {
        std::thread::sleep(Duration::from_millis(10));
    }

    let stream = ring.handle().ok_or("kira has built no stream")?;
    stream.finish();
    let end = loop {
        if let Some(end) = stream.wait(Duration::from_secs(1)) {
            break end;
        }
    };
    let stats = stream.stats();
    println!("{end:?}, {stats:?}");
    if end != End::Drained || stats.xruns != 0 {
        return Err("not all was played in time".into());
    }
    Ok(())
}
