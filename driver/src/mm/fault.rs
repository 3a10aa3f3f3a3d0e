// SPDX-License-Identifier: GPL-2.0

//! The page-fault side of a mapping whose pages appear on touch.
//!
//! Two rules of the mm core decide the form (mm/memory.c):
//!
//! * The handler inserts the page itself and answers `VM_FAULT_NOPAGE`, instead of returning the page
//!   for the core to insert later. Only so can a driver hold its own lock across look-up and
//!   insertion, which makes taking the page away again free of races (M16).
//! * Such a mapping is `VM_MIXEDMAP`. It may not be copy-on-write: a private copy of a ring page is a
//!   page whose sound nobody hears.

use core::marker::PhantomData;
use kernel::{
    bindings,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*, //
};

/// What a fault handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer(bindings::vm_fault_t);

impl Answer {
    /// There is no page there: the process gets SIGBUS.
    pub(crate) const SIGBUS: Self = Self(bindings::vm_fault_reason_VM_FAULT_SIGBUS);

    pub(crate) fn into_raw(self) -> bindings::vm_fault_t {
        self.0
    }
}

/// One page fault under way.
///
/// # Invariants
///
/// `vmf` is the mm core's, valid for `'a`, for a VMA that is `VM_MIXEDMAP` and not copy-on-write.
pub(crate) struct VmFault<'a> {
    vmf: *mut bindings::vm_fault,
    _life: PhantomData<&'a bindings::vm_fault>,
}

impl VmFault<'_> {
    /// # Safety
    ///
    /// `vmf` must be the argument of a `vm_operations_struct.fault` that is running, for a VMA that
    /// [`prepare`] accepted.
    pub(crate) unsafe fn from_raw(vmf: *mut bindings::vm_fault) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            vmf,
            _life: PhantomData,
        }
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

    /// Inserts `page`, which gets a reference for the mapping.
    ///
    /// # Safety
    ///
    /// `page` must be valid and referenced, now.
    pub(super) unsafe fn insert_page(&self, page: *mut bindings::page) -> Answer {
        // SAFETY: `vmf` is valid by the type invariant and its VMA is VM_MIXEDMAP; the page is valid
        // by the safety requirement. The core takes the page's reference and checks that the page is
        // one that may be mapped.
        Answer(unsafe { bindings::vmf_insert_page_mkwrite(self.vmf, page, self.is_write()) })
    }
}

/// A mapping that `mmap()` is about to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    /// Offset of its first page in the mapped object, in pages.
    pub(crate) pgoff: usize,
    /// Its length in pages.
    pub(crate) pages: usize,
}

impl Mapping {
    pub(crate) fn of(vma: &VmaNew) -> Self {
        Self {
            pgoff: pgoff(vma),
            pages: (vma.end() - vma.start()) / PAGE_SIZE,
        }
    }
}

fn pgoff(vma: &VmaNew) -> usize {
    // SAFETY: A `VmaNew` is a valid VMA that nobody else can reach yet.
    unsafe { (*vma.as_ptr()).vm_pgoff }
}

/// Readies a VMA for faults that insert pages: mixed, not expandable, not in core dumps (M6).
///
/// Maps nothing: the VMA is not yet in its file's list of mappings, so that a page inserted now could
/// not be found and taken away again (mm/vma.c).
///
/// # Errors
///
/// `EINVAL` for a private mapping that is or may become writable: it would be copied on write. A
/// shared mapping of a file opened read-only has lost `VM_SHARED` and `VM_MAYWRITE` both
/// (mm/mmap.c) and is accepted.
pub(crate) fn prepare(vma: &VmaNew) -> Result {
    let cow = bindings::VM_SHARED | bindings::VM_MAYWRITE;
    if vma.flags() & cow == bindings::VM_MAYWRITE {
        return Err(EINVAL);
    }
    vma.set_mixedmap();
    vma.set_dontexpand();
    vma.set_dontdump();
    Ok(())
}
