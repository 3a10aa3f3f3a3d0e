// SPDX-License-Identifier: GPL-2.0-only

//! Levels: what the steps of a volume control are to the card.
//!
//! One step is a quarter of a decibel: sound servers bring what a step misses into the samples themselves, unless it
//! is little, for PipeWire and PulseAudio less than 0.26 dB. The card multiplies by a gain in Q16 (data sheet, Mixer): a step's gain is
//! `2^16 * 10^((step - UNITY) / 80)`, rounded to the nearest integer. That of [`UNITY`] is exactly 2^16, which
//! changes no bit; at the quiet end, 41 at -64 dB, rounding is worth a tenth of a decibel.

/// The step of 0 dB.
pub(crate) const UNITY: u32 = 256;
/// The loudest step of a playback volume: 0 dB.
pub(crate) const PLAYBACK_MAX: u32 = UNITY;
/// The loudest step of a capture volume: 24 dB.
pub(crate) const CAPTURE_MAX: u32 = UNITY + 96;

/// What step 0 is, in hundredths of a decibel.
pub(crate) const LOWEST: i32 = -6400;
/// How much louder the next step is, in hundredths of a decibel.
pub(crate) const STEP: u32 = 25;

/// The gain that changes nothing.
pub(crate) const UNITY_GAIN: u32 = 1 << GAIN_BITS;
/// Bits of a gain behind the point.
const GAIN_BITS: u32 = 16;

const STEPS: usize = CAPTURE_MAX as usize + 1;
static GAINS: [u32; STEPS] = gains();

/// The card's gain for `step`; `None` above [`CAPTURE_MAX`].
pub(crate) fn gain(step: u32) -> Option<u32> {
    GAINS.get(step as usize).copied()
}

/// Computed from unity outwards with 60 bits behind the point, of which the steps' own roundings eat no more
/// than the last ten.
const fn gains() -> [u32; STEPS] {
    const BITS: u32 = 60;
    /// 10^(1/80), rounded to the nearest.
    const RATIO: u128 = 1_186_587_420_355_160_254;

    const fn rounded(exact: u128) -> u32 {
        // CAST: At most 16 * 2^16.
        ((exact + (1 << (BITS - GAIN_BITS - 1))) >> (BITS - GAIN_BITS)) as u32
    }

    let mut gains = [UNITY_GAIN; STEPS];
    let mut exact = 1 << BITS;
    let mut step = UNITY as usize;
    while step > 0 {
        step -= 1;
        // No overflow: `exact` is at most 2^60.
        exact = (exact << BITS) / RATIO;
        gains[step] = rounded(exact);
    }
    exact = 1 << BITS;
    step = UNITY as usize;
    while step + 1 < STEPS {
        step += 1;
        // No overflow: `exact` is at most 2^64, RATIO less than 2^61.
        exact = (exact * RATIO) >> BITS;
        gains[step] = rounded(exact);
    }
    gains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_quarter_of_a_decibel() {
        for step in 0..=CAPTURE_MAX {
            let exact = 65536.0 * 10f64.powf((f64::from(step) - f64::from(UNITY)) / 80.0);
            assert_eq!(gain(step), Some(exact.round() as u32), "step {step}");
        }
    }

    #[test]
    fn unity_changes_nothing() {
        assert_eq!(gain(UNITY), Some(0x10000));
        assert_eq!(UNITY_GAIN, 0x10000);
    }

    #[test]
    fn each_step_is_louder_than_the_one_before() {
        for step in 0..CAPTURE_MAX {
            assert!(gain(step) < gain(step + 1), "step {step}");
        }
        assert!(gain(0) > Some(0));
    }

    #[test]
    fn the_scale_is_the_tables() {
        let decibels = |step: u32| f64::from(LOWEST + (step * STEP) as i32) / 100.0;
        assert_eq!(decibels(0), -64.0);
        assert_eq!(decibels(UNITY), 0.0);
        assert_eq!(decibels(PLAYBACK_MAX), 0.0);
        assert_eq!(decibels(CAPTURE_MAX), 24.0);
    }

    #[test]
    fn there_is_nothing_above() {
        assert_eq!(gain(CAPTURE_MAX + 1), None);
        assert_eq!(gain(u32::MAX), None);
    }
}
