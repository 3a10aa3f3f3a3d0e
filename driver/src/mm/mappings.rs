// SPDX-License-Identifier: GPL-2.0-only

//! Who has mapped a ring, to take it away from them (M17).
//!
//! The mm core finds mappings by the file that they were made of: a device node's inode. One PCM may have
//! several nodes, each with an inode of its own (`mknod`, containers), so the inodes of all mappings are
//! kept, with the number of mappings that each has.
//!
//! Lifetime: an inode is kept by the file of each mapping of it, until after the mapping was
//! closed. An entry goes with the last `close`, which waits for [`Mappings::revoke`].
//!
//! Lock order: mmap lock or the caller's ring lock, this list, then the mm core's `i_mmap_rwsem` and page
//! table locks.

use core::ptr::NonNull;
use kernel::{
    bindings,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// An inode's mappings, as many as `count`.
struct Node {
    space: NonNull<bindings::address_space>,
    count: usize,
}

// SAFETY: The pointer is used by the mm core's functions only, which may be called from any task.
unsafe impl Send for Node {}

/// The mappings of one ring.
///
/// # Invariants
///
/// Each `space` has `count` mappings that are not yet closed, and so is valid while the list is locked.
#[pin_data]
pub(crate) struct Mappings {
    #[pin]
    nodes: Mutex<KVec<Node>>,
}

impl Mappings {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            nodes <- new_mutex!(KVec::new()),
        })
    }

    /// The inode's side of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be valid and of a file.
    unsafe fn space(vma: *const bindings::vm_area_struct) -> *mut bindings::address_space {
        // SAFETY: By the safety requirement.
        let file = unsafe { (*vma).vm_file };
        // SAFETY: A VMA keeps its file.
        unsafe { (*file).f_mapping }
    }

    /// A mapping was made, copied or split off.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, only for the first of an inode.
    ///
    /// # Safety
    ///
    /// `vma` must be valid, of a file, and [`Self::closed`] be called for it, once, before its file is let go.
    pub(crate) unsafe fn opened(&self, vma: *const bindings::vm_area_struct) -> Result {
        // SAFETY: By the safety requirement.
        let space = NonNull::new(unsafe { Self::space(vma) }).ok_or(EINVAL)?;
        let mut nodes = self.nodes.lock();
        match nodes.iter_mut().find(|node| node.space == space) {
            Some(node) => node.count += 1,
            None => nodes.push(Node { space, count: 1 }, GFP_KERNEL)?,
        }
        Ok(())
    }

    /// A mapping is being closed.
    ///
    /// # Safety
    ///
    /// `vma` must be one that was [`Self::opened`].
    pub(crate) unsafe fn closed(&self, vma: *const bindings::vm_area_struct) {
        // SAFETY: By the safety requirement.
        let space = unsafe { Self::space(vma) };
        let mut nodes = self.nodes.lock();
        let found = nodes.iter().position(|node| node.space.as_ptr() == space);
        let Some(index) = found else { return };
        if let Some(node) = nodes.get_mut(index) {
            node.count = node.count.saturating_sub(1);
            if node.count == 0 {
                let _ = nodes.remove(index);
            }
        }
    }

    /// Takes the first `bytes` bytes of the ring out of all mappings: the next touch is a fault. Whether there
    /// are any.
    ///
    /// May take those of other rings of the same node with it, which costs them a fault. May sleep.
    pub(crate) fn revoke(&self, bytes: usize) -> bool {
        let nodes = self.nodes.lock();
        for node in nodes.iter() {
            // SAFETY: By the type invariant. Offset 0 is where a ring begins; 1 takes private copies too,
            // of which there are none.
            unsafe {
                bindings::unmap_mapping_range(node.space.as_ptr(), 0, bytes as bindings::loff_t, 1)
            };
        }
        !nodes.is_empty()
    }
}
