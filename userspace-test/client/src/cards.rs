// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which PCMs there are.
//!
//! `/dev/snd` says what can be opened, `/proc/asound` how the cards are called. Neither opens a
//! device, so looking disturbs nobody.

use crate::sys::Direction;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// An ALSA device: device `device` of card `card`, both numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Card number.
    pub card: u32,
    /// Device number on the card.
    pub device: u32,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hw:{},{}", self.card, self.device)
    }
}

/// The text names no PCM: not of the form `hw:CARD[,DEVICE]`, or there is no such card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads alsa-lib's form: `hw:0,0`, `hw:sgring`, `hw:CARD=sgring,DEV=0`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError(format!("{text:?} is not of the form hw:CARD[,DEVICE]"));
        let rest = text.strip_prefix("hw:").ok_or_else(malformed)?;
        let (card, device) = rest.split_once(',').unwrap_or((rest, "0"));
        let card = card.strip_prefix("CARD=").unwrap_or(card);
        let device = device.strip_prefix("DEV=").unwrap_or(device);
        let device = device.parse().map_err(|_| malformed())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if card.is_empty() || !card.chars().all(plain) {
            return Err(malformed());
        }
        let card = match card.parse() {
            Ok(number) => number,
            Err(_) => number_of(card).ok_or_else(|| AddressError(format!("no card {card:?}")))?,
        };
        Ok(Self { card, device })
    }
}

/// The number of the card with this id: `/proc/asound/ID` is a link to `cardN`.
fn number_of(id: &str) -> Option<u32> {
    let target = fs::read_link(Path::new("/proc/asound").join(id)).ok()?;
    target.to_str()?.strip_prefix("card")?.parse().ok()
}

/// A card's id, `cardN` if it is not to be found.
pub(crate) fn id(card: u32) -> String {
    fs::read_to_string(format!("/proc/asound/card{card}/id"))
        .map_or_else(|_| format!("card{card}"), |text| text.trim_end().to_owned())
}

/// A card's driver and name for people, from `/proc/asound/cards`.
pub(crate) fn names(card: u32) -> Option<(String, String)> {
    let text = fs::read_to_string("/proc/asound/cards").ok()?;
    find_names(&text, card)
}

/// The lines of a card are ` 0 [id  ]: driver - name` and its longer name.
fn find_names(text: &str, card: u32) -> Option<(String, String)> {
    let line = text.lines().find(|line| {
        let number = line.split_once('[').map(|(number, _)| number.trim());
        number.and_then(|n| n.parse().ok()) == Some(card)
    })?;
    let (_, rest) = line.split_once("]:")?;
    let (driver, name) = rest.split_once(" - ")?;
    Some((driver.trim().to_owned(), name.trim().to_owned()))
}

/// The name of a PCM's node: `pcmC0D1p`, `pcmC0D1c`.
fn node(address: Address, direction: Direction) -> String {
    let letter = match direction {
        Direction::Playback => 'p',
        Direction::Capture => 'c',
    };
    format!("pcmC{}D{}{letter}", address.card, address.device)
}

/// The PCM by the name of its node.
pub(crate) fn parse_node(name: &str) -> Option<(Address, Direction)> {
    let rest = name.strip_prefix("pcmC")?;
    let (rest, direction) = match rest.strip_suffix('p') {
        Some(rest) => (rest, Direction::Playback),
        None => (rest.strip_suffix('c')?, Direction::Capture),
    };
    let (card, device) = rest.split_once('D')?;
    let address = Address {
        card: card.parse().ok()?,
        device: device.parse().ok()?,
    };
    Some((address, direction))
}

/// In which directions there is a PCM at `address`.
pub(crate) fn directions(address: Address) -> impl Iterator<Item = Direction> {
    [Direction::Playback, Direction::Capture]
        .into_iter()
        .filter(move |&way| Path::new("/dev/snd").join(node(address, way)).exists())
}

/// All devices with a PCM of `direction`, in order. None where there is no `/dev/snd`. Opens none.
///
/// # Errors
///
/// As reading a directory.
pub fn pcms(direction: Direction) -> io::Result<Vec<Address>> {
    find(|way| way == direction)
}

/// All devices, in order.
pub(crate) fn all() -> io::Result<Vec<Address>> {
    find(|_| true)
}

fn find(wanted: impl Fn(Direction) -> bool) -> io::Result<Vec<Address>> {
    let entries = match fs::read_dir("/dev/snd") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry?.file_name().to_str().and_then(parse_node) {
            Some((address, direction)) if wanted(direction) => found.push(address),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_told_apart() {
        let address = |card, device| Address { card, device };
        for (name, address, direction) in [
            ("pcmC0D0p", address(0, 0), Direction::Playback),
            ("pcmC12D34c", address(12, 34), Direction::Capture),
        ] {
            assert_eq!(parse_node(name), Some((address, direction)));
            assert_eq!(node(address, direction), name);
        }
        for other in ["pcmC0D0x", "controlC0", "pcmCD0p", "pcmC0p", "timer", "seq"] {
            assert_eq!(parse_node(other), None);
        }
    }

    #[test]
    fn addresses_are_read_as_alsa_lib_does() {
        let read = |text: &str| text.parse::<Address>();
        for text in ["hw:3,1", "hw:CARD=3,DEV=1"] {
            assert_eq!(read(text).unwrap().to_string(), "hw:3,1");
        }
        assert_eq!(read("hw:7").unwrap().to_string(), "hw:7,0");
        for text in [
            "", "hw:", "default", "hw:0,x", "hw:0,0,0", "hw:../x", "hw:-1,-1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(
            read("hw:NoSuchCard").unwrap_err().to_string(),
            "no card \"NoSuchCard\""
        );
    }

    #[test]
    fn cards_are_found_by_number() {
        let text = " 0 [sgring         ]: sgring - sgring PCI\n\
                    \x20                     sgring at 0xfebd0000, irq 24\n\
                    10 [Intel          ]: HDA-Intel - HDA Intel\n\
                    \x20                     HDA Intel at 0xfebf0000 irq 25\n";
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(find_names(text, 0), pair("sgring", "sgring PCI"));
        assert_eq!(find_names(text, 10), pair("HDA-Intel", "HDA Intel"));
        assert_eq!(find_names(text, 1), None);
        assert_eq!(find_names("--- no soundcards ---\n", 0), None);
    }
}
