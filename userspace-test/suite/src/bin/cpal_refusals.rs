// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cpal host says to what cannot be, and to a card that goes away.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, StreamConfig};
use cpal_alsa_mmap::sys::Direction;
use cpal_alsa_mmap::{Change, End, Options, RingDevice, RingHost, Wakeup, Watch};
use sgring_suite::binding::Device;
use sgring_suite::card;
use sgring_suite::ensure;
use sgring_suite::host::{self, stereo};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "configs",
            "what the host says the card can do is what it can, and the default is of that",
            configs,
        ),
        Test(
            "enumeration",
            "a device that is in use is found, and looking opens none",
            enumeration,
        ),
        Test(
            "refusals",
            "what cannot be is refused with its reason, and the card is left to others",
            refusals,
        ),
        Test("busy", "a card of which all is in use says so", busy),
        Test(
            "gone",
            "a card that goes away ends its streams with DeviceNotAvailable, and its coming and going is told",
            gone,
        ),
    ])
}

fn configs() -> Outcome {
    let card = host::card(Options::default());
    for (input, configs, default) in [
        (
            false,
            card.supported_output_configs()?,
            card.default_output_config()?,
        ),
        (
            true,
            card.supported_input_configs()?,
            card.default_input_config()?,
        ),
    ] {
        let configs: Vec<_> = configs.collect();
        let formats: Vec<_> = configs.iter().map(|c| c.sample_format()).collect();
        for format in [
            SampleFormat::U8,
            SampleFormat::I16,
            SampleFormat::I24,
            SampleFormat::I32,
            SampleFormat::F32,
        ] {
            let of = configs.iter().filter(|c| c.sample_format() == format);
            let channels: Vec<_> = of.map(|c| c.channels()).collect();
            ensure!(
                channels.iter().copied().eq(1..=32),
                "{format}: {channels:?}"
            );
        }
        ensure!(!formats.contains(&SampleFormat::F64), "{formats:?}");
        let rates = configs[0].min_sample_rate()..=configs[0].max_sample_rate();
        ensure!(rates == (8_000..=384_000), "{rates:?}");
        ensure!(
            (
                default.channels(),
                default.sample_rate(),
                default.sample_format()
            ) == (2, 48_000, SampleFormat::I16),
            "input {input}: {default:?}"
        );
    }
    Ok(())
}

fn enumeration() -> Outcome {
    let _taken: Vec<_> = (0..4).map(|_| card::open()).collect::<Result<_, _>>()?;
    let _taken_too: Vec<_> = (0..4)
        .map(|_| card::open_capture())
        .collect::<Result<_, _>>()?;
    let host = cpal::Host::from(RingHost::default());
    ensure!(host.output_devices()?.count() > 0, "no output device");
    ensure!(host.input_devices()?.count() > 0, "no input device");
    let host = RingHost::default();
    let card = host::card(Options::default());
    ensure!(host.devices()?.any(|device| device == card), "not found");
    for default in [host.default_output_device(), host.default_input_device()] {
        ensure!(default.is_some(), "no default device");
    }
    let description = card.description()?;
    note(format_args!("{description:?}"));
    ensure!(description.name().contains("sgring"), "{description:?}");
    Ok(())
}

/// The error of a stream that must not be built.
fn refusal(
    options: Options,
    config: StreamConfig,
    format: SampleFormat,
) -> Result<cpal::Error, Stop> {
    let card = host::card(options);
    let output = card.build_output_stream_raw(config, format, |_, _| {}, |_| {}, None);
    let input = card.build_input_stream_raw(config, format, |_, _| {}, |_| {}, None);
    match (output, input) {
        (Err(output), Err(input)) => {
            ensure!(
                output.to_string() == input.to_string(),
                "{output}; but {input}"
            );
            Ok(output)
        }
        _ => Err(Stop::Fail(format!("{config:?}, {format}: it was built"))),
    }
}

