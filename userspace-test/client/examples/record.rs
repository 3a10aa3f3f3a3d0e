// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records into a WAV file of 16 bits: `record FILE SECONDS [hw:CARD,DEVICE]`.
//!
//! The callback gives to a queue, and neither waits nor allocates; this thread writes the file.

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};
use cpal_alsa_mmap::{Options, RingDevice, RingHost};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: record FILE SECONDS [hw:CARD,DEVICE]";
    let file = words.next().ok_or(usage)?;
    let seconds: u64 = words.next().ok_or(usage)?.parse()?;
    let device = match words.next() {
        Some(address) => RingDevice::new(address.parse()?, Options::default()),
        None => RingHost::default()
            .default_input_device()
            .ok_or("there is no card that records")?,
    };
    let config = StreamConfig {
        channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Default,
    };
    let (mut queue, mut taken) = rtrb::RingBuffer::<i16>::new(2 * 2 * 48_000);
    let stream = device.build_input_stream(
        config,
        move |samples: &[i16], _| {
            // A file that is written too slowly has gaps, of whole callbacks, and the card goes on.
            if let Ok(chunk) = queue.write_chunk_uninit(samples.len()) {
                chunk.fill_from_iter(samples.iter().copied());
            }
        },
        |error| eprintln!("{error}"),
        None,
    )?;
    let handle = stream.handle();
    handle.finish_at(seconds * 48_000);
    stream.play()?;
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&file, spec)?;
    loop {
        let end = handle.wait(Duration::from_millis(100));
        while let Ok(sample) = taken.pop() {
            writer.write_sample(sample)?;
        }
        if let Some(end) = end {
            println!("{end:?}: {:?}", handle.stats());
            return Ok(writer.finalize()?);
        }
    }
}
