// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM where it can work, else TCG.

use std::fmt;

/// How QEMU runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor itself. Not for icount.
    Kvm,
    /// Translation, everywhere.
    Tcg,
}

impl Accel {
    /// KVM when the processor says so *and* the device opens. One alone is not
    /// enough: there are machines with a `/dev/kvm` that runs no kernel.
    #[must_use]
    pub fn detect() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let opens = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .is_ok()
        };
        if has_virtualisation(&cpuinfo) && opens() {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
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
    use super::has_virtualisation;

    #[test]
    fn flags_are_whole_words() {
        assert!(has_virtualisation("flags\t\t: fpu vmx sse\n"));
        assert!(has_virtualisation("flags : svm\n"));
        assert!(!has_virtualisation("flags : svm_lock vmxnet\nbugs : vmx\n"));
        assert!(!has_virtualisation(""));
    }
}
