// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM where it can work, else TCG, and why.

use std::fmt;
use std::io;

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor itself. Not for icount.
    Kvm,
    /// Translation, everywhere.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

/// An accelerator and the reason for it. `Display` gives both in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen.
    pub accel: Accel,
    /// Why not the other.
    pub why: String,
}

impl Choice {
    pub(crate) fn new(accel: Accel, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { accel, why }
    }

    /// KVM when the processor says so *and* the device opens. One alone is not
    /// enough: there are machines with a `/dev/kvm` that runs no kernel.
    pub(crate) fn detect() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let open = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .map(drop)
        };
        judge(&cpuinfo, open)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.accel, self.why)
    }
}

fn judge(cpuinfo: &str, open: impl FnOnce() -> io::Result<()>) -> Choice {
    if !has_virtualisation(cpuinfo) {
        return Choice::new(
            Accel::Tcg,
            "no KVM: /proc/cpuinfo shows neither vmx nor svm",
        );
    }
    match open() {
        Ok(()) => Choice::new(Accel::Kvm, "the processor has it and /dev/kvm opens"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Choice::new(
            Accel::Tcg,
            "no KVM: there is no /dev/kvm; load the module kvm_intel or kvm_amd for it",
        ),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Choice::new(
            Accel::Tcg,
            "no KVM: /dev/kvm may not be opened; join its group, kvm, for it",
        ),
        Err(e) => Choice::new(Accel::Tcg, format!("no KVM: /dev/kvm: {e}")),
    }
}

fn has_virtualisation(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|f| f == "vmx" || f == "svm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_whole_words() {
        assert!(has_virtualisation("flags\t\t: fpu vmx sse\n"));
        assert!(has_virtualisation("flags : svm\n"));
        assert!(!has_virtualisation("flags : svm_lock vmxnet\nbugs : vmx\n"));
        assert!(!has_virtualisation(""));
    }

    #[test]
    fn one_without_the_other_is_tcg() {
        let kvm = |cpuinfo, result: Result<(), io::ErrorKind>| {
            judge(cpuinfo, || result.map_err(io::Error::from)).accel == Accel::Kvm
        };
        assert!(kvm("flags : vmx", Ok(())));
        assert!(!kvm("flags : fpu", Ok(())));
        for kind in [
            io::ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ResourceBusy,
        ] {
            assert!(!kvm("flags : vmx", Err(kind)));
        }
    }
}
