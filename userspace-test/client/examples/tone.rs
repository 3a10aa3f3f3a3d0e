// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second of 440 Hz on the first card, or on the one that is named: `tone [hw:CARD,DEVICE]`.

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use cpal_alsa_mmap::{Options, RingDevice, RingHost};
use std::error::Error;
use std::time::Duration;

fn play<T: SizedSample + FromSample<f32>>(device: &RingDevice) -> Result<(), Box<dyn Error>> {
    let config = device.default_output_config()?.config();
    let channels = usize::from(config.channels);
    let step = 440.0 * std::f32::consts::TAU / config.sample_rate as f32;
    let mut phase = 0.0f32;
    let stream = device.build_output_stream(
        config,
        move |samples: &mut [T], _| {
            for frame in samples.chunks_exact_mut(channels) {
                frame.fill(T::from_sample(0.2 * phase.sin()));
                phase = (phase + step) % std::f32::consts::TAU;
            }
        },
        |error| eprintln!("{error}"),
        None,
    )?;
    // The card plays to the last frame, and then the stream has ended.
    let handle = stream.handle();
    handle.finish_at(config.sample_rate.into());
    stream.play()?;
    while handle.wait(Duration::from_secs(1)).is_none() {}
    println!("{device}: {:?}", handle.stats());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = match std::env::args().nth(1) {
        Some(address) => RingDevice::new(address.parse()?, Options::default()),
        None => RingHost::default()
            .default_output_device()
            .ok_or("there is no card that plays")?,
    };
    match device.default_output_config()?.sample_format() {
        SampleFormat::I16 => play::<i16>(&device),
        SampleFormat::I24 => play::<cpal::I24>(&device),
        SampleFormat::I32 => play::<i32>(&device),
        SampleFormat::F32 => play::<f32>(&device),
        SampleFormat::U8 => play::<u8>(&device),
        other => Err(format!("{other} is not for this example").into()),
    }
}
