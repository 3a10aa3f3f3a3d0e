// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says about memory, in /proc, and other ways to look at a process's memory.
#![allow(unsafe_code)]

use crate::window::{Window, page};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;

fn word(file: &str, index: usize) -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open(file)?.read_exact_at(&mut bytes, index as u64 * 8)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// For each page of `window`: the number of the page frame that this process's page table has there
/// (Documentation/admin-guide/mm/pagemap.rst).
///
/// # Errors
///
/// As for reading /proc/self/pagemap, or `EACCES` when it hides the frames' numbers.
pub fn frames(window: &Window) -> io::Result<Vec<Option<u64>>> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let mut bytes = vec![0; window.pages() * 8];
    File::open("/proc/self/pagemap")?
        .read_exact_at(&mut bytes, (window.address() / page()) as u64 * 8)?;
    bytes
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map_or(0, u64::from_ne_bytes))
        .map(|entry| match (entry & PRESENT != 0, entry & FRAME) {
            (false, _) => Ok(None),
            (true, 0) => Err(io::Error::from_raw_os_error(libc::EACCES)),
            (true, frame) => Ok(Some(frame)),
        })
        .collect()
}

/// Which pages of `window` this process's page table has.
///
/// # Errors
///
/// As [`frames`].
pub fn present(window: &Window) -> io::Result<Vec<usize>> {
    let frames = frames(window)?;
    Ok((0..)
        .zip(frames)
        .filter_map(|(index, frame)| frame.map(|_| index))
        .collect())
}

/// How often page frame `frame` is mapped, by all processes.
///
/// # Errors
///
/// As for reading /proc/kpagecount.
pub fn map_count(frame: u64) -> io::Result<u64> {
    word("/proc/kpagecount", frame as usize)
}

/// What kind of page frame `frame` is (`KPF_*`, include/uapi/linux/kernel-page-flags.h).
///
/// # Errors
///
/// As for reading /proc/kpageflags.
pub fn frame_flags(frame: u64) -> io::Result<u64> {
    word("/proc/kpageflags", frame as usize)
}

/// `MemFree`, in kB.
///
/// # Errors
///
/// As for reading /proc/meminfo.
pub fn free_memory() -> io::Result<u64> {
    field(&fs::read_to_string("/proc/meminfo")?, "MemFree")
}

/// What is free and the kernel's own objects that are in use (`SUnreclaim`), in kB, when what the kernel keeps for
/// later has been given back.
///
/// # Errors
///
/// As for /proc/sys/vm/drop_caches, /proc/meminfo and /proc/zoneinfo.
pub fn settled_memory() -> io::Result<(u64, u64)> {
    // Page cache, dentries, inodes.
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let text = fs::read_to_string("/proc/meminfo")?;
    let free = field(&text, "MemFree")? + ready_pages()? * page() as u64 / 1024;
    Ok((free, field(&text, "SUnreclaim")?))
}

/// What may be gone, in kB, of memory that nobody uses: `lists`, since lists of free pages and objects fill; and a
/// kernel with KASAN keeps what was freed, up to a 32nd of all memory (mm/kasan/quarantine.c), to see who still
/// uses it.
///
/// # Errors
///
/// As for reading /proc/kallsyms and /proc/meminfo.
pub fn kept_memory(lists: u64) -> io::Result<u64> {
    let symbols = BufReader::new(File::open("/proc/kallsyms")?);
    for line in symbols.lines() {
        if line?.ends_with(" kasan_quarantine_put") {
            return Ok(lists + field(&fs::read_to_string("/proc/meminfo")?, "MemTotal")? / 32);
        }
    }
    Ok(lists)
}

/// Free pages that each processor has ready for itself: `MemFree` is without them, and they may be thousands.
fn ready_pages() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let counts = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"));
    counts
        .map(|count| count.trim().parse::<u64>().map_err(io::Error::other))
        .sum()
}

/// `VmLck` of this process, in kB.
///
/// # Errors
///
/// As for reading /proc/self/status.
pub fn locked_memory() -> io::Result<u64> {
    field(&fs::read_to_string("/proc/self/status")?, "VmLck")
}

/// The first number of a line "name: number kB".
fn field(text: &str, name: &str) -> io::Result<u64> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no number {name}")))
}

/// What /proc/self/smaps says of one mapping.
#[derive(Clone, Debug)]
pub struct Smaps {
    /// Bytes, from the range of addresses.
    pub bytes: usize,
    /// Resident, in kB.
    pub rss: u64,
    /// Locked, in kB.
    pub locked: u64,
    /// The two-letter flags.
    pub flags: Vec<String>,
}

impl Smaps {
    /// The entry of the mapping that starts where `window` does.
    ///
    /// # Errors
    ///
    /// As for reading the file, or `NotFound`.
    pub fn of(window: &Window) -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/smaps")?;
        let start = format!("{:x}-", window.address());
        // Up to the last line, the flags, which is of this entry: it is the first to have it.
        let entry = text
            .split_once(&format!("\n{start}"))
            .map(|(_, rest)| rest)
            .ok_or(io::ErrorKind::NotFound)?;
        let (entry, flags) = entry
            .split_once("VmFlags:")
            .ok_or(io::ErrorKind::InvalidData)?;
        let end = entry.split_whitespace().next().unwrap_or_default();
        let end = usize::from_str_radix(end, 16).map_err(io::Error::other)?;
        Ok(Self {
            bytes: end - window.address(),
            rss: field(entry, "Rss")?,
            locked: field(entry, "Locked")?,
            flags: flags
                .lines()
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Whether `flag` is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }
}

/// Reads the first `bytes` bytes of `window` as another process would: `process_vm_readv(2)`.
///
/// # Errors
///
/// Its errno.
pub fn read_own(window: &Window, bytes: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0u8; bytes];
    let local = libc::iovec {
        iov_base: out.as_mut_ptr().cast(),
        iov_len: bytes,
    };
    let remote = libc::iovec {
        iov_base: window.address() as *mut _,
        iov_len: bytes,
    };
    // SAFETY: `local` is `out`, which nobody else has; what is remote the kernel checks.
    let read = unsafe {
        libc::process_vm_readv(
            std::process::id() as libc::pid_t,
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    out.truncate(read);
    Ok(out)
}
