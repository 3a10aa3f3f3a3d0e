// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program: which thread does what, in order.

use super::calls::CALLS;
use std::fmt;
use std::str::FromStr;

/// Descriptors that the threads of a program share.
pub const FILES: u64 = 8;
/// Mappings that each thread has.
pub const MAPS: u64 = 6;
/// Threads at most.
pub const THREADS: usize = 3;
/// Operations at most: a set of them is a number.
pub const OPS: usize = 64;
/// The bound of an argument that may be any number.
pub const ANY: u64 = 0;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $weight:literal [$($bound:expr),*];)*) => {
        /// What can be done. The arguments are numbers, each below a bound; what they mean is
        /// [`super::user`]'s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        /// All kinds: their names, how often they are drawn, the bounds of their arguments.
        pub const KINDS: &[(Kind, &str, usize, [u64; 4])] = &[
            $((Kind::$kind, $name, $weight, [$($bound),*]),)*
        ];
    };
}

kinds! {
    /// `open(2)`: into which slot, which node, flags.
    Open "open" 6 [FILES, 8, 32, 1];
    /// `close(2)`
    Close "close" 3 [FILES, 1, 1, 1];
    /// `dup(2)`: from one slot into another.
    Dup "dup" 1 [FILES, FILES, 1, 1];
    /// `fcntl(2)`: slot, command, value.
    Fcntl "fcntl" 2 [FILES, 6, ANY, 1];
    /// An ioctl that the node knows: slot, number in the table, what its argument is filled from, where that is.
    Ioctl "ioctl" 30 [FILES, CALLS.len() as u64, ANY, 32];
    /// Any number as an ioctl: slot, number, filling, where.
    AnyIoctl "any_ioctl" 2 [FILES, ANY, ANY, 32];
    /// HW_PARAMS that a card can take, most of the time: slot, choice.
    Setup "setup" 5 [FILES, ANY, 1, 1];
    /// SW_PARAMS that the core takes: slot, choice.
    Soften "soften" 2 [FILES, ANY, 1, 1];
    /// `read(2)`, `write(2)`, `readv(2)`, `writev(2)`: slot, which, bytes, where.
    Bytes "bytes" 5 [FILES, 4, 1 << 16, 32];
    /// WRITEI_FRAMES and its like: slot, which, frames, where.
    Frames "frames" 6 [FILES, 4, ANY, 32];
    /// `poll(2)` or an epoll: slot, milliseconds, which.
    Poll "poll" 3 [FILES, 4, 2, 1];
    /// Nothing for so many microseconds: the card goes on.
    Rest "rest" 3 [3000, 1, 1, 1];
    /// `mmap(2)`: descriptor, mapping, offset and length, protection and flags.
    Map "map" 9 [FILES, MAPS, ANY, ANY];
    /// `munmap(2)` of a part: mapping, choice.
    Unmap "unmap" 4 [MAPS, ANY, 1, 1];
    /// `mremap(2)`: mapping, the other one, choice.
    Remap "remap" 3 [MAPS, MAPS, ANY, 1];
    /// `mprotect(2)` of a part: mapping, protection, choice.
    Protect "protect" 3 [MAPS, 4, ANY, 1];
    /// `madvise(2)` of a part: mapping, advice, choice.
    Advise "advise" 5 [MAPS, 26, ANY, 1];
    /// `mlock(2)` and its like: mapping, which.
    Lock "lock" 2 [MAPS, 5, 1, 1];
    /// Reads or writes pages: mapping, order, choice.
    Touch "touch" 12 [MAPS, 8, ANY, 1];
    /// Reads or writes a page of another thread's mapping: thread, mapping, choice.
    Reach "reach" 3 [THREADS as u64, MAPS, ANY, 1];
    /// Has the kernel read or write a mapping: mapping, how, choice.
    Carry "carry" 4 [MAPS, 8, ANY, 1];
    /// Odd values into what is mapped: the control record, if it is that.
    Scribble "scribble" 5 [MAPS, ANY, ANY, 1];
    /// A child: what it does, choice.
    Fork "fork" 2 [5, ANY, 1, 1];
    /// A ring of its own, of which every byte is known: choice.
    Audit "audit" 4 [ANY, ANY, 1, 1];
    /// A mistake of this program's own: is it seen? Never drawn.
    Crash "crash" 0 [1, 1, 1, 1];
    /// Sees what no one must. Never drawn.
    Blame "blame" 0 [1, 1, 1, 1];
    /// Never ends. Never drawn.
    Hang "hang" 0 [1, 1, 1, 1];
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What.
    pub kind: Kind,
    /// With what.
    pub args: [u64; 4],
}

