// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card in a machine of its own: found, mapped, its interrupts on. Messages of
//! vector v write v + 1 to [`arena::message`].

use std::path::Path;

use serde_json::json;

use crate::arena;
use crate::qtest::{Qtest, Result};

const SLOT: u32 = 4;
const COMMAND: u32 = 0x04;
const MEMORY: u64 = 2;
const MASTER: u64 = 4;
const CAPABILITIES: u32 = 0x34;
const CAP_MSIX: u64 = 0x11;
const CAP_POWER: u64 = 0x01;

/// A card and its QEMU.
#[derive(Debug)]
pub struct Card {
    /// QEMU itself, for memory and the clock.
    pub qtest: Qtest,
    power: u32,
    master: bool,
}

impl Card {
    /// A machine with a card that nobody has touched.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn start(qemu: &Path, more: &[&str]) -> Result<Self> {
        let device = format!(
            "sgring,id=card,audiodev=a,tap=t,playback={},capture={},sram={},vectors={},addr={SLOT}",
            arena::PLAYBACK,
            arena::STREAMS - arena::PLAYBACK,
            arena::SRAM,
            arena::VECTORS
        );
        let mut args = vec!["-M", "q35", "-m", "64", "-audiodev", "none,id=a"];
        args.extend(["-global", "apic-common.vapic=off"]);
        args.extend(["-chardev", "file,id=t,path=tap", "-device", device.as_str()]);
        args.extend(more);
        let qtest = Qtest::start(qemu, &args)?;
        Ok(Self {
            qtest,
            power: 0,
            master: true,
        })
    }

    /// What firmware and a driver's probe do.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn enable(&mut self) -> Result<()> {
        for (bar, addr) in arena::BARS {
            let reg = 0x10 + 4 * bar;
            self.config_write(reg, addr & 0xffff_ffff)?;
            if bar != 4 {
                self.config_write(reg + 4, addr >> 32)?;
            }
        }
        self.config_write(COMMAND, MEMORY | MASTER)?;
        let mut msix = 0;
        let mut at = self.config_read(CAPABILITIES)? as u32 & 0xff;
        while at != 0 {
            let word = self.config_read(at)?;
            match word & 0xff {
                CAP_MSIX => msix = at,
                CAP_POWER => self.power = at,
                _ => (),
            }
            at = (word >> 8) as u32 & 0xff;
        }
        for v in 0..arena::VECTORS {
            let entry = arena::BARS[2].1 + 16 * u64::from(v);
            for (i, word) in [arena::message(v), 0, u64::from(v + 1), 0]
                .iter()
                .enumerate()
            {
                self.qtest
                    .line(&format!("writel {:#x} {word:#x}", entry + 4 * i as u64));
            }
        }
        self.qtest.ask()?;
        let word = self.config_read(msix)?;
        self.config_write(msix, word | 1 << 31)
    }

    fn config(&mut self, reg: u32) {
        let address = 1 << 31 | SLOT << 11 | reg;
        self.qtest.line(&format!("outl 0xcf8 {address:#x}"));
    }

    fn config_read(&mut self, reg: u32) -> Result<u64> {
        self.config(reg);
        self.qtest.number("inl 0xcfc")
    }

    fn config_write(&mut self, reg: u32, value: u64) -> Result<()> {
        self.config(reg);
        self.qtest.tell(&format!("outl 0xcfc {value:#x}"))
    }

    /// Bus mastering.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn set_master(&mut self, on: bool) -> Result<()> {
        self.master = on;
        self.config_write(COMMAND, MEMORY | if on { MASTER } else { 0 })
    }

    /// To D3hot and back.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn sleep(&mut self) -> Result<()> {
        self.config_write(self.power + 4, 3)?;
        self.config_write(self.power + 4, 0)
    }

    /// A property of the card, as the host sets it.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn set(&mut self, property: &str, value: &serde_json::Value) -> Result<()> {
        let arguments =
            json!({ "path": "/machine/peripheral/card", "property": property, "value": value });
        self.qtest.qmp("qom-set", &arguments).map(drop)
    }
}
