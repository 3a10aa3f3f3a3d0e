// SPDX-License-Identifier: GPL-2.0-only

//! Ring memory on the card: a BAR that is memory, handed out in extents.
//!
//! Such memory has no `struct page` (M12). What shows it to user space are bare page frame numbers, which
//! nobody counts: they are taken out of every mapping before the BAR goes away. The kernel's own accesses go
//! through the I/O functions and fail after unbind.
//!
//! Cache mode (M20): the kernel's mapping is write-combining and made before any other, which reserves
//! the whole range so; on x86 every inserted frame then gets the mode of the reservation, whatever the VMA
//! says (mm/memory.c, arch/x86/mm/pat/memtype.c).
//!
//! Locks: what is handed out has a mutex, taken inside the caller's ring lock; inside of it are those of
//! [`Mappings`].

use super::{
    fault::{
        Answer,
        VmFault, //
    },
    Mappings, //
};
use crate::{
    bounds,
    extent::{
        self,
        Extent, //
    },
    raw, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    devres::{
        self,
        Devres, //
    },
    error::to_result,
    new_mutex,
    page::PAGE_SIZE,
    pci,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// The kernel's mapping of the BAR.
///
/// # Invariants
///
/// BAR `bar` of `pdev` is requested and mapped at `base`, `bytes` bytes.
struct Window {
    pdev: ARef<pci::Device>,
    bar: c_int,
    base: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: The mapping may be used from any task.
unsafe impl Send for Window {}

// SAFETY: The I/O functions may be called at the same time.
unsafe impl Sync for Window {}

impl Drop for Window {
    fn drop(&mut self) {
        let pdev = raw::pci_dev(&self.pdev);
        // SAFETY: By the type invariant; nobody uses the mapping any more.
        unsafe { bindings::pci_iounmap(pdev, self.base.as_ptr()) };
        // SAFETY: By the type invariant.
        unsafe { bindings::pci_release_region(pdev, self.bar) };
    }
}

impl Window {
    fn map(pdev: &pci::Device<Bound>, bar: u32, name: &'static CStr) -> Result<Self> {
        let bytes = pdev.resource_len(bar)?.try_into()?;
        let bar = bar.try_into()?;
        // SAFETY: `pdev` is valid and bound, the name static.
        to_result(unsafe {
            bindings::pci_request_region(raw::pci_dev(pdev), bar, name.as_char_ptr())
        })?;
        // SAFETY: `pdev` is valid; the whole BAR.
        let base = unsafe { bindings::pci_iomap_wc(raw::pci_dev(pdev), bar, 0) };
        match NonNull::new(base) {
            // INVARIANT: As just done.
            Some(base) => Ok(Self {
                pdev: ARef::from(&**pdev),
                bar,
                base,
                bytes,
            }),
            None => {
                // SAFETY: Requested above.
                unsafe { bindings::pci_release_region(raw::pci_dev(pdev), bar) };
                Err(ENOMEM)
            }
        }
    }

    /// The kernel's address of `bytes` bytes from `at`, if they are there.
    fn range(&self, at: usize, bytes: usize) -> Result<*mut c_void> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.bytes => {
                Ok(self.base.as_ptr().cast::<u8>().wrapping_add(at).cast())
            }
            _ => Err(EINVAL),
        }
    }
}

/// An extent that was handed out, and who may have it mapped.
struct Taken {
    extent: Extent,
    mappings: Arc<Mappings>,
}

/// What is handed out.
struct State {
    /// The device is going: no frame is mapped any more.
    ended: bool,
    /// Sorted.
    taken: KVec<Taken>,
}

/// The memory of one card.
///
/// # Invariants
///
/// The BAR is requested, its frames are the card's memory, as long as `state` is locked and not `ended`.
#[pin_data]
pub(crate) struct Sram {
    window: Devres<Window>,
    /// Number of the BAR's first page frame.
    frame: usize,
    pages: usize,
    #[pin]
    state: Mutex<State>,
}

/// Ends the memory before the BAR goes: made after the BAR's mapping, it is dropped before it.
struct EndAtUnbind(Arc<Sram>);

impl Drop for EndAtUnbind {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Sram {
    /// Maps BAR `bar`, of which the card says that it holds `bytes` bytes of memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a BAR that is smaller or not page aligned, or what PCI says.
    pub(crate) fn new(
        pdev: &pci::Device<Bound>,
        bar: u32,
        bytes: u64,
        name: &'static CStr,
    ) -> Result<Arc<Self>> {
        let start: usize = pdev.resource_start(bar)?.try_into()?;
        if pdev.resource_len(bar)? < bytes || start % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let dev: &Device<Bound> = pdev.as_ref();
        let window = Window::map(pdev, bar, name)?;
        let sram = Arc::pin_init(
            try_pin_init!(Self {
                window: Devres::new(dev, Ok::<_, Error>(window))?,
                frame: start / PAGE_SIZE,
                pages: usize::try_from(bytes)? / PAGE_SIZE,
                // INVARIANT: Requested above; the guard below sets `ended` before it is released.
                state <- new_mutex!(State {
                    ended: false,
                    taken: KVec::new(),
                }),
            }? Error),
            GFP_KERNEL,
        )?;
        devres::register(dev, EndAtUnbind(sram.clone()), GFP_KERNEL)?;
        Ok(sram)
    }

