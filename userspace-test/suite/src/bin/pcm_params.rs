// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which configurations the card takes, and that it refuses every other.

use cpal_alsa_mmap::sys::{Access, Format, HwParams, Param, uapi};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Test, expect, note};
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "rates",
            "parameters: every rate from 8 to 384 kHz, in Hz",
            rates,
        ),
        Test(
            "formats_and_channels",
            "parameters: S16, every number of channels from 1 to 32",
            formats_and_channels,
        ),
        Test(
            "access",
            "parameters: interleaved, mapped or written",
            access,
        ),
        Test(
            "periods",
            "parameters: period and ring, to the frame",
            periods,
        ),
        Test(
            "ring_limits",
            "parameters: rings up to the largest and no larger",
            ring_limits,
        ),
        Test(
            "abilities",
            "parameters: what the card says it can do",
            abilities,
        ),
        Test(
            "refine_agrees",
            "parameters: what HW_REFINE leaves HW_PARAMS takes",
            refine_agrees,
        ),
    ])
}

/// The most of our card.
const CHANNELS: u32 = 32;

const BASE: Config = Config {
    access: Access::RwInterleaved,
    rate: 48_000,
    channels: 2,
    period: 240,
    periods: 4,
    flags: 0,
};

/// HW_PARAMS and PREPARE: what the core lets through the card must take too.
fn try_out(config: Config, expected: i32) -> Outcome {
    let pcm = card::open()?;
    let mut params = config.hw_params();
    expect(
        format_args!("{config:?}"),
        pcm.hw_params(&mut params),
        expected,
    )?;
    if expected != 0 {
        return Ok(());
    }
    for (param, value) in [
        (Param::Rate, config.rate),
        (Param::Channels, config.channels),
        (Param::PeriodSize, config.period),
        (Param::Periods, config.periods),
        (Param::BufferSize, config.period * config.periods),
        (Param::FrameBits, 16 * config.channels),
    ] {
        let chosen = params.range(param).single();
        ensure!(chosen == Some(value), "{config:?}: {param:?} is {chosen:?}");
    }
    ensure!(
        params.rate_fraction() == (config.rate, 1),
        "{config:?}: {:?}",
        params.rate_fraction()
    );
    pcm.prepare()?;
    Ok(())
}

fn rates() -> Outcome {
    for rate in [
        8_000, 8_001, 11_025, 12_345, 16_000, 22_050, 24_000, 32_000, 44_099, 44_100, 48_000,
        64_000, 88_200, 96_000, 176_400, 192_000, 352_800, 383_999, 384_000,
    ] {
        try_out(Config { rate, ..BASE }, 0)?;
    }
    for rate in [0, 1, 4_000, 7_999, 384_001, 705_600, 768_000, u32::MAX] {
        try_out(Config { rate, ..BASE }, libc::EINVAL)?;
    }
    Ok(())
}

fn formats_and_channels() -> Outcome {
    for channels in 1..=CHANNELS {
        try_out(Config { channels, ..BASE }, 0)?;
    }
    for channels in [0, CHANNELS + 1, 64, 256] {
        try_out(Config { channels, ..BASE }, libc::EINVAL)?;
    }
    let refused = [
        Format::S16Be,
        Format::S24Be,
        Format::S32Be,
        Format::FloatBe,
        Format::Float64Le,
        Format::S24_3Be,
    ];
    for format in refused {
        let mut params = HwParams::any();
        params.set_formats(&[format]);
        expect(
            format_args!("{format:?}"),
            card::open()?.hw_params(&mut params),
            libc::EINVAL,
        )?;
    }
    let mut params = HwParams::any();
    card::open()?.hw_refine(&mut params)?;
    ensure!(params.has_format(Format::S16Le), "no S16_LE");
    Ok(())
}

fn access() -> Outcome {
    for access in [Access::MmapInterleaved, Access::RwInterleaved] {
        try_out(Config { access, ..BASE }, 0)?;
    }
    for access in [
        Access::MmapNoninterleaved,
        Access::MmapComplex,
        Access::RwNoninterleaved,
    ] {
        try_out(Config { access, ..BASE }, libc::EINVAL)?;
    }
    Ok(())
}

