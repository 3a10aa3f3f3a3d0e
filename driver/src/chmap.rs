// SPDX-License-Identifier: GPL-2.0-only

//! Channel maps: which speaker each channel of a frame is for.
//!
//! The order of an even number of channels is the sound core's own. The card's two-channel backend puts the
//! last one of an odd number on both sides (data sheet, Channels), so that is the front centre. What more
//! than eight channels are for is not known.

/// `SNDRV_CHMAP_*`: ABI; `crate::alsa` asserts that they are the header's.
pub(crate) mod at {
    pub(crate) const MONO: u8 = 2;
    pub(crate) const FL: u8 = 3;
    pub(crate) const FR: u8 = 4;
    pub(crate) const RL: u8 = 5;
    pub(crate) const RR: u8 = 6;
    pub(crate) const FC: u8 = 7;
    pub(crate) const LFE: u8 = 8;
    pub(crate) const SL: u8 = 9;
    pub(crate) const SR: u8 = 10;
}
use at::*;

/// The maps of one channel, of two channels, and so on.
pub(crate) const MAPS: [&[u8]; 8] = [
    &[MONO],
    &[FL, FR],
    &[FL, FR, FC],
    &[FL, FR, RL, RR],
    &[FL, FR, RL, RR, FC],
    &[FL, FR, RL, RR, FC, LFE],
    &[FL, FR, RL, RR, SL, SR, FC],
    &[FL, FR, RL, RR, FC, LFE, SL, SR],
];

/// The map of `channels` channels; empty where it is not known.
pub(crate) fn map(channels: u32) -> &'static [u8] {
    let index = (channels as usize).checked_sub(1);
    index
        .and_then(|index| MAPS.get(index))
        .copied()
        .unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_each_channel_once() {
        for channels in 1..=8 {
            let map = map(channels);
            assert_eq!(map.len(), channels as usize);
            for (i, a) in map.iter().enumerate() {
                assert!(!map[i + 1..].contains(a), "{channels}");
            }
        }
    }

    /// The backend hears channels of even numbers on the left, of odd numbers on the right, and on both sides
    /// the last one of an odd number and numbers 4 and 5 of 6 or 8 [D-100].
    #[test]
    fn each_speaker_is_heard_on_its_side() {
        for channels in 1..=8usize {
            for (channel, at) in map(channels as u32).iter().enumerate() {
                let both = channels % 2 == 1 && channel == channels - 1
                    || [6, 8].contains(&channels) && [4, 5].contains(&channel);
                let sides = (channel % 2 == 0 || both, channel % 2 == 1 || both);
                let expected = match *at {
                    FL | RL | SL => (true, false),
                    FR | RR | SR => (false, true),
                    _ => (true, true),
                };
                assert_eq!(sides, expected, "channel {channel} of {channels}");
            }
        }
    }

    #[test]
    fn others_are_not_known() {
        for channels in [0, 9, 32, u32::MAX] {
            assert!(map(channels).is_empty());
        }
    }
}
