// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays what it hears, in lock step, in periods of 5 ms: `echo SECONDS [hw:CARD,DEVICE]`.

use cpal::BufferSize;
use cpal::traits::{HostTrait, StreamTrait};
use cpal_alsa_mmap::{DuplexConfig, DuplexInfo, Options, RingDevice, RingHost};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: echo SECONDS [hw:CARD,DEVICE]";
    let seconds: u64 = words.next().ok_or(usage)?.parse()?;
    let options = Options {
        // The fewest: each period more is as much later.
        periods: 3,
        ..Options::default()
    };
    let device = match words.next() {
        Some(address) => RingDevice::new(address.parse()?, options),
        None => RingHost::new(options)
            .default_output_device()
            .ok_or("there is no card")?,
    };
    let config = DuplexConfig {
        input_channels: 2,
        output_channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Fixed(240),
    };
    let mut way = None;
    let (told, delay) = std::sync::mpsc::sync_channel(1);
    let stream = device.build_duplex_stream(
        config,
        move |input: &[i16], output: &mut [i16], info: &DuplexInfo| {
            output.copy_from_slice(input);
            // From the microphone to the ear, as the first callback has it: a burst more or less in others.
            if way.is_none() {
                way = Some(info.playback.duration_since(info.capture));
                let _ = told.try_send(way);
            }
        },
        |error| eprintln!("{error}"),
    )?;
    let handle = stream.handle();
    handle.finish_at(seconds * 48_000);
    stream.play()?;
    if let Ok(Some(way)) = delay.recv() {
        println!("{:.2} ms from input to output", way.as_secs_f64() * 1e3);
    }
    let end = loop {
        if let Some(end) = handle.wait(Duration::from_secs(1)) {
            break end;
        }
    };
    println!("{end:?}: {:?}", handle.stats());
    Ok(())
}