/// Operations, each with the thread that does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program(pub Vec<(usize, Op)>);

impl Program {
    /// Those operations alone whose numbers `keep` has.
    #[must_use]
    pub fn only(&self, keep: &[usize]) -> Self {
        let kept = keep.iter().filter_map(|&index| self.0.get(index).copied());
        Self(kept.collect())
    }
}

/// The table's line of a kind.
fn line(kind: Kind) -> &'static (Kind, &'static str, usize, [u64; 4]) {
    let found = KINDS.iter().find(|line| line.0 == kind);
    found.expect("the table has every kind")
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name, _, bounds) = line(self.kind);
        f.write_str(name)?;
        let used = bounds.iter().rposition(|&bound| bound != 1);
        for value in &self.args[..used.map_or(0, |last| last + 1)] {
            write!(f, " {value:#x}")?;
        }
        if let Kind::Ioctl = self.kind {
            write!(f, " # {}", CALLS[self.args[1] as usize % CALLS.len()].name)?;
        }
        Ok(())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (thread, op) in &self.0 {
            writeln!(f, "{thread} {op}")?;
        }
        Ok(())
    }
}

impl FromStr for Program {
    type Err = String;

    /// A line for each operation: thread, name, arguments; what is behind `#` is not read.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut ops = Vec::new();
        for line in text.lines() {
            let words = line.split('#').next().unwrap_or_default();
            let mut words = words.split_whitespace();
            let Some(thread) = words.next() else { continue };
            let wrong = |what: &str| format!("{what} in {line:?}");
            let thread = thread.parse().ok().filter(|&thread| thread < THREADS);
            let thread = thread.ok_or_else(|| wrong("no thread's number"))?;
            let name = words.next().unwrap_or_default();
            let found = KINDS.iter().find(|(_, known, ..)| *known == name);
            let &(kind, _, _, bounds) = found.ok_or_else(|| wrong("no such operation"))?;
            let mut args = [0; 4];
            for (index, word) in words.enumerate() {
                let to = args.get_mut(index);
                let to = to.ok_or_else(|| wrong("more than four arguments"))?;
                let digits = word.strip_prefix("0x").unwrap_or(word);
                *to = u64::from_str_radix(digits, 16).map_err(|_| wrong("no number"))?;
                if bounds[index] != ANY && *to >= bounds[index] {
                    return Err(wrong("a number beyond its bound"));
                }
            }
            ops.push((thread, Op { kind, args }));
        }
        match ops.len() {
            0..=OPS => Ok(Self(ops)),
            many => Err(format!("{many} operations, at most {OPS} are allowed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::draw;
    use crate::seed::Random;

    #[test]
    fn a_program_is_its_text() {
        for number in 0..200 {
            let program = draw::program(&mut Random::from_seed(number));
            assert!(!program.0.is_empty() && program.0.len() <= OPS);
            assert_eq!(program.to_string().parse(), Ok(program.clone()));
        }
    }

    #[test]
    fn every_kind_is_drawn_but_those_that_are_not() {
        let mut seen = vec![0; KINDS.len()];
        for number in 0..300 {
            for (_, op) in draw::program(&mut Random::from_seed(number)).0 {
                let index = KINDS.iter().position(|line| line.0 == op.kind);
                seen[index.unwrap()] += 1;
            }
        }
        for ((_, name, weight, _), seen) in KINDS.iter().zip(seen) {
            assert_eq!(*weight > 0, seen > 0, "{name}");
        }
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for text in [
            "x open",
            "3 open",
            "0 opens",
            "0 open zz",
            "0 open 0x0x1",
            "0 open 8",
            "0 open 0 0 0 0 0",
            "0 open 0 0 0 1",
            "0 rest bb8",
            "0 rest ffffffffffffffff",
        ] {
            assert!(text.parse::<Program>().is_err(), "{text}");
        }
        for text in [
            "0 rest bb7",
            "0 open 7 0x7 1f 0",
            "0 map 0 0 ffffffffffffffff",
        ] {
            assert!(text.parse::<Program>().is_ok(), "{text}");
        }
        let long = "0 rest 1\n".repeat(OPS + 1);
        assert!(long.parse::<Program>().is_err());
    }
}
