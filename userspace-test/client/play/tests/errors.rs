// SPDX-License-Identifier: MIT OR Apache-2.0
//! The player's words and status where nothing can be played. None of this needs a card.

use std::process::{Command, Output};

fn play(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sgring-play"))
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn expect(arguments: &[&str], status: i32, text: &str) {
    let output = play(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(text), "{said:?} lacks {text:?}");
}

/// A WAV file of one second of silence.
fn wav(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for _ in 0..96_000 {
        writer.write_sample(0i16).unwrap();
    }
    writer.finalize().unwrap();
    path
}

#[test]
fn a_file_that_is_none_or_no_audio() {
    expect(
        &["/no/such/file.flac"],
        1,
        "/no/such/file.flac: No such file",
    );
    expect(&["/dev/null"], 1, "the file is empty");
    expect(
        &["/proc/self/exe"],
        1,
        "neither a WAV, a FLAC, an Ogg nor an MP3 file",
    );
    expect(&["/"], 1, "is a directory");
}

#[test]
fn a_card_that_is_none() {
    let file = wav("card.wav");
    expect(&["--device", "hw:31,7", &file], 1, "hw:31,7 is not there");
    expect(&["--device", "hw:NoSuch", &file], 1, "no card \"NoSuch\"");
    expect(
        &["--device", "plughw:0", &file],
        1,
        "not of the form hw:CARD",
    );
}

#[test]
fn a_command_line_that_is_none() {
    expect(&[], 2, "Usage");
    expect(&["--periods", "1", "x.wav"], 2, "--periods");
    expect(&["--period", "0", "x.wav"], 2, "--period");
    expect(&["--progress", "loud", "x.wav"], 2, "--progress");
}
