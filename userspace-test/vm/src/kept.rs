// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that are up already: booted once, without a job, and left to be gone on with by many runs.
//!
//! Under TCG the boot takes several times as long as most jobs. Under icount it is the same each time, to the
//! instruction, for guests of one *shape*: of the same QEMU, kernel, files and command line, but for what the host
//! alone sees of the latter. So the second run of a shape boots a guest up to where it would take its job, and
//! leaves its state; that run and all later ones begin there. The driver is loaded by the job: no guest that is
//! kept has met the card.
//!
//! A shape has a folder in `build/vm/kept`:
//!
//! | file | what |
//! |---|---|
//! | `lock` | held alone by who makes or removes the rest, shared by who begins with it |
//! | `state` | the guest; made aside and renamed, so it is whole |
//! | `serial.log` | what its kernel had said until then |

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use crate::accel::Accel;
use crate::argv::{self, Fds, Files};
use crate::boot::{Beginning, Parts};
use crate::error::{Error, Kind};
use crate::initrd;
use crate::rundir::RunDir;
use crate::stopper::Stopper;

/// Shapes kept: some 250 MB each, three times that on a debug kernel.
const KEPT: usize = 6;

/// Options of QEMU whose values the guest cannot tell, not before it has met the card.
const OF_THE_HOST: [&str; 3] = ["-audiodev", "-fsdev", "-trace"];

/// A guest to begin with; it is not removed as long as this lives.
#[derive(Debug)]
pub(crate) struct Kept {
    dir: PathBuf,
    lock: File,
}

impl Kept {
    /// The guest that a run may begin with: none where guests are not kept, where this one cannot be, and for
    /// the first run of its shape.
    ///
    /// # Errors
    /// A pressed [`Stopper`]; whatever else goes wrong is no reason not to boot.
    pub(crate) fn of(parts: &Parts<'_>, stopper: &Stopper) -> Result<Option<Self>, Error> {
        let config = parts.config;
        let Some(all) = parts.layout.kept() else {
            return Ok(None);
        };
        if !config.icount || config.tty || parts.accel != Accel::Tcg {
            return Ok(None);
        }
        let Ok(shape) = shape(parts) else {
            return Ok(None);
        };
        let dir = all.join(format!("{shape:016x}"));
        let Ok(new) = open(&dir) else {
            return Ok(None);
        };
        let (lock, first) = new;
        let kept = Self { dir, lock };
        if first {
            return Ok(None);
        }
        if !kept.state().exists() {
            match kept.make(parts, stopper) {
                Err(e) if e.kind == Kind::Interrupted => return Err(e),
                Err(e) => {
                    let line = e.message.lines().next().unwrap_or_default();
                    (config.notice)(&format!("this guest cannot be kept: {line}"));
                    return Ok(None);
                }
                Ok(()) => prune(&all, &kept.dir),
            }
        }
        // The youngest stay.
        let used = File::open(kept.state()).and_then(|f| f.set_modified(SystemTime::now()));
        let shared = flock(&kept.lock, FlockOperation::LockShared);
        Ok((used.is_ok() && shared.is_ok()).then_some(kept))
    }

    /// Its state, for QEMU.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What its kernel has said goes before what it will say in a run's log.
    pub(crate) fn copy_log(&self, run: &RunDir) -> Result<(), Error> {
        let log = run.join("serial.log");
        std::fs::copy(self.dir.join("serial.log"), &log)
            .map(drop)
            .map_err(|e| Error::file(&log, &e))
    }

    /// It is of no use.
    pub(crate) fn discard(&self) {
        let _ = std::fs::remove_file(self.state());
    }

    /// Boots a guest without a job, and leaves it. The lock is ours alone.
    fn make(&self, parts: &Parts<'_>, stopper: &Stopper) -> Result<(), Error> {
        let name = format!("{}-kept", parts.config.name.as_deref().unwrap_or("guest"));
        let run = RunDir::create(&parts.layout.runs(), Some(&name))?;
        let aside = run.join("state");
        let mut vm = parts.spawn(stopper, &run, Beginning::Jobless)?;
        let left = vm.until("waiting").and_then(|()| vm.leave(&aside));
        left.map_err(|e| vm.fail(e))?;
        std::fs::copy(run.join("serial.log"), self.dir.join("serial.log"))
            .and_then(|_| std::fs::rename(&aside, self.state()))
            .map_err(|e| Error::file(&self.dir, &e))?;
        let _ = run.note("kept");
        Ok(())
    }
}

/// The folder of a shape, with its lock held alone; whether it is new.
fn open(dir: &Path) -> io::Result<(File, bool)> {
    if let Some(all) = dir.parent() {
        std::fs::create_dir_all(all)?;
    }
    let first = match std::fs::create_dir(dir) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) => return Err(e),
    };
    let lock = File::create(dir.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok((lock, first))
}

