// SPDX-License-Identifier: MIT OR Apache-2.0
//! Models of what the audio thread shares with everybody else, for loom: each order of the threads'
//! steps is tried, and a thread that sleeps for ever fails.
//!
//! The audio thread is what [`crate::handle`] sees of it: it sleeps as the stream's worker does when idle,
//! looks at the command, and goes on.

use crate::handle::{Command, End, Handle, Shared, count};
use crate::sync::Arc;
use loom::thread;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Longer than any model.
const LONG: Duration = Duration::from_secs(3600);

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new().unwrap())
}

/// The audio thread until there is a command that is not to pause.
fn sleep(shared: &Shared) -> Command {
    loop {
        match shared.command() {
            Command::Pause => {
                shared.event.poll();
                shared.event.clear();
            }
            command => return command,
        }
    }
}

#[test]
fn no_command_is_missed_by_a_thread_about_to_sleep() {
    loom::model(|| {
        let shared = shared();
        let audio = {
            let shared = shared.clone();
            thread::spawn(move || {
                // Either is the first that it sees; the last is never missed.
                while sleep(&shared) != Command::Stop {
                    thread::yield_now();
                }
            })
        };
        shared.set_command(Command::Play);
        shared.set_command(Command::Stop);
        audio.join().unwrap();
    });
}

#[test]
fn no_command_of_two_threads_is_missed() {
    loom::model(|| {
        let shared = shared();
        let other = {
            let shared = shared.clone();
            thread::spawn(move || shared.set_command(Command::Pause))
        };
        let audio = {
            let shared = shared.clone();
            thread::spawn(move || sleep(&shared))
        };
        other.join().unwrap();
        shared.set_command(Command::Stop);
        assert_eq!(audio.join().unwrap(), Command::Stop);
    });
}

/// The detector is seen to speak: who sets the event before the command may wake nobody.
#[test]
#[should_panic(expected = "deadlock")]
fn planted_a_wakeup_before_its_command_is_lost() {
    loom::model(|| {
        let shared = shared();
        let audio = {
            let shared = shared.clone();
            thread::spawn(move || sleep(&shared))
        };
        shared.event.set();
        shared.command.store(Command::Play as u8, Relaxed);
        audio.join().unwrap();
    });
}

#[test]
fn an_end_given_before_play_is_seen_at_the_first_period() {
    for now in [false, true] {
        loom::model(move || {
            let handle = Handle(shared());
            let audio = {
                let shared = handle.0.clone();
                thread::spawn(move || {
                    assert_eq!(sleep(&shared), Command::Play);
                    shared.end(0)
                })
            };
            if now {
                handle.finish();
            } else {
                handle.finish_at(7);
            }
            handle.0.set_command(Command::Play);
            assert_eq!(audio.join().unwrap(), if now { 0 } else { 7 });
        });
    }
}

#[test]
fn wait_sees_the_end_and_all_that_was_counted_before() {
    loom::model(|| {
        let handle = Handle(shared());
        let audio = {
            let shared = handle.0.clone();
            thread::spawn(move || {
                count(&shared.counters.frames, 5);
                count(&shared.counters.callbacks, 1);
                shared.set_ended(End::Drained);
            })
        };
        assert_eq!(handle.wait(LONG), Some(End::Drained));
        let stats = handle.stats();
        assert_eq!((stats.frames, stats.callbacks), (5, 1));
        audio.join().unwrap();
    });
}

#[test]
fn both_of_two_that_wait_are_woken() {
    loom::model(|| {
        let handle = Handle(shared());
        let other = {
            let handle = handle.clone();
            thread::spawn(move || handle.wait(LONG))
        };
        let audio = {
            let shared = handle.0.clone();
            thread::spawn(move || shared.set_ended(End::Stopped))
        };
        assert_eq!(handle.wait(LONG), Some(End::Stopped));
        assert_eq!(other.join().unwrap(), Some(End::Stopped));
        audio.join().unwrap();
    });
}

#[test]
fn the_first_end_counts() {
    loom::model(|| {
        let handle = Handle(shared());
        let audio = {
            let shared = handle.0.clone();
            thread::spawn(move || {
                shared.set_ended(End::Failed);
                shared.set_ended(End::Stopped);
            })
        };
        let early = handle.0.ended();
        assert!(matches!(early, None | Some(End::Failed)));
        assert_eq!(handle.wait(LONG), Some(End::Failed));
        audio.join().unwrap();
    });
}

#[test]
fn counters_never_go_back() {
    loom::model(|| {
        let handle = Handle(shared());
        let audio = {
            let shared = handle.0.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    count(&shared.counters.frames, 3);
                }
            })
        };
        let seen = [(); 3].map(|()| handle.stats().frames);
        assert!(seen.is_sorted(), "{seen:?}");
        audio.join().unwrap();
        assert_eq!(handle.stats().frames, 6);
    });
}
