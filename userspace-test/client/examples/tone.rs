// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second of 440 Hz on the first card, through cpal, and what it cost.

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use cpal_alsa_mmap::sys::Direction;
use cpal_alsa_mmap::{Options, RingDevice, pcms};
use std::error::Error;
use std::time::Duration;

fn play<T: SizedSample + FromSample<f32>>(ring: &RingDevice) -> Result<(), Box<dyn Error>> {
    let custom = cpal::platform::CustomDevice::from_device(ring.clone());
    let device = cpal::Device::from(custom);
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
    let handle = ring.handle().ok_or("no stream")?;
    handle.finish_at(config.sample_rate.into());
    stream.play()?;
    let end = loop {
        if let Some(end) = handle.wait(Duration::from_secs(1)) {
            break end;
        }
    };
    println!("{device}: {end:?}, {:?}", handle.stats());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = pcms(Direction::Playback)?
        .into_iter()
        .next()
        .ok_or("no card")?;
    let ring = RingDevice::new(address, Options::default());
    match ring.default_output_config()?.sample_format() {
        SampleFormat::I16 => play::<i16>(&ring),
        SampleFormat::I32 => play::<i32>(&ring),
        SampleFormat::F32 => play::<f32>(&ring),
        other => Err(format!("{other} is not for this example").into()),
    }
}
