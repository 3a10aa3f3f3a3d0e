// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hostile card: each of its faults, under streams of both directions, mapped and not.
//!
//! Of each it is demanded what user space sees, that controls, jacks and `/proc/asound` answer meanwhile, that the
//! kernel has nothing to say, and that afterwards the card plays, to the bit. The faults are the data sheet's
//! (`sgring.rst`, Fault injection); the host sets them.

mod dma;
mod events;
mod host;
mod irqs;
mod mix;
mod moves;
mod position;
mod reset;
mod streams;
mod vanished;

use sgring_suite::tap::{self, Test};
use std::process::ExitCode;

fn main() -> ExitCode {
    let all = [
        Test(
            "stuck",
            "D-152: nothing moves: the position stands, PAUSE is obeyed, and it goes on",
            irqs::stuck,
        ),
        Test(
            "stuck_given_up",
            "D-152: write(), read() and DRAIN give up with EIO, poll() goes by its timeout",
            irqs::stuck_given_up,
        ),
        Test(
            "irqs_some_lost",
            "D-153: the next interrupt makes up for one or three that were lost",
            irqs::some_lost,
        ),
        Test(
            "irqs_all_lost",
            "D-153: no interrupt: positions are right, who waits gets EIO; none is needed without wakeups",
            irqs::all_lost,
        ),
        Test(
            "irqs_late",
            "D-154: late interrupts wake late, nothing is lost",
            irqs::late,
        ),
        Test(
            "irqs_storm",
            "D-155: interrupts for nothing change nothing, in any state; what plays meanwhile is exact",
            irqs::storm,
        ),
        Test(
            "position_jumps_ahead",
            "D-157: a ring and more ahead, also by 2^32 and 2^62: an xrun at once",
            position::jumps_ahead,
        ),
        Test(
            "position_jumps_a_little",
            "D-157: less than a ring ahead: it never goes back afterwards",
            position::jumps_a_little,
        ),
        Test(
            "position_goes_back",
            "D-157: back, also below 0: it stands until the card has come so far again",
            position::goes_back,
        ),
        Test(
            "position_of_endless_streams",
            "D-157: where no xrun ends a stream its position never goes back, and PREPARE heals",
            position::goes_on,
        ),
        Test(
            "position_frozen",
            "D-156: interrupts without progress: EIO for who waits, and on it goes",
            position::frozen,
        ),
        Test(
            "status_torn",
            "D-158: lines written in part: the next good one makes up for them",
            position::torn,
        ),
        Test(
            "status_torn_ever",
            "D-158: no good line any more: the position stands, no call hangs, no time is believed",
            position::torn_ever,
        ),
        Test(
            "status_not_writable",
            "D-161: PREPARE says EIO, a stream that runs has an xrun",
            dma::status_line,
        ),
        Test(
            "data_errors",
            "D-160: at the first burst, in the ring, at its end, in later laps: an xrun at once",
            dma::data,
        ),
        Test(
            "data_nowhere",
            "D-164: addresses that lead nowhere are an xrun",
            dma::nowhere,
        ),
        Test(
            "data_errors_linked",
            "D-160: of linked streams one fails: all stop, one PREPARE readies all",
            dma::linked,
        ),
        Test(
            "errors_in_drain_and_pause",
            "D-160, D-161: a drain ends, who goes on after a pause is told",
            dma::draining_and_paused,
        ),
        Test(
            "table_errors",
            "D-159: PREPARE says EIO; a ring that was to move stays and plays on, to the bit",
            dma::table,
        ),
        Test(
            "moves_untold",
            "D-58, D-158: a ring that moves with no line to tell so: an xrun, and neither place is the card's",
            moves::untold,
        ),
        Test(
            "events_lost",
            "D-163: what is plugged is known all the same, and what plays is exact",
            events::overflows,
        ),
        Test(
            "failures_found",
            "D-163, D-161: a failure that neither line nor event tells of is found",
            events::failures_are_found,
        ),
        Test(
            "reset_hangs",
            "D-162: no client needs a reset",
            reset::clients,
        ),
        Test(
            "reset_hangs_at_unbind",
            "D-162: unbind is prompt, says so and cuts the card off memory; no card is bound that hangs",
            reset::at_unbind,
        ),
        Test(
            "two_at_a_time",
            "D-150: two faults at a time, drawn from a seed",
            mix::two_at_a_time,
        ),
        Test(
            "vanished_idle",
            "D-151: gone and back while nobody plays",
            vanished::idle,
        ),
        Test(
            "vanished_rescanned",
            "D-151: gone under streams in every state; removed, and found again",
            vanished::rescanned,
        ),
        Test(
            "vanished_unbound",
            "D-151: gone, and its driver taken away; no driver binds it until the bus was looked at",
            vanished::unbound,
        ),
        Test(
            "vanished_unnoticed",
            "D-151: gone and back behind the driver's back: no call believes it",
            vanished::unnoticed,
        ),
    ];
    // By hand: one of them.
    match std::env::args().nth(1) {
        Some(name) => {
            let one: Vec<_> = all.into_iter().filter(|test| test.0 == name).collect();
            tap::run(&one)
        }
        None => tap::run(&all),
    }
}
