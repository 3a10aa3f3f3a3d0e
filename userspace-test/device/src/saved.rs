// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card's part of a saved machine, field by field, and what can be done to it.
//!
//! A file of `migrate file:` has a section for each device, and at its end the list of
//! every field in JSON, QEMU's `vmdesc`: where a field is follows from the sizes of
//! those before it. That it does is checked at the section's end.

use serde_json::Value;

use crate::qtest::Result;

const SECTION_FULL: u8 = 0x04;
const SUBSECTION: u8 = 0x05;
const DESCRIPTION: u8 = 0x06;
const SECTION_FOOTER: u8 = 0x7e;
const END: u8 = 0x00;

/// A number, or some bytes, in the card's section.
#[derive(Clone, Debug)]
pub struct Field {
    /// Where it is in the description, as `streams[2].cfg.rate`.
    pub name: String,
    /// Bytes from the section's beginning.
    pub at: usize,
    /// Bytes.
    pub size: usize,
}

/// A saved machine.
#[derive(Clone, Debug)]
pub struct Saved {
    file: Vec<u8>,
    /// The length of its name.
    name: usize,
    /// The card's section without head and foot.
    begin: usize,
    end: usize,
    /// Every field of the card.
    pub fields: Vec<Field>,
    /// What is there only when it is needed.
    pub subsections: Vec<Field>,
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let mut windows = bytes.get(from..)?.windows(what.len());
    windows.position(|w| w == what).map(|at| at + from)
}

/// The description of all devices.
fn description(file: &[u8]) -> Option<Value> {
    let mut at = 0;
    loop {
        at = find(file, &[END, DESCRIPTION], at)?;
        let len = file.get(at + 2..at + 6)?;
        let len = u32::from_be_bytes(len.try_into().ok()?) as usize;
        if at + 6 + len == file.len() {
            return serde_json::from_slice(&file[at + 6..]).ok();
        }
        at += 1;
    }
}

impl Saved {
    /// Takes a file apart.
    ///
    /// # Errors
    /// When it is not what QEMU writes, or has no such device.
    pub fn new(file: Vec<u8>, device: &str) -> Result<Self> {
        let strange = |what: &str| format!("a saved machine with {what}");
        let all = description(&file).ok_or_else(|| strange("no description"))?;
        let devices = all["devices"].as_array().map_or(&[][..], Vec::as_slice);
        let card = devices
            .iter()
            .find(|d| d["name"] == device)
            .ok_or_else(|| strange("no such device"))?;
        let name = [&[device.len() as u8], device.as_bytes()].concat();
        let head = find(&file, &name, 0).ok_or_else(|| strange("no such section"))?;
        let begin = head + name.len() + 8; // instance and version
        if file[head - 5] != SECTION_FULL {
            return Err(strange("another kind of section"));
        }
        let mut this = Self {
            name: device.len(),
            begin,
            end: begin,
            fields: Vec::new(),
            subsections: Vec::new(),
            file,
        };
        let end = this.walk(card, 0, "");
        this.end = begin + end;
        let foot = [&[SECTION_FOOTER], &this.file[head - 4..head]].concat();
        if !this.file[this.end..].starts_with(&foot) {
            return Err(strange("a description that is not its own"));
        }
        Ok(this)
    }

    /// Notes what `part` describes, from `at` on, and says where it ends.
    fn walk(&mut self, part: &Value, mut at: usize, path: &str) -> usize {
        for field in part["fields"].as_array().into_iter().flatten() {
            let name = field["name"].as_str().unwrap_or_default();
            let name = match &field["index"] {
                Value::Number(n) => format!("{path}{name}[{n}]"),
                _ => format!("{path}{name}"),
            };
            for _ in 0..field["array_len"].as_u64().unwrap_or(1) {
                if field["struct"].is_object() {
                    at = self.walk(&field["struct"], at, &format!("{name}."));
                } else {
                    let size = field["size"].as_u64().unwrap_or_default() as usize;
                    let name = name.clone();
                    self.fields.push(Field { name, at, size });
                    at += size;
                }
            }
        }
        for sub in part["subsections"].as_array().into_iter().flatten() {
            let name = sub["vmsd_name"].as_str().unwrap_or_default();
            let from = at;
            if self.file.get(self.begin + at) == Some(&SUBSECTION) {
                at += 2 + name.len() + 4; // its length, its name, its version
            }
            at = self.walk(sub, at, &format!("{path}{name}: "));
            let size = at - from;
            let name = format!("{path}{name}");
            self.subsections.push(Field {
                name,
                at: from,
                size,
            });
        }
        at
    }

    /// The card's section.
    #[must_use]
    pub fn section(&self) -> &[u8] {
        &self.file[self.begin..self.end]
    }

    /// What is before it, in bytes.
    #[must_use]
    pub const fn before(&self) -> usize {
        self.begin
    }

    /// The whole machine with another section of the card.
    #[must_use]
    pub fn machine(&self, section: &[u8]) -> Vec<u8> {
        [&self.file[..self.begin], section, &self.file[self.end..]].concat()
    }

