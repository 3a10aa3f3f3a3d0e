// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a card can do, and which of that a stream gets.

use crate::sys::{Access, Format, HwParams, Param, Pcm, Range, uapi};
use std::fmt;
use std::io;

/// Something that narrows parameters as HW_REFINE does.
pub(crate) trait Refine {
    fn refine(&self, params: &mut HwParams) -> io::Result<()>;
}

impl Refine for Pcm {
    fn refine(&self, params: &mut HwParams) -> io::Result<()> {
        self.hw_refine(params)
    }
}

/// The formats that the host knows, the one to prefer first.
pub(crate) const FORMATS: [Format; 8] = [
    Format::native(Format::S16Le, Format::S16Be),
    Format::native(Format::S32Le, Format::S32Be),
    Format::native(Format::FloatLe, Format::FloatBe),
    Format::native(Format::S24Le, Format::S24Be),
    Format::native(Format::S24_3Le, Format::S24_3Be),
    Format::native(Format::Float64Le, Format::Float64Be),
    Format::U8,
    Format::S8,
];

/// Rates in use, frames per second.
const RATES: [u32; 15] = [
    5_512, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400,
    192_000, 352_800, 384_000,
];

/// More channels than this are not listed one by one.
const MOST_CHANNELS: u32 = 64;

/// A combination that the card offers through a mapped, interleaved ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capability {
    pub(crate) format: Format,
    pub(crate) channels: u32,
    /// Frames per second; every whole number between the two.
    pub(crate) rates: Range,
    /// Frames in a period.
    pub(crate) period: Range,
}

/// What a stream asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The first of these that the card has.
    pub(crate) formats: &'a [Format],
    pub(crate) channels: u32,
    /// Frames per second.
    pub(crate) rate: u32,
    /// Frames in a period, exactly; `None` for about ten milliseconds.
    pub(crate) period: Option<u32>,
    /// Periods in the ring; as near as the card can.
    pub(crate) periods: u32,
    /// No period wakeups.
    pub(crate) timer: bool,
}

