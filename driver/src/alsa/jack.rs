// SPDX-License-Identifier: GPL-2.0-only

//! Jacks: what user space is told of plugs, by a control element and by an input device each.
//!
//! The input device is the sound core's jack. It could have the element too, but where the core has no memory for
//! all of that (`snd_jack_kctl_new()`, `snd_jack_new()`, sound/core/jack.c) it leaves one in the card's list that
//! it has freed, or not completed. So the element is made here.
//!
//! The sound core frees a card's jacks with the card, which may be before the last of the driver's own data. So
//! who tells of plugs has a [`Jacks`], which the card empties first.

use super::{
    card::Card,
    sys, //
};
use core::{
    mem::MaybeUninit,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

/// Most jacks of a card.
const MAX: usize = 4;

/// What is plugged into a jack (`SND_JACK_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JackKind {
    LineOut,
    LineIn,
}

impl JackKind {
    fn number(self) -> c_int {
        let number = match self {
            Self::LineOut => sys::snd_jack_types_SND_JACK_LINEOUT,
            Self::LineIn => sys::snd_jack_types_SND_JACK_LINEIN,
        };
        // CAST: One of a few bits.
        number as c_int
    }
}

/// How a jack is called.
pub(crate) struct JackInfo {
    pub(crate) kind: JackKind,
    /// Its input device, behind the name of the card.
    pub(crate) input: &'static CStr,
    /// Its control element; ends in "Jack".
    pub(crate) element: &'static CStr,
}

struct Jack {
    kind: JackKind,
    input: NonNull<sys::snd_jack>,
    element: NonNull<sys::snd_kcontrol>,
    card: NonNull<sys::snd_card>,
}

// SAFETY: The sound core's functions may be called from any task.
unsafe impl Send for Jack {}

/// What an element's value is kept in.
///
/// # Safety
///
/// `element` must be valid during `'a`, and made by [`Card::add_element`].
unsafe fn value<'a>(element: *mut sys::snd_kcontrol) -> &'a Atomic<usize> {
    // SAFETY: By the safety requirement.
    let value = unsafe { ptr::addr_of_mut!((*element).private_value) };
    // SAFETY: An aligned word of the element, which nobody else uses.
    unsafe { Atomic::from_ptr(value) }
}

impl Jack {
    /// # Safety
    ///
    /// Its card must not be freed yet.
    unsafe fn report(&self, plugged: bool) {
        let element = self.element.as_ptr();
        // SAFETY: By the safety requirement: elements live as long as their card.
        let value = unsafe { value(element) };
        if value.xchg(plugged.into(), Relaxed) != usize::from(plugged) {
            // SAFETY: As above; the core reads the id.
            unsafe {
                sys::snd_ctl_notify(
                    self.card.as_ptr(),
                    sys::SNDRV_CTL_EVENT_MASK_VALUE,
                    ptr::addr_of_mut!((*element).id),
                )
            };
        }
        let status = if plugged { self.kind.number() } else { 0 };
        // SAFETY: By the safety requirement: so do jacks.
        unsafe { sys::snd_jack_report(self.input.as_ptr(), status) };
    }
}

/// The jacks of one card, which may not have any yet or any more.
///
/// # Invariants
///
/// The card of each jack in `jacks` is not freed: it empties the list before.
#[pin_data]
pub(crate) struct Jacks {
    #[pin]
    jacks: Mutex<[Option<Jack>; MAX]>,
}

impl Jacks {
    /// None yet: they come by [`Card::add_jacks`].
    pub(crate) fn new() -> Result<Arc<Self>> {
        let jacks = pin_init!(Self {
            jacks <- new_mutex!([const { None }; MAX]),
        });
        Arc::pin_init(jacks, GFP_KERNEL)
    }

    /// Tells whether something is plugged into jack `number`, also when that is no news. Does nothing for a jack
    /// that there is not. May sleep.
    pub(crate) fn report(&self, number: u32, plugged: bool) {
        let jacks = self.jacks.lock();
        if let Some(Some(jack)) = jacks.get(number as usize) {
            // SAFETY: By the type invariant, as long as the lock is held.
            unsafe { jack.report(plugged) };
        }
    }

    /// There are none any more, and none is being told about. May sleep.
    pub(super) fn end(&self) {
        for jack in &mut *self.jacks.lock() {
            *jack = None;
        }
    }
}

/// # Safety
///
/// For the sound core: both are valid, `control` made by [`Card::add_element`].
unsafe extern "C" fn get(
    control: *mut sys::snd_kcontrol,
    to: *mut sys::snd_ctl_elem_value,
) -> c_int {
    // SAFETY: By the safety requirement.
    let plugged = unsafe { value(control) }.load(Relaxed);
    // SAFETY: By the safety requirement; a switch has integers. CAST: 0 or 1.
    unsafe { (*to).value.integer.value[0] = plugged as c_long };
    0
}

impl<D: Send + Sync + 'static> Card<D> {
    /// Adds jacks to a card that has none, to be told about by `jacks`. Nothing is plugged yet.
    ///
    /// # Errors
    ///
    /// `EBUSY` when either has some; `EINVAL` for more than four; `ENOMEM`.
    pub(crate) fn add_jacks(&mut self, jacks: &Arc<Jacks>, list: &'static [JackInfo]) -> Result {
        let mut places = jacks.jacks.lock();
        if self.jacks.is_some() || places.iter().any(Option::is_some) {
            return Err(EBUSY);
        }
        if list.len() > MAX {
            return Err(EINVAL);
        }
        // First that they are taken away, then that they are there.
        self.jacks = Some(jacks.clone());
        for (place, info) in places.iter_mut().zip(list) {
            // INVARIANT: Just made, and `self.jacks` is emptied before the card goes.
            *place = Some(Jack {
                kind: info.kind,
                input: self.add_input(info)?,
                element: self.add_element(info)?,
                card: NonNull::new(self.as_ptr()).ok_or(ENODEV)?,
            });
        }
        Ok(())
    }

    /// A jack of the core's, without an element.
    fn add_input(&self, info: &JackInfo) -> Result<NonNull<sys::snd_jack>> {
        let mut jack = ptr::null_mut();
        // SAFETY: The card is valid and not registered; the core copies the name; `jack` is written on
        // success.
        to_result(unsafe {
            sys::snd_jack_new(
                self.as_ptr(),
                info.input.as_char_ptr(),
                info.kind.number(),
                &mut jack,
                false,
                false,
            )
        })?;
        NonNull::new(jack).ok_or(ENOMEM)
    }

    /// An element that says whether something is plugged.
    fn add_element(&self, info: &JackInfo) -> Result<NonNull<sys::snd_kcontrol>> {
        // SAFETY: All zeros are a template that says nothing yet.
        let mut new: sys::snd_kcontrol_new = unsafe { MaybeUninit::zeroed().assume_init() };
        new.iface = sys::SGRING_CTL_ELEM_IFACE_CARD as sys::snd_ctl_elem_iface_t;
        new.name = info.element.as_char_ptr();
        new.access = sys::SNDRV_CTL_ELEM_ACCESS_READ;
        new.info = Some(sys::snd_ctl_boolean_mono_info);
        new.get = Some(get);
        // SAFETY: The core copies the template; the name is static.
        let element = NonNull::new(unsafe { sys::snd_ctl_new1(&new, ptr::null_mut()) });
        let element = element.ok_or(ENOMEM)?;
        // SAFETY: The card is valid. The core takes the element, also when this fails.
        to_result(unsafe { sys::snd_ctl_add(self.as_ptr(), element.as_ptr()) })?;
        Ok(element)
    }
}
