// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two hosts, made the same but for what they are.
//!
//! cpal's own ALSA host takes the PCM by alsa-lib's `hw:` plugin and makes its ring of two periods. Ours is given two as
//! well. Neither raises its thread's priority: the callback does, for both.

use cpal::traits::HostTrait;
use cpal::{Device, Host, HostId};
use cpal_alsa_mmap::{Options, RingHost};
use std::fmt;

/// Periods of the ring.
pub const PERIODS: u32 = 2;

/// Which host a stream is played through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `cpal-alsa-mmap`.
    Ring,
    /// cpal's own.
    Alsa,
}

impl Choice {
    /// By its name.
    pub fn of(name: &str) -> Result<Self, String> {
        match name {
            "ring" => Ok(Self::Ring),
            "alsa" => Ok(Self::Alsa),
            _ => Err(format!("hosts={name}: there are ring and alsa")),
        }
    }

    /// The first PCM of the card, through this host.
    pub fn device(self) -> Result<Device, String> {
        let (host, id) = match self {
            Self::Ring => {
                let options = Options {
                    periods: PERIODS,
                    priority: None,
                    ..Options::default()
                };
                (Ok(Host::from(RingHost::new(options))), "custom:ring:hw:")
            }
            Self::Alsa => (cpal::host_from_id(HostId::Alsa), "alsa:hw:CARD="),
        };
        let host = host.map_err(|e| format!("{self}: {e}"))?;
        let card = std::fs::read_to_string("/proc/asound/card0/id")
            .map_err(|e| format!("no card 0: {e}"))?;
        let id = match self {
            Self::Ring => format!("{id}{},0", card.trim()),
            Self::Alsa => format!("{id}{},DEV=0", card.trim()),
        };
        let id = id.parse().map_err(|e| format!("{id}: {e}"))?;
        host.device_by_id(&id)
            .ok_or_else(|| format!("{self}: no device {id}"))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "ring",
            Self::Alsa => "alsa",
        })
    }
}
