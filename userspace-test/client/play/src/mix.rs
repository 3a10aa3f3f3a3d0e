// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many channels into two.
//!
//! Front left and right go to their own side as they are, the centre to both at 1/sqrt 2 (-3 dB),
//! side and back channels to their own side at 1/sqrt 2, a back centre to both at 1/2. What sounds
//! above goes where the channel below it goes, above the head to both at 1/2. The LFE channel is
//! left out. All of it is divided by the greater sum of a side, so no sample can clip.
//!
//! A file that only counts its channels has them in the order of FLAC files.

use std::fmt;
use symphonia::core::audio::Channels;

/// 1/sqrt 2.
const A: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Each place: its short name, and its part of left and right.
const PLACES: [(Channels, &str, f64, f64); 18] = [
    (Channels::FRONT_LEFT, "FL", 1.0, 0.0),
    (Channels::FRONT_RIGHT, "FR", 0.0, 1.0),
    (Channels::FRONT_CENTRE, "FC", A, A),
    (Channels::LFE1, "LFE", 0.0, 0.0),
    (Channels::REAR_LEFT, "BL", A, 0.0),
    (Channels::REAR_RIGHT, "BR", 0.0, A),
    (Channels::FRONT_LEFT_CENTRE, "FLC", 1.0, 0.0),
    (Channels::FRONT_RIGHT_CENTRE, "FRC", 0.0, 1.0),
    (Channels::REAR_CENTRE, "BC", 0.5, 0.5),
    (Channels::SIDE_LEFT, "SL", A, 0.0),
    (Channels::SIDE_RIGHT, "SR", 0.0, A),
    (Channels::TOP_CENTRE, "TC", 0.5, 0.5),
    (Channels::TOP_FRONT_LEFT, "TFL", 1.0, 0.0),
    (Channels::TOP_FRONT_CENTRE, "TFC", A, A),
    (Channels::TOP_FRONT_RIGHT, "TFR", 0.0, 1.0),
    (Channels::TOP_REAR_LEFT, "TBL", A, 0.0),
    (Channels::TOP_REAR_CENTRE, "TBC", 0.5, 0.5),
    (Channels::TOP_REAR_RIGHT, "TBR", 0.0, A),
];

/// A mix of some channels, in the order in which a decoder delivers them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mix {
    /// Name and parts of each channel.
    parts: Vec<(&'static str, [f64; 2])>,
}

impl Mix {
    /// The mix of `channels`; `None` if their places are not known.
    pub(crate) fn new(channels: Channels) -> Option<Self> {
        let places = places(channels)?;
        let mut parts = Vec::new();
        for place in places.iter() {
            let &(_, name, left, right) = PLACES.iter().find(|p| p.0 == place)?;
            parts.push((name, [left, right]));
        }
        let sum = |side: usize| parts.iter().map(|p| p.1[side]).sum::<f64>();
        let loudest = sum(0).max(sum(1));
        if loudest <= 0.0 {
            return None;
        }
        for part in &mut parts {
            part.1 = part.1.map(|p| p / loudest);
        }
        Some(Self { parts })
    }

    /// Left and right of one frame.
    pub(crate) fn frame(&self, samples: impl Iterator<Item = f64>) -> [f64; 2] {
        let mut sum = [0.0; 2];
        for ((_, part), sample) in self.parts.iter().zip(samples) {
            sum[0] += part[0] * sample;
            sum[1] += part[1] * sample;
        }
        sum
    }
}

/// Where the channels belong.
fn places(channels: Channels) -> Option<Channels> {
    let count = channels.count();
    // The first so many places: what a reader says when the file says nothing.
    if channels.bits() != (1u32 << count) - 1 {
        return Some(channels);
    }
    let (front, back) = (
        Channels::FRONT_LEFT | Channels::FRONT_RIGHT,
        Channels::REAR_LEFT | Channels::REAR_RIGHT,
    );
    let (centre, side) = (
        Channels::FRONT_CENTRE,
        Channels::SIDE_LEFT | Channels::SIDE_RIGHT,
    );
    Some(match count {
        1 => Channels::FRONT_LEFT,
        2 => front,
        3 => front | centre,
        4 => front | back,
        5 => front | centre | back,
        6 => front | centre | Channels::LFE1 | back,
        7 => front | centre | Channels::LFE1 | Channels::REAR_CENTRE | side,
        8 => front | centre | Channels::LFE1 | back | side,
        _ => return None,
    })
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (side, name) in [(0, "left"), (1, "right")] {
            write!(f, "{separator}{name} =")?;
            let mut plus = "";
            for (channel, part) in self.parts.iter().filter(|p| p.1[side] != 0.0) {
                write!(f, "{plus} {:.3} {channel}", part[side])?;
                plus = " +";
            }
            separator = ", ";
        }
        let without: Vec<_> = self
            .parts
            .iter()
            .filter(|p| p.1 == [0.0; 2])
            .map(|p| p.0)
            .collect();
        if !without.is_empty() {
            write!(f, ", without {}", without.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(bits: u32) -> Option<Mix> {
        Mix::new(Channels::from_bits(bits).unwrap())
    }

    #[test]
    fn five_one_is_as_the_head_says() {
        let mix = mix(0x3f).unwrap();
        let sum = 1.0 + 2.0 * A;
        let [left, right] = mix.frame([1.0, 0.0, 1.0, 1.0, 1.0, 0.0].into_iter());
        assert!((left - 1.0).abs() < 1e-15, "{left}");
        assert!((right - A / sum).abs() < 1e-15, "{right}");
        assert_eq!(
            mix.to_string(),
            "left = 0.414 FL + 0.293 FC + 0.293 BL, right = 0.414 FR + 0.293 FC + 0.293 BR, \
             without LFE"
        );
    }

    #[test]
    fn sides_sound_as_backs() {
        let parts = |bits| -> Vec<_> { mix(bits).unwrap().parts.iter().map(|p| p.1).collect() };
        assert_eq!(parts(0x3f), parts(0x60f));
    }

    #[test]
    fn channels_that_are_only_counted_are_in_the_usual_order() {
        // Four: no LFE among them.
        assert_eq!(mix(0xf), mix(0x33));
        assert_eq!(mix(0xff), mix(0x63f));
        assert_eq!(mix(0x1ff), None);
    }

    #[test]
    fn nothing_clips() {
        for bits in [0x7, 0x33, 0x37, 0x3f, 0x107, 0x70f, 0x63f, 0x3fff7] {
            let mix = mix(bits).unwrap();
            let loud = mix.frame(std::iter::repeat_n(1.0, mix.parts.len()));
            assert!(loud.iter().all(|s| *s <= 1.0 + 1e-12), "{bits:x}: {loud:?}");
        }
    }

    #[test]
    fn places_that_nobody_knows_are_refused() {
        // Wide fronts.
        assert_eq!(mix(0x30_0003), None);
        // Nothing but bass.
        assert_eq!(mix(0x8), None);
    }
}
