// SPDX-License-Identifier: GPL-2.0-only

//! The page-fault side of a mapping whose pages appear on touch.
//!
//! Two rules of the mm core decide the form (mm/memory.c):
//!
//! * The handler inserts the page itself and answers `VM_FAULT_NOPAGE`, instead of returning the page
//!   for the core to insert later. Only so can a driver hold its own lock across look-up and
//!   insertion, which makes taking the page away again free of races (M16).
//! * Such a mapping is `VM_MIXEDMAP`. It may not be copy-on-write: a private copy of a ring page is a
//!   page whose sound nobody hears.
//!
//! The other two modes ([`MapMode`]) are there to be compared with.

use super::{
    mode::MapMode,
    shim::{
        self,
        Backing, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*, //
};

/// What a fault handler answers, and what the trace shall know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    result: bindings::vm_fault_t,
    backing: Backing,
    /// Pages that were mapped.
    pages: usize,
}

impl Answer {
    /// There is no page there: the process gets SIGBUS.
    pub(crate) const SIGBUS: Self = Self {
        result: bindings::vm_fault_reason_VM_FAULT_SIGBUS,
        backing: Backing::None,
        pages: 0,
    };

    /// `VM_FAULT_*`
    pub(crate) fn result(self) -> bindings::vm_fault_t {
        self.result
    }

    pub(crate) fn backing(self) -> Backing {
        self.backing
    }

    pub(crate) fn pages(self) -> usize {
        self.pages
    }
}

/// One page fault under way.
///
/// # Invariants
///
/// `vmf` is the mm core's, valid for `'a`, for a VMA that [`prepare`] has accepted for `mode`.
pub(crate) struct VmFault<'a> {
    vmf: *mut bindings::vm_fault,
    mode: MapMode,
    _life: PhantomData<&'a bindings::vm_fault>,
}

impl VmFault<'_> {
    /// # Safety
    ///
    /// `vmf` must be the argument of a `vm_operations_struct.fault` that is running, for a VMA that
    /// [`prepare`] accepted for `mode`.
    pub(crate) unsafe fn from_raw(vmf: *mut bindings::vm_fault, mode: MapMode) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            vmf,
            mode,
            _life: PhantomData,
        }
    }

    fn vma(&self) -> *mut bindings::vm_area_struct {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf).__bindgen_anon_1.vma }
    }

    /// The address that was touched, rounded down to its page.
    pub(crate) fn address(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf).__bindgen_anon_1.address }
    }

    /// Pages from the touched one to the end of the mapping; at least 1.
    pub(crate) fn pages_left(&self) -> usize {
        // SAFETY: By the type invariant; a VMA does not change during a fault.
        let end = unsafe { (*self.vma()).__bindgen_anon_1.__bindgen_anon_1.vm_end };
        (end.saturating_sub(self.address()) / PAGE_SIZE).max(1)
    }

    /// The faulting page's offset in the mapped object, in pages (M3).
    pub(crate) fn pgoff(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf).__bindgen_anon_1.pgoff }
    }

    fn is_write(&self) -> bool {
        // SAFETY: By the type invariant.
        let flags = unsafe { (*self.vmf).flags };
        flags & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Brings `pages`: the touched page and those behind it, each with a reference of its own for the
    /// mapping (M4). Only the first must succeed; it ends at a page that is there already.
    ///
    /// # Safety
    ///
    /// There must be at least one page, and no more than [`Self::pages_left`]; each must be valid and
    /// referenced, now.
    pub(super) unsafe fn insert(&self, pages: &[*mut bindings::page]) -> Answer {
        let Some(&first) = pages.first() else {
            return Answer::SIGBUS;
        };
        if self.mode == MapMode::Page {
            // SAFETY: By the safety requirement.
            return unsafe { self.hand_over(first) };
        }

        // SAFETY: `vmf` and its VMA are valid by the type invariant, and the VMA is VM_MIXEDMAP; the
        // pages are by the safety requirement.
        let (_, inserted) = unsafe { insert_pages(self.vma(), self.address(), pages) };
        let result = match inserted {
            // The first is there already, perhaps read-only or by another thread's fault, or cannot be:
            // SAFETY: As above. The core takes a reference and checks that the page may be mapped.
            0 => unsafe { bindings::vmf_insert_page_mkwrite(self.vmf, first, self.is_write()) },
            _ => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        };
        Answer {
            result,
            backing: Backing::Ram,
            pages: inserted.max(1),
        }
    }

    /// Brings `count` page frames from number `first` on, which nobody counts: not main memory (M12). Only
    /// the first must succeed.
    ///
    /// # Safety
    ///
    /// The frames must be a device's memory, this driver's now and until they are taken out of all mappings
    /// again.
    pub(super) unsafe fn insert_frames(&self, first: usize, count: usize) -> Answer {
        let vma = self.vma();
        let mut inserted = 0;
        let mut result = bindings::vm_fault_reason_VM_FAULT_SIGBUS;
        // What is handed over cannot be found again: not in this mode.
        if self.mode != MapMode::Page {
            let count = count.min(self.pages_left());
            for (address, frame) in (self.address()..)
                .step_by(PAGE_SIZE)
                .zip(first..)
                .take(count)
            {
                // SAFETY: By the type invariant the VMA is valid and VM_MIXEDMAP, by the safety requirement
                // the frame may be mapped. The core checks the address; what is there already stays.
                let answer = unsafe { bindings::vmf_insert_mixed(vma, address, frame) };
                if inserted == 0 {
                    result = answer;
                }
                if answer != bindings::vm_fault_reason_VM_FAULT_NOPAGE {
                    break;
                }
                inserted += 1;
            }
        }
        Answer {
            result,
            backing: Backing::Sram,
            pages: inserted,
        }
    }

    /// Leaves the insertion of `page` to the core.
    ///
    /// # Safety
    ///
    /// `page` must be valid and referenced, now.
    unsafe fn hand_over(&self, page: *mut bindings::page) -> Answer {
        // SAFETY: By the safety requirement.
        unsafe { shim::get_page(page) };
        // SAFETY: By the type invariant. The core takes over the reference.
        unsafe { (*self.vmf).page = page };
        Answer {
            result: 0,
            backing: Backing::Ram,
            pages: 1,
        }
    }
}

