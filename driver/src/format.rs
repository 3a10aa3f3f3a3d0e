// SPDX-License-Identifier: GPL-2.0-only

//! Sample formats: the sound core's numbers, the card's numbers.
//!
//! The card's are `SGRING_FMT_*`, the sound core's `SNDRV_PCM_FORMAT_*` (uapi/sound/asound.h). One
//! table, looked up both ways; a format missing from it is offered to nobody.

/// (`SGRING_FMT_*`, `SNDRV_PCM_FORMAT_*`)
///
/// The numbers of both sides are ABI; `crate::regs` and `crate::alsa` assert that they are the
/// headers'.
pub(crate) const FORMATS: [(u32, u32); 9] = [
    (0, 1),  // U8
    (1, 0),  // S8
    (2, 2),  // S16_LE
    (3, 4),  // U16_LE
    (4, 6),  // S24_LE
    (5, 32), // S24_3LE
    (6, 10), // S32_LE
    (7, 12), // U32_LE
    (8, 14), // FLOAT_LE
];

/// The card's number for the sound core's `format`.
pub(crate) fn to_card(format: u32) -> Option<u32> {
    FORMATS.iter().find(|f| f.1 == format).map(|f| f.0)
}

/// The sound core's format bits (`SNDRV_PCM_FMTBIT_*`) for the card's (`SGRING_CAP_FORMATS`).
///
/// Bits that this driver does not know are dropped.
pub(crate) fn mask_from_card(card: u32) -> u64 {
    FORMATS
        .iter()
        .filter(|f| (card >> f.0) & 1 != 0)
        .fold(0, |mask, f| mask | (1 << f.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_once() {
        for (i, a) in FORMATS.iter().enumerate() {
            for b in &FORMATS[i + 1..] {
                assert_ne!(a.0, b.0);
                assert_ne!(a.1, b.1);
            }
        }
    }

    #[test]
    fn the_way_there_is_the_way_back() {
        for (card, format) in FORMATS {
            assert_eq!(to_card(format), Some(card));
            assert_eq!(mask_from_card(1 << card), 1 << format);
        }
        assert_eq!(to_card(3), None, "big endian is not offered");
        assert_eq!(mask_from_card(0xffff_fe00), 0, "unknown bits are dropped");
    }
}
