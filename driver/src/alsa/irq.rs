// SPDX-License-Identifier: GPL-2.0-only

//! The message-signalled interrupts of a card, one handler for all of them.
//!
//! What `snd_card.sync_irq` is for a card with one interrupt, for a card with many. The vectors are
//! device managed: they are freed, which waits for running handlers, before the device is unbound and
//! before any resource that was acquired earlier.

use crate::{
    raw,
    seam, //
};
use kernel::{
    bindings,
    device::Bound,
    devres,
    error::to_result,
    pci,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// What runs when a vector fires.
pub(crate) trait VectorHandler: Send + Sync + 'static {
    /// Vector number `vector`, counted from 0, has fired. Interrupt context.
    fn interrupt(&self, vector: u32);
}

/// One requested vector. Boxed: its address is the interrupt's cookie.
struct Line<H> {
    handler: Arc<H>,
    vector: u32,
    irq: c_uint,
}

/// The vectors of a device.
///
/// # Invariants
///
/// `dev` has an allocation of at least `len` vectors; each of `lines` is requested.
pub(crate) struct Vectors<H: VectorHandler> {
    dev: ARef<pci::Device>,
    len: u32,
    lines: KVec<KBox<Line<H>>>,
}

impl<H: VectorHandler> Vectors<H> {
    /// Allocates between one and `max` MSI-X vectors.
    ///
    /// # Errors
    ///
    /// `ENOSPC` or what the PCI core says when there is not even one.
    pub(crate) fn alloc(dev: &pci::Device<Bound>, max: u32) -> Result<Self> {
        // SAFETY: `dev` is bound, its `struct pci_dev` valid.
        let len = unsafe {
            bindings::pci_alloc_irq_vectors(raw::pci_dev(dev), 1, max, bindings::PCI_IRQ_MSIX)
        };
        to_result(len)?;
        // INVARIANT: The PCI core has allocated `len` vectors.
        Ok(Self {
            dev: ARef::from(&**dev),
            len: len.try_into()?,
            lines: KVec::new(),
        })
    }

    /// How many vectors were granted, at least 1.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Requests every vector for `handler` and leaves them to the device's managed resources.
    pub(crate) fn request(
        mut self,
        dev: &pci::Device<Bound>,
        name: &'static CStr,
        handler: Arc<H>,
    ) -> Result {
        for vector in 0..self.len {
            // SAFETY: `self.dev` is valid by its type.
            let irq = unsafe { bindings::pci_irq_vector(raw::pci_dev(&self.dev), vector) };
            to_result(irq)?;
            let line = KBox::new(
                Line {
                    handler: handler.clone(),
                    vector,
                    irq: irq.try_into()?,
                },
                GFP_KERNEL,
            )?;
            // First the place, then the request: what was requested must not be dropped unrequested.
            self.lines.reserve(1, GFP_KERNEL)?;
            // SAFETY: `line` is boxed, so that its address stays the same, and is freed only after
            // `free_irq()` in `drop()`.
            to_result(unsafe {
                bindings::request_irq(
                    line.irq,
                    Some(interrupt::<H>),
                    0,
                    name.as_char_ptr(),
                    core::ptr::from_ref(&*line).cast_mut().cast(),
                )
            })?;
            // INVARIANT: `line` is requested.
            self.lines.push(line, GFP_KERNEL)?;
        }
        devres::register(dev.as_ref(), self, GFP_KERNEL)
    }
}

impl<H: VectorHandler> Drop for Vectors<H> {
    fn drop(&mut self) {
        for line in &self.lines {
            // SAFETY: By the type invariant, requested with this cookie. Waits for the handler.
            unsafe { bindings::free_irq(line.irq, core::ptr::from_ref(&**line).cast_mut().cast()) };
        }
        // SAFETY: By the type invariant; no vector is requested any more.
        unsafe { bindings::pci_free_irq_vectors(raw::pci_dev(&self.dev)) };
    }
}

/// # Safety
///
/// `cookie` must be the [`Line`] that the interrupt was requested with.
unsafe extern "C" fn interrupt<H: VectorHandler>(
    _irq: c_int,
    cookie: *mut c_void,
) -> seam::IrqReturn {
    // SAFETY: By the safety requirement; `free_irq()` waits for us before the line is freed.
    let line = unsafe { &*cookie.cast::<Line<H>>() };
    line.handler.interrupt(line.vector);
    // MSI-X vectors are not shared with other devices.
    seam::IRQ_HANDLED
}