/// Why a stream does not get what it asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The card offers no mapped, interleaved ring.
    NoMmap,
    /// Not this format.
    Format,
    /// Not so many channels, but these.
    Channels(Range),
    /// Not this rate, but some of these, frames per second.
    Rate(Range),
    /// Not this period, but some of these, frames.
    Period(Range),
    /// Not this period, but the nearest below and above, frames.
    Step {
        wanted: u32,
        below: Option<u32>,
        above: Option<u32>,
    },
    /// Its period wakeups cannot be turned off.
    Timer,
    /// Without period wakeups, a ring of so few frames is too short.
    Tick(u32),
    /// No ring of at least two periods of this size.
    Periods,
    /// The kernel said something else.
    Io(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |f: &mut fmt::Formatter<'_>, what: &str, range: &Range| match range.single() {
            Some(only) => write!(f, "the card has {only} {what} only"),
            None => write!(f, "the card has {} to {} {what}", range.min, range.max),
        };
        match self {
            Self::NoMmap => f.write_str(NO_MMAP),
            Self::Format => write!(f, "the card does not have this sample format"),
            Self::Channels(range) => span(f, "channels", range),
            Self::Rate(range) => span(f, "frames per second", range),
            Self::Period(range) => span(f, "frames in a period", range),
            Self::Step {
                wanted,
                below,
                above,
            } => {
                write!(f, "the card has no period of {wanted} frames")?;
                match (below, above) {
                    (Some(a), Some(b)) => write!(f, ", the nearest are {a} and {b}"),
                    (Some(only), None) | (None, Some(only)) => write!(f, ", the nearest is {only}"),
                    (None, None) => Ok(()),
                }
            }
            Self::Timer => write!(
                f,
                "the card cannot do without period interrupts: ask for Wakeup::Period"
            ),
            Self::Tick(ring) => write!(
                f,
                "a ring of {ring} frames is too short for a timer: 10 ms is the least"
            ),
            Self::Periods => write!(f, "the card has no ring of two such periods"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

/// What to say of a card without a ring to map, and what to use for it.
pub(crate) const NO_MMAP: &str = "the card offers no memory-mapped interleaved ring: cpal's own ALSA \
                                  host (cpal::default_host) can use it";

/// Refines a copy; `None` if nothing is left.
fn refined(card: &impl Refine, params: &HwParams) -> io::Result<Option<HwParams>> {
    let mut params = *params;
    match card.refine(&mut params) {
        Ok(()) => Ok(Some(params)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

fn with(params: &HwParams, change: impl FnOnce(&mut HwParams)) -> HwParams {
    let mut params = *params;
    change(&mut params);
    params
}

/// Everything with a mapped, interleaved ring.
fn mapped(card: &impl Refine) -> io::Result<Option<HwParams>> {
    let params = with(&HwParams::any(), |p| {
        p.set_access(&[Access::MmapInterleaved]);
    });
    let params = refined(card, &params)?;
    Ok(params.filter(|p| p.info() & uapi::INFO_MMAP != 0))
}

/// All that the card offers; nothing if it has no ring to map.
pub(crate) fn capabilities(card: &impl Refine) -> io::Result<Vec<Capability>> {
    let mut found = Vec::new();
    let Some(any) = mapped(card)? else {
        return Ok(found);
    };
    for format in FORMATS {
        let Some(of_format) = refined(card, &with(&any, |p| p.set_formats(&[format])))? else {
            continue;
        };
        let channels = of_format.range(Param::Channels);
        for channels in channels.min..=channels.max.min(MOST_CHANNELS) {
            let wanted = with(&of_format, |p| p.set(Param::Channels, channels));
            let Some(of_channels) = refined(card, &wanted)? else {
                continue;
            };
            let period = of_channels.range(Param::PeriodSize);
            for rates in rates(card, &of_channels)? {
                found.push(Capability {
                    format,
                    channels,
                    rates,
                    period,
                });
            }
        }
    }
    Ok(found)
}

/// The rates left in `params`: one range if the card takes any rate, or each one of those in use.
fn rates(card: &impl Refine, params: &HwParams) -> io::Result<Vec<Range>> {
    let all = params.range(Param::Rate);
    let takes = |rate: u32| -> io::Result<bool> {
        Ok(all.contains(rate)
            && refined(card, &with(params, |p| p.set(Param::Rate, rate)))?.is_some())
    };
    // Rates that nobody lists: a card that takes them takes any.
    if all.max - all.min > 1 && takes(all.min + 1)? && takes(all.max - 1)? {
        return Ok(vec![all]);
    }
    let mut found = Vec::new();
    for rate in RATES.into_iter().chain([all.min, all.max]) {
        let single = Range {
            min: rate,
            max: rate,
        };
        if takes(rate)? && !found.contains(&single) {
            found.push(single);
        }
    }
    Ok(found)
}

/// The values of `param` next to `wanted`, below and above.
fn neighbours(
    card: &impl Refine,
    params: &HwParams,
    param: Param,
    wanted: u32,
) -> io::Result<[Option<u32>; 2]> {
    let above = refined(
        card,
        &with(params, |p| p.set_range(param, wanted, u32::MAX)),
    )?
    .map(|p| p.range(param).min);
    let below = refined(card, &with(params, |p| p.set_range(param, 0, wanted)))?
        .map(|p| p.range(param).max);
    Ok([below, above])
}

/// Narrows `param` to the value nearest to `wanted` that the card takes, a larger one if two are.
fn nearest(
    card: &impl Refine,
    params: &HwParams,
    param: Param,
    wanted: u32,
) -> io::Result<Option<HwParams>> {
    if let Some(exact) = refined(card, &with(params, |p| p.set(param, wanted)))? {
        return Ok(Some(exact));
    }
    let [below, above] = neighbours(card, params, param, wanted)?;
    let mut candidates = [above, below];
    if let [Some(a), Some(b)] = candidates {
        if wanted.abs_diff(b) < wanted.abs_diff(a) {
            candidates.swap(0, 1);
        }
    }
    for value in candidates.into_iter().flatten() {
        if let Some(params) = refined(card, &with(params, |p| p.set(param, value)))? {
            return Ok(Some(params));
        }
    }
    Ok(None)
}

/// Chooses one configuration for `request`: format, channels, rate, period and ring are one value
/// each. Returns it with its format.
pub(crate) fn negotiate(
    card: &impl Refine,
    request: &Request<'_>,
) -> Result<(HwParams, Format), Refusal> {
    let narrow = |params: &HwParams, change: &dyn Fn(&mut HwParams), refusal: Refusal| {
        refined(card, &with(params, |p| change(p)))
            .map_err(Refusal::Io)?
            .ok_or(refusal)
    };
    let params = mapped(card).map_err(Refusal::Io)?.ok_or(Refusal::NoMmap)?;
    if request.timer && params.info() & uapi::INFO_NO_PERIOD_WAKEUP == 0 {
        return Err(Refusal::Timer);
    }
    let mut found = None;
    for &format in request.formats {
        let wanted = with(&params, |p| p.set_formats(&[format]));
        if let Some(params) = refined(card, &wanted).map_err(Refusal::Io)? {
            found = Some((params, format));
            break;
        }
    }
    let (params, format) = found.ok_or(Refusal::Format)?;
    let params = narrow(
        &params,
        &|p| p.set(Param::Channels, request.channels),
        Refusal::Channels(params.range(Param::Channels)),
    )?;
    let params = narrow(
        &params,
        &|p| p.set(Param::Rate, request.rate),
        Refusal::Rate(params.range(Param::Rate)),
    )?;
    let all = params.range(Param::PeriodSize);
    let params = match request.period {
        Some(period) if !all.contains(period) => return Err(Refusal::Period(all)),
        Some(wanted) => {
            let exact = with(&params, |p| p.set(Param::PeriodSize, wanted));
            match refined(card, &exact).map_err(Refusal::Io)? {
                Some(params) => params,
                None => {
                    let [below, above] = neighbours(card, &params, Param::PeriodSize, wanted)
                        .map_err(Refusal::Io)?;
                    return Err(Refusal::Step {
                        wanted,
                        below,
                        above,
                    });
                }
            }
        }
        None => {
            let period = (request.rate / 100).clamp(all.min, all.max);
            nearest(card, &params, Param::PeriodSize, period)
                .map_err(Refusal::Io)?
                .ok_or(Refusal::Period(all))?
        }
    };
    let period = params
        .range(Param::PeriodSize)
        .single()
        .ok_or(Refusal::Period(all))?;
    let params = nearest(card, &params, Param::Periods, request.periods.max(2))
        .map_err(Refusal::Io)?
        .ok_or(Refusal::Periods)?;
    match params.range(Param::Periods).single() {
        Some(periods) if periods >= 2 => {
            // Whole periods; without this a card may add a few frames.
            let buffer = period.checked_mul(periods).ok_or(Refusal::Periods)?;
            let params = narrow(
                &params,
                &|p| p.set(Param::BufferSize, buffer),
                Refusal::Periods,
            )?;
            Ok((params, format))
        }
        _ => Err(Refusal::Periods),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card with limits and steps of its own.
    struct Card {
        access: &'static [Access],
        formats: &'static [Format],
        channels: (u32, u32),
        rates: &'static [u32],
        any_rate: bool,
        period: (u32, u32, u32),
        buffer_max: u32,
    }

    const CARD: Card = Card {
        access: &[Access::MmapInterleaved, Access::RwInterleaved],
        formats: &[Format::S16Le, Format::S32Le],
        channels: (2, 2),
        rates: &[44_100, 48_000],
        any_rate: false,
        period: (32, 4096, 16),
        buffer_max: 16_384,
    };

    impl Refine for Card {
        fn refine(&self, params: &mut HwParams) -> io::Result<()> {
            let empty = || io::Error::from_raw_os_error(libc::EINVAL);
            params.raw_mut().info = uapi::INFO_MMAP;
            params.set_access(self.access);
            params.set_formats(self.formats);
            if !self.access.iter().any(|&a| params.has_access(a))
                || !self.formats.iter().any(|&f| params.has_format(f))
            {
                return Err(empty());
            }
            params.set_range(Param::Channels, self.channels.0, self.channels.1);
            let wanted = params.range(Param::Rate);
            let (low, high) = (self.rates[0], self.rates[self.rates.len() - 1]);
            params.set_range(Param::Rate, low, high);
            if !self.any_rate {
                let mut left = self.rates.iter().copied().filter(|&r| wanted.contains(r));
                let first = left.next().ok_or_else(empty)?;
                let last = left.last().unwrap_or(first);
                params.set_range(Param::Rate, first, last);
            }
            let (low, high, step) = self.period;
            params.set_range(Param::PeriodSize, low, high.min(self.buffer_max / 2));
            let period = params.range(Param::PeriodSize);
            params.set_range(
                Param::PeriodSize,
                period.min.div_ceil(step) * step,
                period.max / step * step,
            );
            if let Some(period) = params.range(Param::PeriodSize).single() {
                params.set_range(Param::Periods, 2, self.buffer_max / period);
                if let Some(periods) = params.range(Param::Periods).single() {
                    params.set(Param::BufferSize, period * periods);
                }
            }
            for param in [
                Param::Channels,
                Param::Rate,
                Param::PeriodSize,
                Param::Periods,
                Param::BufferSize,
            ] {
                let range = params.range(param);
                if range.min > range.max {
                    return Err(empty());
                }
            }
            Ok(())
        }
    }

    const REQUEST: Request<'_> = Request {
        formats: &[FORMATS[0]],
        channels: 2,
        rate: 48_000,
        period: Some(256),
        periods: 4,
        timer: false,
    };

    /// Period in frames, periods, ring in frames.
    fn choice(card: &Card, request: Request<'_>) -> [u32; 3] {
        let (params, _) = negotiate(card, &request).unwrap();
        [Param::PeriodSize, Param::Periods, Param::BufferSize]
            .map(|param| params.range(param).single().unwrap())
    }

    #[test]
    fn a_card_gets_what_it_can_do() {
        assert_eq!(choice(&CARD, REQUEST), [256, 4, 1024]);
    }

    #[test]
    fn the_default_period_is_ten_milliseconds() {
        let request = Request {
            period: None,
            ..REQUEST
        };
        assert_eq!(choice(&CARD, request), [480, 4, 1920]);
        let card = Card {
            period: (1024, 4096, 1024),
            ..CARD
        };
        assert_eq!(choice(&card, request), [1024, 4, 4096]);
    }

    #[test]
    fn a_period_between_two_steps_is_refused_with_both() {
        for (period, text) in [
            (250, "240 and 256"),
            (33, "32 and 48"),
            (4095, "4080 and 4096"),
        ] {
            let request = Request {
                period: Some(period),
                ..REQUEST
            };
            let said = negotiate(&CARD, &request).unwrap_err().to_string();
            let wanted = format!("no period of {period} frames, the nearest are {text}");
            assert!(said.ends_with(&wanted), "{said}");
        }
    }

    #[test]
    fn the_first_format_that_a_card_has_is_taken() {
        static FORMATS_OF_CARDS: [Format; 2] = [FORMATS[3], FORMATS[4]];
        for has in FORMATS_OF_CARDS.chunks(1) {
            let card = Card {
                formats: has,
                ..CARD
            };
            let request = Request {
                formats: &FORMATS_OF_CARDS,
                ..REQUEST
            };
            assert_eq!(negotiate(&card, &request).unwrap().1, has[0]);
        }
    }

    #[test]
    fn a_card_that_must_wake_says_so() {
        let request = Request {
            timer: true,
            ..REQUEST
        };
        assert!(matches!(negotiate(&CARD, &request), Err(Refusal::Timer)));
    }

    #[test]
    fn a_ring_too_large_becomes_as_large_as_can_be() {
        let request = Request {
            period: Some(4096),
            periods: 100,
            ..REQUEST
        };
        assert_eq!(choice(&CARD, request), [4096, 4, 16_384]);
        let card = Card {
            buffer_max: 4096,
            ..CARD
        };
        let refusal = negotiate(&card, &request).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::Period(Range { min: 32, max: 2048 })
        ));
    }

    #[test]
    fn what_a_card_cannot_do_is_named() {
        let deny = |request: Request<'_>, card: &Card| negotiate(card, &request).unwrap_err();
        let mono = Request {
            channels: 1,
            ..REQUEST
        };
        assert!(matches!(
            deny(mono, &CARD),
            Refusal::Channels(Range { min: 2, max: 2 })
        ));
        let fast = Request {
            rate: 96_000,
            ..REQUEST
        };
        assert_eq!(
            deny(fast, &CARD).to_string(),
            "the card has 44100 to 48000 frames per second"
        );
        let float = Request {
            formats: &FORMATS[2..3],
            ..REQUEST
        };
        assert!(matches!(deny(float, &CARD), Refusal::Format));
        for period in [0, 31, 4097, u32::MAX] {
            let odd = Request {
                period: Some(period),
                ..REQUEST
            };
            assert!(matches!(deny(odd, &CARD), Refusal::Period(_)));
        }
        let copying = Card {
            access: &[Access::RwInterleaved],
            ..CARD
        };
        assert!(matches!(deny(REQUEST, &copying), Refusal::NoMmap));
    }

    #[test]
    fn capabilities_list_single_rates_or_a_range() {
        let found = capabilities(&CARD).unwrap();
        let rates: Vec<_> = found.iter().map(|c| (c.format, c.rates.single())).collect();
        assert_eq!(
            rates,
            [
                (FORMATS[0], Some(44_100)),
                (FORMATS[0], Some(48_000)),
                (FORMATS[1], Some(44_100)),
                (FORMATS[1], Some(48_000)),
            ]
        );
        assert_eq!(found[0].period, Range { min: 32, max: 4096 });
        let any = Card {
            any_rate: true,
            rates: &[8_000, 384_000],
            ..CARD
        };
        let range = Range {
            min: 8_000,
            max: 384_000,
        };
        assert_eq!(capabilities(&any).unwrap()[0].rates, range);
    }
}
