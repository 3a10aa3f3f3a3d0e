// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs: their exit status, and clear words for files that cannot be judged.
#![cfg(feature = "cli")]

use sgring_signal::Generator;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the generator.
    fn signal(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.0.join(name);
        let status = Command::new(env!("CARGO_BIN_EXE_sgring-signal"))
            .arg(&path)
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success());
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn judge(reference: &Path, capture: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sgring-judge"))
        .args([reference, capture])
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn expect(output: &Output, status: i32, text: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(text), "{said:?} lacks {text:?}");
}

#[test]
fn a_wav_and_its_bare_samples_are_bit_exact() {
    let folder = Folder::new("exact");
    let wav = folder.signal("s.wav", &["--seed", "5", "--frames", "3000"]);
    expect(&judge(&wav, &wav, &[]), 0, "bit-exact: 3000 frames");
    let mut raw: Vec<u8> = Generator::new(5, 2)
        .frames::<i16>(0, 3000)
        .flat_map(i16::to_le_bytes)
        .collect();
    let tap = folder.write("tap.raw", &raw);
    expect(&judge(&wav, &tap, &["--raw"]), 0, "bit-exact: 3000 frames");

    raw.splice(0..0, [0; 4 * 50]);
    let tap = folder.write("late.raw", &raw);
    expect(
        &judge(&wav, &tap, &["--raw", "--max-lead", "50"]),
        0,
        "50 silent before",
    );
    expect(
        &judge(&wav, &tap, &["--raw", "--max-lead", "49"]),
        1,
        "too much silence before",
    );
    raw.pop();
    let tap = folder.write("torn.raw", &raw);
    expect(&judge(&wav, &tap, &["--raw"]), 2, "not a whole number");
}

#[test]
fn samples_of_32_bits_are_compared_whole() {
    let folder = Folder::new("wide");
    let a = folder.signal("a.wav", &["--bits", "32", "--frames", "500"]);
    expect(&judge(&a, &a, &[]), 0, "bit-exact: 500 frames");
    let mut bytes = std::fs::read(&a).unwrap();
    let last_frame = bytes.len() - 8;
    bytes[last_frame] ^= 1;
    let b = folder.write("b.wav", &bytes);
    expect(&judge(&a, &b, &[]), 1, "frame 499: bit 0 of channel 0");
    let c = folder.signal("c.wav", &["--frames", "500"]);
    expect(&judge(&a, &c, &[]), 2, "32 bit and the capture's 16 bit");
}

#[test]
fn mono_is_judged_against_stereo() {
    let folder = Folder::new("mono");
    let mono = folder.signal("m.wav", &["--channels", "1", "--frames", "700"]);
    let both: Vec<u8> = Generator::new(1, 1)
        .frames::<i16>(0, 700)
        .flat_map(|s| [s.to_le_bytes(), s.to_le_bytes()].concat())
        .collect();
    let tap = folder.write("tap.raw", &both);
    expect(
        &judge(&mono, &tap, &["--raw", "--channels", "2"]),
        0,
        "bit-exact: 700 frames",
    );
}

#[test]
fn files_that_cannot_be_judged_say_why() {
    let folder = Folder::new("broken");
    let wav = folder.signal("s.wav", &["--frames", "3000"]);
    let good = std::fs::read(&wav).unwrap();

    let missing = folder.0.join("missing.wav");
    expect(&judge(&wav, &missing, &[]), 2, "No such file");
    let text = folder.write("text.wav", b"this is no sound, whatever its name says");
    expect(&judge(&wav, &text, &[]), 2, "not a WAV file");
    let empty = folder.write("empty.wav", b"");
    expect(&judge(&wav, &empty, &[]), 2, "not a WAV file");

    // A writer that died leaves the header as it began: without lengths.
    let data = good.windows(4).position(|w| w == b"data").unwrap();
    let mut unpatched = good.clone();
    unpatched[4..8].fill(0);
    unpatched[data + 4..data + 8].fill(0);
    let unpatched = folder.write("unpatched.wav", &unpatched);
    expect(&judge(&wav, &unpatched, &[]), 2, "did not finish");
    let cut = folder.write("cut.wav", &good[..good.len() / 2]);
    expect(&judge(&wav, &cut, &[]), 2, "cut off");

    let slow = folder.signal("slow.wav", &["--frames", "3000", "--rate", "44100"]);
    expect(&judge(&wav, &slow, &[]), 2, "frames per second");
    let none = folder.signal("none.wav", &["--frames", "0"]);
    expect(&judge(&wav, &none, &[]), 1, "tail lost, 3000 frames");
    expect(&judge(&none, &wav, &[]), 2, "the reference has no frames");
}
