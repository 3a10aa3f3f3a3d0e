// SPDX-License-Identifier: GPL-2.0

//! Control elements that belong to one substream: switches and choices.
//!
//! The core calls `get` and `put` with the card's control lock held, which may sleep, and not any more
//! after the card was disconnected. A value comes from user space; what is not one of the element's is
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

/// A control element, one for each of some substreams.
pub(crate) trait ControlOps: 'static {
    /// What all substreams of the card share.
    type Card: Send + Sync + 'static;

    /// Its name (Documentation/sound/designs/control-names.rst).
    const NAME: &'static CStr;

    /// The names of a choice, 2 to 8; none for a switch, whose values are 0 and 1.
    const CHOICES: &'static [&'static CStr];

    /// The value for stream `number`.
    fn get(card: &Self::Card, number: u32) -> Result<u32>;

    /// Sets the value for stream `number`; whether it has changed.
    fn put(card: &Self::Card, number: u32, value: u32) -> Result<bool>;
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
        if T::CHOICES.is_empty() {
            // SAFETY: By the safety requirement.
            return unsafe { sys::snd_ctl_boolean_mono_info(ptr::null_mut(), info) };
        }
        let mut names = [ptr::null(); CHOICES_MAX];
        for (to, name) in names.iter_mut().zip(T::CHOICES) {
            *to = name.as_char_ptr();
        }
        let count = T::CHOICES.len().min(CHOICES_MAX) as c_uint;
        // SAFETY: By the safety requirement; the first `count` names are static strings.
        unsafe { sys::snd_ctl_enum_info(info, 1, count, names.as_ptr()) }
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
            match T::CHOICES.is_empty() {
                // SAFETY: By the safety requirement; a switch has integers. CAST: 0 or 1.
                true => unsafe { (*value).value.integer.value[0] = now as c_long },
                // SAFETY: By the safety requirement; a choice has items.
                false => unsafe { (*value).value.enumerated.item[0] = now },
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
            let (wanted, values) = match T::CHOICES.is_empty() {
                // SAFETY: By the safety requirement; a switch has integers.
                true => (unsafe { (*value).value.integer.value[0] } as u64, 2),
                false => (
                    // SAFETY: By the safety requirement; a choice has items.
                    unsafe { (*value).value.enumerated.item[0] }.into(),
                    T::CHOICES.len() as u64,
                ),
            };
            if wanted >= values {
                return Err(EINVAL);
            }
            // CAST: Below `values`. 1 tells the core that listeners want to know.
            Ok(T::put(&card, number, wanted as u32)?.into())
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
        // SAFETY: All zeros are a template that says nothing yet.
        let mut new: sys::snd_kcontrol_new = unsafe { MaybeUninit::zeroed().assume_init() };
        new.iface = sys::SGRING_CTL_ELEM_IFACE_PCM as sys::snd_ctl_elem_iface_t;
        new.device = device;
        new.subdevice = subdevice;
        new.name = T::NAME.as_char_ptr();
        new.access = sys::SNDRV_CTL_ELEM_ACCESS_READWRITE;
        new.info = Some(Element::<T>::info);
        new.get = Some(Element::<T>::get);
        new.put = Some(Element::<T>::put);
        // CAST: Widens.
        new.private_value = number as usize;
        // SAFETY: The card is valid; its private data are the `Arc<D>` that `parts()` borrows.
        let data = unsafe { (*self.as_ptr()).private_data };
        // SAFETY: The core copies the template; the name is static.
        let control = unsafe { sys::snd_ctl_new1(&new, data) };
        // SAFETY: The card is valid. The core takes the control, also when this fails, and null for
        // ENOMEM.
        to_result(unsafe { sys::snd_ctl_add(self.as_ptr(), control) })
    }
}
