// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a WAV file of 16 bits: `play FILE [hw:CARD,DEVICE]`.
//!
//! The file is read by a thread of its own; the callback takes from a queue, and neither waits nor allocates.

use cpal::StreamConfig;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal_alsa_mmap::{End, Options, RingDevice, RingHost};
use std::error::Error;
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args()
        .nth(1)
        .ok_or("usage: play FILE [hw:CARD,DEVICE]")?;
    let device = match std::env::args().nth(2) {
        Some(address) => RingDevice::new(address.parse()?, Options::default()),
        None => RingHost::default()
            .default_output_device()
            .ok_or("there is no card that plays")?,
    };
    let mut reader = hound::WavReader::open(&file)?;
    let spec = reader.spec();
    if (spec.bits_per_sample, spec.sample_format) != (16, hound::SampleFormat::Int) {
        return Err("this example is for files of 16 bits".into());
    }
    let frames = u64::from(reader.duration());
    let channels = usize::from(spec.channels);
    let config = StreamConfig {
        channels: spec.channels,
        sample_rate: spec.sample_rate,
        buffer_size: cpal::BufferSize::Default,
    };
    let second = spec.sample_rate as usize * usize::from(spec.channels);
    let (mut queue, mut taken) = rtrb::RingBuffer::<i16>::new(2 * second);
    let stream = device.build_output_stream(
        config,
        move |samples: &mut [i16], _| {
            // What the queue does not have is silence, as the slice was before, in whole frames.
            let ready = taken.slots().min(samples.len());
            let ready = ready - ready % channels;
            if let Ok(chunk) = taken.read_chunk(ready) {
                for (to, from) in samples.iter_mut().zip(chunk) {
                    *to = from;
                }
            }
        },
        |error| eprintln!("{error}"),
        None,
    )?;
    let handle = stream.handle();
    handle.finish_at(frames);
    let reading = thread::spawn(move || -> hound::Result<()> {
        for sample in reader.samples::<i16>() {
            let mut sample = sample?;
            while let Err(rtrb::PushError::Full(again)) = queue.push(sample) {
                thread::sleep(Duration::from_millis(100));
                sample = again;
            }
        }
        Ok(())
    });
    // Not before there is something to play.
    while !reading.is_finished() && handle.stats().callbacks == 0 {
        thread::sleep(Duration::from_millis(200));
        stream.play()?;
    }
    stream.play()?;
    let end = loop {
        if let Some(end) = handle.wait(Duration::from_secs(1)) {
            break end;
        }
    };
    // The reader is done, or has nobody to read for.
    if end == End::Drained {
        reading.join().map_err(|_| "the reader panicked")??;
    }
    println!("{end:?}: {:?}", handle.stats());
    Ok(())
}
