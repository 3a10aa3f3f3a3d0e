// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be said of a device without one.

use super::*;

/// A device that no machine has.
fn nowhere() -> RingDevice {
    let address = Address {
        card: 31,
        device: 7,
    };
    RingDevice::new(address, Options::default())
}

#[test]
fn a_device_that_is_not_there_says_so() {
    let device = nowhere();
    assert_eq!(device.to_string(), "hw:31,7");
    let id = device.id().unwrap();
    assert_eq!(id.to_string(), "custom:ring:hw:card31,7");
    assert_eq!(id.to_string().parse::<DeviceId>().unwrap(), id);
    let error = device.default_output_config().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeviceNotAvailable);
    assert!(!device.supports_output());
    assert!(!device.supports_input());
    assert!(device.handle().is_none());
}

#[test]
fn a_stream_of_nothing_is_refused_before_the_device_is_opened() {
    let good = StreamConfig {
        channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Default,
    };
    let build = |config, format| {
        let stream = nowhere().build_output_stream_raw(config, format, |_, _| {}, |_| {}, None);
        stream.unwrap_err().kind()
    };
    let bad = [
        StreamConfig {
            channels: 0,
            ..good
        },
        StreamConfig {
            sample_rate: 0,
            ..good
        },
        StreamConfig {
            buffer_size: BufferSize::Fixed(0),
            ..good
        },
    ];
    for config in bad {
        assert_eq!(build(config, SampleFormat::I16), ErrorKind::InvalidInput);
    }
    assert_eq!(build(good, SampleFormat::U64), ErrorKind::UnsupportedConfig);
    assert_eq!(
        build(good, SampleFormat::I16),
        ErrorKind::DeviceNotAvailable
    );
}

#[test]
fn a_priority_that_is_none_is_refused_before_the_device_is_opened() {
    let config = StreamConfig {
        channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Default,
    };
    let error = |priority| {
        let mut device = nowhere();
        device.options.priority = priority;
        let format = SampleFormat::I16;
        let stream = device.build_output_stream_raw(config, format, |_, _| {}, |_| {}, None);
        stream.unwrap_err()
    };
    for priority in [0, 100, 255] {
        let error = error(Some(priority));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let wanted = format!("a priority of {priority} is none: SCHED_FIFO has 1 to 99");
        assert!(error.to_string().contains(&wanted), "{error}");
    }
    for priority in [None, Some(1), Some(99)] {
        assert_eq!(error(priority).kind(), ErrorKind::DeviceNotAvailable);
    }
}