    /// Takes all of it out of all mappings, and maps none of it again.
    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        for taken in &state.taken {
            taken.mappings.revoke(taken.extent.pages * PAGE_SIZE);
        }
    }

    /// Takes `bytes` bytes, rounded up to pages, for a ring that `mappings` are told of.
    ///
    /// # Errors
    ///
    /// `ENOSPC` where there is no such room in one piece, `ENOMEM`.
    pub(crate) fn take(
        self: &Arc<Self>,
        bytes: usize,
        mappings: &Arc<Mappings>,
    ) -> Result<Arc<Area>> {
        let pages = bytes.div_ceil(PAGE_SIZE);
        let mut state = self.state.lock();
        let extents = state.taken.iter().map(|taken| taken.extent);
        let (index, extent) = extent::first_fit(extents, self.pages, pages).ok_or(ENOSPC)?;
        state.taken.reserve(1, GFP_KERNEL)?;
        let taken = Taken {
            extent,
            mappings: mappings.clone(),
        };
        state
            .taken
            .insert_within_capacity(index, taken)
            .map_err(|_| ENOMEM)?;
        drop(state);
        // Dropped, also when there is no memory for the count, it is given back.
        let area = Area {
            sram: self.clone(),
            extent,
        };
        Ok(Arc::new(area, GFP_KERNEL)?)
    }
}

/// A part of the card's memory. Given back when dropped. May sleep then.
///
/// # Invariants
///
/// `extent` is in `sram`'s list, once, and inside the BAR.
pub(crate) struct Area {
    sram: Arc<Sram>,
    extent: Extent,
}

impl Drop for Area {
    fn drop(&mut self) {
        let mut state = self.sram.state.lock();
        let mut all = state.taken.iter();
        if let Some(index) = all.position(|taken| taken.extent == self.extent) {
            let _ = state.taken.remove(index);
        }
    }
}

impl Area {
    /// Its offset in the BAR, bytes.
    pub(crate) fn offset(&self) -> u64 {
        (self.extent.first * PAGE_SIZE) as u64
    }

    fn bytes(&self) -> usize {
        self.extent.pages * PAGE_SIZE
    }

    /// Its offset in the BAR of `bytes` bytes from `at`.
    fn at(&self, at: usize, bytes: usize) -> Result<usize> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.bytes() => Ok(self.extent.first * PAGE_SIZE + at),
            _ => Err(EINVAL),
        }
    }

    /// Writes `data` from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` behind the end, `ENODEV` after unbind.
    pub(crate) fn write(&self, at: usize, data: &[u8]) -> Result {
        let window = self.sram.window.try_access().ok_or(ENODEV)?;
        let to = window.range(self.at(at, data.len())?, data.len())?;
        // SAFETY: `range()` has checked it, and `window`, the access guard, keeps it mapped.
        unsafe { bindings::memcpy_toio(to, data.as_ptr().cast(), data.len()) };
        Ok(())
    }

    /// Reads from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn read(&self, at: usize, data: &mut [u8]) -> Result {
        let window = self.sram.window.try_access().ok_or(ENODEV)?;
        let from = window.range(self.at(at, data.len())?, data.len())?;
        // SAFETY: As in `write()`.
        unsafe { bindings::memcpy_fromio(data.as_mut_ptr().cast(), from, data.len()) };
        Ok(())
    }

    /// Sets all bytes to 0.
    ///
    /// # Errors
    ///
    /// `ENODEV` after unbind.
    pub(crate) fn clear(&self) -> Result {
        let window = self.sram.window.try_access().ok_or(ENODEV)?;
        let to = window.range(self.at(0, self.bytes())?, self.bytes())?;
        // SAFETY: As in `write()`.
        unsafe { bindings::memset_io(to, 0, self.bytes()) };
        Ok(())
    }

    /// Answers `fault`, of one of the mappings that [`Sram::take`] was given, with page `index` and, of those
    /// behind it, as many as fit in `window` pages and in the mapping.
    pub(crate) fn insert(&self, fault: &VmFault<'_>, index: usize, window: usize) -> Answer {
        let count = bounds::window(index, self.extent.pages, fault.pages_left(), window);
        let first = self.sram.frame + self.extent.first + index;
        let state = self.sram.state.lock();
        match count {
            0 => Answer::SIGBUS,
            _ if state.ended => Answer::SIGBUS,
            // SAFETY: By the type invariants the frames are this card's memory while `state` is locked, and
            // `end()` takes them away again, under the same lock.
            _ => unsafe { fault.insert_frames(first, count) },
        }
    }
}
