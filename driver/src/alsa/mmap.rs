// SPDX-License-Identifier: GPL-2.0-only

//! Mapping a PCM's ring: between the sound core's `mmap` and [`crate::mm::fault`].
//!
//! The core counts a substream's mappings in the `open` and `close` of its own `vm_operations_struct`,
//! and refuses `hw_params` and `hw_free` while the count is not zero. Ours take the core's place, so they
//! call on: a mapping that `fork()`, `munmap()` or `mremap()` makes or ends is counted as before (M4).
//!
//! The core keeps the substream in `vm_private_data`; that stays so.
//!
//! No `.mapped`, `.may_split`, `.mremap`, `.mprotect`: a mapping may be split, moved and protected as
//! user space likes, since each fault finds its page by offset. No `.name`: it would put the mapping
//! into core dumps.

use super::{
    pcm::{
        Adapter,
        PcmOps, //
    },
    sys,
};
use crate::mm::{
    fault::{
        self,
        Mapping,
        VmFault, //
    },
    mode::{
        self,
        Live,
        MapMode, //
    },
    trace::{
        self,
        Place, //
    }, //
};
use core::ptr;
use kernel::{
    bindings,
    error::from_result,
    mm::virt::VmaNew,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
};

/// The sound core's own operations for data mappings, which it does not export: taken from the first VMA
/// that it readies for us. They are static and the same for every PCM, so that two first callers write the
/// same value.
///
/// # Invariants
///
/// Null, or valid as long as this module is loaded: it depends on the sound core's.
static CORE_OPS: Atomic<*const bindings::vm_operations_struct> = Atomic::new(ptr::null());

impl<T: PcmOps> Adapter<T> {
    const VM_OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(vm_open::<T>),
        close: Some(vm_close::<T>),
        fault: Some(vm_fault::<T>),
        access: Some(vm_access::<T>),
        map_pages: Some(no_map_pages),
        ..pin_init::zeroed()
    };

    /// For [`MapMode::Page`].
    const VM_OPS_PAGE: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(vm_open::<T>),
        close: Some(vm_close::<T>),
        fault: Some(vm_fault_page::<T>),
        ..pin_init::zeroed()
    };

    const fn vm_ops(mode: MapMode) -> &'static bindings::vm_operations_struct {
        match mode {
            // What was mapped at once may be zapped by its user, and is then mapped again on touch.
            MapMode::Fault | MapMode::Eager => &Self::VM_OPS,
            MapMode::Page => &Self::VM_OPS_PAGE,
        }
    }

    /// Where in which ring something is mapped, for the trace.
    ///
    /// # Safety
    ///
    /// `substream` must be valid and open, of `T`'s.
    unsafe fn place(substream: *mut sys::snd_pcm_substream, mapping: Mapping) -> Place {
        // SAFETY: By the safety requirement: they outlive the open substream, and a card's number does
        // not change.
        let card = unsafe { (*(*(*substream).pcm).card).number };
        // SAFETY: By the safety requirement.
        let stream = T::index(unsafe { Self::stream(substream) });
        Place {
            card,
            stream,
            mapping,
        }
    }
}

/// The PCM operation `mmap`: readies the VMA, and maps nothing (M1) but in [`MapMode::Eager`].
///
/// # Safety
///
/// To be called by the sound core, for an open substream of `T`'s and a VMA that is being set up.
pub(super) unsafe extern "C" fn mmap<T: PcmOps>(
    substream: *mut sys::snd_pcm_substream,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let new = unsafe { VmaNew::from_raw(vma) };
        // SAFETY: By the safety requirement.
        let stream = unsafe { Adapter::<T>::stream(substream) };

        // The core has checked size and offset against the ring as it is now; this check is against
        // the ring as the driver knows it (M2).
        let mapping = Mapping::of(new);
        let live = Live::begin();
        let mode = live.mode();
        T::mmap(stream, mapping, mode)?;

        // SAFETY: By the safety requirement; `snd_pcm_mmap_data()` has set its own operations.
        let core_ops = unsafe { (*vma).vm_ops };
        // INVARIANT: The sound core's static operations. Release: pairs with `core_ops()`.
        CORE_OPS.store(core_ops, Release);

        fault::prepare(new, mode)?;
        if mode == MapMode::Eager {
            T::populate(stream, new, mapping)?;
        }
        // SAFETY: By the safety requirement; `vm_close()` is the end of a mapping that was made.
        unsafe { T::mappings(stream).opened(vma) }?;
        // SAFETY: By the safety requirement; from here on nothing fails.
        unsafe { (*vma).vm_ops = Adapter::<T>::vm_ops(mode) };
        live.keep();
        // SAFETY: By the safety requirement.
        let place = unsafe { Adapter::<T>::place(substream, mapping) };
        trace::map(place, mode);
        Ok(0)
    })
}

fn core_ops<'a>() -> Option<&'a bindings::vm_operations_struct> {
    // SAFETY: By the invariant of `CORE_OPS`; the operations are constant.
    unsafe { CORE_OPS.load(Acquire).as_ref() }
}

