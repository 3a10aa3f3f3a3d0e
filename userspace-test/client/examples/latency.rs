// SPDX-License-Identifier: MIT OR Apache-2.0
//! How soon this machine's audio thread is awake: `latency SECONDS [PERIOD [PERIODS [hw:CARD,DEVICE]]]`.
//!
//! Silence in periods of PERIOD frames (128), PERIODS of them in the ring (2), at 48 kHz. What is told is the time
//! from the card's interrupt, as the kernel stamped it, to the audio thread; how long callbacks took; and
//! whether any came too late.

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};
use cpal_alsa_mmap::{Options, RingDevice, RingHost};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: latency SECONDS [PERIOD [PERIODS [hw:CARD,DEVICE]]]";
    let seconds: u64 = words.next().ok_or(usage)?.parse()?;
    let period = words.next().map_or(Ok(128), |word| word.parse())?;
    let options = Options {
        periods: words.next().map_or(Ok(2), |word| word.parse())?,
        ..Options::default()
    };
    let device = match words.next() {
        Some(address) => RingDevice::new(address.parse()?, options),
        None => RingHost::new(options)
            .default_output_device()
            .ok_or("there is no card that plays")?,
    };
    let config = StreamConfig {
        channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Fixed(period),
    };
    let stream = device.build_output_stream(
        config,
        |samples: &mut [i16], _| samples.fill(0),
        |error| eprintln!("{error}"),
        None,
    )?;
    let handle = stream.handle();
    handle.finish_at(seconds * 48_000);
    stream.play()?;
    loop {
        let end = handle.wait(Duration::from_secs(1));
        let stats = handle.stats();
        println!(
            "{:4} s: woken after {:?} at worst, {:?} in the mean; {:?} in a callback; {} late, {} xruns",
            stats.played / 48_000,
            stats.worst_wake,
            stats.mean_wake,
            stats.worst_callback,
            stats.late,
            stats.xruns
        );
        if end.is_some() {
            return Ok(());
        }
    }
}
