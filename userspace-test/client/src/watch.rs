// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come and go, by what happens in `/dev/snd`.

use crate::cards::{self, Address};
use crate::sys::{Direction, poll};
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A PCM is there that was not. It is told once more when its permissions change, as they do when the
    /// system's device manager comes to it: opening it may be refused before that.
    Appeared(Address, Direction),
    /// A PCM is gone. Its streams end with `DeviceNotAvailable` by themselves.
    Gone(Address, Direction),
}

/// Tells of devices that come and go. cpal 0.18 has nothing of the kind.
///
/// What happens after [`Watch::new`] is told, whether anybody waits then or not: make one, look which
/// devices there are, and wait. Who waits seldom misses what came and went meanwhile, if it was too much for the
/// kernel's queue, but nothing that is there or is gone in the end.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let mut watch = cpal_alsa_mmap::Watch::new()?;
/// while let Some(change) = watch.next(None)? {
///     println!("{change:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    /// `/dev`, in which the first card makes `snd`, and the last one may take it away.
    dev: PathBuf,
    snd: Option<WatchDescriptor>,
    /// What is there, as told.
    there: BTreeSet<(Address, Direction)>,
    told: VecDeque<Change>,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    ///
    /// As `inotify_init(2)` and `inotify_add_watch(2)`: too many of either, mostly.
    pub fn new() -> io::Result<Self> {
        Self::of(Path::new("/dev"))
    }

    fn of(dev: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CREATE | WatchMask::DELETE;
        inotify.watches().add(dev, mask)?;
        let mut watch = Self {
            inotify,
            dev: dev.to_owned(),
            snd: None,
            there: BTreeSet::new(),
            told: VecDeque::new(),
        };
        watch.look_inside()?;
        watch.told.clear();
        Ok(watch)
    }

    /// Watches `/dev/snd`, if there is one, and tells how what is there differs from what was told.
    ///
    /// It is watched before it is read: what changes in between is in the queue as well, where it says nothing
    /// new. If it is another one by then, or none, that is in the queue too.
    fn look_inside(&mut self) -> io::Result<()> {
        let path = self.dev.join("snd");
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ATTRIB;
        self.snd = unless_gone(self.inotify.watches().add(&path, mask))?;
        let mut found = BTreeSet::new();
        for entry in unless_gone(path.read_dir())?.into_iter().flatten() {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(cards::parse_node));
        }
        let gone: Vec<_> = self.there.difference(&found).copied().collect();
        let new: Vec<_> = found.difference(&self.there).copied().collect();
        for pcm in gone {
            self.gone(pcm);
        }
        for pcm in new {
            self.appeared(pcm, false);
        }
        Ok(())
    }

    /// `again`: tell it even of one that is there already.
    fn appeared(&mut self, pcm: (Address, Direction), again: bool) {
        if self.there.insert(pcm) || again {
            self.told.push_back(Change::Appeared(pcm.0, pcm.1));
        }
    }

    fn gone(&mut self, pcm: (Address, Direction)) {
        if self.there.remove(&pcm) {
            self.told.push_back(Change::Gone(pcm.0, pcm.1));
        }
    }

    /// The next change; `None` if there is none for `timeout`, which without one never happens.
    ///
    /// # Errors
    ///
    /// As `read(2)`; a signal is none.
    pub fn next(&mut self, timeout: Option<Duration>) -> io::Result<Option<Change>> {
        // A time that is too far away to be told is for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut looked = false;
        loop {
            if let Some(change) = self.told.pop_front() {
                return Ok(Some(change));
            }
            let left = deadline.map(|time| time.saturating_duration_since(Instant::now()));
            if looked && left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let mut fds = [libc::pollfd {
                fd: self.inotify.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            }];
            match poll(&mut fds, left) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.read()?,
            }
            looked = true;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let events = match self.inotify.read_events(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            events => events?,
        };
        let mut again = false;
        for event in events {
            let name = event.name.and_then(|name| name.to_str());
            // What was lost may be of either folder.
            if event.mask.contains(EventMask::Q_OVERFLOW) || name == Some("snd") {
                again = true;
                continue;
            }
            if Some(&event.wd) != self.snd.as_ref() {
                continue;
            }
            let Some(pcm) = name.and_then(cards::parse_node) else {
                continue;
            };
            if event.mask.contains(EventMask::DELETE) {
                self.gone(pcm);
            } else {
                self.appeared(pcm, event.mask.contains(EventMask::ATTRIB));
            }
        }
        if again {
            self.look_inside()?;
        }
        Ok(())
    }
}

