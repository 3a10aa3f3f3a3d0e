// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card that stands still, and interrupts that are lost, late or nobody's.

use crate::host::{self, Faults};
use crate::streams::{BURST, How, PERIOD, Stream, answers, config, exact_while, last, quiet, well};
use cpal_alsa_mmap::sys::{Pcm, State, uapi};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, Stop, expect, note};
use std::fs;
use std::time::{Duration, Instant};

/// Nothing moves: the position stands, whoever waits is given up, commands are obeyed.
pub fn stuck() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::endless(how, 100)?;
        let faults = Faults::one("stuck", true)?;
        let stands = stream.position()?;
        last(100);
        stream.touch();
        let now = stream.pcm.status()?;
        ensure!(
            now.hw_ptr == stands && now.state == State::Running,
            "{how:?}: {:?}, from {stands} to {}",
            now.state,
            now.hw_ptr
        );
        stream.pcm.pause(true)?;
        stream.expect_state(State::Paused)?;
        stream.pcm.pause(false)?;
        answers()?;
        last(50);
        ensure!(stream.position()? == stands, "{how:?}: it moves");
        faults.end()?;
        // D-35, D-152: what is due is done, at most a ring of it.
        last(10);
        let now = stream.position()?;
        ensure!(
            now >= stands + 50 * BURST,
            "{how:?}: from {stands} to {now}"
        );
        stream.heal()?;
    }
    well(watch)
}

pub fn stuck_given_up() -> Outcome {
    let watch = Watch::new()?;
    let faults = Faults::one("stuck", true)?;
    for how in [How::Written, How::Read] {
        let stream = Stream::running(how, 20)?;
        stream.fails(libc::EIO)?;
        stream.expect_state(State::Running)?;
        ensure!(stream.position()? == 0, "{how:?}: it moves");
    }
    let polled = Stream::running(How::Mapped, 20)?;
    let events = polled.pcm.poll(Some(Duration::from_millis(500)))?;
    ensure!(events == 0, "poll() says {events:#x}");
    let drained = Stream::running(How::Mapped, 20)?;
    expect("DRAIN", drained.pcm.drain(), libc::EIO)?;
    drained.expect_state(State::Setup)?;
    answers()?;
    faults.end()?;
    for stream in [polled, drained] {
        stream.heal()?;
    }
    well(watch)
}

/// Waits for a wakeup: the position that the core knows by then, and all of the ring handed over again.
fn wakeup(stream: &Stream) -> Result<u64, Stop> {
    let events = stream.pcm.poll(Some(Duration::from_secs(1)))?;
    ensure!(
        events & libc::POLLERR == 0 && events != 0,
        "{:?}: poll() says {events:#x}",
        stream.how
    );
    let hw_ptr = stream.pcm.sync_ptr(Default::default())?.status.hw_ptr;
    let whole = hw_ptr / PERIOD * PERIOD;
    let to = match stream.how.plays() {
        true => whole + stream.config.frames(),
        false => whole,
    };
    card::commit(&stream.pcm, to)?;
    Ok(hw_ptr)
}

fn wakeups(stream: &Stream, expected: &[u64]) -> Outcome {
    for &periods in expected {
        let at = wakeup(stream)?;
        ensure!(
            at / PERIOD == periods,
            "{:?}: woken at {at}, not in period {periods}",
            stream.how
        );
    }
    Ok(())
}

/// The next interrupt makes up for those that were lost.
pub fn some_lost() -> Outcome {
    let watch = Watch::new()?;
    for how in [How::Mapped, How::MappedCapture] {
        for lost in [1, 3] {
            let faults = Faults::one("irqs-lost", lost)?;
            let stream = Stream::running(how, 20)?;
            wakeups(&stream, &[lost + 1, lost + 2, lost + 3])?;
            stream.expect_state(State::Running)?;
            faults.end()?;
            stream.heal()?;
        }
    }
    well(watch)
}

const EVER: u32 = u32::MAX;

