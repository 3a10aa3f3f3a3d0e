// SPDX-License-Identifier: GPL-2.0-only

//! Being told when the machine has slept.
//!
//! The PCI core gives a device its configuration back by itself, and the sound core has its streams suspended;
//! what is left for a driver is to tell the card again what it has forgotten. The Rust PCI driver has no
//! callbacks for that yet, so this goes by the kernel's notifier. It comes when tasks run again: a client may be
//! faster.

use super::sys;
use kernel::{
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Who wants to know.
pub(crate) trait Woken: Send + Sync + 'static {
    /// The machine was asleep and runs again. May sleep.
    fn woken(&self);
}

/// Tells `who` until it is dropped.
///
/// # Invariants
///
/// `block` is registered with [`Self::call`], and unregistered before this goes, which waits for calls under
/// way.
#[pin_data(PinnedDrop)]
pub(crate) struct Waking<T: Woken> {
    who: Arc<T>,
    #[pin]
    block: Opaque<bindings::notifier_block>,
}

// SAFETY: The notifier chain has its own lock; of `who` there are shared references only.
unsafe impl<T: Woken> Send for Waking<T> {}

// SAFETY: As above.
unsafe impl<T: Woken> Sync for Waking<T> {}

impl<T: Woken> Waking<T> {
    pub(crate) fn new(who: Arc<T>) -> Result<Pin<KBox<Self>>> {
        let init = try_pin_init!(Self {
            who,
            block <- Opaque::try_ffi_init(|block: *mut bindings::notifier_block| {
                let value = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    ..Default::default()
                };
                // SAFETY: `block` is valid for writes.
                unsafe { block.write(value) };
                // SAFETY: Just written, and pinned from now on. `who`, which a call looks at, was initialised
                // before.
                to_result(unsafe { sys::register_pm_notifier(block) })
            }),
        });
        KBox::pin_init(init, GFP_KERNEL)
    }

    /// # Safety
    ///
    /// For the notifier chain: `block` is the field of a `Waking<T>`.
    unsafe extern "C" fn call(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirement; by the type invariant it lives until this has returned.
        let this = unsafe { &*container_of!(Opaque::cast_from(block), Self, block) };
        if [
            sys::SGRING_PM_POST_SUSPEND,
            sys::SGRING_PM_POST_HIBERNATION,
            sys::SGRING_PM_POST_RESTORE,
        ]
        .into_iter()
        // CAST: Widens.
        .any(|post| event == post as c_ulong)
        {
            this.who.woken();
        }
        // Not interested, or done: others want to know too.
        sys::SGRING_NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl<T: Woken> PinnedDrop for Waking<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered.
        unsafe { sys::unregister_pm_notifier(self.block.get()) };
    }
}
