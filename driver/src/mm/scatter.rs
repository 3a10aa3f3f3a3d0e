// SPDX-License-Identifier: GPL-2.0-only

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
//!
//! Where the device does not see what the CPU writes, or sees a copy (M14), each stretch of the ring is handed
//! over when it changes hands: [`ScatterRing::sync`]. Nobody does so behind the driver's back, and where
//! memory is coherent it costs nothing.

use super::{
    fault::{
        self,
        Answer,
        Mapping,
        VmFault, //
    },
    shim,
    Binding,
    Charge, //
};
use crate::{
    bounds,
    extent, //
};
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
    /// Who knows whether the DMA mapping still exists, where memory must be synced; else nobody is asked.
    sync: Option<Arc<Binding>>,
    dir: DataDirection,
    /// Given back after the memory.
    _charge: Option<Charge>,
}

// SAFETY: The raw pointers are to memory that `table` owns, and is itself `Send`.
unsafe impl Send for ScatterRing {}

// SAFETY: No method hands out a reference to the memory; the page list does not change.
unsafe impl Sync for ScatterRing {}

impl ScatterRing {
    /// Allocates a zeroed ring of `bytes` bytes, rounded up to pages, and maps it for DMA: for the device to
    /// read from, or to write to.
    ///
    /// With `sync`, which is of `dev`, the ring may be one that is to be synced. `charge` is for the memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no bytes, `ENOMEM`, or what the DMA layer says; `EIO` where the ring must be synced
    /// and may not.
    pub(crate) fn new(
        dev: &Device<Bound>,
        bytes: usize,
        playback: bool,
        sync: Option<&Arc<Binding>>,
        charge: Option<Charge>,
    ) -> Result<Arc<Self>> {
        let dir = match (playback, sync) {
            (true, _) => DataDirection::ToDevice,
            (false, None) => DataDirection::FromDevice,
            // What the CPU has put there, as when the ring moves, is not to be lost to an older copy.
            (false, Some(_)) => DataDirection::Bidirectional,
        };
        let size = page_align(bytes).filter(|&size| size != 0).ok_or(EINVAL)?;
        // Without a line in the log when there is no memory: any user may ask for more than there is.
        let flags = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
        let mut memory = VVec::<u8>::with_capacity(size, flags)?;
        let area = memory.as_mut_ptr();

        let mut pages = KVVec::with_capacity(size / PAGE_SIZE, GFP_KERNEL)?;
        for page in memory.page_iter() {
            pages.push(page.as_ptr(), GFP_KERNEL)?;
        }
        let table = KBox::pin_init(SGTable::new(dev, memory, dir, GFP_KERNEL), GFP_KERNEL)?;
        let sync = match table
            .iter()
            .any(|segment| needs_sync(dev, segment.dma_address()))
        {
            false => None,
            true => match sync {
                Some(binding) => Some(binding.clone()),
                None => {
                    dev_err!(dev, "DMA is bounced now, and was not at probe\n");
                    return Err(EIO);
                }
            },
        };

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
                sync,
                dir,
                _charge: charge,
            },
            GFP_KERNEL,
        )?)
    }

    /// Whether [`Self::sync`] is called for.
    pub(crate) fn is_synced(&self) -> bool {
        self.sync.is_some()
    }

    /// Hands `bytes` bytes from `at` on over: to the device in a ring that it reads, to the CPU in one that
    /// it writes. Nothing where memory is coherent, nor after unbind. Any context.
    pub(crate) fn sync(&self, at: usize, bytes: usize) {
        self.hand_over(at, bytes, self.dir == DataDirection::ToDevice);
    }

    fn hand_over(&self, at: usize, bytes: usize, to_device: bool) {
        let Some(binding) = &self.sync else {
            return;
        };
        binding.atomically(|dev| {
            // CAST: `Device` is a transparent wrapper of `struct device`.
            let dev = core::ptr::from_ref(dev).cast_mut().cast();
            let mut start = 0usize;
            for segment in self.table.iter() {
                let length = segment.dma_len() as usize;
                if let Some((skip, count)) = extent::overlap(start, length, at, bytes) {
                    let address = segment.dma_address() + skip as u64;
                    // SAFETY: The device is bound, so its mapping of this ring exists; `count` bytes from
                    // `address` on are in one segment of it, and the direction is the mapping's.
                    unsafe {
                        if to_device {
                            bindings::__dma_sync_single_for_device(
                                dev,
                                address,
                                count,
                                self.dir.into(),
                            )
                        } else {
                            bindings::__dma_sync_single_for_cpu(
                                dev,
                                address,
                                count,
                                self.dir.into(),
                            )
                        }
                    };
                }
                start = start.saturating_add(length);
            }
        });
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

    /// Writes `data` from byte `at` on, for the device to see. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` behind the end.
    pub(crate) fn write(&self, at: usize, data: &[u8]) -> Result {
        let to = self.range(at, data.len())?;
        // SAFETY: `range()` has checked it. Users and the device may access the memory at the same time,
        // which there are no references into: C's memcpy(), not a copy between references.
        unsafe { bindings::memcpy(to.cast(), data.as_ptr().cast(), data.len()) };
        self.hand_over(at, data.len(), true);
        Ok(())
    }

    /// Reads from byte `at` on, what the device has written there too. Any context.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn read(&self, at: usize, data: &mut [u8]) -> Result {
        let from = self.range(at, data.len())?;
        if self.dir != DataDirection::ToDevice {
            self.hand_over(at, data.len(), false);
        }
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
        #[cfg(planted)]
        if let Some(page) = super::planted::behind(index, self.pages.len()) {
            // SAFETY: A page that is never freed.
            return unsafe { fault.insert(&[page]) };
        }
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
pub(super) fn needs_sync(dev: &Device<Bound>, address: u64) -> bool {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    let dev = core::ptr::from_ref(dev).cast_mut().cast();
    // SAFETY: `dev` is bound, and `address` is of a mapping of its that exists.
    unsafe { shim::needs_sync(dev, address) }
}