/// Without any, the position is right whenever somebody asks, and who waits is given up.
pub fn all_lost() -> Outcome {
    let watch = Watch::new()?;
    let faults = Faults::one("irqs-lost", EVER)?;
    for how in How::BOTH {
        let stream = Stream::running(how, 100)?;
        let events = stream.pcm.poll(Some(Duration::from_millis(100)))?;
        ensure!(events == 0, "{how:?}: poll() says {events:#x}");
        let now = stream.position()?;
        ensure!(
            (100 * BURST - 2 * BURST..=110 * BURST).contains(&now),
            "{how:?}: at {now} after 100 ms"
        );
        stream.touch();
    }
    let silent = Config {
        flags: uapi::HW_PARAMS_NO_PERIOD_WAKEUP,
        ..config(How::Mapped, 100)
    };
    let silent = Stream::with(How::Mapped, silent)?;
    silent.pcm.start()?;
    last(300);
    let now = silent.position()?;
    ensure!(
        (298 * BURST..=310 * BURST).contains(&now),
        "without wakeups: at {now} after 300 ms"
    );
    drop(silent);
    // What there was room for is written before; a recording of which nobody is told runs over meanwhile.
    let written = Stream::running(How::Written, 20)?;
    written.fails(libc::EIO)?;
    let read = Stream::running(How::Read, 20)?;
    read.fails(libc::EIO)?;
    let drained = Stream::running(How::Mapped, 20)?;
    expect("DRAIN", drained.pcm.drain(), libc::EIO)?;
    drained.expect_state(State::Setup)?;
    answers()?;
    faults.end()?;
    for stream in [written, read, drained] {
        stream.heal()?;
    }
    well(watch)
}

pub fn late() -> Outcome {
    let watch = Watch::new()?;
    for how in [How::Mapped, How::MappedCapture] {
        let faults = Faults::one("irqs-late", 3000)?;
        let stream = Stream::running(how, 20)?;
        for period in 1..10 {
            let at = wakeup(&stream)?;
            let early = period * PERIOD + 2 * BURST;
            ensure!(
                (early..early + 6 * BURST).contains(&at),
                "{how:?}: woken at {at} in period {period}"
            );
        }
        faults.end()?;
        // Later than the next two are due: they are told in one.
        let faults = Faults::one("irqs-late", 25_000)?;
        stream.heal()?;
        let stream = Stream::running(how, 20)?;
        wakeups(&stream, &[3, 6])?;
        stream.expect_state(State::Running)?;
        faults.end()?;
        stream.heal()?;
    }
    well(watch)
}

/// How often the card's vectors have fired.
fn interrupts() -> Result<u64, Stop> {
    let text = fs::read_to_string("/proc/interrupts")?;
    let ours = text.lines().filter(|line| line.contains("snd-sgring"));
    let counts = ours.flat_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        words
            .by_ref()
            .map_while(|word| word.parse::<u64>().ok())
            .collect::<Vec<_>>()
    });
    Ok(counts.sum())
}

/// `count` interrupts for nothing, each asked for once the one before has come: those that come faster than they are
/// served are one.
fn spurious(count: u32) -> Outcome {
    for number in 0..count {
        let before = interrupts()?;
        host::set("fault-irqs-spurious 1")?;
        let start = Instant::now();
        while interrupts()? == before {
            let took = start.elapsed();
            ensure!(took < Duration::from_secs(5), "number {number} never came");
        }
    }
    Ok(())
}

/// Interrupts for nothing: with no stream, with streams in each state, and while one is heard to the bit.
pub fn storm() -> Outcome {
    const MANY: u32 = 100;
    let mut watch = Watch::new()?;
    spurious(MANY)?;

    exact_while(|playback| {
        let start = Instant::now();
        let (mut looks, mut rounds) = (0, 0);
        // As many as there is sound for, which a slow host uses up at once.
        while rounds == 0 || rounds < MANY && start.elapsed() < Duration::from_millis(500) {
            host::ask("fault-irqs-spurious 1")?;
            looks += moves(playback)?;
            host::answered()?;
            rounds += 1;
        }
        note(format_args!(
            "{rounds} while it plays, {looks} looks at the position"
        ));
        Ok(())
    })?;

    let open = [
        Stream::prepared(How::Mapped, 20)?,
        Stream::endless(How::Written, 20)?,
        Stream::endless(How::MappedCapture, 20)?,
    ];
    open[1].pcm.pause(true)?;
    spurious(MANY)?;
    open[0].expect_state(State::Prepared)?;
    ensure!(open[0].position()? == 0, "a prepared stream moves");
    open[1].expect_state(State::Paused)?;
    open[2].expect_state(State::Running)?;
    answers()?;
    // A million at once are one for the machine.
    host::set("fault-irqs-spurious 1000000")?;
    drop(open);
    quiet(&mut watch)?;
    well(watch)
}

/// The position goes on and never back, while something happens.
fn moves(pcm: &Pcm) -> Result<u32, Stop> {
    let (mut at, mut looks) = (pcm.status()?.hw_ptr, 0);
    let end = at + PERIOD;
    while at < end {
        let now = pcm.status()?.hw_ptr;
        ensure!(now >= at, "from {at} to {now}");
        (at, looks) = (now, looks + 1);
    }
    Ok(looks)
}