fn refusals() -> Outcome {
    let good = stereo(256);
    let options = Options::default();
    let i16 = SampleFormat::I16;
    use ErrorKind::{InvalidInput, UnsupportedConfig};
    for (config, format, kind, words) in [
        (
            StreamConfig {
                channels: 0,
                ..good
            },
            i16,
            InvalidInput,
            "must not be 0",
        ),
        (
            StreamConfig {
                sample_rate: 0,
                ..good
            },
            i16,
            InvalidInput,
            "must not be 0",
        ),
        (stereo(0), i16, InvalidInput, "must not be 0"),
        (
            StreamConfig {
                channels: 33,
                ..good
            },
            i16,
            UnsupportedConfig,
            "1 to 32 channels",
        ),
        (
            StreamConfig {
                sample_rate: 384_001,
                ..good
            },
            i16,
            UnsupportedConfig,
            "8000 to 384000 frames per second",
        ),
        (stereo(1), i16, UnsupportedConfig, "frames in a period"),
        (
            stereo(u32::MAX),
            i16,
            UnsupportedConfig,
            "frames in a period",
        ),
        (good, SampleFormat::F64, UnsupportedConfig, "sample format"),
        (good, SampleFormat::U64, UnsupportedConfig, "sample format"),
    ] {
        let error = refusal(options, config, format)?;
        note(&error);
        ensure!(
            error.kind() == kind && error.to_string().contains(words),
            "{error:?}, not {words:?}"
        );
    }
    let linear = Options {
        linear: true,
        periods: 3,
        ..options
    };
    let error = refusal(linear, stereo(100), i16)?;
    ensure!(
        error.kind() == UnsupportedConfig && error.to_string().contains("whole number of pages"),
        "{error:?}"
    );
    let short = Options {
        wakeup: Wakeup::Timer,
        periods: 2,
        ..options
    };
    let error = refusal(short, stereo(32), i16)?;
    ensure!(
        error.kind() == UnsupportedConfig && error.to_string().contains("too short for a timer"),
        "{error:?}"
    );
    let nowhere = RingDevice::new("hw:31,0".parse()?, options);
    let error = nowhere.default_output_config().err();
    let kind = error.as_ref().map(cpal::Error::kind);
    ensure!(kind == Some(ErrorKind::DeviceNotAvailable), "{error:?}");
    // Nothing is left open.
    host::play(&host::card(options), good, i16, &[1; 4096], |_| {})?.drained()?;
    Ok(())
}

fn busy() -> Outcome {
    let taken: Vec<_> = (0..4).map(|_| card::open()).collect::<Result<_, _>>()?;
    let card = host::card(Options::default());
    let error = card.default_output_config().err();
    let kind = error.as_ref().map(cpal::Error::kind);
    ensure!(kind == Some(ErrorKind::DeviceBusy), "{error:?}");
    drop(taken);
    card.default_output_config()?;
    Ok(())
}

fn gone() -> Outcome {
    let device = Device::of_card()?;
    for wakeup in [Wakeup::Period, Wakeup::Timer] {
        let options = Options {
            wakeup,
            ..Options::default()
        };
        let card = host::card(options);
        let address = card.address();
        let config = StreamConfig {
            buffer_size: BufferSize::Default,
            ..stereo(256)
        };
        let mut watch = Watch::new()?;
        let (format, frames) = (SampleFormat::I16, 48_000 * 600);
        let (recording, _) = host::record(&card, config, format, frames, |_| {})?;
        let playing = host::play(&card, config, format, &vec![1; 48_000 * 400], |_| {})?;
        while playing.handle.stats().callbacks < 20 {}
        device.unbind()?;
        for stream in [&playing, &recording] {
            let end = stream.handle.wait(Duration::from_secs(10));
            let errors = stream.errors();
            ensure!(
                end == Some(End::Failed) && errors == [ErrorKind::DeviceNotAvailable],
                "{wakeup:?}: {end:?}, {errors:?}"
            );
        }
        let kind = card.default_output_config().err().map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::DeviceNotAvailable), "{kind:?}");
        drop((playing, recording));
        device.bind()?;
        for direction in [Direction::Playback, Direction::Capture] {
            let mut told = Vec::new();
            while told.last() != Some(&Change::Appeared(address, direction)) {
                match watch.next(Some(Duration::from_secs(10)))? {
                    Some(change) => told.push(change),
                    None => return Err(Stop::Fail(format!("{direction:?}: only {told:?}"))),
                }
            }
        }
        // As good as new.
        host::play(&host::card(options), config, format, &[1; 4096], |_| {})?.drained()?;
    }
    Ok(())
}