/// # Safety
///
/// For the mm core: `vma` is a copy or a part of one that [`mmap`] accepted for a substream of `T`'s.
unsafe extern "C" fn vm_open<T: PcmOps>(vma: *mut bindings::vm_area_struct) {
    mode::copied();
    // SAFETY: As in `vm_close()`.
    let stream = unsafe { Adapter::<T>::stream((*vma).vm_private_data.cast()) };
    // SAFETY: By the safety requirement. Does not fail: the file of the mapping that this one comes from is in
    // the list.
    let _ = unsafe { T::mappings(stream).opened(vma) };
    if let Some(open) = core_ops().and_then(|ops| ops.open) {
        // SAFETY: The core's function for this very VMA, whose private data is as the core set it.
        unsafe { open(vma) };
    }
}

/// # Safety
///
/// For the mm core: `vma` is one that [`mmap`] accepted for a substream of `T`'s, or a copy or part of it,
/// on its way out.
unsafe extern "C" fn vm_close<T: PcmOps>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By the safety requirement; nobody changes a VMA that is being closed.
    let (substream, mapping) = unsafe { ((*vma).vm_private_data, Mapping::of_raw(vma)) };
    // SAFETY: The core keeps the substream there, and the VMA keeps its file, and so the substream, until
    // after this call.
    let place = unsafe { Adapter::<T>::place(substream.cast(), mapping) };
    trace::unmap(place);
    // SAFETY: As above.
    let stream = unsafe { Adapter::<T>::stream(substream.cast()) };
    // SAFETY: As above: it was opened, by `mmap()` or `vm_open()`.
    unsafe { T::mappings(stream).closed(vma) };
    mode::ended();
    if let Some(close) = core_ops().and_then(|ops| ops.close) {
        // SAFETY: As in `vm_open()`.
        unsafe { close(vma) };
    }
}

/// Maps nothing around a fault.
///
/// That it exists lets the mm core take faults of this mapping under the VMA's own lock instead of the
/// whole address space's (`vmf_can_call_fault()`, mm/memory.c); that it maps nothing lets every page go
/// through [`vm_fault`], under the ring's lock.
///
/// # Safety
///
/// None beyond what the mm core promises: the arguments are not looked at.
unsafe extern "C" fn no_map_pages(
    _vmf: *mut bindings::vm_fault,
    _start: usize,
    _end: usize,
) -> bindings::vm_fault_t {
    0
}

/// # Safety
///
/// For the mm core: `vmf` is a fault of a VMA that [`mmap`] accepted for a substream of `T`'s, in a mode
/// that inserts.
unsafe extern "C" fn vm_fault<T: PcmOps>(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirement.
    unsafe { answer::<T>(vmf, MapMode::Fault) }
}

/// # Safety
///
/// For the mm core: `vmf` is a fault of a VMA that [`mmap`] accepted for a substream of `T`'s, in
/// [`MapMode::Page`].
unsafe extern "C" fn vm_fault_page<T: PcmOps>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirement.
    unsafe { answer::<T>(vmf, MapMode::Page) }
}

/// # Safety
///
/// `vmf` must be a fault under way of a VMA that [`mmap`] accepted for a substream of `T`'s and for `mode`.
unsafe fn answer<T: PcmOps>(vmf: *mut bindings::vm_fault, mode: MapMode) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirement.
    let fault = unsafe { VmFault::from_raw(vmf, mode) };
    // SAFETY: As above; the VMA is fixed during the fault.
    let substream = unsafe { (*(*vmf).__bindgen_anon_1.vma).vm_private_data }.cast();
    // SAFETY: The sound core keeps the substream there, and the VMA pins the file that keeps it open.
    let stream = unsafe { Adapter::<T>::stream(substream) };
    let answer = T::fault(stream, &fault);
    let mapped = Mapping {
        address: fault.address(),
        pgoff: fault.pgoff(),
        pages: answer.pages(),
    };
    // SAFETY: As above.
    let place = unsafe { Adapter::<T>::place(substream, mapped) };
    trace::fault(place, answer.backing(), answer.result());
    answer.result()
}

/// Another process reads or writes memory of the card's through /proc/pid/mem or ptrace. Main memory the mm
/// core accesses itself.
///
/// # Safety
///
/// For the mm core: `vma` is one that [`mmap`] accepted for a substream of `T`'s, `address` is inside, `buffer`
/// has `len` bytes.
unsafe extern "C" fn vm_access<T: PcmOps>(
    vma: *mut bindings::vm_area_struct,
    address: c_ulong,
    buffer: *mut c_void,
    len: c_int,
    write: c_int,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement: the mmap lock is held, so that the VMA does not change.
        let (substream, mapping) = unsafe { ((*vma).vm_private_data, Mapping::of_raw(vma)) };
        // SAFETY: As in `answer()`.
        let stream = unsafe { Adapter::<T>::stream(substream.cast()) };
        let (at, left) = mapping.locate(address).ok_or(EFAULT)?;
        let count = usize::try_from(len)?.min(left);
        let buffer = buffer.cast::<u8>();
        if write != 0 {
            // SAFETY: By the safety requirement; nobody else has the buffer during the call.
            T::write(stream, at, unsafe {
                core::slice::from_raw_parts(buffer, count)
            })?;
        } else {
            // SAFETY: As above.
            T::read(stream, at, unsafe {
                core::slice::from_raw_parts_mut(buffer, count)
            })?;
        }
        Ok(count.try_into()?)
    })
}
