// SPDX-License-Identifier: MIT OR Apache-2.0
//! All elements of the card at once: as they were, so that they can be so again.

use super::{ElemId, Info, NAME, READ, VALUES, WRITE, ask, open, request};
use crate::tap::Stop;
use std::fs::File;
use std::io;

/// `SNDRV_CTL_ELEM_ACCESS_USER`: added by a program, not by the driver.
const USER: u32 = 1 << 29;
/// `SNDRV_CTL_IOCTL_ELEM_LIST`, `_REMOVE`
const LIST: u32 = 0x10;
const REMOVE: u32 = 0x19;
/// More than a card has.
const MOST: usize = 1024;

/// `struct snd_ctl_elem_list`
#[repr(C)]
struct List {
    offset: u32,
    space: u32,
    used: u32,
    count: u32,
    ids: *mut ElemId,
    reserved: [u8; 50],
}

/// Every element with its values, the driver's own.
#[derive(Debug)]
pub struct Snapshot {
    card: File,
    elements: Vec<(Info, [u64; VALUES])>,
}

fn nothing() -> ElemId {
    ElemId {
        numid: 0,
        iface: 0,
        device: 0,
        subdevice: 0,
        name: [0; NAME],
        index: 0,
    }
}

fn named(numid: u32) -> ElemId {
    ElemId { numid, ..nothing() }
}

fn numbers(card: &File) -> io::Result<Vec<u32>> {
    let mut ids = vec![nothing(); MOST];
    let mut list = List {
        offset: 0,
        space: MOST as u32,
        used: 0,
        count: 0,
        ids: ids.as_mut_ptr(),
        reserved: [0; 50],
    };
    ask(card, request::<List>(LIST), &mut list)?;
    Ok(ids
        .iter()
        .take(list.used as usize)
        .map(|id| id.numid)
        .collect())
}

impl Snapshot {
    /// As they are now.
    ///
    /// # Errors
    ///
    /// As for opening the card's control device, or the errno of a request.
    pub fn new() -> io::Result<Self> {
        let card = open()?;
        let mut elements = Vec::new();
        for numid in numbers(&card)? {
            let info = super::info(&card, named(numid))?;
            if info.access & Info::READ != 0 {
                let values = super::values(&card, named(numid), READ, [0; VALUES])?;
                elements.push((info, values));
            }
        }
        Ok(Self { card, elements })
    }

    /// Removes what programs have added, and sets the others to what they were, of those that can be set.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and a failure where an element of the driver's is missing.
    pub fn restore(&self) -> Result<(), Stop> {
        let now = numbers(&self.card)?;
        for &numid in &now {
            let info = match super::info(&self.card, named(numid)) {
                // Those that were added at once go with the first of them.
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
                info => info?,
            };
            if info.access & USER != 0 {
                let mut id = named(numid);
                ask(&self.card, request::<ElemId>(REMOVE), &mut id)?;
            }
        }
        for (info, before) in &self.elements {
            if !now.contains(&info.numid) {
                return Err(Stop::Fail(format!("element {} is gone", info.numid)));
            }
            if info.access & Info::WRITE == 0 {
                continue;
            }
            let id = named(info.numid);
            if super::values(&self.card, id, READ, [0; VALUES])? != *before {
                super::values(&self.card, id, WRITE, *before)?;
            }
        }
        Ok(())
    }
}