fn periods() -> Outcome {
    for (period, periods) in [
        (8, 2),
        (9, 2),
        (32, 2),
        (64, 3),
        (441, 4),
        (1024, 2),
        (1023, 3),
        (16_384, 4),
    ] {
        try_out(
            Config {
                period,
                periods,
                ..BASE
            },
            0,
        )?;
    }
    for (period, periods) in [(0, 2), (1, 2), (7, 2), (240, 0), (240, 1), (1 << 30, 2)] {
        try_out(
            Config {
                period,
                periods,
                ..BASE
            },
            libc::EINVAL,
        )?;
    }
    // A ring is whole words: an odd number of mono frames is none.
    try_out(
        Config {
            channels: 1,
            period: 9,
            periods: 2,
            ..BASE
        },
        0,
    )?;
    try_out(
        Config {
            channels: 1,
            period: 9,
            periods: 3,
            ..BASE
        },
        libc::EINVAL,
    )?;
    // And it is whole periods.
    for (period, buffer, expected) in [
        (240, 960, 0),
        (240, 961, libc::EINVAL),
        (240, 600, libc::EINVAL),
    ] {
        let mut params = HwParams::any();
        params.set_access(&[Access::RwInterleaved]);
        params.set_formats(&[Format::S16Le]);
        params.set(Param::Channels, 2);
        params.set(Param::PeriodSize, period);
        params.set(Param::BufferSize, buffer);
        let what = format!("a ring of {buffer} frames in periods of {period}");
        expect(what, card::open()?.hw_params(&mut params), expected)?;
    }
    Ok(())
}

fn ring_limits() -> Outcome {
    let largest = card::largest_ring()?;
    note(format_args!("{largest} bytes"));
    let frames = u32::try_from(largest / 4)?;
    try_out(
        Config {
            period: frames / 2,
            periods: 2,
            ..BASE
        },
        0,
    )?;
    try_out(
        Config {
            period: frames / 512,
            periods: 512,
            ..BASE
        },
        0,
    )?;
    try_out(
        Config {
            period: frames / 512,
            periods: 513,
            ..BASE
        },
        libc::EINVAL,
    )?;
    try_out(
        Config {
            period: frames / 2 + 1,
            periods: 2,
            ..BASE
        },
        libc::EINVAL,
    )
}

fn abilities() -> Outcome {
    let mut params = HwParams::any();
    card::open()?.hw_refine(&mut params)?;
    let info = params.info();
    for (bit, name) in [
        (uapi::INFO_MMAP, "MMAP"),
        (uapi::INFO_MMAP_VALID, "MMAP_VALID"),
        (uapi::INFO_INTERLEAVED, "INTERLEAVED"),
        (uapi::INFO_PAUSE, "PAUSE"),
        (uapi::INFO_NO_PERIOD_WAKEUP, "NO_PERIOD_WAKEUP"),
        (uapi::INFO_PERFECT_DRAIN, "PERFECT_DRAIN"),
        (uapi::INFO_SYNC_START, "SYNC_START"),
        (uapi::INFO_RESUME, "RESUME"),
    ] {
        ensure!(info & bit != 0, "{name} is missing: {info:#x}");
    }
    for (bit, name) in [
        // A position that moves by periods, which it does not.
        (uapi::INFO_BATCH, "BATCH"),
        // A commit that costs a system call.
        (uapi::INFO_SYNC_APPLPTR, "SYNC_APPLPTR"),
        (uapi::INFO_EXPLICIT_SYNC, "EXPLICIT_SYNC"),
        (uapi::INFO_NO_REWINDS, "NO_REWINDS"),
        (uapi::INFO_NONINTERLEAVED, "NONINTERLEAVED"),
    ] {
        ensure!(info & bit == 0, "{name} is set: {info:#x}");
    }
    Ok(())
}

fn refine_agrees() -> Outcome {
    let mut random = sgring_suite::seed::Random::new();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..300 {
        let (period_bits, periods_bits) = (3 + random.below(13), random.below(8));
        let config = Config {
            access: if random.below(2) == 0 {
                Access::MmapInterleaved
            } else {
                Access::RwInterleaved
            },
            rate: 7_000 + random.below(380_000) as u32,
            channels: 1 + random.below(CHANNELS as usize + 1) as u32,
            period: 1 + random.below(1 << period_bits) as u32,
            periods: 1 + random.below(1 << periods_bits) as u32,
            flags: 0,
        };
        let fits = card::open()?.hw_refine(&mut config.hw_params()).is_ok();
        try_out(config, if fits { 0 } else { libc::EINVAL })?;
        let legal = (8_000..=384_000).contains(&config.rate)
            && config.channels <= CHANNELS
            && config.period >= 8
            && config.periods >= 2
            && config.bytes() % 4 == 0
            && config.bytes() <= card::largest_ring()?;
        ensure!(fits == legal, "{config:?}: taken {fits}, legal {legal}");
        *(if fits { &mut taken } else { &mut refused }) += 1;
    }
    note(format_args!(
        "{taken} configurations taken, {refused} refused"
    ));
    ensure!(taken > 0 && refused > 0, "the choice was one-sided");
    Ok(())
}
