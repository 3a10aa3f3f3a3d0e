// SPDX-License-Identifier: GPL-2.0-only

//! Control elements that belong to one substream: switches, choices and volumes.
//!
//! The core calls `get` with the card's controls lock held for reading, and `put` with it held for writing:
//! one `put` at a time on a card, and no `get` beside it. The lock is a semaphore: both may sleep. Neither
//! begins after the card was disconnected. Values come from user space; what is not one of the element's is
//! refused here.

use super::{
    card::Card,
    sys, //
};
use core::{
    mem::MaybeUninit,
    ptr, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// Most names of a choice.
const CHOICES_MAX: usize = 8;

/// Most values that an element can have, of any kind (`struct snd_ctl_elem_value`).
const VALUES_MAX: usize = 128;

/// Where user space looks for an element, and how it tells those of different substreams apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// In the mixer: by the index, which is the substream's number.
    Mixer,
    /// With the PCM: by device and subdevice.
    Pcm,
}

/// What the values of an element mean. All of its values are of one kind.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// 0 or 1. The element's name has to end in "Switch".
    Switch,
    /// One of 2 to 8 names, counted from 0.
    Choice(&'static [&'static CStr]),
    /// Steps from 0 to `max`, both included, of a level.
    Volume { max: u32, scale: &'static Scale },
}

impl Kind {
    /// The largest value.
    const fn max(self) -> u32 {
        match self {
            Self::Switch => 1,
            Self::Choice(names) => names.len().saturating_sub(1) as u32,
            Self::Volume { max, .. } => max,
        }
    }
}

/// How the steps of a volume are in decibels (`SNDRV_CTL_TLVT_DB_SCALE`), as user space reads it.
pub(crate) struct Scale([c_uint; 4]);

impl Scale {
    /// From `lowest`, which is not silence, in steps of `step`; both in hundredths of a decibel.
    pub(crate) const fn new(lowest: i32, step: u32) -> Self {
        // Above these bits is the mark of a lowest step that is silence.
        assert!(step <= sys::SNDRV_CTL_TLVD_DB_SCALE_MASK);
        // The length counts the two words behind it. CAST: The same bits.
        Self([sys::SNDRV_CTL_TLVT_DB_SCALE, 8, lowest as c_uint, step])
    }
}

/// The values of an element: an array.
pub(crate) trait Values: Copy + AsRef<[u32]> + AsMut<[u32]> {
    const COUNT: usize;
    const ZERO: Self;
}

impl<const N: usize> Values for [u32; N] {
    const COUNT: usize = N;
    const ZERO: Self = [0; N];
}

/// A control element, one for each of some substreams.
pub(crate) trait ControlOps: 'static {
    /// What all substreams of the card share.
    type Card: Send + Sync + 'static;
    /// Its values: `[u32; N]`.
    type Values: Values;

    /// Its name (Documentation/sound/designs/control-names.rst).
    const NAME: &'static CStr;
    const INTERFACE: Interface;
    const KIND: Kind;

    /// The values for stream `number`.
    fn get(card: &Self::Card, number: u32) -> Result<Self::Values>;

    /// Sets the values for stream `number`, each at most the kind's largest; whether one has changed.
    fn put(card: &Self::Card, number: u32, values: Self::Values) -> Result<bool>;
}

struct Element<T: ControlOps>(T);

