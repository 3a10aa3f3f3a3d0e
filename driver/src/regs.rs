// SPDX-License-Identifier: GPL-2.0-only

//! The card's registers: the map itself, what the card can do, and one stream's registers.
//!
//! The map is `sgring_regs.h`, bound by bindgen; there is no second list. What each register means is
//! said in the data sheet, `sgring.rst`.
//!
//! Registers are written to set a stream up and to start or stop it. Nothing here is on the way of a
//! period or of a position query: those read the status line in memory ([`crate::status`]).

use crate::{
    alsa,
    descriptor,
    format,
    mm,
    seam, //
};
use kernel::{
    device::Bound,
    pci,
    prelude::*,
    str::CStr,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// `sgring_regs.h`, as constants.
#[allow(dead_code, missing_docs, unreachable_pub)]
mod map {
    include!(concat!(env!("SGRING_BINDINGS"), "/bindings_regs.rs"));
}
pub(crate) use map::*;

// The pure part of the driver sees no header; its one table of numbers is held to both here.
const _: () = {
    let expected = [
        (SGRING_FMT_U8, alsa::format::U8),
        (SGRING_FMT_S8, alsa::format::S8),
        (SGRING_FMT_S16_LE, alsa::format::S16_LE),
        (SGRING_FMT_U16_LE, alsa::format::U16_LE),
        (SGRING_FMT_S24_LE, alsa::format::S24_LE),
        (SGRING_FMT_S24_3LE, alsa::format::S24_3LE),
        (SGRING_FMT_S32_LE, alsa::format::S32_LE),
        (SGRING_FMT_U32_LE, alsa::format::U32_LE),
        (SGRING_FMT_FLOAT_LE, alsa::format::FLOAT_LE),
    ];
    assert!(format::FORMATS.len() == expected.len());
    let mut i = 0;
    while i < expected.len() {
        assert!(format::FORMATS[i].0 == expected[i].0);
        assert!(format::FORMATS[i].1 == expected[i].1);
        i += 1;
    }
};

/// Looks at a reset, a millisecond apart and more. The data sheet has it done with the write [D-7].
const RESET_LOOKS: u32 = 100;

/// The register BAR, gone after unbind.
pub(crate) struct Registers(seam::Registers<{ SGRING_REGS_SIZE as usize }>);

impl Registers {
    pub(crate) fn map(pdev: &pci::Device<Bound>, name: &'static CStr) -> Result<Arc<Self>> {
        let registers = Self(seam::Registers::map(pdev, SGRING_BAR_REGS, name)?);
        Ok(Arc::new(registers, GFP_KERNEL)?)
    }

    /// # Errors
    ///
    /// `ENODEV` after unbind.
    pub(crate) fn read(&self, offset: u32) -> Result<u32> {
        self.0.read32(offset as usize)
    }

    /// # Errors
    ///
    /// `ENODEV` after unbind.
    pub(crate) fn write(&self, offset: u32, value: u32) -> Result {
        self.0.write32(offset as usize, value)
    }

    /// The low half first. As [`Self::write`].
    pub(crate) fn write64(&self, offset: u32, value: u64) -> Result {
        // CAST: The two halves.
        self.write(offset, value as u32)?;
        self.write(offset + 4, (value >> 32) as u32)
    }

    fn read64(&self, offset: u32) -> Result<u64> {
        let low = self.read(offset)?;
        let high = self.read(offset + 4)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// The registers of stream `index`, counted over playback and then capture.
    pub(crate) fn stream(&self, index: u32) -> Result<StreamRegisters<'_>> {
        if index >= SGRING_STREAMS_MAX {
            return Err(ENXIO);
        }
        Ok(StreamRegisters {
            registers: self,
            base: SGRING_STREAM_BASE + index * SGRING_STREAM_STRIDE,
        })
    }

    /// Resets the whole card: every stream is idle, no DMA and no interrupt follows. May sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::check`]; `EIO` from a card that hangs in its reset, and may do anything.
    pub(crate) fn reset(&self) -> Result {
        self.write(SGRING_GCTL, SGRING_GCTL_RESET)?;
        for _ in 0..RESET_LOOKS {
            // A read makes sure that the card has taken the write. One that is not there reads as if it hung.
            self.check()?;
            if self.read(SGRING_GCTL)? & SGRING_GCTL_RESET == 0 {
                return Ok(());
            }
            fsleep(Delta::from_millis(1));
        }
        Err(EIO)
    }

    /// The clock of all time stamps, ns, now.
    ///
    /// # Errors
    ///
    /// `ENODEV` after unbind, `EIO` when it makes no sense.
    pub(crate) fn clock(&self) -> Result<u64> {
        let mut high = self.read(SGRING_CLOCK + 4)?;
        // The upper half changes every four seconds, so once at most.
        for _ in 0..2 {
            let low = self.read(SGRING_CLOCK)?;
            let again = self.read(SGRING_CLOCK + 4)?;
            // Else torn [G-3].
            if again == high {
                return Ok(u64::from(high) << 32 | u64::from(low));
            }
            high = again;
        }
        Err(EIO)
    }

    /// Gives all members of group `group` one of START, STOP and PAUSE.
    ///
    /// # Errors
    ///
    /// `EIO` when the card refuses; `ENODEV` when it is gone.
    pub(crate) fn group_command(&self, group: u32, command: u32) -> Result {
        self.write(
            SGRING_GROUP_CMD,
            group << SGRING_GROUP_CMD_GROUP_SHIFT | command,
        )?;
        match self.read(SGRING_GERR)? {
            SGRING_ERR_NONE => Ok(()),
            error => {
                self.check()?;
                if mm::may_say() {
                    pr_err!("card refuses command {command} for linked streams: error {error}\n");
                }
                Err(EIO)
            }
        }
    }

    /// Whether the card answers. Of one that was torn out all registers read as all ones, or as what
    /// the machine puts in the place of nothing, and what they say must not be believed.
    ///
    /// # Errors
    ///
    /// `ENODEV` when it does not, and after unbind.
    pub(crate) fn check(&self) -> Result {
        match self.read(SGRING_MAGIC)? {
            SGRING_MAGIC_VALUE => Ok(()),
            _ => Err(ENODEV),
        }
    }
}

/// One stream's registers.
pub(crate) struct StreamRegisters<'a> {
    registers: &'a Registers,
    base: u32,
}

