// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel PCM under the audio thread.

use crate::handle::{Shared, count};
use crate::options::{Options, Wakeup};
use crate::ring::Ring;
use crate::stream::{Card, Setup, Snapshot};
use crate::sys::{
    ControlPage, Direction, Format, HwParams, MappedRing, Param, Pcm, StatusPage, SwParams,
    SyncRequest, monotonic, poll, uapi,
};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// How often the status record is read again when the kernel wrote to it meanwhile.
const RETRIES: usize = 3;

/// Whether it is a call's answer in a state without a position.
fn is_stopped(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(libc::EPIPE | libc::ESTRPIPE | libc::EBADFD))
}

/// A PCM that is set up to run free.
pub(crate) struct Hardware {
    // The mappings go before the file.
    memory: MappedRing,
    status: Option<StatusPage>,
    control: Option<ControlPage>,
    pcm: Pcm,
    shared: Arc<Shared>,
    /// Frames in a period.
    period: u64,
    linked: bool,
    /// It was in a state in which poll(2) does not wait when a pause was last looked at.
    troubled: bool,
}

impl Hardware {
    /// Sets `pcm` up as chosen, maps and touches its ring, and prepares it. With
    /// [`Options::sync_ptr`] the records are not mapped, with [`Options::linear`] the ring is twice.
    pub(crate) fn new(
        pcm: Pcm,
        mut params: HwParams,
        format: Format,
        options: Options,
        shared: Arc<Shared>,
    ) -> io::Result<(Self, Setup)> {
        let timer = options.wakeup == Wakeup::Timer;
        if timer {
            params.set_flags(uapi::HW_PARAMS_NO_PERIOD_WAKEUP);
        }
        pcm.hw_params(&mut params)?;
        let one = |param| {
            let value = params.range(param).single();
            value.map(u64::from).ok_or_else(|| {
                io::Error::other(format!("the driver left {param:?} open in HW_PARAMS"))
            })
        };
        let period = one(Param::PeriodSize)?;
        let buffer = one(Param::BufferSize)?;
        let frame_bytes = one(Param::FrameBits)? / 8;
        let rate = one(Param::Rate)?;
        let boundary = pcm.sw_params(&SwParams::free_running(period))?;
        let ring = Ring::new(period, buffer, boundary).ok_or_else(|| {
            io::Error::other(format!(
                "a ring of {buffer} frames, periods of {period} and a boundary of {boundary} do \
                 not fit together"
            ))
        })?;
        let (frames, bytes) = (buffer as usize, frame_bytes as usize);
        let memory = Self::map(&pcm, frames, bytes, options.linear)?;
        // Each page faults in at its first touch: now, and not in the audio thread.
        memory.prefault();
        // Either record alone would do, but then SYNC_PTR is called anyway.
        let records = match options.sync_ptr {
            true => None,
            false => StatusPage::new(&pcm).ok().zip(ControlPage::new(&pcm).ok()),
        };
        let (status, control) = records.unzip();
        if let Some(status) = &status {
            // Its page, too.
            status.load();
        }
        pcm.set_nonblock(true)?;
        pcm.prepare()?;
        let hardware = Self {
            memory,
            status,
            control,
            pcm,
            shared,
            period,
            linked: false,
            troubled: false,
        };
        let setup = Setup {
            ring,
            format,
            frame_bytes: bytes,
            // The range is of 32 bits.
            rate: rate as u32,
            perfect_drain: params.info() & uapi::INFO_PERFECT_DRAIN != 0,
            linear: options.linear,
            timer,
        };
        Ok((hardware, setup))
    }

    /// Maps the ring of `pcm`, which this has to itself.
    #[allow(unsafe_code)]
    fn map(pcm: &Pcm, frames: usize, bytes: usize, linear: bool) -> io::Result<MappedRing> {
        match linear {
            // SAFETY: the file came by value, and from this crate, which does not open a substream for another
            // one as well; it is mapped here alone, and once.
            true => Ok(unsafe { MappedRing::linear(pcm, frames, bytes) }?),
            // SAFETY: as above.
            false => unsafe { MappedRing::new(pcm, frames, bytes) },
        }
    }

    /// Has both start and stop at one instant, by a command to either.
    pub(crate) fn link(&mut self, other: &mut Self) -> io::Result<()> {
        self.pcm.link(&other.pcm)?;
        (self.linked, other.linked) = (true, true);
        Ok(())
    }

