// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each kind of damage is reported as what it is, at the right frame.
//!
//! Positions come from a seed that each test prints; `SGRING_SEED=n` repeats a run.

use proptest::prelude::*;
use sgring_signal::{Audio, Finding, Generator, MAX_FINDINGS, Mismatch, Verdict, judge};

/// Positions for one test.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = match std::env::var("SGRING_SEED") {
            Ok(text) => text.parse().expect("SGRING_SEED is a number"),
            Err(_) => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_nanos() as u64,
        };
        println!("SGRING_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn stereo(seed: u64, frames: u64) -> Vec<i16> {
    Generator::new(seed, 2).samples(frames)
}

fn verdict(reference: &[i16], capture: &[i16]) -> Verdict {
    judge(Audio::new(reference, 2), Audio::new(capture, 2)).unwrap()
}

const FRAMES: usize = 20_000;

#[test]
fn an_exact_copy_is_bit_exact_with_any_silence_around() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    let (lead, tail) = (dice.below(5000), dice.below(5000));
    let mut got = vec![0; 2 * lead];
    got.extend(&sent);
    got.resize(got.len() + 2 * tail, 0);
    let verdict = verdict(&sent, &got);
    assert!(verdict.is_bit_exact());
    assert_eq!(verdict.leading_silence, lead);
    assert_eq!(verdict.trailing_silence, tail);
    assert_eq!(
        verdict.to_string(),
        format!("bit-exact: {FRAMES} frames ({lead} silent before, {tail} after)")
    );
}

#[test]
fn one_bit_flipped() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let (at, channel, bit) = (dice.below(FRAMES), dice.below(2), dice.below(16));
        let mut got = sent.clone();
        got[2 * at + channel] ^= 1 << bit;
        let expected = Finding::BitFlip {
            at,
            channel,
            bit: bit as u32,
        };
        assert_eq!(verdict(&sent, &got).findings, [expected]);
    }
}

#[test]
fn one_frame_dropped() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let at = 1 + dice.below(FRAMES - 2);
        let mut got = sent.clone();
        got.drain(2 * at..2 * at + 2);
        assert_eq!(
            verdict(&sent, &got).findings,
            [Finding::Dropped { at, frames: 1 }]
        );
    }
}

#[test]
fn one_frame_repeated() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let at = dice.below(FRAMES);
        let mut got = sent[..2 * at + 2].to_vec();
        got.extend(&sent[2 * at..]);
        assert_eq!(
            verdict(&sent, &got).findings,
            [Finding::Repeated {
                at: at + 1,
                frames: 1,
                from: at
            }]
        );
    }
}

#[test]
fn a_ring_that_plays_on_after_the_end() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    let frames = 100 + dice.below(1000);
    let mut again = sent.clone();
    again.extend(&sent[2 * (FRAMES - frames)..]);
    assert_eq!(
        verdict(&sent, &again).findings,
        [Finding::Repeated {
            at: FRAMES,
            frames,
            from: FRAMES - frames
        }]
    );
    let mut more = sent.clone();
    more.extend(stereo(!dice.0, frames as u64));
    let capture = FRAMES;
    assert_eq!(
        verdict(&sent, &more).findings,
        [Finding::Extra { capture, frames }]
    );
}

#[test]
fn a_lost_tail() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for silence in [0, 1000] {
        for _ in 0..50 {
            let frames = 1 + dice.below(FRAMES - 1);
            let at = FRAMES - frames;
            let mut got = sent[..2 * at].to_vec();
            got.resize(got.len() + 2 * silence, 0);
            let verdict = verdict(&sent, &got);
            assert_eq!(verdict.findings, [Finding::LostTail { at, frames }]);
            assert_eq!(verdict.trailing_silence, silence);
        }
    }
}

#[test]
fn a_shifted_start() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let (frames, lead) = (1 + dice.below(FRAMES - 100), dice.below(1000));
        let mut got = vec![0; 2 * lead];
        got.extend(&sent[2 * frames..]);
        let verdict = verdict(&sent, &got);
        assert_eq!(verdict.findings, [Finding::LostStart { frames }]);
        assert_eq!(verdict.leading_silence, lead);
    }
}

#[test]
fn a_gap_of_any_size() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let frames = 1 + dice.below(FRAMES / 2);
        let at = 1 + dice.below(FRAMES - frames - 200);
        let mut got = sent[..2 * at].to_vec();
        got.extend(&sent[2 * (at + frames)..]);
        assert_eq!(
            verdict(&sent, &got).findings,
            [Finding::Dropped { at, frames }]
        );
    }
}

