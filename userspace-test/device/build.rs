// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binds the register map by bindgen, which the build root has: there is no second
//! list of registers.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let map = "../../qemu-device/spec/sgring_regs.h";
    println!("cargo::rerun-if-changed={map}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let status = Command::new("bindgen")
        .args([map, "--rust-target", "1.85", "-o"])
        .arg(out.join("regs.rs"))
        .status()
        .expect("bindgen is part of the build root: run cargo by scripts/cargo");
    assert!(status.success(), "bindgen cannot read {map}");
}