/// What is not there is none.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// A `/dev` of the test's own.
    struct Dev(PathBuf);

    impl Dev {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dev {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const CARD: Address = Address { card: 1, device: 2 };

    fn next(watch: &mut Watch) -> Option<Change> {
        watch.next(Some(Duration::ZERO)).unwrap()
    }

    #[test]
    fn what_comes_and_goes_is_told() {
        let dev = Dev::new("watch");
        let snd = dev.0.join("snd");
        fs::create_dir(&snd).unwrap();
        fs::write(snd.join("pcmC0D0p"), "").unwrap();
        let mut watch = Watch::of(&dev.0).unwrap();
        assert_eq!(next(&mut watch), None, "it was there before");
        fs::write(snd.join("controlC1"), "").unwrap();
        fs::write(snd.join("pcmC1D2c"), "").unwrap();
        fs::remove_file(snd.join("pcmC1D2c")).unwrap();
        fs::write(dev.0.join("pcmC7D7p"), "").unwrap();
        let way = Direction::Capture;
        assert_eq!(next(&mut watch), Some(Change::Appeared(CARD, way)));
        assert_eq!(next(&mut watch), Some(Change::Gone(CARD, way)));
        assert_eq!(next(&mut watch), None);
    }

    #[test]
    fn the_first_card_and_the_one_after_the_last_are_told() {
        let dev = Dev::new("watch-first");
        let mut watch = Watch::of(&dev.0).unwrap();
        let snd = dev.0.join("snd");
        let way = Direction::Playback;
        for _ in 0..2 {
            fs::create_dir(&snd).unwrap();
            fs::write(snd.join("pcmC1D2p"), "").unwrap();
            assert_eq!(next(&mut watch), Some(Change::Appeared(CARD, way)));
            assert_eq!(next(&mut watch), None);
            fs::remove_dir_all(&snd).unwrap();
            // It was deleted with a change of its attributes, as a file of one link is.
            let told = std::iter::from_fn(|| next(&mut watch)).last();
            assert_eq!(told, Some(Change::Gone(CARD, way)));
        }
    }

    /// Creates and removes files of no meaning, twice as many events as the kernel keeps, which are `most`.
    fn overflow(snd: &Path, most: u64) {
        for _ in 0..most {
            fs::write(snd.join("seq"), "").unwrap();
            fs::remove_file(snd.join("seq")).unwrap();
        }
    }

    /// A longer queue takes a test too long to fill. The kernel's own is 2^14.
    const MOST_EVENTS: u64 = 1 << 17;

    #[test]
    fn what_was_lost_is_told_by_what_is_there() {
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most = most.trim().parse().unwrap();
        if most > MOST_EVENTS {
            println!("skipped: it takes three times {most} files here to fill the kernel's queue");
            return;
        }
        let dev = Dev::new("watch-overflow");
        let snd = dev.0.join("snd");
        fs::create_dir(&snd).unwrap();
        fs::write(snd.join("pcmC0D0p"), "").unwrap();
        fs::write(snd.join("pcmC1D2p"), "").unwrap();
        let mut watch = Watch::of(&dev.0).unwrap();
        let way = Direction::Playback;
        overflow(&snd, most);
        fs::remove_file(snd.join("pcmC1D2p")).unwrap();
        let mut told = || watch.next(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(told(), Some(Change::Gone(CARD, way)));
        overflow(&snd, most);
        fs::write(snd.join("pcmC1D2p"), "").unwrap();
        assert_eq!(told(), Some(Change::Appeared(CARD, way)));
        // The folder with all in it.
        overflow(&snd, most);
        fs::remove_dir_all(&snd).unwrap();
        let gone = [told(), told()].map(|change| match change {
            Some(Change::Gone(address, _)) => address.card,
            other => panic!("{other:?}"),
        });
        assert_eq!(gone, [0, 1]);
    }

    /// What is in the queue and has been seen by looking is not told again, and what looking saw is set right by
    /// the queue.
    #[test]
    fn who_looks_in_the_middle_of_a_change_tells_the_end() {
        let dev = Dev::new("watch-middle");
        let snd = dev.0.join("snd");
        fs::create_dir(&snd).unwrap();
        let mut watch = Watch::of(&dev.0).unwrap();
        let node = snd.join("pcmC1D2p");
        let way = Direction::Playback;
        let (appeared, gone) = (Change::Appeared(CARD, way), Change::Gone(CARD, way));
        let mut made = false;
        // All that may have happened before a look, and behind it.
        for changes in 0..16 {
            let told = &mut Vec::new();
            for at in 0..4 {
                if changes >> at & 1 == 1 {
                    match made {
                        true => fs::remove_file(&node).unwrap(),
                        false => drop(fs::File::create(&node).unwrap()),
                    }
                    made = !made;
                }
                if at == 1 {
                    watch.look_inside().unwrap();
                }
            }
            told.extend(std::iter::from_fn(|| next(&mut watch)));
            // A file loses its link, which is an attribute, before it is gone.
            told.dedup();
            assert_eq!(watch.there.len(), usize::from(made), "{changes:04b}");
            let last = told.last().copied();
            let right = if made { appeared } else { gone };
            assert!(
                last.is_none() || last == Some(right),
                "{changes:04b}: {told:?}"
            );
        }
        fs::remove_dir_all(&snd).unwrap();
        watch.look_inside().unwrap();
        assert_eq!(watch.there.len(), 0);
    }

    #[test]
    fn a_timeout_ends_whatever_else_happens() {
        let dev = Dev::new("watch-timeout");
        let snd = dev.0.join("snd");
        fs::create_dir(&snd).unwrap();
        let mut watch = Watch::of(&dev.0).unwrap();
        let over = AtomicBool::new(false);
        let gave_up = std::thread::scope(|scope| {
            let noise = scope.spawn(|| {
                let began = Instant::now();
                while !over.load(Relaxed) && began.elapsed() < Duration::from_secs(20) {
                    fs::write(snd.join("seq"), "").unwrap();
                    fs::remove_file(snd.join("seq")).unwrap();
                }
                !over.load(Relaxed)
            });
            let told = watch.next(Some(Duration::from_millis(50))).unwrap();
            over.store(true, Relaxed);
            assert_eq!(told, None);
            noise.join().unwrap()
        });
        assert!(!gave_up, "it waited until nothing happened any more");
    }
}
