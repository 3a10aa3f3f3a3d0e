// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest program asks of the host: lines `host: WORD` on its standard output.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use sgring_vm::{Card, Config, Outcome, Sink, Vm, dmesg};

use crate::Context;
use crate::parse::Tap;
use crate::report::Recorder;

/// Passes on what is asked.
pub struct Listener {
    part: Vec<u8>,
    sender: Sender<String>,
}

/// What the guest's output goes to, and the words as they come.
pub fn listener() -> (Listener, Receiver<String>) {
    let (sender, receiver) = channel();
    let part = Vec::new();
    (Listener { part, sender }, receiver)
}

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte != b'\n' {
                self.part.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.part);
            if let Some(word) = String::from_utf8_lossy(&line).strip_prefix("host: ") {
                // Nobody listens any more: the run is over.
                let _ = self.sender.send(word.to_owned());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The guest's command for `program`: its last word says that nothing is asked any more.
pub fn command(program: &str) -> String {
    format!("{program}; status=$?; echo 'host: done'; exit $status")
}

/// How often `serve` is asked when nothing is asked of it.
const GLANCE: Duration = Duration::from_millis(100);

/// Boots `config`, whose command is a [`command`], and records its TAP as cases of `name`. What it asks for is done
/// by `serve`, which also gets `None` now and then, to look for what the guest cannot say; all of it may take
/// `patience` of host time.
pub fn run(
    context: &Context,
    config: Config,
    name: &str,
    patience: Duration,
    rec: &mut Recorder<'_>,
    mut serve: impl FnMut(&mut Vm, Option<&str>) -> Result<(), String>,
) -> Result<Outcome, String> {
    let card = config.card_of();
    let (listener, asked) = listener();
    let config = config.stdout(Sink::to(listener)).timeout(patience);
    let mut vm =
        Vm::start(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let output = vm.dir().join("stdout");
    let deadline = Instant::now() + patience;
    let mut served = Ok(());
    // Nothing is asked any more: done, or a guest, QEMU or user that has had enough, of which `wait` tells.
    while Instant::now() < deadline && !vm.has_ended() && !context.stopper.stopped() {
        vm.nudge();
        let word = match asked.recv_timeout(GLANCE) {
            Ok(word) if word == "done" => break,
            Ok(word) => Some(word),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        served = serve(&mut vm, word.as_deref())
            .map_err(|e| format!("{}: {e}", word.as_deref().unwrap_or("nothing asked")));
        if served.is_err() {
            // The guest waits for what does not come.
            break;
        }
    }
    let ended = match served {
        Ok(()) => vm.wait().map_err(|e| e.to_string()),
        Err(e) => Err(e),
    };
    let said = std::fs::read(&output).unwrap_or_default();
    let mut tap = Tap::default();
    for line in String::from_utf8_lossy(&said).lines() {
        if !line.starts_with("host: ") {
            tap.line(line, name, rec);
        }
    }
    let outcome = ended?;
    tap.end(
        name,
        outcome.status == 0,
        &format!("with status {}", outcome.status),
        rec,
    );
    let our_module = card == Card::Sgring;
    rec.case(&format!("{name}-clean"), dmesg::check(&outcome, our_module));
    Ok(outcome)
}