    fn sync(&self, request: SyncRequest) -> io::Result<Snapshot> {
        count(&self.shared.counters.syncs, 1);
        let reply = self.pcm.sync_ptr(request)?;
        Ok(Snapshot {
            state: reply.status.state,
            hardware: reply.status.hw_ptr,
            tstamp: reply.status.tstamp,
        })
    }

    /// Sleeps until one of `fds` is ready, or it is `deadline`; a signal is none of our business.
    fn sleep(&self, fds: &mut [libc::pollfd], deadline: Option<Duration>) -> io::Result<()> {
        loop {
            let timeout = deadline.map(|time| time.saturating_sub(monotonic()));
            match poll(fds, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    count(&self.shared.counters.polls, 1);
                }
                result => return result.map(drop),
            }
        }
    }

    fn event(&self) -> libc::pollfd {
        libc::pollfd {
            fd: self.shared.event.raw(),
            events: libc::POLLIN,
            revents: 0,
        }
    }
}

impl Card for Hardware {
    fn wait(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        let pcm = libc::pollfd {
            fd: self.pcm.as_raw_fd(),
            events: match self.pcm.direction() {
                Direction::Playback => libc::POLLOUT,
                Direction::Capture => libc::POLLIN,
            },
            revents: 0,
        };
        let mut fds = [self.event(), pcm];
        // Without period wakeups poll() goes by a position that nobody updates.
        let used = if deadline.is_some() { 1 } else { 2 };
        self.sleep(&mut fds[..used], deadline)?;
        if fds[0].revents != 0 {
            self.shared.event.clear();
        }
        Ok(())
    }

    fn wait_command(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        // Nothing is asked of the PCM but that it is there, which is told at once, as other troubles are.
        let pcm = libc::pollfd {
            fd: self.pcm.as_raw_fd(),
            events: libc::POLLNVAL,
            revents: 0,
        };
        let mut fds = [self.event(), pcm];
        let used = if self.troubled { 1 } else { 2 };
        self.sleep(&mut fds[..used], deadline)?;
        if fds[1].revents & libc::POLLNVAL != 0 {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        // The others are seen when the stream goes on. They stay, and would be told at once again.
        self.troubled = fds[1].revents != 0;
        if fds[0].revents != 0 {
            self.troubled = false;
            self.shared.event.clear();
        }
        Ok(())
    }

    fn snapshot(&mut self, ask: bool) -> io::Result<Snapshot> {
        let Some(status) = self.status.as_ref().filter(|_| !ask) else {
            let asked = self.sync(SyncRequest {
                // Where the records cannot be mapped the kernel may have to fetch what was recorded.
                hwsync: ask || self.pcm.direction() == Direction::Capture,
                ..SyncRequest::default()
            });
            return match asked {
                // There is no position in this state, which is what is wanted to be known then.
                Err(error) if is_stopped(&error) => self.sync(SyncRequest::default()),
                asked => asked,
            };
        };
        let mut record = status.load();
        for _ in 0..RETRIES {
            let again = status.load();
            if again == record {
                break;
            }
            record = again;
        }
        Ok(Snapshot {
            state: record.state,
            hardware: record.hw_ptr,
            tstamp: record.tstamp,
        })
    }

    fn publish(&mut self, application: u64) -> io::Result<()> {
        if let Some(control) = &self.control {
            // Whatever somebody else in the process has written there, the thread wakes up as it should.
            control.set_avail_min(self.period);
            control.set_appl_ptr(application);
            return Ok(());
        }
        let request = SyncRequest {
            appl_ptr: Some(application),
            ..SyncRequest::default()
        };
        match self.sync(request) {
            // The stream has stopped, which is seen at the next look.
            Err(error) if is_stopped(&error) => Ok(()),
            result => result.map(drop),
        }
    }

    fn window(&mut self, place: usize, frames: usize) -> &mut [u8] {
        self.memory.window(place, frames)
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.pcm.prepare()
    }

    fn start(&mut self) -> io::Result<()> {
        self.pcm.start()
    }

    fn drain(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.linked) {
            // DRAIN goes to a group, and stops what it records. Drivers that stop a group together stop what it
            // plays with that.
            self.pcm.unlink()?;
        }
        match self.pcm.drain() {
            // The file is non-blocking: it has begun.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn stop(&mut self) -> io::Result<()> {
        self.pcm.drop_frames()
    }

    fn resume(&mut self) -> io::Result<()> {
        self.pcm.resume()
    }

    fn now(&self) -> Duration {
        monotonic()
    }
}
