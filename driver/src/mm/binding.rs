// SPDX-License-Identifier: GPL-2.0-only

//! Proof that a device is still bound, for callbacks that come without one.
//!
//! A sound driver allocates its DMA memory in `hw_params`, called for an open file that may outlive
//! the device. Kernel interfaces that create device-managed resources ask for `&Device<Bound>`;
//! [`Binding::with`] hands one out while it keeps unbinding waiting, [`Binding::atomically`] does so where
//! nobody may sleep.

use crate::raw;
use kernel::{
    bindings,
    device::{
        Bound,
        Core,
        Device, //
    },
    devres,
    dma::{
        Device as _,
        DmaMask, //
    },
    new_mutex, pci,
    prelude::*,
    revocable::Revocable,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
};

/// A device and whether it is still bound to this driver.
///
/// # Invariants
///
/// While `bound` is locked and true, and while `alive` is accessed, the device is bound to this driver.
#[pin_data]
pub(crate) struct Binding {
    dev: ARef<Device>,
    #[pin]
    bound: Mutex<bool>,
    #[pin]
    alive: Revocable<ARef<Device>>,
}

/// Takes memory away from the device: what it still reads, writes or signals by itself comes to nothing. For a
/// device that cannot be trusted to be silent, before its memory goes.
pub(crate) fn cut_off(pdev: &pci::Device<Core<'_>>) {
    // SAFETY: `pdev` is valid, and by its type in probe or unbind, which nobody else configures it in.
    unsafe { bindings::pci_clear_master(raw::pci_dev(pdev)) };
}

/// Ends the binding at the latest when the device's managed resources are released.
struct EndAtUnbind(Arc<Binding>);

impl Drop for EndAtUnbind {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Binding {
    /// Starts to follow the binding of `pdev`, and tells the DMA layer what the device can address
    /// (`bits`) and how long a segment it takes (`segment`, bytes).
    ///
    /// The first thing that a probe does about DMA: every later allocation goes by these limits.
    ///
    /// # Errors
    ///
    /// `EINVAL` for more than 64 bits, `EIO` where the platform cannot serve such a device, `ENOMEM`.
    pub(crate) fn new(pdev: &pci::Device<Core<'_>>, bits: u32, segment: u32) -> Result<Arc<Self>> {
        let mask = DmaMask::try_new(bits)?;
        // SAFETY: `Device<Core>` exists in probe and unbind only, which exclude each other, and this
        // driver's DMA memory is allocated through a `Binding`, of which there is none yet.
        unsafe { pdev.dma_set_mask_and_coherent(mask) }?;
        // SAFETY: As above.
        unsafe { pdev.dma_set_max_seg_size(segment) };

        let dev: &Device<Bound> = pdev.as_ref();
        let binding = Arc::pin_init(
            pin_init!(Self {
                dev: ARef::from(&**dev),
                // INVARIANT: `dev` is bound now; the guard below clears the flag, under the lock,
                // before the device can become unbound.
                bound <- new_mutex!(true),
                alive <- Revocable::new(ARef::from(&**dev)),
            }? Error),
            GFP_KERNEL,
        )?;
        devres::register(dev, EndAtUnbind(binding.clone()), GFP_KERNEL)?;
        Ok(binding)
    }

    /// Runs `f` with the device, which stays bound until `f` returns. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` after [`Self::end`]; else what `f` returns.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Device<Bound>) -> Result<R>) -> Result<R> {
        let bound = self.bound.lock();
        if !*bound {
            return Err(ENODEV);
        }
        // SAFETY: By the type invariant, as the lock is held until after `f` has returned.
        f(unsafe { self.dev.as_bound() })
    }

    /// Runs `f` with the device, which stays bound until `f` returns; not after [`Self::end`]. Any
    /// context; `f` may not sleep.
    pub(crate) fn atomically(&self, f: impl FnOnce(&Device<Bound>)) {
        if let Some(dev) = self.alive.try_access() {
            // SAFETY: By the type invariant, as `dev` is held until after `f` has returned.
            f(unsafe { dev.as_bound() });
        }
    }

    /// Ends the binding: waits for calls of `f` under way and makes no later ones.
    ///
    /// To be called when unbinding begins, so that no resource is created in the middle of it.
    pub(crate) fn end(&self) {
        *self.bound.lock() = false;
        self.alive.revoke();
    }
}