    /// The card's section with its name before it.
    #[must_use]
    pub fn named_section(&self) -> &[u8] {
        &self.file[self.begin - 8 - self.name..self.end]
    }

    /// What is behind it, in bytes.
    #[must_use]
    pub fn after(&self) -> usize {
        self.file.len() - self.end
    }
}

/// What is done to a saved card. Numbers choose by their remainder.
#[derive(Clone, Debug)]
pub enum Damage {
    /// A field is something else.
    Set(u16, u64),
    /// The field of that name is something else.
    Named(&'static str, u64),
    /// A field is off by a little.
    Add(u16, i8),
    /// A field is what another one is.
    Copy(u16, u16),
    /// A bit is turned.
    Flip(u32),
    /// Bytes are gone.
    Remove(u32, u8),
    /// Bytes have come.
    Insert(u32, Vec<u8>),
    /// A subsection is gone.
    Without(u8),
    /// A subsection is there twice.
    Twice(u8),
    /// The file ends early.
    Cut(u32),
}

fn pick(among: &[Field], n: usize) -> Option<&Field> {
    among.get(n % among.len().max(1))
}

impl Saved {
    /// Whether there is what `damage` names.
    #[must_use]
    pub fn knows(&self, damage: &Damage) -> bool {
        match damage {
            Damage::Named(name, _) => self.named(name).is_some(),
            _ => true,
        }
    }

    fn named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Fields of the card itself, and now and then one of its PCI function.
    fn field(&self, n: u16) -> Option<&Field> {
        let own = self.fields.iter().position(|f| f.name == "num_playback");
        let own = own.unwrap_or_default();
        let (pci, card) = self.fields.split_at(own);
        if n % 16 == 0 {
            pick(pci, usize::from(n / 16))
        } else {
            pick(card, usize::from(n))
        }
    }

    /// Does `damage` to a section that may have been damaged already, and says to what.
    /// Whether it was cut: then nothing may follow it.
    pub fn damage(&self, section: &mut Vec<u8>, damage: &Damage) -> (String, bool) {
        let said = format!("{damage:?}");
        let len = section.len().max(1);
        let at = |n: u32| n as usize % len;
        match damage {
            Damage::Set(..) | Damage::Named(..) | Damage::Add(..) | Damage::Copy(..) => {
                let (field, value) = match damage {
                    Damage::Set(n, value) => (self.field(*n), *value),
                    Damage::Named(name, value) => (self.named(name), *value),
                    Damage::Add(n, by) => {
                        let field = self.field(*n);
                        let was = field.map_or(0, |f| number(section, f));
                        (field, was.wrapping_add_signed(i64::from(*by)))
                    }
                    Damage::Copy(n, from) => {
                        let from = self.field(*from);
                        let value = from.map_or(0, |f| number(section, f));
                        (self.field(*n), value)
                    }
                    _ => (None, 0),
                };
                (change(section, field, value).unwrap_or(said), false)
            }
            Damage::Flip(n) => {
                if let Some(byte) = section.get_mut(at(n / 8)) {
                    *byte ^= 1 << (n % 8);
                }
                (format!("{said} of byte {}", at(n / 8)), false)
            }
            Damage::Remove(n, len) => {
                let from = at(*n);
                let to = (from + usize::from(*len)).min(section.len());
                section.drain(from..to);
                (said, false)
            }
            Damage::Insert(n, bytes) => {
                let at = at(*n);
                section.splice(at..at, bytes.iter().copied());
                (said, false)
            }
            Damage::Without(n) | Damage::Twice(n) => {
                let Some(sub) = pick(&self.subsections, usize::from(*n)) else {
                    return (said, false);
                };
                let end = (sub.at + sub.size).min(section.len());
                let from = sub.at.min(end);
                if matches!(damage, Damage::Without(_)) {
                    section.drain(from..end);
                } else {
                    let again = section[from..end].to_vec();
                    section.splice(end..end, again);
                }
                (format!("{said}: {}", sub.name), false)
            }
            Damage::Cut(n) => {
                section.truncate(at(*n));
                (said, true)
            }
        }
    }
}

fn change(section: &mut [u8], field: Option<&Field>, value: u64) -> Option<String> {
    let field = field?;
    let was = number(section, field);
    let bytes = section.get_mut(field.at..field.at + field.size)?;
    let len = bytes.len();
    for (i, byte) in bytes.iter_mut().rev().take(8).enumerate() {
        *byte = (value >> (8 * i)) as u8;
    }
    let mask = if len < 8 {
        (1 << (8 * len)) - 1
    } else {
        u64::MAX
    };
    let (name, value) = (&field.name, value & mask);
    Some(format!("{name}: {value:#x} instead of {was:#x}"))
}

/// What a field is, or its last eight bytes.
fn number(section: &[u8], field: &Field) -> u64 {
    let bytes = section.get(field.at..field.at + field.size).unwrap_or(&[]);
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