impl StreamRegisters<'_> {
    pub(crate) fn read(&self, offset: u32) -> Result<u32> {
        self.registers.read(self.base + offset)
    }

    pub(crate) fn write(&self, offset: u32, value: u32) -> Result {
        self.registers.write(self.base + offset, value)
    }

    pub(crate) fn write64(&self, offset: u32, value: u64) -> Result {
        self.registers.write64(self.base + offset, value)
    }
}

/// What the card can do, as it says itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    pub(crate) version: u32,
    pub(crate) playback: u32,
    pub(crate) capture: u32,
    pub(crate) features: u32,
    pub(crate) vectors: u32,
    /// Hz.
    pub(crate) rates: (u32, u32),
    /// `1 << SGRING_FMT_*`
    pub(crate) formats: u32,
    pub(crate) channels: (u32, u32),
    /// Frames.
    pub(crate) period: (u32, u32),
    /// Bytes.
    pub(crate) ring_max: u64,
    pub(crate) table: descriptor::Limits,
    pub(crate) dma_bits: u32,
    /// Bytes of ring memory on the card that the card can be told to use; 0 for none.
    pub(crate) sram: u64,
}

impl Capabilities {
    /// Reads them, once, in probe.
    ///
    /// # Errors
    ///
    /// `ENODEV` when this is no sgring card, or one of a major version that this driver does not know.
    pub(crate) fn read(registers: &Registers) -> Result<Self> {
        match registers.read(SGRING_MAGIC)? {
            SGRING_MAGIC_VALUE => {}
            u32::MAX => {
                pr_err!("the card does not answer\n");
                return Err(ENODEV);
            }
            _ => {
                pr_err!("not an sgring card: wrong magic number\n");
                return Err(ENODEV);
            }
        }
        let version = registers.read(SGRING_VERSION)?;
        let major = version >> SGRING_VERSION_MAJOR_SHIFT;
        if major != SGRING_VERSION_MAJOR {
            pr_err!(
                "register map version {major} is not {SGRING_VERSION_MAJOR}: newer driver needed\n"
            );
            return Err(ENODEV);
        }
        let streams = registers.read(SGRING_CAP_STREAMS)?;
        let channels = registers.read(SGRING_CAP_CHANNELS)?;
        let features = registers.read(SGRING_CAP_FEATURES)?;
        // Without SWAP a ring could not leave the card's memory when it must.
        let both = SGRING_FEAT_SRAM | SGRING_FEAT_SWAP;
        let sram = match features & both == both {
            true => registers.read64(SGRING_CAP_SRAM)?,
            false => 0,
        };
        Ok(Self {
            version,
            playback: streams & SGRING_CAP_STREAMS_PLAYBACK_MASK,
            capture: (streams & SGRING_CAP_STREAMS_CAPTURE_MASK)
                >> SGRING_CAP_STREAMS_CAPTURE_SHIFT,
            features,
            vectors: registers.read(SGRING_CAP_VECTORS)?,
            rates: (
                registers.read(SGRING_CAP_RATE_MIN)?,
                registers.read(SGRING_CAP_RATE_MAX)?,
            ),
            formats: registers.read(SGRING_CAP_FORMATS)?,
            channels: (
                channels & SGRING_CAP_CHANNELS_MIN_MASK,
                (channels & SGRING_CAP_CHANNELS_MAX_MASK) >> SGRING_CAP_CHANNELS_MAX_SHIFT,
            ),
            period: (
                registers.read(SGRING_CAP_PERIOD_MIN)?,
                registers.read(SGRING_CAP_PERIOD_MAX)?,
            ),
            ring_max: registers.read64(SGRING_CAP_RING_MAX)?,
            table: descriptor::Limits {
                entries: registers.read(SGRING_CAP_SGT_MAX)?,
                segment: registers.read(SGRING_CAP_SEG_MAX)?,
            },
            dma_bits: registers.read(SGRING_CAP_DMA_BITS)?,
            sram,
        })
    }

    pub(crate) fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }
}
