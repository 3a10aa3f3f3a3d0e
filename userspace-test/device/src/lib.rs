// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card against a model of its data sheet.
//!
//! QEMU with the card runs without processors, under qtest: this crate writes its
//! registers and its memory and lets its clock run. A program of random operations,
//! legal and illegal, is given to the card and to a model written from the data
//! sheet alone, and after every step all that a guest can see of the two is the
//! same: registers, and byte by byte the memory that it works in (status lines,
//! events, recordings, messages of interrupts); at the end what the card has
//! fetched, and the memory around and wherever else it was sent.
//!
//! - [`qtest`]: QEMU, and its line protocol
//! - [`card`]: the card in that machine
//! - [`arena`]: the memory that programs work in
//! - [`ops`]: what a program is made of
//! - [`model`]: the reference
//! - [`setup`]: what they write to set up a stream
//! - [`run`]: both side by side
//! - [`saved`]: the card in a saved machine, and damage to it
//! - [`restore`]: machines with such a card
//! - [`seeds`]: programs for QEMU's own fuzzer

pub mod arena;
pub mod card;
pub mod model;
pub mod ops;
pub mod qtest;
pub mod regs;
pub mod restore;
pub mod run;
pub mod saved;
pub mod seeds;
pub mod setup;
