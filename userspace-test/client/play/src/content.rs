// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file is, by its first bytes. Its name is never asked.

use std::io::{self, Read, Seek, SeekFrom};

/// What can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Wav,
    Flac,
    /// Vorbis, or FLAC in the same container.
    Ogg,
    /// MPEG audio, layer II or III.
    Mpeg,
}

/// What else people have, by a mark at a place.
const OTHERS: [(usize, &[u8], &str); 8] = [
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"RF64", "an RF64 file"),
    (0, b"MThd", "a MIDI file"),
    (0, b"\x30\x26\xb2\x75", "a WMA file"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
];

/// Zeros that some writers leave between a tag and the first frame, at most.
const PADDING: u64 = 64 << 10;

/// Looks what `file` is and leaves it at its beginning. An error says what it is instead.
pub(crate) fn look<F: Read + Seek>(file: &mut F) -> io::Result<Result<Content, String>> {
    let mut head = [0; 12];
    let mut got = fill(file, &mut head)?;
    if got == 0 {
        return Ok(Err("the file is empty".into()));
    }
    let mut tagged = false;
    if head.starts_with(b"ID3") && got >= 10 {
        tagged = true;
        // Seven bits a byte, and ten bytes for a footer if there is one.
        let size = head[6..10]
            .iter()
            .fold(0, |n, &b| n << 7 | u64::from(b & 0x7f));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        let mut at = file.seek(SeekFrom::Start(10 + size + footer))?;
        let mut zeros = [0; 512];
        let end = at + PADDING;
        while at < end {
            let some = fill(file, &mut zeros)?;
            let zero = zeros[..some].iter().take_while(|&&b| b == 0).count();
            at += zero as u64;
            if zero < some || some == 0 {
                break;
            }
        }
        file.seek(SeekFrom::Start(at))?;
        head = [0; 12];
        got = fill(file, &mut head)?;
    }
    file.rewind()?;
    let head = &head[..got];
    let content = match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => Content::Wav,
        [b'f', b'L', b'a', b'C', ..] => Content::Flac,
        [b'O', b'g', b'g', b'S', ..] => Content::Ogg,
        &[0xff, b1, b2, ..] if is_mpeg(b1, b2) => Content::Mpeg,
        _ if tagged => return Ok(Err("a tag, but no audio after it".into())),
        _ => {
            let other = OTHERS
                .iter()
                .find(|(at, mark, _)| head.get(*at..).is_some_and(|h| h.starts_with(mark)));
            return Ok(Err(match other {
                Some((_, _, what)) => {
                    format!("{what}; WAV, FLAC, Ogg Vorbis and MP3 can be played")
                }
                None => "neither a WAV, a FLAC, an Ogg nor an MP3 file".into(),
            }));
        }
    };
    Ok(Ok(content))
}

/// Whether these are the second and third byte of a frame's header: no reserved version, bitrate
/// or rate. Layer I would look like the mark of a text in UTF-16, and nobody has it.
fn is_mpeg(b1: u8, b2: u8) -> bool {
    let version = b1 & 0xe0 == 0xe0 && b1 & 0x18 != 0x08;
    version && matches!(b1 & 0x06, 0x02 | 0x04) && b2 & 0xf0 != 0xf0 && b2 & 0x0c != 0x0c
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn look_at(bytes: &[u8]) -> Result<Content, String> {
        let mut file = Cursor::new(bytes);
        let found = look(&mut file).unwrap();
        assert_eq!(file.position(), 0);
        found
    }

    #[test]
    fn each_kind_is_known_by_its_first_bytes() {
        assert_eq!(look_at(b"RIFF....WAVEfmt "), Ok(Content::Wav));
        assert_eq!(look_at(b"fLaC\0\0\0\x22...."), Ok(Content::Flac));
        assert_eq!(look_at(b"OggS\0\x02......"), Ok(Content::Ogg));
        assert_eq!(look_at(b"\xff\xfb\x90\x64........"), Ok(Content::Mpeg));
        assert_eq!(look_at(b"\xff\xe3\x18\xc4........"), Ok(Content::Mpeg));
    }

    #[test]
    fn a_tag_is_passed_over() {
        let mut file = b"ID3\x04\0\0\0\0\x02\x01".to_vec();
        file.resize(10 + 257, b'x');
        let tag = file.len();
        file.extend(b"fLaC\0\0\0\x22....");
        assert_eq!(look_at(&file), Ok(Content::Flac));
        file.truncate(tag);
        assert_eq!(
            look_at(&file),
            Err("a tag, but no audio after it".to_owned())
        );
        file.resize(tag + 1000, 0);
        file.extend(b"\xff\xfb\x90\x64........");
        assert_eq!(look_at(&file), Ok(Content::Mpeg));
    }

    #[test]
    fn what_is_none_of_them_is_named() {
        assert!(look_at(b"").is_err_and(|e| e.contains("empty")));
        assert!(look_at(b"\x7fELF").is_err_and(|e| e.contains("neither a WAV")));
        assert!(look_at(b"\0\0\0\x20ftypM4A ").is_err_and(|e| e.contains("M4A")));
        // A byte order mark and text: no frame's header.
        assert!(look_at(b"\xff\xfea\0b\0c\0d\0e\0").is_err());
        assert!(look_at(b"\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
