// SPDX-License-Identifier: GPL-2.0

//! Ring memory: separate pages, mapped for DMA, that outlive the device.
//!
//! Two lifetimes (M13, M15):
//!
//! * the DMA mapping is device managed: it ends when the ring is dropped or the device is unbound,
//!   whichever comes first;
//! * each page is an ordinary page of its own, with its own reference count. `vfree()` drops one
//!   reference of each page (mm/vmalloc.c), and a page that a user still maps lives on until the last
//!   mapping is gone.
//!
//! So the memory comes from the page allocator through `vmalloc()`, never from `dma_alloc_coherent()`,
//! for whose memory `virt_to_page()` is undefined and which must not outlive the device
//! (kernel/dma/mapping.c).

use super::fault::{
    self,
    Answer,
    Mapping,
    VmFault, //
};
use crate::bounds;
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    dma::DataDirection,
    mm::virt::VmaNew,
    page::{
        page_align,
        AsPageIter,
        PAGE_SIZE, //
    },
    prelude::*,
    scatterlist::{
        Owned,
        SGTable, //
    },
    sync::Arc, //
};

/// A ring of separate pages.
///
/// # Invariants
///
/// * `pages` are the pages of the allocation that `table` owns, in ring order; each is valid and has
///   a reference of the allocation's as long as `self` lives.
/// * `area` is the kernel's linear address of the first page; `pages.len()` pages follow there.
pub(crate) struct ScatterRing {
    table: Pin<KBox<SGTable<Owned<VVec<u8>>>>>,
    pages: KVVec<*mut bindings::page>,
    area: *mut u8,
    bytes: usize,
}

// SAFETY: The raw pointers are to memory that `table` owns, and is itself `Send`.
unsafe impl Send for ScatterRing {}

// SAFETY: No method hands out a reference to the memory; the page list does not change.
unsafe impl Sync for ScatterRing {}

impl ScatterRing {
    /// Allocates a zeroed ring of `bytes` bytes, rounded up to pages, and maps it for DMA.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no bytes, `ENOMEM`, or what the DMA layer says; `EIO` where the device would
    /// not see the pages themselves but a copy, which nobody here keeps up to date.
    pub(crate) fn new(dev: &Device<Bound>, bytes: usize, dir: DataDirection) -> Result<Arc<Self>> {
        let size = page_align(bytes).filter(|&size| size != 0).ok_or(EINVAL)?;
        let mut memory = VVec::<u8>::with_capacity(size, GFP_KERNEL | __GFP_ZERO)?;
        let area = memory.as_mut_ptr();

        let mut pages = KVVec::with_capacity(size / PAGE_SIZE, GFP_KERNEL)?;
        for page in memory.page_iter() {
            pages.push(page.as_ptr(), GFP_KERNEL)?;
        }
        let table = KBox::pin_init(SGTable::new(dev, memory, dir, GFP_KERNEL), GFP_KERNEL)?;
        if table
            .iter()
            .any(|segment| needs_sync(dev, segment.dma_address()))
        {
            dev_err!(
                dev,
                "DMA of this device is bounced or not coherent: not supported\n"
            );
            return Err(EIO);
        }

        #[cfg(planted)]
        super::planted::made(dev, &pages);

        // INVARIANT: `memory` was moved into `table`, which does not move or shrink the allocation
        // it points to before it is dropped.
        Ok(Arc::new(
            Self {
                table,
                pages,
                area,
                bytes,
            },
            GFP_KERNEL,
        )?)
    }

    /// Bytes of the ring, as asked for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pages of the ring.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The kernel's linear address of the ring. Valid while `self` lives.
    pub(crate) fn area(&self) -> *mut u8 {
        self.area
    }

    /// The kernel's address of `bytes` bytes from `at`, if they are there.
    fn range(&self, at: usize, bytes: usize) -> Result<*mut u8> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.pages.len() * PAGE_SIZE => Ok(self.area.wrapping_add(at)),
            _ => Err(EINVAL),
        }
    }

    /// Writes `data` from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` behind the end.
    pub(crate) fn write(&self, at: usize, data: &[u8]) -> Result {
        let to = self.range(at, data.len())?;
        // SAFETY: `range()` has checked it. Users and the device may access the memory at the same time,
        // which there are no references into: C's memcpy(), not a copy between references.
        unsafe { bindings::memcpy(to.cast(), data.as_ptr().cast(), data.len()) };
        Ok(())
    }

    /// Reads from byte `at` on. Any context.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn read(&self, at: usize, data: &mut [u8]) -> Result {
        let from = self.range(at, data.len())?;
        // SAFETY: As in `write()`.
        unsafe { bindings::memcpy(data.as_mut_ptr().cast(), from.cast(), data.len()) };
        Ok(())
    }

    /// Sets all bytes to 0.
    pub(crate) fn clear(&self) {
        // SAFETY: By the type invariant, as in `write()`.
        unsafe { bindings::memset(self.area.cast(), 0, self.pages.len() * PAGE_SIZE) };
    }

    /// The device's view: (address, bytes) of each segment, in ring order.
    ///
    /// Meaningless after the device was unbound.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.table
            .iter()
            .map(|segment| (segment.dma_address(), segment.dma_len()))
    }

    /// Answers `fault` with page `index` and, of those behind it, as many as fit in `window` pages
    /// and in the mapping.
    pub(crate) fn insert(&self, fault: &VmFault<'_>, index: usize, window: usize) -> Answer {
        let count = bounds::window(index, self.pages.len(), fault.pages_left(), window);
        match self.pages_from(index, count) {
            // SAFETY: By the type invariant the pages are valid and referenced; `window()` has kept
            // them within the mapping.
            Some(pages) if count != 0 => unsafe { fault.insert(pages) },
            _ => Answer::SIGBUS,
        }
    }

    /// Maps into `vma`, which shows the ring from page `pgoff` on, all the pages it has room for.
    ///
    /// # Errors
    ///
    /// `EINVAL` behind the end of the ring, or what the mm core says.
    pub(crate) fn populate(&self, vma: &VmaNew, mapping: Mapping) -> Result {
        let pages = self
            .pages_from(mapping.pgoff, mapping.pages)
            .ok_or(EINVAL)?;
        // SAFETY: By the type invariant the pages are valid and referenced.
        unsafe { fault::populate(vma, pages) }
    }

    fn pages_from(&self, index: usize, count: usize) -> Option<&[*mut bindings::page]> {
        self.pages.get(index..index.checked_add(count)?)
    }
}

#[cfg(planted)]
impl Drop for ScatterRing {
    fn drop(&mut self) {
        super::planted::ends(&self.pages);
    }
}

/// Whether memory mapped at `address` must be synced between the CPU's accesses and the device's.
///
/// To be asked of a mapping that was made: before the first bounce, the DMA layer says no for the device
/// as a whole (kernel/dma/mapping.c).
fn needs_sync(dev: &Device<Bound>, address: u64) -> bool {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    let dev = core::ptr::from_ref(dev).cast_mut().cast();
    // SAFETY: `dev` is bound, and `address` is of a mapping of its that exists.
    unsafe { bindings::__dma_need_sync(dev, address) }
}
