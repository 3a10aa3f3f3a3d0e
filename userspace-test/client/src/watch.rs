// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come and go, by what happens in `/dev/snd`.

use crate::cards::{self, Address};
use crate::sys::{Direction, poll};
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
/// devices there are, and wait.
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
        inotify.watches().add(dev, WatchMask::CREATE)?;
        let mut watch = Self {
            inotify,
            dev: dev.to_owned(),
            snd: None,
            told: VecDeque::new(),
        };
        watch.look_inside()?;
        watch.told.clear();
        Ok(watch)
    }

    /// Watches `/dev/snd`, if there is one, and tells what is there already.
    fn look_inside(&mut self) -> io::Result<()> {
        let path = self.dev.join("snd");
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ATTRIB;
        self.snd = match self.inotify.watches().add(&path, mask) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            watch => Some(watch?),
        };
        if self.snd.is_some() {
            for entry in path.read_dir()? {
                let name = entry?.file_name();
                let pcm = name.to_str().and_then(cards::parse_node);
                self.told
                    .extend(pcm.map(|(address, way)| Change::Appeared(address, way)));
            }
        }
        Ok(())
    }

    /// The next change; `None` if there is none for `timeout`, which without one never happens.
    ///
    /// # Errors
    ///
    /// As `read(2)`; a signal is none.
    pub fn next(&mut self, timeout: Option<Duration>) -> io::Result<Option<Change>> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Ok(Some(change));
            }
            let mut fds = [libc::pollfd {
                fd: self.inotify.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            }];
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.read()?,
            }
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
            if event.mask.contains(EventMask::Q_OVERFLOW) || name == Some("snd") {
                again = true;
                continue;
            }
            if Some(&event.wd) != self.snd.as_ref() {
                continue;
            }
            let Some((address, way)) = name.and_then(cards::parse_node) else {
                continue;
            };
            self.told
                .push_back(match event.mask.contains(EventMask::DELETE) {
                    true => Change::Gone(address, way),
                    false => Change::Appeared(address, way),
                });
        }
        if again {
            self.look_inside()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        for _ in 0..2 {
            fs::create_dir(&snd).unwrap();
            fs::write(snd.join("pcmC1D2p"), "").unwrap();
            let way = Direction::Playback;
            assert_eq!(next(&mut watch), Some(Change::Appeared(CARD, way)));
            fs::remove_dir_all(&snd).unwrap();
            while let Some(change) = next(&mut watch) {
                // Twice is no harm.
                let (appeared, gone) = (Change::Appeared(CARD, way), Change::Gone(CARD, way));
                assert!(change == appeared || change == gone, "{change:?}");
            }
        }
    }
}