/// Inserts `pages` from `address` on, until one fails. Returns the failure, and how many are in.
///
/// # Safety
///
/// `vma` must be valid and `VM_MIXEDMAP`, and locked or not yet known to others; each page must be valid
/// and referenced.
unsafe fn insert_pages(
    vma: *mut bindings::vm_area_struct,
    address: usize,
    pages: &[*mut bindings::page],
) -> (Result, usize) {
    let mut left = pages.len();
    // SAFETY: By the safety requirement. The core checks that the range is inside the VMA and that the
    // pages may be mapped, takes their references, and only reads the array.
    let error =
        unsafe { bindings::vm_insert_pages(vma, address, pages.as_ptr().cast_mut(), &mut left) };
    (to_result(error), pages.len().saturating_sub(left))
}

/// Maps `pages` from the start of `vma` on: eagerly, in `mmap()`.
///
/// # Errors
///
/// Of the mm core: `EFAULT` for more pages than the VMA has room for, `ENOMEM`.
///
/// # Safety
///
/// Each page must be valid and referenced, now.
pub(super) unsafe fn populate(vma: &VmaNew, pages: &[*mut bindings::page]) -> Result {
    // SAFETY: A `VmaNew` is a valid VMA that nobody else can reach yet; `prepare` has made it
    // VM_MIXEDMAP, without which the core refuses. The pages are by the safety requirement.
    unsafe { insert_pages(vma.as_ptr(), vma.start(), pages) }.0
}

/// A mapping: one being made, or one on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    /// User space's address of its first page.
    pub(crate) address: usize,
    /// Offset of its first page in the mapped object, in pages.
    pub(crate) pgoff: usize,
    /// Its length in pages.
    pub(crate) pages: usize,
}

impl Mapping {
    pub(crate) fn of(vma: &VmaNew) -> Self {
        // SAFETY: A `VmaNew` is a valid VMA that nobody else can reach yet.
        unsafe { Self::of_raw(vma.as_ptr()) }
    }

    /// The byte of the ring that `address` shows, and how many there are from it to the end of the mapping;
    /// `None` outside.
    pub(crate) fn locate(&self, address: usize) -> Option<(usize, usize)> {
        let into = address.checked_sub(self.address)?;
        let left = self.pages.checked_mul(PAGE_SIZE)?.checked_sub(into)?;
        let at = self.pgoff.checked_mul(PAGE_SIZE)?.checked_add(into)?;
        (left != 0).then_some((at, left))
    }

    /// # Safety
    ///
    /// `vma` must be valid, and not change during the call.
    pub(crate) unsafe fn of_raw(vma: *const bindings::vm_area_struct) -> Self {
        // SAFETY: By the safety requirement.
        let (range, pgoff) = unsafe { ((*vma).__bindgen_anon_1.__bindgen_anon_1, (*vma).vm_pgoff) };
        Self {
            address: range.vm_start,
            pgoff,
            pages: range.vm_end.saturating_sub(range.vm_start) / PAGE_SIZE,
        }
    }
}

/// Readies a VMA for `mode`: not expandable, not in core dumps (M6) and, where the driver inserts pages,
/// mixed.
///
/// Maps nothing: the VMA is not yet in its file's list of mappings, so that a page inserted now could
/// not be found and taken away again (mm/vma.c).
///
/// # Errors
///
/// `EINVAL` for a private mapping that is or may become writable: it would be copied on write. A
/// shared mapping of a file opened read-only has lost `VM_SHARED` and `VM_MAYWRITE` both
/// (mm/mmap.c) and is accepted.
pub(crate) fn prepare(vma: &VmaNew, mode: MapMode) -> Result {
    let cow = bindings::VM_SHARED | bindings::VM_MAYWRITE;
    if vma.flags() & cow == bindings::VM_MAYWRITE {
        return Err(EINVAL);
    }
    if mode != MapMode::Page {
        vma.set_mixedmap();
    }
    vma.set_dontexpand();
    vma.set_dontdump();
    Ok(())
}