impl<T: ControlOps> Element<T> {
    /// The stream's number and what its card shares.
    ///
    /// # Safety
    ///
    /// `control` must be valid during `'a`, and made by [`Card::add_control`] for `T`.
    unsafe fn parts<'a>(control: *mut sys::snd_kcontrol) -> (ArcBorrow<'a, T::Card>, u32) {
        // SAFETY: By the safety requirement.
        let (data, number) = unsafe { ((*control).private_data, (*control).private_value) };
        // SAFETY: It is the card's private data, an `Arc<T::Card>` that is given back after all controls
        // are gone.
        let card = unsafe { Arc::<T::Card>::borrow(data) };
        // CAST: Stored from a u32.
        (card, number as u32)
    }

    /// # Safety
    ///
    /// For the sound core: both are valid, `control` of `T`'s.
    unsafe extern "C" fn info(
        _control: *mut sys::snd_kcontrol,
        info: *mut sys::snd_ctl_elem_info,
    ) -> c_int {
        // CAST: At most VALUES_MAX.
        let count = T::Values::COUNT as c_uint;
        if let Kind::Choice(choices) = T::KIND {
            let mut names = [ptr::null(); CHOICES_MAX];
            for (to, name) in names.iter_mut().zip(choices) {
                *to = name.as_char_ptr();
            }
            let items = choices.len().min(CHOICES_MAX) as c_uint;
            // SAFETY: By the safety requirement; the first `items` names are static strings.
            return unsafe { sys::snd_ctl_enum_info(info, count, items, names.as_ptr()) };
        }
        let kind = match T::KIND {
            Kind::Switch => sys::SGRING_CTL_ELEM_TYPE_BOOLEAN,
            _ => sys::SGRING_CTL_ELEM_TYPE_INTEGER,
        };
        // SAFETY: By the safety requirement.
        let info = unsafe { &mut *info };
        // CAST: The core's own type.
        info.type_ = kind as sys::snd_ctl_elem_type_t;
        info.count = count;
        // SAFETY: Both kinds have integers.
        let range = unsafe { info.value.integer.as_mut() };
        range.min = 0;
        // CAST: No kind has more than 31 bits.
        range.max = T::KIND.max() as c_long;
        0
    }

    /// # Safety
    ///
    /// For the sound core: both are valid, `control` of `T`'s.
    unsafe extern "C" fn get(
        control: *mut sys::snd_kcontrol,
        value: *mut sys::snd_ctl_elem_value,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let (card, number) = unsafe { Self::parts(control) };
            let now = T::get(&card, number)?;
            if let Kind::Choice(_) = T::KIND {
                // SAFETY: By the safety requirement; a choice has items.
                let to = unsafe { &mut (*value).value.enumerated.item };
                for (to, &now) in to.iter_mut().zip(now.as_ref()) {
                    *to = now;
                }
            } else {
                // SAFETY: By the safety requirement; all others have integers.
                let to = unsafe { &mut (*value).value.integer.value };
                for (to, &now) in to.iter_mut().zip(now.as_ref()) {
                    // CAST: As in `info()`.
                    *to = now as c_long;
                }
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the sound core: both are valid, `control` of `T`'s.
    unsafe extern "C" fn put(
        control: *mut sys::snd_kcontrol,
        value: *mut sys::snd_ctl_elem_value,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let (card, number) = unsafe { Self::parts(control) };
            let mut wanted = T::Values::ZERO;
            if let Kind::Choice(_) = T::KIND {
                // SAFETY: By the safety requirement; a choice has items.
                let from = unsafe { &(*value).value.enumerated.item };
                for (to, &from) in wanted.as_mut().iter_mut().zip(from) {
                    *to = from;
                }
            } else {
                // SAFETY: By the safety requirement; all others have integers.
                let from = unsafe { &(*value).value.integer.value };
                for (to, &from) in wanted.as_mut().iter_mut().zip(from) {
                    *to = from.try_into().map_err(|_| EINVAL)?;
                }
            }
            if wanted.as_ref().iter().any(|&value| value > T::KIND.max()) {
                return Err(EINVAL);
            }
            // 1 tells the core that listeners want to know.
            Ok(T::put(&card, number, wanted)?.into())
        })
    }
}

impl<D: Send + Sync + 'static> Card<D> {
    /// Adds the control `T` for the card's stream `number`, which is substream `subdevice` of PCM
    /// `device`.
    pub(crate) fn add_control<T: ControlOps<Card = D>>(
        &self,
        device: u32,
        subdevice: u32,
        number: u32,
    ) -> Result {
        const { assert!(T::Values::COUNT >= 1 && T::Values::COUNT <= VALUES_MAX) };
        // SAFETY: All zeros are a template that says nothing yet.
        let mut new: sys::snd_kcontrol_new = unsafe { MaybeUninit::zeroed().assume_init() };
        let interface = match T::INTERFACE {
            Interface::Mixer => {
                new.index = subdevice;
                sys::SGRING_CTL_ELEM_IFACE_MIXER
            }
            Interface::Pcm => {
                new.device = device;
                new.subdevice = subdevice;
                sys::SGRING_CTL_ELEM_IFACE_PCM
            }
        };
        new.iface = interface as sys::snd_ctl_elem_iface_t;
        new.name = T::NAME.as_char_ptr();
        new.access = sys::SNDRV_CTL_ELEM_ACCESS_READWRITE;
        if let Kind::Volume { scale, .. } = T::KIND {
            new.access |= sys::SNDRV_CTL_ELEM_ACCESS_TLV_READ;
            // Read by the core as long as the control lives; static.
            new.tlv.p = scale.0.as_ptr();
        }
        new.info = Some(Element::<T>::info);
        new.get = Some(Element::<T>::get);
        new.put = Some(Element::<T>::put);
        // CAST: Widens.
        new.private_value = number as usize;
        // SAFETY: The card is valid; its private data are the `Arc<D>` that `parts()` borrows.
        let data = unsafe { (*self.as_ptr()).private_data };
        // SAFETY: The core copies the template; name and scale are static.
        let control = unsafe { sys::snd_ctl_new1(&new, data) };
        if control.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The card is valid. The core takes the control, also when this fails.
        to_result(unsafe { sys::snd_ctl_add(self.as_ptr(), control) })
    }
}