/// Removes the states that were not used for longest, but none that is in use.
fn prune(all: &Path, ours: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else {
        return;
    };
    let mut states: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|e| e.path() != ours)
        .filter_map(|e| {
            let state = e.path().join("state");
            Some((state.metadata().ok()?.modified().ok()?, state))
        })
        .collect();
    states.sort();
    let excess = (states.len() + 1).saturating_sub(KEPT);
    for (_, state) in states.into_iter().take(excess) {
        let lock = state.with_file_name("lock");
        if File::open(lock)
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
        {
            let _ = std::fs::remove_file(state);
        }
    }
}

/// A number for all that the guest can tell: the command line without what the host alone sees, and the files
/// that it is made of, by size and time.
fn shape(parts: &Parts<'_>) -> Result<u64, Error> {
    let (layout, release) = (parts.layout, parts.release.as_str());
    let kernel = layout.kernel(release).join("vmlinuz");
    let files = Files {
        kernel: &kernel,
        release,
        dir: Path::new("/"),
        hops: 0,
        state: None,
    };
    let fds = Fds {
        initrd: 0,
        qmp: 0,
        control: 0,
        stdin: 0,
        stdout: 0,
        stderr: 0,
        job: 0,
        tty: 0,
    };
    let args = argv::build(parts.config, parts.accel, files, fds)?;
    let mut made_of = initrd::made_of(layout, release, parts.config);
    made_of.extend([kernel.clone(), layout.qemu()]);
    Ok(number(args, &made_of))
}

/// Of a command line and files, and of the guest's first process.
fn number(args: Vec<OsString>, made_of: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    initrd::init().hash(&mut hasher);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if OF_THE_HOST.iter().any(|option| arg == *option) {
            args.next();
        }
        arg.hash(&mut hasher);
    }
    for path in made_of {
        path.hash(&mut hasher);
        if let Ok(meta) = path.metadata() {
            (meta.len(), meta.mtime(), meta.mtime_nsec()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder, removed with what is in it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("sgring-kept-{name}-{}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn of(line: &str, made_of: &[PathBuf]) -> u64 {
        number(line.split(' ').map(Into::into).collect(), made_of)
    }

    #[test]
    fn a_shape_is_what_the_guest_can_tell() {
        let one = of("-m 768 -audiodev wav,id=snd -fsdev local,path=/a", &[]);
        let same = of("-m 768 -audiodev none,id=snd -fsdev local,path=/b", &[]);
        assert_eq!(one, same);
        assert_ne!(one, of("-m 768 -audiodev wav,id=snd", &[]), "no share");
        let more = of("-m 769 -audiodev wav,id=snd -fsdev local,path=/a", &[]);
        assert_ne!(one, more, "more memory");
    }

    #[test]
    fn a_file_that_was_made_anew_is_another_shape() {
        let scratch = Scratch::new("made");
        let file = scratch.0.join("driver.ko");
        let shape = || of("-m 768", std::slice::from_ref(&file));
        let none = shape();
        std::fs::write(&file, "one").unwrap();
        let one = shape();
        assert_ne!(none, one);
        assert_eq!(one, shape());
        let later = SystemTime::now() + std::time::Duration::from_secs(1);
        File::open(&file).unwrap().set_modified(later).unwrap();
        assert_ne!(one, shape());
    }

    #[test]
    fn the_first_run_of_a_shape_is_told_from_the_next() {
        let scratch = Scratch::new("first");
        let dir = scratch.0.join("kept/0000000000000001");
        assert!(open(&dir).unwrap().1);
        assert!(!open(&dir).unwrap().1);
    }

    #[test]
    fn the_youngest_stay_and_those_in_use() {
        let scratch = Scratch::new("prune");
        let state = |n: u64| {
            let dir = scratch.0.join(format!("{n:016x}"));
            let (lock, _) = open(&dir).unwrap();
            let state = dir.join("state");
            let file = File::create(&state).unwrap();
            let used = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n);
            file.set_modified(used).unwrap();
            (state, lock)
        };
        let mut states: Vec<_> = (0..KEPT as u64 + 2).map(state).collect();
        // The oldest is in use, all others are not.
        let used = states.remove(0);
        let states: Vec<_> = states.into_iter().map(|(state, _)| state).collect();
        let ours = scratch.0.join("ours");
        std::fs::create_dir(&ours).unwrap();
        prune(&scratch.0, &ours);
        let left: Vec<_> = states.iter().map(|s| s.exists()).collect();
        assert!(used.0.exists());
        assert_eq!(left.iter().filter(|there| !**there).count(), 2, "{left:?}");
        assert!(!left[0] && !left[1]);
        drop(used.1);
    }
}
