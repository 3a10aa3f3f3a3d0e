// SPDX-License-Identifier: GPL-2.0-only

//! Reading the card's ring of events (data sheet, Events).
//!
//! The card numbers events from 1 on, writes event n over event n - COUNT and waits for nobody. An entry is
//! read as the sheet says: its number, the rest, its number again. Whatever the card writes there, looking
//! takes four loads and ends in one of three answers.

/// 64-bit words of an entry: the number; the time; type and index; the value.
pub(crate) const WORDS: usize = 4;
const NUMBER: usize = 0;
const TYPE_AND_INDEX: usize = 2;
const VALUE: usize = 3;

/// What the card tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `SGRING_EVENT_*`, or what this driver does not know.
    pub(crate) kind: u32,
    /// Of the jack or stream.
    pub(crate) index: u32,
    pub(crate) value: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has not happened yet.
    Nothing,
    Event(Event),
    /// It was there and a later one lies over it.
    Lost,
}

/// The first word of the entry of event `number`, counted from 1, in a ring of `entries` entries.
pub(crate) fn place(number: u64, entries: u32) -> Option<usize> {
    let index = number.checked_sub(1)?.checked_rem(entries.into())?;
    usize::try_from(index).ok()?.checked_mul(WORDS)
}

/// Whether event `number` may be there: it, or a later one in its place.
pub(crate) fn may_be_there(
    number: u64,
    entries: u32,
    load: impl FnOnce(usize) -> Option<u64>,
) -> bool {
    place(number, entries)
        .and_then(|at| load(at.checked_add(NUMBER)?))
        .is_some_and(|seen| seen >= number)
}

/// Looks for event `number` in a ring of `entries` entries.
///
/// `load` loads a word of the ring, none of them before the one that was asked for earlier; `None` when the
/// ring is gone.
pub(crate) fn look(number: u64, entries: u32, mut load: impl FnMut(usize) -> Option<u64>) -> Look {
    let mut answer = || {
        let at = place(number, entries)?;
        let seen = load(at.checked_add(NUMBER)?)?;
        if seen < number {
            return Some(Look::Nothing);
        }
        if seen > number {
            return Some(Look::Lost);
        }
        let what = load(at.checked_add(TYPE_AND_INDEX)?)?;
        let value = load(at.checked_add(VALUE)?)?;
        if load(at.checked_add(NUMBER)?)? != number {
            return Some(Look::Lost);
        }
        Some(Look::Event(Event {
            // CAST: The low and the high half, and the low half.
            kind: what as u32,
            index: (what >> 32) as u32,
            value: value as u32,
        }))
    };
    answer().unwrap_or(Look::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENTRIES: u32 = 8;

    /// The ring as a card keeps it.
    struct Card {
        words: Vec<u64>,
        last: u64,
    }

    impl Card {
        fn new() -> Self {
            let words = vec![0; ENTRIES as usize * WORDS];
            Self { words, last: 0 }
        }

        fn event_of(number: u64) -> Event {
            Event {
                kind: number as u32 % 3,
                index: number as u32 ^ 0xffff_0000,
                value: number as u32 * 7,
            }
        }

        fn tell(&mut self) {
            self.last += 1;
            let at = place(self.last, ENTRIES).unwrap();
            let event = Self::event_of(self.last);
            self.words[at] = self.last;
            self.words[at + 1] = 12345;
            self.words[at + 2] = u64::from(event.index) << 32 | u64::from(event.kind);
            self.words[at + 3] = event.value.into();
        }

        fn look(&self, number: u64) -> Look {
            look(number, ENTRIES, |at| Some(self.words[at]))
        }
    }

    #[test]
    fn every_event_is_found_in_order() {
        let mut card = Card::new();
        for number in 1..100 {
            assert_eq!(card.look(number), Look::Nothing);
            card.tell();
            assert_eq!(card.look(number), Look::Event(Card::event_of(number)));
        }
    }

    #[test]
    fn an_event_that_was_written_over_is_lost() {
        let mut card = Card::new();
        for _ in 0..ENTRIES {
            card.tell();
        }
        assert_eq!(card.look(1), Look::Event(Card::event_of(1)));
        card.tell();
        assert_eq!(card.look(1), Look::Lost);
        assert_eq!(card.look(2), Look::Event(Card::event_of(2)));
    }

    #[test]
    fn an_entry_that_is_being_written_is_not_there_yet() {
        let mut card = Card::new();
        card.tell();
        card.words[0] = 0;
        assert_eq!(card.look(1), Look::Nothing);
        assert!(!may_be_there(1, ENTRIES, |at| Some(card.words[at])));
    }

    /// The card writes a whole entry, or begins to, between any two loads.
    #[test]
    fn an_entry_that_changes_meanwhile_is_never_believed() {
        for begun in [false, true] {
            for moment in 1..4 {
                let mut card = Card::new();
                card.tell();
                let mut loads = 0;
                let seen = look(1, ENTRIES, |at| {
                    loads += 1;
                    if loads == moment + 1 {
                        for _ in 0..ENTRIES {
                            card.tell();
                        }
                        if begun {
                            card.words[0] = 0;
                        }
                    }
                    Some(card.words[at])
                });
                assert_eq!(seen, Look::Lost, "before load {moment}");
            }
        }
    }

    #[test]
    fn nothing_is_in_a_ring_that_is_gone() {
        assert_eq!(look(1, ENTRIES, |_| None), Look::Nothing);
        assert_eq!(look(1, 0, |_| Some(1)), Look::Nothing);
        assert_eq!(look(0, ENTRIES, |_| Some(0)), Look::Nothing);
        assert!(!may_be_there(0, ENTRIES, |_| Some(u64::MAX)));
        assert!(!may_be_there(1, 0, |_| Some(u64::MAX)));
    }

    proptest! {
        #[test]
        fn garbage_takes_four_loads_inside_the_ring(
            number in any::<u64>(),
            entries in any::<u32>(),
            words in proptest::collection::vec(any::<u64>(), 4),
        ) {
            let mut loads = 0;
            look(number, entries, |at| {
                assert!(at < entries as usize * WORDS);
                loads += 1;
                Some(words[loads - 1])
            });
            prop_assert!(loads <= 4);
        }
    }
}
