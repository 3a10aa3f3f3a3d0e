// SPDX-License-Identifier: MIT OR Apache-2.0
//! One stream of the command's output: into a file and, live, to a [`Sink`].
//!
//! The guest ends each stream with a mark. Only the mark says that all of the
//! output has come: QEMU's end may cut it short.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use crate::config::Sink;

/// Takes a mark off the end of a stream that comes in pieces.
#[derive(Debug)]
pub(crate) struct Unmark {
    mark: Vec<u8>,
    held: Vec<u8>,
    done: bool,
}

impl Unmark {
    /// `mark` must not be empty, and its first byte not occur in it again.
    pub(crate) fn new(mark: &[u8]) -> Self {
        Self {
            mark: mark.to_vec(),
            held: Vec::new(),
            done: false,
        }
    }

    /// What of the stream is certainly not the mark, now that `piece` came.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for &byte in piece {
            if self.done {
                break;
            }
            if self.mark.get(self.held.len()) != Some(&byte) {
                out.append(&mut self.held);
            }
            if self.mark.get(self.held.len()) == Some(&byte) {
                self.held.push(byte);
                self.done = self.held == self.mark;
            } else {
                out.push(byte);
            }
        }
        out
    }

    /// Whether the mark has come.
    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// What was held back, when the stream ended without the mark.
    pub(crate) fn rest(self) -> Vec<u8> {
        if self.done { Vec::new() } else { self.held }
    }
}

/// Reads a stream to its end in a thread of its own and calls `ended` with
/// whether the mark was there. The thread's result is the file's. The sink has a second thread, so that a slow
/// reader of ours never slows the guest.
pub(crate) fn collect(
    mut from: impl Read + Send + 'static,
    file: &Path,
    mark: &[u8],
    sink: Sink,
    ended: impl FnOnce(bool) + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let mut file = File::create(file)?;
    let mut unmark = Unmark::new(mark);
    let (to_sink, copier) = copy(sink);
    Ok(thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        let mut written = Ok(());
        let mut pass = |bytes: Vec<u8>| {
            if written.is_ok() {
                written = file.write_all(&bytes);
            }
            let _ = to_sink.send(bytes);
        };
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => pass(unmark.push(&buffer[..n])),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            if unmark.done() {
                break;
            }
        }
        let done = unmark.done();
        pass(unmark.rest());
        drop(to_sink);
        ended(done);
        let _ = copier.join();
        written
    }))
}

fn copy(sink: Sink) -> (Sender<Vec<u8>>, JoinHandle<()>) {
    let (sender, receiver): (_, Receiver<Vec<u8>>) = channel();
    let thread = thread::spawn(move || {
        let Some(writer) = sink.0 else { return };
        for bytes in receiver {
            let Ok(mut writer) = writer.lock() else {
                return;
            };
            // A reader that went away does not end the run.
            if writer
                .write_all(&bytes)
                .and_then(|()| writer.flush())
                .is_err()
            {
                return;
            }
        }
    });
    (sender, thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_found_however_the_stream_is_cut() {
        let text = b"one\0two\0\0EN\0ENDignored";
        for cut in 0..text.len() {
            let mut unmark = Unmark::new(b"\0END");
            let mut out = unmark.push(&text[..cut]);
            out.extend(unmark.push(&text[cut..]));
            assert_eq!(out, b"one\0two\0\0EN", "cut at {cut}");
            assert!(unmark.done());
            assert!(unmark.rest().is_empty());
        }
    }

    #[test]
    fn a_stream_cut_short_is_noticed_and_kept_whole() {
        let mut unmark = Unmark::new(b"\0END");
        let mut out = unmark.push(b"text\0EN");
        assert!(!unmark.done());
        out.extend(unmark.rest());
        assert_eq!(out, b"text\0EN");
    }
}
