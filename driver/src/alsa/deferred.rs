// SPDX-License-Identifier: GPL-2.0-only

//! Work that an interrupt handler leaves to a context that may sleep.

use kernel::{
    bindings,
    container_of,
    prelude::*,
    sync::static_lock_class,
    types::Opaque, //
};

/// What is to be done. Never twice at a time.
pub(crate) trait Task: Send + Sync {
    /// Does it, once for one or more [`Deferred::queue`]. May sleep.
    fn run(&self);
}

/// A task and its work item.
///
/// # Invariants
///
/// `work` is initialised with [`Self::run`]; when this is dropped, it is disabled first, which waits for a run
/// under way.
#[pin_data(PinnedDrop)]
pub(crate) struct Deferred<T: Task> {
    #[pin]
    task: T,
    #[pin]
    work: Opaque<bindings::work_struct>,
}

// SAFETY: The workqueue's functions may be called from any context; the task itself is `Send`.
unsafe impl<T: Task> Send for Deferred<T> {}

// SAFETY: As above; of the task there are shared references only, and it is `Sync`.
unsafe impl<T: Task> Sync for Deferred<T> {}

impl<T: Task> Deferred<T> {
    pub(crate) fn new(task: impl PinInit<T, Error>) -> impl PinInit<Self, Error> {
        // INVARIANT: As initialised here.
        try_pin_init!(Self {
            task <- task,
            work <- Opaque::ffi_init(|work| {
                // SAFETY: `work` is valid for writes, and pinned from now on.
                unsafe {
                    bindings::init_work_with_key(
                        work,
                        Some(Self::run),
                        false,
                        c"sgring deferred".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                }
            }),
        })
    }

    pub(crate) fn task(&self) -> &T {
        &self.task
    }

    /// Has the task run soon, after this call. Does nothing after [`Self::end`]. Any context.
    pub(crate) fn queue(&self) {
        // SAFETY: The queue is the kernel's, made at boot and never changed.
        let queue = unsafe { bindings::system_highpri_wq };
        // SAFETY: By the type invariant the work is initialised, and disabled before it goes.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                queue,
                self.work.get(),
            )
        };
    }

    /// Waits for a run under way; there is none after it. May sleep; not to be called by the task.
    pub(crate) fn end(&self) {
        // SAFETY: By the type invariant the work is initialised.
        unsafe { bindings::disable_work_sync(self.work.get()) };
    }

    /// # Safety
    ///
    /// For the workqueue: `work` is the field of a `Deferred<T>`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the safety requirement; by the type invariant it lives until this has returned.
        let this = unsafe { &*container_of!(Opaque::cast_from(work), Self, work) };
        this.task.run();
    }
}

#[pinned_drop]
impl<T: Task> PinnedDrop for Deferred<T> {
    fn drop(self: Pin<&mut Self>) {
        self.end();
    }
}