#[test]
fn a_repetition_of_any_size() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..100 {
        let frames = 1 + dice.below(FRAMES / 2);
        let from = dice.below(FRAMES - frames - 200);
        let at = from + frames;
        let mut got = sent[..2 * at].to_vec();
        got.extend(&sent[2 * from..]);
        assert_eq!(
            verdict(&sent, &got).findings,
            [Finding::Repeated { at, frames, from }]
        );
    }
}

#[test]
fn a_page_in_the_place_of_another() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..20 {
        // Never the page just behind: that one explains as well as frames dropped.
        let (at, from) = (1024 * (8 + dice.below(8)), 1024 * dice.below(6));
        let mut got = sent.clone();
        got.copy_within(2 * from..2 * (from + 1024), 2 * at);
        let frames = 1024;
        assert_eq!(
            verdict(&sent, &got).findings,
            [Finding::Misplaced { at, frames, from }]
        );
    }
}

#[test]
fn an_underrun_is_inserted_silence_and_a_dropout_is_not() {
    let mut dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    for _ in 0..50 {
        let frames = 1 + dice.below(3000);
        let at = 1 + dice.below(FRAMES - frames - 200);
        let mut late = sent[..2 * at].to_vec();
        late.resize(2 * (at + frames), 0);
        late.extend(&sent[2 * at..]);
        let silent = true;
        assert_eq!(
            verdict(&sent, &late).findings,
            [Finding::Inserted { at, frames, silent }]
        );
        let mut holed = sent.clone();
        holed[2 * at..2 * (at + frames)].fill(0);
        assert_eq!(
            verdict(&sent, &holed).findings,
            [Finding::Silenced { at, frames }]
        );
    }
}

