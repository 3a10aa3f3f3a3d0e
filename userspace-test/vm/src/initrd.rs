// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's file system: archives one after the other.
//!
//! base (Debian's userland), sound (a sound server, where one is asked for),
//! modules (of the kernel), payload (our init, driver and programs) and job (the
//! command and its files). The kernel unpacks them in order, a later file
//! replaces an earlier one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::argv::quote;
use crate::config::{Card, Config};
use crate::cpio::Writer;
use crate::error::Error;
use crate::layout::Layout;
use crate::rundir::RunDir;

const INIT: &str = include_str!("../guest/init");
const WITH_SOUND: &str = include_str!("../guest/with-sound");

/// Our programs that the guest has in its path.
const PROGRAMS: [&str; 1] = ["sgring-play"];

/// Virtual seconds between the command's end and power off. The audio backend
/// holds at most two of its buffers: 2 x 1024 frames, 43 ms at 48 kHz, 256 ms
/// at 8 kHz.
const SETTLE: &str = "0.3";

/// Makes it in the run's folder, as a file without a name: nothing of it stays
/// behind, however the run ends.
pub(crate) fn make(
    dir: &RunDir,
    layout: &Layout,
    release: &str,
    config: &Config,
    end: &str,
) -> Result<File, Error> {
    let path = dir.join("initrd.cpio");
    let broken = |e: &io::Error| Error::file(&path, e);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|e| broken(&e))?;
    std::fs::remove_file(&path).map_err(|e| broken(&e))?;
    let mut out = &file;
    let sound = config.sound_server.then(|| layout.sound());
    for archive in [layout.base(), layout.modules(release)]
        .into_iter()
        .chain(sound)
    {
        let mut input = File::open(&archive)
            .map_err(|_| Layout::missing(&archive, "guest image", "make guest"))?;
        let copied = io::copy(&mut input, &mut out).map_err(|e| broken(&e))?;
        let missing = usize::try_from((512 - copied % 512) % 512).unwrap_or(0);
        out.write_all(&[0; 512][..missing])
            .map_err(|e| broken(&e))?;
    }
    let out = payload(
        Writer::new(io::BufWriter::new(out)),
        layout,
        release,
        config,
    )
    .map_err(|e| at(&path, e))?;
    let out = job(Writer::new(out), config, end).map_err(|e| at(&path, e))?;
    out.into_inner().map_err(|e| broken(e.error()))?;
    Ok(file)
}

/// What stops the making: an error of the archive's file, or of another's.
enum Trouble {
    Archive(io::Error),
    Other(Error),
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Self::Archive(e)
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Self::Other(e)
    }
}

fn at(path: &Path, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Archive(e) => Error::file(path, &e),
        Trouble::Other(e) => e,
    }
}

fn payload<W: Write>(
    mut cpio: Writer<W>,
    layout: &Layout,
    release: &str,
    config: &Config,
) -> Result<W, Trouble> {
    cpio.char_device("dev/console", 0o600, 5, 1)?;
    cpio.file("init", 0o755, INIT.as_bytes())?;
    if config.sound_server {
        cpio.file("usr/bin/with-sound", 0o755, WITH_SOUND.as_bytes())?;
    }
    let driver = layout.driver(release);
    match std::fs::read(&driver) {
        Ok(module) => {
            let place = format!("usr/lib/modules/{release}/updates/snd-sgring.ko");
            cpio.file(&place, 0o644, &module)?;
            // The index of the modules was made before this one.
            let rule = format!(
                "install snd-sgring /sbin/modprobe -q snd-pcm && /sbin/insmod /{place} $CMDLINE_OPTS\n"
            );
            cpio.file("etc/modprobe.d/sgring.conf", 0o644, rule.as_bytes())?;
        }
        Err(_) if config.card == Card::Sgring && config.load_driver => {
            return Err(Layout::missing(&driver, "driver", "make driver").into());
        }
        Err(_) => {}
    }
    for name in PROGRAMS {
        if let Some(program) = program(&layout.programs().join(name)) {
            cpio.file(&format!("usr/bin/{name}"), 0o755, &program)?;
        }
    }
    Ok(cpio.finish()?)
}

/// A program without its debugging information, which stays on the host; with
/// it, where there is no strip.
fn program(path: &Path) -> Option<Vec<u8>> {
    let scratch = scratch();
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&scratch)
        .arg(path)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let program = std::fs::read(if stripped { &scratch } else { path }).ok();
    let _ = std::fs::remove_file(scratch);
    program
}

/// A name for a file of one moment, in no other use.
fn scratch() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("sgring-{}-{n}", std::process::id()))
}

fn job<W: Write>(mut cpio: Writer<W>, config: &Config, end: &str) -> Result<W, Trouble> {
    use std::os::unix::fs::PermissionsExt;
    cpio.file("job/conf", 0o644, conf(config, end).as_bytes())?;
    cpio.file("job/run", 0o755, run_script(&config.argv).as_bytes())?;
    for (host, guest) in &config.files {
        let fail = |e: io::Error| Error::file(host, &e);
        let meta = host.metadata().map_err(fail)?;
        if meta.is_dir() {
            cpio.tree(guest, host).map_err(|e| match e.kind() {
                io::ErrorKind::StorageFull => e.into(),
                _ => Trouble::Other(fail(e)),
            })?;
        } else if meta.is_file() {
            let data = std::fs::read(host).map_err(fail)?;
            cpio.file(guest, meta.permissions().mode(), &data)?;
        } else {
            let text = format!("{}: neither file nor folder", host.display());
            return Err(Error::setup(text).into());
        }
    }
    Ok(cpio.finish()?)
}

fn conf(config: &Config, end: &str) -> String {
    let mut modules = Vec::new();
    if config.share.is_some() {
        modules.extend(["9pnet_virtio", "9p"]);
    }
    let driver = if config.load_driver {
        config.card.driver()
    } else {
        None
    };
    let mut text = String::new();
    let mut set = |name: &str, value: &str| {
        text.push_str(&format!("{name}={}\n", quote(value)));
    };
    set("END", end);
    set("SETTLE", SETTLE);
    set("GUEST_NAME", "sgring");
    set("MODULES", &modules.join(" "));
    set("DRIVER", driver.unwrap_or(""));
    set("MODPARAMS", &config.modparams.join(" "));
    set("SHARE", if config.share.is_some() { "share" } else { "" });
    set(
        "WORKDIR",
        if config.share.is_some() {
            "/share"
        } else {
            "/root"
        },
    );
    if config.tty {
        set(
            "TTY",
            &std::env::var("TERM").unwrap_or_else(|_| "vt100".into()),
        );
        set("TTY_SIZE", &crate::tty::size());
    }
    text
}

/// One word is a line of shell, several are a program and its arguments.
fn run_script(argv: &[String]) -> String {
    match argv {
        [] => "exec bash -l\n".to_owned(),
        [line] => format!("{line}\n"),
        words => {
            let words: Vec<_> = words.iter().map(|w| quote(w)).collect();
            format!("exec {}\n", words.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let argv = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(run_script(&argv(&["echo a; exit 3"])), "echo a; exit 3\n");
        assert_eq!(
            run_script(&argv(&["echo", "a b", "$x"])),
            "exec echo 'a b' '$x'\n"
        );
        assert_eq!(run_script(&[]), "exec bash -l\n");
    }
}
