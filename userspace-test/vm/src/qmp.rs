// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of QEMU's machine protocol: one JSON object a line each way.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How often the patience of a caller is asked for.
const GLANCE: Duration = Duration::from_millis(50);
/// Host time between two nudges.
pub(crate) const NUDGE: Duration = Duration::from_secs(1);

/// One connection. Events are kept until somebody asks for them.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Receiver<Value>,
    events: Vec<Value>,
    next_id: u64,
}

impl Qmp {
    /// Greets QEMU at the other end and leaves its negotiation mode. `told`
    /// gets the name of each event as it comes, and nothing when QEMU hangs up.
    /// Until QEMU has greeted, `patience` is asked now and then whether to wait
    /// on.
    ///
    /// # Errors
    /// When the other end is gone or speaks another language, and `patience`'s.
    pub fn connect(
        stream: UnixStream,
        mut told: impl FnMut(Option<&str>) + Send + 'static,
        mut patience: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        let reader = BufReader::new(stream.try_clone()?);
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in reader.lines() {
                let Ok(line) = line else { break };
                let Ok(value) = serde_json::from_str::<Value>(&line) else {
                    break;
                };
                if let Some(event) = value["event"].as_str() {
                    told(Some(event));
                }
                if sender.send(value).is_err() {
                    break;
                }
            }
            told(None);
        });
        let mut qmp = Self {
            stream,
            lines,
            events: Vec::new(),
            next_id: 0,
        };
        let greeting = loop {
            match qmp.receive(Instant::now() + GLANCE) {
                Err(e) if e.kind() == io::ErrorKind::TimedOut => patience()?,
                result => break result?,
            }
        };
        if greeting.get("QMP").is_none() {
            return Err(io::Error::other(format!("no QMP greeting but {greeting}")));
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// One command and its answer.
    ///
    /// # Errors
    /// QEMU's own error, a lost connection, or no answer within 30 s.
    pub fn execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        self.next_id += 1;
        let id = self.next_id;
        let line = json!({ "execute": command, "arguments": arguments, "id": id });
        writeln!(self.stream, "{line}")?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let value = self.receive(deadline)?;
            if value.get("event").is_some() {
                self.events.push(value);
            } else if value.get("id") == Some(&json!(id)) {
                return match value.get("error") {
                    None => Ok(value["return"].clone()),
                    Some(error) => Err(io::Error::other(format!(
                        "QMP {command}: {}",
                        error["desc"]
                    ))),
                };
            }
        }
    }

    /// Gives QEMU's main loop something to do, and waits for nothing.
    ///
    /// # Errors
    /// A lost connection.
    pub(crate) fn nudge(&mut self) -> io::Result<()> {
        let line = json!({ "execute": "query-status", "id": "nudge" });
        // Nobody asks for the answer: whoever waits for another passes over it.
        writeln!(self.stream, "{line}")
    }

    /// The next event of this name, from now or from before.
    ///
    /// # Errors
    /// A lost connection, or no such event within `wait`.
    pub fn event(&mut self, name: &str, wait: Duration) -> io::Result<Value> {
        let deadline = Instant::now() + wait;
        if let Some(at) = self.events.iter().position(|e| e["event"] == name) {
            return Ok(self.events.remove(at));
        }
        loop {
            let value = match self.receive(deadline.min(Instant::now() + NUDGE)) {
                // What the event waits for may wait for that.
                Err(e) if e.kind() == io::ErrorKind::TimedOut && Instant::now() < deadline => {
                    self.nudge()?;
                    continue;
                }
                value => value?,
            };
            if value["event"] == name {
                return Ok(value);
            }
            if value.get("event").is_some() {
                self.events.push(value);
            }
        }
    }

    fn receive(&self, deadline: Instant) -> io::Result<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|e| match e {
            RecvTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "QMP: no answer"),
            RecvTimeoutError::Disconnected => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "QMP: QEMU hung up")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that says these lines, whatever it is asked.
    fn qemu(lines: &'static str) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let _ = theirs.write_all(lines.as_bytes());
            let mut sink = Vec::new();
            let _ = io::Read::read_to_end(&mut theirs, &mut sink);
        });
        ours
    }

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn answers_are_told_from_events() {
        let stream = qemu(concat!(
            "{\"QMP\":{}}\n{\"return\":{},\"id\":1}\n",
            "{\"event\":\"RESUME\"}\n{\"return\":{\"running\":true},\"id\":2}\n",
            "{\"error\":{\"desc\":\"no such device\"},\"id\":3}\n"
        ));
        let (sender, events) = channel();
        let told = move |event: Option<&str>| sender.send(event.map(str::to_owned)).unwrap();
        let mut qmp = Qmp::connect(stream, told, || Ok(())).unwrap();
        assert_eq!(
            qmp.execute("query-status", json!({})).unwrap()["running"],
            true
        );
        let refused = qmp.execute("device_del", json!({})).unwrap_err();
        assert!(refused.to_string().contains("no such device"));
        assert_eq!(qmp.event("RESUME", WAIT).unwrap()["event"], "RESUME");
        assert_eq!(events.recv().unwrap().as_deref(), Some("RESUME"));
    }

    #[test]
    fn patience_ends_the_wait_for_a_silent_one() {
        let mut asked = 0;
        let result = Qmp::connect(
            qemu(""),
            |_| {},
            || {
                asked += 1;
                if asked < 3 {
                    Ok(())
                } else {
                    Err(io::Error::other("enough"))
                }
            },
        );
        assert_eq!(result.unwrap_err().to_string(), "enough");
        assert_eq!(asked, 3);
    }

    #[test]
    fn something_else_is_refused() {
        for words in ["{}\n", "HTTP/1.1 400\n"] {
            assert!(Qmp::connect(qemu(words), |_| {}, || Ok(())).is_err());
        }
    }
}