#[test]
fn swapped_channels_and_another_gain() {
    let dice = Dice::new();
    let sent = stereo(dice.0, FRAMES as u64);
    let swapped: Vec<i16> = sent.chunks(2).flat_map(|f| [f[1], f[0]]).collect();
    assert_eq!(
        verdict(&sent, &swapped).findings,
        [Finding::Swapped {
            at: 0,
            frames: FRAMES
        }]
    );
    let quieter: Vec<i16> = sent.iter().map(|&s| (f64::from(s) * 0.5) as i16).collect();
    match verdict(&sent, &quieter).findings[..] {
        [
            Finding::Gain {
                at: 0,
                frames: FRAMES,
                gain,
            },
        ] => assert!((gain - 0.5).abs() < 1e-3),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn several_damages_are_told_apart() {
    let sent = stereo(3, FRAMES as u64);
    let mut got = vec![0; 2 * 77];
    got.extend(&sent[..2 * 1000]);
    got.extend(&sent[2 * 1001..2 * 5000]);
    got.extend(&sent[2 * 4900..2 * 19_000]);
    got[2 * (77 + 499)] ^= 1;
    let verdict = verdict(&sent, &got);
    assert_eq!(
        verdict.findings,
        [
            Finding::BitFlip {
                at: 499,
                channel: 0,
                bit: 0
            },
            Finding::Dropped {
                at: 1000,
                frames: 1
            },
            Finding::Repeated {
                at: 5000,
                frames: 100,
                from: 4900
            },
            Finding::LostTail {
                at: 19_000,
                frames: 1000
            },
        ]
    );
    assert_eq!(verdict.first_wrong(), Some(499));
}

#[test]
fn silence_of_the_recording_itself_counts() {
    let mut sent = vec![0; 2 * 300];
    sent.extend(stereo(4, 1000));
    sent.resize(2 * 1500, 0);
    assert!(verdict(&sent, &sent).is_bit_exact());
    assert_eq!(
        verdict(&sent, &sent[2 * 10..]).findings,
        [Finding::LostStart { frames: 10 }]
    );
    assert_eq!(
        verdict(&sent, &sent[..2 * 1490]).findings,
        [Finding::LostTail {
            at: 1490,
            frames: 10
        }]
    );
}

#[test]
fn nothing_and_silence_are_not_the_signal() {
    let sent = stereo(5, 1000);
    let at = 0;
    let frames = 1000;
    assert_eq!(
        verdict(&sent, &[]).findings,
        [Finding::LostTail { at, frames }]
    );
    assert_eq!(
        verdict(&sent, &[0; 4000]).findings,
        [Finding::LostTail { at, frames }]
    );
    let foreign = stereo(6, 1000);
    assert_eq!(
        verdict(&sent, &foreign).findings,
        [Finding::Wrong { at, frames }]
    );
}

#[test]
fn mono_stands_for_equal_channels() {
    let sent: Vec<i16> = Generator::new(7, 1).samples(5000);
    let mut got: Vec<i16> = sent.iter().flat_map(|&s| [s, s]).collect();
    let compare = |got: &[i16]| judge(Audio::new(&sent, 1), Audio::new(got, 2)).unwrap();
    assert!(compare(&got).is_bit_exact());
    got[2 * 1234 + 1] ^= 0x40;
    assert_eq!(
        compare(&got).findings,
        [Finding::BitFlip {
            at: 1234,
            channel: 1,
            bit: 6
        }]
    );
    assert_eq!(
        judge(Audio::new(&got, 2), Audio::new(&sent, 1)),
        Err(Mismatch::Channels {
            reference: 2,
            capture: 1
        })
    );
    assert_eq!(
        judge(Audio::new(&got[..0], 2), Audio::new(&got, 2)),
        Err(Mismatch::EmptyReference)
    );
}

/// A recording of exact loops must not send the judge to another round of the loop.
#[test]
fn a_loop_is_judged_at_its_own_round() {
    let round = stereo(8, 4800);
    let sent: Vec<i16> = round.iter().copied().cycle().take(2 * 48_000).collect();
    let mut got = sent.clone();
    got[2 * 30_000] ^= 2;
    got.drain(2 * 20_000..2 * 20_700);
    assert_eq!(
        verdict(&sent, &got).findings,
        [
            Finding::Dropped {
                at: 20_000,
                frames: 700
            },
            Finding::BitFlip {
                at: 30_000,
                channel: 0,
                bit: 1
            },
        ]
    );
}

/// Minutes of audio, damaged all over, are judged in a time that is linear in their length.
#[test]
fn damage_all_over_ends_at_the_limit() {
    let sent = stereo(9, 1_000_000);
    let mut got = sent.clone();
    for at in (100..1_000_000).step_by(1000) {
        got[2 * at] ^= 1;
    }
    assert_eq!(verdict(&sent, &got).findings.len(), MAX_FINDINGS);
}

/// A long way to the next agreement costs no more than its length.
#[test]
fn half_of_a_long_recording_is_judged_in_linear_time() {
    let sent = stereo(10, 1_000_000);
    assert_eq!(
        verdict(&sent, &sent[2 * 600_000..]).findings,
        [Finding::LostStart { frames: 600_000 }]
    );
    let mut late = sent[..2 * 1000].to_vec();
    late.extend(stereo(11, 500_000));
    late.extend(&sent[2 * 1000..]);
    assert_eq!(
        verdict(&sent, &late).findings,
        [Finding::Inserted {
            at: 1000,
            frames: 500_000,
            silent: false
        }]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in, the judge ends, and says bit-exact exactly when it is.
    #[test]
    fn any_capture_is_judged_rightly(
        sent in prop::collection::vec(-2i16..=2, 1..300),
        got in prop::collection::vec(-2i16..=2, 0..300),
    ) {
        let reference = Audio::new(&sent, 1);
        let verdict = judge(reference, Audio::new(&got, 1)).unwrap();
        let first = |s: &[i16]| s.iter().position(|&v| v != 0);
        let exact = match (first(&sent), first(&got)) {
            (Some(r), Some(c)) => c >= r
                && got[c - r..].starts_with(&sent)
                && got[c - r + sent.len()..].iter().all(|&v| v == 0),
            (None, None) => got.len() >= sent.len(),
            _ => false,
        };
        prop_assert_eq!(verdict.is_bit_exact(), exact);
        prop_assert!(verdict.first_wrong().is_none_or(|at| at <= sent.len()));
    }

    /// Up to the first wrong frame, the capture is the reference.
    #[test]
    fn the_first_wrong_frame_is_the_first(
        seed: u64,
        frames in 100usize..3000,
        place in 0.0f64..1.0,
        cut in 0usize..200,
        put in 0usize..200,
    ) {
        let sent = stereo(seed, frames as u64);
        let at = (place * frames as f64) as usize;
        let mut got = sent[..2 * at].to_vec();
        got.extend(stereo(!seed, put as u64));
        got.extend(&sent[2 * (at + cut).min(frames)..]);
        let verdict = verdict(&sent, &got);
        if cut == 0 && put == 0 {
            prop_assert!(verdict.is_bit_exact());
        } else {
            let first = verdict.first_wrong();
            prop_assert!(first.is_some_and(|first| first >= at && first <= at + put));
            // Frames of another seed agree by accident about never.
            prop_assert!(first.is_some_and(|first| first == at), "{:?} at {}", verdict, at);
        }
    }
}
