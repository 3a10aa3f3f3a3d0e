// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel PCM under the audio thread.

use crate::handle::{Shared, count};
use crate::host::Options;
use crate::ring::Ring;
use crate::stream::{Card, Snapshot};
use crate::sys::{
    ControlPage, HwParams, Param, Pcm, PlaybackRing, StatusPage, SwParams, SyncRequest, poll,
};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// How often the status record is read again when the kernel wrote to it meanwhile.
const RETRIES: usize = 3;

/// A PCM that is set up to run free.
pub(crate) struct Hardware {
    // The mappings go before the file.
    memory: PlaybackRing,
    status: Option<StatusPage>,
    control: Option<ControlPage>,
    pcm: Pcm,
    shared: Arc<Shared>,
}

impl Hardware {
    /// Sets `pcm` up as chosen, maps and touches its ring, and prepares it. With
    /// [`Options::sync_ptr`] the records are not mapped, with [`Options::linear`] the ring is twice.
    pub(crate) fn new(
        pcm: Pcm,
        mut params: HwParams,
        options: Options,
        shared: Arc<Shared>,
    ) -> io::Result<(Self, Ring)> {
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
        let boundary = pcm.sw_params(&SwParams::free_running(period))?;
        let ring = Ring::new(period, buffer, boundary).ok_or_else(|| {
            io::Error::other(format!(
                "a ring of {buffer} frames, periods of {period} and a boundary of {boundary} do \
                 not fit together"
            ))
        })?;
        let (frames, bytes) = (buffer as usize, frame_bytes as usize);
        let memory = match options.linear {
            true => PlaybackRing::linear(&pcm, frames, bytes)?,
            false => PlaybackRing::new(&pcm, frames, bytes)?,
        };
        // Each page faults in at its first touch: now, and not in the audio thread.
        memory.prefault();
        // Either record alone would do, but then SYNC_PTR is called anyway.
        let records = match options.sync_ptr {
            true => None,
            false => StatusPage::new(&pcm).ok().zip(ControlPage::new(&pcm).ok()),
        };
        let (status, control) = records.unzip();
        pcm.set_nonblock(true)?;
        pcm.prepare()?;
        let hardware = Self {
            memory,
            status,
            control,
            pcm,
            shared,
        };
        Ok((hardware, ring))
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

    /// Sleeps until one of `fds` is ready; a signal is none of our business.
    fn sleep(&self, fds: &mut [libc::pollfd]) -> io::Result<()> {
        loop {
            match poll(fds, None) {
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
    fn wait(&mut self) -> io::Result<()> {
        let pcm = libc::pollfd {
            fd: self.pcm.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        let mut fds = [pcm, self.event()];
        self.sleep(&mut fds)?;
        if fds[1].revents != 0 {
            self.shared.event.clear();
        }
        Ok(())
    }

    fn wait_command(&mut self) -> io::Result<()> {
        let mut fds = [self.event()];
        self.sleep(&mut fds)?;
        self.shared.event.clear();
        Ok(())
    }

    fn snapshot(&mut self, ask: bool) -> io::Result<Snapshot> {
        let Some(status) = self.status.as_ref().filter(|_| !ask) else {
            return self.sync(SyncRequest {
                hwsync: ask,
                ..SyncRequest::default()
            });
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
            control.set_appl_ptr(application);
            return Ok(());
        }
        self.sync(SyncRequest {
            appl_ptr: Some(application),
            ..SyncRequest::default()
        })?;
        Ok(())
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
        match self.pcm.drain() {
            // The file is non-blocking: it has begun.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn stop(&mut self) -> io::Result<()> {
        self.pcm.drop_frames()
    }
}
