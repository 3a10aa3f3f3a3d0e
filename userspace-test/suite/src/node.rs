// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device nodes beside those in /dev/snd.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A device node of our own, removed when dropped.
#[derive(Debug)]
pub struct Node(PathBuf);

impl Node {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It is on a file system that goes with the guest.
        let _ = fs::remove_file(&self.0);
    }
}

/// Another node of the device behind `/dev/snd/NAME`: another inode of the same device.
///
/// # Errors
///
/// The errno of `stat(2)` or `mknod(2)`.
pub fn another(name: &str) -> io::Result<Node> {
    let device = fs::metadata(Path::new("/dev/snd").join(name))?.rdev();
    let path = PathBuf::from(format!("/dev/another-{name}-{}", std::process::id()));
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: A path that ends in zero.
    match unsafe { libc::mknod(c_path.as_ptr(), libc::S_IFCHR | 0o600, device) } {
        0 => Ok(Node(path)),
        _ => Err(io::Error::last_os_error()),
    }
}
