// SPDX-License-Identifier: MIT OR Apache-2.0
//! A writer of newc archives, the format of an initramfs
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Archives may follow each other in one initrd as long as each begins at a
//! multiple of four bytes; [`Writer::finish`] pads to 512.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Component, Path};

const DIR: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHAR_DEVICE: u32 = 0o020_000;

/// Writes one archive.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    written: u64,
    inode: u32,
    dirs: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    /// An archive at the start of `out`, or at a multiple of four bytes in it.
    pub fn new(out: W) -> Self {
        Self {
            out,
            written: 0,
            inode: 0,
            dirs: BTreeSet::new(),
        }
    }

    /// A regular file, with the folders above it.
    ///
    /// # Errors
    /// Those of the writer, and a path that is not plain or data past 4 GiB.
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        let path = self.parents(path)?;
        self.entry(&path, FILE | (mode & 0o7777), data, (0, 0))
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// Those of the writer, and a path that is not plain.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let path = self.parents(path)?;
        self.entry(&path, LINK, target.as_bytes(), (0, 0))
    }

    /// A character device node.
    ///
    /// # Errors
    /// Those of the writer, and a path that is not plain.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> io::Result<()> {
        let path = self.parents(path)?;
        self.entry(&path, CHAR_DEVICE | (mode & 0o7777), &[], (major, minor))
    }

    /// A folder on the host with all below it; links stay links.
    ///
    /// # Errors
    /// Those of the writer and of reading the folder.
    pub fn tree(&mut self, path: &str, host: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut names: Vec<_> = std::fs::read_dir(host)?.collect::<Result<_, _>>()?;
        names.sort_by_key(std::fs::DirEntry::file_name);
        for entry in names {
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| invalid(&format!("{}: not UTF-8", entry.path().display())))?;
            let inside = format!("{path}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.tree(&inside, &entry.path())?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path())?;
                self.link(&inside, &target.to_string_lossy())?;
            } else if kind.is_file() {
                let mode = entry.metadata()?.permissions().mode();
                self.file(&inside, mode, &std::fs::read(entry.path())?)?;
            }
        }
        Ok(())
    }

    /// Ends the archive and hands the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[], (0, 0))?;
        self.pad(512)?;
        Ok(self.out)
    }

    /// The path as the archive has it, after writing its missing folders.
    fn parents(&mut self, path: &str) -> io::Result<String> {
        let mut parts = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
                _ => return Err(invalid(&format!("{path}: not a plain path in the guest"))),
            }
        }
        let Some(name) = parts.pop() else {
            return Err(invalid(&format!("{path:?}: no file name")));
        };
        let mut dir = String::new();
        for part in parts {
            if !dir.is_empty() {
                dir.push('/');
            }
            dir.push_str(&part);
            if self.dirs.insert(dir.clone()) {
                self.entry(&dir, DIR, &[], (0, 0))?;
            }
        }
        Ok(if dir.is_empty() {
            name
        } else {
            format!("{dir}/{name}")
        })
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8], rdev: (u32, u32)) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| invalid("file of 4 GiB or more"))?;
        self.inode += 1;
        let mut header = String::from("070701");
        for field in [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            rdev.0,
            rdev.1,
            u32::try_from(name.len() + 1).map_err(|_| invalid("path too long"))?,
            0,
        ] {
            header.push_str(&format!("{field:08x}"));
        }
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad(4)?;
        self.put(data)?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        let zeros = [0u8; 512];
        let missing = (to - self.written % to) % to;
        self.put(&zeros[..usize::try_from(missing).unwrap_or(0)])
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let field = |at: usize, n: usize| {
            let text = std::str::from_utf8(&archive[at + 6 + 8 * n..][..8]).unwrap();
            u32::from_str_radix(text, 16).unwrap()
        };
        let round = |at: usize| at.div_ceil(4) * 4;
        let (mut at, mut list) = (0, Vec::new());
        loop {
            assert_eq!(&archive[at..at + 6], b"070701");
            let (mode, size, name) = (field(at, 1), field(at, 6), field(at, 11));
            let name_at = at + 110;
            let end = name_at + name as usize;
            let path = String::from_utf8(archive[name_at..end - 1].to_vec()).unwrap();
            let data = &archive[round(end)..round(end) + size as usize];
            if path == "TRAILER!!!" {
                return list;
            }
            list.push((path, mode, data.to_vec()));
            at = round(round(end) + size as usize);
        }
    }

    #[test]
    fn folders_come_before_their_files_and_once() {
        let mut w = Writer::new(Vec::new());
        w.file("/a/b/c", 0o755, b"12345").unwrap();
        w.file("a/b/d", 0o644, b"").unwrap();
        w.link("a/l", "b/c").unwrap();
        let archive = w.finish().unwrap();
        assert_eq!(archive.len() % 512, 0);
        let list = names(&archive);
        let paths: Vec<_> = list.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b/d", "a/l"]);
        assert_eq!(list[2].1, 0o100_755);
        assert_eq!(list[2].2, b"12345");
        assert_eq!(list[4].2, b"b/c");
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        let mut w = Writer::new(Vec::new());
        assert!(w.file("a/../b", 0o644, b"").is_err());
        assert!(w.file("/", 0o644, b"").is_err());
    }
}
