// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hostile user, seeded: programs of operations on the card's device nodes and what is mapped from them, run as
//! an ordinary user, and a guard that looks at the kernel, the card and everybody else's memory after each.
//!
//! * [`op`]: what a program is: operations with numbers as arguments, in the order of a few threads; as text too.
//! * [`draw`]: programs from a seed.
//! * [`calls`]: the ioctls, as a table. [`odd`]: the values that code gets wrong.
//! * [`user`]: the process that does it. [`arena`]: its addresses and what it may do there. [`touch`]: an access
//!   that may be a signal.
//! * [`guard`]: who starts it, ends it, and judges. [`bystander`]: memory that is none of the user's business.
//! * [`shrink`]: fewer operations that still fail. [`runs`]: the program `fuzz_user`, by tests and by hand.
//!
//! An operation means the same whatever stands before it: descriptors and mappings are slots with numbers, and an
//! empty slot is an error like any other. So operations can be taken away from a program, and the rest says what
//! it said. All of it is for x86-64: the accesses that may be a signal are its instructions, and some of the system
//! calls are not everywhere. HACKING.md tells how to run, replay, shrink and add.

pub mod arena;
pub mod bystander;
pub mod calls;
pub mod draw;
pub mod guard;
pub mod odd;
pub mod op;
pub mod runs;
pub mod shrink;
pub mod touch;
pub mod user;
