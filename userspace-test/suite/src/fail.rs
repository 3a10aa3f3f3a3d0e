// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail when told (Documentation/fault-injection/fault-injection.rst), one at a time, by number.
//!
//! All of a call's, or, of a call with thousands, one in [`Failures::one_in`], drawn from a seed.

use crate::seed::Random;
use crate::tap::{Outcome, Stop, note};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const DEBUGFS: &str = "/sys/kernel/debug";

/// What shall fail: any allocation, also of one page, also one that could wait. Nothing is logged.
const SETTINGS: [(&str, &str); 8] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
    // Comes with them, as a copy from or to user space that fails: EFAULT.
    ("fail_usercopy/verbose", "0"),
    ("fail_usercopy/probability", "0"),
];

/// Where nothing fails: the interrupt core goes on without the files of `/proc/irq` that it could not make, and
/// warns when it takes away what is not there (kernel/irq/proc.c).
const SPARED: &str = "register_irq_proc";

fn set(name: &str, value: &str) -> Outcome {
    let path = Path::new(DEBUGFS).join(name);
    fs::write(&path, value).map_err(|error| Stop::Fail(format!("{}: {error}", path.display())))
}

/// The addresses of one of the kernel's functions: where it begins, and where the next one does.
fn function(name: &str) -> Result<(u64, u64), Stop> {
    let text = fs::read_to_string("/proc/kallsyms")?;
    let symbols = || {
        text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.nth(1)?))
        })
    };
    let start = symbols().find(|(_, symbol)| *symbol == name);
    let start = start.map_or(0, |(address, _)| address);
    let behind = symbols().map(|(address, _)| address);
    match behind.filter(|&address| address > start).min() {
        Some(end) if start != 0 => Ok((start, end)),
        _ => Err(Stop::Fail(format!(
            "/proc/kallsyms does not tell where {name} is"
        ))),
    }
}

/// This thread's next allocations.
#[derive(Debug)]
pub struct Failures {
    file: File,
    one_in: Cell<u32>,
}

/// What became of calls of which an allocation failed.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls with a failure in them.
    pub injected: u32,
    /// Calls that succeeded nevertheless.
    pub survived: u32,
    /// How the others failed.
    pub errors: BTreeMap<i32, u32>,
}

impl Failures {
    /// For the calling thread.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] on a kernel that cannot; else as for writing the settings.
    pub fn new() -> Result<Self, Stop> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth");
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Stop::Skip(
                    "this kernel fails no allocations (CONFIG_FAULT_INJECTION): a debug kernel does"
                        .into(),
                ));
            }
            file => file?,
        };
        for (name, value) in SETTINGS {
            set(name, value)?;
        }
        let (start, end) = function(SPARED)?;
        for kind in ["failslab", "fail_page_alloc"] {
            set(&format!("{kind}/reject-start"), &format!("{start:#x}"))?;
            set(&format!("{kind}/reject-end"), &format!("{end:#x}"))?;
        }
        Ok(Self {
            file,
            one_in: Cell::new(1),
        })
    }

    /// From now on one in `count` allocations fails, on the average; `SGRING_ALLOCATIONS` is another count, 1 for
    /// each of them.
    ///
    /// # Panics
    ///
    /// If `SGRING_ALLOCATIONS` is no number from 1 on.
    pub fn one_in(&self, count: u32) -> &Self {
        let count = match std::env::var("SGRING_ALLOCATIONS") {
            Ok(text) => text.parse().expect("SGRING_ALLOCATIONS is a number"),
            Err(_) => count,
        };
        assert!(count > 0, "one in none");
        self.one_in.set(count);
        self
    }

    /// The allocations that are to fail, as long as there are so many.
    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let count = self.one_in.get();
        let mut random = (count > 1).then(Random::new);
        let mut number = 0;
        std::iter::from_fn(move || {
            number += match &mut random {
                None => 1,
                // Of 1 to 2 count - 1, the average is count.
                Some(random) => 1 + random.below(2 * count as usize - 1) as u32,
            };
            Some(number)
        })
    }

    fn arm(&self, number: u32) -> io::Result<()> {
        self.file.write_all_at(number.to_string().as_bytes(), 0)
    }

    /// Ends it; whether the failure has come.
    fn disarm(&self) -> io::Result<bool> {
        let mut text = [0; 16];
        // Reading and writing copy from and to user space themselves, which is counted: a failure here has
        // not come before.
        let come = match self.file.read_at(&mut text, 0) {
            Ok(_) => text[0] == b'0',
            Err(_) => false,
        };
        while let Err(error) = self.arm(0) {
            if error.raw_os_error() != Some(libc::EFAULT) {
                return Err(error);
            }
        }
        Ok(come)
    }

    /// Runs `call` with its allocation `number` failing, the first is 1. `None`: it has fewer.
    fn once<T>(
        &self,
        number: u32,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<Option<io::Result<T>>> {
        self.arm(number)?;
        let result = call();
        Ok(self.disarm()?.then_some(result))
    }

    /// For every allocation of `call`, or [one in so many](Self::one_in), on a state that `before` makes: lets it
    /// fail, demands one of `errors` or success, and hands state and result to `after`. In the end the call without
    /// a failure must succeed.
    ///
    /// # Errors
    ///
    /// A failure that names `what` and the allocation.
    pub fn each<S, T>(
        &self,
        what: &str,
        errors: &[i32],
        before: impl Fn() -> Result<S, Stop>,
        call: impl Fn(&mut S) -> io::Result<T>,
        after: impl Fn(S, io::Result<T>) -> Outcome,
    ) -> Result<Tally, Stop> {
        let mut tally = Tally::default();
        for number in self.numbers() {
            let mut state = before()?;
            let Some(result) = self.once(number, || call(&mut state))? else {
                break;
            };
            tally.injected += 1;
            match &result {
                Ok(_) => tally.survived += 1,
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(0);
                    if !errors.contains(&errno) {
                        return Err(Stop::Fail(format!("{what}, allocation {number}: {error}")));
                    }
                    *tally.errors.entry(errno).or_insert(0) += 1;
                }
            }
            after(state, result).map_err(|stop| match stop {
                Stop::Fail(reason) => {
                    Stop::Fail(format!("{what}, after allocation {number}: {reason}"))
                }
                skip => skip,
            })?;
        }
        let mut state = before()?;
        let result = call(&mut state)
            .map_err(|error| Stop::Fail(format!("{what}, nothing fails: {error}")))?;
        after(state, Ok(result))?;
        note(format_args!("{what}: {tally:?}"));
        Ok(tally)
    }
}
