// SPDX-License-Identifier: MIT OR Apache-2.0
//! The slot that the card is in, as its PCI Express port has it (PCI Express Base Specification, 7.5.3).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// `PCI_CAPABILITY_LIST`, `PCI_CAP_ID_EXP`, `PCI_EXP_SLTCTL` of linux/pci_regs.h.
const CAPABILITY_LIST: u64 = 0x34;
const PCI_EXPRESS: u8 = 0x10;
const SLOT_CONTROL: u64 = 0x18;
/// Slot Control: the power is off, and so is its indicator.
const POWER_OFF: u16 = 1 << 10;
const INDICATOR_OFF: u16 = 3 << 8;
/// Slot Control: events are told by an interrupt.
const INTERRUPT: u16 = 1 << 5;

fn slot_control(config: &File) -> io::Result<u64> {
    let byte = |at: u64| -> io::Result<u8> {
        let mut byte = [0];
        config.read_exact_at(&mut byte, at)?;
        Ok(byte[0])
    };
    let mut at = byte(CAPABILITY_LIST)?;
    // A list in 256 bytes has at most 48 entries.
    for _ in 0..48 {
        if at == 0 {
            break;
        }
        if byte(at.into())? == PCI_EXPRESS {
            return Ok(u64::from(at) + SLOT_CONTROL);
        }
        at = byte(u64::from(at) + 1)?;
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The configuration space of the port that PCI device `device` is behind, and where its slot control is.
fn port(device: &Path) -> io::Result<(File, u64)> {
    let port = device.parent().ok_or(io::ErrorKind::NotFound)?;
    let config = OpenOptions::new()
        .read(true)
        .write(true)
        .open(port.join("config"))?;
    let at = slot_control(&config)?;
    Ok((config, at))
}

/// Has QEMU take the card out of the PCI Express slot that `device` is in, behind the back of its driver: that
/// is what pulling a card is to it.
///
/// QEMU does so when the slot's power goes. Once the card is out there is power again, and the port, which was
/// not listened to meanwhile, tells its own driver that the slot is empty.
///
/// # Errors
///
/// `NotFound`: not in a PCI Express slot.
pub fn pull(device: &Path) -> io::Result<()> {
    let (config, at) = port(device)?;
    let mut on = [0; 2];
    config.read_exact_at(&mut on, at)?;
    let off = (u16::from_le_bytes(on) | POWER_OFF | INDICATOR_OFF) & !INTERRUPT;
    config.write_all_at(&off.to_le_bytes(), at)?;
    config.write_all_at(&on, at)
}

/// Waits until the port's own driver has switched the empty slot off, a second or so after [`pull`]: QEMU takes
/// a card that is put in before that out again.
///
/// # Errors
///
/// As [`pull`].
pub fn wait_off(device: &Path) -> io::Result<()> {
    let (config, at) = port(device)?;
    let mut word = [0; 2];
    // Nobody is told of it, so it is looked for.
    loop {
        config.read_exact_at(&mut word, at)?;
        let off = POWER_OFF | INDICATOR_OFF;
        if u16::from_le_bytes(word) & off == off {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
