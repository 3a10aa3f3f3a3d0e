// SPDX-License-Identifier: MIT OR Apache-2.0
//! One folder for each run, under `build/vm/`, the newest also as `last`.
//!
//! | file | what |
//! |---|---|
//! | `qemu.cmd` | QEMU's command line |
//! | `qemu.log` | what QEMU said, trace events among it |
//! | `serial.log` | the guest kernel's log, all of it |
//! | `stdout`, `stderr` | what the command wrote |
//! | `status` | `exit N`, or `error` and the reason |
//! | `capture.wav` | what the card played, as the audio backend got it |
//! | `tap.raw` | the bytes that the card fetched (sgring only) |
//! | `machine.txt` | registers and interrupt controllers of a guest that took too long |

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use crate::error::Error;

/// Runs kept besides the one that begins.
const KEPT: usize = 40;

/// The folder of one run; locked while any copy of this lives.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: Arc<File>,
}

impl RunDir {
    /// Makes a new one in `runs` and prunes the oldest.
    pub(crate) fn create(runs: &Path, name: Option<&str>) -> Result<Self, Error> {
        let fail = |what: &Path, e: io::Error| Error::file(what, &e);
        std::fs::create_dir_all(runs).map_err(|e| fail(runs, e))?;
        prune(runs);
        let mut now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (id, path) = loop {
            let mut id = format!("{}-{:06}", stamp(now.as_secs()), now.subsec_micros());
            if let Some(name) = name {
                id.push('-');
                id.push_str(name);
            }
            let path = runs.join(&id);
            match std::fs::create_dir(&path) {
                Ok(()) => break (id, path),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    now += Duration::from_micros(1);
                }
                Err(e) => return Err(fail(&path, e)),
            }
        };
        let lock = File::open(&path).map_err(|e| fail(&path, e))?;
        flock(&lock, FlockOperation::NonBlockingLockShared).map_err(|e| fail(&path, e.into()))?;
        // A link made aside and renamed is never missing to a reader. Made in
        // the run's own folder it goes with that, when we are stopped just then.
        let aside = path.join("last");
        let linked = std::os::unix::fs::symlink(&id, &aside)
            .and_then(|()| std::fs::rename(&aside, runs.join("last")));
        linked.map_err(|e| fail(&runs.join("last"), e))?;
        Ok(Self {
            path,
            _lock: Arc::new(lock),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file in it; nothing where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.join(name)).unwrap_or_default()).into_owned()
    }

    /// Leaves the last word on the run.
    pub(crate) fn note(&self, status: &str) -> io::Result<()> {
        std::fs::write(self.join("status"), format!("{status}\n"))
    }

    /// A file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// `YYYYMMDD-hhmmss` of a Unix time, in UTC.
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that the leap day ends the year.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}-{:02}{:02}{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Removes the oldest runs, but none that is still going on.
fn prune(runs: &Path) {
    let Ok(entries) = std::fs::read_dir(runs) else {
        return;
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| is_run(n))
        .collect();
    names.sort();
    let excess = names.len().saturating_sub(KEPT);
    for name in names.into_iter().take(excess) {
        let path = runs.join(name);
        let free = File::open(&path)
            .is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Whether a name is one that we gave.
fn is_run(name: &str) -> bool {
    let digits = |field: Option<&str>, n: usize| {
        field.is_some_and(|f| f.len() == n && f.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut fields = name.split('-');
    digits(fields.next(), 8) && digits(fields.next(), 6) && digits(fields.next(), 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_time() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(951_826_154), "20000229-120914");
        assert_eq!(stamp(1_795_171_200), "20261120-104000");
    }

    #[test]
    fn only_runs_are_pruned() {
        assert!(is_run("20261120-104000-000077-name"));
        assert!(is_run("20261120-104000-000077"));
        assert!(!is_run("last"));
        assert!(!is_run("notes-from-me"));
    }
}
