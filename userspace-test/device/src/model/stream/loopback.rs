// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is played into a recorder: [D-90] and after.

use super::*;

impl Model {
    fn player(n: usize) -> usize {
        n % arena::PLAYBACK as usize
    }

    fn recorder(n: usize) -> usize {
        Self::player(n) + arena::PLAYBACK as usize
    }

    fn is_loop(&self, n: usize) -> bool {
        self.streams[n].capture() && self.streams[n].taken.flags & SGRING_FLAG_LOOPBACK != 0
    }

    /// [D-99]; `None` where a backend is asked.
    pub(super) fn loop_delay(&self, n: usize) -> Option<u64> {
        self.is_loop(n).then(|| {
            if self.streams[n].looped.joined {
                self.streams[Self::player(n)].taken.burst
            } else {
                0
            }
        })
    }

    /// [D-95] A run of stream `n` has begun.
    pub(super) fn begin_run(&mut self, n: usize) {
        let (p, r) = (Self::player(n), Self::recorder(n));
        if n == r {
            self.streams[r].looped = Loop::default();
        }
        self.streams[r].looped.joined = false;
        let (play, rec) = (&self.streams[p], &self.streams[r]);
        let same = |f: fn(&Taken) -> u64| f(&play.taken) == f(&rec.taken);
        if !self.is_loop(r)
            || !rec.moving()
            || !play.moving()
            || !same(|t| t.format.into())
            || !same(|t| t.rate)
            || !same(|t| t.channels.into())
        {
            return;
        }
        let t = self.streams[n].t0;
        let (first, at) = (play.under_way(t), rec.under_way(t) + play.taken.burst);
        let l = &mut self.streams[r].looped;
        (l.joined, l.landed, l.first, l.at) = (true, false, first, at);
    }

    /// [D-97] A run of stream `n` has ended.
    pub(super) fn end_run(&mut self, n: usize) {
        let r = Self::recorder(n);
        self.streams[r].looped.joined = false;
        if n == r {
            self.streams[r].looped.frames.clear();
        }
    }

    /// Frames from `from` on have been fetched by playback stream `n`.
    pub(super) fn play_into_loop(&mut self, n: usize, from: u64, bytes: &[u8]) {
        let frame = self.streams[n].taken.frame as usize;
        let l = &mut self.streams[Self::recorder(n)].looped;
        if !l.joined {
            return;
        }
        for (number, bytes) in (from..).zip(bytes.chunks(frame)) {
            if number >= l.first {
                let place = l.at + (number - l.first);
                if !std::mem::replace(&mut l.landed, true) {
                    drop(l.frames.split_off(&place)); // [D-97]
                }
                l.frames.insert(place, bytes.to_vec());
            }
        }
    }

    /// What capture stream `n` records as frames `from..to`; a backend that has no
    /// input gives silence [D-93].
    pub(super) fn recorded(&mut self, n: usize, from: u64, to: u64) -> Vec<u8> {
        let s = &mut self.streams[n];
        let silence = match s.taken.format {
            SGRING_FMT_U8 => 0x80,
            _ => 0,
        };
        let mut bytes = Vec::new();
        for frame in from..to {
            match s.looped.frames.remove(&frame) {
                Some(frame) => bytes.extend(frame),
                None => bytes.resize(bytes.len() + s.taken.frame as usize, silence),
            }
        }
        bytes
    }
}
